//! What is compared of a cache, or of all caches.

use crate::allocators::slab::SlabCounter;
use crate::allocators::slub::{CacheKind, Counter, Rules};
use crate::allocators::{Activity, Detail};
use crate::prepare::PlannedCache;
use crate::replay::{CacheOutcome, CacheState, Timeline, TimelineSample};

/// The figures of one replay.
///
/// Memory and objects at moments are those of 1,000 evenly spaced ones; means weigh each by the time until the next.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Figures {
    /// Allocations replayed.
    pub allocs: u64,
    /// Frees replayed.
    pub frees: u64,
    /// Most bytes in slabs: of a cache after any operation, of all caches at any of the moments.
    pub slab_bytes_peak: u64,
    /// Mean over time.
    pub slab_bytes_mean: f64,
    /// Bytes in slabs at the end.
    pub slab_bytes_end: u64,
    /// Live objects times their stride as a share of the slabs, 0 to 1, at the moment of most bytes in slabs; `None` without slabs.
    pub live_share_peak: Option<f64>,
    /// The same at the end.
    pub live_share_end: Option<f64>,
    /// Allocations without a lock: from the CPU's own freelist, or its sheaves. An allocation that had to fetch or refill a sheaf first
    /// counts as one from a sheaf, as in the kernel.
    pub fast_allocs: u64,
    /// Frees without a lock. Releases before 6.8 count a detached list as one.
    pub fast_frees: u64,
    /// Slabs put on or taken off a node's partial list: the sum of [`NODE_MOVES`].
    pub node_moves: u64,
    /// Free objects at the end that are in no slab of a node's list: in cpu slabs, on CPU partial lists, in sheaves.
    pub held_objects_end: u64,
    /// Mean over time.
    pub held_objects_mean: f64,
}

/// Counters that stand for a slab put on a node's partial list (`free_add_partial`, `deactivate_to_*`) or taken off it (the others).
/// From 7.0 on, slabs that a sheaf is refilled from leave the list uncounted.
pub const NODE_MOVES: [Counter; 6] = [
    Counter::FreeAddPartial,
    Counter::DeactivateToHead,
    Counter::DeactivateToTail,
    Counter::FreeRemovePartial,
    Counter::AllocFromPartial,
    Counter::CpuPartialNode,
];

/// How a cache was when the recorded operations began.
#[derive(Debug, Clone, Copy)]
pub(super) struct Start<'a> {
    /// Counters so far.
    pub(super) state: &'a CacheState,
    /// Allocations so far.
    pub(super) allocs: u64,
    /// Objects in use that no operation speaks of.
    pub(super) untouched: u64,
}

/// Counters of allocations and frees without a lock: those of the sheaves, where a cache has them. What sheaves do to cpu slabs behind
/// them (6.18, 6.19) is in `*_fastpath` there.
fn fast_counters(cache: &PlannedCache, rules: &Rules) -> [Counter; 2] {
    let sheaves = rules.sheaves.filter(|_| cache.layout.sheaf_capacity > 0 && cache.kind != CacheKind::Debug);
    sheaves.map_or([Counter::AllocFastpath, Counter::FreeFastpath], |sheaves| [sheaves.alloc_hit, sheaves.free_hit])
}

/// What a cache did so far. In SLAB, what finds an object or room in the CPU's array takes no lock; SLOB has one lock for all.
pub(crate) fn activity(planned: &PlannedCache, rules: &Rules, state: &CacheState) -> Activity {
    match &state.detail {
        Detail::Slub => {
            let [fast_allocs, fast_frees] = fast_counters(planned, rules).map(|counter| state.total(counter));
            Activity { fast_allocs, fast_frees, node_moves: NODE_MOVES.into_iter().map(|counter| state.total(counter)).sum() }
        }
        Detail::Slab(slab) => {
            let total = |counter| slab.counts.iter().map(|counts| counts.get(counter)).sum();
            Activity {
                fast_allocs: total(SlabCounter::AllocHit),
                fast_frees: total(SlabCounter::FreeHit),
                node_moves: total(SlabCounter::ListMoves),
            }
        }
        Detail::Slob(slob) => Activity { node_moves: slob.totals.list_moves, ..Activity::default() },
    }
}

