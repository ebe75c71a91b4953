//! Replays of one plan under many changes.

use std::collections::BTreeMap;
use std::sync::Arc;

use parking_lot::Mutex;

use super::change::{Base, Change, ChangeError, Tuned};
use crate::allocators::slub::Counter;
use crate::compare::{Figures, Laid, Measured, untouched_objects};
use crate::fallback::{PageMachine, Question};
use crate::mem::buddy::{OwnerPages, Placement};
use crate::mem::{PageSource, RecordedPages, UnlimitedPages};
use crate::prepare::{Op, Plan, PlannedCache};
use crate::replay::ReplayError;
use crate::setting::Setting;

/// Where slabs get their pages.
#[derive(Debug, Clone)]
pub enum Pages {
    /// Granted and refused as the recording shows it, to caches whose slabs have the recorded order; to others without end.
    Recorded,
    /// Without end.
    Unlimited,
    /// From a model of the page allocator.
    Model {
        /// Zones, rules and free blocks at the start.
        machine: Box<PageMachine>,
        /// By cache: what it asks for pages as.
        owners: Vec<OwnerPages>,
    },
}

impl Pages {
    /// Name as in `--pages`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Recorded => "recorded",
            Self::Unlimited => "unlimited",
            Self::Model { .. } => "model",
        }
    }
}

/// A load that configurations are tried on.
#[derive(Debug)]
pub struct Trial<'a> {
    /// Plan and kernel as recorded.
    pub base: Base<'a>,
    /// Where slabs get their pages.
    pub pages: Pages,
    /// Moments at which memory is looked at.
    pub samples: u32,
    /// The recorded configuration, by the caches that start anew in it.
    alike: Mutex<BTreeMap<Vec<usize>, Arc<Row>>>,
}

/// What one configuration comes to.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    /// What is set otherwise than recorded.
    pub changes: Vec<Change>,
    /// Over all caches.
    pub total: Figures,
    /// By cache.
    pub caches: Vec<Figures>,
    /// Requests for slabs that were met at a lower order.
    pub order_fallbacks: u64,
    /// Allocations that found no memory.
    pub failed_allocs: u64,
    /// Caches, by number, that start with their old objects allocated anew, as their slabs from before the trace do not fit.
    pub restarted: Vec<usize>,
    /// The recorded configuration with the same caches started in the same way, which is what this one is to be compared with: without the
    /// gaps between old objects memory is less, whatever is set. `None` if no cache starts anew.
    pub alike: Option<Arc<Row>>,
}

impl Row {
    /// What this configuration is to be compared with.
    #[must_use]
    pub fn base<'a>(&'a self, recorded: &'a Self) -> &'a Self {
        self.alike.as_deref().unwrap_or(recorded)
    }

    /// Allocations and frees that were not fast.
    #[must_use]
    pub fn slow_paths(&self) -> u64 {
        slow_paths(&self.total)
    }
}

/// Allocations and frees that were not fast.
#[must_use]
pub fn slow_paths(figures: &Figures) -> u64 {
    figures.allocs.saturating_sub(figures.fast_allocs) + figures.frees.saturating_sub(figures.fast_frees)
}

/// A configuration that could not be tried.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrialError {
    /// The kernel refuses it.
    #[error(transparent)]
    Change(#[from] ChangeError),
    /// The model is broken.
    #[error(transparent)]
    Replay(#[from] ReplayError),
}

impl<'a> Trial<'a> {
    /// A load that nothing was tried on yet.
    #[must_use]
    pub fn new(base: Base<'a>, pages: Pages, samples: u32) -> Self {
        Self { base, pages, samples, alike: Mutex::default() }
    }

    /// Replays the recorded configuration with these caches started anew, once for all that ask for it.
    pub(super) fn alike(&self, anew: &[usize]) -> Result<Arc<Row>, ReplayError> {
        if let Some(known) = self.alike.lock().get(anew) {
            return Ok(Arc::clone(known));
        }
        let Tuned { plan, initial, setting, restarted } = self.base.restarted(anew);
        let row = Arc::new(self.measure(&plan, &initial, &setting, &[], restarted, &|_| {})?);
        self.alike.lock().insert(anew.to_vec(), Arc::clone(&row));
        Ok(row)
    }

    /// Replays under changes. The operations are shared with all other replays. [`Row::alike`] is left to [`try_all`](super::try_all).
    ///
    /// # Errors
    ///
    /// If the kernel refuses one of the changes, or the replay finds its model broken.
    pub fn run(&self, changes: &[Change], progress: &(dyn Fn(u64) + Sync)) -> Result<Row, TrialError> {
        let Base { plan, setting } = self.base;
        let Some(Tuned { plan: own, initial, setting, restarted }) = self.base.tuned(changes)? else {
            return Ok(self.measure(plan, &[], setting, changes, Vec::new(), progress)?);
        };
        Ok(self.measure(&own, &initial, &setting, changes, restarted, progress)?)
    }

    fn measure(
        &self,
        plan: &Plan,
        initial: &[Op],
        target: &Setting,
        changes: &[Change],
        restarted: Vec<usize>,
        progress: &(dyn Fn(u64) + Sync),
    ) -> Result<Row, ReplayError> {
        let untouched = untouched_objects(plan);
        let laid = Laid { plan, initial, ops: &self.base.plan.ops, untouched: &untouched, target };
        let row = |measured: Measured| row(measured, changes, restarted);
        let slabs = || plan.recorded_slabs.iter().cloned();
        match &self.pages {
            Pages::Unlimited => self.replay(&laid, UnlimitedPages::default(), progress).map(row),
            Pages::Recorded => self.replay(&laid, RecordedPages::new(slabs()), progress).map(row),
            Pages::Model { machine, owners } => {
                let setup = target.setup();
                let question = Question {
                    plan,
                    setting: target,
                    setup: &setup,
                    machine,
                    owners: plan.caches.iter().zip(owners).map(|(cache, owner)| with_orders(*owner, cache)).collect(),
                    windows: &[],
                    fail: None,
                    placement: Placement::Recorded,
                    sample_at: Vec::new(),
                };
                self.replay(&laid, question.pages(), progress).map(row)
            }
        }
    }

    fn replay(&self, laid: &Laid<'_>, pages: impl PageSource, progress: &(dyn Fn(u64) + Sync)) -> Result<Measured, ReplayError> {
        laid.run(pages, self.samples, progress)
    }
}

fn with_orders(owner: OwnerPages, cache: &PlannedCache) -> OwnerPages {
    OwnerPages { order: cache.layout.order as u8, min_order: cache.layout.min_order as u8, ..owner }
}

fn row(measured: Measured, changes: &[Change], restarted: Vec<usize>) -> Row {
    let order_fallbacks = measured.outcome.caches.iter().map(|cache| cache.end.total(Counter::OrderFallback)).sum();
    Row {
        changes: changes.to_vec(),
        total: measured.total,
        caches: measured.caches,
        order_fallbacks,
        failed_allocs: measured.outcome.failed_allocs,
        restarted,
        alike: None,
    }
}
