//! Traces in text, as the kernel, `trace-cmd report` and `perf script` print them.
//!
//! | file | what it reads |
//! |---|---|
//! | `opening` | the first lines: whether it is such a trace, of which kind, and what it says of itself |
//! | `head` | the head of a line: thread, CPU, context, time and event |
//! | `kind` | the events that are of use |
//! | `arguments` | `key=value` pairs |
//! | `body` | those to what an event says |
//! | `gfp` | gfp flags in words |
//! | `recent` | texts that were read before |
//! | `sites` | call sites: addresses or symbols |
//! | `number` | numbers and blanks |
//! | `chunk` | whole lines to events, with everything numbered within them |
//! | `pieces` | a file's chunks, some at a time on all threads |
//! | `assembly` | pieces to a recording |
//! | `clock` | times that keep the order of the lines |
//! | `pointers` | whether pointers are addresses or hashes |
//! | `join` | pieces put together, and an account of the whole |
//! | `stream` | the same in batches |
//!
//! Text is the weakest input: times are mostly cut to microseconds, call sites are symbols, pointers may be hashed, and nothing
//! says how long it should be. What that costs is told in [`Accounting::remarks`](crate::recording::Accounting::remarks).
//!
//! Lines that belong to nothing are skipped and counted; if they are more than those of a trace, it is none. A last line without
//! an end that lacks anything is counted as unusable.

mod arguments;
mod assembly;
mod body;
mod chunk;
mod clock;
mod gfp;
mod head;
mod join;
mod kind;
mod number;
mod opening;
mod pieces;
mod pointers;
mod recent;
mod sites;
mod stream;

use std::path::Path;

use crate::error::TraceError;
use crate::inorder::in_order;
use crate::mapped::MappedFile;
use crate::recording::Recording;
use crate::stream::EventSource;
use assembly::Assembly;
use opening::Opening;
use pieces::Pieces;

pub use opening::is_text_trace;

/// A trace in text, opened and understood up to its lines.
#[derive(Debug)]
pub struct TextTrace {
    file: MappedFile,
    opening: Opening,
}

impl TextTrace {
    /// Opens a file and looks at its first lines.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, or is of a kind that cannot be: the verbose latency format, the option `raw`, events inside of
    /// the tracer function_graph, or `perf script` without the fields that are needed.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        Self::read(MappedFile::open(path)?)
    }

    pub(crate) fn read(file: MappedFile) -> Result<Self, TraceError> {
        let opening = opening::open(&file).map_err(|error| error.at(file.path()));
        file.check()?;
        Ok(Self { opening: opening?, file })
    }

    /// Decodes all events, on as many threads as rayon's pool has.
    ///
    /// `progress` is told of bytes of input that were dealt with.
    ///
    /// # Errors
    ///
    /// If the file shrank, more of its lines are something else than are of a trace, or no event has its arguments.
    pub fn decode(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Recording, TraceError> {
        let pieces = Pieces::new(&self.file, &self.opening.reading, progress);
        let ranges = pieces.ranges();
        let mut assembly = Assembly::new(self);
        in_order(
            ranges.len(),
            |number, events| pieces.read(ranges.get(number).cloned().unwrap_or_default(), events),
            |piece| assembly.take(piece),
        );
        self.file.check()?;
        assembly.finish().map_err(|error| error.at(self.file.path()))
    }

    /// Decodes events a batch at a time, in bounded memory.
    ///
    /// Events are in the order of [`Recording::merged`] unless the lines of different CPUs are further out of order than a batch
    /// is long, as where traces of several boots were put together; such events come as they stand there, and are counted.
    pub fn stream<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> impl EventSource + 'a {
        stream::Stream::new(self, progress)
    }

    /// Bytes of text that [`TextTrace::decode`] will report progress on.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.file.len() as u64
    }
}