impl Figures {
    pub(super) fn of(
        planned: &PlannedCache,
        rules: &Rules,
        outcome: &CacheOutcome,
        timeline: &Timeline,
        number: usize,
        start: Start<'_>,
    ) -> Self {
        let (end, begin) = (activity(planned, rules, &outcome.end), activity(planned, rules, start.state));
        let samples = timeline.caches.get(number).map(Vec::as_slice).unwrap_or_default();
        let live_bytes = |live: u64| (live + start.untouched) * u64::from(planned.layout.size);
        let highest = samples.iter().max_by_key(|sample| sample.slab_bytes).copied().unwrap_or_default();
        Self {
            allocs: outcome.allocs - start.allocs,
            frees: outcome.frees,
            slab_bytes_peak: outcome.slab_bytes_peak,
            slab_bytes_mean: mean(&timeline.time_ns, samples.iter().map(|sample| sample.slab_bytes)),
            slab_bytes_end: outcome.slab_bytes,
            live_share_peak: share(live_bytes(highest.live_objects), highest.slab_bytes),
            live_share_end: share(live_bytes(outcome.live_objects), outcome.slab_bytes),
            fast_allocs: end.fast_allocs.saturating_sub(begin.fast_allocs),
            fast_frees: end.fast_frees.saturating_sub(begin.fast_frees),
            node_moves: end.node_moves.saturating_sub(begin.node_moves),
            held_objects_end: samples.last().map_or(0, |sample| sample.held_objects),
            held_objects_mean: mean(&timeline.time_ns, samples.iter().map(|sample| sample.held_objects)),
        }
    }

    /// The figures over all caches.
    pub(super) fn total(planned: &[PlannedCache], caches: &[Self], untouched: &[u64], timeline: &Timeline) -> Self {
        let sum = |figure: fn(&Self) -> u64| caches.iter().map(figure).sum::<u64>();
        let at = |moment: usize, figure: &dyn Fn(usize, &TimelineSample) -> u64| {
            timeline.caches.iter().enumerate().filter_map(|(cache, samples)| Some(figure(cache, samples.get(moment)?))).sum::<u64>()
        };
        let slab_bytes = |moment| at(moment, &|_, sample| sample.slab_bytes);
        let live_bytes =
            |moment| at(moment, &|cache, sample| (sample.live_objects + untouched[cache]) * u64::from(planned[cache].layout.size));
        let moments = 0..timeline.time_ns.len();
        let last = moments.end.saturating_sub(1);
        let peak = moments.clone().max_by_key(|&moment| slab_bytes(moment)).unwrap_or(0);
        Self {
            allocs: sum(|figures| figures.allocs),
            frees: sum(|figures| figures.frees),
            slab_bytes_peak: slab_bytes(peak),
            slab_bytes_mean: caches.iter().map(|figures| figures.slab_bytes_mean).sum(),
            slab_bytes_end: sum(|figures| figures.slab_bytes_end),
            live_share_peak: share(live_bytes(peak), slab_bytes(peak)),
            live_share_end: share(live_bytes(last), slab_bytes(last)),
            fast_allocs: sum(|figures| figures.fast_allocs),
            fast_frees: sum(|figures| figures.fast_frees),
            node_moves: sum(|figures| figures.node_moves),
            held_objects_end: sum(|figures| figures.held_objects_end),
            held_objects_mean: caches.iter().map(|figures| figures.held_objects_mean).sum(),
        }
    }

    /// The load has to do with the cache.
    #[must_use]
    pub fn is_used(&self) -> bool {
        self.allocs + self.frees + self.slab_bytes_peak > 0
    }

    /// Share of the allocations that were fast, 0 to 1; `None` without allocations.
    #[must_use]
    pub fn fast_alloc_share(&self) -> Option<f64> {
        share(self.fast_allocs, self.allocs)
    }

    /// Share of the frees that were fast, 0 to 1; `None` without frees.
    #[must_use]
    pub fn fast_free_share(&self) -> Option<f64> {
        share(self.fast_frees, self.frees)
    }
}

fn share(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

/// Mean of a figure, each value weighed by the time until the next moment. Without time between the moments, the last value.
fn mean(time_ns: &[u64], values: impl Iterator<Item = u64> + Clone) -> f64 {
    let (Some(first), Some(last)) = (time_ns.first(), time_ns.last()) else { return 0.0 };
    if first == last {
        return values.last().unwrap_or(0) as f64;
    }
    let spans = time_ns.windows(2).map(|pair| pair[1] - pair[0]);
    let sum: u128 = spans.zip(values).map(|(span, value)| u128::from(span) * u128::from(value)).sum();
    sum as f64 / (last - first) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_weigh_by_time() {
        // 4 for 10, then 1 for 30: (40 + 30) / 40. The last value has no time.
        assert_eq!(mean(&[0, 10, 40], [4, 1, 99].into_iter()), 1.75);
        assert_eq!(mean(&[5, 5], [1, 3].into_iter()), 3.0);
        assert_eq!(mean(&[], std::iter::empty()), 0.0);
    }
}
