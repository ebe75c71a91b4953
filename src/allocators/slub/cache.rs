//! A cache: its slabs, CPUs and nodes.

use super::counters::{Counter, CpuCounts};
use super::generation::Rules;
use super::node::NodePartial;
use super::sheaf::Sheaves;
use super::sizing::CacheLayout;
use super::slab::{NO_OBJECT, ObjectIndex, SlabId, SlabTable};

/// Which CPU is on which node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    node_of_cpu: Vec<u16>,
    nodes: u16,
}

impl Topology {
    /// CPUs `0..` by their node.
    ///
    /// # Panics
    ///
    /// If there is no CPU.
    #[must_use]
    pub fn new(node_of_cpu: Vec<u16>) -> Self {
        assert!(!node_of_cpu.is_empty(), "a machine has a CPU");
        let nodes = node_of_cpu.iter().max().map_or(1, |&node| node + 1);
        Self { node_of_cpu, nodes }
    }

    /// A machine with one node.
    #[must_use]
    pub fn uniform(cpus: u16) -> Self {
        Self::new(vec![0; usize::from(cpus.max(1))])
    }

    /// Number of CPUs.
    #[must_use]
    pub fn cpus(&self) -> u16 {
        self.node_of_cpu.len() as u16
    }

    /// Number of nodes.
    #[must_use]
    pub fn nodes(&self) -> u16 {
        self.nodes
    }

    /// Node of a CPU (`numa_mem_id()`).
    #[must_use]
    pub fn node_of(&self, cpu: u16) -> u16 {
        self.node_of_cpu[usize::from(cpu)]
    }
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
    pub(super) counts: CpuCounts,
}

impl Cache {
    /// An empty cache. `owner` is the number under which it asks for pages; `has_cpu_partial` says whether CPUs
    /// have partial lists, whatever their limit (not in debug caches, nor in builds without).
    ///
    /// # Panics
    ///
    /// If the layout has no objects or more than 32,767 in a slab, which no computed layout has.
    #[must_use]
    pub fn new(owner: u32, layout: CacheLayout, has_cpu_partial: bool, rules: Rules, topology: &Topology) -> Self {
        let objects = u16::try_from(layout.objects).expect("at most 32,767 objects in a slab");
        assert!(objects > 0 && layout.min_objects > 0, "a slab holds an object");
        let cpu =
            CpuSlab { freelist: NO_OBJECT, slab: SlabId::NONE, partial: SlabId::NONE, partial_slabs: 0, counts: CpuCounts::default() };
        Self {
            owner,
            layout,
            rules,
            has_cpu_partial,
            topology: topology.clone(),
            slabs: SlabTable::new(objects.max(layout.min_objects as u16)),
            cpus: vec![cpu; usize::from(topology.cpus())],
            nodes: vec![NodePartial::new(); usize::from(topology.nodes())],
            seeded_slabs: 0,
            seeded_in_use: 0,
            uncounted_discards: 0,
            sheaves: Sheaves::of(&layout, &rules, topology),
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

    #[inline]
    pub(super) fn count(&mut self, cpu: u16, counter: Counter) {
        self.cpus[usize::from(cpu)].counts.add(counter, 1);
    }

    /// True if a node keeps no further empty slab (`nr_partial >= min_partial`).
    pub(super) fn has_enough_partial(&self, slab: SlabId) -> bool {
        let node = self.slabs[slab].pages.node;
        self.nodes[usize::from(node)].len() >= self.layout.min_partial
    }
}
