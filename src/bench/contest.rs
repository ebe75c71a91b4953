//! Rounds: one allocator after the other, again and again.

use std::alloc::{GlobalAlloc, System};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::exchange::GaveUp;
use super::foreign::Foreign;
use super::kmalloc::Kmalloc;
use super::patterns::{Seat, Table, work};
use super::subject::Subject;
use super::{Allocator, BenchError, Figure, Options, Pattern};
use crate::allocators::concurrent::{Counts, CpuSlabCache, Model, NoProbe, SheafCache};
use crate::allocators::slub::Rules;

/// An allocator that takes part; what it does in a round is compiled for it alone.
trait Entrant: Sync {
    /// Does so many passes of a pattern as one of the threads.
    fn work(&self, pattern: Pattern, seat: &mut Seat<'_>, passes: u64) -> Result<(), GaveUp>;
}

struct Entered<S: Subject> {
    subject: S,
    /// By thread; nobody else asks for it.
    own: Vec<Mutex<S::Own>>,
}

impl<S: Subject> Entrant for Entered<S> {
    fn work(&self, pattern: Pattern, seat: &mut Seat<'_>, passes: u64) -> Result<(), GaveUp> {
        let mut own = self.own[seat.thread].lock().unwrap_or_else(PoisonError::into_inner);
        work(pattern, &self.subject, &mut own, seat, passes)
    }
}

fn entered<S: Subject + 'static>(subject: S, threads: usize) -> Box<dyn Entrant> {
    let own = (0..threads).map(|thread| Mutex::new(subject.own(thread))).collect();
    Box::new(Entered { subject, own })
}

fn foreign<A: GlobalAlloc + Send + Sync + 'static>(allocator: A, threads: usize, size: u32) -> Box<dyn Entrant> {
    entered(Foreign::new(allocator, size), threads)
}

fn enter(allocator: Allocator, threads: usize, size: u32) -> Result<Box<dyn Entrant>, BenchError> {
    Ok(match allocator {
        Allocator::Slub { release, counts } => {
            let has_cpu_slabs = CpuSlabCache::models(&Rules::of(release));
            let count = || Counts::new(1);
            match (has_cpu_slabs, counts) {
                (true, true) => entered(Kmalloc::<CpuSlabCache, _>::new(release, threads, size, count)?, threads),
                (true, false) => entered(Kmalloc::<CpuSlabCache, _>::new(release, threads, size, || NoProbe)?, threads),
                (false, true) => entered(Kmalloc::<SheafCache, _>::new(release, threads, size, count)?, threads),
                (false, false) => entered(Kmalloc::<SheafCache, _>::new(release, threads, size, || NoProbe)?, threads),
            }
        }
        #[cfg(feature = "other-allocators")]
        Allocator::Mimalloc => foreign(mimalloc::MiMalloc, threads, size),
        #[cfg(feature = "other-allocators")]
        Allocator::Jemalloc => foreign(tikv_jemallocator::Jemalloc, threads, size),
        #[cfg(feature = "other-allocators")]
        Allocator::Snmalloc => foreign(snmalloc_rs::SnMalloc, threads, size),
        // Names of others are refused where there are none.
        _ => foreign(System, threads, size),
    })
}

/// Measures all patterns; `progress` is told of each pattern that was done on a number of threads.
///
/// # Errors
///
/// If there is no memory, or a release has no cache for the size.
pub fn run(options: &Options, progress: &dyn Fn(u64)) -> Result<Vec<Figure>, BenchError> {
    let mut figures = Vec::new();
    for &pattern in &options.patterns {
        for &threads in options.threads.iter().filter(|&&threads| pattern.fits(threads)) {
            figures.extend(cell(options, pattern, threads)?);
            progress(1);
        }
    }
    Ok(figures)
}

