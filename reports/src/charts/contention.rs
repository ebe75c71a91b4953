//! How often CPUs found the locks of caches taken by others: a row per cache, a column per CPU.

use plotters::element::Rectangle;
use plotters::prelude::{Color, DrawResult, DrawingBackend, RGBColor};
use plotters::style::text_anchor::{HPos, VPos};

use super::page::{self, Page};
use super::{SIZE, font};
use crate::format::{duration, percent, thousands};
use crate::input::threads::{LockFigures, ThreadsCache, ThreadsInput};
use crate::ratios::share;

/// More rows than this would not fit with readable labels.
const MOST_ROWS: usize = 20;

const NAMES_WIDTH: f32 = 215.0;
const NAMES_RIGHT: i32 = page::MARGIN + 215;
const CELLS_LEFT: i32 = NAMES_RIGHT + 14;
const WAITED_RIGHT: i32 = SIZE.0 as i32 - page::MARGIN;
const CELLS_RIGHT: i32 = WAITED_RIGHT - 110;
const CELLS_TOP: i32 = page::BODY_TOP + 40;
const PITCH_MOST: i32 = 34;
/// Text in cells.
const SMALL: f64 = page::LABEL_SIZE - 3.0;

/// Where a lock was not taken.
const UNUSED: RGBColor = RGBColor(242, 242, 242);
/// From never contended to most contended: one hue from light to dark, which every eye orders.
const SHADES: [RGBColor; 5] =
    [RGBColor(222, 235, 247), RGBColor(158, 202, 225), RGBColor(94, 160, 208), RGBColor(33, 113, 181), RGBColor(8, 60, 125)];
/// From this shade on text is white.
const DARK: usize = 3;

pub(crate) fn draw<DB: DrawingBackend>(root: &Page<DB>, input: &ThreadsInput) -> DrawResult<(), DB> {
    let busy = busiest(&input.caches);
    let shown = &busy[..busy.len().min(MOST_ROWS)];
    page::header(root, &input.run, &title(&busy))?;
    let cpus = shown.iter().map(|cache| cache.list_locks.len().max(cache.barn_locks.len())).max().unwrap_or(0);
    if cpus == 0 {
        return page::nothing(root, "no lock of a list or barn was taken");
    }
    let most = (0..cpus).flat_map(|cpu| shown.iter().map(move |cache| cache.own_locks_of_cpu(cpu).contended_share())).fold(0.0, f64::max);
    page::legend_row(root, &legend(most))?;
    heads(root, cpus)?;
    let room = SIZE.1 as i32 - page::MARGIN - CELLS_TOP;
    let pitch = (room / shown.len() as i32).min(PITCH_MOST);
    for (row, cache) in (0..).zip(shown) {
        let top = CELLS_TOP + pitch * row;
        labels(root, cache, top + pitch / 2)?;
        for cpu in 0..cpus {
            let (left, right) = columns(cpu, cpus);
            cell(root, cache.own_locks_of_cpu(cpu), most, [(left, top), (right, top + pitch)])?;
        }
    }
    Ok(())
}

/// Caches that took a lock, by times taken falling, then by name.
fn busiest(caches: &[ThreadsCache]) -> Vec<&ThreadsCache> {
    let mut busy: Vec<&ThreadsCache> = caches.iter().filter(|cache| cache.own_locks().taken > 0).collect();
    busy.sort_by(|a, b| b.own_locks().taken.cmp(&a.own_locks().taken).then_with(|| a.label.cmp(&b.label)));
    busy
}

fn title(busy: &[&ThreadsCache]) -> String {
    let all = busy.iter().map(|cache| cache.own_locks()).fold(LockFigures::default(), LockFigures::plus);
    let caches = if busy.len() > MOST_ROWS {
        format!(", the {MOST_ROWS} busiest of {} caches", thousands(busy.len() as u64))
    } else {
        String::new()
    };
    let contended = match (all.taken, all.contended) {
        (0, _) => String::new(),
        (_, 0) => ": none".to_owned(),
        _ => format!(": {} of all", percent(share(all.contended, all.taken))),
    };
    format!("Contended acquisitions of list and barn locks{contended}{caches}")
}

/// Shades and the shares that they stand for.
fn legend(most: f64) -> Vec<(RGBColor, String)> {
    let mut entries = vec![(UNUSED, "lock not taken".to_owned()), (SHADES[0], "never contended".to_owned())];
    if most > 0.0 {
        let steps = SHADES.len() - 1;
        entries.extend((1..=steps).map(|step| (SHADES[step], format!("up to {}", precise(most * step as f64 / steps as f64)))));
    }
    entries
}

/// A share in percent, with as many digits as tell small ones apart.
fn precise(share: f64) -> String {
    let percent = share * 100.0;
    let decimals = if percent >= 9.95 { 0 } else { (1.0 - percent.max(1e-6).log10().floor()).clamp(1.0, 6.0) as usize };
    format!("{percent:.decimals$} %")
}

/// The number of a share's shade.
fn shade(share: f64, most: f64) -> usize {
    let steps = SHADES.len() - 1;
    if share <= 0.0 || most <= 0.0 { 0 } else { ((share / most * steps as f64).ceil() as usize).clamp(1, steps) }
}

