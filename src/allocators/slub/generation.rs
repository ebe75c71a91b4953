//! What differs between kernel releases at run time, in one table.
//!
//! The allocator asks these rules at the steps that differ; no other module knows a release number. A change that is
//! known only to lie between two releases is dated by what is believed of it, with a note.

use super::counters::Counter;
use super::sizing::KernelRelease;

/// Behaviour of one release, as far as releases differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// The generation that the release belongs to.
    pub generation: Generation,
    /// When `alloc_slowpath` is counted.
    pub slowpath_counted: SlowpathCounted,
    /// What limits a CPU's partial list.
    pub cpu_partial: CpuPartial,
    /// Slabs on CPU partial lists are frozen: frees into them count `free_frozen`, and taking one makes it the cpu
    /// slab first and refills from it (`alloc_refill`) then (3.2 to 6.7).
    pub cpu_partial_frozen: bool,
    /// `get_partial_node()` moves one extra slab to the CPU partial list even if that list's limit is 0 (up to 6.8; not
    /// 6.12).
    pub extra_slab_at_limit_zero: bool,
    /// A CPU partial slab that does not fit the request counts `cpu_partial_alloc` too (up to 6.8; not 6.12).
    pub misfit_counts_cpu_partial_alloc: bool,
    /// A request for a node looks at that node's list and tries a new slab there before anything else;
    /// other nodes are used unless `__GFP_THISNODE` forbids it (6.12; 6.8 took a new slab at once).
    pub requested_node_first: bool,
    /// An exhausted cpu slab is dropped without touching a list (`deactivate_bypass`, 3.1); before, it was refilled
    /// first and deactivated as full then.
    pub exhausted_is_bypassed: bool,
    /// `alloc_node_mismatch` exists (3.1).
    pub counts_node_mismatch: bool,
    /// What deactivating a cpu slab does with the objects of the CPU's own freelist.
    pub deactivation: Deactivation,
    /// When a slab that has become empty is kept on a node's list.
    pub keep_empty: KeepEmpty,
    /// A limit of 0 sends each slab that a free puts on a CPU partial list on to its node at once, without
    /// `cpu_partial_drain` (4.0 to 5.14). Before and after, one slab stays there until the next comes.
    pub parks_nothing_at_limit_zero: bool,
    /// 3.2 only: moves to CPU partial lists count `cpu_partial_free` whatever their cause, drains and moves from there to
    /// node lists nothing, and empty slabs at the front of a drained list are always discarded.
    pub early_cpu_partial: bool,
    /// `free_fastpath` counts objects (6.8), not calls.
    pub fastpath_counts_objects: bool,
    /// Objects popped by a bulk allocation count `alloc_fastpath` (6.8).
    pub bulk_pops_counted: bool,
    /// Slow steps of a bulk allocation count `alloc_slowpath` (5.10).
    pub bulk_slowpath_counted: bool,
    /// Caches with debugging take one object at a time from listed slabs (6.1), or through a cpu slab.
    pub debug: DebugPath,
    /// Shrinking sorts all slabs by their fill (up to 3.19), or only those with up to 32 free objects (4.x).
    pub shrink_sorts_all: bool,
    /// `kmem_cache_free` is traced when the object is already back (up to 5.15).
    pub free_traced_after: bool,
    /// Sheaves and barns (6.18); `None` before.
    pub sheaves: Option<SheafRules>,
}

/// Generations of SLUB: releases that share their paths, whatever limits and counters changed within.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Generation {
    /// 2.6.38 to 3.1: cpu slabs and node lists only.
    NoCpuPartial,
    /// 3.2 to 5.15: frozen CPU partial slabs, limited by objects.
    CpuPartialObjects,
    /// 5.16 to 6.7: the same, limited by slabs.
    CpuPartialSlabs,
    /// 6.8 to 6.17: CPU partial slabs are not frozen.
    DelayedFreezing,
    /// 6.18 and 6.19: sheaves in front, for caches that ask for them.
    OptInSheaves,
    /// 7.0 on: sheaves for all, no cpu slabs.
    Sheaves,
}

impl Generation {
    /// The generation of a release.
    #[must_use]
    pub fn of(release: KernelRelease) -> Self {
        let since = |major, minor| release.since(major, minor);
        match () {
            () if since(7, 0) => Self::Sheaves,
            () if since(6, 18) => Self::OptInSheaves,
            () if since(6, 8) => Self::DelayedFreezing,
            () if since(5, 16) => Self::CpuPartialSlabs,
            () if since(3, 2) => Self::CpuPartialObjects,
            () => Self::NoCpuPartial,
        }
    }