/// One pattern on so many threads, by all allocators.
fn cell(options: &Options, pattern: Pattern, threads: usize) -> Result<Vec<Figure>, BenchError> {
    let entrants: Vec<_> = options.allocators.iter().map(|&allocator| enter(allocator, threads, options.size)).collect::<Result<_, _>>()?;
    let table = Table::new(pattern, threads);
    let spans = Mutex::new(vec![None; threads]);
    let cores = core_affinity::get_core_ids().unwrap_or_default();
    let rounds = |thread: usize| {
        if let Some(&core) = cores.get(thread % cores.len().max(1)) {
            core_affinity::set_for_current(core);
        }
        let seat = Seat::new(&table, thread);
        Thread { options, pattern, spans: &spans, seat }.all_rounds(&entrants)
    };
    let rounds = &rounds;
    let found = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..threads).map(|thread| scope.spawn(move || rounds(thread))).collect();
        // A thread that panicked has a bug: the panic goes on.
        threads.into_iter().map(|thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
    });
    let found = found.into_iter().next().unwrap_or_else(|| Ok(Vec::new()));
    let found =
        found.map_err(|number| BenchError::OutOfMemory { allocator: options.allocators[number].name(), pattern: pattern.name() })?;
    let figure = |(allocator, ns_per_pair): (&Allocator, Vec<f64>)| Figure {
        pattern: pattern.name(),
        allocator: allocator.name(),
        threads,
        size: Some(options.size),
        ns_per_pair,
        replay: None,
    };
    Ok(options.allocators.iter().zip(found).map(figure).collect())
}

/// When a thread began and ended a round.
type Span = Option<(Instant, Instant)>;

struct Thread<'a> {
    options: &'a Options,
    pattern: Pattern,
    /// By thread, of the round that just ended.
    spans: &'a Mutex<Vec<Span>>,
    seat: Seat<'a>,
}

impl Thread<'_> {
    /// Nanoseconds of a pair, by allocator and round; every thread comes to the same figures. Else the number of the allocator that had
    /// no memory.
    fn all_rounds(&mut self, entrants: &[Box<dyn Entrant>]) -> Result<Vec<Vec<f64>>, usize> {
        let mut passes = Vec::with_capacity(entrants.len());
        for (number, entrant) in entrants.iter().enumerate() {
            passes.push(self.warm_up(&**entrant).map_err(|GaveUp| number)?);
        }
        let mut found = vec![Vec::with_capacity(self.options.rounds); entrants.len()];
        for round in 0..self.options.rounds {
            for turn in 0..entrants.len() {
                let number = (round + turn) % entrants.len();
                let took = self.round(&*entrants[number], passes[number]).map_err(|GaveUp| number)?;
                let pairs = passes[number] * self.pattern.pairs() as u64;
                found[number].push(took.as_secs_f64() * 1e9 / pairs as f64);
            }
        }
        Ok(found)
    }

    /// Finds out how many passes take as long as a round should; the allocator has its memory then.
    fn warm_up(&mut self, entrant: &dyn Entrant) -> Result<u64, GaveUp> {
        let mut passes = 1;
        loop {
            let took = self.round(entrant, passes)?;
            if took >= self.options.time / 2 || passes >= 1 << 40 {
                let ideal = passes as f64 * self.options.time.as_secs_f64() / took.as_secs_f64().max(1e-9);
                return Ok((ideal as u64).max(1));
            }
            passes *= 2;
        }
    }

    /// One round: from when the first thread begins until the last has ended.
    fn round(&mut self, entrant: &dyn Entrant, passes: u64) -> Result<Duration, GaveUp> {
        let meeting = &self.seat.table.meeting;
        meeting.meet()?;
        let start = Instant::now();
        entrant.work(self.pattern, &mut self.seat, passes)?;
        let end = Instant::now();
        self.spans.lock().unwrap_or_else(PoisonError::into_inner)[self.seat.thread] = Some((start, end));
        meeting.meet()?;
        let spans = self.spans.lock().unwrap_or_else(PoisonError::into_inner);
        let start = spans.iter().flatten().map(|span| span.0).min();
        let end = spans.iter().flatten().map(|span| span.1).max();
        Ok(start.zip(end).map_or(Duration::ZERO, |(start, end)| end - start))
    }
}
