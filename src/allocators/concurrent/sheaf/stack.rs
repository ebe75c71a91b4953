//! One sheaf (`struct slab_sheaf`).

use std::ptr::NonNull;

use crate::allocators::concurrent::memory::Address;

/// An array of free objects, used as a stack, the top at the end. Its size never changes, so that the check whether there is room is the
/// check of the array's bound.
#[derive(Debug)]
pub(super) struct Sheaf {
    objects: Box<[Address]>,
    size: usize,
}

impl Sheaf {
    pub(super) fn new(capacity: usize) -> Self {
        Self { objects: vec![Address::from_raw(NonNull::dangling()); capacity].into_boxed_slice(), size: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.size == 0
    }

    pub(super) fn is_full(&self) -> bool {
        self.size == self.objects.len()
    }

    pub(super) fn objects(&self) -> &[Address] {
        &self.objects[..self.size]
    }

    /// Puts an object on top, if there is room.
    #[inline(always)]
    pub(super) fn push(&mut self, object: Address) -> bool {
        let place = self.objects.get_mut(self.size);
        let has_room = place.is_some();
        if let Some(place) = place {
            *place = object;
            self.size += 1;
        }
        has_room
    }

    /// Takes the top.
    #[inline(always)]
    pub(super) fn pop(&mut self) -> Option<Address> {
        let size = self.size.checked_sub(1)?;
        let top = *self.objects.get(size)?;
        self.size = size;
        Some(top)
    }

    /// Puts objects on top; there must be room.
    pub(super) fn extend(&mut self, objects: &[Address]) {
        self.objects[self.size..][..objects.len()].copy_from_slice(objects);
        self.size += objects.len();
    }

    /// Takes up to `count` objects off the top, in the order of the array.
    pub(super) fn take_top(&mut self, count: usize, into: &mut Vec<Address>) {
        let left = self.size.saturating_sub(count);
        into.extend_from_slice(&self.objects[left..self.size]);
        self.size = left;
    }
}
