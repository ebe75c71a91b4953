//! A lock that tells its taker's probe how long it had to wait.

use std::ops::{Deref, DerefMut};

use parking_lot::{Mutex, MutexGuard};

use super::probe::{LockSite, Probe};

/// Data under a lock (`spinlock_t`).
///
/// Taken at once if it is free. Otherwise it is spun for, as in the kernel, and then waited for asleep: a thread, unlike the kernel holding a
/// spinlock, may be preempted while it holds it.
#[derive(Debug)]
pub(super) struct Lock<T>(Mutex<T>);

/// The data, until it is dropped.
#[derive(Debug)]
pub(super) struct Held<'a, T>(MutexGuard<'a, T>);

impl<T> Lock<T> {
    pub(super) fn new(data: T) -> Self {
        Self(Mutex::new(data))
    }

    #[inline]
    pub(super) fn lock<P: Probe>(&self, site: LockSite, probe: &mut P) -> Held<'_, T> {
        match self.0.try_lock() {
            Some(held) => {
                probe.locked(site, None);
                Held(held)
            }
            None => self.wait(site, probe),
        }
    }

    #[cold]
    fn wait<P: Probe>(&self, site: LockSite, probe: &mut P) -> Held<'_, T> {
        let start = P::ticks();
        let held = self.0.lock();
        probe.locked(site, Some(P::ticks() - start));
        Held(held)
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
