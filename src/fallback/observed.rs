//! What really happened.

use slubreplay_parsers::capture::SlabSnapshot;

use super::FellBack;
use super::machine::mark_ns;
use crate::mem::RecordedSlab;
use crate::prepare::{Plan, SnapshotMark, Snapshots};

/// The time between the two readings of a cache's counters; the whole trace where it does not show them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheWindow {
    /// First moment.
    pub from_ns: u64,
    /// Moment after the last.
    pub to_ns: u64,
}

impl CacheWindow {
    /// True if a moment lies in it.
    #[must_use]
    pub fn contains(&self, time_ns: u64) -> bool {
        (self.from_ns..self.to_ns).contains(&time_ns)
    }
}

/// By number of the cache, the time that is compared.
#[must_use]
pub fn windows(plan: &Plan) -> Vec<CacheWindow> {
    let whole = CacheWindow { from_ns: 0, to_ns: u64::MAX };
    let mut windows = vec![whole; plan.caches.len()];
    let numbers: std::collections::BTreeMap<&str, usize> =
        plan.caches.iter().enumerate().map(|(number, cache)| (cache.name.as_str(), number)).collect();
    let mut begun = 0;
    for (ops, text) in &plan.marks {
        match SnapshotMark::parse(text) {
            Some(SnapshotMark::Begin) => begun += 1,
            Some(SnapshotMark::Cache(name)) => {
                let Some(window) = numbers.get(name).and_then(|&number| windows.get_mut(number)) else { continue };
                match begun {
                    1 => window.from_ns = mark_ns(plan, *ops),
                    2 => window.to_ns = mark_ns(plan, *ops),
                    _ => {}
                }
            }
            _ => {}
        }
    }
    windows
}

/// What the kernel counted between the snapshots; `None` without both, or in a kernel that does not count.
#[must_use]
pub fn kernel_count(snapshots: Snapshots<'_>, cache: &str) -> Option<u64> {
    let count = |snapshot: &SlabSnapshot| snapshot.caches.get(cache)?.number("order_fallback");
    // Counters are 32 bits wide and wrap.
    Some((count(snapshots.after?)?.wrapping_sub(snapshots.before.and_then(count).unwrap_or(0))) & 0xffff_ffff)
}

/// What page events show of new slabs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Observed {
    /// By cache: slabs that the kernel made in the cache's time.
    pub slabs: Vec<u64>,
    /// Fallbacks in the caches' times, by moment.
    pub fallbacks: Vec<FellBack>,
}

impl Observed {
    /// Fallbacks of a cache.
    #[must_use]
    pub fn count(&self, cache: usize) -> u64 {
        self.fallbacks.iter().filter(|fell| fell.cache == cache).count() as u64
    }
}

/// Counts new slabs, and among them those of a lower order than the cache prefers. Where its least order is the preferred one, a fallback
/// shows as an attempt of that order that failed, followed by one that did not.
#[must_use]
pub fn observed(plan: &Plan, windows: &[CacheWindow]) -> Observed {
    let mut seen = Observed { slabs: vec![0; plan.caches.len()], ..Observed::default() };
    for (number, (slabs, cache)) in plan.recorded_slabs.iter().zip(&plan.caches).enumerate() {
        let preferred = cache.layout.order;
        let is_fallback = |slab: &RecordedSlab| match u32::from(slab.order) {
            order if order < preferred => true,
            order => order == cache.layout.min_order && slab.after_failure,
        };
        for slab in slabs.iter().filter(|slab| windows[number].contains(slab.time_ns)) {
            seen.slabs[number] += 1;
            if is_fallback(slab) {
                seen.fallbacks.push(FellBack { time_ns: slab.time_ns, cache: number, order: slab.order });
            }
        }
    }
    seen.fallbacks.sort_unstable();
    seen
}
