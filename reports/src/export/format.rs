//! Forms of tables in files: CSV, Parquet, JSON.

mod json;
mod parquet;

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use polars::prelude::{CsvWriter, DataFrame, SerWriter};

use super::{ExportError, RATIO_DIGITS, create};

/// How a table is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum TableFormat {
    /// Text; ratios have six digits behind the point.
    Csv,
    /// Columns with their types, packed with zstd.
    Parquet,
    /// An array with one object a row, each on a line of its own.
    Json,
}

impl TableFormat {
    /// Returns how names of such files end, such as `csv`.
    #[must_use]
    pub fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::Json => "json",
        }
    }

    /// Writes a table to `path`, replacing what is there.
    pub(super) fn write(self, frame: &mut DataFrame, path: &Path) -> Result<(), ExportError> {
        let file = create(path)?;
        match self {
            Self::Csv => write_csv(frame, file).map_err(|source| ExportError::Table { path: path.to_owned(), source }),
            Self::Parquet => parquet::write(frame, file).map_err(|source| ExportError::Parquet { path: path.to_owned(), source }),
            Self::Json => buffered(file, |to| json::write(frame, to)).map_err(|source| ExportError::File { path: path.to_owned(), source }),
        }
    }
}

fn buffered(file: File, write: impl FnOnce(&mut BufWriter<File>) -> io::Result<()>) -> io::Result<()> {
    let mut to = BufWriter::new(file);
    write(&mut to)?;
    to.flush()
}

/// Writes a table as CSV.
pub(super) fn write_csv(frame: &mut DataFrame, to: impl Write) -> Result<(), polars::prelude::PolarsError> {
    CsvWriter::new(to).with_float_precision(Some(RATIO_DIGITS)).finish(frame)
}
