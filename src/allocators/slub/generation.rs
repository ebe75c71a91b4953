//! What differs between kernel releases, in one table.
//!
//! ARCHITECTURE.md says how the other generations will fit in. This version models 6.8 to 7.3; a release
//! outside of that is replayed by the rules of the nearest one, and [`Rules::covers`] says so.

use super::counters::Counter;
use super::sizing::KernelRelease;

/// Behaviour of one release, as far as releases differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// `get_partial_node()` moves one extra slab to the CPU partial list even if that list's limit is 0
    /// (6.8; not 6.12).
    pub extra_slab_at_limit_zero: bool,
    /// A CPU partial slab that does not fit the request counts `cpu_partial_alloc` too (6.8; not 6.12).
    pub misfit_counts_cpu_partial_alloc: bool,
    /// A request for a node looks at that node's list and tries a new slab there before anything else;
    /// other nodes are used unless `__GFP_THISNODE` forbids it (6.12; 6.8 took a new slab at once).
    pub requested_node_first: bool,
    /// Sheaves and barns (6.18); `None` before.
    pub sheaves: Option<SheafRules>,
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
    /// First and last release whose behaviour is modelled.
    pub const MODELLED: (KernelRelease, KernelRelease) =
        (KernelRelease { major: 6, minor: 8, patch: 0 }, KernelRelease { major: 7, minor: 3, patch: u32::MAX });

    /// Name of the generation, for reports.
    pub const NAME: &str = "SLUB 6.8-7.3";

    /// The rules for a release, or those of the nearest modelled one.
    #[must_use]
    pub fn of(release: KernelRelease) -> Self {
        // The three changes are absent in 6.8 and present in 6.12; they are believed to be of 6.10.
        let old = release < KernelRelease { major: 6, minor: 10, patch: 0 };
        Self {
            extra_slab_at_limit_zero: old,
            misfit_counts_cpu_partial_alloc: old,
            requested_node_first: !old,
            sheaves: SheafRules::of(release),
        }
    }

    /// True if the release's own behaviour is modelled.
    #[must_use]
    pub fn covers(release: KernelRelease) -> bool {
        (Self::MODELLED.0..=Self::MODELLED.1).contains(&release)
    }
}
