//! What is allocated and freed, in which order and by whom.

use std::ptr::NonNull;

use super::exchange::{GaveUp, Meeting, Places};
use super::foreign::touch;
use super::subject::Subject;

/// What a thread does, again and again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// One object is allocated and freed.
    Reuse,
    /// 256 objects are allocated, then freed in the same order.
    Batch,
    /// 1,000 objects are allocated, then freed in a random order, which is always the same.
    Shuffled,
    /// One thread allocates, another frees; there may be several such pairs.
    ProducerConsumer,
    /// All threads allocate an array, and each frees that of another.
    Remote,
}

/// Objects of a batch.
const BATCH: usize = 256;
/// Objects that are freed in random order.
const SHUFFLED: usize = 1_000;
/// Objects of an array that threads exchange.
const ARRAY: usize = 512;
/// Objects on their way from a producer to its consumer.
const QUEUE: usize = 1_024;

impl Pattern {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Reuse, Self::Batch, Self::Shuffled, Self::ProducerConsumer, Self::Remote];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Reuse => "reuse",
            Self::Batch => "batch-256",
            Self::Shuffled => "shuffled-1000",
            Self::ProducerConsumer => "producer-consumer",
            Self::Remote => "remote",
        }
    }

    /// The pattern of that name.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|pattern| pattern.name() == name)
    }

    /// What number of threads it takes, if not any.
    #[must_use]
    pub fn wants(self) -> Option<&'static str> {
        match self {
            Self::Reuse | Self::Batch | Self::Shuffled => None,
            Self::ProducerConsumer => Some("an even number of threads"),
            Self::Remote => Some("two threads or more"),
        }
    }

    /// It can be done by so many threads.
    #[must_use]
    pub fn fits(self, threads: usize) -> bool {
        match self {
            Self::Reuse | Self::Batch | Self::Shuffled => threads >= 1,
            Self::ProducerConsumer => threads >= 2 && threads.is_multiple_of(2),
            Self::Remote => threads >= 2,
        }
    }

    /// Objects in a pass of one thread; of a producer with its consumer.
    pub(super) fn pairs(self) -> usize {
        match self {
            Self::Reuse | Self::ProducerConsumer => QUEUE,
            Self::Batch => BATCH,
            Self::Shuffled => SHUFFLED,
            Self::Remote => ARRAY,
        }
    }
}

/// What threads share in a pattern.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) meeting: Meeting,
    threads: usize,
    /// By thread: its array; by producer: its queue.
    places: Vec<Places>,
    order: Vec<u32>,
}

impl Table {
    pub(super) fn new(pattern: Pattern, threads: usize) -> Self {
        let places = match pattern {
            Pattern::Remote => (0..threads).map(|_| Places::new(ARRAY)).collect(),
            Pattern::ProducerConsumer => (0..threads / 2).map(|_| Places::new(QUEUE)).collect(),
            Pattern::Reuse | Pattern::Batch | Pattern::Shuffled => Vec::new(),
        };
        Self { meeting: Meeting::new(threads), threads, places, order: permutation(SHUFFLED) }
    }
}

/// A thread's place at the table.
#[derive(Debug)]
pub(super) struct Seat<'a> {
    pub(super) table: &'a Table,
    pub(super) thread: usize,
    /// Room for objects.
    pub(super) objects: Vec<NonNull<u8>>,
}

impl<'a> Seat<'a> {
    pub(super) fn new(table: &'a Table, thread: usize) -> Self {
        Self { table, thread, objects: vec![NonNull::dangling(); SHUFFLED] }
    }
}

/// The numbers below `count` in a fixed random order.
fn permutation(count: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..count as u32).collect();
    fastrand::Rng::with_seed(0).shuffle(&mut order);
    order
}

/// Does so many passes of a pattern.
pub(super) fn work<S: Subject>(pattern: Pattern, subject: &S, own: &mut S::Own, seat: &mut Seat<'_>, passes: u64) -> Result<(), GaveUp> {
    match pattern {
        Pattern::Reuse => reuse(subject, own, seat, passes),
        Pattern::Batch => batch(subject, own, seat, passes),
        Pattern::Shuffled => shuffled(subject, own, seat, passes),
        Pattern::ProducerConsumer if seat.thread.is_multiple_of(2) => produce(subject, own, seat, passes),
        Pattern::ProducerConsumer => consume(subject, own, seat, passes),
        Pattern::Remote => remote(subject, own, seat, passes),
    }
}

