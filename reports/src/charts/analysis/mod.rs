//! Charts of what the analyses found.

mod grids;
mod owners;
mod parts;
mod rates;

use plotters::coord::Shift;
use plotters::drawing::DrawingArea;
use plotters::prelude::{DrawResult, DrawingBackend};

use super::Picture;
use crate::input::analysis::AnalysisInput;

/// A chart of the analyses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum AnalysisChart {
    /// Where slab memory is, over time.
    SlabParts,
    /// How full slabs are, over time.
    Occupancy,
    /// How long objects live, by cache.
    Lifetimes,
    /// Who has memory at the end.
    LiveSites,
    /// Who keeps slabs that are mostly free.
    Pinning,
    /// Which CPU frees what which CPU allocated.
    RemoteFrees,
    /// Allocations a second.
    Churn,
    /// Slabs on and off nodes' lists a second.
    ListMoves,
}

impl AnalysisChart {
    /// All charts, in the order of their export.
    pub const ALL: [Self; 8] = [
        Self::SlabParts,
        Self::Occupancy,
        Self::Lifetimes,
        Self::LiveSites,
        Self::Pinning,
        Self::RemoteFrees,
        Self::Churn,
        Self::ListMoves,
    ];
}

impl Picture for AnalysisChart {
    type Input = AnalysisInput;

    fn name(self) -> &'static str {
        match self {
            Self::SlabParts => "slab-parts",
            Self::Occupancy => "occupancy",
            Self::Lifetimes => "lifetimes",
            Self::LiveSites => "live-sites",
            Self::Pinning => "pinning",
            Self::RemoteFrees => "remote-frees",
            Self::Churn => "churn",
            Self::ListMoves => "list-moves",
        }
    }

    fn draw<DB>(self, root: &DrawingArea<DB, Shift>, input: &AnalysisInput) -> DrawResult<(), DB>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        match self {
            Self::SlabParts => parts::draw(root, input),
            Self::Occupancy => grids::occupancy(root, input),
            Self::Lifetimes => grids::lifetimes(root, input),
            Self::LiveSites => owners::live_sites(root, input),
            Self::Pinning => owners::pinning(root, input),
            Self::RemoteFrees => grids::remote_frees(root, input),
            Self::Churn => rates::churn(root, input),
            Self::ListMoves => rates::list_moves(root, input),
        }
    }
}
