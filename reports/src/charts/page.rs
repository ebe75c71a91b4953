//! What all charts share: colours, header, legend, time axis, and the page of an empty chart.

use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::element::Rectangle;
use plotters::prelude::{Cartesian2d, ChartBuilder, ChartContext, Color, DrawResult, DrawingBackend, IntoFont, RGBColor, TextStyle};
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::axis::{Axis, Marks};
use super::{SIZE, font};
use crate::input::RunFacts;

/// Behind everything.
pub(crate) const BACKGROUND: RGBColor = RGBColor(255, 255, 255);
/// Titles and labels.
pub(crate) const INK: RGBColor = RGBColor(34, 34, 34);
/// Text of less weight.
pub(crate) const FAINT_INK: RGBColor = RGBColor(95, 95, 95);
/// Grid lines.
pub(crate) const GRID: RGBColor = RGBColor(224, 224, 224);

// The colours of Okabe and Ito, which stay apart for colour-blind eyes.
pub(crate) const BLUE: RGBColor = RGBColor(0, 114, 178);
pub(crate) const SKY: RGBColor = RGBColor(86, 180, 233);
pub(crate) const GREEN: RGBColor = RGBColor(0, 158, 115);
pub(crate) const YELLOW: RGBColor = RGBColor(240, 228, 66);
pub(crate) const ORANGE: RGBColor = RGBColor(230, 159, 0);
pub(crate) const VERMILION: RGBColor = RGBColor(213, 94, 0);
pub(crate) const PURPLE: RGBColor = RGBColor(204, 121, 167);

/// Line height of labels in pixels.
pub(crate) const LABEL_SIZE: f64 = 17.0;
const TITLE_SIZE: f64 = 28.0;

/// Distance of content from the edges of the page.
pub(crate) const MARGIN: i32 = 28;
/// Middle of the legend row.
const LEGEND_Y: i32 = 94;
/// Where the space below header and legend begins.
pub(crate) const BODY_TOP: i32 = 112;

/// A place for drawing in whole pixels.
pub(crate) type Page<DB> = DrawingArea<DB, Shift>;

/// Axes of seconds and of some value.
pub(crate) type TimeChart<'a, DB> = ChartContext<'a, DB, Cartesian2d<Axis, Axis>>;

/// Returns the style of text of a size, colour and anchor.
pub(crate) fn text(size: f64, color: RGBColor, across: HPos, down: VPos) -> TextStyle<'static> {
    (font::FAMILY, size).into_font().color(&color).pos(Pos::new(across, down))
}

/// Draws the title and the facts of the run.
pub(crate) fn header<DB: DrawingBackend>(page: &Page<DB>, run: &RunFacts, title: &str) -> DrawResult<(), DB> {
    let title_style = text(TITLE_SIZE, INK, HPos::Left, VPos::Center);
    page.draw_text(title, &title_style, (MARGIN, 32))?;
    let facts = text(LABEL_SIZE, FAINT_INK, HPos::Left, VPos::Center);
    page.draw_text(&run_facts(run), &facts, (MARGIN, 62))
}

/// Trace, kernel and model in one line that fits the page.
fn run_facts(run: &RunFacts) -> String {
    let room = (SIZE.0 as i32 - 2 * MARGIN) as f32;
    let kernel = if run.kernel.is_empty() { "kernel unknown".to_owned() } else { format!("Linux {}", run.kernel) };
    let facts = [kernel, run.model.clone()]
        .iter()
        .filter(|fact| !fact.is_empty())
        .map(|fact| format!("  ·  {}", font::fit(fact, LABEL_SIZE, room / 4.0)))
        .collect::<String>();
    let left = room - font::width(&facts, LABEL_SIZE);
    let trace = if run.trace.is_empty() { "unnamed trace" } else { &run.trace };
    format!("{}{facts}", font::fit_end(trace, LABEL_SIZE, left))
}

