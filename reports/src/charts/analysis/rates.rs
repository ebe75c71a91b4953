//! How often something happens, by cache, over time.

use plotters::prelude::{DrawResult, DrawingBackend};

use crate::charts::lines::{self, COLORS, Line};
use crate::charts::page::{self, Page};
use crate::format::thousands;
use crate::input::analysis::{AnalysisInput, Course};

pub(super) fn churn<DB>(root: &Page<DB>, input: &AnalysisInput) -> DrawResult<(), DB>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let counts = |course: &Course| course.allocs_between.clone();
    draw(root, input, ("Allocations", "allocations per second"), counts)
}

pub(super) fn list_moves<DB>(root: &Page<DB>, input: &AnalysisInput) -> DrawResult<(), DB>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let counts = |course: &Course| course.looks.windows(2).map(|pair| pair[1].node_moves.saturating_sub(pair[0].node_moves)).collect();
    draw(root, input, ("Slabs put on and taken off nodes' lists", "moves per second, each under a list lock"), counts)
}

/// Draws `counts` between the moments as rates in their middle.
fn draw<DB>(
    root: &Page<DB>,
    input: &AnalysisInput,
    (title, y_name): (&str, &str),
    counts: impl Fn(&Course) -> Vec<u64>,
) -> DrawResult<(), DB>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let mut rows: Vec<(&str, u64, Vec<u64>)> = input
        .courses
        .iter()
        .map(|course| (course.cache.as_str(), counts(course)))
        .map(|(name, counts)| (name, counts.iter().copied().fold(0, u64::saturating_add), counts))
        .filter(|(_, total, _)| *total > 0)
        .collect();
    rows.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let what = if rows.len() > COLORS.len() {
        format!("{title}: the {} busiest of {} caches", COLORS.len(), thousands(rows.len() as u64))
    } else {
        title.to_owned()
    };
    page::header(root, &input.run, &what)?;
    if rows.is_empty() {
        return page::nothing(root, "none in this replay");
    }
    let spans: Vec<(u64, u64)> = input.moments_ns.windows(2).map(|pair| (pair[0], pair[1])).collect();
    let middles: Vec<u64> = spans.iter().map(|(from, to)| from.midpoint(*to)).collect();
    let Some(seconds) = page::seconds(&middles) else {
        return page::nothing(root, "the replay spans no time");
    };
    let lines: Vec<Line> = rows
        .iter()
        .map(|(name, total, counts)| Line {
            name: (*name).to_owned(),
            facts: format!("{} in all", thousands(*total)),
            values: counts
                .iter()
                .zip(&spans)
                .map(|(count, (from, to))| *count as f64 * 1e9 / to.saturating_sub(*from).max(1) as f64)
                .collect(),
        })
        .collect();
    lines::draw(root, &seconds, y_name, false, &lines)
}
