//! A cache: its slabs, the arrays of its CPUs, and what it has on each node.

use super::array::ArrayCache;
use super::counters::{SlabCounter, SlabCounts};
use super::geometry::{Geometry, IndexPlace, Tunables};
use super::rules::SlabRules;
use super::table::{Listed, Table};
use crate::allocators::{Object, SlabId, Topology};
use crate::list::{End, List};

/// What all caches of a kernel have in common.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlabSetting {
    /// What differs between releases.
    pub rules: SlabRules,
    /// CPUs and nodes.
    pub topology: Topology,
    /// `CONFIG_NUMA`: pages are first asked for on one node without reclaim, even on a machine with a single node.
    pub numa: bool,
    /// Objects of other nodes are gathered before they go back: more than one node was possible at boot, and no `noaliencache`.
    pub alien: bool,
}

/// A cache as it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabCacheSpec {
    /// Its slabs.
    pub geometry: Geometry,
    /// Its arrays.
    pub tunables: Tunables,
    /// It was made before the secondary CPUs were started. Each CPU that starts sets the limits of all caches by the CPUs of its
    /// node without itself (`cpuup_prepare()`), so such a cache ends up with one batch less.
    pub is_early: bool,
}

/// A cache (`struct kmem_cache`).
#[derive(Debug, Clone)]
pub struct SlabCache {
    /// Number by which the page source knows the cache.
    pub(super) owner: u32,
    pub(super) spec: SlabCacheSpec,
    pub(super) numa: bool,
    pub(super) rules: SlabRules,
    pub(super) topology: Topology,
    pub(super) slabs: Table,
    pub(super) cpus: Vec<ArrayCache>,
    pub(super) counts: Vec<SlabCounts>,
    pub(super) nodes: Vec<Node>,
    pub(super) maximum: Maximum,
    /// Slabs that existed before the first operation.
    pub(super) seeded_slabs: u64,
    /// Slabs destroyed by shrinking, which no counter shows.
    pub(super) uncounted_destroyed: u64,
    /// Off-slab free indices that have to be made or given back.
    pub(super) freelists: Vec<FreelistRequest>,
    /// Objects on their way from an array to their slabs: kept to allocate it once.
    pub(super) scratch: Vec<Object>,
}

/// High-water marks of a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Maximum {
    /// `maxobjs`: objects out of slabs.
    pub(super) objects: u64,
    /// `maxfreeable`: length of `slabs_free` when objects were flushed.
    pub(super) freeable: u64,
}

/// A kmalloc object for the free indices of an off-slab cache: made when a slab is, and freed with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FreelistRequest {
    Make { cpu: u16, slab: SlabId },
    Free { cpu: u16, object: Object },
}

/// What a cache has on a node (`struct kmem_cache_node`).
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) partial: List<SlabId>,
    pub(super) full: List<SlabId>,
    pub(super) free: List<SlabId>,
    pub(super) total_slabs: u64,
    pub(super) free_objects: u64,
    pub(super) free_limit: u64,
    pub(super) colour_next: u32,
    pub(super) shared: Option<ArrayCache>,
    /// By owning node: the objects that CPUs of this one freed.
    pub(super) alien: Vec<Option<ArrayCache>>,
    /// Next time that the reaper does the node's work, in nanoseconds.
    pub(super) next_reap: u64,
    pub(super) free_touched: bool,
}

/// `REAPTIMEOUT_NODE`, in nanoseconds.
pub(super) const REAP_NODE_NS: u64 = 4_000_000_000;

impl SlabCache {
    /// An empty cache. `owner` is the number under which it asks for pages; `start_ns` is the time at which it is made.
    ///
    /// # Panics
    ///
    /// If the geometry has no objects in a slab or more than 65,535, which no computed one has.
    #[must_use]
    pub fn new(owner: u32, spec: SlabCacheSpec, setting: &SlabSetting, start_ns: u64) -> Self {
        let num = u16::try_from(spec.geometry.num).expect("at most 65,535 objects in a slab");
        assert!(num > 0, "a slab holds an object");
        let topology = &setting.topology;
        let shared = shared_array(spec.tunables);
        let node = |node: u16| {
            let alien = (0..topology.nodes())
                .map(|other| (setting.alien && other != node).then(|| ArrayCache::alien(spec.tunables.limit)))
                .collect();
            Node {
                partial: List::default(),
                full: List::default(),
                free: List::default(),
                total_slabs: 0,
                free_objects: 0,
                free_limit: free_limit(&spec, cpus_of(topology, node)),
                colour_next: 0,
                shared: shared.clone(),
                alien,
                next_reap: start_ns + REAP_NODE_NS + phase(owner, node),
                free_touched: false,
            }
        };
        let cpu = ArrayCache::new(spec.tunables.limit, spec.tunables.batchcount);
        Self {
            owner,
            spec,
            numa: setting.numa,
            rules: setting.rules,
            topology: topology.clone(),
            slabs: Table::new(num),
            cpus: vec![cpu; usize::from(topology.cpus())],
            counts: vec![SlabCounts::default(); usize::from(topology.cpus())],
            nodes: (0..topology.nodes()).map(node).collect(),
            maximum: Maximum::default(),
            seeded_slabs: 0,
            uncounted_destroyed: 0,
            freelists: Vec::new(),
            scratch: Vec::new(),
        }
    }

