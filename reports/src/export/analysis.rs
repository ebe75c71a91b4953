//! Writes the tables and charts of the analyses into a folder.

use std::path::{Path, PathBuf};

use super::{ExportError, TableFormat, write};
use crate::charts::analysis::AnalysisChart;
use crate::input::analysis::AnalysisInput;
use crate::tables;

/// Writes every table in each of `formats` and every chart as SVG and PNG into `dir`, as [`super::write_all`] does.
///
/// # Errors
///
/// If the folder or a file cannot be written. Files written before that stay.
pub fn write_all(input: &AnalysisInput, dir: &Path, formats: &[TableFormat]) -> Result<Vec<PathBuf>, ExportError> {
    write(input, dir, formats, &tables::analysis::ALL, &AnalysisChart::ALL)
}
