//! A grid of cells whose colour stands for a number.

use plotters::element::Rectangle;
use plotters::prelude::{Color, DrawResult, DrawingBackend, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};

use super::page::{self, Page};
use super::{SIZE, font};

/// What a grid shows.
pub(crate) struct Grid {
    /// Labels of the rows, from the top.
    pub(crate) rows: Vec<String>,
    /// Labels of the columns; empty ones are left out.
    pub(crate) columns: Vec<String>,
    /// By row, then column: 0 to 1; `None` for an empty cell.
    pub(crate) cells: Vec<Vec<Option<f64>>>,
    /// What is written into cells, where there is room.
    pub(crate) texts: Vec<Vec<String>>,
    /// Below the columns.
    pub(crate) across: String,
    /// Above the rows.
    pub(crate) down: String,
    /// What the lightest and the darkest colour stand for.
    pub(crate) scale: [String; 2],
}

/// Where the grid begins.
const TOP: i32 = 128;
const BOTTOM: i32 = 92;
/// Most room for the labels of rows.
const WIDEST_LABEL: f32 = 330.0;
const LIGHT: RGBColor = RGBColor(236, 243, 250);
const DARK: RGBColor = RGBColor(8, 48, 107);

/// The colour of a share, 0 to 1.
fn shade(share: f64) -> RGBColor {
    let share = share.clamp(0.0, 1.0);
    let mix = |light: u8, dark: u8| (f64::from(light) + (f64::from(dark) - f64::from(light)) * share).round() as u8;
    RGBColor(mix(LIGHT.0, DARK.0), mix(LIGHT.1, DARK.1), mix(LIGHT.2, DARK.2))
}

pub(crate) fn draw<DB: DrawingBackend>(root: &Page<DB>, grid: &Grid) -> DrawResult<(), DB> {
    let widest = grid.rows.iter().map(|row| font::width(row, page::LABEL_SIZE)).fold(0.0, f32::max).min(WIDEST_LABEL);
    let left = page::MARGIN + widest.ceil() as i32 + 12;
    let (right, bottom) = (SIZE.0 as i32 - page::MARGIN, SIZE.1 as i32 - BOTTOM);
    let (columns, rows) = (grid.columns.len().max(1) as i32, grid.rows.len().max(1) as i32);
    let x = |column: i32| left + (right - left) * column / columns;
    // Few rows need not fill the page.
    let height = ((bottom - TOP) / rows).min(64);
    let y = |row: i32| TOP + height * row;
    let label = page::text(page::LABEL_SIZE, page::INK, HPos::Right, VPos::Center);
    for (row, (name, cells)) in (0..).zip(grid.rows.iter().zip(&grid.cells)) {
        let middle = i32::midpoint(y(row), y(row + 1));
        root.draw_text(&font::fit(name, page::LABEL_SIZE, WIDEST_LABEL), &label, (left - 8, middle))?;
        for (column, cell) in (0..).zip(cells) {
            let Some(share) = *cell else { continue };
            let corners = [(x(column), y(row)), (x(column + 1) - 1, y(row + 1) - 1)];
            root.draw(&Rectangle::new(corners, shade(share).filled()))?;
            let text = grid.texts.get(row as usize).and_then(|texts| texts.get(column as usize)).map_or("", String::as_str);
            let has_room = font::width(text, page::LABEL_SIZE - 2.0) + 6.0 < (x(column + 1) - x(column)) as f32 && height >= 18;
            if has_room && !text.is_empty() {
                let ink = if share > 0.5 { page::BACKGROUND } else { page::INK };
                let style = page::text(page::LABEL_SIZE - 2.0, ink, HPos::Center, VPos::Center);
                root.draw_text(text, &style, (i32::midpoint(x(column), x(column + 1)), middle))?;
            }
        }
    }
    let below = page::text(page::LABEL_SIZE - 1.0, page::INK, HPos::Center, VPos::Top);
    let mut free_from = i32::MIN;
    for (column, name) in (0..).zip(&grid.columns) {
        let middle = i32::midpoint(x(column), x(column + 1));
        let half = font::width(name, page::LABEL_SIZE - 1.0).ceil() as i32 / 2;
        // A label that would run into the one before it is left out.
        if !name.is_empty() && middle - half >= free_from {
            root.draw_text(name, &below, (middle, y(rows) + 8))?;
            free_from = middle + half + 10;
        }
    }
    let across = page::text(page::LABEL_SIZE, page::FAINT_INK, HPos::Center, VPos::Top);
    root.draw_text(&grid.across, &across, (i32::midpoint(left, right), y(rows) + 34))?;
    let down = page::text(page::LABEL_SIZE, page::FAINT_INK, HPos::Left, VPos::Center);
    root.draw_text(&grid.down, &down, (page::MARGIN, TOP - 18))?;
    scale(root, grid, right)
}

/// The colours and what they stand for, above the grid on the right.
fn scale<DB: DrawingBackend>(root: &Page<DB>, grid: &Grid, right: i32) -> DrawResult<(), DB> {
    const STEPS: i32 = 20;
    const STEP: i32 = 8;
    let style = page::text(page::LABEL_SIZE - 2.0, page::INK, HPos::Right, VPos::Center);
    let y = TOP - 24;
    root.draw_text(&grid.scale[1], &style, (right, y))?;
    let end = right - font::width(&grid.scale[1], page::LABEL_SIZE - 2.0).ceil() as i32 - 8;
    for step in 0..STEPS {
        let left = end - (STEPS - step) * STEP;
        let color = shade(f64::from(step) / f64::from(STEPS - 1));
        root.draw(&Rectangle::new([(left, y - 7), (left + STEP, y + 7)], color.filled()))?;
    }
    root.draw_text(&grid.scale[0], &style, (end - STEPS * STEP - 8, y))
}
