//! The data, cut into runs of whole records, which can be decoded each by itself.
//!
//! Compressed records are decompressed here, in file order; runs are handed out in batches, so that the
//! next batch can be decompressed while one is decoded, and memory holds two of them.

use std::borrow::Cow;

use super::records::{HEADER_BYTES, NoRecord, finished_round, kind, record_at, u64_at};
use super::stream::Stream;
use crate::parse::Endian;
use crate::recording::{Accounting, Damage};

/// Bytes of records that make a job: enough work for a thread, little enough to share out evenly.
const JOB_BYTES: usize = 256 << 10;
/// Bytes of records that are handed out at once.
const BATCH_BYTES: usize = 16 << 20;

/// Some whole records, one after the other.
#[derive(Debug)]
pub(super) struct Span<'a> {
    /// Offset of the first in the file; of the compressed record that it began in, if it was compressed.
    pub(super) offset: u64,
    pub(super) records: Cow<'a, [u8]>,
    /// Bytes in the file.
    pub(super) file_bytes: u64,
    /// How often perf had been round all buffers before the last of them was written.
    pub(super) round: u64,
}

/// Cuts the data of one file.
pub(super) struct Spans<'a> {
    file: &'a [u8],
    endian: Endian,
    at: usize,
    end: usize,
    /// Start of the run of plain records that ends at `at`.
    run: Option<usize>,
    packed: Packed,
    /// Spans that are ready, and their bytes.
    ready: Vec<Span<'a>>,
    ready_bytes: usize,
    is_done: bool,
    /// Ends of rounds passed.
    round: u64,
    pub(super) accounting: Accounting,
}

/// The state of what is decompressed.
struct Packed {
    stream: Stream,
    /// Decompressed bytes that no span has yet.
    plain: Vec<u8>,
    /// How many of them are whole records, as far as was looked.
    whole: usize,
    /// Offset of the compressed record in which `plain` began.
    origin: u64,
    /// Bytes in the file that went into it.
    file_bytes: u64,
    /// The chain of records is lost up to the next end of a round.
    is_astray: bool,
}

impl<'a> Spans<'a> {
    pub(super) fn new(file: &'a [u8], start: usize, end: usize, endian: Endian) -> Self {
        let packed = Packed { stream: Stream::new(), plain: Vec::new(), whole: 0, origin: 0, file_bytes: 0, is_astray: false };
        Self {
            file: file.get(..end).unwrap_or(file),
            endian,
            at: start,
            end: end.min(file.len()),
            run: None,
            packed,
            ready: Vec::new(),
            ready_bytes: 0,
            is_done: false,
            round: 0,
            accounting: Accounting::default(),
        }
    }

    /// True if there were compressed records.
    pub(super) fn is_compressed(&self) -> bool {
        self.packed.stream.is_used()
    }

