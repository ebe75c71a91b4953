//! What every allocator can be asked to do.

use super::slub::{AllocRequest, Cache, Seed};
use super::{CacheState, Object, SlabFacts, SlabId, Violation};
use crate::mem::PageSource;

/// All caches of a kernel, by their numbers.
///
/// A replay is generic in it: which allocator is chosen once for a whole replay, so that no operation pays for the choice.
/// `true` in a result means that slabs may have come, gone or moved.
pub trait Allocator: Clone {
    /// An allocation of `requested_bytes`; `None` if there are no pages.
    fn alloc(&mut self, cache: usize, request: AllocRequest, requested_bytes: u32, pages: &mut impl PageSource) -> Option<(Object, bool)>;

    /// The same, as part of a bulk allocation.
    fn alloc_in_bulk(
        &mut self,
        cache: usize,
        request: AllocRequest,
        requested_bytes: u32,
        pages: &mut impl PageSource,
    ) -> Option<(Object, bool)> {
        self.alloc(cache, request, requested_bytes, pages)
    }

    /// A free.
    fn free(&mut self, cache: usize, cpu: u16, object: Object, pages: &mut impl PageSource) -> bool;

    /// A free by kfree_rcu(), whose grace period is over.
    fn free_rcu(&mut self, cache: usize, cpu: u16, object: Object, pages: &mut impl PageSource) {
        self.free(cache, cpu, object, pages);
    }

    /// Frees in one call.
    fn free_together(&mut self, cache: usize, cpu: u16, objects: &[Object], pages: &mut impl PageSource) {
        for &object in objects {
            self.free(cache, cpu, object, pages);
        }
    }

    /// `kmem_cache_shrink()` by `cpu`, with CPUs flushed in the order of that number.
    fn shrink(&mut self, cache: usize, cpu: u16, order: u16, pages: &mut impl PageSource);

    /// Time has come to `time_ns`, at which `cpu` is about to do something: timers may have to run. True if they did.
    #[inline]
    fn advance(&mut self, _time_ns: u64, _cpu: u16, _pages: &mut impl PageSource) -> bool {
        false
    }

    /// Order and objects of a slab that a cache makes.
    fn slab_shape(&self, cache: usize) -> (u8, u32);

    /// Adds a slab that existed before the first operation; `None` if the allocator has no such slabs.
    fn seed(&mut self, cache: usize, seed: &Seed) -> Option<SlabId>;

    /// How many slabs have had the number of this one, itself included.
    fn slab_life(&self, cache: usize, slab: SlabId) -> u32;

    /// [`Self::slab_life`] of the slab with a number, if there is one now.
    fn slab_life_at(&self, cache: usize, index: usize) -> Option<u32>;

    /// The caches, if the allocator is SLUB: for looking at its CPUs and lists.
    fn slub(&self) -> &[Cache] {
        &[]
    }

    /// Shows every slab of a cache, by number; none if the allocator's slabs are of no cache (SLOB).
    fn each_slab(&self, _cache: usize, _visit: &mut dyn FnMut(SlabFacts)) {}

    /// Slabs in existence.
    fn slab_count(&self, cache: usize) -> u64;

    /// Bytes of pages in slabs, for a page of `page_bytes`.
    fn slab_bytes(&self, cache: usize, page_bytes: u32) -> u64;

    /// Slabs on node partial lists.
    fn partial_count(&self, cache: usize) -> u64;

    /// Slabs on CPU partial lists.
    fn cpu_partial_count(&self, _cache: usize) -> u64 {
        0
    }

    /// Free objects in front of the nodes' lists.
    fn held_objects(&self, cache: usize) -> u64;

    /// Counters and gauges.
    fn state(&self, cache: usize) -> CacheState;

    /// Checks the conservation laws, given how many objects the caller has of a cache.
    ///
    /// # Errors
    ///
    /// The first law that is broken.
    fn validate(&self, cache: usize, live: u64) -> Result<(), Violation>;
}
