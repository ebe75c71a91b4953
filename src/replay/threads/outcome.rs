//! What a replay on real threads found, in plain structures.

use std::time::Duration;

use super::latency::Latency;
use crate::allocators::concurrent::{Counts, LockCounts, Path, clock};
use crate::replay::CacheState;

/// The figures of a replay.
#[derive(Debug, Clone)]
pub struct ThreadsOutcome {
    /// By number of the cache in the plan.
    pub caches: Vec<ThreadsCache>,
    /// The workers.
    pub workers: Vec<WorkerFigures>,
    /// How long timed operations took.
    pub latency: Latency,
    /// Mean distance of timed operations; 0 if none was.
    pub sample_every: u32,
    /// Operations by path; those that free lists of objects are left out.
    pub paths: [u64; Path::COUNT],
    /// Operations done.
    pub operations: u64,
    /// From the start of the first worker to the end of the last.
    pub elapsed: Duration,
    /// It was stopped before its end.
    pub is_stopped: bool,
    /// Allocations that found no memory.
    pub failed_allocs: u64,
    /// Frees of objects that there was no memory for.
    pub skipped_frees: u64,
    /// Memory used.
    pub memory: MemoryFigures,
}

/// The figures of a cache.
#[derive(Debug, Clone, Default)]
pub struct ThreadsCache {
    /// Counters and gauges at the end.
    pub end: CacheState,
    /// Objects live at the end; those from before the trace count if the trace frees them later.
    pub live_objects: u64,
    /// Locks taken, by CPU: those of lists, over all nodes.
    pub list_locks: Vec<LockCounts>,
    /// By node, over all CPUs.
    pub list_locks_of_node: Vec<LockCounts>,
    /// Locks of barns, by CPU, over all nodes.
    pub barn_locks: Vec<LockCounts>,
    /// The lock of the page source, by CPU.
    pub page_locks: Vec<LockCounts>,
}

impl ThreadsCache {
    /// What was counted by each CPU.
    pub(super) fn of<'a>(counts: impl Iterator<Item = &'a Counts>, nodes: u16) -> Self {
        let mut cache = Self { list_locks_of_node: vec![LockCounts::default(); usize::from(nodes)], ..Self::default() };
        let sum = |locks: &[LockCounts]| locks.iter().copied().fold(LockCounts::default(), LockCounts::plus);
        for counts in counts {
            cache.end.counts.push(counts.counters);
            cache.list_locks.push(sum(&counts.lists));
            cache.barn_locks.push(sum(&counts.barns));
            cache.page_locks.push(counts.pages);
            for (node, list) in cache.list_locks_of_node.iter_mut().zip(&counts.lists) {
                *node = node.plus(*list);
            }
        }
        cache
    }
}

impl LockCounts {
    /// Time waited, in nanoseconds.
    #[must_use]
    pub fn waited_ns(self) -> u64 {
        clock::nanoseconds(self.waited_ticks)
    }
}

/// The figures of a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WorkerFigures {
    /// CPUs that it played.
    pub cpus: Vec<u16>,
    /// Core that it was pinned to.
    pub core: Option<usize>,
    /// Operations done.
    pub operations: u64,
    /// Until it was done.
    pub elapsed: Duration,
    /// Time spent waiting for objects of other workers, in nanoseconds.
    pub waited_for_objects_ns: u64,
    /// Time spent waiting for workers that were too far behind, in nanoseconds.
    pub waited_for_window_ns: u64,
}

/// Memory used by a replay, in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryFigures {
    /// Most in slabs at any moment.
    pub slab_peak: u64,
    /// In page frames that slabs were ever in.
    pub frames: u64,
    /// Descriptors of those.
    pub descriptors: u64,
    /// State of CPUs in caches, without counters.
    pub cpus: u64,
    /// Slots in which objects are handed over.
    pub slots: u64,
    /// Written to objects, on behalf of their users.
    pub touched: u64,
    /// Most objects live at any moment, by the plan.
    pub live_peak: u64,
}

impl MemoryFigures {
    /// What the replay needs beside slabs, per object live at most.
    #[must_use]
    pub fn overhead_per_object(&self) -> f64 {
        let all = self.frames + self.descriptors + self.cpus + self.slots;
        all.saturating_sub(self.slab_peak) as f64 / self.live_peak.max(1) as f64
    }
}
