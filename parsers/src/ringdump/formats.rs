//! The texts under `events`.

use std::io::Read;
use std::path::{Path, PathBuf};

use crate::blocks::{Blocks, MAX_EVENTS, MAX_FORMAT_BYTES, header_page};
use crate::error::{Fault, Place, TraceError};
use crate::parse::{Origin, excerpt};

/// Reads the layout of sub-buffers and all formats.
pub(super) fn read(dir: &Path) -> Result<Blocks, TraceError> {
    let events = dir.join("events");
    let missing = |what: &str| TraceError::Unsupported {
        path: dir.to_owned(),
        what: format!("the pages cannot be understood without {what}; copy it from tracefs of the same boot"),
    };
    let path = events.join("header_page");
    let text = optional(&path)?.ok_or_else(|| missing("events/header_page"))?;
    let header_page = header_page(&text, Origin::File(0)).map_err(|fault| TraceError::malformed(&path, fault))?;
    if header_page.sub_buffer_bytes == 0 {
        let expected = "offset and size of `data` that add up to a power of two from 4 KiB to 4 MiB".into();
        let fault = Fault { section: "header_page".into(), place: Place::Byte(0), expected, found: excerpt(&text) };
        return Err(TraceError::malformed(&path, fault));
    }
    let mut blocks = Blocks { header_page, ..Blocks::default() };
    let mut count = 0;
    for (system, folder) in folders(&events)? {
        for (_, event) in folders(&folder)? {
            let path = event.join("format");
            let Some(text) = optional(&path)? else { continue };
            count += 1;
            if count > MAX_EVENTS {
                return Err(TraceError::Unsupported { path: events, what: format!("more than {MAX_EVENTS} formats") });
            }
            blocks.add_format(&system, &text, Origin::File(0)).map_err(|fault| TraceError::malformed(&path, fault))?;
        }
    }
    if blocks.formats.iter().any(|format| format.system == "kmem") { Ok(blocks) } else { Err(missing("events/kmem/*/format")) }
}

/// The folders in a folder, by name.
fn folders(folder: &Path) -> Result<Vec<(String, PathBuf)>, TraceError> {
    let io = |error| TraceError::io(folder, "cannot list", error);
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(io)? {
        let path = entry.map_err(io)?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned());
        found.extend(name.filter(|_| path.is_dir()).map(|name| (name, path)));
    }
    found.sort_unstable();
    Ok(found)
}

/// The bytes of a text file, or `None` if there is none.
pub(super) fn optional(path: &Path) -> Result<Option<Vec<u8>>, TraceError> {
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => return Ok(None),
        Err(error) => return Err(TraceError::io(path, "cannot open", error)),
    };
    let mut text = Vec::new();
    file.take(MAX_FORMAT_BYTES + 1).read_to_end(&mut text).map_err(|error| TraceError::io(path, "cannot read", error))?;
    if text.len() as u64 > MAX_FORMAT_BYTES {
        return Err(TraceError::Unsupported { path: path.to_owned(), what: "a text of more than 16 MiB".to_owned() });
    }
    Ok(Some(text))
}
