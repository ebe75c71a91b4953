//! What makes one configuration better than another.

use std::str::FromStr;

use super::run::Row;

/// What to look for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Objective {
    /// Least slab memory in the mean over time, with at most a quarter more slow work.
    Memory,
    /// Least slow work, with at most a tenth more memory.
    SlowPaths,
    /// Least product of memory and slow work, each as a share of what it is now: a tenth less of one is worth a tenth more of the other.
    #[default]
    Balanced,
}

/// A failed attempt at a high order counts as so many slow paths: it walks the page allocator's lists, and wakes those who compact.
pub const FALLBACK_WEIGHT: u64 = 10;

/// What has to be gained over the recorded configuration to be worth a recommendation: one part in fifty.
pub const MARGIN: f64 = 0.02;

impl Objective {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Memory, Self::SlowPaths, Self::Balanced];

    /// Name as in `--objective`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Memory => "memory",
            Self::SlowPaths => "slow-paths",
            Self::Balanced => "balanced",
        }
    }

    /// How a configuration compares with the recorded one, started alike, which has 1; less is better. `None` if it is out of bounds.
    #[must_use]
    pub fn score(self, row: &Row, recorded: &Row) -> Option<f64> {
        let recorded = row.base(recorded);
        if row.failed_allocs > recorded.failed_allocs {
            return None;
        }
        let memory = ratio(row.total.slab_bytes_mean, recorded.total.slab_bytes_mean);
        let work = ratio(slow_work(row) as f64, slow_work(recorded) as f64);
        match self {
            Self::Memory => (work <= 1.25).then_some(memory),
            Self::SlowPaths => (memory <= 1.1).then_some(work),
            Self::Balanced => Some((memory * work).sqrt()),
        }
    }
}

impl FromStr for Objective {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|objective| objective.name() == text).ok_or_else(|| "expected memory, slow-paths or balanced".to_owned())
    }
}

/// Allocations that were not fast, moves on and off nodes' lists, and order fallbacks.
///
/// Frees that were not fast are left out: without a move on a list, such a free costs one atomic exchange whatever is set.
#[must_use]
pub fn slow_work(row: &Row) -> u64 {
    row.total.allocs.saturating_sub(row.total.fast_allocs) + row.total.node_moves + FALLBACK_WEIGHT * row.order_fallbacks
}

/// Memory and slow work of a row beside those of the recorded one: where caches start anew, the recorded ones in proportion to what the change
/// does to them.
#[must_use]
pub fn beside(row: &Row, recorded: &Row) -> (f64, f64) {
    let own = (row.total.slab_bytes_mean, slow_work(row) as f64);
    let Some(alike) = &row.alike else { return own };
    let scaled = |value: f64, of: f64, recorded: f64| if of > 0.0 { value / of * recorded } else { value };
    (
        scaled(own.0, alike.total.slab_bytes_mean, recorded.total.slab_bytes_mean),
        scaled(own.1, slow_work(alike) as f64, slow_work(recorded) as f64),
    )
}

/// Nothing of nothing is as much.
fn ratio(value: f64, of: f64) -> f64 {
    if of > 0.0 { value / of } else { 1.0 + value }
}

/// The best of some rows, the first of which is the recorded one; of equals the one with the fewest changes, then the first.
#[must_use]
pub fn best(rows: &[Row], objective: Objective) -> Option<(usize, f64)> {
    let recorded = rows.first()?;
    let scores = rows.iter().enumerate().filter_map(|(number, row)| Some((number, objective.score(row, recorded)?)));
    scores.min_by(|(a, score), (b, other)| score.total_cmp(other).then(rows[*a].changes.len().cmp(&rows[*b].changes.len())))
}

/// True for rows that no other beats in memory and in slow work at once; the first is the recorded one.
#[must_use]
pub fn pareto(rows: &[Row]) -> Vec<bool> {
    let Some(recorded) = rows.first() else { return Vec::new() };
    let points: Vec<(f64, f64)> = rows.iter().map(|row| beside(row, recorded)).collect();
    let beats = |a: (f64, f64), b: (f64, f64)| a.0 <= b.0 && a.1 <= b.1 && a != b;
    points.iter().map(|&point| !points.iter().any(|&other| beats(other, point))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::Figures;

    fn row(mean: f64, slow: u64, fallbacks: u64) -> Row {
        let total = Figures { allocs: 1000, fast_allocs: 1000 - slow, slab_bytes_mean: mean, ..Figures::default() };
        Row {
            changes: Vec::new(),
            total,
            caches: Vec::new(),
            order_fallbacks: fallbacks,
            failed_allocs: 0,
            restarted: Vec::new(),
            alike: None,
        }
    }

    #[test]
    fn scores_are_shares_of_what_is_now() {
        let now = row(100.0, 100, 0);
        let better = row(81.0, 100, 0);
        assert_eq!(Objective::Memory.score(&better, &now), Some(0.81));
        assert_eq!(Objective::SlowPaths.score(&better, &now), Some(1.0));
        assert_eq!(Objective::Balanced.score(&better, &now), Some(0.9));
        // 50 slow paths and 5 fallbacks are as much as 100.
        assert_eq!(Objective::SlowPaths.score(&row(100.0, 50, 5), &now), Some(1.0));
        // Too much of the other.
        assert_eq!(Objective::Memory.score(&row(50.0, 126, 0), &now), None);
        assert_eq!(Objective::SlowPaths.score(&row(111.0, 1, 0), &now), None);
        assert_eq!(Objective::Balanced.score(&Row { failed_allocs: 1, ..better }, &now), None);
    }

    #[test]
    fn what_starts_anew_is_compared_with_the_recorded_one_started_anew() {
        let now = row(100.0, 100, 0);
        // Packed anew, the old objects need half of the memory, whatever is set: what is gained is a tenth.
        let packed = std::sync::Arc::new(row(50.0, 100, 0));
        let change = Row { restarted: vec![0], alike: Some(packed), ..row(45.0, 100, 0) };
        assert_eq!(Objective::Memory.score(&change, &now), Some(0.9));
        assert_eq!(beside(&change, &now), (90.0, 100.0));
        assert_eq!(pareto(&[now, change, row(80.0, 100, 0)]), [false, false, true]);
    }

    #[test]
    fn the_front_has_what_nothing_beats() {
        let rows = [row(100.0, 100, 0), row(90.0, 100, 0), row(120.0, 10, 0), row(120.0, 10, 0), row(130.0, 20, 0)];
        assert_eq!(pareto(&rows), [false, true, true, true, false]);
        assert_eq!(best(&rows, Objective::Memory), Some((1, 0.9)));
    }
}
