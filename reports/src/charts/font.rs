//! The font that comes with the crate, so that charts look the same on every machine.

use std::sync::LazyLock;

use ab_glyph::{Font, FontRef, Glyph, PxScale, ScaleFont};

use crate::format::printable;

/// Font names for SVG readers: the one measured with, then whatever is there.
pub(crate) const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

/// plotters gives text sizes as line heights; its SVG backend divides by this for the em.
pub(crate) const SIZE_PER_EM: f64 = 1.24;

/// Height of a lower-case x, as a share of the em.
const X_HEIGHT: f32 = 0.547;

const MOST_CHARS: usize = 400;

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    FontRef::try_from_slice(include_bytes!("../../assets/DejaVuSans-subset.ttf")).expect("the bundled font is a valid TrueType font")
});

/// Returns the distance from the middle of a line of text to its baseline.
pub(crate) fn half_x_height(size: f64) -> f32 {
    (size / SIZE_PER_EM) as f32 * X_HEIGHT / 2.0
}

/// Returns the width of `text` in pixels.
pub(crate) fn width(text: &str, size: f64) -> f32 {
    shape(text, size).1
}

/// Calls `dot` with position and coverage of every pixel that `text` touches. Its baseline starts
/// at (0, 0).
pub(crate) fn rasterize<E>(text: &str, size: f64, mut dot: impl FnMut(i32, i32, f32) -> Result<(), E>) -> Result<(), E> {
    for glyph in shape(text, size).0 {
        let Some(outline) = FONT.outline_glyph(glyph) else {
            continue; // a blank
        };
        let corner = outline.px_bounds().min;
        let mut result = Ok(());
        outline.draw(|x, y, coverage| {
            if result.is_ok() && coverage > 0.0 {
                let (left, top) = (corner.x as i32, corner.y as i32);
                result = dot(left + x as i32, top + y as i32, coverage.min(1.0));
            }
        });
        result?;
    }
    Ok(())
}

/// Returns `text`, cut at its end to at most `width_px`, without characters unfit for a chart.
pub(crate) fn fit(text: &str, size: f64, width_px: f32) -> String {
    fit_by(
        text,
        size,
        width_px,
        |chars| {
            chars.pop();
        },
        |kept| format!("{kept}…"),
    )
}

/// Like [`fit`], but cuts at the start: the end of a path tells more.
pub(crate) fn fit_end(text: &str, size: f64, width_px: f32) -> String {
    fit_by(
        text,
        size,
        width_px,
        |chars| {
            chars.remove(0);
        },
        |kept| format!("…{kept}"),
    )
}

fn fit_by(text: &str, size: f64, width_px: f32, shorten: impl Fn(&mut Vec<char>), mark: impl Fn(String) -> String) -> String {
    let text = printable(text, true);
    if width(&text, size) <= width_px {
        return text;
    }
    let mut chars: Vec<char> = text.chars().collect();
    // No page is wide enough for more; measuring one less each time would take long.
    while chars.len() > MOST_CHARS {
        shorten(&mut chars);
    }
    loop {
        let cut = mark(chars.iter().collect());
        if chars.is_empty() || width(&cut, size) <= width_px {
            return cut;
        }
        shorten(&mut chars);
    }
}

/// Places the glyphs of `text` on a baseline from (0, 0); returns them and the total width.
fn shape(text: &str, size: f64) -> (Vec<Glyph>, f32) {
    let em = (size / SIZE_PER_EM) as f32;
    // ab_glyph's scale is the height from descender to ascender.
    let per_em = FONT.height_unscaled() / FONT.units_per_em().unwrap_or(2048.0);
    let scale = PxScale::from(em * per_em);
    let font = FONT.as_scaled(scale);
    let mut pen = 0.0;
    let mut glyphs = Vec::with_capacity(text.len());
    for char in text.chars() {
        let id = font.glyph_id(char);
        glyphs.push(id.with_scale_and_position(scale, ab_glyph::point(pen, 0.0)));
        pen += font.h_advance(id);
    }
    (glyphs, pen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn width_grows_with_text_and_size() {
        assert_eq!(width("", 20.0), 0.0);
        assert!(width("mm", 20.0) > width("mi", 20.0));
        // Metrics of DejaVu Sans: a digit is 1303 of 2048 units wide; the em is 24.8 / 1.24 = 20.
        assert!((width("0", 24.8) - 20.0 * 1303.0 / 2048.0).abs() < 0.01);
    }

    #[test]
    fn fits_at_either_end() {
        let text = "a_rather_long_cache_name";
        assert_eq!(fit(text, 17.0, 1000.0), text);
        let cut = fit(text, 17.0, 80.0);
        assert!(cut.starts_with("a_r") && cut.ends_with('…') && width(&cut, 17.0) <= 80.0);
        let cut = fit_end(text, 17.0, 80.0);
        assert!(cut.starts_with('…') && cut.ends_with("name") && width(&cut, 17.0) <= 80.0);
    }

    #[test]
    fn the_licence_comes_with_the_font() {
        let licence = include_str!("../../assets/DejaVuSans-LICENSE.txt");
        assert!(licence.contains("Bitstream Vera Fonts Copyright"));
    }
}