/// Left and right edge of a CPU's column.
fn columns(cpu: usize, cpus: usize) -> (i32, i32) {
    let width = (CELLS_RIGHT - CELLS_LEFT) as usize;
    (CELLS_LEFT + (width * cpu / cpus) as i32, CELLS_LEFT + (width * (cpu + 1) / cpus) as i32)
}

fn heads<DB: DrawingBackend>(root: &Page<DB>, cpus: usize) -> DrawResult<(), DB> {
    let y = CELLS_TOP - 14;
    let right = page::text(page::LABEL_SIZE, page::FAINT_INK, HPos::Right, VPos::Center);
    root.draw_text("cache", &right, (NAMES_RIGHT, y))?;
    root.draw_text("waited in all", &right, (WAITED_RIGHT, y))?;
    let middle = page::text(page::LABEL_SIZE, page::FAINT_INK, HPos::Center, VPos::Center);
    let room = (CELLS_RIGHT - CELLS_LEFT) as f32 / cpus as f32;
    let widest = font::width(&format!("CPU {cpus}"), page::LABEL_SIZE) + 12.0;
    // As many CPUs are named as there is room for.
    let every = (widest / room).ceil().max(1.0) as usize;
    for cpu in (0..cpus).step_by(every) {
        let (left, right) = columns(cpu, cpus);
        root.draw_text(&format!("CPU {cpu}"), &middle, (i32::midpoint(left, right).max(CELLS_LEFT + 24), y))?;
    }
    Ok(())
}

fn labels<DB: DrawingBackend>(root: &Page<DB>, cache: &ThreadsCache, middle: i32) -> DrawResult<(), DB> {
    let style = page::text(page::LABEL_SIZE, page::INK, HPos::Right, VPos::Center);
    root.draw_text(&font::fit(&cache.label, page::LABEL_SIZE, NAMES_WIDTH), &style, (NAMES_RIGHT, middle))?;
    let waited = font::fit(&duration(cache.own_locks().waited_ns), page::LABEL_SIZE, (WAITED_RIGHT - CELLS_RIGHT - 8) as f32);
    root.draw_text(&waited, &style, (WAITED_RIGHT, middle))
}

fn cell<DB: DrawingBackend>(root: &Page<DB>, locks: LockFigures, most: f64, [from, to]: [(i32, i32); 2]) -> DrawResult<(), DB> {
    let shade = shade(locks.contended_share(), most);
    let color = if locks.taken == 0 { UNUSED } else { SHADES[shade] };
    // A seam between neighbours, where there is room for one.
    let seam = i32::from(to.0 - from.0 > 4);
    root.draw(&Rectangle::new([from, (to.0 - seam, to.1 - 1)], color.filled()))?;
    if locks.taken == 0 {
        return Ok(());
    }
    let taken = thousands(locks.taken);
    let texts = if locks.contended == 0 {
        [format!("0 of {taken}"), "0".to_owned()]
    } else {
        let share = precise(locks.contended_share());
        [format!("{share} of {taken}"), share]
    };
    let ink = if shade >= DARK { page::BACKGROUND } else { page::INK };
    let style = page::text(SMALL, ink, HPos::Center, VPos::Center);
    let fits = |text: &&String| font::width(text, SMALL) + 8.0 <= (to.0 - from.0) as f32;
    if let Some(text) = texts.iter().find(fits) {
        root.draw_text(text, &style, (i32::midpoint(from.0, to.0), i32::midpoint(from.1, to.1)))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata::threads::small;

    #[test]
    fn shades_rise_with_the_share() {
        let of = |share| shade(share, 0.4);
        assert_eq!([0.0, 0.001, 0.1, 0.101, 0.3, 0.4].map(of), [0, 1, 1, 2, 3, 4]);
        assert_eq!(shade(0.0, 0.0), 0);
    }

    #[test]
    fn columns_meet_and_fill_the_width() {
        for cpus in [1, 3, 300] {
            assert_eq!((columns(0, cpus).0, columns(cpus - 1, cpus).1), (CELLS_LEFT, CELLS_RIGHT));
            assert!((1..cpus).all(|cpu| columns(cpu - 1, cpus).1 == columns(cpu, cpus).0));
        }
    }

    #[test]
    fn the_title_says_how_much_or_that_there_was_none() {
        let mut input = small();
        // 10 of 90.
        assert_eq!(title(&busiest(&input.caches)), "Contended acquisitions of list and barn locks: 11.1% of all");
        let cache = &mut input.caches[0];
        for locks in cache.list_locks.iter_mut().chain(&mut cache.barn_locks) {
            locks.contended = 0;
        }
        assert_eq!(title(&busiest(&input.caches)), "Contended acquisitions of list and barn locks: none");
        assert_eq!(legend(0.0).len(), 2);
    }

    #[test]
    fn small_shares_keep_two_digits() {
        assert_eq!([0.5, 0.0123, 0.00045, 0.0].map(precise), ["50 %", "1.2 %", "0.045 %", "0.000000 %"]);
    }

    #[test]
    fn the_legend_fits_the_page() {
        let width: f32 = legend(0.000_123).iter().map(|(_, name)| 21.0 + font::width(name, page::LABEL_SIZE) + 26.0).sum();
        assert!(width < (SIZE.0 as i32 - 2 * page::MARGIN) as f32, "{width}");
    }
}
