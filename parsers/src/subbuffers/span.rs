//! Cutting each CPU's data into pieces that are decoded independently.

use std::collections::BTreeMap;

use super::compression::Block;
use crate::recording::{Accounting, Damage};

/// Bytes of uncompressed data that are dealt with at once.
pub(crate) const SPAN_BYTES: usize = 256 << 10;
/// Bytes in the file that make a job: enough work for a thread, little enough to share out evenly.
const JOB_BYTES: usize = 64 << 10;

/// Where one CPU's data is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CpuData {
    pub(crate) cpu: u16,
    pub(crate) offset: u64,
    pub(crate) bytes: u64,
}

/// Some whole sub-buffers of one CPU.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Span<'a> {
    pub(crate) cpu: u16,
    /// Consecutive spans of one job are decoded by one thread into one piece.
    job: usize,
    /// Offset in the file, for messages.
    pub(crate) offset: u64,
    pub(crate) content: SpanContent<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum SpanContent<'a> {
    Plain(&'a [u8]),
    Packed(Block<'a>),
}

impl SpanContent<'_> {
    pub(crate) fn file_bytes(self) -> usize {
        match self {
            Self::Plain(data) => data.len(),
            Self::Packed(block) => block.data.len(),
        }
    }
}

/// Spans in file order, each with the job that it belongs to.
#[derive(Debug, Default)]
pub(crate) struct Spans<'a> {
    all: Vec<Span<'a>>,
    /// Bytes in the job of the last span.
    job_bytes: usize,
}

impl<'a> Spans<'a> {
    /// Adds all whole sub-buffers of one CPU's data, which is to have a number of bytes from an offset of its file on; `rest` is what the file has from there; what is
    /// missing of that is noted as damage.
    pub(crate) fn push_plain(&mut self, cpu: CpuData, rest: &'a [u8], sub_buffer_bytes: usize, accounting: &mut Accounting) {
        let bytes = usize::try_from(cpu.bytes).unwrap_or(usize::MAX);
        let data = rest.get(..bytes).unwrap_or(rest);
        let whole = data.len() - data.len() % sub_buffer_bytes;
        if whole < bytes {
            let byte = cpu.offset + whole as u64;
            accounting.damaged(Damage { cpu: cpu.cpu, byte, reason: format!("{} more bytes of whole sub-buffers", bytes - whole) });
        }
        let data = data.get(..whole).unwrap_or_default();
        let span_bytes = SPAN_BYTES.next_multiple_of(sub_buffer_bytes);
        for (number, content) in data.chunks(span_bytes).enumerate() {
            let offset = cpu.offset + (number * span_bytes) as u64;
            self.push(cpu.cpu, offset, SpanContent::Plain(content));
        }
    }

    pub(crate) fn push(&mut self, cpu: u16, offset: u64, content: SpanContent<'a>) {
        let job = match self.all.last() {
            None => 0,
            Some(last) if last.cpu == cpu && self.job_bytes < JOB_BYTES => last.job,
            Some(last) => {
                self.job_bytes = 0;
                last.job + 1
            }
        };
        self.job_bytes += content.file_bytes();
        self.all.push(Span { cpu, job, offset, content });
    }

    /// Bytes in the file of each CPU's data.
    pub(crate) fn bytes_by_cpu(&self) -> BTreeMap<u16, usize> {
        let mut bytes = BTreeMap::new();
        for span in &self.all {
            *bytes.entry(span.cpu).or_default() += span.content.file_bytes();
        }
        bytes
    }

    /// The spans of each job, in file order.
    pub(crate) fn jobs(&self) -> Vec<&[Span<'a>]> {
        self.all.chunk_by(|a, b| a.job == b.job).collect()
    }
}

impl Span<'_> {
    /// Offset in the file.
    pub(crate) fn start(&self) -> usize {
        self.offset as usize
    }

    /// Offset behind it in the file.
    pub(crate) fn end(&self) -> usize {
        self.start() + self.content.file_bytes()
    }
}
