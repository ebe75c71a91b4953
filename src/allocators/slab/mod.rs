//! SLAB, as in `mm/slab.c` (removed in 6.8).
//!
//! | file | what it models |
//! |---|---|
//! | [`geometry`] | what is decided when a cache is created: stride, order, free indices, colours, limits |
//! | `rules` | what differs between releases |
//! | `cache` | a cache: its slabs, CPUs and nodes |
//! | `table` | slabs, the stacks of free indices in them, and the three lists of a node |
//! | `array` | arrays of objects: of CPUs, shared by a node, for the objects of other nodes |
//! | `alloc` | allocation, refill, growth, other nodes |
//! | `free` | freeing, flush, objects of other nodes, `free_block()` |
//! | `reap` | the reaper, shrinking, tuning, destroying |
//! | `timer` | when the reaper runs |
//! | `counters`, `slabinfo` | what is counted, and the columns of `/proc/slabinfo` |
//! | `seed` | slabs from before the first operation |
//! | `validate` | the conservation laws |
//!
//! An object in any array counts as in use from the slab's point of view, and in `/proc/slabinfo`.
//!
//! Operations of all CPUs come one after the other, so nothing happens while a refill waits for pages. Not modelled: debug builds,
//! slabs from memory reserves (`pfmemalloc`), CPU hotplug, random freelists (`CONFIG_SLAB_FREELIST_RANDOM`: which object of a slab is
//! handed out differs, no count does).

mod alloc;
mod array;
mod cache;
mod counters;
mod free;
pub mod geometry;
mod reap;
mod rules;
mod seed;
mod slabinfo;
mod table;
#[cfg(test)]
mod tests;
mod timer;
mod validate;

pub use cache::{SlabCache, SlabCacheSpec, SlabSetting};
pub use counters::{SlabCounter, SlabCounts};
pub use geometry::{Geometry, GeometryError, IndexPlace, SlabMachine, SlabSpec, Tunables};
pub use rules::SlabRules;
pub use slabinfo::{SlabState, Slabinfo};
pub use timer::ReapTimer;

use super::slub::{AllocRequest, Caller, Seed};
use super::{Allocator, CacheState, Detail, Object, SlabFacts, SlabId, SlabPlace, Violation};
use crate::mem::PageSource;
use cache::FreelistRequest;
use table::Listed;

/// All caches of a SLAB kernel.
#[derive(Debug, Clone)]
pub struct Slab {
    caches: Vec<SlabCache>,
    timer: ReapTimer,
    /// By cache: the kmalloc cache that its off-slab free indices are made in. `None` if there is none, or if whoever drives the
    /// model replays these allocations as they were recorded.
    freelist_cache: Vec<Option<usize>>,
    /// By cache: objects of it that hold free indices.
    freelist_objects: Vec<u64>,
}

impl Slab {
    /// Empty caches, numbered in this order, which is the order in which they were made. `freelist_cache` gives for each the kmalloc
    /// cache for its off-slab free indices.
    #[must_use]
    pub fn new(caches: impl IntoIterator<Item = (SlabCacheSpec, Option<usize>)>, setting: &SlabSetting, hz: u64, start_ns: u64) -> Self {
        let (caches, mut freelist_cache): (Vec<SlabCache>, Vec<Option<usize>>) =
            (0..).zip(caches).map(|(number, (spec, freelist))| (SlabCache::new(number, spec, setting, start_ns), freelist)).unzip();
        for freelist in &mut freelist_cache {
            // One whose own indices are off-slab would go on for ever (`calculate_slab_order()` refuses it).
            *freelist = freelist.filter(|&number| caches.get(number).is_some_and(|cache: &SlabCache| !cache.is_off_slab()));
        }
        let freelist_objects = vec![0; caches.len()];
        Self { caches, timer: ReapTimer::new(&setting.topology, hz), freelist_cache, freelist_objects }
    }

    /// A cache.
    #[must_use]
    pub fn cache(&self, number: usize) -> Option<&SlabCache> {
        self.caches.get(number)
    }

