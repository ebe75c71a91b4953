//! The search for what makes divergences go away.

use super::Part;
use super::candidates::{Change, Doubted, candidates};
use super::follow::{Follow, Level};
use crate::allocators::slub::Place;
use crate::prepare::{KernelSlab, Op};
use crate::replay::Setup;

/// Operations before a divergence that are doubted.
const LOOK_BACK: usize = 4000;

/// Operations after it by which a change is judged.
const LOOK_AHEAD: usize = 1500;

/// Divergences of a cache that are looked at, of either level.
const MAX_ROUNDS: usize = 32;

/// Divergences after which a cache may be believed to have been shrunk.
const SHRINK_CLEARS: usize = 16;

/// Operations that have to agree then.
const SHRINK_REACHES: usize = 64;

/// Operations that may be replayed in search of a cache's changes, at either level: a bound on the time it takes that does not
/// depend on the machine.
const MAX_STEPS: usize = 10_000_000;

/// Changes made to the operations of a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Operations that took effect in another order.
    pub(super) moved: u64,
    /// Operations of another CPU than recorded.
    pub(super) displaced: u64,
    /// Times that the cache was shrunk.
    pub(super) shrunk: u64,
}

/// Searches for changes to the operations of a cache, and makes them.
pub(super) fn settle(part: &mut Part, setup: &Setup) -> Changes {
    let mut changes = Changes::default();
    for level in [Level::Slab, Level::Object] {
        let mut ops = part.plan.ops.clone();
        let mut search = Search { part, setup, steps: 0 };
        search.run(level, &mut ops, &mut changes);
        part.plan.ops = ops;
    }
    changes
}

struct Search<'a> {
    part: &'a Part,
    setup: &'a Setup,
    steps: usize,
}

impl Search<'_> {
    fn run(&mut self, level: Level, ops: &mut [Op], changes: &mut Changes) {
        let plan = &self.part.plan;
        // The replay as far as it is settled.
        let mut settled = Follow::new(plan, self.setup, level);
        // Divergences before this operation stay.
        let mut accepted = 0;
        for _ in 0..MAX_ROUNDS {
            let Some(at) = self.first_divergence(&settled, ops, accepted) else { break };
            self.proceed(&mut settled, ops, at.saturating_sub(LOOK_BACK));
            accepted = at + 1;
            let Some(slabs) = self.slabs_concerned(&settled, ops, at) else { continue };
            let moves = self.travels(&settled, ops, at, &slabs);
            let end = (at + LOOK_AHEAD).min(ops.len());
            let baseline = self.trial(&settled, ops, end);
            let mut best: Option<((usize, u64), Change)> = None;
            let mut shrink: Option<(usize, Change)> = None;
            let doubted = Doubted { slabs: &slabs, moves: &moves, from: settled.position, at };
            for change in candidates(ops, &plan.kernel, &doubted, self.setup.topology.cpus()) {
                if self.steps > MAX_STEPS {
                    break;
                }
                // Another object of the same slab is too little to believe in another CPU.
                if level == Level::Object && change.is_bold() {
                    continue;
                }
                debug_assert!(*change.span().start() >= settled.position, "what is settled stays");
                let kept = ops[change.span()].to_vec();
                change.apply(ops);
                let trial = self.trial(&settled, ops, end);
                ops[change.span()].copy_from_slice(&kept);
                // Moving an operation to another CPU is the bolder claim: it has to clear up more.
                let (before, after) = (baseline.diverged.len(), trial.diverged.len());
                let needed = if change.is_bold() { before.div_ceil(2) } else { 1 };
                let is_gone = !trial.diverged.contains(&at);
                if let Change::Shrink { .. } = change {
                    // In which order the CPUs lost their slabs is only partly known: what counts is how far it goes well.
                    let reach = trial.diverged.iter().copied().find(|&diverged| diverged >= *change.span().start()).unwrap_or(end);
                    let is_believable = self.part.is_whole && changes.shrunk == 0 && before >= SHRINK_CLEARS;
                    if is_believable && reach >= at + SHRINK_REACHES && shrink.is_none_or(|(best, _)| reach > best) {
                        shrink = Some((reach, change));
                    }
                    continue;
                }
                // Of changes that clear up as much, the one that asks for the least is taken.
                let rank = (after, change.cost(ops));
                if is_gone && after + needed <= before && best.is_none_or(|(best, _)| rank < best) {
                    best = Some((rank, change));
                }
            }
            let chosen = best.map(|(_, change)| change).or(shrink.map(|(_, change)| change));
            if let Some(change) = chosen {
                change.apply(ops);
                match change {
                    Change::Move { .. } => changes.moved += 1,
                    Change::Cpu { .. } => changes.displaced += 1,
                    Change::Shrink { .. } => changes.shrunk += 1,
                }
            }
            if self.steps > MAX_STEPS {
                break;
            }
        }
    }

    /// Where a replay first diverges from here on, not before an operation.
    fn first_divergence(&mut self, settled: &Follow<'_>, ops: &[Op], from: usize) -> Option<usize> {
        let mut follow = settled.clone();
        while follow.position < ops.len() {
            follow.forget();
            follow.advance(ops);
            if follow.diverged.first().is_some_and(|&at| at >= from) {
                break;
            }
        }
        self.steps += follow.position - settled.position;
        follow.diverged.first().copied().filter(|&at| at >= from)
    }

    /// Lets the settled replay go on to an operation.
    fn proceed(&mut self, settled: &mut Follow<'_>, ops: &[Op], to: usize) {
        let from = settled.position;
        while settled.position < to {
            settled.advance(ops);
        }
        self.steps += settled.position - from;
    }

    /// The divergences of a replay up to an operation.
    fn trial<'b>(&mut self, settled: &Follow<'b>, ops: &[Op], end: usize) -> Follow<'b> {
        let mut follow = settled.clone();
        follow.forget();
        while follow.position < end {
            follow.advance(ops);
        }
        self.steps += follow.position - settled.position;
        follow
    }

    /// Operations by which the replay's slabs that stand for these moved from one place to another, the latest first.
    fn travels(&mut self, settled: &Follow<'_>, ops: &[Op], at: usize, slabs: &[KernelSlab]) -> Vec<usize> {
        let mut follow = settled.clone();
        let mut places: Vec<Option<Place>> = vec![None; slabs.len()];
        let mut travels = Vec::new();
        while follow.position < at {
            let position = follow.position;
            follow.advance(ops);
            let now = follow.replay.look(follow.position);
            for (place, &slab) in places.iter_mut().zip(slabs) {
                let found = now.stand_in(0, slab).map(|view| view.place);
                if found != *place && place.is_some() {
                    travels.push(position);
                }
                *place = found;
            }
        }
        self.steps += follow.position - settled.position;
        travels.reverse();
        travels
    }

    /// The kernel's slab, and the slab that the replay takes from instead.
    fn slabs_concerned(&mut self, settled: &Follow<'_>, ops: &[Op], at: usize) -> Option<Vec<KernelSlab>> {
        let mut follow = settled.clone();
        while follow.position <= at {
            follow.advance(ops);
        }
        self.steps += follow.position - settled.position;
        let taken = follow.replay.object(ops[at].object)?;
        let instead = follow.replay.look(follow.position).kernel_slab(0, taken.slab);
        let kernel = self.part.plan.kernel.slab(ops[at].object);
        let mut slabs: Vec<KernelSlab> = kernel.into_iter().chain(instead).collect();
        slabs.dedup();
        Some(slabs)
    }
}
