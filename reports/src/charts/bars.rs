//! Named bars, the longest first.

use plotters::element::Rectangle;
use plotters::prelude::{Color, DrawResult, DrawingBackend, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};

use super::page::{self, Page};
use super::{SIZE, font};

/// A bar: its name, its parts, and what stands behind its end.
pub(crate) struct Bar {
    pub(crate) name: String,
    pub(crate) parts: Vec<f64>,
    pub(crate) facts: String,
}

/// Bars that fit a page.
pub(crate) const MOST: usize = 14;
const WIDEST_NAME: f32 = 470.0;
const FACTS_WIDTH: f32 = 230.0;

/// Draws bars below header and legend; `colors` are those of the parts.
pub(crate) fn draw<DB: DrawingBackend>(root: &Page<DB>, bars: &[Bar], colors: &[RGBColor]) -> DrawResult<(), DB> {
    let bars = &bars[..bars.len().min(MOST)];
    let top = page::BODY_TOP + 16;
    let height = ((SIZE.1 as i32 - page::MARGIN - top) / bars.len().max(1) as i32).min(46);
    let widest = bars.iter().map(|bar| font::width(&bar.name, page::LABEL_SIZE)).fold(0.0, f32::max).min(WIDEST_NAME);
    let left = page::MARGIN + widest.ceil() as i32 + 12;
    let room = f64::from(SIZE.0 as i32 - page::MARGIN - left) - f64::from(FACTS_WIDTH);
    let longest = bars.iter().map(|bar| bar.parts.iter().sum::<f64>()).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
    let name = page::text(page::LABEL_SIZE, page::INK, HPos::Right, VPos::Center);
    let facts = page::text(page::LABEL_SIZE - 1.0, page::FAINT_INK, HPos::Left, VPos::Center);
    for (row, bar) in (0..).zip(bars) {
        let (upper, lower) = (top + row * height + 5, top + (row + 1) * height - 5);
        let middle = i32::midpoint(upper, lower);
        root.draw_text(&font::fit(&bar.name, page::LABEL_SIZE, WIDEST_NAME), &name, (left - 8, middle))?;
        let mut from = 0.0;
        for (part, color) in bar.parts.iter().zip(colors) {
            let x = |value: f64| left + (value / longest * room).round() as i32;
            root.draw(&Rectangle::new([(x(from), upper), (x(from + part), lower)], color.filled()))?;
            from += part;
        }
        let end = left + (from / longest * room).round() as i32;
        root.draw_text(&font::fit(&bar.facts, page::LABEL_SIZE - 1.0, FACTS_WIDTH - 10.0), &facts, (end + 8, middle))?;
    }
    Ok(())
}
