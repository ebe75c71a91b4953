//! A cache: its slabs, CPUs and nodes.

use super::counters::{Counter, CpuCounts};
use super::generation::{CpuPartial, KeepEmpty, Rules};
use super::node::NodePartial;
use super::sheaf::Sheaves;
use super::sizing::CacheLayout;
use super::slab::{NO_OBJECT, ObjectIndex, SlabId, SlabTable};
pub use crate::allocators::Topology;

/// How a cache hands objects out, as far as that was decided at its creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CacheKind {
    /// Through cpu slabs and CPU partial lists, where the release has them.
    CpuPartial,
    /// Through cpu slabs alone: a build without `SLUB_CPU_PARTIAL`.
    CpuSlab,
    /// One object at a time: a cache with debugging, or any cache of a `SLUB_TINY` build.
    Debug,
}

/// A cache (`struct kmem_cache`).
#[derive(Debug, Clone)]
pub struct Cache {
    /// Number by which the page source knows the cache.
    pub(super) owner: u32,
    pub(super) layout: CacheLayout,
    pub(super) rules: Rules,
    /// The cache has CPU partial lists (`kmem_cache_has_cpu_partial()`), whatever their limit.
    pub(super) has_cpu_partial: bool,
    /// Objects are taken one at a time: the cache has debugging, or the kernel is built with `SLUB_TINY`.
    pub(super) has_debug: bool,
    pub(super) topology: Topology,
    pub(super) slabs: SlabTable,
    pub(super) cpus: Vec<CpuSlab>,
    pub(super) nodes: Vec<NodePartial>,
    /// Slabs that existed before the first operation: not counted in `alloc_slab`.
    pub(super) seeded_slabs: u64,
    /// Objects in use in seeded slabs.
    pub(super) seeded_in_use: u64,
    /// Slabs discarded without a counter, as shrinking does.
    pub(super) uncounted_discards: u64,
    /// Sheaves and barns, in releases and caches that have them. `None` is the old path.
    pub(super) sheaves: Option<Box<Sheaves>>,
}

/// What a CPU allocates from (`struct kmem_cache_cpu`).
#[derive(Debug, Clone)]
pub(super) struct CpuSlab {
    /// Free objects of `slab` that only this CPU takes.
    pub(super) freelist: ObjectIndex,
    pub(super) slab: SlabId,
    /// Top of the CPU partial list.
    pub(super) partial: SlabId,
    /// Slabs on the CPU partial list.
    pub(super) partial_slabs: u32,
    /// Free objects on the CPU partial list, as counted when each slab was put there.
    pub(super) partial_objects: u32,
    pub(super) counts: CpuCounts,
}

impl Cache {
    /// An empty cache. `owner` is the number under which it asks for pages.
    ///
    /// # Panics
    ///
    /// If the layout has no objects or more than 32,767 in a slab, which no computed layout has.
    #[must_use]
    pub fn new(owner: u32, layout: CacheLayout, kind: CacheKind, rules: Rules, topology: &Topology) -> Self {
        let objects = u16::try_from(layout.objects).expect("at most 32,767 objects in a slab");
        assert!(objects > 0 && layout.min_objects > 0, "a slab holds an object");
        let cpu = CpuSlab {
            freelist: NO_OBJECT,
            slab: SlabId::NONE,
            partial: SlabId::NONE,
            partial_slabs: 0,
            partial_objects: 0,
            counts: CpuCounts::default(),
        };
        Self {
            owner,
            layout,
            rules,
            has_cpu_partial: kind == CacheKind::CpuPartial && rules.cpu_partial != CpuPartial::Absent,
            has_debug: kind == CacheKind::Debug,
            topology: topology.clone(),
            slabs: SlabTable::new(objects.max(layout.min_objects as u16)),
            cpus: vec![cpu; usize::from(topology.cpus())],
            nodes: vec![NodePartial::default(); usize::from(topology.nodes())],
            seeded_slabs: 0,
            seeded_in_use: 0,
            uncounted_discards: 0,
            sheaves: if kind == CacheKind::Debug { None } else { Sheaves::of(&layout, &rules, topology) },
        }
    }

    /// Sizes, order and limits.
    #[must_use]
    pub fn layout(&self) -> &CacheLayout {
        &self.layout
    }

    /// Counters of one CPU.
    #[must_use]
    pub fn counts(&self, cpu: u16) -> &CpuCounts {
        &self.cpus[usize::from(cpu)].counts
    }

    /// A counter over all CPUs.
    #[must_use]
    pub fn total(&self, counter: Counter) -> u64 {
        self.cpus.iter().map(|cpu| cpu.counts.get(counter)).sum()
    }

    /// How many slabs have had the number of this one, itself included.
    #[inline]
    #[must_use]
    pub fn slab_life(&self, slab: SlabId) -> u32 {
        self.slabs.life(slab)
    }

    /// [`Self::slab_life`] of the slab with a number, if there is one now.
    #[must_use]
    pub fn slab_life_at(&self, index: usize) -> Option<u32> {
        self.slabs.life_at(index)
    }

    #[inline]
    pub(super) fn count(&mut self, cpu: u16, counter: Counter) {
        self.cpus[usize::from(cpu)].counts.add(counter, 1);
    }

    /// True if a free does not leave this slab, which has become empty, on a list.
    pub(super) fn discards_empty(&self, slab: SlabId) -> bool {
        self.rules.keep_empty == KeepEmpty::Never || self.has_enough_partial(slab)
    }

    /// True if the slab's node keeps no further empty slab (`nr_partial >= min_partial`).
    pub(super) fn has_enough_partial(&self, slab: SlabId) -> bool {
        let listed = self.nodes[usize::from(self.slabs[slab].pages.node)].len();
        let min_partial = u64::from(self.layout.min_partial);
        match self.rules.keep_empty {
            KeepEmpty::UpToMinPartial => listed > min_partial,
            KeepEmpty::Never | KeepEmpty::BelowMinPartial => listed >= min_partial,
        }
    }
}
