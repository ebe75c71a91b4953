//! Settles by addresses what the order of a trace leaves open.
//!
//! An event is recorded a little before or after what it tells of takes effect, and on a preemptible kernel perhaps on another
//! CPU. Where two CPUs work on the same slab within that little, the trace may show them in the wrong order: who frees
//! into a full slab first gets it on its partial list. Nothing in the two events tells, but what follows does: some thousand
//! operations later an object comes from another slab than in the replay.
//!
//! So each cache whose replay diverges from the kernel is replayed by itself again and again: from its first divergence back, every
//! reordering of operations that came close together on the slabs concerned, and every other CPU of the last of them, is
//! tried, and whether the cache was shrunk meanwhile (`candidates`). A replay that takes another object of the same slab (`follow`) is such a sign as well. What makes the divergence go away is kept, and the next one is looked at (`search`). Only addresses judge; no
//! counter of the kernel is looked at. Every change is counted in the ledger.

mod candidates;
mod follow;
mod search;

#[cfg(test)]
mod tests;

use rayon::prelude::*;

use crate::prepare::ledger::Entry;
use crate::prepare::{Coverage, Op, Plan};
use crate::replay::Setup;
use search::Changes;

/// Caches with more inferred operations than this, in thousandths, are left as they are: what diverges there is what was inferred.
const MAX_INFERRED_PERMILLE: u64 = 50;

/// Caches with fewer are seen whole: if they diverge for long, they may have been shrunk.
const WHOLE_BELOW_PERMILLE: u64 = 5;

/// Changes the order and the CPUs of operations in `plan` where the kernel's addresses show that they were otherwise. `progress` is
/// told of operations looked through, cache by cache.
pub fn refine(plan: &mut Plan, setup: &Setup, progress: &(dyn Fn(u64) + Sync)) {
    let setup = Setup { samples: 0, check_every: 0, pause_at: Vec::new(), ..setup.clone() };
    // Sheaves hide which slab an object is from; and without page events it is not known well enough.
    let knows_slabs = plan.recorded_slabs.iter().any(|slabs| !slabs.is_empty());
    if !setup.rules.has_cpu_slabs() || !knows_slabs {
        return;
    }
    let settled: Vec<(usize, Part, Changes)> = doubted(plan)
        .into_par_iter()
        .filter_map(|(number, positions)| {
            let mut part = Part::of(plan, number, positions);
            let changes = search::settle(&mut part, &setup);
            progress(part.plan.ops.len() as u64);
            (changes != Changes::default()).then_some((number, part, changes))
        })
        .collect();
    for (number, part, changes) in settled {
        part.write_back(plan, number as u16);
        let name = plan.caches[number].name.clone();
        plan.ledger.add(Entry::OrderSettled, &name, changes.moved);
        plan.ledger.add(Entry::DisplacedEvents, &name, changes.displaced);
        plan.ledger.add(Entry::Shrunk, &name, changes.shrunk);
    }
}

/// Caches that can be compared with the kernel by addresses, little of them inferred, with the positions of their operations.
fn doubted(plan: &Plan) -> Vec<(usize, Vec<u32>)> {
    let mut positions: Vec<Vec<u32>> = vec![Vec::new(); plan.caches.len()];
    let mut is_compared = vec![false; plan.caches.len()];
    for (position, op) in (0..).zip(&plan.ops) {
        let number = usize::from(op.cache);
        positions[number].push(position);
        is_compared[number] |= !op.what.is_free() && plan.kernel.slab(op.object).is_some();
    }
    let is_doubted = |number: usize| is_compared[number] && inferred_permille(plan, number) <= MAX_INFERRED_PERMILLE;
    positions.into_iter().enumerate().filter(|&(number, _)| is_doubted(number)).collect()
}

fn inferred_permille(plan: &Plan, number: usize) -> u64 {
    Coverage::of(&plan.ledger, &plan.caches[number].name).implied_permille()
}

/// The operations of one cache, as a plan of their own.
#[derive(Debug)]
struct Part {
    plan: Plan,
    /// By operation: its position in the whole plan.
    positions: Vec<u32>,
    /// By object: its number in the whole plan.
    objects: Vec<u32>,
    /// The trace shows all that happened to it.
    is_whole: bool,
}

impl Part {
    fn of(plan: &Plan, number: usize, positions: Vec<u32>) -> Self {
        let mut numbers: rustc_hash::FxHashMap<u32, u32> = Default::default();
        let mut objects = Vec::new();
        let mut renumber = |object: u32| {
            *numbers.entry(object).or_insert_with(|| {
                objects.push(object);
                objects.len() as u32 - 1
            })
        };
        let own = positions.iter().map(|&position| plan.ops[position as usize]);
        let ops: Vec<Op> = own.map(|op| Op { cache: 0, object: renumber(op.object), ..op }).collect();
        let mut seeds: Vec<_> = plan.seeds.iter().filter(|seed| usize::from(seed.cache) == number).cloned().collect();
        for seed in &mut seeds {
            seed.cache = 0;
            for (object, _) in &mut seed.live {
                *object = renumber(*object);
            }
        }
        let part = Plan {
            caches: vec![plan.caches[number].clone()],
            ops,
            objects: objects.len() as u32,
            kernel: plan.kernel.of(&objects, seeds.iter_mut().filter_map(|seed| seed.slab.as_mut())),
            seeds,
            recorded_slabs: vec![plan.recorded_slabs.get(number).cloned().unwrap_or_default()],
            ..Plan::default()
        };
        Self { plan: part, positions, objects, is_whole: inferred_permille(plan, number) < WHOLE_BELOW_PERMILLE }
    }

    /// Puts the operations, in their present order, where those of the cache are in the whole plan.
    fn write_back(self, plan: &mut Plan, number: u16) {
        for (position, op) in self.positions.into_iter().zip(self.plan.ops) {
            plan.ops[position as usize] = Op { cache: number, object: self.objects[op.object as usize], ..op };
        }
    }
}
