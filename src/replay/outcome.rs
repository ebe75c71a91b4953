//! What a replay found, in plain structures.

use super::agreement::CacheAgreement;
use crate::allocators::CacheState;

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
