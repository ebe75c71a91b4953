//! What a replay found, in plain structures.

use super::agreement::CacheAgreement;
use crate::allocators::slub::{Counter, CpuCounts, Gauges};

/// The figures of a whole replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcome {
    /// By number of the cache in the plan.
    pub caches: Vec<CacheOutcome>,
    /// Operations replayed.
    pub operations: u64,
    /// Allocations that the page source could not serve.
    pub failed_allocs: u64,
    /// Frees of objects that are not live in the replay: their allocation failed.
    pub skipped_frees: u64,
}

/// The figures of one cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheOutcome {
    /// Counters and gauges at the end.
    pub end: CacheState,
    /// How far objects came from the slabs that the kernel took them from.
    pub agreement: CacheAgreement,
    /// Allocations replayed.
    pub allocs: u64,
    /// Frees replayed.
    pub frees: u64,
    /// Sum of the sizes asked for, in bytes.
    pub requested_bytes: u64,
    /// Objects live at the end; those from before the trace count if the trace frees them later.
    pub live_objects: u64,
    /// Most objects live at any moment.
    pub live_objects_peak: u64,
    /// Sum of the sizes asked for of the objects live at the end, in bytes.
    pub live_requested_bytes: u64,
    /// Most slabs at any moment.
    pub slabs_peak: u64,
    /// Most slabs on node partial lists after any operation.
    pub partial_peak: u64,
    /// Memory in slabs at the end, in bytes.
    pub slab_bytes: u64,
    /// Most memory in slabs at any moment, in bytes.
    pub slab_bytes_peak: u64,
}

/// Counters and gauges of a cache at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheState {
    /// Counters by CPU.
    pub counts: Vec<CpuCounts>,
    /// Figures of sysfs.
    pub gauges: Gauges,
}

impl CacheState {
    /// A counter over all CPUs.
    #[must_use]
    pub fn total(&self, counter: Counter) -> u64 {
        self.counts.iter().map(|counts| counts.get(counter)).sum()
    }

    /// Allocations and frees by the path that served them.
    #[must_use]
    pub fn paths(&self) -> PathCounts {
        let total = |counter| self.total(counter);
        PathCounts {
            alloc_fastpath: total(Counter::AllocFastpath),
            alloc_refill: total(Counter::AllocRefill),
            alloc_cpu_partial: total(Counter::CpuPartialAlloc),
            alloc_node_partial: total(Counter::AllocFromPartial),
            alloc_new_slab: total(Counter::AllocSlab),
            free_fastpath: total(Counter::FreeFastpath),
            free_frozen: total(Counter::FreeFrozen),
            free_slowpath: total(Counter::FreeSlowpath).saturating_sub(total(Counter::FreeFrozen)),
        }
    }
}

/// Allocations and frees by the path that served them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PathCounts {
    /// From the CPU's own freelist.
    pub alloc_fastpath: u64,
    /// From objects freed remotely into the cpu slab.
    pub alloc_refill: u64,
    /// From the CPU partial list.
    pub alloc_cpu_partial: u64,
    /// From a node partial list.
    pub alloc_node_partial: u64,
    /// From a new slab.
    pub alloc_new_slab: u64,
    /// To the CPU's own freelist.
    pub free_fastpath: u64,
    /// Into another CPU's cpu slab.
    pub free_frozen: u64,
    /// Into any other slab.
    pub free_slowpath: u64,
}
