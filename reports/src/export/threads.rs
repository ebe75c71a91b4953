//! Writes the tables and charts of a replay on threads into a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::{ExportError, create, write_csv};
use crate::charts::threads::ThreadsChart;
use crate::input::threads::ThreadsInput;
use crate::tables::threads as tables;

/// Writes every table as CSV and every chart as SVG and PNG into `dir`, as [`super::write_all`] does.
///
/// # Errors
///
/// If the folder or a file cannot be written. Files written before that stay.
pub fn write_all(input: &ThreadsInput, dir: &Path) -> Result<Vec<PathBuf>, ExportError> {
    fs::create_dir_all(dir).map_err(|source| ExportError::Folder { path: dir.to_owned(), source })?;
    let mut written = Vec::new();
    for table in tables::ALL {
        let path = dir.join(format!("{}.csv", table.name));
        let failed = |source| ExportError::Table { path: path.clone(), source };
        let mut frame = (table.build)(input).map_err(failed)?;
        write_csv(&mut frame, create(&path)?).map_err(failed)?;
        written.push(path);
    }
    for chart in ThreadsChart::ALL {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata::threads::small;

    #[test]
    fn writes_the_same_files_on_each_run() {
        let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let written = write_all(&small(), &first.path().join("new")).unwrap();
        let again = write_all(&small(), second.path()).unwrap();
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
        assert_eq!(write_all(&ThreadsInput::default(), dir.path()).unwrap().len(), 8);
    }
}
