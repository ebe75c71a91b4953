//! How long operations took: for each path the share of its operations that took no longer than a time.

use plotters::element::PathElement;
use plotters::prelude::{ChartBuilder, Color, DashedLineSeries, DrawResult, DrawingBackend, IntoFont, LineSeries, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, Marks};
use super::page::{self, Page};
use super::{SIZE, font};
use crate::format::thousands;
use crate::input::threads::{PathLatency, ThreadsInput};

/// From cheap to dear. Allocations are solid and frees dashed, so that both can have them.
const COLORS: [RGBColor; 6] = [page::BLUE, page::SKY, page::GREEN, page::PURPLE, page::ORANGE, page::VERMILION];

const LEGEND_WIDTH: i32 = 290;
const LEGEND_PITCH: i32 = 46;
const DASH: i32 = 9;
const GAP: i32 = 6;

/// Of the quantiles, the one that the axis ends at: a few operations are interrupted for as long as all others take together.
const LAST_QUANTILE: usize = 3;

pub(crate) fn draw<DB>(root: &Page<DB>, input: &ThreadsInput) -> DrawResult<(), DB>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let curves = curves(&input.latency);
    page::header(root, &input.run, "How long operations took, by path")?;
    let Some((from, to)) = range(&curves) else {
        return page::nothing(root, "no operation was timed");
    };
    let (_, body) = root.split_vertically(78);
    let (plot, _) = body.split_horizontally(SIZE.0 as i32 - LEGEND_WIDTH);
    let times = Marks::of_decades(from, to);
    let shares = Marks::between(0.0, 100.0, 10, true);
    let mut chart = ChartBuilder::on(&plot)
        .margin_left(page::MARGIN - 10)
        .margin_right(page::MARGIN + 16)
        .margin_top(14)
        .margin_bottom(12)
        .x_label_area_size(50)
        .y_label_area_size(76)
        .build_cartesian_2d(Axis::new(from..to, &times), Axis::new(0.0..102.0, &shares))?;
    let labels = (font::FAMILY, page::LABEL_SIZE).into_font().color(&page::INK);
    chart
        .configure_mesh()
        .bold_line_style(page::GRID)
        .light_line_style(page::GRID.mix(0.0))
        .axis_style(page::FAINT_INK)
        .label_style(labels.clone())
        .axis_desc_style(labels)
        .x_desc("time of an operation (ns, logarithmic), up to the longest p99.9")
        .y_desc("operations that took no longer (%)")
        .x_label_formatter(&|value| times.decade_label(*value))
        .y_label_formatter(&|value| shares.label(*value))
        .draw()?;
    for curve in &curves {
        let points = steps(&curve.path.distribution, from, to);
        let style = curve.color.stroke_width(2);
        if curve.path.is_alloc {
            chart.draw_series(LineSeries::new(points, style))?;
        } else {
            chart.draw_series(DashedLineSeries::new(points, DASH, GAP, style))?;
        }
    }
    for (row, curve) in (0..).zip(&curves) {
        legend_entry(root, curve, 100 + row * LEGEND_PITCH)?;
    }
    Ok(())
}

struct Curve<'a> {
    path: &'a PathLatency,
    color: RGBColor,
}

/// Paths with a timed operation, each kind in its order, with colours by their place in all paths of that kind.
fn curves(latency: &[PathLatency]) -> Vec<Curve<'_>> {
    let of_kind = |is_alloc: bool| {
        let paths = latency.iter().filter(move |path| path.is_alloc == is_alloc);
        paths.zip(COLORS.iter().cycle()).map(|(path, color)| Curve { path, color: *color })
    };
    of_kind(true).chain(of_kind(false)).filter(|curve| curve.path.timed > 0 && !curve.path.distribution.is_empty()).collect()
}

