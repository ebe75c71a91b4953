//! Work on all threads whose results are taken in order, while more is worked on.
//!
//! Whoever has made the next result takes it, and those of others that wait behind it, at once: what it made is still in its
//! processor's cache, no thread waits for another, and what is left at the end is one result.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

/// Results that wait for those before them, and buffers to make more in.
struct Waiting<T, B> {
    next: usize,
    made: BTreeMap<usize, T>,
    spare: Vec<B>,
}

/// Calls `make` for `0..count` on all threads of rayon's pool, and `take` with each result in order. `take` gives back a buffer, which a later
/// `make` gets: fresh memory costs more than most work.
pub(crate) fn in_order<T: Send, B: Send + Default>(count: usize, make: impl Fn(usize, B) -> T + Sync, take: impl FnMut(T) -> B + Send) {
    let begun = AtomicUsize::new(0);
    let waiting = Mutex::new(Waiting { next: 0, made: BTreeMap::new(), spare: Vec::new() });
    let take = Mutex::new(take);
    let work = || loop {
        let number = begun.fetch_add(1, Ordering::Relaxed);
        if number >= count {
            return;
        }
        let buffer = locked(&waiting).spare.pop().unwrap_or_default();
        let made = make(number, buffer);
        locked(&waiting).made.insert(number, made);
        take_all(&waiting, &take);
    };
    (0..rayon::current_num_threads()).into_par_iter().with_max_len(1).for_each(|_| work());
}

/// Takes what can be taken, unless another thread is about it.
fn take_all<T, B>(waiting: &Mutex<Waiting<T, B>>, take: &Mutex<impl FnMut(T) -> B>) {
    let next = |waiting: &mut Waiting<T, B>| {
        let made = waiting.made.remove(&waiting.next)?;
        waiting.next += 1;
        Some(made)
    };
    loop {
        let Ok(mut taking) = take.try_lock() else { return };
        while let Some(made) = { next(&mut locked(waiting)) } {
            let buffer = taking(made);
            locked(waiting).spare.push(buffer);
        }
        drop(taking);
        // Another thread may have found this one here after its last look.
        let waiting = locked(waiting);
        if !waiting.made.contains_key(&waiting.next) {
            return;
        }
    }
}

/// A thread that panicked takes the others with it anyway.
fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_come_in_order_and_buffers_come_back() {
        for threads in [1, 2, 5] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let (mut taken, fresh) = (Vec::new(), AtomicUsize::new(0));
            let make = |number: usize, mut buffer: Vec<usize>| {
                fresh.fetch_add(usize::from(buffer.capacity() == 0), Ordering::Relaxed);
                buffer.push(number);
                buffer
            };
            let take = |mut buffer: Vec<usize>| {
                taken.append(&mut buffer);
                buffer
            };
            pool.install(|| in_order(1000, make, take));
            assert!(taken.iter().copied().eq(0..1000), "{threads}");
            assert!(threads > 1 || fresh.into_inner() == 1);
        }
    }

    #[test]
    fn nothing_is_no_work() {
        in_order(0, |_, ()| unreachable!(), |()| unreachable!());
    }
}
