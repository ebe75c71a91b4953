//! What may have been otherwise than the trace shows it.

use std::ops::RangeInclusive;

use crate::allocators::slub::flush_orders;
use crate::prepare::{KernelPlaces, KernelSlab, Op};

/// A change of one operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    /// It took effect before the operation at `to`, or after it, whichever way that is.
    Move { from: usize, to: usize },
    /// Another CPU did it.
    Cpu { at: usize, cpu: u16 },
    /// The cache was shrunk before it: every CPU lost its slabs, in some order.
    Shrink { at: usize, order: u16 },
}

/// Operations of different CPUs this close together may have taken effect the other way round.
const RACE_NS: u64 = 200_000;

/// Latest operations on each slab that are doubted.
const DOUBTED: usize = 64;

/// Operations before a divergence before which the cache may have been shrunk.
const SHRUNK_BEFORE: usize = 4;

/// Operations that one may have passed.
const PASSED: usize = 4;

/// Latest frees of each slab whose CPU is doubted, beside the first one since an object was last taken: that one chose the CPU whose
/// list the slab is on.
const DOUBTED_CPUS: usize = 3;

impl Change {
    /// Makes the change.
    pub(super) fn apply(self, ops: &mut [Op]) {
        match self {
            Self::Cpu { at, cpu } => ops[at].cpu = cpu,
            Self::Shrink { at, order } => ops[at].what = ops[at].what.shrunk_in_order(order),
            Self::Move { from, to } if from < to => ops[from..=to].rotate_left(1),
            Self::Move { from, to } => ops[to..=from].rotate_right(1),
        }
    }

    /// How much it asks to believe: nanoseconds between the operations, or another CPU.
    pub(super) fn cost(self, ops: &[Op]) -> u64 {
        match self {
            Self::Cpu { .. } | Self::Shrink { .. } => u64::MAX,
            Self::Move { from, to } => ops[from].time_ns.abs_diff(ops[to].time_ns),
        }
    }

    /// Asks to believe more than that two operations came close: it has to clear up more.
    pub(super) fn is_bold(self) -> bool {
        !matches!(self, Self::Move { .. })
    }

    /// The operations that it touches.
    pub(super) fn span(self) -> RangeInclusive<usize> {
        match self {
            Self::Cpu { at, .. } | Self::Shrink { at, .. } => at..=at,
            Self::Move { from, to } => from.min(to)..=from.max(to),
        }
    }
}

/// What is in doubt.
#[derive(Debug)]
pub(super) struct Doubted<'a> {
    /// The kernel's slab of the divergence, and the one that the replay's stands for.
    pub(super) slabs: &'a [KernelSlab],
    /// Operations by which they changed their places, the latest first.
    pub(super) moves: &'a [usize],
    /// Nothing before this operation is doubted.
    pub(super) from: usize,
    /// The operation that diverges.
    pub(super) at: usize,
}

/// Changes that may explain why an operation took its object from another slab than in the replay.
pub(super) fn candidates(ops: &[Op], places: &KernelPlaces, doubted: &Doubted<'_>, cpus: u16) -> Vec<Change> {
    let &Doubted { slabs, from, at, .. } = doubted;
    let mut changes = Vec::new();
    for &position in doubted.moves.iter().take(DOUBTED) {
        changes.extend(moves(ops, places, from, at, position));
    }
    let others = |cpu: u16| (0..cpus).filter(move |&other| other != cpu);
    // Shrunk when an operation of the cache found it so, or a little before.
    let shrunk = (from..=at).rev().take(SHRUNK_BEFORE).filter(|&at| at == 0 || !ops[at - 1].what.list_goes_on());
    changes.extend(shrunk.flat_map(|at| (0..flush_orders(cpus)).map(move |order| Change::Shrink { at, order })));
    changes.extend(others(ops[at].cpu).map(|cpu| Change::Cpu { at, cpu }));
    for slab in slabs {
        let on_slab = (from..at).rev().filter(|&position| places.slab(ops[position].object) == Some(*slab));
        let doubted: Vec<usize> = on_slab.take(DOUBTED).collect();
        for &position in &doubted {
            changes.extend(moves(ops, places, from, at, position));
        }
        let frees = || doubted.iter().filter(|&&position| ops[position].what.is_free() && !ops[position].what.list_goes_on());
        let first = doubted.iter().take_while(|&&position| ops[position].what.is_free()).last();
        for &position in frees().take(DOUBTED_CPUS).chain(first) {
            changes.extend(others(ops[position].cpu).map(|cpu| Change::Cpu { at: position, cpu }));
        }
    }
    let mut seen = Vec::new();
    changes.retain(|change| {
        let is_new = !seen.contains(change);
        seen.push(*change);
        is_new
    });
    changes
}

/// Ways to let one operation take effect on the other side of one of another CPU that came close to it.
fn moves(ops: &[Op], places: &KernelPlaces, from: usize, at: usize, position: usize) -> Vec<Change> {
    let op = &ops[position];
    let is_close = |other: &Op| other.time_ns.abs_diff(op.time_ns) <= RACE_NS;
    let is_in_list = |at: usize| ops[at].what.list_goes_on() || at > 0 && ops[at - 1].what.list_goes_on();
    // It may pass neither its own CPU's operations nor those on its own object or address, and not go into a list.
    let is_passed = |at: &usize| {
        let other = &ops[*at];
        let blocks = other.cpu == op.cpu || other.object == op.object || places.address(other.object) == places.address(op.object);
        is_close(other) && !blocks && !is_in_list(*at)
    };
    if is_in_list(position) {
        return Vec::new();
    }
    let before = (from..position).rev().take_while(is_passed).take(PASSED);
    let after = (position + 1..=at.min(ops.len() - 1)).take_while(is_passed).take(PASSED);
    before.chain(after).map(|to| Change::Move { from: position, to }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::What;
    use crate::prepare::tests::{MAP, Script};

    /// A list is freed in one call: nothing takes effect in the middle of it.
    #[test]
    fn nothing_moves_into_a_list() {
        let mut script = Script::default();
        for place in 0..3 {
            script.alloc(1, MAP + place * 64, 64, 64);
        }
        let places = script.plan().kernel;
        let op = |object, cpu, what| Op { time_ns: 0, object, requested_bytes: 0, cache: 0, cpu, what, node: -1 };
        let alone = [op(0, 1, What::FREED), op(1, 1, What::FREED), op(2, 0, What::ALLOC)];
        assert_eq!(moves(&alone, &places, 0, 2, 2), [Change::Move { from: 2, to: 1 }, Change::Move { from: 2, to: 0 }]);
        let together = [op(0, 1, What::FREED.in_list()), alone[1], alone[2]];
        assert_eq!(moves(&together, &places, 0, 2, 2), []);
    }
}
