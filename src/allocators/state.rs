//! Counters and gauges of a cache at one moment, for allocators of every kind.

use super::slab::{SlabCounter, SlabState};
use super::slob::SlobState;
use super::slub::{Counter, CpuCounts, Gauges};

/// Counters and gauges of a cache at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheState {
    /// SLUB's counters by CPU; empty for other allocators.
    pub counts: Vec<CpuCounts>,
    /// Figures of sysfs, and what corresponds to them in other allocators.
    pub gauges: Gauges,
    /// What only one allocator has.
    pub detail: Detail,
}

/// Counters and gauges that only one allocator has.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Detail {
    /// SLUB: everything is in the counters and gauges.
    #[default]
    Slub,
    /// SLAB.
    Slab(Box<SlabState>),
    /// SLOB.
    Slob(SlobState),
}

/// What allocators of every kind can be compared by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Activity {
    /// Allocations without a lock.
    pub fast_allocs: u64,
    /// Frees without a lock.
    pub fast_frees: u64,
    /// Slabs put on or taken off lists of a node.
    pub node_moves: u64,
}

impl CacheState {
    /// A counter over all CPUs.
    #[must_use]
    pub fn total(&self, counter: Counter) -> u64 {
        self.counts.iter().map(|counts| counts.get(counter)).sum()
    }

    /// Allocations and frees by the path that served them.
    ///
    /// SLAB's arrays stand where SLUB's freelists do: a CPU's own is the fast path, the shared one of a node what serves as a refill; objects
    /// that go to a full array or another node took the slow path. All that SLOB does is under one lock.
    #[must_use]
    pub fn paths(&self) -> PathCounts {
        match &self.detail {
            Detail::Slub => self.slub_paths(),
            Detail::Slab(slab) => {
                let total = |counter| slab.counts.iter().map(|counts| counts.get(counter)).sum::<u64>();
                PathCounts {
                    alloc_fastpath: total(SlabCounter::AllocHit),
                    alloc_refill: total(SlabCounter::SharedRefill),
                    alloc_cpu_partial: 0,
                    alloc_node_partial: total(SlabCounter::SlabRefill) + total(SlabCounter::NodeAllocs),
                    alloc_new_slab: total(SlabCounter::GrowRefill),
                    free_fastpath: total(SlabCounter::FreeHit),
                    free_frozen: 0,
                    free_slowpath: total(SlabCounter::FreeMiss) + total(SlabCounter::RemoteFrees),
                }
            }
            Detail::Slob(slob) => PathCounts { alloc_node_partial: slob.allocs, free_slowpath: slob.frees, ..PathCounts::default() },
        }
    }

    fn slub_paths(&self) -> PathCounts {
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
