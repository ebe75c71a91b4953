//! The figures that are read first.

use serde::Serialize;

use crate::format::{bytes, percent, printable, thousands};
use crate::input::ReportInput;
use crate::input::analysis::AnalysisInput;
use crate::ratios::share;

/// A figure with what it is.
#[derive(Serialize)]
pub(super) struct Tile {
    pub(super) name: &'static str,
    pub(super) value: String,
    pub(super) facts: String,
}

pub(super) fn tiles(input: &ReportInput, analysis: Option<&AnalysisInput>) -> Vec<Tile> {
    let sum = |value: fn(&crate::input::CacheFigures) -> u64| input.caches.iter().map(value).fold(0, u64::saturating_add);
    let end = sum(|cache| cache.slab_bytes_end);
    let wasted = sum(|cache| cache.wasted_bytes_end());
    let (slow, allocs) = (sum(|cache| cache.alloc_paths.slow()), sum(|cache| cache.allocs));
    // The peak of all together, where the course over time has it: peaks of caches are at different moments.
    let peak = input.timeline.totals().slab_bytes.into_iter().max().unwrap_or(0).max(end);
    let mut tiles = vec![
        Tile { name: "Slab memory at the end", value: bytes(end), facts: format!("at most {}", bytes(peak)) },
        Tile { name: "Wasted at the end", value: bytes(wasted), facts: format!("{} of slab memory", percent(share(wasted, end))) },
        Tile {
            name: "Slow allocations",
            value: thousands(slow),
            facts: format!("{} of {}", percent(share(slow, allocs)), thousands(allocs)),
        },
        Tile {
            name: "Caches in use",
            value: thousands(input.caches.iter().filter(|cache| cache.slabs_peak > 0).count() as u64),
            facts: format!("of {}", thousands(input.caches.len() as u64)),
        },
    ];
    if let Some(analysis) = analysis {
        let found = analysis.verdicts.iter().filter(|verdict| verdict.bytes > 0).count();
        tiles.push(Tile {
            name: "Caches with a finding",
            value: thousands(found as u64),
            facts: format!("of {} judged", thousands(analysis.verdicts.len() as u64)),
        });
    }
    tiles
}

/// The verdicts in short.
#[derive(Serialize)]
pub(super) struct Findings {
    /// Verdicts that are not fine: cache, verdict, bytes, evidence.
    pub(super) found: Vec<(String, &'static str, String, Vec<String>)>,
    /// Findings beyond those shown.
    pub(super) more: String,
    /// How many caches are fine, as a sentence.
    pub(super) fine: String,
    /// What else the reader should know.
    pub(super) notes: Vec<String>,
}

/// Findings that are told in full; all are in the table.
const SHOWN: usize = 12;

pub(super) fn findings(analysis: &AnalysisInput) -> Findings {
    let found: Vec<_> = analysis.verdicts.iter().filter(|verdict| verdict.bytes > 0).collect();
    let all = analysis.verdicts.len();
    let more = found.len().saturating_sub(SHOWN);
    let text = |text: &String| printable(text, true);
    Findings {
        more: if more == 0 { String::new() } else { format!("{} more: see the table of verdicts.", thousands(more as u64)) },
        fine: format!("{} of {} caches are fine.", thousands((all - found.len()) as u64), thousands(all as u64)),
        notes: analysis.notes.iter().map(text).collect(),
        found: found
            .into_iter()
            .take(SHOWN)
            .map(|verdict| (text(&verdict.cache), verdict.verdict, bytes(verdict.bytes), verdict.evidence.iter().map(text).collect()))
            .collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn figures_are_those_of_the_caches() {
        let tiles = tiles(&testdata::small(), None);
        let shown: Vec<_> = tiles.iter().map(|tile| (tile.value.as_str(), tile.facts.as_str())).collect();
        // 4096 + 16384; peak 8192 + 16384. Waste 3596 + 14464 = 18060 of 20480. Slow 20 + 7 of 150.
        assert_eq!(shown, [("20.0 KiB", "at most 24.0 KiB"), ("17.6 KiB", "88.2% of slab memory"), ("27", "18.0% of 150"), ("2", "of 3")]);
    }
}
