//! Writes the page with everything into a folder.

use std::fs;
use std::path::{Path, PathBuf};

use super::ExportError;
use crate::html::{Document, render};

/// Name of the page.
const NAME: &str = "report.html";

/// Writes `report.html` into `dir` and returns its path.
///
/// Creates `dir` and replaces a file of this name.
///
/// # Errors
///
/// If the folder or the file cannot be written, or if the input refers to caches that it does not hold.
pub fn write(document: &Document<'_>, dir: &Path) -> Result<PathBuf, ExportError> {
    fs::create_dir_all(dir).map_err(|source| ExportError::Folder { path: dir.to_owned(), source })?;
    let path = dir.join(NAME);
    let page = render(document).map_err(|source| ExportError::Html { path: path.clone(), source })?;
    fs::write(&path, page).map_err(|source| ExportError::File { path: path.clone(), source })?;
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn the_page_is_written_into_a_new_folder() {
        let dir = tempfile::tempdir().unwrap();
        let input = testdata::small();
        let document = Document { input: &input, analysis: None, parameters: &[], extension: "csv" };
        let path = write(&document, &dir.path().join("new")).expect("writes");
        assert_eq!(path.file_name().unwrap(), "report.html");
        assert_eq!(fs::read_to_string(&path).unwrap(), render(&document).unwrap());
    }
}
