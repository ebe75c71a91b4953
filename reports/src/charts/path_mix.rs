//! How the busiest caches served their allocations: one bar per cache, from cheap to dear.

use plotters::element::{PathElement, Rectangle};
use plotters::prelude::{Color, DrawResult, DrawingBackend, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};

use super::page::{self, Page};
use super::{SIZE, font};
use crate::format::thousands;
use crate::input::{AllocPaths, CacheFigures, ReportInput};
use crate::ratios::share;

/// More bars than this would not fit with readable labels.
const MOST_BARS: usize = 15;

const PATHS: [(RGBColor, &str); 5] = [
    (page::SKY, "CPU freelist (fast path)"),
    (page::GREEN, "refill of the cpu slab"),
    (page::YELLOW, "CPU partial list"),
    (page::ORANGE, "node partial list"),
    (page::VERMILION, "new slab"),
];

const NAMES_WIDTH: f32 = 235.0;
const NAMES_RIGHT: i32 = page::MARGIN + 235;
const BARS_LEFT: i32 = NAMES_RIGHT + 150;
const BARS_RIGHT: i32 = SIZE.0 as i32 - page::MARGIN - 24;
const BARS_TOP: i32 = page::BODY_TOP + 34;
const AXIS_ROOM: i32 = 62;
const PITCH_MOST: i32 = 38;

pub(crate) fn draw<DB: DrawingBackend>(root: &Page<DB>, input: &ReportInput) -> DrawResult<(), DB> {
    let busy = busiest(&input.caches);
    page::header(root, &input.run, &title(&busy))?;
    let shown = &busy[..busy.len().min(MOST_BARS)];
    if shown.is_empty() {
        return page::nothing(root, "no allocation was replayed");
    }
    page::legend_row(root, &PATHS.map(|(color, name)| (color, name.to_owned())))?;
    let room = SIZE.1 as i32 - AXIS_ROOM - BARS_TOP;
    let pitch = (room / shown.len() as i32).min(PITCH_MOST);
    draw_axis(root, BARS_TOP + pitch * shown.len() as i32)?;
    for (row, cache) in (0..).zip(shown) {
        let top = BARS_TOP + pitch * row;
        draw_labels(root, cache, top + pitch / 2)?;
        draw_bar(root, &cache.alloc_paths, top + 4, top + pitch - 4)?;
    }
    Ok(())
}

/// Caches with any allocation, by their number falling, then by name.
fn busiest(caches: &[CacheFigures]) -> Vec<&CacheFigures> {
    let mut busy: Vec<&CacheFigures> = caches.iter().filter(|cache| cache.alloc_paths.total() > 0).collect();
    busy.sort_by(|a, b| {
        let by_count = b.alloc_paths.total().cmp(&a.alloc_paths.total());
        by_count.then_with(|| a.name.cmp(&b.name))
    });
    busy
}

fn title(busy: &[&CacheFigures]) -> String {
    if busy.len() > MOST_BARS {
        let of = thousands(busy.len() as u64);
        format!("How allocations were served: the {MOST_BARS} busiest of {of} caches")
    } else {
        "How allocations were served".to_owned()
    }
}

/// Draws grid, percentages and column heads.
fn draw_axis<DB: DrawingBackend>(root: &Page<DB>, bottom: i32) -> DrawResult<(), DB> {
    let below = page::text(page::LABEL_SIZE, page::INK, HPos::Center, VPos::Center);
    for percent in (0..=100).step_by(10) {
        let x = BARS_LEFT + (BARS_RIGHT - BARS_LEFT) * percent / 100;
        let line = [(x, BARS_TOP), (x, bottom)];
        root.draw(&PathElement::new(line, page::GRID.stroke_width(1)))?;
        root.draw_text(&percent.to_string(), &below, (x, bottom + 16))?;
    }
    let middle = i32::midpoint(BARS_LEFT, BARS_RIGHT);
    root.draw_text("share of the cache's allocations (%)", &below, (middle, bottom + 42))?;
    let head = page::text(page::LABEL_SIZE, page::FAINT_INK, HPos::Right, VPos::Center);
    root.draw_text("cache", &head, (NAMES_RIGHT, BARS_TOP - 12))?;
    root.draw_text("allocations", &head, (BARS_LEFT - 12, BARS_TOP - 12))
}

