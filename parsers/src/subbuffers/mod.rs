//! Sub-buffers of every CPU to events, whatever file they lie in.
//!
//! | file | what it is for |
//! |---|---|
//! | `compression` | zstd and zlib blocks, with their sizes checked |
//! | `span` | each CPU's data, cut into pieces that are decoded independently |
//! | `decode` | these to events, in parallel |
//! | `stream` | the same a batch at a time |
//! | `texts` | what tracefs says of its buffers |
//!
//! A CPU's data is cut into spans of whole sub-buffers: the compressed chunks of trace.dat version 7, or runs of about
//! [`span::SPAN_BYTES`] otherwise. Every sub-buffer carries its own time base, so spans are decoded independently, a few
//! small ones as one job, and put together in file order.

pub(crate) mod compression;
pub(crate) mod decode;
pub(crate) mod span;
pub(crate) mod stream;
pub(crate) mod texts;

use crate::blocks::Blocks;
use crate::error::TraceError;
use crate::recording::{Accounting, Info};
use crate::ring::Layout;
use crate::symbols::Kallsyms;
use compression::Codec;
use span::{Span, Spans};

/// What a format that holds sub-buffers has to tell of them.
pub(crate) trait Container<'a>: Sync {
    /// How sub-buffers are to be read.
    fn terms(&self) -> Terms;

    /// The formats of their records.
    fn blocks(&self) -> &Blocks;

    /// All CPUs' data, by rising CPU number within what is read together; what cannot be reached is noted as damage.
    fn spans(&self, accounting: &mut Accounting) -> Spans<'a>;

    /// What the trace says of itself; `seen` is the highest CPU with an event.
    fn info(&self, seen: Option<u16>) -> Info;

    /// The kernel's symbols, as far as the trace has them.
    fn symbols(&self) -> Kallsyms {
        Kallsyms::default()
    }

    /// Lost events by the ring buffer's own statistics.
    fn ring_overruns(&self) -> u64;

    /// Says what the reader of a report should know beside that.
    fn remark(&self, remarks: &mut Vec<String>);

    /// Lets go of the pages that spans were decoded from.
    fn release(&self, job: &[Span<'_>]);

    /// Fails if what was read may have come from beyond a file's end.
    fn check(&self) -> Result<(), TraceError>;
}

/// How sub-buffers are to be read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms {
    pub(crate) layout: Layout,
    pub(crate) sub_buffer_bytes: usize,
    pub(crate) codec: Codec,
    pub(crate) clock: ClockTerms,
}

/// What makes nanoseconds of time stamps.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ClockTerms {
    pub(crate) tsc: Option<TscToNs>,
    /// Nanoseconds to add to every time stamp.
    pub(crate) offset_ns: i64,
}

impl ClockTerms {
    #[inline]
    pub(crate) fn corrected(self, time: u64) -> u64 {
        self.tsc.map_or(time, |tsc| tsc.apply(time)).wrapping_add_signed(self.offset_ns)
    }
}

/// Cycles to nanoseconds: `cycles * mult >> shift`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TscToNs {
    pub(crate) mult: u32,
    pub(crate) shift: u32,
}

impl TscToNs {
    fn apply(self, cycles: u64) -> u64 {
        (u128::from(cycles) * u128::from(self.mult)).checked_shr(self.shift).unwrap_or(0) as u64
    }
}
