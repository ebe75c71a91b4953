//! A trace of any format to a file.

use std::fs::Permissions;
use std::io::BufWriter;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::write::StoreWriter;
use crate::any::AnyTrace;
use crate::error::TraceError;
use crate::recording::Recording;

/// What was written.
#[derive(Debug, Clone)]
pub struct Converted {
    /// Events, one a row.
    pub events: u64,
    /// Bytes of the file.
    pub bytes: u64,
    /// The trace without its events: what it says of itself, and what could not be used.
    pub facts: Recording,
}

/// Writes a trace as a store, in memory that does not grow with it.
///
/// It is written to a temporary file beside `out`, which takes the name `out` once it is complete; a file of that name is
/// replaced. `input` is the file that the trace was opened by, which is not. `progress` is told of bytes of input that were dealt with.
///
/// # Errors
///
/// If the trace cannot be read, or `out` cannot be written, is the input itself, or is there and no regular file.
pub fn convert(trace: &AnyTrace, input: &Path, out: &Path, progress: &(dyn Fn(u64) + Sync)) -> Result<Converted, TraceError> {
    check_target(input, out)?;
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let in_folder = |error| TraceError::io(out, "cannot make a file beside it", error);
    // As any other new file; temporary files are made for their owner alone.
    let permissions = Permissions::from_mode(0o666);
    let temporary = tempfile::Builder::new().prefix(".slubreplay-").permissions(permissions).tempfile_in(folder).map_err(in_folder)?;
    let failed = |error| TraceError::io(out, "cannot write", error);
    let mut source = trace.stream(progress)?;
    let mut writer = StoreWriter::new(BufWriter::with_capacity(1 << 20, temporary)).map_err(failed)?;
    loop {
        let batch = source.next_batch()?;
        if batch.is_empty() {
            break;
        }
        writer.write(&batch, source.facts()).map_err(failed)?;
    }
    let facts = source.facts().clone();
    let (buffered, events) = writer.finish(&facts).map_err(failed)?;
    let temporary = buffered.into_inner().map_err(|error| failed(error.into_error()))?;
    temporary.as_file().sync_all().map_err(failed)?;
    let bytes = temporary.as_file().metadata().map_err(failed)?.len();
    temporary.persist(out).map_err(|error| failed(error.error))?;
    Ok(Converted { events, bytes, facts })
}

/// A rename would put the file in the place of whatever is there.
fn check_target(input: &Path, out: &Path) -> Result<(), TraceError> {
    let Ok(there) = std::fs::metadata(out) else { return Ok(()) };
    let refuse = |what: &str| Err(TraceError::Unsupported { path: out.to_owned(), what: what.to_owned() });
    if !there.is_file() {
        return refuse("is there and no regular file; expected the name of a file to be written");
    }
    if std::fs::metadata(input).is_ok_and(|input| (input.dev(), input.ino()) == (there.dev(), there.ino())) {
        return refuse("is the trace itself; expected another name for what it is converted to");
    }
    Ok(())
}
