//! Call sites, by what they have or keep.

use plotters::prelude::{DrawResult, DrawingBackend};

use crate::charts::bars::{self, Bar};
use crate::charts::page::{self, Page};
use crate::format::{bytes, thousands};
use crate::input::analysis::AnalysisInput;

/// Who has memory at the end that was allocated in the trace.
pub(super) fn live_sites<DB: DrawingBackend>(root: &Page<DB>, input: &AnalysisInput) -> DrawResult<(), DB> {
    let rows: Vec<Bar> = input
        .sites
        .iter()
        .filter(|site| site.live_requested_bytes > 0)
        .map(|site| Bar {
            name: format!("{}  {}", site.owner, site.cache),
            parts: vec![site.live_requested_bytes as f64],
            facts: format!("{}, {} objects", bytes(site.live_requested_bytes), thousands(site.live_objects)),
        })
        .collect();
    page::header(root, &input.run, &title("Allocated and never freed, by call site and cache", rows.len()))?;
    if rows.is_empty() {
        return page::nothing(root, "everything that was allocated was freed");
    }
    page::legend_row(root, &[(page::BLUE, "bytes asked for of objects live at the end".to_owned())])?;
    bars::draw(root, &rows, &[page::BLUE])
}

/// Who keeps slabs that are mostly free.
pub(super) fn pinning<DB: DrawingBackend>(root: &Page<DB>, input: &AnalysisInput) -> DrawResult<(), DB> {
    let rows: Vec<Bar> = input
        .pins
        .iter()
        .filter(|pin| pin.mean_bytes > 0)
        .map(|pin| Bar {
            name: format!("{}  {}", pin.call_site, pin.cache),
            parts: vec![pin.mean_bytes as f64],
            facts: format!("{}, at most {}", bytes(pin.mean_bytes), bytes(pin.peak_bytes)),
        })
        .collect();
    page::header(root, &input.run, &title("Who pins slabs that are mostly free, by call site and cache", rows.len()))?;
    if rows.is_empty() {
        return page::nothing(root, "no slab is mostly free and kept by long-lived objects");
    }
    page::legend_row(root, &[(page::VERMILION, "free bytes in slabs that their long-lived objects keep, mean over time".to_owned())])?;
    bars::draw(root, &rows, &[page::VERMILION])
}

fn title(what: &str, rows: usize) -> String {
    if rows > bars::MOST { format!("{what}: the first {} of {}", bars::MOST, thousands(rows as u64)) } else { what.to_owned() }
}
