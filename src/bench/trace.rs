//! The operations of a trace, by the workers of [`crate::replay::threads`]: the models from the plan as their release lays it out, other
//! allocators from the sizes that were asked for.
//!
//! Workers wait for each other as in any replay on threads: a free for its allocation, and all for the window. What that costs is the
//! same for all allocators, and in every figure. Memory is there before time runs, for all: allocators of programs keep theirs from the
//! round before, and models get as much as they used in theirs.

use std::alloc::{GlobalAlloc, System};
use std::sync::atomic::AtomicBool;

use slubreplay_parsers::capture::Capture;

use super::foreign::Driven;
use super::stats::{ReplayFigure, median};
use super::{Allocator, BenchError, Figure};
use crate::allocators::AllocatorKind;
use crate::allocators::slub::Rules;
use crate::compare::{is_recorded, retarget};
use crate::prepare::{Op, Plan, What};
use crate::replay::threads::{self, DEFAULT_WINDOW_NS, Pace, Shares, ThreadsOutcome, ThreadsSetup, Touch, run_other};
use crate::setting::Setting;

/// Name of the pattern.
pub const NAME: &str = "trace";

/// A plan to measure with.
#[derive(Debug, Clone, Copy)]
pub struct Traced<'a> {
    /// The plan.
    pub plan: &'a Plan,
    /// Kernel and machine that it is laid out for.
    pub setting: &'a Setting,
    /// What it was part of.
    pub capture: Option<&'a Capture>,
}

/// An allocator with the plan that it gets.
struct Entrant {
    allocator: Allocator,
    /// `None` for the plan with sizes.
    laid_out: Option<(Plan, Rules)>,
    /// Memory that a model used.
    ready_bytes: u64,
}

/// Replays a trace by all allocators on these numbers of workers, round after round; `progress` is told of each replay that was done.
///
/// # Errors
///
/// If a model cannot replay it.
pub fn run(
    traced: Traced<'_>,
    allocators: &[Allocator],
    threads: &[usize],
    rounds: usize,
    progress: &dyn Fn(u64),
) -> Result<Vec<Figure>, BenchError> {
    let sized = sized(traced.plan);
    let mut entrants: Vec<Entrant> = allocators.iter().map(|&allocator| Entrant::of(allocator, traced)).collect();
    let cpus = traced.setting.topology.cpus();
    let mut counts: Vec<usize> = threads.iter().map(|&threads| threads.min(cpus.into())).collect();
    counts.dedup();
    let mut figures: Vec<Figure> = Vec::new();
    for workers in counts {
        let bound = bound(&Shares::of(traced.plan, cpus, workers));
        let mut elapsed = vec![Vec::with_capacity(rounds); entrants.len()];
        // The round before the first warms up.
        for round in 0..=rounds {
            for turn in 0..entrants.len() {
                let number = (round + turn) % entrants.len();
                let outcome = entrants[number].replay(&sized, traced.setting, workers)?;
                if round > 0 {
                    elapsed[number].push(outcome.elapsed.as_secs_f64());
                }
                progress(1);
            }
        }
        for (entrant, elapsed) in entrants.iter().zip(elapsed) {
            let operations = entrant.laid_out.as_ref().map_or(&sized, |(plan, _)| plan).ops.len() as u64;
            let allocator = entrant.allocator.name();
            let per_second = operations as f64 / median(&elapsed);
            let single = figures.iter().find(|figure| figure.allocator == allocator && figure.threads == 1);
            let single = single.and_then(|figure| figure.replay).map(|replay| replay.per_second);
            // A pair is two operations; of each worker, as in the other patterns.
            let ns_per_pair = elapsed.iter().map(|seconds| seconds * 2e9 * workers as f64 / operations as f64).collect();
            let efficiency = single.map(|single| per_second / single / workers as f64).filter(|_| workers > 1);
            let replay = Some(ReplayFigure { operations, per_second, efficiency, bound });
            figures.push(Figure { pattern: NAME, allocator, threads: workers, size: None, ns_per_pair, replay });
        }
    }
    Ok(figures)
}

