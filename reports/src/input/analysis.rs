//! What the analyses of a replay found, with names in place of numbers.

use serde::Serialize;

use super::RunFacts;

/// All findings of one replay.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct AnalysisInput {
    /// What was traced, and how it was replayed.
    pub run: RunFacts,
    /// Moments that were looked at, in nanoseconds since the first event, rising.
    pub moments_ns: Vec<u64>,
    /// One course per cache that ever held a slab.
    pub courses: Vec<Course>,
    /// Lifetimes of objects, by cache and bin.
    pub lifetimes: Vec<LifetimeBin>,
    /// Objects by cache and call site.
    pub sites: Vec<OwnerFigures>,
    /// Objects by cache and thread.
    pub threads: Vec<OwnerFigures>,
    /// Call sites that keep slabs which are mostly free.
    pub pins: Vec<PinFigures>,
    /// Frees by CPUs, zeroes left out.
    pub remote_frees: Vec<RemoteFrees>,
    /// As `perf kmem --caller stat` has them.
    pub callers: Vec<CallerFigures>,
    /// One per cache that ever held a slab.
    pub verdicts: Vec<Verdict>,
    /// What the reader should know of these figures.
    pub notes: Vec<String>,
}

/// Bins of occupancy: empty, ten of a tenth each (up to 10 %, up to 20 %, … below 100 %), full.
pub const OCCUPANCY_BINS: usize = 12;

/// What a bin of occupancy is called.
pub const OCCUPANCY_NAMES: [&str; OCCUPANCY_BINS] =
    ["0", "1-10", "11-20", "21-30", "31-40", "41-50", "51-60", "61-70", "71-80", "81-90", "91-99", "100"];

/// A cache at the moments of [`AnalysisInput::moments_ns`].
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Course {
    /// Name of the cache.
    pub cache: String,
    /// Bytes from one object to the next.
    pub stride_bytes: u32,
    /// By moment.
    pub looks: Vec<Look>,
    /// Allocations between each moment and the next.
    pub allocs_between: Vec<u64>,
}

/// A cache at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Look {
    /// Slabs.
    pub slabs: u64,
    /// Bytes in slabs.
    pub slab_bytes: u64,
    /// Objects that slabs are made of.
    pub objects: u64,
    /// Objects that somebody has.
    pub live_objects: u64,
    /// Slabs by the share of their objects that somebody has.
    pub occupancy: [u32; OCCUPANCY_BINS],
    /// Free objects in slabs that CPUs allocate from.
    pub free_in_cpu_slabs: u64,
    /// Slabs on CPU partial lists.
    pub cpu_partial_slabs: u64,
    /// Free objects in them.
    pub free_on_cpu_partial: u64,
    /// Free objects in sheaves, or in SLAB's arrays.
    pub free_in_sheaves: u64,
    /// Slabs on nodes' lists.
    pub node_slabs: u64,
    /// Free objects in them.
    pub free_on_nodes: u64,
    /// Slabs of nodes' lists without a live object.
    pub empty_node_slabs: u32,
    /// How long slabs have been on nodes' lists, in the mean, in nanoseconds.
    pub listed_mean_ns: u64,
    /// The longest of these times.
    pub listed_longest_ns: u64,
    /// So far: allocations without a lock.
    pub fast_allocs: u64,
    /// So far: frees without a lock.
    pub fast_frees: u64,
    /// So far: slabs put on or taken off nodes' lists.
    pub node_moves: u64,
    /// So far: CPU partial lists given to nodes, sheaves flushed.
    pub drains: u64,
    /// So far: slabs of a smaller order than preferred.
    pub order_fallbacks: u64,
}

impl Look {
    /// Free objects that only one CPU can have.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.free_in_cpu_slabs + self.free_on_cpu_partial + self.free_in_sheaves
    }
}

/// Objects of a cache that lived so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LifetimeBin {
    /// Name of the cache.
    pub cache: String,
    /// Shortest time, in nanoseconds.
    pub from_ns: u64,
    /// The time that is too long for it.
    pub below_ns: u64,
    /// Objects.
    pub objects: u64,
}

/// Objects of a cache that one call site or thread allocated.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct OwnerFigures {
    /// Name of the cache.
    pub cache: String,
    /// Call site, as a symbol or address, or thread, as `pid` or `pid name`; `unknown` where the trace does not show it.
    pub owner: String,
    /// Allocations.
    pub allocs: u64,
    /// Bytes asked for, over all allocations.
    pub requested_bytes: u64,
    /// Objects freed.
    pub frees: u64,
    /// Of these, by another CPU than allocated them.
    pub remote_frees: u64,
    /// Objects that were not freed.
    pub live_objects: u64,
    /// Bytes asked for of these.
    pub live_requested_bytes: u64,
    /// When the oldest of them was allocated, in nanoseconds since the first event.
    pub oldest_ns: Option<u64>,
    /// Lifetimes of freed objects: medians and others, in nanoseconds; `None` if none was freed.
    pub lifetime: Option<Lifetime>,
}

/// Lifetimes, in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Lifetime {
    /// Half of the objects lived no longer.
    pub p50_ns: u64,
    /// Nine of ten lived no longer.
    pub p90_ns: u64,
    /// 99 of 100 lived no longer.
    pub p99_ns: u64,
    /// The longest.
    pub longest_ns: u64,
}

/// What a call site keeps from going back to the page allocator.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PinFigures {
    /// Name of the cache.
    pub cache: String,
    /// Call site, or `unknown`.
    pub call_site: String,
    /// Bytes that are free in the slabs that its objects keep, shared with others that do; in the mean over time.
    pub mean_bytes: u64,
    /// The same when it was most.
    pub peak_bytes: u64,
    /// The same at the end.
    pub end_bytes: u64,
    /// Objects that do it at the end.
    pub end_objects: u64,
    /// Their mean age, in nanoseconds.
    pub end_age_ns: u64,
}

/// Objects that one CPU allocated and another, or the same, freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct RemoteFrees {
    /// CPU that allocated.
    pub allocated_by: u32,
    /// CPU that freed.
    pub freed_by: u32,
    /// Objects.
    pub frees: u64,
}

/// A row of `perf kmem --caller stat`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CallerFigures {
    /// Call site, as a symbol or address.
    pub call_site: String,
    /// `Total_alloc`: bytes given.
    pub allocated_bytes: u64,
    /// `Total_req`: bytes asked for.
    pub requested_bytes: u64,
    /// `Hit`: allocations.
    pub hits: u64,
    /// `Ping-pong`: frees on another CPU.
    pub ping_pong: u64,
    /// `Frag`: share of the bytes given that was not asked for, 0 to 1.
    pub fragmentation: f64,
}

/// What is wrong with a cache, if anything.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// Name of the cache.
    pub cache: String,
    /// `fine`, `leak?`, `sparse`, `hoarded`, `wasteful class` or `high-order`.
    pub verdict: &'static str,
    /// Bytes that it is about.
    pub bytes: u64,
    /// What shows it; more than one sentence if more is true of it.
    pub evidence: Vec<String>,
}
