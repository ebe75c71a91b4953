//! How long the node partial lists were, over time.

use plotters::element::PathElement;
use plotters::prelude::{Color, DrawResult, DrawingBackend, LineSeries, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};

use super::page::{self, Page};
use super::{SIZE, font};
use crate::format::thousands;
use crate::input::{CacheSeries, ReportInput};

/// As many lines as there are colours that can be told apart.
const COLORS: [RGBColor; 8] =
    [page::BLUE, page::VERMILION, page::GREEN, page::PURPLE, page::ORANGE, page::SKY, RGBColor(0, 0, 0), RGBColor(140, 140, 140)];

const LEGEND_WIDTH: i32 = 270;
const LEGEND_PITCH: i32 = 54;

pub(crate) fn draw<DB>(root: &Page<DB>, input: &ReportInput) -> DrawResult<(), DB>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let lists = longest(input);
    page::header(root, &input.run, &title(lists.len()))?;
    let shown = &lists[..lists.len().min(COLORS.len())];
    let Some(first) = shown.first() else {
        return page::nothing(root, "no slab on a node partial list at any moment");
    };
    let Some(seconds) = page::seconds(&input.timeline.time_ns) else {
        return page::nothing(root, "the replay spans no time");
    };
    let (_, body) = root.split_vertically(78);
    let (plot, _) = body.split_horizontally(SIZE.0 as i32 - LEGEND_WIDTH);
    let y_name = "slabs on node partial lists";
    let mut chart = page::time_axes(&plot, &seconds, y_name, first.longest as f64, true)?;
    // The longest last, so that it lies on top.
    for (list, color) in shown.iter().zip(COLORS).rev() {
        let lengths = list.series.partial_slabs.iter().map(|slabs| *slabs as f64);
        let points = seconds.iter().copied().zip(lengths);
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
    }
    for (row, (list, color)) in (0..).zip(shown.iter().zip(COLORS)) {
        legend_entry(root, list, color, 110 + row * LEGEND_PITCH)?;
    }
    Ok(())
}

struct List<'a> {
    name: &'a str,
    series: &'a CacheSeries,
    longest: u64,
}

/// Lists that ever held a slab, longest first, then by name.
fn longest(input: &ReportInput) -> Vec<List<'_>> {
    let mut lists: Vec<List<'_>> = input
        .timeline
        .caches
        .iter()
        .map(|series| List {
            name: input.cache_label(series.cache).unwrap_or("unknown cache"),
            series,
            longest: series.partial_slabs.iter().copied().max().unwrap_or(0),
        })
        .filter(|list| list.longest > 0)
        .collect();
    lists.sort_by(|a, b| (b.longest, a.name).cmp(&(a.longest, b.name)));
    lists
}

fn title(lists: usize) -> String {
    if lists > COLORS.len() {
        format!("Node partial lists: the {} longest of {}", COLORS.len(), thousands(lists as u64))
    } else {
        "Node partial lists".to_owned()
    }
}

fn legend_entry<DB: DrawingBackend>(root: &Page<DB>, list: &List<'_>, color: RGBColor, top: i32) -> DrawResult<(), DB> {
    let left = SIZE.0 as i32 - LEGEND_WIDTH;
    let line = [(left, top), (left + 24, top)];
    root.draw(&PathElement::new(line, color.stroke_width(4)))?;
    let room = (LEGEND_WIDTH - 32 - page::MARGIN) as f32;
    let name = font::fit(list.name, page::LABEL_SIZE, room);
    let style = page::text(page::LABEL_SIZE, page::INK, HPos::Left, VPos::Center);
    root.draw_text(&name, &style, (left + 32, top))?;
    let last = list.series.partial_slabs.last().copied().unwrap_or(0);
    let facts = format!("most {}, end {}", thousands(list.longest), thousands(last));
    let facts = font::fit(&facts, page::LABEL_SIZE - 2.0, room);
    let faint = page::text(page::LABEL_SIZE - 2.0, page::FAINT_INK, HPos::Left, VPos::Center);
    root.draw_text(&facts, &faint, (left + 32, top + 19))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn longest_first_then_by_name() {
        let mut input = testdata::small();
        let names = |input: &ReportInput| -> Vec<String> { longest(input).iter().map(|list| list.name.to_owned()).collect() };
        assert_eq!(names(&input), ["dentry", "kmalloc-64"]); // 3 and 1
        input.timeline.caches[0].partial_slabs = vec![0, 3, 0];
        assert_eq!(names(&input), ["dentry", "kmalloc-64"]); // 3 and 3
        input.timeline.caches[1].partial_slabs.fill(0);
        assert_eq!(names(&input), ["kmalloc-64"]);
    }
}
