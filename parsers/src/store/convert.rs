//! A trace of any format to a file.

use std::fs::{File, Permissions};
use std::io::{BufWriter, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

use super::read::is_store;
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
/// It is written to a temporary file beside `out`, which takes the name `out` once it is complete. Of what may be there, only a Parquet
/// file is replaced: a trace in the wrong place on a command line must not be lost. `input` is the file that the trace was opened by. `progress` is told of bytes of input that were dealt with.
///
/// # Errors
///
/// If the trace cannot be read, or `out` cannot be written, is the input itself, or is there and no Parquet file.
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
    let mut start = Vec::new();
    let read = File::open(out).and_then(|file| file.take(4).read_to_end(&mut start));
    read.map_err(|error| TraceError::io(out, "cannot look at what is there", error))?;
    if !is_store(&start) && !start.is_empty() {
        return refuse("is there and no Parquet file; only one of those is replaced");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parquet_files_and_empty_ones_are_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str, content: &[u8]| {
            let path = dir.path().join(name);
            std::fs::write(&path, content).unwrap();
            path
        };
        let input = at("trace.dat", b"\x17\x08\x44tracing");
        for replaced in [dir.path().join("not there"), at("empty", b""), at("old.parquet", b"PAR1...")] {
            check_target(&input, &replaced).unwrap();
        }
        let refused = |out: &Path| check_target(&input, out).unwrap_err().to_string();
        // As where a pattern on the command line stands for two traces.
        assert!(refused(&at("another.dat", b"\x17\x08\x44tracing")).contains("no Parquet file"));
        assert!(refused(&at("notes", b"x")).contains("no Parquet file"));
        assert!(refused(&input).contains("the trace itself"));
        assert!(refused(dir.path()).contains("no regular file"));
    }
}
