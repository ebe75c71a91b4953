//! What a report on a replay on real threads is made from.

use serde::Serialize;

use super::RunFacts;

/// All figures of one replay on threads, and of the exact replay of the same operations.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ThreadsInput {
    /// What was traced. Operations are those of the trace, whether or not all were done on threads.
    pub run: RunFacts,
    /// How it was replayed, and how long it took.
    pub facts: ThreadsFacts,
    /// The workers, by number.
    pub workers: Vec<WorkerFigures>,
    /// How long operations took, by path, in the order of the paths; those that no operation took have zeroes.
    pub latency: Vec<PathLatency>,
    /// What is compared with the exact replay; [`ThreadsCache::exact`] and [`ThreadsCache::threads`] have as many values.
    pub figures: Vec<ComparedFigure>,
    /// One entry per cache, in creation order.
    pub caches: Vec<ThreadsCache>,
    /// Memory of the replay.
    pub memory: ThreadsMemory,
}

/// How a trace was replayed on threads.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ThreadsFacts {
    /// Operations done.
    pub operations: u64,
    /// From the start of the first worker to the end of the last, in nanoseconds.
    pub elapsed_ns: u64,
    /// It was stopped before its end: everything is of a part of the trace only.
    pub is_stopped: bool,
    /// How far workers might be from each other in trace time, in nanoseconds; `None` for any distance.
    pub window_ns: Option<u64>,
    /// Times the speed of the recording; `None` for as soon as possible.
    pub speed: Option<f64>,
    /// What was done with new objects, such as `none`.
    pub touch: &'static str,
    /// Mean distance of timed operations; 0 if none was.
    pub sample_every: u32,
    /// What reading the clock twice costs, in nanoseconds: timed figures include about that.
    pub clock_cost_ns: f64,
    /// Allocations that found no memory.
    pub failed_allocs: u64,
    /// Frees of objects that there was no memory for.
    pub skipped_frees: u64,
}

/// A thread that played some of the CPUs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct WorkerFigures {
    /// CPUs that it played.
    pub cpus: Vec<u16>,
    /// Core that it was pinned to.
    pub core: Option<usize>,
    /// Operations done.
    pub operations: u64,
    /// Until it was done, in nanoseconds.
    pub elapsed_ns: u64,
    /// Of that, waiting for objects that other workers had yet to allocate.
    pub waited_for_objects_ns: u64,
    /// Of that, waiting for workers that were too far behind.
    pub waited_for_window_ns: u64,
}

/// How long the operations on one path took.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PathLatency {
    /// Name of the path, such as `alloc fast`.
    pub path: &'static str,
    /// True for allocations.
    pub is_alloc: bool,
    /// Operations on it.
    pub operations: u64,
    /// Of these, those timed.
    pub timed: u64,
    /// Mean, if any was timed; nanoseconds, as all that follows.
    pub mean_ns: Option<f64>,
    /// The longest.
    pub max_ns: Option<f64>,
    /// Durations at [`QUANTILES`].
    pub quantiles_ns: [Option<f64>; 5],
    /// Durations, rising, and the share of the operations that took no longer.
    pub distribution: Vec<(f64, f64)>,
}

/// The quantiles that are told, and their names.
pub const QUANTILES: [(f64, &str); 5] = [(0.5, "p50"), (0.9, "p90"), (0.99, "p99"), (0.999, "p99.9"), (0.9999, "p99.99")];

/// Something that both replays count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct ComparedFigure {
    /// Name of a counter as in sysfs, or of a sum.
    pub name: &'static str,
    /// Why it may differ when several workers run; `None` if it must not.
    pub why: Option<&'static str>,
}

/// Times that locks were taken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct LockFigures {
    /// Times taken.
    pub taken: u64,
    /// Of these, times that somebody else had it.
    pub contended: u64,
    /// Time waited for it, in nanoseconds.
    pub waited_ns: u64,
}

/// One cache.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ThreadsCache {
    /// Name as in `/sys/kernel/slab`, or of the pseudo-cache.
    pub name: String,
    /// Its name for people: that in the trace, of a merged cache.
    pub label: String,
    /// `list_lock`, by CPU, over all nodes.
    pub list_locks: Vec<LockFigures>,
    /// `list_lock`, by node, over all CPUs.
    pub list_locks_of_node: Vec<LockFigures>,
    /// Locks of barns, by CPU.
    pub barn_locks: Vec<LockFigures>,
    /// The lock of the page allocator, by CPU.
    pub page_locks: Vec<LockFigures>,
    /// What the exact replay counted, by [`ThreadsInput::figures`].
    pub exact: Vec<u64>,
    /// What threads counted, by [`ThreadsInput::figures`].
    pub threads: Vec<u64>,
}

/// Memory of a replay on threads, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct ThreadsMemory {
    /// Most in slabs at any moment.
    pub slab_peak: u64,
    /// In page frames that slabs were ever in.
    pub frames: u64,
    /// Descriptors of these.
    pub descriptors: u64,
    /// Slots in which objects are handed over.
    pub slots: u64,
    /// State of CPUs in caches.
    pub cpus: u64,
    /// Written to objects on behalf of their users.
    pub touched: u64,
    /// Most objects live at any moment.
    pub live_peak: u64,
    /// What is needed beside slabs, per object live at most.
    pub overhead_per_object: f64,
}
