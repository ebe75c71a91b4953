//! A replay of a plan that is laid out, and its figures.

use super::figures::{Figures, Start};
use crate::mem::PageSource;
use crate::prepare::{Op, Plan};
use crate::replay::{CacheState, Observer, Outcome, Paused, ReplayError, Setup, Timeline};
use crate::setting::Setting;

/// A plan that is ready for its kernel.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Laid<'a> {
    /// Caches and the heap at the start.
    pub(crate) plan: &'a Plan,
    /// Operations before the recorded ones.
    pub(crate) initial: &'a [Op],
    /// The recorded ones.
    pub(crate) ops: &'a [Op],
    /// By cache: objects in use that no operation speaks of.
    pub(crate) untouched: &'a [u64],
    /// Kernel and machine.
    pub(crate) target: &'a Setting,
}

/// What a replay came to.
#[derive(Debug)]
pub(crate) struct Measured {
    /// By cache.
    pub(crate) caches: Vec<Figures>,
    /// Over all caches.
    pub(crate) total: Figures,
    /// Everything about the caches.
    pub(crate) outcome: Outcome,
}

/// By cache: objects in use at the start that the trace never speaks of.
pub(crate) fn untouched_objects(plan: &Plan) -> Vec<u64> {
    let mut untouched = vec![0_u64; plan.caches.len()];
    for seed in &plan.seeds {
        let cache = usize::from(seed.cache);
        untouched[cache] += seed.untouched(plan.caches[cache].layout.objects).count() as u64;
    }
    for sheaf in &plan.sheaf_seeds {
        untouched[usize::from(sheaf.cache)] -= sheaf.objects.len() as u64;
    }
    untouched
}

impl Laid<'_> {
    /// Replays, with the state of all caches looked at as often as said.
    pub(crate) fn run<P: PageSource>(&self, pages: P, samples: u32, progress: &(dyn Fn(u64) + Sync)) -> Result<Measured, ReplayError> {
        let setup = Setup { samples, pause_at: vec![self.initial.len()], ..self.target.setup() };
        let mut watch = Watch { caches: self.plan.caches.len(), start: Vec::new(), done: 0, progress };
        let replayed = self.target.replay_parts(self.plan, &[self.initial, self.ops], &setup, pages, &mut watch)?;
        let (outcome, timeline, _): (Outcome, Timeline, P) = replayed;
        let mut initial = vec![0_u64; self.plan.caches.len()];
        for op in self.initial {
            initial[usize::from(op.cache)] += 1;
        }
        let none = CacheState::default();
        let caches: Vec<Figures> = (0..self.plan.caches.len())
            .map(|cache| {
                let start =
                    Start { state: watch.start.get(cache).unwrap_or(&none), allocs: initial[cache], untouched: self.untouched[cache] };
                Figures::of(&self.plan.caches[cache], &self.target.rules, &outcome.caches[cache], &timeline, cache, start)
            })
            .collect();
        Ok(Measured { total: Figures::total(&self.plan.caches, &caches, self.untouched, &timeline), caches, outcome })
    }
}

/// Notes the counters where the recorded operations begin.
struct Watch<'a> {
    caches: usize,
    start: Vec<CacheState>,
    done: u64,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl Observer for Watch<'_> {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}

    fn pause(&mut self, at: &Paused<'_>) {
        self.start = (0..self.caches).filter_map(|cache| at.state(cache)).collect();
    }

    fn progress(&mut self, operations: u64) {
        (self.progress)(operations - self.done);
        self.done = operations;
    }
}
