//! A trace file of whatever format, told by its first bytes.

use std::path::Path;

use crate::error::{Fault, Place, TraceError};
use crate::mapped::MappedFile;
use crate::parse::excerpt;
use crate::perfdata::{self, PerfData};
use crate::recording::Recording;
use crate::tracedat::{self, TraceDat};

/// A trace file of any format that can be read, opened and understood up to its data.
#[derive(Debug)]
pub enum AnyTrace {
    /// Written by trace-cmd.
    TraceDat(TraceDat),
    /// Written by perf.
    PerfData(PerfData),
}

impl AnyTrace {
    /// Opens a file and reads its headers. Its first bytes tell its format; its name says nothing.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, has the first bytes of neither format, or is refused by
    /// [`TraceDat::open`] or [`PerfData::open`].
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        let file = MappedFile::open(path)?;
        if tracedat::is_trace_dat(&file) {
            return TraceDat::read(file).map(Self::TraceDat);
        }
        if perfdata::is_perf_data(&file) {
            return PerfData::read(file).map(Self::PerfData);
        }
        let found = excerpt(&file);
        file.check()?;
        let expected = "the trace.dat magic 17 08 44 `tracing` or the perf.data magic `PERFILE2`";
        let fault = Fault { section: "preamble".into(), place: Place::Byte(0), expected: expected.into(), found };
        Err(TraceError::malformed(path, fault))
    }

    /// Decodes all events, on as many threads as rayon's pool has.
    ///
    /// `progress` is told of bytes of input that were dealt with.
    ///
    /// # Errors
    ///
    /// As [`TraceDat::decode`] or [`PerfData::decode`].
    pub fn decode(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Recording, TraceError> {
        match self {
            Self::TraceDat(trace) => trace.decode(progress),
            Self::PerfData(trace) => trace.decode(progress),
        }
    }

    /// Bytes of data that [`AnyTrace::decode`] will report progress on.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        match self {
            Self::TraceDat(trace) => trace.data_bytes(),
            Self::PerfData(trace) => trace.data_bytes(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_neither_format_is_refused_with_both_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "# tracer: nop\n").unwrap();
        let message = AnyTrace::open(&path).unwrap_err().to_string();
        let expected = "the trace.dat magic 17 08 44 `tracing` or the perf.data magic `PERFILE2`";
        assert!(message.ends_with(&format!("notes.txt: preamble, byte 0: expected {expected}, found \"# tracer: no\"…")), "{message}");
    }
}
