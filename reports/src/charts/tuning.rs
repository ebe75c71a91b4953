//! Charts of configurations.

use plotters::prelude::{DrawResult, DrawingBackend};

use super::page::Page;
use super::{Picture, pareto};
use crate::input::tuning::TuneFigures;

/// A chart of configurations that were tried on one load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TuneChart {
    /// Memory against slow work.
    Pareto,
}

impl TuneChart {
    /// All charts, in the order of their export.
    pub const ALL: [TuneChart; 1] = [TuneChart::Pareto];
}

impl Picture for TuneChart {
    type Input = TuneFigures;

    fn name(self) -> &'static str {
        match self {
            TuneChart::Pareto => "pareto",
        }
    }

    fn draw<DB>(self, root: &Page<DB>, figures: &TuneFigures) -> DrawResult<(), DB>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        match self {
            TuneChart::Pareto => pareto::draw(root, figures),
        }
    }
}