    /// Name with its range of releases, for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NoCpuPartial => "SLUB 2.6.38-3.1",
            Self::CpuPartialObjects => "SLUB 3.2-5.15",
            Self::CpuPartialSlabs => "SLUB 5.16-6.7",
            Self::DelayedFreezing => "SLUB 6.8-6.17",
            Self::OptInSheaves => "SLUB 6.18-6.19",
            Self::Sheaves => "SLUB 7.x",
        }
    }
}

/// When `alloc_slowpath` is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlowpathCounted {
    /// Once, if the slow path ends with an object (2.6.38, 3.0).
    AtSuccess,
    /// Each time that a cpu slab is there, fits the request and has no object of the CPU's own left (3.1 to 3.18).
    PerCpuSlab,
    /// Once per call (3.19).
    Once,
}

/// What limits a CPU's partial list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuPartial {
    /// There are none (up to 3.1, and 7.x).
    Absent,
    /// Free objects, as counted when their slabs were put there (3.2 to 5.15).
    Objects,
    /// Slabs (5.16).
    Slabs,
}

/// What `deactivate_slab()` does with the CPU's own freelist, and where the slab goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deactivation {
    /// Objects go back one by one, which reverses them; slabs with objects of the CPU's own go to the head (2.6.38, 3.0).
    OwnObjectsToHead,
    /// Objects go back one by one; slabs with remote frees go to the tail (3.1 to 5.11).
    Reversed,
    /// The list is put in front as it is (5.12).
    Spliced,
}

/// When a free keeps a slab that has become empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeepEmpty {
    /// Never (2.6.38, 3.0). Deactivation keeps it below `min_partial` all the same.
    Never,
    /// While no more than `min_partial` slabs are listed (3.1 to 3.15).
    UpToMinPartial,
    /// While fewer than `min_partial` slabs are listed (3.16).
    BelowMinPartial,
}

/// How caches with debugging are served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DebugPath {
    /// One object at a time out of the cpu slab, always by the slow path (2.6.38, 3.0).
    CpuSlab,
    /// One object, then the slab is deactivated (3.1 to 6.0).
    Deactivate,
    /// One object out of a listed slab (6.1).
    Listed,
}

/// How sheaves work in a release (6.18 to 7.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SheafRules {
    /// Behind the sheaves are cpu slabs and CPU partial lists as before (6.18, 6.19), and caches that did not ask for sheaves have
    /// none. From 7.0 on every cache goes by sheaves, those of capacity 0 without ever using one.
    pub cpu_slabs: bool,
    /// Counter of an allocation served by a sheaf: `alloc_cpu_sheaf` in 6.18 and 6.19.
    pub alloc_hit: Counter,
    /// Counter of an object freed to a sheaf: `free_cpu_sheaf` in 6.18 and 6.19.
    pub free_hit: Counter,
    /// Whose allocation may refill an empty sheaf (`__pcs_replace_empty_main()`).
    pub refill_by: RefillBy,
    /// The main sheaf that was found empty goes to the barn once a refilled one replaces it (6.18, 6.19); from 7.0 on it becomes the
    /// spare if there is none.
    pub old_main_to_barn: bool,
    /// A refill uses the partial slabs it grabbed in reverse, the last first, and gives those back that it did not get to (7.0, 7.1;
    /// `__refill_objects_node()`).
    pub last_grabbed_first: bool,
    /// What a refill leaves of a partial slab goes back as a free does, with `free_add_partial` (7.0, 7.1); later uncounted.
    pub surplus_freed: bool,
    /// Sheaves for more objects than the cache's capacity count in `sheaf_alloc` and `sheaf_free` (7.2).
    pub oversize_counted: bool,
    /// `kmem_cache_free_bulk()` frees remote objects all at the end (7.3), not in batches of 32 on the way.
    pub remote_last: bool,
    /// A sheaf for a free may wake kswapd (`GFP_NOWAIT`, up to 7.1), so that its own cache may be refilled where any reclaim bit is
    /// needed for that.
    pub free_wakes_kswapd: bool,
    /// Detached lists of objects that leave sheaves are turned round before they are put in front of a slab's freelist, as those of
    /// `kfree_bulk()` are by `slab_free_freelist_hook()`. No known release does: flushes call `__kmem_cache_free_bulk()`, which runs no
    /// hooks, as the objects went through them when they came into the sheaf. Here as a switch because no recording shows it.
    pub flush_reverses: bool,
}

