//! plotters' bitmap backend with text of its own.
//!
//! plotters sets bitmap text without the space to the left of a glyph, at whole pixels and higher
//! than its SVG backend does. Here both give the same picture.

use std::path::Path;

use plotters::prelude::{BitMapBackend, DrawingBackend};
use plotters_backend::text_anchor::{HPos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendStyle, BackendTextStyle, DrawingErrorKind};

use super::font;

/// Draws into an image in memory and writes it as PNG when presented.
pub(crate) struct PngBackend<'a>(BitMapBackend<'a>);

impl<'a> PngBackend<'a> {
    pub(crate) fn new(path: &'a Path, size: (u32, u32)) -> Self {
        Self(BitMapBackend::new(path, size))
    }
}

type Drawn<'a> = Result<(), DrawingErrorKind<<BitMapBackend<'a> as DrawingBackend>::ErrorType>>;

impl<'a> DrawingBackend for PngBackend<'a> {
    type ErrorType = <BitMapBackend<'a> as DrawingBackend>::ErrorType;

    fn get_size(&self) -> (u32, u32) {
        self.0.get_size()
    }

    fn ensure_prepared(&mut self) -> Drawn<'a> {
        self.0.ensure_prepared()
    }

    fn present(&mut self) -> Drawn<'a> {
        self.0.present()
    }

    fn draw_pixel(&mut self, point: BackendCoord, color: BackendColor) -> Drawn<'a> {
        self.0.draw_pixel(point, color)
    }

    fn draw_line<S: BackendStyle>(&mut self, from: BackendCoord, to: BackendCoord, style: &S) -> Drawn<'a> {
        self.0.draw_line(from, to, style)
    }

    fn draw_rect<S: BackendStyle>(&mut self, upper_left: BackendCoord, bottom_right: BackendCoord, style: &S, fill: bool) -> Drawn<'a> {
        self.0.draw_rect(upper_left, bottom_right, style, fill)
    }

    fn draw_path<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn<'a> {
        self.0.draw_path(path, style)
    }

    fn fill_polygon<S: BackendStyle, I: IntoIterator<Item = BackendCoord>>(&mut self, path: I, style: &S) -> Drawn<'a> {
        self.0.fill_polygon(path, style)
    }

    fn draw_text<S: BackendTextStyle>(&mut self, text: &str, style: &S, pos: BackendCoord) -> Drawn<'a> {
        let (size, color) = (style.size(), style.color());
        let width = font::width(text, size).round() as i32;
        let left = match style.anchor().h_pos {
            HPos::Left => 0,
            HPos::Center => -width / 2,
            HPos::Right => -width,
        };
        // As the SVG backend has it: 0.76em, 0.5ex and -0.5ex.
        let baseline = match style.anchor().v_pos {
            VPos::Top => (0.76 * size / font::SIZE_PER_EM) as f32,
            VPos::Center => font::half_x_height(size),
            VPos::Bottom => -font::half_x_height(size),
        };
        let baseline = baseline.round() as i32;
        let transform = style.transform();
        font::rasterize(text, size, |x, y, coverage| {
            let (x, y) = transform.transform(left + x, baseline + y);
            let alpha = color.alpha * f64::from(coverage);
            let color = BackendColor { alpha, ..color };
            self.0.draw_pixel((pos.0 + x, pos.1 + y), color)
        })
    }
}