/// Times that the axis has, as decimal logarithms of nanoseconds.
fn range(curves: &[Curve<'_>]) -> Option<(f64, f64)> {
    let first = curves.iter().filter_map(|curve| curve.path.distribution.first()).map(|(ns, _)| *ns).reduce(f64::min)?;
    let last = curves.iter().filter_map(|curve| curve.path.quantiles_ns[LAST_QUANTILE]).reduce(f64::max)?;
    // A little air on both sides.
    let from = (logarithm(first) - 0.05).max(0.0);
    Some((from, (logarithm(last) + 0.05).max(from + 1.0)))
}

/// Of times from 1 ns to some centuries.
fn logarithm(ns: f64) -> f64 {
    ns.clamp(1.0, 1e19).log10()
}

/// A stair from 0 % on: nothing is known between two times of a histogram.
fn steps(distribution: &[(f64, f64)], from: f64, to: f64) -> Vec<(f64, f64)> {
    let mut points = Vec::with_capacity(2 * distribution.len() + 1);
    let mut before = 0.0;
    for (ns, share) in distribution {
        let time = logarithm(*ns).max(from);
        if time > to {
            break;
        }
        points.extend([(time, before), (time, share * 100.0)]);
        before = share * 100.0;
    }
    points.push((to, before));
    points
}

fn legend_entry<DB: DrawingBackend>(root: &Page<DB>, curve: &Curve<'_>, top: i32) -> DrawResult<(), DB> {
    let left = SIZE.0 as i32 - LEGEND_WIDTH;
    let dashes: &[(i32, i32)] = if curve.path.is_alloc { &[(0, 30)] } else { &[(0, 8), (11, 19), (22, 30)] };
    for (start, end) in dashes {
        root.draw(&PathElement::new([(left + start, top), (left + end, top)], curve.color.stroke_width(4)))?;
    }
    let room = (LEGEND_WIDTH - 38 - page::MARGIN) as f32;
    let style = page::text(page::LABEL_SIZE, page::INK, HPos::Left, VPos::Center);
    root.draw_text(&font::fit(curve.path.path, page::LABEL_SIZE, room), &style, (left + 38, top))?;
    let ns = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |ns| thousands(ns.round() as u64));
    let facts =
        format!("p50 {}, p99 {} ns, {} timed", ns(curve.path.quantiles_ns[0]), ns(curve.path.quantiles_ns[2]), thousands(curve.path.timed));
    let facts = font::fit(&facts, page::LABEL_SIZE - 3.0, room);
    let faint = page::text(page::LABEL_SIZE - 3.0, page::FAINT_INK, HPos::Left, VPos::Center);
    root.draw_text(&facts, &faint, (left + 38, top + 18))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata::threads::small;

    #[test]
    fn stairs_rise_at_each_time() {
        let points = steps(&[(10.0, 0.25), (100.0, 0.75), (1000.0, 1.0)], 1.0, 2.5);
        assert_eq!(points, [(1.0, 0.0), (1.0, 25.0), (2.0, 25.0), (2.0, 75.0), (2.5, 75.0)]);
    }

    #[test]
    fn the_axis_begins_before_the_shortest_and_ends_behind_the_longest() {
        let input = small();
        let (from, to) = range(&curves(&input.latency)).unwrap();
        assert!((from - 20_f64.log10() + 0.05).abs() < 1e-9);
        assert!((to - 2500_f64.log10() - 0.05).abs() < 1e-9);
    }

    #[test]
    fn a_path_has_the_same_colour_whatever_else_occurred() {
        let mut input = small();
        let color = |input: &ThreadsInput| curves(&input.latency).iter().find(|curve| curve.path.path == "alloc new slab").map(|c| c.color);
        let before = color(&input);
        input.latency[0].timed = 0;
        assert_eq!((color(&input), before), (Some(COLORS[1]), Some(COLORS[1])));
    }

    #[test]
    fn twelve_entries_fit_the_page() {
        assert!(100 + 11 * LEGEND_PITCH + 18 < SIZE.1 as i32 - page::MARGIN);
    }
}
