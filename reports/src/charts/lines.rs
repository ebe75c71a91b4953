//! Lines over time, with a legend beside them.

use plotters::element::PathElement;
use plotters::prelude::{Color, DrawResult, DrawingBackend, LineSeries, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};

use super::page::{self, Page};
use super::{SIZE, font};

/// As many lines as there are colours that can be told apart.
pub(crate) const COLORS: [RGBColor; 8] =
    [page::BLUE, page::VERMILION, page::GREEN, page::PURPLE, page::ORANGE, page::SKY, RGBColor(0, 0, 0), RGBColor(140, 140, 140)];

const LEGEND_WIDTH: i32 = 270;
const LEGEND_PITCH: i32 = 54;

/// A line, and its entry in the legend.
pub(crate) struct Line {
    pub(crate) name: String,
    /// In smaller letters below the name.
    pub(crate) facts: String,
    pub(crate) values: Vec<f64>,
}

/// Draws lines below the header, the first on top; as many as there are colours.
pub(crate) fn draw<DB>(root: &Page<DB>, seconds: &[f64], y_name: &str, whole: bool, lines: &[Line]) -> DrawResult<(), DB>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let (_, body) = root.split_vertically(78);
    let (plot, _) = body.split_horizontally(SIZE.0 as i32 - LEGEND_WIDTH);
    let shown = &lines[..lines.len().min(COLORS.len())];
    let highest = shown.iter().flat_map(|line| &line.values).copied().fold(0.0, f64::max);
    let mut chart = page::time_axes(&plot, seconds, y_name, highest, whole)?;
    for (line, color) in shown.iter().zip(COLORS).rev() {
        let points = seconds.iter().copied().zip(line.values.iter().copied());
        chart.draw_series(LineSeries::new(points, color.stroke_width(2)))?;
    }
    for (row, (line, color)) in (0..).zip(shown.iter().zip(COLORS)) {
        legend_entry(root, line, color, 110 + row * LEGEND_PITCH)?;
    }
    Ok(())
}

fn legend_entry<DB: DrawingBackend>(root: &Page<DB>, line: &Line, color: RGBColor, top: i32) -> DrawResult<(), DB> {
    let left = SIZE.0 as i32 - LEGEND_WIDTH;
    root.draw(&PathElement::new([(left, top), (left + 24, top)], color.stroke_width(4)))?;
    let room = (LEGEND_WIDTH - 32 - page::MARGIN) as f32;
    let name = font::fit(&line.name, page::LABEL_SIZE, room);
    let style = page::text(page::LABEL_SIZE, page::INK, HPos::Left, VPos::Center);
    root.draw_text(&name, &style, (left + 32, top))?;
    let facts = font::fit(&line.facts, page::LABEL_SIZE - 2.0, room);
    let faint = page::text(page::LABEL_SIZE - 2.0, page::FAINT_INK, HPos::Left, VPos::Center);
    root.draw_text(&facts, &faint, (left + 32, top + 19))
}
