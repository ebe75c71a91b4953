//! Looks for a good configuration within a number of replays.
//!
//! Knob by knob: all moves that a round thinks of are tried in parallel on the best configuration so far, and the best of them is kept,
//! until none gains or the replays are used up. The first round moves knobs of all caches; later ones also those of the caches that have
//! most of what the objective is about.

use super::change::{Change, value_of};
use super::grid::{Tried, try_all};
use super::knob::Knob;
use super::objective::{Objective, slow_work};
use super::run::{Row, Trial};
use super::standing::{Standing, standing};
use crate::allocators::AllocatorKind;
use crate::replay::ReplayError;

/// Caches whose own knobs are moved.
const BUSIEST: usize = 4;

/// What a move has to gain over the best so far to be kept.
const STEP: f64 = 0.005;

/// Values of the knobs that are tried. Those that need a reboot or concern all caches at once come first.
const VALUES: [(Knob, &[u32]); 5] = [
    (Knob::SlabMaxOrder, &[0, 1, 2, 3]),
    (Knob::CpuPartial, &[0, 6, 30, 120, 240]),
    (Knob::MinPartial, &[0, 2, 5, 10, 20]),
    (Knob::SlabMinObjects, &[4, 8, 16, 32]),
    (Knob::RemoteNodeDefragRatio, &[0, 50]),
];

/// The same of SLAB: limit and batchcount, or shared.
const SLAB_MOVES: [&[(Knob, u32)]; 6] = [
    &[(Knob::SlabMaxOrder, 0)],
    &[(Knob::Limit, 8), (Knob::BatchCount, 4)],
    &[(Knob::Limit, 32), (Knob::BatchCount, 16)],
    &[(Knob::Limit, 240), (Knob::BatchCount, 120)],
    &[(Knob::Shared, 0)],
    &[(Knob::SlabMaxOrder, 2)],
];

/// Replays at most `budget` configurations, the recorded one first among them.
///
/// # Errors
///
/// If a replay finds its model broken.
pub fn search(trial: &Trial<'_>, objective: Objective, budget: usize, progress: &(dyn Fn(u64) + Sync)) -> Result<Tried, ReplayError> {
    let mut tried = try_all(trial, &[Vec::new()], progress)?;
    let mut best: Vec<Change> = Vec::new();
    let mut score = 1.0;
    for round in 0.. {
        let Some(recorded) = tried.rows.first() else { break };
        let known = |changes: &Vec<Change>| {
            tried.rows.iter().map(|row| &row.changes).chain(tried.refused.iter().map(|(changes, _)| changes)).any(|own| own == changes)
        };
        let mut next: Vec<Vec<Change>> = Vec::new();
        for own in moves(trial, objective, recorded, round > 0) {
            let changes = moved(&best, &own);
            if !known(&changes) && !next.contains(&changes) {
                next.push(changes);
            }
        }
        next.truncate(budget.saturating_sub(tried.rows.len() + tried.refused.len()));
        if next.is_empty() {
            break;
        }
        let found = try_all(trial, &next, progress)?;
        let gains = found.rows.iter().filter_map(|row| Some((row, objective.score(row, recorded)?)));
        let gain = gains.min_by(|(_, a), (_, b)| a.total_cmp(b)).filter(|(_, own)| *own < score - STEP);
        let kept = gain.map(|(row, own)| (row.changes.clone(), own));
        tried.rows.extend(found.rows);
        tried.refused.extend(found.refused);
        match kept {
            Some((changes, own)) => (best, score) = (changes, own),
            None if round == 0 => {}
            None => break,
        }
    }
    Ok(tried)
}

/// Changes with others, which take the place of those of the same knob and cache.
fn moved(best: &[Change], own: &[Change]) -> Vec<Change> {
    let same = |a: &Change, b: &Change| (a.knob, a.cache) == (b.knob, b.cache);
    let mut changes: Vec<Change> = best.iter().filter(|change| !own.iter().any(|new| same(new, change))).chain(own).copied().collect();
    changes.sort_unstable();
    changes
}

/// All moves that a round tries: each a knob at a value, or a few that go together.
fn moves(trial: &Trial<'_>, objective: Objective, recorded: &Row, of_caches: bool) -> Vec<Vec<Change>> {
    let base = &trial.base;
    let is_live = |knob| matches!(standing(knob, base.setting), Standing::Live(_));
    let all = |knob, value| Change { knob, cache: None, value };
    if base.setting.allocator == AllocatorKind::Slab {
        return SLAB_MOVES.iter().map(|moves| moves.iter().map(|&(knob, value)| all(knob, value)).collect()).collect();
    }
    let mut moves = Vec::new();
    let live = || VALUES.iter().filter(|(knob, _)| is_live(*knob));
    let taken = |knob: Knob, value| knob.accept(value, base.setting).is_ok_and(|(taken, _)| taken == value);
    for (knob, values) in live() {
        let values = values.iter().filter(|&&value| base.value(*knob, None) != Some(value) && taken(*knob, value));
        moves.extend(values.map(|&value| vec![all(*knob, value)]));
    }
    if !of_caches {
        return moves;
    }
    for cache in busiest(trial, objective, recorded) {
        for (knob, values) in live().filter(|(knob, _)| !knob.is_boot()) {
            let own = value_of(&base.plan.caches[cache], *knob);
            let values = values.iter().filter(|&&value| Some(value) != own && taken(*knob, value));
            moves.extend(values.map(|&value| vec![Change { knob: *knob, cache: Some(cache), value }]));
        }
    }
    moves
}

/// The caches with most of what the objective is about: memory that no live object needs, or slow work.
fn busiest(trial: &Trial<'_>, objective: Objective, recorded: &Row) -> Vec<usize> {
    let idle = |cache: usize| {
        let figures = &recorded.caches[cache];
        figures.held_objects_mean * f64::from(trial.base.plan.caches[cache].layout.size) / recorded.total.slab_bytes_mean.max(1.0)
    };
    let work = |cache: usize| {
        let figures = &recorded.caches[cache];
        (figures.allocs.saturating_sub(figures.fast_allocs) + figures.node_moves) as f64 / slow_work(recorded).max(1) as f64
    };
    let weight = |cache: usize| match objective {
        Objective::Memory => idle(cache),
        Objective::SlowPaths => work(cache),
        Objective::Balanced => idle(cache) + work(cache),
    };
    let mut caches: Vec<usize> = (0..recorded.caches.len()).filter(|&cache| weight(cache) > 0.0).collect();
    caches.sort_by(|&a, &b| weight(b).total_cmp(&weight(a)).then(a.cmp(&b)));
    caches.truncate(BUSIEST);
    caches
}
