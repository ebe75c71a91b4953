//! One load, replayed by each kernel and setting that is asked for.

use rayon::prelude::*;

use super::super::args::CompareArgs;
use super::super::failure::Failure;
use super::super::load::Loaded;
use super::super::progress::Stage;
use super::super::set;
use crate::compare::{Replayed, SAMPLES, STARTED_ANEW, compare, is_recorded};
use crate::setting::Setting;
use crate::tune::{Change, MAX_CONFIGURATIONS, Pages, Row, Trial, TrialError, grid};

/// One of the columns of a comparison.
pub(super) struct Candidate {
    /// What is set otherwise than recorded, as it can be typed; empty for what only the kernel tells apart.
    pub(super) set: String,
    pub(super) replayed: Replayed,
}

impl Candidate {
    /// What tells it apart in a table.
    pub(super) fn label(&self) -> String {
        if self.set.is_empty() { self.replayed.setting.label() } else { self.set.clone() }
    }
}

/// Replays by kernels, then by models, then under settings; before those comes the recorded kernel as it was.
pub(super) fn replay(args: &CompareArgs, loaded: &Loaded) -> Result<Vec<Candidate>, Failure> {
    let recorded = &loaded.setting;
    let capture = loaded.capture.as_ref();
    let kernels = args.kernels.iter().map(|&release| {
        let is_same = is_recorded(release, recorded.kernel.release);
        if is_same { recorded.clone() } else { recorded.for_release(release, capture) }
    });
    let targets: Vec<Setting> = kernels.chain(args.models.iter().map(|&name| recorded.for_model_name(name, capture))).collect();
    let stage = Stage::operations("replaying", (loaded.plan.ops.len() * targets.len()) as u64);
    let replayed = compare(&loaded.plan, recorded, &targets, &|operations| stage.add(operations))?;
    drop(stage);
    let mut candidates: Vec<Candidate> = replayed.into_iter().map(|replayed| Candidate { set: String::new(), replayed }).collect();
    if !args.set.is_empty() {
        candidates.extend(settings(args, loaded)?);
    }
    Ok(candidates)
}

fn settings(args: &CompareArgs, loaded: &Loaded) -> Result<Vec<Candidate>, Failure> {
    let (axes, notes) = set::axes(loaded, &args.set)?;
    let configurations = grid(&axes).ok_or_else(|| {
        Failure::usage(&format!("--set: more than {MAX_CONFIGURATIONS} configurations"), "fewer values, or fewer knobs at once")
    })?;
    let base = set::base(loaded);
    let trial = Trial::new(base, Pages::Recorded, SAMPLES);
    let stage = Stage::operations("replaying", (loaded.plan.ops.len() * configurations.len()) as u64);
    let replay = |changes: &Vec<Change>| trial.run(changes, &|operations| stage.add(operations));
    let rows = configurations.par_iter().map(replay).collect::<Result<Vec<Row>, TrialError>>();
    drop(stage);
    // What the user asked to see beside the others has to be there.
    let rows = rows.map_err(|error| match error {
        TrialError::Change(error) => set::failure(error),
        TrialError::Replay(error) => error.into(),
    })?;
    let candidate = |row: Row| {
        let (setting, caches) = base.caches(&row.changes).map_err(set::failure)?;
        let mut own = Vec::new();
        if !row.restarted.is_empty() {
            own.push(format!("{} caches {STARTED_ANEW}", row.restarted.len()));
        }
        if !row.changes.is_empty() {
            own.extend(notes.iter().cloned());
        }
        Ok(Candidate {
            set: set::described(&loaded.plan, &row.changes),
            replayed: Replayed {
                setting,
                is_recorded: row.changes.is_empty(),
                notes: own,
                total: row.total,
                names: caches.iter().map(|cache| cache.name.clone()).collect(),
                caches: row.caches,
                slabs: caches.iter().map(|cache| (cache.layout.order, cache.layout.objects)).collect(),
            },
        })
    };
    // The recorded kernel, which is the first of any grid, may be there by its release already.
    let is_there = args.kernels.iter().any(|&release| is_recorded(release, loaded.setting.kernel.release));
    rows.into_iter().skip(usize::from(is_there)).map(candidate).collect()
}
