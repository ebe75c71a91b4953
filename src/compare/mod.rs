//! The same operations replayed by several kernels.
//!
//! | file | what it does |
//! |---|---|
//! | `retarget` | lays a plan out for another release |
//! | `translate` | puts a plan in the terms of another allocator |
//! | `figures` | what is compared, from a replay's outcome |
//! | `measure` | replays a plan that is laid out, and takes the figures |
//! | `recordings` | recordings beside recordings |
//! | `significance` | whether runs of two kinds differ by more than chance |
//!
//! A plan is made once, by the rules of the kernel that was recorded: which object is of which cache, what was not traced, the
//! heap at the start. None of that depends on the kernel that is asked about. What does is laid out anew for each.

mod figures;
mod measure;
mod recordings;
mod retarget;
mod significance;
mod translate;

use rayon::prelude::*;

pub(crate) use figures::activity;
pub use figures::{Figures, NODE_MOVES};
pub(crate) use measure::{Laid, Measured, untouched_objects};
pub use recordings::{Compared, Difference, Measure, Run, compare_runs};
pub(crate) use retarget::restart;
pub use retarget::{Relaid, Retargeted, relay, retarget};

use crate::allocators::AllocatorKind;
use crate::mem::{RecordedPages, UnlimitedPages};
use crate::prepare::Plan;
use crate::replay::ReplayError;
use crate::setting::Setting;
pub use significance::{CONFIDENCE, FALSE_DISCOVERIES, Summary, Test};

pub use crate::setting::is_same_release as is_recorded;

/// One kernel's replay.
#[derive(Debug, Clone)]
pub struct Replayed {
    /// Kernel and machine.
    pub setting: Setting,
    /// It is the kernel that was recorded.
    pub is_recorded: bool,
    /// What the reader has to know of how the plan was laid out for it.
    pub notes: Vec<String>,
    /// Over all caches.
    pub total: Figures,
    /// Names of its caches; those of kmalloc differ between allocators.
    pub names: Vec<String>,
    /// By cache.
    pub caches: Vec<Figures>,
    /// By cache: order and objects of a slab.
    pub slabs: Vec<(u32, u32)>,
}

impl Replayed {
    /// Number of the cache of that name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<usize> {
        self.names.iter().position(|own| own == name)
    }
}

/// How caches begin whose slabs do not fit, in notes: "caches {STARTED_ANEW}".
pub(crate) const STARTED_ANEW: &str =
    "with other slabs than recorded start with their old objects allocated anew, without the gaps between them";

/// Moments at which the state of all caches is looked at, for means over time.
pub const SAMPLES: u32 = 1000;

/// Replays `plan`, which was made for `recorded`, by each kernel of `targets`, in parallel. A target that equals `recorded` gets the
/// plan as it is, with pages as recorded. The results are in the order of the targets. `progress` is told of operations done.
///
/// # Errors
///
/// If a replay finds its model broken.
pub fn compare(
    plan: &Plan,
    recorded: &Setting,
    targets: &[Setting],
    progress: &(dyn Fn(u64) + Sync),
) -> Result<Vec<Replayed>, ReplayError> {
    targets.par_iter().map(|target| replay(plan, recorded, target, progress)).collect()
}

fn replay(plan: &Plan, recorded: &Setting, target: &Setting, progress: &(dyn Fn(u64) + Sync)) -> Result<Replayed, ReplayError> {
    let mut untouched = untouched_objects(plan);
    if target == recorded {
        let pages = RecordedPages::new(plan.recorded_slabs.iter().cloned());
        let laid = Laid { plan, initial: &[], ops: &plan.ops, untouched: &untouched, target };
        return Ok(replayed(&laid, true, Vec::new(), laid.run(pages, SAMPLES, progress)?));
    }
    let Retargeted { plan: own, initial, restarted, unlaid, lost } = retarget(plan, recorded, target);
    for &cache in &restarted {
        untouched[cache] = 0;
    }
    let is_translated = (recorded.allocator, target.allocator) != (AllocatorKind::Slub, AllocatorKind::Slub);
    if is_translated {
        untouched = vec![0; own.caches.len()];
    }
    let mut notes = Vec::new();
    if target.rules.sheaves.is_some() && recorded.rules.sheaves.is_none() {
        notes.push("the memory of the sheaves themselves is not counted: the recorded kernel allocated none".to_owned());
    }
    if is_translated && initial > 0 {
        notes.push(format!("{initial} objects from before the trace are allocated anew, without the gaps between them"));
    }
    let name = |cache: &usize| plan.caches[*cache].name.as_str();
    if !restarted.is_empty() {
        notes.push(format!("caches {STARTED_ANEW}: {}", listed(restarted.iter().map(name))));
    }
    if !unlaid.is_empty() {
        let what = if is_translated { "left out" } else { "laid out as recorded" };
        notes.push(format!("caches that this kernel would not make are {what}: {}", listed(unlaid.iter().map(name))));
    }
    if lost > 0 {
        notes.push(format!("{lost} operations are not replayed: this kernel serves requests of that size by whole pages"));
    }
    if plan.has_index_arrays && target.allocator != AllocatorKind::Slab {
        notes.push("the index arrays of the recorded kernel's own slabs are among its kmalloc objects".to_owned());
    }
    let (initial, ops) = own.ops.split_at(initial);
    let laid = Laid { plan: &own, initial, ops, untouched: &untouched, target };
    Ok(replayed(&laid, false, notes, laid.run(UnlimitedPages::default(), SAMPLES, progress)?))
}

fn replayed(laid: &Laid<'_>, is_recorded: bool, notes: Vec<String>, measured: Measured) -> Replayed {
    let caches = &laid.plan.caches;
    Replayed {
        setting: laid.target.clone(),
        is_recorded,
        notes,
        total: measured.total,
        names: caches.iter().map(|cache| cache.name.clone()).collect(),
        caches: measured.caches,
        slabs: caches.iter().map(|cache| (cache.layout.order, cache.layout.objects)).collect(),
    }
}

/// Names shown of a longer list.
const LISTED: usize = 5;

fn listed<'a>(names: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = names.len();
    let shown: Vec<&str> = names.take(LISTED).collect();
    let more = if count > shown.len() { format!(" and {} more", count - shown.len()) } else { String::new() };
    format!("{}{more}", shown.join(", "))
}

#[cfg(test)]
mod tests;
