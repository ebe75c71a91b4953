//! What another `slab_max_order` would have done.

use rayon::prelude::*;
use slubreplay_parsers::capture::SlabSnapshot;

use super::machine::owners;
use super::predict::{Question, predict};
use crate::compare::retarget;
use crate::prepare::Plan;
use crate::replay::{NoObserver, ReplayError, Setup};
use crate::setting::Setting;

/// A replay with another `slab_max_order`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MaxOrder {
    /// The parameter.
    pub max_order: u32,
    /// The recorded kernel has this one.
    pub is_recorded: bool,
    /// Caches with slabs of another order than recorded.
    pub changed: u64,
    /// First attempts above order 0.
    pub high_order: u64,
    /// Fallbacks.
    pub fallbacks: u64,
    /// Requests that failed at both orders.
    pub failures: u64,
    /// Most bytes in slabs at any of the moments.
    pub slab_bytes_peak: u64,
    /// Bytes in slabs at the end.
    pub slab_bytes_end: u64,
}

/// The orders that are tried: those of the lists that every kernel keeps blocks for, up to its default.
const MAX_ORDERS: std::ops::RangeInclusive<u32> = 0..=3;

/// Moments that the peak is looked for at.
const SAMPLES: u32 = 200;

/// Lays the plan out for each `slab_max_order` and replays it with the page allocator of `question`. Slabs of the recorded order go where the
/// recorded kernel had them, as far as `question` says so.
///
/// # Errors
///
/// If a replay finds its model broken.
pub fn other_max_orders(question: &Question<'_>, snapshot: Option<&SlabSnapshot>) -> Result<Vec<MaxOrder>, ReplayError> {
    let orders: Vec<u32> = MAX_ORDERS.collect();
    orders.par_iter().map(|&max_order| with(max_order, question, snapshot)).collect()
}

fn with(max_order: u32, question: &Question<'_>, snapshot: Option<&SlabSnapshot>) -> Result<MaxOrder, ReplayError> {
    let recorded = question.setting;
    let mut target = recorded.clone();
    let params = &mut target.kernel.params;
    params.max_order = max_order;
    params.min_order = params.min_order.min(max_order);
    let is_recorded = target.kernel.params == recorded.kernel.params;
    let laid_out = (!is_recorded).then(|| laid_out(question.plan, recorded, &target));
    let plan = laid_out.as_ref().unwrap_or(question.plan);
    let setup = Setup { samples: SAMPLES, ..question.setup.clone() };
    let own = Question {
        plan,
        setting: &target,
        setup: &setup,
        owners: owners_of(plan, question, snapshot),
        sample_at: Vec::new(),
        ..question.clone()
    };
    let prediction = predict(&own, &mut NoObserver)?;
    let sum = |figure: fn(&super::Tries) -> u64| prediction.caches.iter().map(figure).sum();
    let moments = prediction.timeline.time_ns.len();
    let bytes_at =
        |moment: usize| prediction.timeline.caches.iter().filter_map(|series| series.get(moment)).map(|sample| sample.slab_bytes).sum();
    let changed = plan.caches.iter().zip(&question.plan.caches).filter(|(own, old)| own.layout.order != old.layout.order).count();
    Ok(MaxOrder {
        max_order,
        is_recorded,
        changed: changed as u64,
        high_order: sum(|tries| tries.high_order),
        fallbacks: sum(|tries| tries.fallbacks),
        failures: sum(|tries| tries.failures),
        slab_bytes_peak: (0..moments).map(bytes_at).max().unwrap_or(0),
        slab_bytes_end: prediction.outcome.caches.iter().map(|cache| cache.slab_bytes).sum(),
    })
}

/// The plan, laid out for a target that differs in the orders of slabs.
fn laid_out(plan: &Plan, recorded: &Setting, target: &Setting) -> Plan {
    let mut own = retarget(plan, recorded, target).plan;
    let slabs = own.caches.iter().zip(&plan.caches).zip(&plan.recorded_slabs);
    own.recorded_slabs =
        slabs.map(|((own, old), slabs)| if own.layout.order == old.layout.order { slabs.clone() } else { Vec::new() }).collect();
    own
}

/// Orders are the new plan's; what the pages are asked for as is what the recording shows.
fn owners_of(plan: &Plan, question: &Question<'_>, snapshot: Option<&SlabSnapshot>) -> Vec<crate::mem::buddy::OwnerPages> {
    let mut own = owners(plan, snapshot);
    for (own, recorded) in own.iter_mut().zip(&question.owners) {
        own.is_reclaimable = recorded.is_reclaimable;
    }
    own
}
