//! Charts of the page allocator.

use plotters::prelude::{DrawResult, DrawingBackend};

use super::page::Page;
use super::{Picture, fragmentation};
use crate::input::pages::PageFigures;

/// A chart of a replay with the page allocator modelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PagesChart {
    /// How fragmented the free memory was over time, and when caches fell back.
    Fragmentation,
}

impl PagesChart {
    /// All charts, in the order of their export.
    pub const ALL: [PagesChart; 1] = [PagesChart::Fragmentation];
}

impl Picture for PagesChart {
    type Input = PageFigures;

    fn name(self) -> &'static str {
        match self {
            PagesChart::Fragmentation => "fragmentation",
        }
    }

    fn draw<DB>(self, root: &Page<DB>, figures: &PageFigures) -> DrawResult<(), DB>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        match self {
            PagesChart::Fragmentation => fragmentation::draw(root, figures),
        }
    }
}
