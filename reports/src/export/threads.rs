//! Writes the tables and charts of a replay on threads into a folder.

use std::path::{Path, PathBuf};

use super::{ExportError, TableFormat};
use crate::charts::threads::ThreadsChart;
use crate::input::threads::ThreadsInput;
use crate::tables::threads as tables;

/// Writes every table in each of `formats` and every chart as SVG and PNG into `dir`, as [`super::write_all`] does.
///
/// # Errors
///
/// If the folder or a file cannot be written. Files written before that stay.
pub fn write_all(input: &ThreadsInput, dir: &Path, formats: &[TableFormat]) -> Result<Vec<PathBuf>, ExportError> {
    super::write(input, dir, formats, &tables::ALL, &ThreadsChart::ALL)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testdata::threads::small;

    #[test]
    fn writes_the_same_files_on_each_run() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let written = write_all(&small(), &first.path().join("new"), &[TableFormat::Csv]).unwrap();
        let again = write_all(&small(), second.path(), &[TableFormat::Csv]).unwrap();
        let names: Vec<_> = written.iter().map(|path| path.file_name().unwrap().to_str().unwrap()).collect();
        assert_eq!(
            names,
            [
                "threads-workers.csv",
                "threads-latency.csv",
                "threads-locks.csv",
                "threads-agreement.csv",
                "latency-cdf.svg",
                "latency-cdf.png",
                "contention.svg",
                "contention.png"
            ]
        );
        for (one, other) in written.iter().zip(&again) {
            assert_eq!(fs::read(one).unwrap(), fs::read(other).unwrap(), "{one:?}");
        }
        let workers = fs::read_to_string(&written[0]).unwrap();
        assert!(workers.ends_with("1,1,1,100,800,125000000.000000,50,0\n"), "{workers}");
    }

    #[test]
    fn nothing_replayed_gives_all_files() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(write_all(&ThreadsInput::default(), dir.path(), &[TableFormat::Csv]).unwrap().len(), 8);
    }
}