/// The most that the efficiency of so many workers can be: all operations, over those of the busiest worker times the workers.
pub(super) fn bound(shares: &Shares) -> f64 {
    let busiest = shares.workers.iter().map(|worker| worker.ops.len()).max().unwrap_or(0);
    shares.operations() as f64 / (busiest * shares.workers.len()).max(1) as f64
}

/// The plan with sizes at every operation, frees included, for allocators that want to be told them; without what they have no word for:
/// lists, bulk, kfree_rcu(), shrinking.
pub(super) fn sized(plan: &Plan) -> Plan {
    let mut bytes = vec![0; plan.objects as usize];
    for seed in &plan.seeds {
        for &(object, _) in &seed.live {
            bytes[object as usize] = plan.caches[usize::from(seed.cache)].layout.object_size;
        }
    }
    let ops = plan.ops.iter().map(|op| {
        let of_object = &mut bytes[op.object as usize];
        if op.what.is_free() {
            return Op { requested_bytes: *of_object, what: What::FREED, ..*op };
        }
        let whole = plan.caches[usize::from(op.cache)].layout.object_size;
        *of_object = if op.requested_bytes == 0 { whole } else { op.requested_bytes };
        Op { requested_bytes: *of_object, what: What::ALLOC, ..*op }
    });
    let ops = ops.collect();
    Plan { ops, ..plan.clone() }
}

impl Entrant {
    fn of(allocator: Allocator, traced: Traced<'_>) -> Self {
        let is_slub = traced.setting.allocator == AllocatorKind::Slub;
        let laid_out = match allocator {
            Allocator::Slub { release, .. } if is_slub && is_recorded(release, traced.setting.kernel.release) => {
                Some((traced.plan.clone(), traced.setting.rules))
            }
            Allocator::Slub { release, .. } => {
                let is_tiny = traced.setting.kernel.build.slub_tiny;
                let target = traced.setting.for_model((AllocatorKind::Slub, release), is_tiny, traced.capture);
                Some((retarget(traced.plan, traced.setting, &target).plan, target.rules))
            }
            _ => None,
        };
        Self { allocator, laid_out, ready_bytes: 0 }
    }

    fn replay(&mut self, sized: &Plan, setting: &Setting, workers: usize) -> Result<ThreadsOutcome, BenchError> {
        let setup = ThreadsSetup {
            rules: self.laid_out.as_ref().map_or(setting.rules, |&(_, rules)| rules),
            topology: setting.topology.clone(),
            page_bytes: setting.kernel.machine.page_bytes,
            workers,
            cores: core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect(),
            window_ns: DEFAULT_WINDOW_NS,
            pace: Pace::Asap,
            sample_every: 0,
            touch: Touch::FirstLine,
            counts: matches!(self.allocator, Allocator::Slub { counts: true, .. }),
            ready_bytes: self.ready_bytes,
        };
        let stop = AtomicBool::new(false);
        let outcome = match (&self.laid_out, self.allocator) {
            (Some((plan, _)), _) => {
                let outcome = threads::run(plan, &setup, &stop, &|_| {});
                let outcome = outcome.map_err(|source| BenchError::Replay { allocator: self.allocator.name(), source })?;
                self.ready_bytes = outcome.memory.frames;
                outcome
            }
            #[cfg(feature = "other-allocators")]
            (None, Allocator::Mimalloc) => other(mimalloc::MiMalloc, sized, &setup, &stop),
            #[cfg(feature = "other-allocators")]
            (None, Allocator::Jemalloc) => other(tikv_jemallocator::Jemalloc, sized, &setup, &stop),
            #[cfg(feature = "other-allocators")]
            (None, Allocator::Snmalloc) => other(snmalloc_rs::SnMalloc, sized, &setup, &stop),
            // Names of others are refused where there are none.
            (None, _) => other(System, sized, &setup, &stop),
        };
        let failed = outcome.failed_allocs + outcome.skipped_frees;
        if failed > 0 && self.laid_out.is_none() {
            return Err(BenchError::OutOfMemory { allocator: self.allocator.name(), pattern: NAME });
        }
        Ok(outcome)
    }
}

fn other<A: GlobalAlloc + Sync>(allocator: A, plan: &Plan, setup: &ThreadsSetup, stop: &AtomicBool) -> ThreadsOutcome {
    run_other(plan, setup, &Driven(allocator), stop)
}
