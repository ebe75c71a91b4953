//! Memory in slabs against memory in live objects, over time.

use plotters::element::{PathElement, Rectangle};
use plotters::prelude::{AreaSeries, Color, DrawResult, DrawingBackend, LineSeries};
use plotters::style::text_anchor::{HPos, VPos};

use super::page::{self, Page, TimeChart};
use super::{SIZE, font};
use crate::format::{bytes, percent};
use crate::input::ReportInput;
use crate::ratios::{Totals, share};

const MIB: f64 = 1024.0 * 1024.0;
const TITLE: &str = "Slab memory and live objects, all caches";

pub(crate) fn draw<DB>(root: &Page<DB>, input: &ReportInput) -> DrawResult<(), DB>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    page::header(root, &input.run, TITLE)?;
    let totals = input.timeline.totals();
    let highest = totals.slab_bytes.iter().copied().max().unwrap_or(0);
    if highest == 0 {
        return page::nothing(root, "no memory in slabs at any moment");
    }
    let Some(seconds) = page::seconds(&totals.time_ns) else {
        return page::nothing(root, "the replay spans no time");
    };
    page::legend_row(root, &legend(&totals))?;
    let (_, body) = root.split_vertically(page::BODY_TOP);
    let mut chart = page::time_axes(&body, &seconds, "memory (MiB)", highest as f64 / MIB, false)?;
    let points = |values: &[u64]| -> Vec<(f64, f64)> {
        let mib = values.iter().map(|value| *value as f64 / MIB);
        seconds.iter().copied().zip(mib).collect()
    };
    let slabs = points(&totals.slab_bytes);
    // Opaque colours, one over the other: what stays visible of the first is the gap.
    chart.draw_series(AreaSeries::new(slabs.clone(), 0.0, page::ORANGE))?;
    let live = points(&live_within_slabs(&totals));
    chart.draw_series(AreaSeries::new(live.clone(), 0.0, page::SKY))?;
    chart.draw_series(LineSeries::new(slabs, page::VERMILION.stroke_width(2)))?;
    chart.draw_series(LineSeries::new(live, page::BLUE.stroke_width(2)))?;
    mark_largest_gap(root, &chart, &seconds, &totals)
}

fn legend(totals: &Totals) -> Vec<(plotters::style::RGBColor, String)> {
    let last = |values: &[u64]| values.last().copied().unwrap_or(0);
    let live = last(&live_within_slabs(totals));
    let gap = last(&totals.slab_bytes).saturating_sub(live);
    vec![
        (page::SKY, format!("live objects: {} at the end", bytes(live))),
        (page::ORANGE, format!("gap up to slab memory = external fragmentation: {} at the end", bytes(gap))),
    ]
}

/// Live bytes can only exceed slab bytes in inconsistent input; the chart shows no negative gap.
fn live_within_slabs(totals: &Totals) -> Vec<u64> {
    let pairs = totals.live_bytes.iter().zip(&totals.slab_bytes);
    pairs.map(|(live, slab)| *live.min(slab)).collect()
}

/// Returns index and size of the largest gap; the first of several.
fn largest_gap(totals: &Totals) -> Option<(usize, u64)> {
    let pairs = totals.slab_bytes.iter().zip(&totals.live_bytes);
    let mut largest = None;
    for (index, (slab, live)) in pairs.enumerate() {
        let gap = slab.saturating_sub(*live);
        if gap > largest.map_or(0, |(_, gap)| gap) {
            largest = Some((index, gap));
        }
    }
    largest
}

/// Draws a bracket over the largest gap, with its size next to it.
fn mark_largest_gap<DB: DrawingBackend>(
    root: &Page<DB>,
    chart: &TimeChart<'_, DB>,
    seconds: &[f64],
    totals: &Totals,
) -> DrawResult<(), DB> {
    let Some((index, gap)) = largest_gap(totals) else {
        return Ok(());
    };
    let slab = totals.slab_bytes[index];
    let at = |bytes: u64| chart.plotting_area().map_coordinate(&(seconds[index], bytes as f64 / MIB));
    let ((x, top), (_, bottom)) = (at(slab), at(slab - gap));
    for line in [[(x, top), (x, bottom)], [(x - 4, top), (x + 4, top)], [(x - 4, bottom), (x + 4, bottom)]] {
        root.draw(&PathElement::new(line, page::INK.stroke_width(2)))?;
    }
    let label = format!("largest gap: {} ({} of slab memory)", bytes(gap), percent(share(gap, slab)));
    let width = font::width(&label, page::LABEL_SIZE).ceil() as i32;
    // To the right of the bracket if there is room, else to its left.
    let left = if x + 12 + width + page::MARGIN < SIZE.0 as i32 { x + 12 } else { x - 12 - width };
    let middle = i32::midpoint(top, bottom);
    let plate = [(left - 4, middle - 11), (left + width + 4, middle + 11)];
    root.draw(&Rectangle::new(plate, page::BACKGROUND.mix(0.8).filled()))?;
    let style = page::text(page::LABEL_SIZE, page::INK, HPos::Left, VPos::Center);
    root.draw_text(&label, &style, (left, middle))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::{Chart, Picture};
    use crate::testdata;

    #[test]
    fn the_largest_gap_is_the_first_of_equals() {
        let totals = Totals { slab_bytes: vec![10, 30, 40, 5], live_bytes: vec![5, 10, 20, 9], ..Totals::default() };
        assert_eq!(largest_gap(&totals), Some((1, 20))); // 30 - 10, and again 40 - 20
        assert_eq!(live_within_slabs(&totals), [5, 10, 20, 5]);
        assert_eq!(largest_gap(&Totals::default()), None);
    }

    #[test]
    fn the_gap_is_labelled() {
        let totals = testdata::small().timeline.totals();
        // Slabs 4096, 24576, 20480; live 192, 16000, 2560: the last gap, 17920, is the largest.
        assert_eq!(largest_gap(&totals), Some((2, 17920)));
        let svg = Chart::SlabBytes.to_svg(&testdata::small()).expect("draws");
        // 17920 / 1024 = 17.5, 17920 / 20480 = 0.875.
        assert!(svg.contains("largest gap: 17.5 KiB (87.5% of slab memory)"));
    }
}
