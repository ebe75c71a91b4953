//! What a report is made from: plain figures, filled in by the command line from a replay's outcome.
//!
//! Nothing here depends on a trace format, an allocator or polars.

pub mod analysis;
pub mod pages;
pub mod threads;
pub mod tuning;

use serde::Serialize;

/// All figures of one replay.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ReportInput {
    /// What was traced, and how it was replayed.
    pub run: RunFacts,
    /// One entry per cache that exists in the replay, in creation order.
    pub caches: Vec<CacheFigures>,
    /// Counters per cache and CPU; zeroes left out.
    pub counters: Vec<CounterFigure>,
    /// State of every cache at evenly spaced moments.
    pub timeline: Timeline,
    /// What was observed and what was inferred, one entry per (kind, cache).
    pub ledger: Vec<LedgerEntry>,
    /// Where a computed cache layout differs from the one that the kernel reported.
    pub sizing_differences: Vec<SizingDifference>,
}

/// What was traced, and how it was replayed.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct RunFacts {
    /// Path of the trace or capture as the user gave it.
    pub trace: String,
    /// Trace format, such as `trace.dat v7`.
    pub format: String,
    /// Kernel release of the recording, such as `6.12.117`; empty if unknown.
    pub kernel: String,
    /// Allocator model used, such as `SLUB 6.8-6.17`.
    pub model: String,
    /// CPUs in the replay.
    pub cpus: u32,
    /// Memory nodes in the replay.
    pub nodes: u32,
    /// Page size in bytes.
    pub page_bytes: u32,
    /// Time between first and last event, in nanoseconds.
    pub duration_ns: u64,
    /// Events in the trace by kernel name, in falling order of count.
    pub events: Vec<(String, u64)>,
    /// Events that the recorder lost, as far as their number is known.
    pub lost_events: u64,
    /// Operations replayed (allocations and frees, implied ones included).
    pub operations: u64,
    /// Allocations replayed.
    pub allocs: u64,
    /// Frees replayed.
    pub frees: u64,
    /// Warnings that the reader should know before believing the figures.
    pub notes: Vec<String>,
}

/// One cache over the whole replay.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CacheFigures {
    /// Name as in `/sys/kernel/slab`, or of the pseudo-cache.
    pub name: String,
    /// Name that the trace has for it, where `name` is only the directory of a merged cache; else empty.
    pub traced_as: String,
    /// Other names of the same cache, merged into it.
    pub aliases: Vec<String>,
    /// True if the cache is not one the kernel named: its objects could not be attributed.
    pub pseudo: bool,
    /// Usable bytes of an object.
    pub object_bytes: u32,
    /// Bytes from one object to the next (`slab_size` in sysfs).
    pub stride_bytes: u32,
    /// Preferred page order of a slab.
    pub order: u32,
    /// Objects in a slab of the preferred order.
    pub objects_per_slab: u32,
    /// Allocations replayed.
    pub allocs: u64,
    /// Frees replayed.
    pub frees: u64,
    /// Sum of the sizes asked for over all allocations, in bytes.
    pub requested_bytes_total: u64,
    /// Live objects at the end, those from before the trace that no event speaks of included.
    pub live_objects_end: u64,
    /// Sum of the sizes asked for of the objects live at the end, in bytes; of objects from before the trace all of it, as what was asked for
    /// them is not known.
    pub live_requested_bytes_end: u64,
    /// Most objects live at any moment.
    pub live_objects_peak: u64,
    /// Slabs at the end.
    pub slabs_end: u64,
    /// Most slabs at any moment.
    pub slabs_peak: u64,
    /// Memory in slabs at the end, in bytes.
    pub slab_bytes_end: u64,
    /// Most memory in slabs at any moment, in bytes.
    pub slab_bytes_peak: u64,
    /// Slabs on node partial lists at the end.
    pub partial_slabs_end: u64,
    /// Most slabs on node partial lists at any moment.
    pub partial_slabs_peak: u64,
    /// Cpu slabs and slabs on CPU partial lists at the end.
    pub cpu_slabs_end: u64,
    /// How allocations were served.
    pub alloc_paths: AllocPaths,
    /// How frees were served.
    pub free_paths: FreePaths,
}

/// Allocations by the source that served them; they sum up to the cache's allocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AllocPaths {
    /// From the CPU's own freelist, without a lock.
    pub fastpath: u64,
    /// From objects that were freed remotely into the cpu slab.
    pub refill: u64,
    /// From a slab of the per-CPU partial list.
    pub cpu_partial: u64,
    /// From a slab of a node partial list.
    pub node_partial: u64,
    /// From a new slab.
    pub new_slab: u64,
}

/// Frees by where the object went; they sum up to the cache's frees.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct FreePaths {
    /// To the CPU's own freelist, without a lock.
    pub fastpath: u64,
    /// Into another CPU's cpu slab.
    pub frozen: u64,
    /// Into any other slab.
    pub slowpath: u64,
}

/// One counter of one cache on one CPU.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CounterFigure {
    /// Index into [`ReportInput::caches`].
    pub cache: usize,
    /// Name as in sysfs, such as `alloc_fastpath`.
    pub counter: &'static str,
    /// CPU number.
    pub cpu: u32,
    /// Value at the end of the replay.
    pub value: u64,
}

/// State of every cache at the same moments.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Timeline {
    /// Moments, in nanoseconds since the first event, rising.
    pub time_ns: Vec<u64>,
    /// One series per cache that ever held a slab; every column is as long as `time_ns`.
    pub caches: Vec<CacheSeries>,
}

/// One cache at the moments of [`Timeline::time_ns`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CacheSeries {
    /// Index into [`ReportInput::caches`].
    pub cache: usize,
    /// Slabs.
    pub slabs: Vec<u64>,
    /// Bytes in slabs.
    pub slab_bytes: Vec<u64>,
    /// Live objects.
    pub live_objects: Vec<u64>,
    /// Bytes of live objects (live objects times stride).
    pub live_bytes: Vec<u64>,
    /// Slabs on node partial lists.
    pub partial_slabs: Vec<u64>,
    /// Slabs on CPU partial lists.
    pub cpu_partial_slabs: Vec<u64>,
}

/// One kind of statement about the input, for one cache.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LedgerEntry {
    /// What was counted, such as `implied frees`.
    pub kind: &'static str,
    /// `observed`, `inferred` or `unusable`.
    pub class: &'static str,
    /// Cache concerned; empty if it concerns none.
    pub cache: String,
    /// How many.
    pub count: u64,
    /// One sentence that says what it means.
    pub meaning: &'static str,
}

/// A layout figure that was computed otherwise than the kernel reported it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SizingDifference {
    /// Cache name.
    pub cache: String,
    /// sysfs attribute, such as `order`.
    pub attribute: &'static str,
    /// The kernel's value.
    pub kernel: u64,
    /// The computed value.
    pub computed: u64,
}
