//! How threads meet and hand objects over, without allocating.

use std::ptr::NonNull;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64};

/// Somebody had no memory: all go home.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GaveUp;

/// Attempts before a waiting thread offers its core to others: there may be more threads than cores.
const SPINS: u32 = 2_000;

/// Where threads wait for each other.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Meeting {
    threads: u64,
    came: AtomicU64,
    gave_up: AtomicBool,
}

impl Meeting {
    pub(super) fn new(threads: usize) -> Self {
        Self { threads: threads as u64, came: AtomicU64::new(0), gave_up: AtomicBool::new(false) }
    }

    /// Waits until all are here.
    #[inline]
    pub(super) fn meet(&self) -> Result<(), GaveUp> {
        // ORDERING: Release gives what was done before to those who wait; Acquire takes what they did.
        let before = self.came.fetch_add(1, AcqRel);
        let all = (before / self.threads + 1) * self.threads;
        self.wait(|| (self.came.load(Acquire) >= all).then_some(()))
    }

    /// Waits for something that another thread does.
    #[inline(always)]
    pub(super) fn wait<T>(&self, mut until: impl FnMut() -> Option<T>) -> Result<T, GaveUp> {
        let mut spins = 0;
        loop {
            if let Some(found) = until() {
                return Ok(found);
            }
            self.pause(&mut spins)?;
        }
    }

    #[cold]
    fn pause(&self, spins: &mut u32) -> Result<(), GaveUp> {
        // ORDERING: Relaxed. Nothing is read because of it.
        if self.gave_up.load(Relaxed) {
            return Err(GaveUp);
        }
        *spins += 1;
        if *spins < SPINS {
            std::hint::spin_loop()
        } else {
            std::thread::yield_now()
        }
        Ok(())
    }

    /// Sends all home.
    #[cold]
    pub(super) fn give_up(&self) -> GaveUp {
        self.gave_up.store(true, Relaxed);
        GaveUp
    }
}

/// Places for objects on their way from one thread to another; empty ones are null. As a queue its ends are known by either side alone,
/// which sees by the place itself whether it may go on.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Places(Box<[AtomicPtr<u8>]>);

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self((0..count).map(|_| AtomicPtr::new(std::ptr::null_mut())).collect())
    }

    /// The place of the so-manieth object.
    #[inline(always)]
    fn at(&self, number: usize) -> &AtomicPtr<u8> {
        &self.0[number % self.0.len()]
    }

    /// Puts an object where another thread will look for it, if the place is empty.
    #[inline(always)]
    pub(super) fn put(&self, number: usize, object: NonNull<u8>) -> Option<()> {
        let place = self.at(number);
        // ORDERING: Relaxed; the taker left nothing behind that is read. Release publishes the object.
        place.load(Relaxed).is_null().then(|| place.store(object.as_ptr(), Release))
    }

    /// Takes an object, if it is there.
    #[inline(always)]
    pub(super) fn take(&self, number: usize) -> Option<NonNull<u8>> {
        let place = self.at(number);
        // ORDERING: Acquire, of the Release of `put`. Relaxed: an empty place says nothing else.
        let object = NonNull::new(place.load(Acquire))?;
        place.store(std::ptr::null_mut(), Relaxed);
        Some(object)
    }
}
