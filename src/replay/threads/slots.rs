//! Where objects are handed from the worker that allocates them to the one that frees them.

use std::ptr::NonNull;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicPtr, AtomicU32};

/// One place for each object that may be live at the same time.
///
/// A slot has one tenant after the other. Workers may come to a later tenant before an earlier one was there, so each waits for its turn.
#[derive(Debug)]
pub(super) struct Slots(Box<[Slot]>);

#[derive(Debug)]
struct Slot {
    object: AtomicPtr<u8>,
    /// Twice the number of the tenant, and one more while its object is here.
    turn: AtomicU32,
}

/// What a slot holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Handed {
    /// An object.
    Object(NonNull<u8>),
    /// There was no memory for it.
    Failed,
}

impl Handed {
    fn from_raw(raw: *mut u8) -> Self {
        NonNull::new(raw).map_or(Self::Failed, Self::Object)
    }
}

impl Slots {
    pub(super) fn new(count: u32) -> Self {
        Self((0..count).map(|_| Slot { object: AtomicPtr::new(std::ptr::null_mut()), turn: AtomicU32::new(0) }).collect())
    }

    pub(super) fn bytes(&self) -> u64 {
        size_of_val(&*self.0) as u64
    }

    /// Takes what a tenant has here, if it is here yet.
    #[inline(always)]
    pub(super) fn take(&self, slot: u32, tenant: u32) -> Option<Handed> {
        let slot = &self.0[slot as usize];
        // ORDERING: Acquire pairs with the Release of `put`: what the allocating worker did to the object comes before.
        if slot.turn.load(Acquire) != 2 * tenant + 1 {
            return None;
        }
        // ORDERING: Relaxed. Nobody else has this turn.
        let handed = Handed::from_raw(slot.object.load(Relaxed));
        // ORDERING: Release. The next tenant writes what was read just now.
        slot.turn.store(2 * tenant + 2, Release);
        Some(handed)
    }

    /// Puts something here for a tenant, if it is its turn.
    #[inline(always)]
    pub(super) fn put(&self, slot: u32, tenant: u32, handed: Handed) -> bool {
        let slot = &self.0[slot as usize];
        // ORDERING: Acquire pairs with the Release of `take`.
        if slot.turn.load(Acquire) != 2 * tenant {
            return false;
        }
        // ORDERING: Relaxed. Nobody else has this turn.
        slot.object.store(if let Handed::Object(object) = handed { object.as_ptr() } else { std::ptr::null_mut() }, Relaxed);
        // ORDERING: Release publishes the object.
        slot.turn.store(2 * tenant + 1, Release);
        true
    }

    /// Objects left in slots, when nobody is at work.
    pub(super) fn rest(&self) -> impl Iterator<Item = NonNull<u8>> {
        let full = self.0.iter().filter(|slot| slot.turn.load(Relaxed) % 2 == 1);
        full.filter_map(|slot| NonNull::new(slot.object.load(Relaxed)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tenants_come_in_turn_and_what_was_put_is_taken_once() {
        let slots = Slots::new(2);
        let mut byte = 0_u8;
        let object = Handed::Object(NonNull::from(&mut byte));
        assert_eq!(slots.take(0, 0), None);
        assert!(!slots.put(0, 1, object), "the second tenant is early");
        assert!(slots.put(0, 0, object) && !slots.put(0, 0, Handed::Failed));
        assert_eq!(slots.take(0, 1), None, "not its object");
        assert_eq!((slots.take(0, 0), slots.take(0, 0)), (Some(object), None));
        assert!(slots.put(0, 1, Handed::Failed) && slots.put(1, 0, object));
        assert_eq!((slots.rest().count(), slots.take(0, 1)), (1, Some(Handed::Failed)));
    }
}
