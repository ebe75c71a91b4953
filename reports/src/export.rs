//! Writes the tables and charts of a replay into a folder.

pub mod analysis;
mod format;
pub mod html;
pub mod pages;
pub mod threads;
pub mod tuning;

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use parquet::errors::ParquetError;
use polars::prelude::{DataFrame, PolarsError, PolarsResult};

use crate::charts::{Chart, ChartError, Picture};
use crate::html::HtmlError;
use crate::input::ReportInput;
use crate::tables::{self, Table};

pub use format::TableFormat;

/// Digits behind the point of ratios: enough to tell one object in a million.
const RATIO_DIGITS: usize = 6;

/// A report that could not be written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExportError {
    /// The folder cannot be created.
    #[error("cannot create folder {}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file cannot be created or written.
    #[error("cannot write {}", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A table cannot be built or written.
    #[error("cannot write table {}", .path.display())]
    Table {
        /// The file that the table was meant for.
        path: PathBuf,
        /// What polars said.
        source: PolarsError,
    },
    /// A table cannot be written as Parquet.
    #[error("cannot write table {}", .path.display())]
    Parquet {
        /// The file that the table was meant for.
        path: PathBuf,
        /// What was in the way.
        source: ParquetError,
    },
    /// A chart cannot be drawn or written.
    #[error("cannot draw chart {}", .path.display())]
    Chart {
        /// The file that the chart was meant for.
        path: PathBuf,
        /// Why.
        source: ChartError,
    },
    /// The page cannot be made.
    #[error("cannot make {}", .path.display())]
    Html {
        /// The file that the page was meant for.
        path: PathBuf,
        /// Why.
        source: HtmlError,
    },
}

/// Writes every table in each of `formats` and every chart as SVG and PNG into `dir`.
///
/// Creates `dir` and replaces files of the same names. Returns the paths written, in order. Ratios
/// have six digits behind the point in CSV, all in the others.
///
/// # Errors
///
/// If the folder or a file cannot be written, or if the input refers to caches that it does not
/// hold. Files written before that stay.
pub fn write_all(input: &ReportInput, dir: &Path, formats: &[TableFormat]) -> Result<Vec<PathBuf>, ExportError> {
    write(input, dir, formats, &tables::ALL, &Chart::ALL)
}

/// Writes these tables and charts of an input.
fn write<I, P: Picture<Input = I>>(
    input: &I,
    dir: &Path,
    formats: &[TableFormat],
    tables: &[Table<I>],
    charts: &[P],
) -> Result<Vec<PathBuf>, ExportError> {
    fs::create_dir_all(dir).map_err(|source| ExportError::Folder { path: dir.to_owned(), source })?;
    let mut written = Vec::new();
    for table in tables {
        let mut frame = (table.build)(input).map_err(|source| ExportError::Table { path: dir.join(table.name), source })?;
        for format in formats {
            let path = dir.join(format!("{}.{}", table.name, format.extension()));
            format.write(&mut frame, &path)?;
            written.push(path);
        }
    }
    for chart in charts {
        let path = dir.join(format!("{}.svg", chart.name()));
        let svg = chart.to_svg(input).map_err(|source| ExportError::Chart { path: path.clone(), source })?;
        fs::write(&path, svg).map_err(|source| ExportError::File { path: path.clone(), source })?;
        written.push(path);
        let path = dir.join(format!("{}.png", chart.name()));
        // The backend opens the file itself; doing so first gives the plain reason if that fails.
        drop(create(&path)?);
        chart.write_png(input, &path).map_err(|source| ExportError::Chart { path: path.clone(), source })?;
        written.push(path);
    }
    Ok(written)
}

/// Returns a table as CSV, in the form of the files that [`write_all`] writes.
///
/// # Errors
///
/// If the table could not be built.
pub fn to_csv(table: PolarsResult<DataFrame>) -> Result<String, PolarsError> {
    let mut text = Vec::new();
    format::write_csv(&mut table?, &mut text)?;
    Ok(String::from_utf8_lossy(&text).into_owned())
}

fn create(path: &Path) -> Result<File, ExportError> {
    File::create(path).map_err(|source| ExportError::File { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    const CSV: &[TableFormat] = &[TableFormat::Csv];
    const NAMES: [&str; 13] = [
        "caches.csv",
        "paths.csv",
        "counters.csv",
        "timeline.csv",
        "totals.csv",
        "ledger.csv",
        "sizing.csv",
        "slab-bytes.svg",
        "slab-bytes.png",
        "path-mix.svg",
        "path-mix.png",
        "partial-lists.svg",
        "partial-lists.png",
    ];

    #[test]
    fn writes_the_same_bytes_on_each_run() {
        let input = testdata::small();
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let written = write_all(&input, &first.path().join("new/folder"), CSV).expect("writes");
        let again = write_all(&input, second.path(), CSV).expect("writes");
        let names: Vec<_> = written.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, NAMES);
        for (one, other) in written.iter().zip(&again) {
            assert_eq!(fs::read(one).unwrap(), fs::read(other).unwrap(), "{one:?}");
        }
    }

    #[test]
    fn nothing_replayed_gives_all_files() {
        let dir = tempfile::tempdir().unwrap();
        let written = write_all(&testdata::empty(), dir.path(), CSV).expect("writes");
        assert_eq!(written.len(), NAMES.len());
        for path in written {
            assert!(fs::metadata(&path).unwrap().len() > 0, "{path:?}");
        }
    }

    #[test]
    fn csv_files_hold_the_documented_columns() {
        let dir = tempfile::tempdir().unwrap();
        write_all(&testdata::small(), dir.path(), CSV).expect("writes");
        let text = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(
            text("totals.csv"),
            "time_ns,slabs,slab_bytes,live_objects,live_bytes,partial_slabs,cpu_partial_slabs\n\
             0,1,4096,3,192,0,0\n500,6,24576,250,16000,3,0\n1000,5,20480,40,2560,3,0\n"
        );
        assert_eq!(text("sizing.csv"), "cache,attribute,kernel,computed\ndentry,order,1,0\n");
        let caches = text("caches.csv");
        assert!(caches.starts_with("name,traced_as,aliases,pseudo,object_bytes,"));
        assert!(caches.contains(",0.250000,"), "six digits: {caches}");
    }

    #[test]
    fn tables_come_in_each_form_asked_for() {
        let dir = tempfile::tempdir().unwrap();
        let again = tempfile::tempdir().unwrap();
        let formats = [TableFormat::Parquet, TableFormat::Json];
        let written = write_all(&testdata::small(), dir.path(), &formats).expect("writes");
        write_all(&testdata::small(), again.path(), &formats).expect("writes");
        let names: Vec<_> = written.iter().take(4).map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(names, ["caches.parquet", "caches.json", "paths.parquet", "paths.json"]);
        assert_eq!(written.len(), 2 * tables::ALL.len() + 2 * Chart::ALL.len());
        for path in &written {
            let name = path.file_name().unwrap();
            assert_eq!(fs::read(path).unwrap(), fs::read(again.path().join(name)).unwrap(), "{name:?}");
        }
    }

    #[test]
    fn errors_name_the_path() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("taken");
        fs::write(&file, "").unwrap();
        let error = write_all(&testdata::small(), &file, CSV).expect_err("a file is in the way");
        assert_eq!(error.to_string(), format!("cannot create folder {}", file.display()));
        fs::create_dir(dir.path().join("path-mix.png")).unwrap();
        let error = write_all(&testdata::small(), dir.path(), CSV).expect_err("a folder is in the way");
        assert!(error.to_string().ends_with("path-mix.png"), "{error}");
    }
}