/// A new object, written to as its user would.
#[inline(always)]
fn get<S: Subject>(subject: &S, own: &mut S::Own, seat: &Seat<'_>) -> Result<NonNull<u8>, GaveUp> {
    let Some(object) = subject.alloc(own) else { return Err(seat.table.meeting.give_up()) };
    touch(object);
    Ok(object)
}

#[inline(never)]
fn reuse<S: Subject>(subject: &S, own: &mut S::Own, seat: &Seat<'_>, passes: u64) -> Result<(), GaveUp> {
    for _ in 0..passes * Pattern::Reuse.pairs() as u64 {
        let object = get(subject, own, seat)?;
        subject.free(own, object);
    }
    Ok(())
}

#[inline(always)]
fn fill<S: Subject>(subject: &S, own: &mut S::Own, seat: &mut Seat<'_>, count: usize) -> Result<(), GaveUp> {
    for number in 0..count {
        let object = get(subject, own, seat)?;
        seat.objects[number] = object;
    }
    Ok(())
}

#[inline(never)]
fn batch<S: Subject>(subject: &S, own: &mut S::Own, seat: &mut Seat<'_>, passes: u64) -> Result<(), GaveUp> {
    for _ in 0..passes {
        fill(subject, own, seat, BATCH)?;
        for &object in &seat.objects[..BATCH] {
            subject.free(own, object);
        }
    }
    Ok(())
}

#[inline(never)]
fn shuffled<S: Subject>(subject: &S, own: &mut S::Own, seat: &mut Seat<'_>, passes: u64) -> Result<(), GaveUp> {
    for _ in 0..passes {
        fill(subject, own, seat, SHUFFLED)?;
        for &number in &seat.table.order {
            subject.free(own, seat.objects[number as usize]);
        }
    }
    Ok(())
}

#[inline(never)]
fn produce<S: Subject>(subject: &S, own: &mut S::Own, seat: &Seat<'_>, passes: u64) -> Result<(), GaveUp> {
    let queue = &seat.table.places[seat.thread / 2];
    for _ in 0..passes {
        for number in 0..QUEUE {
            let object = get(subject, own, seat)?;
            seat.table.meeting.wait(|| queue.put(number, object))?;
        }
    }
    Ok(())
}

#[inline(never)]
fn consume<S: Subject>(subject: &S, own: &mut S::Own, seat: &Seat<'_>, passes: u64) -> Result<(), GaveUp> {
    let queue = &seat.table.places[seat.thread / 2];
    for _ in 0..passes {
        for number in 0..QUEUE {
            let object = seat.table.meeting.wait(|| queue.take(number))?;
            subject.free(own, object);
        }
    }
    Ok(())
}

#[inline(never)]
fn remote<S: Subject>(subject: &S, own: &mut S::Own, seat: &Seat<'_>, passes: u64) -> Result<(), GaveUp> {
    let table = seat.table;
    let (mine, theirs) = (&table.places[seat.thread], &table.places[(seat.thread + 1) % table.threads]);
    for _ in 0..passes {
        for number in 0..ARRAY {
            let object = get(subject, own, seat)?;
            table.meeting.wait(|| mine.put(number, object))?;
        }
        table.meeting.meet()?;
        for number in 0..ARRAY {
            let object = table.meeting.wait(|| theirs.take(number))?;
            subject.free(own, object);
        }
        table.meeting.meet()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_permutation_has_every_number_once_and_is_always_the_same() {
        let order = permutation(1_000);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, (0..1_000).collect::<Vec<u32>>());
        assert_ne!(sorted, order);
        assert_eq!(permutation(1_000), order);
        // As random orders do, it leaves about one number in its place, and goes up and down about as often.
        let in_place = order.iter().enumerate().filter(|&(place, &number)| place == number as usize).count();
        let falls = order.windows(2).filter(|pair| pair[0] > pair[1]).count();
        assert!(in_place < 8 && (430..570).contains(&falls), "{in_place} in place, {falls} falls");
    }

    #[test]
    fn names_lead_back_and_patterns_say_how_many_threads_they_want() {
        for pattern in Pattern::ALL {
            assert_eq!(Pattern::of_name(pattern.name()), Some(pattern));
            assert_eq!(pattern.wants().is_none(), pattern.fits(1), "{}", pattern.name());
            assert!(pattern.fits(2) && pattern.fits(4), "{}", pattern.name());
        }
        assert!(!Pattern::ProducerConsumer.fits(3) && Pattern::Remote.fits(3));
    }
}
