//! trace-cmd files (`trace.dat`), versions 6 and 7.
//!
//! | file | what it reads |
//! |---|---|
//! | `preamble` | the first bytes: version, byte order, page size, compression |
//! | `v6` | version 6: blocks in a fixed order, then a table of CPUs |
//! | `v7` | version 7: sections found through options |
//! | `options` | the option list that both share |
//! | `data` | where the sub-buffers of each CPU are |
//!
//! Sub-buffers become events in `subbuffers`. Damage in a header is an error; damage in a CPU's data costs the rest of that sub-buffer, and is
//! counted.

mod data;
mod options;
mod preamble;
mod v6;
mod v7;

#[cfg(test)]
pub(crate) mod tests;

use std::path::Path;
use std::sync::Arc;

pub use preamble::is_trace_dat;

use crate::blocks::Blocks;
use crate::error::{Problem, TraceError};
use crate::mapped::MappedFile;
use crate::recording::Recording;
use crate::stream::EventSource;
use crate::subbuffers::compression::Codec;
use crate::subbuffers::decode::decode;
use crate::subbuffers::span::CpuData;
use crate::subbuffers::stream::Stream;
use crate::symbols::{Kallsyms, NoSymbols};
use data::Chosen;
use options::Options;
use preamble::Preamble;

/// A trace.dat file, opened and understood up to its per-CPU data.
#[derive(Debug)]
pub struct TraceDat {
    /// Shared with the symbols of recordings, which are read when they are asked for.
    file: Arc<MappedFile>,
    contents: Contents,
}

/// What the headers say.
#[derive(Debug)]
struct Contents {
    preamble: Preamble,
    blocks: Blocks,
    options: Options,
    buffers: Vec<Buffer>,
}

/// One ring buffer: the top one, or an instance.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Buffer {
    /// Instance name; empty for the top buffer.
    name: String,
    clock: String,
    sub_buffer_bytes: usize,
    compressed: bool,
    cpus: Vec<CpuData>,
}

impl TraceDat {
    /// Opens a file and reads its headers.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is not a trace.dat of a known version, or a header is damaged.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        Self::read(MappedFile::open(path)?)
    }

    pub(crate) fn read(file: MappedFile) -> Result<Self, TraceError> {
        let contents = read_headers(&file).map_err(|error| error.at(file.path()));
        // A header cut off by a shrinking file looks damaged; the true cause is the better message.
        file.check()?;
        Ok(Self { contents: contents?, file: Arc::new(file) })
    }

    /// Decodes all events, on as many threads as rayon's pool has.
    ///
    /// `progress` is told of bytes of input that were dealt with.
    ///
    /// # Errors
    ///
    /// If the file shrank, or holds nothing that could be decoded (an unfinished recording).
    pub fn decode(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Recording, TraceError> {
        let recording = Chosen::of(self).map(|chosen| decode(chosen, progress));
        self.file.check()?;
        recording
    }

    /// Decodes events a batch at a time, in bounded memory.
    ///
    /// # Errors
    ///
    /// As [`TraceDat::decode`].
    pub fn stream<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> Result<impl EventSource + 'a, TraceError> {
        Ok(Stream::new(Chosen::of(self)?, progress))
    }

    /// The kernel's symbols, as far as the file has them.
    fn symbols(&self) -> Kallsyms {
        if let Some(range) = &self.contents.blocks.kallsyms {
            return Kallsyms::within(&self.file, range.clone());
        }
        let Some(&(_, offset)) = self.contents.options.sections.iter().find(|(id, _)| *id == options::id::KALLSYMS) else {
            return Kallsyms::default();
        };
        let (file, preamble) = (Arc::clone(&self.file), self.contents.preamble);
        Kallsyms::lazy(move || {
            let symbols = v7::symbols(&file, preamble, offset);
            file.check().map_err(|error| NoSymbols::Damaged(error.to_string()))?;
            symbols
        })
    }

    /// True if its data is compressed.
    #[must_use]
    pub fn is_compressed(&self) -> bool {
        self.contents.preamble.codec != Codec::None
    }

    /// Bytes of per-CPU data that [`TraceDat::decode`] will report progress on.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        let claimed = self.chosen_buffer().map_or(0, |buffer| buffer.cpus.iter().map(|cpu| cpu.bytes).fold(0, u64::saturating_add));
        claimed.min(self.file.len() as u64)
    }

    /// The buffer to replay: the first one with data, which is the top one unless only instances
    /// were recorded. An instance may hold the same events again, so only one is used.
    fn chosen_buffer(&self) -> Option<&Buffer> {
        let buffers = &self.contents.buffers;
        buffers.iter().find(|buffer| buffer.cpus.iter().any(|cpu| cpu.bytes > 0)).or(buffers.first())
    }
}

fn read_headers(file: &[u8]) -> Result<Contents, Problem> {
    let (preamble, body) = preamble::read(file)?;
    match preamble.version {
        6 => v6::read(file, preamble, body),
        _ => v7::read(file, preamble),
    }
}
