//! How much of what happened to a cache between its snapshots the trace shows.

use std::collections::BTreeMap;

use crate::prepare::{Plan, SnapshotMark};

/// Operations of each cache that the trace shows between its markers in the two snapshots, or else the start and the end of the
/// trace. Counters are read a little after the markers; what reading them takes itself is the same both times.
#[must_use]
pub fn traced_between_snapshots(plan: &Plan, has_first: bool) -> Vec<u64> {
    let mut begun = 0_usize;
    let mut at: [BTreeMap<&str, usize>; 2] = Default::default();
    for (position, text) in &plan.marks {
        match SnapshotMark::parse(text) {
            None | Some(SnapshotMark::End) => {}
            Some(SnapshotMark::Begin) => begun += 1,
            Some(SnapshotMark::Cache(cache)) => {
                if let Some(at) = begun.checked_sub(1).and_then(|snapshot| at.get_mut(snapshot)) {
                    at.insert(cache, *position);
                }
            }
        }
    }
    let marked = |second: usize, cache: &str| at[second].get(cache).copied().filter(|_| begun >= 2);
    let range = |cache: &str| {
        let from = marked(0, cache).filter(|_| has_first).unwrap_or(0);
        from..marked(1, cache).unwrap_or(plan.ops.len())
    };
    let ranges: Vec<_> = plan.caches.iter().map(|cache| range(&cache.name)).collect();
    let mut traced = vec![0; plan.caches.len()];
    for (position, op) in plan.ops.iter().enumerate().filter(|(_, op)| !op.what.is_implied()) {
        let cache = usize::from(op.cache);
        traced[cache] += u64::from(ranges[cache].contains(&position));
    }
    traced
}
