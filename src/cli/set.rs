//! `--set`: knobs of the kernel, by the names that the user knows caches by.

use super::failure::Failure;
use super::load::Loaded;
use crate::compare::STARTED_ANEW;
use crate::tune::{Assignment, Axis, Base, Change, ChangeError, Tuned};

/// Finds the caches, and checks every value. What the user should know comes with it.
pub(super) fn axes(loaded: &Loaded, assignments: &[Assignment]) -> Result<(Vec<Axis>, Vec<String>), Failure> {
    let base = base(loaded);
    let (mut axes, mut notes) = (Vec::<Axis>::new(), Vec::new());
    for assignment in assignments {
        let (values, own) = base.check(assignment).map_err(failure)?;
        notes.extend(own);
        let cache = assignment.cache.as_ref().map(|name| loaded.cache("--set", name)).transpose()?;
        if let (Some(name), Some(cache)) = (&assignment.cache, cache.map(|cache| &loaded.plan.caches[cache])) {
            let others: Vec<&str> = cache.aliases.iter().map(String::as_str).filter(|alias| alias != name).collect();
            if !others.is_empty() {
                notes.push(format!("{name} is merged into {} with {}: all of them are changed", cache.name, others.join(", ")));
            }
        }
        if axes.iter().any(|axis| (axis.knob, axis.cache) == (assignment.knob, cache)) {
            let what = format!("--set: {} is given twice", assignment.knob);
            return Err(Failure::usage(&what, "give all of its values at once, separated by commas"));
        }
        axes.push(Axis { knob: assignment.knob, cache, values });
    }
    notes.dedup();
    Ok((axes, notes))
}

/// The kernel as it was recorded.
pub(super) fn base(loaded: &Loaded) -> Base<'_> {
    Base { plan: &loaded.plan, setting: &loaded.setting }
}

/// What a user can do about a change that cannot be made.
pub(super) fn failure(error: ChangeError) -> Failure {
    let hint =
        error.instead().map_or_else(|| "see /sys/kernel/slab, or `slubreplay --help`".to_owned(), |instead| format!("instead: {instead}"));
    Failure::usage(&error.to_string(), &hint)
}

/// Lays a plan out anew by one value of each knob.
pub(super) fn apply(loaded: &mut Loaded, assignments: &[Assignment]) -> Result<(), Failure> {
    if assignments.is_empty() {
        return Ok(());
    }
    let (axes, notes) = axes(loaded, assignments)?;
    if let Some(axis) = axes.iter().find(|axis| axis.values.len() > 1) {
        let what = format!("--set {}: several values make a grid", axis.knob);
        return Err(Failure::usage(&what, "`slubreplay tune` replays them all"));
    }
    let changes: Vec<Change> = axes
        .iter()
        .filter_map(|axis| Some(Change { knob: axis.knob, cache: axis.cache, value: axis.values.first().copied().flatten()? }))
        .collect();
    let tuned = base(loaded).tuned(&changes).map_err(failure)?;
    let own = &mut loaded.setting.notes;
    own.extend(notes);
    own.push(format!("set from the start: {}", described(&loaded.plan, &changes)));
    let Some(Tuned { mut plan, initial, setting, restarted }) = tuned else {
        loaded.setting.notes.push("what was set is what the recorded kernel has: nothing is changed".to_owned());
        return Ok(());
    };
    if !restarted.is_empty() {
        let names: Vec<&str> = restarted.iter().map(|&cache| plan.caches[cache].name.as_str()).collect();
        loaded.setting.notes.push(format!("caches {STARTED_ANEW}: {}", names.join(", ")));
    }
    plan.marks.iter_mut().for_each(|(position, _)| *position += initial.len());
    plan.ops = std::mem::take(&mut loaded.plan.ops);
    plan.ops.splice(0..0, initial);
    plan.sizing_differences = std::mem::take(&mut loaded.plan.sizing_differences);
    loaded.plan = plan;
    let notes = std::mem::take(&mut loaded.setting.notes);
    loaded.setting = crate::setting::Setting { notes, ..setting };
    Ok(())
}

/// Changes as a user writes them.
pub(super) fn described(plan: &crate::prepare::Plan, changes: &[Change]) -> String {
    let each = |change: &Change| {
        let cache = change.cache.map(|cache| format!("{}.", plan.caches[cache].name)).unwrap_or_default();
        format!("{cache}{}={}", change.knob, change.value)
    };
    changes.iter().map(each).collect::<Vec<String>>().join(", ")
}
