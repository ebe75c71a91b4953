//! A trace of whatever format, told by its content.

use std::path::Path;

use crate::error::{Fault, Place, TraceError};
use crate::mapped::MappedFile;
use crate::parse::excerpt;
use crate::perfdata::{self, PerfData};
use crate::recording::Recording;
use crate::ringdump::{self, RingDump};
use crate::source::{self, Packing};
use crate::store::{self, Store};
use crate::stream::EventSource;
use crate::text::{self, TextTrace};
use crate::tracedat::{self, TraceDat};

/// A trace of any format that can be read, opened and understood up to its data.
#[derive(Debug)]
pub struct AnyTrace {
    format: Format,
    /// How the whole of it was packed.
    packing: Option<Packing>,
}

#[derive(Debug)]
enum Format {
    TraceDat(TraceDat),
    PerfData(PerfData),
    Text(TextTrace),
    Store(Box<Store>),
    RingDump(RingDump),
}

/// What the first bytes of a trace can be, for messages.
pub(crate) const FORMATS: &str = "the trace.dat magic 17 08 44 `tracing`, the perf.data magic `PERFILE2`, the Parquet magic `PAR1`, or lines of ftrace, `trace-cmd report` or `perf script`";

impl AnyTrace {
    /// Opens a trace and reads its headers. Its content tells its format; its name says nothing. The trace may be packed
    /// with gzip, zstd or xz, and may come from a pipe: standard input is the path `-`. A directory is read as
    /// [raw ring-buffer pages](crate::ringdump).
    ///
    /// # Errors
    ///
    /// If the file cannot be read or unpacked, is of no known format, or is refused by
    /// [`TraceDat::open`], [`PerfData::open`], [`TextTrace::open`], [`Store::open`] or [`RingDump::open`].
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        if ringdump::is_ring_dump(path) {
            return Ok(Self { format: Format::RingDump(RingDump::open(path)?), packing: None });
        }
        let source = source::open(path)?;
        Ok(Self { format: Format::read(source.file)?, packing: source.packing })
    }

    /// Decodes all events, on as many threads as rayon's pool has.
    ///
    /// `progress` is told of bytes of input that were dealt with.
    ///
    /// # Errors
    ///
    /// As [`TraceDat::decode`], [`PerfData::decode`], [`TextTrace::decode`], [`Store::decode`] or [`RingDump::decode`].
    pub fn decode(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Recording, TraceError> {
        let mut recording = match &self.format {
            Format::TraceDat(trace) => trace.decode(progress),
            Format::PerfData(trace) => trace.decode(progress),
            Format::Text(trace) => trace.decode(progress),
            Format::Store(trace) => trace.decode(progress),
            Format::RingDump(trace) => trace.decode(progress),
        }?;
        self.say_packing(&mut recording);
        Ok(recording)
    }

    /// Decodes events a batch at a time, in bounded memory, in the order that [`Recording::merged`] would have.
    ///
    /// # Errors
    ///
    /// As [`AnyTrace::decode`].
    pub fn stream<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> Result<Box<dyn EventSource + 'a>, TraceError> {
        Ok(match &self.format {
            Format::TraceDat(trace) => Box::new(trace.stream(progress)?),
            Format::PerfData(trace) => Box::new(trace.stream(progress)),
            Format::Text(trace) => Box::new(trace.stream(progress)),
            Format::Store(trace) => Box::new(trace.stream(progress)),
            Format::RingDump(trace) => Box::new(trace.stream(progress)),
        })
    }

    fn say_packing(&self, recording: &mut Recording) {
        if let Some(packing) = self.packing {
            recording.info.format += &format!(", packed with {}", packing.name());
        }
    }

    /// About how many events there are, by the bytes that one takes in traces of its kind: for deciding whether to hold them all at once.
    #[must_use]
    pub fn expected_events(&self) -> u64 {
        let event_bytes = match &self.format {
            Format::TraceDat(trace) if trace.is_compressed() => 6,
            Format::TraceDat(_) | Format::RingDump(_) => 48,
            // As perf writes it unless it is asked to compress.
            Format::PerfData(_) => 96,
            Format::Text(_) => 110,
            Format::Store(_) => 5,
        };
        self.data_bytes() / event_bytes
    }

    /// Bytes of data that [`AnyTrace::decode`] will report progress on.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        match &self.format {
            Format::TraceDat(trace) => trace.data_bytes(),
            Format::PerfData(trace) => trace.data_bytes(),
            Format::Text(trace) => trace.data_bytes(),
            Format::Store(trace) => trace.data_bytes(),
            Format::RingDump(trace) => trace.data_bytes(),
        }
    }
}

impl Format {
    fn read(file: MappedFile) -> Result<Self, TraceError> {
        if tracedat::is_trace_dat(&file) {
            return TraceDat::read(file).map(Self::TraceDat);
        }
        if perfdata::is_perf_data(&file) {
            return PerfData::read(file).map(Self::PerfData);
        }
        if store::is_store(&file) {
            return Store::read(file).map(|store| Self::Store(Box::new(store)));
        }
        if text::is_text_trace(&file) {
            return TextTrace::read(file).map(Self::Text);
        }
        let found = excerpt(&file);
        file.check()?;
        let fault = Fault { section: "preamble".into(), place: Place::Byte(0), expected: FORMATS.into(), found };
        Err(TraceError::malformed(file.path(), fault))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_no_format_is_refused_with_all_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("notes.txt");
        std::fs::write(&path, "Dear diary: kmalloc\n").unwrap();
        let message = AnyTrace::open(&path).unwrap_err().to_string();
        assert!(message.ends_with(&format!("notes.txt: preamble, byte 0: expected {FORMATS}, found \"Dear diary: \"…")), "{message}");
        for format in ["trace.dat", "perf.data", "Parquet", "ftrace", "trace-cmd report", "perf script"] {
            assert!(message.contains(format), "{message}");
        }
    }
}
