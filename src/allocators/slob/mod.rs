//! SLOB, as in `mm/slob.c` (removed in 6.4): next fit over pages, first fit in them.
//!
//! | file | what it models |
//! |---|---|
//! | `page` | pages of blocks, and the three circular lists of those with free space |
//! | `core` | allocation and freeing |
//! | `state` | what is counted |
//! | `validate` | the conservation laws |
//!
//! Objects of all caches and all kmalloc sizes share pages; there is nothing per CPU. What belongs to no cache, free space in shared
//! pages, has a row of its own after the last cache, so that the rows add up to the pages in use.
//!
//! Objects of caches that are typesafe by RCU go back when a grace period is over, which no event shows: a delay stands for it.

mod core;
mod page;
mod state;
#[cfg(test)]
mod tests;
mod validate;

use std::collections::VecDeque;

pub use page::SizeList;
pub use state::{SlobState, SlobTotals};

use super::slub::sizing::KernelRelease;
use super::slub::{AllocRequest, Gauges, Seed};
use super::{Allocator, CacheState, Detail, Object, SlabId, Topology, Violation};
use crate::mem::PageSource;
use page::PageTable;
use state::Use;

/// What differs between releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlobRules {
    /// kmalloc of a power of two is aligned to its size, and it is the payload that is aligned, not the header.
    pub natural_alignment: bool,
    /// The list is rotated even when the page became full.
    pub rotates_past_full: bool,
}

impl SlobRules {
    /// The rules of a release. Seen in the source of 4.19 on one side, and of 5.4, 5.15 and 6.1 on the other; natural alignment is of 5.4
    /// and the rotation is taken to be, too.
    #[must_use]
    pub fn of(release: KernelRelease) -> Self {
        let is_old = !release.since(5, 4);
        Self { natural_alignment: !is_old, rotates_past_full: is_old }
    }

    /// Name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        if self.natural_alignment { "SLOB 5.4-6.3" } else { "SLOB up to 5.3" }
    }
}

/// A SLOB kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlobSetting {
    /// What differs between releases.
    pub rules: SlobRules,
    /// CPUs and nodes.
    pub topology: Topology,
    /// Page size in bytes.
    pub page_bytes: u32,
    /// Least alignment, and bytes of the header of a kmalloc block.
    pub min_align: u32,
    /// Time from the free of an object that is typesafe by RCU until its block goes back.
    pub rcu_delay_ns: u64,
}

impl SlobSetting {
    /// `SLOB_UNIT`: bytes of the smallest block.
    #[must_use]
    pub fn unit_bytes(&self) -> u32 {
        if self.page_bytes <= 32_767 * 2 { 2 } else { 4 }
    }

    fn page_units(&self) -> u16 {
        u16::try_from(self.page_bytes / self.unit_bytes()).unwrap_or(u16::MAX)
    }
}

/// Bytes at the end of an object that is typesafe by RCU (`struct slob_rcu`), on 64 bits.
pub const RCU_FOOTER_BYTES: u32 = 24;

/// What the objects of a cache ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Demand {
    /// kmalloc: what each call says, with a header.
    Kmalloc,
    /// A cache: always the same.
    Cache {
        /// Bytes, any footer included.
        size: u32,
        /// Alignment in bytes.
        align: u32,
    },
}

/// A cache as it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlobCacheSpec {
    /// What its objects ask for.
    pub demand: Demand,
    /// Its objects go back after a grace period.
    pub is_typesafe_by_rcu: bool,
}

/// All of a SLOB kernel.
#[derive(Debug, Clone)]
pub struct Slob {
    setting: SlobSetting,
    demands: Vec<Demand>,
    is_rcu: Vec<bool>,
    pages: PageTable,
    /// By cache.
    uses: Vec<Use>,
    totals: SlobTotals,
    /// Objects whose grace period is not over: when it is, and the cache.
    waiting: VecDeque<(u64, Object, u16)>,
    now_ns: u64,
}

impl Slob {
    /// Nothing allocated yet. The row after the last cache is that of the free space.
    #[must_use]
    pub fn new(caches: impl IntoIterator<Item = SlobCacheSpec>, setting: SlobSetting) -> Self {
        let (demands, is_rcu): (Vec<Demand>, Vec<bool>) = caches.into_iter().map(|cache| (cache.demand, cache.is_typesafe_by_rcu)).unzip();
        let uses = vec![Use::default(); demands.len()];
        Self {
            setting,
            demands,
            is_rcu,
            pages: PageTable::default(),
            uses,
            totals: SlobTotals::default(),
            waiting: VecDeque::new(),
            now_ns: 0,
        }
    }

    /// Number of the row of the free space in shared pages.
    #[must_use]
    pub fn free_space_row(&self) -> usize {
        self.demands.len()
    }

