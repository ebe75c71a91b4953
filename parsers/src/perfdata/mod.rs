//! perf files (`perf.data`), as `perf record -e kmem:… -a -R` writes them.
//!
//! | file | what it reads |
//! |---|---|
//! | `header` | file mode: the first bytes, where the sections are, the events and their ids |
//! | `pipe` | pipe mode (`perf record -o -`): the same from records |
//! | `attr` | one event's description |
//! | `features` | what the file says of its machine and of how it was recorded |
//! | `formats` | the tracing data: event formats |
//! | `records` | the frame of a record, and the kinds of records |
//! | `sample` | where the fields of a sample are, by its event's `sample_type` |
//! | `events` | which event a sample belongs to, and whether it can be used |
//! | `stream` | compressed records: one zstd stream over the whole file |
//! | `spans` | the data, cut into runs of whole records |
//! | `data` | runs of records to events, in parallel |
//! | `rounds` | the same a batch at a time, in order |
//!
//! Both byte orders and both modes can be read. Not read are version 1 (`PERFFILE`, up to 2.6.32) and the
//! parts of a recording that several threads wrote into a directory (`perf record --threads`): both are an
//! error that says so.
//!
//! perf writes the ring buffer of one CPU after the other, and says with a record when it has been round:
//! samples are in order only within a CPU's buffer, and not strictly there. Here each CPU's events are
//! sorted by time; those of equal time stay in the order of the file.
//!
//! Damage in a header is an error. Damage in the data costs the records up to the next end of a round,
//! where the chain of records is taken up again, and is counted. Damage to a compressed record costs all
//! that is compressed after it: there is one stream over the whole file.

mod attr;
mod data;
mod events;
mod features;
mod formats;
mod header;
mod pipe;
mod records;
mod rounds;
mod sample;
mod spans;
mod stream;

#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Arc;

use crate::blocks::Blocks;
use crate::error::{Problem, TraceError};
use crate::mapped::MappedFile;
use crate::parse::Endian;
use crate::recording::Recording;
use crate::stream::EventSource;
use crate::symbols::Kallsyms;
use attr::Attrs;
use events::Events;
use features::Features;

pub use header::is_perf_data;

/// A perf.data file, opened and understood up to its records.
#[derive(Debug)]
pub struct PerfData {
    /// Shared with the symbols of recordings, which are read when they are asked for.
    file: Arc<MappedFile>,
    contents: Contents,
}

/// What the headers say.
#[derive(Debug)]
struct Contents {
    endian: Endian,
    is_pipe: bool,
    attrs: Attrs,
    blocks: Blocks,
    features: Features,
    events: Events,
    /// Offset of the first record of the data.
    data_start: usize,
    /// Offset behind the data, as the header claims; `None` for up to the end of the file, in pipe mode.
    data_end: Option<u64>,
}

impl PerfData {
    /// Opens a file and reads its headers.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a perf.data of version 2, a header is damaged, or its samples
    /// lack what a kmem event needs: the event formats, and the time, CPU and raw data of each sample.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        Self::read(MappedFile::open(path)?)
    }

    pub(crate) fn read(file: MappedFile) -> Result<Self, TraceError> {
        let contents = read_headers(&file).map_err(|error| error.at(file.path()));
        // A header cut off by a shrinking file looks damaged; the true cause is the better message.
        file.check()?;
        Ok(Self { contents: contents?, file: Arc::new(file) })
    }

    /// Decodes all events, on as many threads as rayon's pool has; a compressed file is decompressed by
    /// one of them.
    ///
    /// `progress` is told of bytes of input that were dealt with.
    ///
    /// # Errors
    ///
    /// If the file shrank, or consists mostly of records of an unknown kind and holds no sample.
    pub fn decode(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Recording, TraceError> {
        let recording = data::decode(self, progress);
        self.file.check()?;
        recording
    }

    /// Decodes events a batch at a time. What is held is two of perf's rounds over its buffers; of a file that does not
    /// mark their ends, all of it.
    ///
    /// # Errors
    ///
    /// As [`PerfData::decode`].
    #[must_use]
    pub fn stream<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> impl EventSource + 'a {
        rounds::Stream::new(self, progress)
    }

    /// Bytes of records that [`PerfData::decode`] will report progress on.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        (self.data_end() - self.contents.data_start) as u64
    }

    /// The kernel's symbols: old versions of perf stored them.
    fn symbols(&self) -> Kallsyms {
        let range = self.contents.blocks.kallsyms.clone();
        range.map_or_else(Kallsyms::default, |range| Kallsyms::within(&self.file, range))
    }

    /// Offset behind the data in the file: what is claimed, or what there is.
    fn data_end(&self) -> usize {
        let claimed = self.contents.data_end.and_then(|end| usize::try_from(end).ok()).unwrap_or(usize::MAX);
        claimed.min(self.file.len()).max(self.contents.data_start)
    }
}

fn read_headers(file: &[u8]) -> Result<Contents, Problem> {
    let preamble = header::preamble(file)?;
    if preamble.is_pipe { pipe::read(file, preamble.endian) } else { header::read(file, preamble.endian) }
}