fn draw_labels<DB: DrawingBackend>(root: &Page<DB>, cache: &CacheFigures, middle: i32) -> DrawResult<(), DB> {
    let style = page::text(page::LABEL_SIZE, page::INK, HPos::Right, VPos::Center);
    let name = font::fit(cache.label(), page::LABEL_SIZE, NAMES_WIDTH);
    root.draw_text(&name, &style, (NAMES_RIGHT, middle))?;
    let count = count_label(cache.alloc_paths.total());
    root.draw_text(&count, &style, (BARS_LEFT - 12, middle))
}

/// Digits that do not fit must not be cut off: that would be another number.
fn count_label(count: u64) -> String {
    let room = (BARS_LEFT - 12 - NAMES_RIGHT - 10) as f32;
    let exact = thousands(count);
    if font::width(&exact, page::LABEL_SIZE) <= room { exact } else { format!("{:.3e}", count as f64) }
}

fn draw_bar<DB: DrawingBackend>(root: &Page<DB>, paths: &AllocPaths, top: i32, bottom: i32) -> DrawResult<(), DB> {
    let inside = page::text(page::LABEL_SIZE - 3.0, page::INK, HPos::Center, VPos::Center);
    for ((color, _), (left, right, share)) in PATHS.iter().zip(segments(paths)) {
        if left == right {
            continue;
        }
        root.draw(&Rectangle::new([(left, top), (right, bottom)], color.filled()))?;
        // A thin edge, so that neighbours stay apart even without their colours.
        let edge = [(right, top), (right, bottom)];
        root.draw(&PathElement::new(edge, page::BACKGROUND.stroke_width(1)))?;
        let label = format!("{:.1}", share * 100.0);
        if font::width(&label, page::LABEL_SIZE - 3.0) + 8.0 <= (right - left) as f32 {
            let middle = (i32::midpoint(left, right), i32::midpoint(top, bottom));
            root.draw_text(&label, &inside, middle)?;
        }
    }
    Ok(())
}

/// Left and right edge of each path's part of a bar, and its share.
///
/// Edges are rounded from running totals, so the parts meet and end at 100 %.
fn segments(paths: &AllocPaths) -> [(i32, i32, f64); 5] {
    let width = f64::from(BARS_RIGHT - BARS_LEFT);
    let mut before = 0.0;
    [paths.fastpath, paths.refill, paths.cpu_partial, paths.node_partial, paths.new_slab].map(|count| {
        let share = share(count, paths.total());
        let left = (before * width).round() as i32;
        before = (before + share).min(1.0);
        let right = (before * width).round() as i32;
        (BARS_LEFT + left, BARS_LEFT + right, share)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_meet_and_fill_the_bar() {
        let paths = AllocPaths { fastpath: 50, refill: 0, cpu_partial: 25, node_partial: 0, new_slab: 25 };
        let parts = segments(&paths);
        let width = f64::from(BARS_RIGHT - BARS_LEFT);
        let half = BARS_LEFT + (width * 0.5).round() as i32;
        assert_eq!(parts[0], (BARS_LEFT, half, 0.5));
        assert_eq!(parts[1], (half, half, 0.0));
        assert_eq!(parts[4].1, BARS_RIGHT);
        assert!(parts.windows(2).all(|pair| pair[0].1 == pair[1].0));
    }

    #[test]
    fn busiest_first_then_by_name() {
        let cache = |name: &str, fastpath| CacheFigures {
            name: name.to_owned(),
            alloc_paths: AllocPaths { fastpath, ..AllocPaths::default() },
            ..CacheFigures::default()
        };
        let caches = [cache("b", 1), cache("a", 1), cache("c", 9), cache("idle", 0)];
        let names: Vec<_> = busiest(&caches).iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["c", "a", "b"]);
    }

    #[test]
    fn counts_are_never_cut() {
        assert_eq!(count_label(123_456_789_012), "123,456,789,012");
        assert_eq!(count_label(u64::MAX), "1.845e19");
    }

    #[test]
    fn the_legend_fits_the_page() {
        let width: f32 = PATHS.iter().map(|(_, name)| 21.0 + font::width(name, page::LABEL_SIZE) + 26.0).sum();
        assert!(width < (SIZE.0 as i32 - 2 * page::MARGIN) as f32, "{width}");
    }
}