    /// The next spans in file order; none if that was all.
    pub(super) fn batch(&mut self) -> Vec<Span<'a>> {
        while self.ready_bytes < BATCH_BYTES && !self.is_done {
            if self.at < self.end {
                self.step();
            } else {
                self.finish();
            }
        }
        self.ready_bytes = 0;
        std::mem::take(&mut self.ready)
    }

    /// Deals with the record at `at`.
    fn step(&mut self) {
        let record = match record_at(self.file, self.at, self.endian) {
            Ok(record) => record,
            Err(error) => return self.astray(error),
        };
        let next = self.at + record.bytes();
        match record.kind {
            kind::COMPRESSED | kind::COMPRESSED2 => {
                self.end_run();
                match payload(record.kind, record.body, self.endian) {
                    Some(data) => self.unpack(data),
                    None => self.damaged(self.at, "compressed data of the size that its record says"),
                }
                self.at = next;
            }
            kind::FINISHED_ROUND => {
                self.end_round();
                self.round += 1;
                self.at = next;
            }
            kind::AUXTRACE | kind::TRACING_DATA => {
                self.end_run();
                let trailing = record.trailing_bytes(self.endian).and_then(|bytes| usize::try_from(bytes).ok());
                let after = trailing.and_then(|bytes| next.checked_add(bytes)).filter(|&after| after <= self.end);
                if after.is_none() {
                    self.damaged(self.at, "a record whose data behind it ends within the file");
                }
                self.at = after.unwrap_or(self.end);
            }
            _ => {
                let start = *self.run.get_or_insert(self.at);
                self.at = next;
                if next - start >= JOB_BYTES {
                    self.end_run();
                }
            }
        }
    }

    /// There is no record at `at`: goes on behind the next end of a round.
    fn astray(&mut self, error: NoRecord) {
        self.end_run();
        self.end_packed();
        self.damaged(self.at, error.expected());
        let rest = self.file.get(self.at..self.end).unwrap_or_default();
        let mark = finished_round(self.endian);
        let skipped = rest.windows(HEADER_BYTES).position(|window| window == mark).unwrap_or(rest.len());
        self.packed.stream.interrupt();
        self.at += skipped;
    }

    fn damaged(&mut self, at: usize, expected: impl Into<String>) {
        self.accounting.damaged(Damage { cpu: 0, byte: at as u64, reason: expected.into() });
    }

    /// Hands out the run of plain records up to `at`.
    fn end_run(&mut self) {
        let Some(start) = self.run.take() else { return };
        let records = self.file.get(start..self.at).unwrap_or_default();
        self.ready_bytes += records.len();
        self.ready.push(Span {
            offset: start as u64,
            records: Cow::Borrowed(records),
            file_bytes: records.len() as u64,
            round: self.round,
        });
    }

    /// What is decompressed next begins with a record, whatever there was before.
    fn end_round(&mut self) {
        let Packed { plain, whole, origin, is_astray, .. } = &mut self.packed;
        if *is_astray {
            plain.clear();
            *whole = 0;
        }
        *is_astray = false;
        if whole_records(plain, whole, self.endian) == Some(NoRecord::TooSmall) {
            self.accounting.damaged(too_small(*origin, *whole));
            plain.truncate(*whole);
        }
    }

    fn unpack(&mut self, data: &'a [u8]) {
        let Packed { stream, plain, whole, origin, file_bytes, is_astray } = &mut self.packed;
        let here = self.at as u64;
        if plain.is_empty() {
            *origin = here;
        }
        *file_bytes += data.len() as u64;
        let (ready, ready_bytes, accounting) = (&mut self.ready, &mut self.ready_bytes, &mut self.accounting);
        let (endian, round) = (self.endian, self.round);
        let full = |plain: &mut Vec<u8>| {
            if *is_astray {
                plain.clear();
                *whole = 0;
            } else if plain.len() >= JOB_BYTES {
                if whole_records(plain, whole, endian) == Some(NoRecord::TooSmall) {
                    accounting.damaged(too_small(*origin, *whole));
                    *is_astray = true;
                }
                let span = split(plain, whole, *origin, file_bytes, round);
                *origin = here;
                *ready_bytes += span.records.len();
                ready.push(span);
            }
        };
        if let Err(expected) = stream.feed(data, plain, full) {
            self.damaged(self.at, expected);
            // The rest of the record at the end will never come.
            self.end_packed();
        }
    }

    /// Hands out what is decompressed and whole, and drops the rest.
    fn end_packed(&mut self) -> Option<NoRecord> {
        let Packed { plain, whole, origin, file_bytes, is_astray, .. } = &mut self.packed;
        if *is_astray || plain.is_empty() {
            plain.clear();
            *whole = 0;
            return None;
        }
        let error = whole_records(plain, whole, self.endian);
        let span = split(plain, whole, *origin, file_bytes, self.round);
        plain.clear();
        self.ready_bytes += span.records.len();
        self.ready.push(span);
        error
    }

    /// Hands out what is left.
    fn finish(&mut self) {
        self.end_run();
        let origin = self.packed.origin;
        if let Some(error) = self.end_packed() {
            self.accounting.damaged(Damage { cpu: 0, byte: origin, reason: format!("{} of what was decompressed", error.expected()) });
        }
        let unreadable = self.packed.stream.unreadable_bytes;
        if unreadable > 0 {
            let remark = format!("{unreadable} bytes of compressed records could not be read for the damage before them");
            self.accounting.remarks.push(remark);
        }
        self.is_done = true;
    }
}

/// The data of a compressed record.
fn payload(of: u32, body: &[u8], endian: Endian) -> Option<&[u8]> {
    if of == kind::COMPRESSED {
        return Some(body);
    }
    let bytes = usize::try_from(u64_at(body, 0, endian)?).ok()?;
    body.get(8..)?.get(..bytes)
}

/// Moves `whole` on to the end of the last whole record; also says what follows it if that is not the end.
fn whole_records(bytes: &[u8], whole: &mut usize, endian: Endian) -> Option<NoRecord> {
    while *whole < bytes.len() {
        match record_at(bytes, *whole, endian) {
            Ok(record) => *whole += record.bytes(),
            Err(error) => return Some(error),
        }
    }
    None
}

fn too_small(block: u64, at: usize) -> Damage {
    Damage { cpu: 0, byte: block, reason: format!("{} at byte {at} of what was decompressed", NoRecord::TooSmall.expected()) }
}

/// Makes a span of the first `whole` bytes and leaves the others.
fn split(plain: &mut Vec<u8>, whole: &mut usize, offset: u64, file_bytes: &mut u64, round: u64) -> Span<'static> {
    let whole = std::mem::take(whole);
    let mut rest = Vec::with_capacity(plain.capacity());
    rest.extend_from_slice(plain.get(whole..).unwrap_or_default());
    plain.truncate(whole);
    let records = std::mem::replace(plain, rest);
    Span { offset, records: Cow::Owned(records), file_bytes: std::mem::take(file_bytes), round }
}
