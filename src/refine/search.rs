//! The search for what makes divergences go away.

use super::Part;
use super::candidates::{Change, Doubted, candidates};
use crate::allocators::slub::Place;
use crate::mem::RecordedPages;
use crate::prepare::{KernelSlab, Op};
use crate::replay::{CacheState, Engine, Observer, Setup};

/// Operations before a divergence that are doubted.
const LOOK_BACK: usize = 4000;

/// Operations after it by which a change is judged.
const LOOK_AHEAD: usize = 1500;

/// Divergences of a cache that are looked at.
const MAX_ROUNDS: usize = 32;

/// Operations that may be replayed in search of a cache's changes: a bound on the time it takes that does not depend on the machine.
const MAX_STEPS: usize = 20_000_000;

/// Changes made to the operations of a cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Changes {
    /// Operations that took effect in another order.
    pub(super) moved: u64,
    /// Operations of another CPU than recorded.
    pub(super) displaced: u64,
}

pub(super) struct Search<'a> {
    part: &'a mut Part,
    setup: &'a Setup,
    steps: usize,
}

/// Divergences of a stretch of operations.
#[derive(Debug, Default)]
struct Watch {
    first: Option<usize>,
    count: usize,
}

impl Observer for Watch {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}
    fn progress(&mut self, _: u64) {}

    fn diverged(&mut self, position: usize) {
        self.first.get_or_insert(position);
        self.count += 1;
    }
}

impl<'a> Search<'a> {
    pub(super) fn new(part: &'a mut Part, setup: &'a Setup) -> Self {
        Self { part, setup, steps: 0 }
    }

    pub(super) fn run(mut self) -> Changes {
        let mut changes = Changes::default();
        let mut ops = std::mem::take(&mut self.part.plan.ops);
        self.part.plan.ops = ops.clone();
        {
            let plan = &self.part.plan;
            let pages = RecordedPages::new(plan.recorded_slabs.iter().cloned());
            // The replay as far as it is settled, and the operations done in it.
            let mut settled = (Engine::new(plan, self.setup, pages), 0_usize);
            for _ in 0..MAX_ROUNDS {
                let Some(at) = first_divergence(&settled, &ops, &mut self.steps) else { break };
                let from = at.saturating_sub(LOOK_BACK).max(settled.1);
                proceed(&mut settled, &ops, from, &mut self.steps);
                let from = settled.1;
                let Some(slabs) = slabs_concerned(&settled, &ops, at, plan.kernel.slab(ops[at].object)) else { break };
                let end = (at + LOOK_AHEAD).min(ops.len());
                let baseline = trial(&settled, &ops, end, &mut self.steps);
                let mut best: Option<(usize, Change)> = None;
                let moves = travels(&settled, &ops, at, &slabs, &mut self.steps);
                let doubted = Doubted { slabs: &slabs, moves: &moves, from, at };
                for change in candidates(&ops, &plan.kernel, &doubted, self.setup.topology.cpus()) {
                    if self.steps > MAX_STEPS {
                        break;
                    }
                    debug_assert!(change.start() >= from, "what is settled stays");
                    let mut changed = ops[..end].to_vec();
                    change.apply(&mut changed);
                    let watch = trial(&settled, &changed, end, &mut self.steps);
                    let is_later = watch.first.is_none_or(|first| first > at);
                    // Moving an operation to another CPU is the bolder claim: it has to clear up more.
                    let needed = if matches!(change, Change::Cpu { .. }) { baseline.count.div_ceil(2) } else { 1 };
                    if is_later && watch.count + needed <= baseline.count && best.is_none_or(|(count, _)| watch.count < count) {
                        best = Some((watch.count, change));
                    }
                }
                let Some((_, change)) = best else { break };
                change.apply(&mut ops);
                match change {
                    Change::Move { .. } => changes.moved += 1,
                    Change::Cpu { .. } => changes.displaced += 1,
                }
                if self.steps > MAX_STEPS {
                    break;
                }
            }
        }
        self.part.plan.ops = ops;
        changes
    }
}

type Replay<'a> = (Engine<'a, RecordedPages>, usize);

/// Where a replay first diverges from here on.
fn first_divergence(settled: &Replay<'_>, ops: &[Op], steps: &mut usize) -> Option<usize> {
    let mut replay = settled.0.clone();
    let mut watch = Watch::default();
    let mut position = settled.1;
    while position < ops.len() && watch.first.is_none() {
        position = replay.advance(ops, position, &mut watch);
    }
    *steps += position - settled.1;
    watch.first
}

/// Lets the settled replay go on to an operation.
fn proceed(settled: &mut Replay<'_>, ops: &[Op], to: usize, steps: &mut usize) {
    let mut watch = Watch::default();
    let from = settled.1;
    while settled.1 < to {
        settled.1 = settled.0.advance(ops, settled.1, &mut watch);
    }
    *steps += settled.1 - from;
}

/// The divergences of a replay up to `end`.
fn trial(settled: &Replay<'_>, ops: &[Op], end: usize, steps: &mut usize) -> Watch {
    let mut replay = settled.0.clone();
    let mut watch = Watch::default();
    let mut position = settled.1;
    while position < end {
        position = replay.advance(ops, position, &mut watch);
    }
    *steps += position - settled.1;
    watch
}

/// Operations by which the replay's slabs that stand for these moved from one place to another, the latest first.
fn travels(settled: &Replay<'_>, ops: &[Op], at: usize, slabs: &[KernelSlab], steps: &mut usize) -> Vec<usize> {
    let mut replay = settled.0.clone();
    let mut watch = Watch::default();
    let mut position = settled.1;
    let mut places: Vec<Option<Place>> = vec![None; slabs.len()];
    let mut travels = Vec::new();
    while position < at {
        let next = replay.advance(ops, position, &mut watch);
        let now = replay.look(next);
        for (place, &slab) in places.iter_mut().zip(slabs) {
            let found = now.stand_in(0, slab).map(|view| view.place);
            if found != *place && place.is_some() {
                travels.push(position);
            }
            *place = found;
        }
        position = next;
    }
    *steps += position - settled.1;
    travels.reverse();
    travels
}

/// The kernel's slab, and the slab that the replay takes from instead.
fn slabs_concerned(settled: &Replay<'_>, ops: &[Op], at: usize, kernel: Option<KernelSlab>) -> Option<Vec<KernelSlab>> {
    let mut replay = settled.0.clone();
    let mut watch = Watch::default();
    let mut position = settled.1;
    while position <= at {
        position = replay.advance(ops, position, &mut watch);
    }
    let taken = replay.object(ops[at].object)?;
    let instead = replay.look(position).kernel_slab(0, taken.slab);
    Some(kernel.into_iter().chain(instead).collect())
}
