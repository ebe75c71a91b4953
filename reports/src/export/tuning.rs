//! Writes the charts of configurations into a folder.

use std::path::{Path, PathBuf};

use super::ExportError;
use crate::charts::tuning::TuneChart;
use crate::input::tuning::TuneFigures;

/// Writes every chart as SVG and PNG into `dir`, as [`super::write_all`] does.
///
/// # Errors
///
/// If the folder or a file cannot be written. Files written before that stay.
pub fn write_all(figures: &TuneFigures, dir: &Path) -> Result<Vec<PathBuf>, ExportError> {
    super::write(figures, dir, &[], &[], &TuneChart::ALL)
}
