//! The lock of `lock.rs`, for loom: data apart from the mutex, so that loom finds whoever touches it without holding that.

#![allow(unsafe_code, reason = "data is reached through loom's cell, which checks what the mutex is for")]

use std::ops::{Deref, DerefMut};

use loom::cell::{MutPtr, UnsafeCell};
use loom::sync::{Mutex, MutexGuard};

use super::probe::{LockSite, Probe};

#[derive(Debug)]
pub(super) struct Lock<T> {
    mutex: Mutex<()>,
    data: UnsafeCell<T>,
}

// SAFETY: loom reports accesses to the data that no lock orders.
unsafe impl<T: Send> Sync for Lock<T> {}

#[derive(Debug)]
pub(super) struct Held<'a, T> {
    // Dropped first: nobody may look at the data once the mutex is free.
    data: MutPtr<T>,
    _guard: Option<MutexGuard<'a, ()>>,
}

impl<T> Lock<T> {
    pub(super) fn new(data: T) -> Self {
        Self { mutex: Mutex::new(()), data: UnsafeCell::new(data) }
    }

    pub(super) fn lock<P: Probe>(&self, site: LockSite, probe: &mut P) -> Held<'_, T> {
        probe.locked(site, None);
        let guard = Some(self.mutex.lock().unwrap());
        Held { data: self.data.get_mut(), _guard: guard }
    }
}

impl<T> Deref for Held<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: loom checks that nobody else has the data.
        unsafe { self.data.deref() }
    }
}

impl<T> DerefMut for Held<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        // SAFETY: as above.
        unsafe { self.data.deref() }
    }
}