    /// Bytes from the start of its pages to what the caller got.
    #[must_use]
    pub fn offset(&self, cache: usize, object: Object) -> u32 {
        let header = if self.demands[cache] == Demand::Kmalloc && !self.pages[object.slab].is_whole { self.setting.min_align } else { 0 };
        u32::from(object.index) * self.setting.unit_bytes() + header
    }

    /// The first page frame of an object's pages.
    #[must_use]
    pub fn frame(&self, object: Object) -> u64 {
        self.pages[object.slab].pages.pfn
    }

    /// Pages in use: shared ones and whole blocks.
    #[must_use]
    pub fn pages_in_use(&self) -> u64 {
        self.totals.shared_pages + self.uses.iter().map(|of_cache| of_cache.whole_pages).sum::<u64>()
    }

    #[cold]
    fn grace_periods_end(&mut self, pages: &mut impl PageSource) {
        while let Some((_, object, cache)) = self.waiting.pop_front_if(|(due, _, _)| *due <= self.now_ns) {
            self.uses[usize::from(cache)].waiting -= 1;
            self.give_back(object, pages);
        }
    }
}

impl Allocator for Slob {
    fn alloc(&mut self, cache: usize, request: AllocRequest, requested_bytes: u32, pages: &mut impl PageSource) -> Option<(Object, bool)> {
        if cache >= self.demands.len() {
            return None;
        }
        let object = self.take(cache, request, requested_bytes, pages)?;
        let use_of = &mut self.uses[cache];
        use_of.live += 1;
        use_of.allocs += 1;
        Some((object, true))
    }

    fn free(&mut self, cache: usize, _: u16, object: Object, pages: &mut impl PageSource) -> bool {
        let use_of = &mut self.uses[cache];
        use_of.live -= 1;
        use_of.frees += 1;
        if self.is_rcu[cache] && self.setting.rcu_delay_ns > 0 {
            use_of.waiting += 1;
            self.waiting.push_back((self.now_ns.saturating_add(self.setting.rcu_delay_ns), object, cache as u16));
        } else {
            self.give_back(object, pages);
        }
        true
    }

    /// SLOB keeps nothing that could be given up.
    fn shrink(&mut self, _: usize, _: u16, _: u16, _: &mut impl PageSource) {}

    #[inline]
    fn advance(&mut self, time_ns: u64, _: u16, pages: &mut impl PageSource) -> bool {
        self.now_ns = time_ns;
        let is_due = self.waiting.front().is_some_and(|(due, _, _)| *due <= time_ns);
        if is_due {
            self.grace_periods_end(pages);
        }
        is_due
    }

    fn slab_shape(&self, _: usize) -> (u8, u32) {
        (0, 0)
    }

    /// Pages from before the trace are not of one cache: their objects have to be allocated.
    fn seed(&mut self, _: usize, _: &Seed) -> Option<SlabId> {
        None
    }

    fn slab_life(&self, _: usize, slab: SlabId) -> u32 {
        self.pages.life(slab)
    }

    fn slab_life_at(&self, _: usize, index: usize) -> Option<u32> {
        self.pages.life_at(index)
    }

    /// Whole blocks of a cache; shared pages in the row of the free space.
    fn slab_count(&self, cache: usize) -> u64 {
        self.uses.get(cache).map_or(self.totals.shared_pages, |of_cache| of_cache.whole_blocks)
    }

    /// Bytes of its blocks, and of whole pages; in the row of the free space, what is left of the shared pages.
    fn slab_bytes(&self, cache: usize, page_bytes: u32) -> u64 {
        let page_bytes = u64::from(page_bytes);
        match self.uses.get(cache) {
            Some(of_cache) => of_cache.block_bytes + of_cache.whole_pages * page_bytes,
            None => self.totals.shared_pages * page_bytes - self.uses.iter().map(|of_cache| of_cache.block_bytes).sum::<u64>(),
        }
    }

    fn partial_count(&self, cache: usize) -> u64 {
        if cache == self.free_space_row() { self.pages.lengths.iter().sum() } else { 0 }
    }

    fn held_objects(&self, cache: usize) -> u64 {
        self.uses.get(cache).map_or(0, |of_cache| of_cache.waiting)
    }

    fn state(&self, cache: usize) -> CacheState {
        let live = self.uses.get(cache).map_or(0, |of_cache| of_cache.live + of_cache.waiting);
        let gauges = Gauges {
            slabs: self.slab_count(cache),
            total_objects: live,
            objects: live,
            objects_partial: 0,
            partial: self.partial_count(cache),
            cpu_slabs: 0,
        };
        CacheState { counts: Vec::new(), gauges, detail: Detail::Slob(self.slob_state(cache)) }
    }

    fn validate(&self, cache: usize, live: u64) -> Result<(), Violation> {
        self.check(cache, live)
    }
}
