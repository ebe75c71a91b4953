//! Arrays of objects in front of the slabs.

use crate::allocators::Object;

/// A stack of objects (`struct array_cache`).
#[derive(Debug, Clone)]
pub(super) struct ArrayCache {
    /// The oldest first; the top is the last.
    pub(super) entries: Vec<Object>,
    pub(super) limit: u32,
    pub(super) batchcount: u32,
    /// Something was taken since the reaper looked.
    pub(super) touched: bool,
}

/// Limit of an array for the objects of another node (`__cache_free_alien()`).
const ALIEN_LIMIT: u32 = 12;

impl ArrayCache {
    pub(super) fn new(limit: u32, batchcount: u32) -> Self {
        Self { entries: Vec::new(), limit, batchcount, touched: false }
    }

    /// For the objects of another node, of a cache whose CPU arrays hold `limit`.
    pub(super) fn alien(limit: u32) -> Self {
        Self::new(if limit > 1 { ALIEN_LIMIT } else { limit }, 0)
    }

    pub(super) fn avail(&self) -> u32 {
        self.entries.len() as u32
    }

    pub(super) fn room(&self) -> u32 {
        self.limit.saturating_sub(self.avail())
    }

    pub(super) fn is_full(&self) -> bool {
        self.avail() >= self.limit
    }

    /// Moves up to `most` objects, the top ones in their order, on top of `to` as far as there is room
    /// (`transfer_objects()`); returns how many.
    pub(super) fn transfer(&mut self, to: &mut Self, most: u32) -> u32 {
        let count = self.avail().min(most).min(to.room());
        let from = self.entries.len() - count as usize;
        to.entries.extend(self.entries.drain(from..));
        count
    }

    /// What the reaper takes from the start (`drain_array_locked()`): a fifth of the limit, or half of what is there if that is less.
    pub(super) fn drain_count(&self) -> usize {
        let fifth = self.limit.div_ceil(5);
        if fifth > self.avail() { self.avail().div_ceil(2) as usize } else { fifth as usize }
    }
}
