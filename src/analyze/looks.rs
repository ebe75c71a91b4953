//! The slabs of all caches at evenly spaced moments.

use rustc_hash::FxHashMap;

use crate::allocators::SlabPlace;
use crate::allocators::slub::{Counter, Rules};
use crate::compare::activity;
use crate::prepare::Plan;
use crate::replay::Paused;

/// Moments at which a replay is looked at, and the operations before each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Looks {
    /// Positions of operations, rising; what [`Setup::pause_at`](crate::replay::Setup::pause_at) takes.
    pub positions: Vec<usize>,
    /// Moments in nanoseconds since the first event.
    pub moments_ns: Vec<u64>,
}

impl Looks {
    /// `count` moments over the time of the trace, its first and last included. A trace without duration is looked at once, at its end.
    #[must_use]
    pub fn spread(plan: &Plan, count: usize) -> Self {
        let (start, end) = plan.time_range_ns;
        let duration = end.saturating_sub(start);
        let count = if duration == 0 { 1 } else { count.max(2) };
        let moment = |number: usize| {
            let moment = (u128::from(duration) * number as u128).checked_div((count - 1) as u128);
            moment.map_or(duration, |moment| moment as u64)
        };
        let moments_ns: Vec<u64> = (0..count).map(moment).collect();
        let mut positions = Vec::with_capacity(count);
        let mut position = 0;
        for &moment in &moments_ns[..count - 1] {
            position += plan.ops[position..].iter().take_while(|op| op.time_ns < start.saturating_add(moment)).count();
            positions.push(position);
        }
        positions.push(plan.ops.len());
        Self { positions, moments_ns }
    }
}

/// Bins of occupancy: empty, ten of a tenth each (up to 10 %, up to 20 %, … below 100 %), full.
pub const OCCUPANCY_BINS: usize = 12;

/// The bin of a slab with so many live objects.
fn bin(live: u16, objects: u16) -> usize {
    match (live, objects) {
        (0, _) => 0,
        (live, objects) if live >= objects => OCCUPANCY_BINS - 1,
        (live, objects) => (usize::from(live) * 10).div_ceil(usize::from(objects)),
    }
}

/// Places of slabs, in the order of the arrays of [`CacheLook`].
pub const PLACES: [SlabPlace; 4] = [SlabPlace::Full, SlabPlace::Cpu, SlabPlace::CpuPartial, SlabPlace::Node];

/// One cache at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheLook {
    /// Slabs.
    pub slabs: u64,
    /// Bytes in slabs.
    pub slab_bytes: u64,
    /// Objects that slabs are made of.
    pub objects: u64,
    /// Of these, those that somebody has.
    pub live: u64,
    /// Slabs by the share of their objects that somebody has.
    pub occupancy: [u32; OCCUPANCY_BINS],
    /// Slabs by place ([`PLACES`]).
    pub slabs_at: [u32; 4],
    /// Free objects in slabs by their place.
    pub free_at: [u64; 4],
    /// Free objects in sheaves, or in SLAB's arrays.
    pub parked: u64,
    /// Slabs of nodes' lists without any live object.
    pub empty_listed: u32,
    /// How long the slabs on nodes' lists have been there without a break, in the mean, in nanoseconds, as far as looks can tell: since the
    /// first look at which they were seen there.
    pub listed_mean_ns: u64,
    /// The longest of these.
    pub listed_longest_ns: u64,
    /// So far: allocations and frees without a lock.
    pub fast_allocs: u64,
    /// See `fast_allocs`.
    pub fast_frees: u64,
    /// So far: slabs put on or taken off nodes' lists, each under a list lock.
    pub node_moves: u64,
    /// So far: times that a CPU partial list was given to the nodes (`cpu_partial_drain`), or a sheaf flushed (`sheaf_flush`).
    pub drains: u64,
    /// So far: slabs of a smaller order than preferred.
    pub order_fallbacks: u64,
}

impl CacheLook {
    /// Free objects that no other CPU can have: in slabs that CPUs allocate from, on their partial lists, in sheaves and arrays.
    #[must_use]
    pub fn held(&self) -> u64 {
        self.free_at[1] + self.free_at[2] + self.parked
    }
}

