//! Memory against slow work, one point for each configuration.

use plotters::element::{Circle, PathElement};
use plotters::prelude::{ChartBuilder, Color, DrawResult, DrawingBackend, IntoFont};
use plotters::style::RGBColor;
use plotters::style::text_anchor::{HPos, VPos};

use super::axis::{Axis, Marks};
use super::page::{self, Page};
use super::{SIZE, font};
use crate::format::thousands;
use crate::input::tuning::{TuneFigures, TunePoint};

/// Labels on the front; more would hide each other.
const MOST_LABELS: usize = 8;

/// Pixels between two labels, and beyond a point.
const LINE: i32 = 20;

const MIB: f64 = 1_048_576.0;

pub(crate) fn draw<DB: DrawingBackend>(root: &Page<DB>, figures: &TuneFigures) -> DrawResult<(), DB>
where
    DB::ErrorType: 'static,
{
    let count = figures.points.len();
    page::header(root, &figures.run, &format!("Slab memory against slow work, {} configurations", thousands(count as u64)))?;
    let points: Vec<&TunePoint> = figures.points.iter().filter(|point| point.memory_bytes.is_finite()).collect();
    if points.is_empty() {
        return page::nothing(root, "nothing was tried");
    }
    page::legend_row(root, &legend(&points))?;
    let body = root.margin(page::BODY_TOP, 0, 0, 0);
    let (x_marks, x_range) = range(points.iter().map(|point| point.memory_bytes / MIB), 8, false);
    let (y_marks, y_range) = range(points.iter().map(|point| point.slow_work as f64), 7, true);
    let widest = y_marks.values.iter().map(|value| font::width(&y_marks.label(*value), page::LABEL_SIZE)).fold(0.0, f32::max);
    let mut chart = ChartBuilder::on(&body)
        .margin_left(page::MARGIN - 10)
        .margin_right(page::MARGIN + 16)
        .margin_top(14)
        .margin_bottom(12)
        .x_label_area_size(50)
        .y_label_area_size(widest.ceil() as i32 + 40)
        .build_cartesian_2d(Axis::new(x_range, &x_marks), Axis::new(y_range, &y_marks))?;
    let labels = (font::FAMILY, page::LABEL_SIZE).into_font().color(&page::INK);
    chart
        .configure_mesh()
        .bold_line_style(page::GRID)
        .light_line_style(page::GRID.mix(0.0))
        .axis_style(page::FAINT_INK)
        .label_style(labels.clone())
        .axis_desc_style(labels)
        .x_desc("slab memory, mean over time (MiB)")
        .y_desc("slow allocations + list moves + 10 x order fallbacks")
        .x_label_formatter(&|value| x_marks.label(*value))
        .y_label_formatter(&|value| y_marks.label(*value))
        .draw()?;
    let mut front: Vec<&TunePoint> = points.iter().copied().filter(|point| point.is_front).collect();
    front.sort_by(|a, b| a.memory_bytes.total_cmp(&b.memory_bytes));
    let place = |point: &TunePoint| (point.memory_bytes / MIB, point.slow_work as f64);
    chart.draw_series([PathElement::new(front.iter().map(|point| place(point)).collect::<Vec<_>>(), page::BLUE.stroke_width(2))])?;
    // What matters is drawn last.
    let mut drawn = points.clone();
    drawn.sort_by_key(|point| (point.is_recommended, point.is_recorded, point.is_front));
    chart.draw_series(drawn.iter().map(|point| {
        let size = if point.is_recommended || point.is_recorded { 8 } else { 5 };
        Circle::new(place(point), size, color(point).filled())
    }))?;
    let wanted = |point: &&&TunePoint| point.is_recommended || point.is_recorded;
    let first = points.iter().filter(wanted).copied();
    let others = front.iter().filter(|point| !wanted(point)).copied();
    let mut taken: Vec<[i32; 4]> = Vec::new();
    for point in first.chain(others).take(MOST_LABELS) {
        label(root, point, chart.backend_coord(&place(point)), &mut taken)?;
    }
    Ok(())
}