/// Draws one row of colours and what they stand for, below the header.
pub(crate) fn legend_row<DB: DrawingBackend>(page: &Page<DB>, entries: &[(RGBColor, String)]) -> DrawResult<(), DB> {
    let style = text(LABEL_SIZE, INK, HPos::Left, VPos::Center);
    let mut x = MARGIN;
    for (color, label) in entries {
        let swatch = [(x, LEGEND_Y - 7), (x + 14, LEGEND_Y + 7)];
        page.draw(&Rectangle::new(swatch, color.filled()))?;
        page.draw_text(label, &style, (x + 21, LEGEND_Y))?;
        x += 21 + font::width(label, LABEL_SIZE).ceil() as i32 + 26;
    }
    Ok(())
}

/// Draws what stands in for a chart without data.
pub(crate) fn nothing<DB: DrawingBackend>(page: &Page<DB>, why: &str) -> DrawResult<(), DB> {
    let style = text(22.0, FAINT_INK, HPos::Center, VPos::Center);
    let middle = (SIZE.0 as i32 / 2, SIZE.1 as i32 / 2);
    page.draw_text(&format!("nothing to draw: {why}"), &style, middle)
}

/// Returns `time_ns` in seconds if it spans any time at all.
pub(crate) fn seconds(time_ns: &[u64]) -> Option<Vec<f64>> {
    let (first, last) = (time_ns.iter().min()?, time_ns.iter().max()?);
    let seconds: Vec<f64> = time_ns.iter().map(|ns| *ns as f64 / 1e9).collect();
    (first < last).then_some(seconds)
}

/// Draws axes: seconds across, `y_name` up to at least `y_high` on the left.
pub(crate) fn time_axes<'a, DB>(
    area: &'a Page<DB>,
    seconds: &[f64],
    y_name: &str,
    y_high: f64,
    whole: bool,
) -> DrawResult<TimeChart<'a, DB>, DB>
where
    DB: DrawingBackend,
{
    let from = seconds.iter().copied().fold(f64::INFINITY, f64::min);
    let to = seconds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // Times far from 0 may lie too close together for a float to tell them apart.
    let to = to.max(from + 1e-9).max(from * (1.0 + 1e-12));
    let time = Marks::between(from, to, 10, false);
    let (values, top) = Marks::from_zero(y_high, 7, whole);
    let widest = values.values.iter().map(|value| font::width(&values.label(*value), LABEL_SIZE)).fold(0.0, f32::max);
    let mut chart = ChartBuilder::on(area)
        .margin_left(MARGIN - 10)
        .margin_right(MARGIN + 16)
        .margin_top(14)
        .margin_bottom(12)
        .x_label_area_size(50)
        .y_label_area_size(widest.ceil() as i32 + 40)
        .build_cartesian_2d(Axis::new(from..to, &time), Axis::new(0.0..top, &values))?;
    let labels = (font::FAMILY, LABEL_SIZE).into_font().color(&INK);
    chart
        .configure_mesh()
        .bold_line_style(GRID)
        .light_line_style(GRID.mix(0.0))
        .axis_style(FAINT_INK)
        .label_style(labels.clone())
        .axis_desc_style(labels)
        .x_desc("time since the first event (s)")
        .y_desc(y_name)
        .x_label_formatter(&|value| time.label(*value))
        .y_label_formatter(&|value| values.label(*value))
        .draw()?;
    Ok(chart)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn facts_of_any_length_fit_the_page() {
        let mut run = RunFacts::default();
        assert_eq!(run_facts(&run), "unnamed trace  ·  kernel unknown");
        run.trace = "/data/".repeat(100) + "trace.dat";
        run.kernel = "6.12.117-with-a-long-local-version".repeat(5);
        run.model = "SLUB".repeat(100);
        let facts = run_facts(&run);
        assert!(font::width(&facts, LABEL_SIZE) <= 1200.0 - 56.0);
        assert!(facts.contains("trace.dat  ·  Linux 6.12.117"), "{facts}");
    }

    #[test]
    fn seconds_need_a_span() {
        assert_eq!(seconds(&[]), None);
        assert_eq!(seconds(&[5, 5]), None);
        assert_eq!(seconds(&[0, 1_500_000_000]), Some(vec![0.0, 1.5]));
    }
}