/// Looks at a replay.
pub(super) struct Watch<'a> {
    plan: &'a Plan,
    rules: &'a Rules,
    page_bytes: u32,
    count: usize,
    looks: Vec<Vec<CacheLook>>,
    /// By cache, by number and life of a slab on a node's list: the moment when it was first seen there.
    listed: Vec<FxHashMap<(usize, u32), u64>>,
}

impl<'a> Watch<'a> {
    pub(super) fn new(plan: &'a Plan, rules: &'a Rules, page_bytes: u32) -> Self {
        let caches = plan.caches.len();
        Self { plan, rules, page_bytes, count: 0, looks: vec![Vec::new(); caches], listed: vec![FxHashMap::default(); caches] }
    }

    /// Looks so far.
    pub(super) fn count(&self) -> usize {
        self.count
    }

    pub(super) fn into_looks(self) -> Vec<Vec<CacheLook>> {
        self.looks
    }

    pub(super) fn look(&mut self, at: &Paused<'_>, moment_ns: u64) {
        self.count += 1;
        for cache in 0..self.looks.len() {
            let look = self.look_at(at, cache, moment_ns);
            self.looks[cache].push(look);
        }
    }

    fn look_at(&mut self, at: &Paused<'_>, cache: usize, moment_ns: u64) -> CacheLook {
        let mut look = CacheLook::default();
        let mut still = FxHashMap::default();
        let (mut ages, mut listed) = (0_u128, 0_u64);
        let since = &self.listed[cache];
        at.each_slab(cache, |slab| {
            let place = PLACES.iter().position(|&place| place == slab.place).unwrap_or(0);
            look.slabs += 1;
            look.slab_bytes += u64::from(self.page_bytes) << slab.order;
            look.objects += u64::from(slab.objects);
            look.live += u64::from(slab.live());
            look.occupancy[bin(slab.live(), slab.objects)] += 1;
            look.slabs_at[place] += 1;
            look.free_at[place] += u64::from(slab.free);
            look.parked += u64::from(slab.parked);
            if slab.place == SlabPlace::Node {
                look.empty_listed += u32::from(slab.live() == 0);
                let key = (slab.slab.index(), slab.life);
                let first = since.get(&key).copied().unwrap_or(moment_ns);
                still.insert(key, first);
                ages += u128::from(moment_ns - first);
                listed += 1;
                look.listed_longest_ns = look.listed_longest_ns.max(moment_ns - first);
            }
        });
        look.listed_mean_ns = if listed == 0 { 0 } else { (ages / u128::from(listed)) as u64 };
        self.listed[cache] = still;
        if let Some(state) = at.state(cache) {
            let done = activity(&self.plan.caches[cache], self.rules, &state);
            (look.fast_allocs, look.fast_frees, look.node_moves) = (done.fast_allocs, done.fast_frees, done.node_moves);
            look.drains = state.total(Counter::CpuPartialDrain) + state.total(Counter::SheafFlush);
            look.order_fallbacks = state.total(Counter::OrderFallback);
        }
        look
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::{Op, What};

    #[test]
    fn bins_are_tenths_with_ends_of_their_own() {
        assert_eq!([0, 1, 3, 4, 29, 30].map(|live| bin(live, 30)), [0, 1, 1, 2, 10, 11]);
        assert_eq!([1, 2].map(|live| bin(live, 2)), [5, 11], "a half is the fifth tenth");
        assert_eq!((bin(1, 1), bin(0, 0)), (11, 0));
    }

    #[test]
    fn looks_are_at_both_ends_and_evenly_between() {
        let op = |time_ns| Op { time_ns, object: 0, requested_bytes: 0, cache: 0, cpu: 0, what: What::ALLOC, node: -1 };
        let plan = Plan { ops: [100, 110, 150, 199, 200].map(op).to_vec(), time_range_ns: (100, 200), ..Plan::default() };
        let looks = Looks::spread(&plan, 3);
        assert_eq!((looks.moments_ns, looks.positions), (vec![0, 50, 100], vec![0, 2, 5]));
        let instant = Plan { time_range_ns: (100, 100), ..plan };
        assert_eq!(Looks::spread(&instant, 9), Looks { positions: vec![5], moments_ns: vec![0] });
    }
}
