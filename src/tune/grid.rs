//! All combinations of some values.

use rayon::prelude::*;

use super::change::{Change, ChangeError};
use super::knob::Knob;
use super::run::{Row, Trial, TrialError};
use crate::replay::ReplayError;

/// A knob, of all caches or of one, and the values to try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Axis {
    /// The knob.
    pub knob: Knob,
    /// The cache, by its number in the plan.
    pub cache: Option<usize>,
    /// The values; `None` is what the recorded kernel has.
    pub values: Vec<Option<u32>>,
}

/// Most combinations of one grid.
pub const MAX_CONFIGURATIONS: usize = 100_000;

/// Every combination, the last knob changing fastest, after the kernel as recorded. `None` if there are more than
/// [`MAX_CONFIGURATIONS`].
#[must_use]
pub fn grid(axes: &[Axis]) -> Option<Vec<Vec<Change>>> {
    let count = axes.iter().try_fold(1_usize, |count, axis| count.checked_mul(axis.values.len()))?;
    if count > MAX_CONFIGURATIONS {
        return None;
    }
    let mut configurations: Vec<Vec<Change>> = vec![Vec::new()];
    for axis in axes {
        let with = |before: &Vec<Change>, value: Option<u32>| {
            let change = value.map(|value| Change { knob: axis.knob, cache: axis.cache, value });
            before.iter().copied().chain(change).collect()
        };
        configurations = configurations.iter().flat_map(|before| axis.values.iter().map(move |&value| with(before, value))).collect();
    }
    configurations.retain(|changes| !changes.is_empty());
    configurations.insert(0, Vec::new());
    Some(configurations)
}

/// Rows of those configurations that the kernel takes, in their order, and what it says to the others.
#[derive(Debug, Clone, Default)]
pub struct Tried {
    /// What was tried.
    pub rows: Vec<Row>,
    /// What was refused.
    pub refused: Vec<(Vec<Change>, ChangeError)>,
}

/// Replays configurations in parallel, and what they are to be compared with where caches start anew. `progress` is told of operations done.
///
/// # Errors
///
/// If a replay finds its model broken.
pub fn try_all(trial: &Trial<'_>, configurations: &[Vec<Change>], progress: &(dyn Fn(u64) + Sync)) -> Result<Tried, ReplayError> {
    let tried: Vec<Result<Row, TrialError>> = configurations.par_iter().map(|changes| trial.run(changes, progress)).collect();
    let mut all = Tried::default();
    for (row, changes) in tried.into_iter().zip(configurations) {
        match row {
            Ok(row) => all.rows.push(row),
            Err(TrialError::Change(error)) => all.refused.push((changes.clone(), error)),
            Err(TrialError::Replay(error)) => return Err(error),
        }
    }
    let mut anew: Vec<&Vec<usize>> = all.rows.iter().map(|row| &row.restarted).filter(|caches| !caches.is_empty()).collect();
    anew.sort_unstable();
    anew.dedup();
    anew.par_iter().try_for_each(|caches| trial.alike(caches).map(drop))?;
    for row in all.rows.iter_mut().filter(|row| !row.restarted.is_empty()) {
        row.alike = Some(trial.alike(&row.restarted)?);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_combination_once_after_the_recorded_one() {
        let axis = |knob, values: &[u32]| Axis { knob, cache: None, values: values.iter().copied().map(Some).collect() };
        let set = |knob, value| Change { knob, cache: None, value };
        let (order, partial) = (Knob::SlabMaxOrder, Knob::CpuPartial);
        assert_eq!(
            grid(&[axis(order, &[0, 1]), axis(partial, &[6, 30])]).unwrap(),
            [
                vec![],
                vec![set(order, 0), set(partial, 6)],
                vec![set(order, 0), set(partial, 30)],
                vec![set(order, 1), set(partial, 6)],
                vec![set(order, 1), set(partial, 30)],
            ]
        );
        let with_default = Axis { values: vec![None, Some(6)], ..axis(partial, &[]) };
        assert_eq!(grid(&[with_default]).unwrap(), [vec![], vec![set(partial, 6)]]);
        let wide = axis(order, &(0..1000).collect::<Vec<u32>>());
        assert_eq!(grid(&[wide.clone(), wide.clone(), wide]), None);
    }
}
