//! Allocations that were decided before what the trace shows before them.
//!
//! An allocation is traced when it is over. One that needs a new slab lets interrupts in, and may sleep, while it waits
//! for pages (`new_slab()`); it had found neither the CPU's partial list nor its node's to hold anything by then. What
//! interrupts and other threads freed on its CPU meanwhile is traced before it, but came too late for it. So it goes
//! before the first of these frees.

use rustc_hash::{FxHashMap, FxHashSet};

use super::op::Op;
use super::pairing::{NO_CACHE, Paired};

/// An allocation that took the first object of a slab made during the trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Birth {
    /// Position of the allocation.
    pub(super) at: usize,
    /// Operations before this position were over when its thread had been seen last.
    pub(super) since: usize,
}

/// Moves allocations to where they were decided. `ops` have their caches. Returns how many moved.
pub(super) fn settle(paired: &mut Paired) -> u64 {
    let mut moves: FxHashMap<usize, Vec<Op>> = FxHashMap::default();
    let mut moved: FxHashSet<usize> = FxHashSet::default();
    for birth in std::mem::take(&mut paired.births) {
        let op = paired.ops[birth.at];
        let came_too_late = |free: &Op| free.what.is_free() && !free.what.is_implied() && (free.cache, free.cpu) == (op.cache, op.cpu);
        let meanwhile = &paired.ops[birth.since..birth.at];
        if op.cache == NO_CACHE {
            continue;
        }
        if let Some(first) = meanwhile.iter().position(came_too_late) {
            moves.entry(birth.since + first).or_default().push(op);
            moved.insert(birth.at);
        }
    }
    if !moved.is_empty() {
        paired.rewrite(|_, position, op, ops| {
            ops.extend(moves.remove(&position).into_iter().flatten());
            if !moved.contains(&position) {
                ops.push(op);
            }
        });
    }
    moved.len() as u64
}