/// Writes a label beside a point where no other is.
fn label<DB: DrawingBackend>(root: &Page<DB>, point: &TunePoint, (x, y): (i32, i32), taken: &mut Vec<[i32; 4]>) -> DrawResult<(), DB> {
    let text = font::fit(if point.is_recorded { "as recorded" } else { &point.label }, page::LABEL_SIZE, 360.0);
    let width = font::width(&text, page::LABEL_SIZE).ceil() as i32;
    let is_left = x + 14 + width > SIZE.0 as i32 - page::MARGIN;
    let (from, to) = if is_left { (x - 14 - width, x - 14) } else { (x + 14, x + 14 + width) };
    let free = |taken: &[[i32; 4]], middle: i32| {
        let own = [from, middle - LINE / 2, to, middle + LINE / 2];
        !taken.iter().any(|other| own[0] < other[2] && other[0] < own[2] && own[1] < other[3] && other[1] < own[3])
    };
    let bounds = page::BODY_TOP + LINE..SIZE.1 as i32 - 80;
    let Some(middle) = [0, -LINE, LINE].into_iter().map(|shift| y + shift).find(|&middle| bounds.contains(&middle) && free(taken, middle))
    else {
        return Ok(());
    };
    taken.push([from, middle - LINE / 2, to, middle + LINE / 2]);
    let style = page::text(page::LABEL_SIZE, page::INK, if is_left { HPos::Right } else { HPos::Left }, VPos::Center);
    root.draw_text(&text, &style, (if is_left { to } else { from }, middle))
}

fn color(point: &TunePoint) -> RGBColor {
    match point {
        TunePoint { is_recommended: true, .. } => page::VERMILION,
        TunePoint { is_recorded: true, .. } => page::INK,
        TunePoint { is_front: true, .. } => page::BLUE,
        _ => page::SKY,
    }
}

fn legend(points: &[&TunePoint]) -> Vec<(RGBColor, String)> {
    let entries = [
        (page::INK, "as recorded", points.iter().any(|point| point.is_recorded)),
        (page::VERMILION, "recommended", points.iter().any(|point| point.is_recommended)),
        (page::BLUE, "nothing has less of both", points.iter().any(|point| point.is_front)),
        (page::SKY, "others", points.iter().any(|point| !point.is_front && !point.is_recorded && !point.is_recommended)),
    ];
    entries.into_iter().filter(|(_, _, is_there)| *is_there).map(|(color, name, _)| (color, name.to_owned())).collect()
}

/// Marks, and a range with some air around the values.
fn range(values: impl Iterator<Item = f64> + Clone, wanted: u32, whole: bool) -> (Marks, std::ops::Range<f64>) {
    let low = values.clone().fold(f64::INFINITY, f64::min);
    let high = values.fold(f64::NEG_INFINITY, f64::max);
    let air = ((high - low) * 0.08).max(high * 0.005).max(if whole { 1.0 } else { 0.01 });
    let (from, to) = ((low - air).max(0.0), high + air);
    (Marks::between(from, to, wanted, whole), from..to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::Picture;
    use crate::charts::tuning::TuneChart;

    fn point(label: &str, mib: f64, slow_work: u64) -> TunePoint {
        TunePoint { label: label.to_owned(), memory_bytes: mib * MIB, slow_work, ..TunePoint::default() }
    }

    #[test]
    fn points_are_named_and_explained() {
        let now = TunePoint { is_recorded: true, ..point("", 20.0, 5000) };
        let better = TunePoint { is_recommended: true, is_front: true, ..point("slab_max_order=1", 18.0, 4000) };
        let figures = TuneFigures { points: vec![now, better, point("cpu_partial=0", 19.0, 9000)], ..TuneFigures::default() };
        let svg = TuneChart::Pareto.to_svg(&figures).expect("draws");
        for text in ["as recorded", "recommended", "slab_max_order=1", "MiB", "slow allocations", "3 configurations"] {
            assert!(svg.contains(text), "{text}");
        }
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn odd_figures_still_draw() {
        let same = vec![point("a", 1.0, 0); 30];
        let odd = vec![point("a", 0.0, 0), point("b", f64::NAN, 1), point(&"long".repeat(200), 1e12, u64::MAX)];
        for points in [Vec::new(), same, odd] {
            let svg = TuneChart::Pareto.to_svg(&TuneFigures { points, ..TuneFigures::default() }).expect("draws");
            assert!(!svg.contains("NaN"));
        }
    }

    #[test]
    fn labels_do_not_hide_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let front = (0..20).map(|number| TunePoint { is_front: true, ..point("name", f64::from(number) / 100.0, 20 - number as u64) });
        let figures = TuneFigures { points: front.collect(), ..TuneFigures::default() };
        TuneChart::Pareto.write_png(&figures, &dir.path().join("chart.png")).expect("draws");
    }
}
