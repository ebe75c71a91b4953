//! All caches of a SLUB kernel, as one allocator.

use super::cache::{Cache, CacheKind, Topology};
use super::generation::Rules;
use super::sheaf::RcuFree;
use super::sizing::CacheLayout;
use super::{AllocRequest, Object, Seed, SlabId};
use crate::allocators::{Allocator, CacheState, Detail, SlabFacts, Violation};
use crate::mem::PageSource;

/// The caches of a SLUB kernel.
#[derive(Debug, Clone)]
pub struct Slub {
    pub(crate) caches: Vec<Cache>,
    /// Objects of a bulk allocation, and places of a detached list: kept to allocate them once.
    taken: Vec<Object>,
    list: Vec<u16>,
}

impl Slub {
    /// Empty caches, numbered in this order.
    #[must_use]
    pub fn new(caches: impl IntoIterator<Item = (CacheLayout, CacheKind)>, rules: Rules, topology: &Topology) -> Self {
        let caches = (0..).zip(caches).map(|(number, (layout, kind))| Cache::new(number, layout, kind, rules, topology));
        Self { caches: caches.collect(), taken: Vec::new(), list: Vec::new() }
    }
}

impl Allocator for Slub {
    #[inline]
    fn alloc(&mut self, cache: usize, request: AllocRequest, _: u32, pages: &mut impl PageSource) -> Option<(Object, bool)> {
        self.caches[cache].alloc(request, pages)
    }

    fn alloc_in_bulk(&mut self, cache: usize, request: AllocRequest, _: u32, pages: &mut impl PageSource) -> Option<(Object, bool)> {
        self.taken.clear();
        let done = self.caches[cache].alloc_bulk(request.cpu, request.caller, 1, &mut self.taken, pages);
        if done { self.taken.pop().map(|object| (object, true)) } else { None }
    }

    #[inline]
    fn free(&mut self, cache: usize, cpu: u16, object: Object, pages: &mut impl PageSource) -> bool {
        self.caches[cache].free(cpu, object, pages)
    }

    /// The plan has such a free where the object is about to be handed out again, so the grace period is over as soon as the
    /// sheaf is full.
    #[cold]
    fn free_rcu(&mut self, cache: usize, cpu: u16, object: Object, pages: &mut impl PageSource) {
        let cache = &mut self.caches[cache];
        match cache.free_rcu(cpu, object, pages) {
            RcuFree::Kept => {}
            RcuFree::Full(sheaf) => cache.rcu_sheaf_done(cpu, sheaf, pages),
            RcuFree::NotTaken => cache.kfree_bulk(cpu, &[object], pages),
        }
    }

    /// Objects that the replay has in other slabs than the first are freed in calls of their own, one for each slab.
    fn free_together(&mut self, cache: usize, cpu: u16, objects: &[Object], pages: &mut impl PageSource) {
        let mut objects = objects.to_vec();
        let mut list = std::mem::take(&mut self.list);
        while let Some(slab) = objects.first().map(|object| object.slab) {
            list.extend(objects.iter().filter(|object| object.slab == slab).map(|object| object.index));
            objects.retain(|object| object.slab != slab);
            self.caches[cache].free_list(cpu, slab, &list, pages);
            list.clear();
        }
        self.list = list;
    }

    /// Grace periods that this began are over when it is done, long before the next operation.
    fn shrink(&mut self, cache: usize, cpu: u16, order: u16, pages: &mut impl PageSource) {
        let cache = &mut self.caches[cache];
        cache.shrink_in_order(cpu, order, pages);
        for sheaf in cache.take_flushed_rcu_sheaves() {
            cache.rcu_sheaf_done(cpu, sheaf, pages);
        }
    }

    fn slab_shape(&self, cache: usize) -> (u8, u32) {
        let layout = self.caches[cache].layout();
        (layout.order as u8, layout.objects)
    }

    fn seed(&mut self, cache: usize, seed: &Seed) -> Option<SlabId> {
        Some(self.caches[cache].seed(seed))
    }

    #[inline]
    fn slab_life(&self, cache: usize, slab: SlabId) -> u32 {
        self.caches[cache].slab_life(slab)
    }

    fn slab_life_at(&self, cache: usize, index: usize) -> Option<u32> {
        self.caches[cache].slab_life_at(index)
    }

    fn slub(&self) -> &[Cache] {
        &self.caches
    }

    fn each_slab(&self, cache: usize, visit: &mut dyn FnMut(SlabFacts)) {
        self.caches[cache].each_slab(visit);
    }

    fn slab_count(&self, cache: usize) -> u64 {
        self.caches[cache].slab_count()
    }

    fn slab_bytes(&self, cache: usize, page_bytes: u32) -> u64 {
        self.caches[cache].slab_bytes(page_bytes)
    }

    fn partial_count(&self, cache: usize) -> u64 {
        self.caches[cache].partial_count()
    }

    fn cpu_partial_count(&self, cache: usize) -> u64 {
        self.caches[cache].cpu_partial_count()
    }

    fn held_objects(&self, cache: usize) -> u64 {
        self.caches[cache].held_objects()
    }

    fn state(&self, cache: usize) -> CacheState {
        let cache = &self.caches[cache];
        let counts = (0..cache.topology.cpus()).map(|cpu| *cache.counts(cpu)).collect();
        CacheState { counts, gauges: cache.gauges(), detail: Detail::Slub }
    }

    fn validate(&self, cache: usize, live: u64) -> Result<(), Violation> {
        self.caches[cache].validate(Some(live))
    }
}