/// Whose allocations may refill a sheaf.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefillBy {
    /// Those that may sleep (6.18, 6.19).
    Blocking,
    /// Those that may at least wake kswapd (7.0, 7.1).
    Reclaiming,
    /// All but `kmalloc_nolock()` (7.2).
    Spinning,
}

impl SheafRules {
    /// The rules of a release; `None` before 6.18.
    #[must_use]
    pub fn of(release: KernelRelease) -> Option<Self> {
        if !release.since(6, 18) {
            return None;
        }
        let (since_7_0, since_7_2, since_7_3) = (release.since(7, 0), release.since(7, 2), release.since(7, 3));
        Some(Self {
            cpu_slabs: !since_7_0,
            alloc_hit: if since_7_0 { Counter::AllocFastpath } else { Counter::AllocCpuSheaf },
            free_hit: if since_7_0 { Counter::FreeFastpath } else { Counter::FreeCpuSheaf },
            refill_by: match (since_7_0, since_7_2) {
                (false, _) => RefillBy::Blocking,
                (true, false) => RefillBy::Reclaiming,
                (true, true) => RefillBy::Spinning,
            },
            old_main_to_barn: !since_7_0,
            last_grabbed_first: !since_7_2,
            surplus_freed: !since_7_2,
            oversize_counted: since_7_2,
            remote_last: since_7_3,
            free_wakes_kswapd: !since_7_2,
            flush_reverses: false,
        })
    }
}

impl Rules {
    /// The rules of a release.
    #[must_use]
    pub fn of(release: KernelRelease) -> Self {
        let since = |major, minor| release.since(major, minor);
        // Three changes are absent in 6.8 and present in 6.12; they are believed to be of 6.10.
        let before_6_10 = !since(6, 10);
        Self {
            generation: Generation::of(release),
            slowpath_counted: match () {
                () if since(3, 19) => SlowpathCounted::Once,
                () if since(3, 1) => SlowpathCounted::PerCpuSlab,
                () => SlowpathCounted::AtSuccess,
            },
            cpu_partial: match () {
                () if since(7, 0) || !since(3, 2) => CpuPartial::Absent,
                () if since(5, 16) => CpuPartial::Slabs,
                () => CpuPartial::Objects,
            },
            cpu_partial_frozen: !since(6, 8),
            extra_slab_at_limit_zero: before_6_10,
            misfit_counts_cpu_partial_alloc: before_6_10,
            requested_node_first: !before_6_10,
            exhausted_is_bypassed: since(3, 1),
            counts_node_mismatch: since(3, 1),
            deactivation: match () {
                () if since(5, 12) => Deactivation::Spliced,
                () if since(3, 1) => Deactivation::Reversed,
                () => Deactivation::OwnObjectsToHead,
            },
            // The exact release of the change from > to >= lies between 3.10 and 3.19; believed to be 3.16.
            keep_empty: match () {
                () if since(3, 16) => KeepEmpty::BelowMinPartial,
                () if since(3, 1) => KeepEmpty::UpToMinPartial,
                () => KeepEmpty::Never,
            },
            // Seen in 4.4 to 5.14; believed to have come with the way of shrinking of 4.0.
            parks_nothing_at_limit_zero: since(4, 0) && !since(5, 15),
            early_cpu_partial: since(3, 2) && !since(3, 6),
            fastpath_counts_objects: since(6, 8),
            bulk_pops_counted: since(6, 8),
            bulk_slowpath_counted: since(5, 10),
            debug: match () {
                () if since(6, 1) => DebugPath::Listed,
                () if since(3, 1) => DebugPath::Deactivate,
                () => DebugPath::CpuSlab,
            },
            shrink_sorts_all: !since(4, 0),
            free_traced_after: !since(5, 16),
            sheaves: SheafRules::of(release),
        }
    }

    /// True if CPUs have slabs of their own (up to 6.19).
    #[must_use]
    pub fn has_cpu_slabs(&self) -> bool {
        self.sheaves.is_none_or(|sheaves| sheaves.cpu_slabs)
    }

    /// True if replays by these rules were compared with counters of a real kernel of the generation.
    #[must_use]
    pub fn is_verified(&self) -> bool {
        // Kernels 5.10, 6.1, 6.12 and 7.2.
        !matches!(self.generation, Generation::NoCpuPartial | Generation::OptInSheaves)
    }
}
