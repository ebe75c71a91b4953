//! Keeps workers within a window of trace time of each other, and tells them to stop or to flush.

use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicU64};

use parking_lot::Mutex;

/// Something on cache lines of its own: two, as processors fetch pairs.
#[derive(Debug, Default)]
#[repr(align(128))]
pub(super) struct Padded<T>(pub(super) T);

/// What workers know of each other.
#[derive(Debug)]
pub(super) struct Gate<'a> {
    workers: Box<[Padded<Progress>]>,
    window_ns: u64,
    stop: &'a AtomicBool,
    /// Caches that are being shrunk, which every worker flushes once; as many as `epoch` says.
    shrunk: Mutex<Vec<u16>>,
    epoch: AtomicU64,
}

#[derive(Debug, Default)]
struct Progress {
    /// Time of the next operation; the end of time once there is none.
    time_ns: AtomicU64,
    /// Operations done.
    done: AtomicU64,
    /// Shrunk caches flushed.
    flushed: AtomicU64,
}

impl<'a> Gate<'a> {
    pub(super) fn new(workers: usize, start_ns: u64, window_ns: u64, stop: &'a AtomicBool) -> Self {
        let progress = || Padded(Progress { time_ns: AtomicU64::new(start_ns), ..Progress::default() });
        Self {
            workers: (0..workers).map(|_| progress()).collect(),
            window_ns,
            stop,
            shrunk: Mutex::new(Vec::new()),
            epoch: AtomicU64::new(0),
        }
    }

    // ORDERING, of times, counts and the wish to stop: Relaxed. They are hints about pace; objects are handed over in slots.

    pub(super) fn is_stopped(&self) -> bool {
        self.stop.load(Relaxed)
    }

    /// Tells how far a worker is.
    #[inline]
    pub(super) fn publish(&self, worker: usize, time_ns: u64, done: u64) {
        let progress = &self.workers[worker].0;
        progress.time_ns.store(time_ns, Relaxed);
        progress.done.store(done, Relaxed);
    }

    /// Up to when operations may be done now: the window behind the worker that is furthest back.
    pub(super) fn limit_ns(&self) -> u64 {
        let last = self.workers.iter().map(|worker| worker.0.time_ns.load(Relaxed)).min().unwrap_or(0);
        last.saturating_add(self.window_ns)
    }

    /// Operations done by all.
    pub(super) fn done(&self) -> u64 {
        self.workers.iter().map(|worker| worker.0.done.load(Relaxed)).sum()
    }

    /// A worker has nothing left to do: nobody need wait for it.
    pub(super) fn finish(&self, worker: usize, done: u64) {
        self.publish(worker, u64::MAX, done);
        // ORDERING: Release. Who waits for the flush may use what the worker gave back.
        self.workers[worker].0.flushed.store(u64::MAX, Release);
    }

    /// Asks all workers to flush a cache; the answer is for [`Self::is_flushed`].
    pub(super) fn ask_to_flush(&self, cache: u16) -> u64 {
        let mut shrunk = self.shrunk.lock();
        shrunk.push(cache);
        // ORDERING: Release pairs with the Acquire below; the list itself is under its lock.
        self.epoch.store(shrunk.len() as u64, Release);
        shrunk.len() as u64
    }

    /// Caches that a worker, which has flushed so many before, has to flush.
    #[inline]
    pub(super) fn to_flush(&self, flushed: u64) -> Vec<u16> {
        // ORDERING: Acquire, as above.
        if self.epoch.load(Acquire) <= flushed {
            return Vec::new();
        }
        let shrunk = self.shrunk.lock();
        shrunk[flushed as usize..].to_vec()
    }

    /// A worker has flushed so many.
    pub(super) fn has_flushed(&self, worker: usize, flushed: u64) {
        // ORDERING: Release, as in `finish`.
        self.workers[worker].0.flushed.store(flushed, Release);
    }

    /// True if all workers have flushed so many.
    pub(super) fn is_flushed(&self, epoch: u64) -> bool {
        // ORDERING: Acquire pairs with the Release of `has_flushed` and `finish`.
        self.workers.iter().all(|worker| worker.0.flushed.load(Acquire) >= epoch)
    }
}
