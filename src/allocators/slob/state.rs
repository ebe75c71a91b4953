//! What is counted.

use super::Slob;
use super::page::SizeList;

/// What a cache has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Use {
    pub(super) live: u64,
    /// Objects whose grace period is not over.
    pub(super) waiting: u64,
    pub(super) block_bytes: u64,
    pub(super) header_bytes: u64,
    pub(super) whole_blocks: u64,
    pub(super) whole_pages: u64,
    pub(super) allocs: u64,
    pub(super) frees: u64,
}

/// Figures over all caches.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlobTotals {
    /// Pages that blocks share.
    pub shared_pages: u64,
    /// Such pages taken so far.
    pub pages_made: u64,
    /// Such pages given back.
    pub pages_freed: u64,
    /// Pages looked at by allocations.
    pub visited: u64,
    /// Pages put on lists or taken off them.
    pub list_moves: u64,
    /// Units left free in front of blocks for their alignment.
    pub gap_units: u64,
}

/// Counters and gauges of a cache; those of the shared pages in the row of the free space.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlobState {
    /// Bytes of its blocks in shared pages, headers included.
    pub block_bytes: u64,
    /// Of these, headers.
    pub header_bytes: u64,
    /// Whole pages.
    pub whole_pages: u64,
    /// Freed objects whose grace period is not over.
    pub waiting: u64,
    /// Allocations.
    pub allocs: u64,
    /// Frees.
    pub frees: u64,
    /// Pages on the small, medium and large list; in the row of the free space only.
    pub listed: [u64; 3],
    /// Free blocks in shared pages; in that row only.
    pub free_blocks: u64,
    /// Figures over all caches; in that row only.
    pub totals: SlobTotals,
}

impl SlobState {
    /// Names with values, for tables.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 13] {
        let [small, medium, large] = self.listed;
        [
            ("block_bytes", self.block_bytes),
            ("header_bytes", self.header_bytes),
            ("whole_pages", self.whole_pages),
            ("waiting_for_rcu", self.waiting),
            ("small_pages", small),
            ("medium_pages", medium),
            ("large_pages", large),
            ("free_blocks", self.free_blocks),
            ("shared_pages", self.totals.shared_pages),
            ("pages_made", self.totals.pages_made),
            ("pages_freed", self.totals.pages_freed),
            ("pages_visited", self.totals.visited),
            ("list_moves", self.totals.list_moves),
        ]
    }
}

impl Slob {
    pub(super) fn slob_state(&self, cache: usize) -> SlobState {
        match self.uses.get(cache) {
            Some(of_cache) => SlobState {
                block_bytes: of_cache.block_bytes,
                header_bytes: of_cache.header_bytes,
                whole_pages: of_cache.whole_pages,
                waiting: of_cache.waiting,
                allocs: of_cache.allocs,
                frees: of_cache.frees,
                ..SlobState::default()
            },
            None => SlobState {
                listed: SizeList::ALL.map(|list| self.pages.lengths[list as usize]),
                free_blocks: self.pages.iter().map(|(_, page)| page.free.len() as u64).sum(),
                totals: self.totals,
                ..SlobState::default()
            },
        }
    }
}