    /// Carries out what a cache asked for: memory for the free indices of its new slabs, and giving back those of destroyed ones.
    fn settle_freelists(&mut self, number: usize, pages: &mut impl PageSource) {
        if self.caches[number].freelists.is_empty() {
            return;
        }
        let requests = std::mem::take(&mut self.caches[number].freelists);
        let Some(from) = self.freelist_cache[number] else { return };
        for request in requests {
            match request {
                FreelistRequest::Make { cpu, slab } => {
                    let request = AllocRequest { cpu, node: None, this_node_only: false, caller: Caller::Blocking, no_sheaf: false };
                    if let Some((object, _)) = self.caches[from].alloc(request, pages) {
                        self.freelist_objects[from] += 1;
                        self.caches[number].slabs[slab].freelist = Some(object);
                    }
                }
                FreelistRequest::Free { cpu, object } => {
                    self.caches[from].free(cpu, object, pages);
                    self.freelist_objects[from] -= 1;
                }
            }
        }
    }
}

impl Allocator for Slab {
    #[inline]
    fn alloc(&mut self, cache: usize, request: AllocRequest, _: u32, pages: &mut impl PageSource) -> Option<(Object, bool)> {
        let taken = self.caches[cache].alloc(request, pages);
        self.settle_freelists(cache, pages);
        taken
    }

    #[inline]
    fn free(&mut self, cache: usize, cpu: u16, object: Object, pages: &mut impl PageSource) -> bool {
        let slow = self.caches[cache].free(cpu, object, pages);
        if slow {
            self.settle_freelists(cache, pages);
        }
        slow
    }

    fn shrink(&mut self, cache: usize, _: u16, _: u16, pages: &mut impl PageSource) {
        self.caches[cache].shrink(0, pages);
        self.settle_freelists(cache, pages);
    }

    #[inline]
    fn advance(&mut self, time_ns: u64, cpu: u16, pages: &mut impl PageSource) -> bool {
        let Some(reap_node) = self.timer.due(cpu, time_ns) else { return false };
        // The newest cache first.
        for number in (0..self.caches.len()).rev() {
            self.caches[number].reap(cpu, reap_node, time_ns, pages);
            self.settle_freelists(number, pages);
        }
        true
    }

    fn slab_shape(&self, cache: usize) -> (u8, u32) {
        let geometry = &self.caches[cache].spec().geometry;
        (geometry.gfporder as u8, geometry.num)
    }

    fn seed(&mut self, cache: usize, seed: &Seed) -> Option<SlabId> {
        Some(self.caches[cache].seed(seed))
    }

    #[inline]
    fn slab_life(&self, cache: usize, slab: SlabId) -> u32 {
        self.caches[cache].slabs.life(slab)
    }

    fn slab_life_at(&self, cache: usize, index: usize) -> Option<u32> {
        self.caches[cache].slabs.life_at(index)
    }

    fn each_slab(&self, cache: usize, visit: &mut dyn FnMut(SlabFacts)) {
        let cache = &self.caches[cache];
        let parked = cache.parked_by_slab();
        let objects = u16::try_from(cache.spec().geometry.num).unwrap_or(u16::MAX);
        for (id, slab) in cache.slabs.iter() {
            visit(SlabFacts {
                slab: id,
                life: cache.slabs.life(id),
                place: if slab.listed == Listed::Full { SlabPlace::Full } else { SlabPlace::Node },
                objects,
                free: objects - slab.active,
                parked: parked.get(&id).copied().unwrap_or(0),
                order: slab.pages.order,
                node: slab.pages.node,
            });
        }
    }

    fn slab_count(&self, cache: usize) -> u64 {
        self.caches[cache].slabs.count()
    }

    fn slab_bytes(&self, cache: usize, page_bytes: u32) -> u64 {
        (self.caches[cache].slabs.count() << self.caches[cache].spec().geometry.gfporder) * u64::from(page_bytes)
    }

    fn partial_count(&self, cache: usize) -> u64 {
        self.caches[cache].partial_slabs()
    }

    fn held_objects(&self, cache: usize) -> u64 {
        self.caches[cache].parked()
    }

    fn state(&self, cache: usize) -> CacheState {
        let cache = &self.caches[cache];
        CacheState { counts: Vec::new(), gauges: cache.gauges(), detail: Detail::Slab(Box::new(cache.slab_state())) }
    }

    fn validate(&self, cache: usize, live: u64) -> Result<(), Violation> {
        self.caches[cache].validate(Some(live + self.freelist_objects[cache]))
    }
}
