//! A lock that tells its taker's probe how long it had to wait.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard};

use super::probe::{LockSite, Probe};

/// Data under a lock (`spinlock_t`).
///
/// Taken at once if it is free. Otherwise it is tried for a while, as the kernel spins, and then waited for asleep, as a thread, unlike
/// the kernel holding a spinlock, may be preempted while it holds it.
#[derive(Debug)]
pub(super) struct Lock<T>(Mutex<T>);

/// Attempts before a thread sleeps: some 10 µs, far longer than any holder works.
const SPINS: u32 = 2_000;

/// The data, until it is dropped.
#[derive(Debug)]
pub(super) struct Held<'a, T>(MutexGuard<'a, T>);

impl<T> Lock<T> {
    pub(super) fn new(data: T) -> Self {
        Self(Mutex::new(data))
    }

    /// Takes the lock. A holder that panicked left the data as it was: a replay ends with that panic anyway.
    #[inline]
    pub(super) fn lock<P: Probe>(&self, site: LockSite, probe: &mut P) -> Held<'_, T> {
        if let Some(held) = self.try_lock() {
            probe.locked(site, None);
            return held;
        }
        self.wait(site, probe)
    }

    #[cold]
    fn wait<P: Probe>(&self, site: LockSite, probe: &mut P) -> Held<'_, T> {
        let start = P::ticks();
        for _ in 0..SPINS {
            std::hint::spin_loop();
            if let Some(held) = self.try_lock() {
                probe.locked(site, Some(P::ticks() - start));
                return held;
            }
        }
        let held = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        probe.locked(site, Some(P::ticks() - start));
        Held(held)
    }

    #[inline]
    fn try_lock(&self) -> Option<Held<'_, T>> {
        match self.0.try_lock() {
            Ok(held) => Some(Held(held)),
            Err(std::sync::TryLockError::Poisoned(poisoned)) => Some(Held(poisoned.into_inner())),
            Err(std::sync::TryLockError::WouldBlock) => None,
        }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    #[inline]
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Held<'_, T> {
    #[inline]
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}