    /// Its slabs and arrays.
    #[must_use]
    pub fn spec(&self) -> &SlabCacheSpec {
        &self.spec
    }

    /// A counter over all CPUs.
    #[must_use]
    pub fn total(&self, counter: SlabCounter) -> u64 {
        self.counts.iter().map(|counts| counts.get(counter)).sum()
    }

    /// Bytes from the start of its slab's pages to an object: the colour of the slab, then its place.
    #[must_use]
    pub fn offset(&self, object: Object) -> u32 {
        self.slabs[object.slab].colour_offset + u32::from(object.index) * self.spec.geometry.size
    }

    #[inline]
    pub(super) fn count(&mut self, cpu: u16, counter: SlabCounter) {
        self.counts[usize::from(cpu)].add(counter, 1);
    }

    pub(super) fn node_of_slab(&self, slab: SlabId) -> usize {
        usize::from(self.slabs[slab].pages.node)
    }

    pub(super) fn is_off_slab(&self) -> bool {
        self.spec.geometry.index_place == IndexPlace::OffSlab
    }

    /// Takes a slab off its list.
    pub(super) fn unlink(&mut self, slab: SlabId) {
        let node = self.node_of_slab(slab);
        let listed = std::mem::replace(&mut self.slabs[slab].listed, Listed::Nowhere);
        let lists = &mut self.nodes[node];
        match listed {
            Listed::Partial => lists.partial.unlink(&mut self.slabs, slab),
            Listed::Full => lists.full.unlink(&mut self.slabs, slab),
            Listed::Free => lists.free.unlink(&mut self.slabs, slab),
            Listed::Nowhere => {}
        }
    }

    /// Puts a slab that is on no list at an end of one.
    pub(super) fn link(&mut self, slab: SlabId, listed: Listed, end: End) {
        let node = self.node_of_slab(slab);
        self.slabs[slab].listed = listed;
        let lists = &mut self.nodes[node];
        let list = match listed {
            Listed::Partial => &mut lists.partial,
            Listed::Full => &mut lists.full,
            Listed::Free => &mut lists.free,
            Listed::Nowhere => return,
        };
        list.push(&mut self.slabs, slab, end);
    }

    /// Puts a slab that objects were taken from on its list (`fixup_slab_list()`).
    pub(super) fn fixup_slab_list(&mut self, cpu: u16, slab: SlabId) {
        let before = self.slabs[slab].listed;
        self.unlink(slab);
        let listed = if self.slabs.is_full(slab) { Listed::Full } else { Listed::Partial };
        if before != listed {
            self.count(cpu, SlabCounter::ListMoves);
        }
        self.link(slab, listed, End::Head);
    }

    /// Objects that are out of slabs, those in arrays included.
    pub(super) fn active_objects(&self) -> u64 {
        let free: u64 = self.nodes.iter().map(|node| node.free_objects).sum();
        self.slabs.count() * u64::from(self.spec.geometry.num) - free
    }

    pub(super) fn note_maximum(&mut self) {
        self.maximum.objects = self.maximum.objects.max(self.active_objects());
    }
}

pub(super) fn cpus_of(topology: &Topology, node: u16) -> u32 {
    (0..topology.cpus()).filter(|&cpu| topology.node_of(cpu) == node).count() as u32
}

/// `init_cache_node()`.
pub(super) fn free_limit(spec: &SlabCacheSpec, cpus: u32) -> u64 {
    let batches = if spec.is_early { cpus.max(1) } else { cpus + 1 };
    u64::from(batches) * u64::from(spec.tunables.batchcount) + u64::from(spec.geometry.num)
}

pub(super) fn shared_array(tunables: Tunables) -> Option<ArrayCache> {
    (tunables.shared > 0).then(|| ArrayCache::new(tunables.shared * tunables.batchcount, 0))
}

/// The kernel spreads the first look at each cache by the address of its descriptor, which no trace shows: any number that
/// is the same on every run will do. (The finalizer of SplitMix64.)
fn phase(owner: u32, node: u16) -> u64 {
    let mut hash = (u64::from(owner) << 16 | u64::from(node)).wrapping_add(0x9e37_79b9_7f4a_7c15);
    hash = (hash ^ hash >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    hash = (hash ^ hash >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    (hash ^ hash >> 31) % REAP_NODE_NS
}
