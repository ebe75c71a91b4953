//! Writes the tables and charts of order fallback into a folder.

use std::path::{Path, PathBuf};

use super::{ExportError, TableFormat};
use crate::charts::pages::PagesChart;
use crate::input::pages::PageFigures;
use crate::tables::pages as tables;

/// Writes every table in each of `formats` and every chart as SVG and PNG into `dir`, as [`super::write_all`] does.
///
/// # Errors
///
/// If the folder or a file cannot be written. Files written before that stay.
pub fn write_all(figures: &PageFigures, dir: &Path, formats: &[TableFormat]) -> Result<Vec<PathBuf>, ExportError> {
    super::write(figures, dir, formats, &tables::ALL, &PagesChart::ALL)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testdata::pages::small;

    #[test]
    fn files_are_written_and_say_what_they_hold() {
        let dir = tempfile::tempdir().unwrap();
        let written = write_all(&small(), dir.path(), &[TableFormat::Csv]).unwrap();
        let names: Vec<_> = written.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["fallback-caches.csv", "free-blocks.csv", "slab-max-order.csv", "fragmentation.svg", "fragmentation.png"]);
        let text = fs::read_to_string(&written[0]).unwrap();
        let header =
            "cache,order,min_order,objects,min_objects,kernel,observed,predicted,attempts,high_order_attempts,failures,overhead_bytes\n";
        assert_eq!(text, format!("{header}\"a,b\",2,0,16,4,,3,2,0,0,0,0\n"));
    }
}
