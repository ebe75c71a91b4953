//! Per-CPU data to events, in parallel.
//!
//! A CPU's data is cut into spans of whole sub-buffers: the compressed chunks of version 7, or runs of
//! about [`SPAN_BYTES`] otherwise. Every sub-buffer carries its own time base, so spans are decoded
//! independently, a few small ones as one job, and put together in file order. That is done while the next jobs are decoded, so that what
//! they make is still in the processor's cache, and their buffers are used again: fresh memory costs more than decoding.

use std::collections::{BTreeMap, BTreeSet};

use rayon::prelude::*;

use super::compression::{Block, next_block, unpack};
use super::{Buffer, CpuData, TraceDat};
use crate::error::TraceError;
use crate::event::Event;
use crate::joining::{Joiner, Numbered};
use crate::kmem::{Decoder, Piece};
use crate::mapped::prefer_huge_pages;
use crate::parse::{Cursor, Origin, u32};
use crate::recording::{Accounting, CpuStream, Damage, Info, Loss, Pointers, Recording};
use crate::ring::{Layout, visit_records};

/// Bytes of uncompressed data that are dealt with at once.
const SPAN_BYTES: usize = 256 << 10;
/// Bytes in the file that make a job: enough work for a thread, little enough to share out evenly.
const JOB_BYTES: usize = 64 << 10;

/// Jobs of each thread between two times that they wait for each other.
const JOBS_OF_A_THREAD: usize = 8;

/// Bytes of data whose pages are held while its chunks are looked for.
const WALKED_BYTES: usize = 16 << 20;

/// Some whole sub-buffers of one CPU.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span<'a> {
    pub(super) cpu: u16,
    /// Consecutive spans of one job are decoded by one thread into one piece.
    job: usize,
    /// Offset in the file, for messages.
    offset: u64,
    content: SpanContent<'a>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum SpanContent<'a> {
    Plain(&'a [u8]),
    Packed(Block<'a>),
}

impl SpanContent<'_> {
    fn file_bytes(self) -> usize {
        match self {
            Self::Plain(data) => data.len(),
            Self::Packed(block) => block.data.len(),
        }
    }
}

/// Spans in file order, each with the job that it belongs to.
#[derive(Debug, Default)]
pub(super) struct Spans<'a> {
    all: Vec<Span<'a>>,
    /// Bytes in the job of the last span.
    job_bytes: usize,
}

impl<'a> Spans<'a> {
    fn push(&mut self, cpu: u16, offset: u64, content: SpanContent<'a>) {
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

    /// The spans of each job, in file order.
    pub(super) fn jobs(&self) -> Vec<&[Span<'a>]> {
        self.all.chunk_by(|a, b| a.job == b.job).collect()
    }
}

impl Span<'_> {
    /// Offset in the file.
    pub(super) fn start(&self) -> usize {
        self.offset as usize
    }

    /// Offset behind it in the file.
    pub(super) fn end(&self) -> usize {
        self.start() + self.content.file_bytes()
    }
}

/// What one job made of its spans.
pub(super) struct Decoded {
    pub(super) cpu: u16,
    /// Bytes that its spans take in the file.
    file_bytes: usize,
    pub(super) piece: Piece,
    pub(super) accounting: Accounting,
}

pub(super) fn decode(trace: &TraceDat, progress: &(dyn Fn(u64) + Sync)) -> Result<Recording, TraceError> {
    let reader = Reader::new(trace, progress)?;
    let mut accounting = Accounting::default();
    let spans = spans(trace, reader.buffer, &mut accounting);
    let mut cpu_bytes: BTreeMap<u16, usize> = BTreeMap::new();
    spans.all.iter().for_each(|span| *cpu_bytes.entry(span.cpu).or_default() += span.content.file_bytes());
    let mut assembly = Assembly::new(&reader.decoder, accounting);
    let mut decoded: Vec<Decoded> = Vec::new();
    for jobs in spans.jobs().chunks(JOBS_OF_A_THREAD * rayon::current_num_threads()).chain([&[][..]]) {
        let mut spare = std::mem::take(&mut assembly.spare);
        spare.resize_with(jobs.len(), Vec::new);
        let put_together = || {
            decoded.drain(..).for_each(|part| {
                let bytes = cpu_bytes.get(&part.cpu).copied().unwrap_or(0);
                assembly.take(part, bytes);
            });
        };
        let decode = || jobs.par_iter().zip(spare).map(|(job, events)| reader.decode(job, events)).collect();
        ((), decoded) = rayon::join(put_together, decode);
    }
    let mut recording = assembly.finish();
    let seen = recording.streams.iter().map(|stream| stream.cpu).max();
    recording.info = reader.info(seen);
    reader.remark(&mut recording.accounting);
    Ok(recording)
}

/// Decodes the jobs of one buffer.
pub(super) struct Reader<'a> {
    trace: &'a TraceDat,
    pub(super) buffer: &'a Buffer,
    layout: Layout,
    pub(super) decoder: Decoder,
    progress: &'a (dyn Fn(u64) + Sync),
}

impl<'a> Reader<'a> {
    pub(super) fn new(trace: &'a TraceDat, progress: &'a (dyn Fn(u64) + Sync)) -> Result<Self, TraceError> {
        let contents = &trace.contents;
        let big_endian = contents.preamble.endian == crate::parse::Endian::Big;
        let Some(buffer) = trace.chosen_buffer() else {
            let what = "the recording was not finished: there is no buffer in it".to_owned();
            return Err(TraceError::Unsupported { path: trace.file.path().to_owned(), what });
        };
        let layout = Layout { long_bytes: contents.blocks.header_page.long_bytes, big_endian };
        Ok(Self { trace, buffer, layout, decoder: Decoder::new(&contents.blocks.formats, big_endian), progress })
    }

    /// `events` is an empty buffer to decode into.
    pub(super) fn decode(&self, job: &[Span<'_>], events: Vec<Event>) -> Decoded {
        let cpu = job.first().map_or(0, |span| span.cpu);
        let mut decoded = Decoded { cpu, file_bytes: 0, piece: Piece { events, ..Piece::default() }, accounting: Accounting::default() };
        let mut unpacked = Vec::new();
        for span in job {
            decode_span(*span, self, &mut unpacked, &mut decoded);
            decoded.file_bytes += span.content.file_bytes();
            (self.progress)(span.content.file_bytes() as u64);
        }
        decoded
    }
}

/// Cuts all CPUs' data into spans; what cannot be reached is noted as damage.
///
/// A CPU's data ends where another's begins, whatever size it claims: no byte is decoded twice, so the
/// work is bounded by the size of the file.
pub(super) fn spans<'a>(trace: &'a TraceDat, buffer: &Buffer, accounting: &mut Accounting) -> Spans<'a> {
    let mut spans = Spans::default();
    let starts: BTreeSet<u64> = buffer.cpus.iter().map(|cpu| cpu.offset).collect();
    let mut owners = BTreeMap::new();
    for cpu in &buffer.cpus {
        if let Some(owner) = owners.insert(cpu.offset, cpu.cpu) {
            owners.insert(cpu.offset, owner);
            let reason = format!("data of its own, found that of CPU {owner}");
            accounting.damaged(Damage { cpu: cpu.cpu, byte: cpu.offset, reason });
            continue;
        }
        let next = starts.range(cpu.offset.saturating_add(1)..).next().and_then(|&next| usize::try_from(next).ok());
        let end = next.unwrap_or(usize::MAX).min(trace.file.len());
        let start = usize::try_from(cpu.offset).ok();
        let Some(rest) = start.and_then(|start| trace.file.get(start..end)).filter(|rest| !rest.is_empty()) else {
            accounting.damaged(Damage {
                cpu: cpu.cpu,
                byte: cpu.offset,
                reason: format!("data within the file, which has {} bytes", trace.file.len()),
            });
            continue;
        };
        if buffer.compressed {
            packed_spans(trace, *cpu, rest, &mut spans, accounting);
        } else {
            plain_spans(*cpu, rest, buffer.sub_buffer_bytes, &mut spans, accounting);
        }
    }
    spans
}

fn packed_spans<'a>(trace: &TraceDat, cpu: CpuData, rest: &'a [u8], spans: &mut Spans<'a>, accounting: &mut Accounting) {
    // trace-cmd before 3.2 wrote a size 4 bytes too small: the chunk count decides, the size does not.
    let endian = trace.contents.preamble.endian;
    let mut cursor = Cursor::new(rest, Origin::File(cpu.offset), format!("data of CPU {}", cpu.cpu));
    let start = usize::try_from(cpu.offset).unwrap_or(usize::MAX);
    let mut released = 0;
    let mut walk = || {
        for _ in 0..cursor.read(u32(endian))? {
            // The walk touches all of the data long before it is decoded.
            if cursor.position() - released >= WALKED_BYTES {
                trace.file.release(start + released..start + cursor.position());
                released = cursor.position();
            }
            let at_block = cursor.clone();
            let block = next_block(&mut cursor, endian, cpu.offset)?;
            if block.data.is_empty() || block.plain_bytes == 0 {
                return Err(at_block.fault("a chunk that holds data"));
            }
            spans.push(cpu.cpu, block.offset, SpanContent::Packed(block));
        }
        Ok::<(), crate::error::Fault>(())
    };
    if let Err(fault) = walk() {
        let byte = cpu.offset + cursor.position() as u64;
        accounting.damaged(Damage { cpu: cpu.cpu, byte, reason: fault.to_string() });
        return;
    }
    let walked = cursor.position() as u64;
    if cpu.bytes != walked && cpu.bytes.checked_add(4) != Some(walked) {
        let remark = format!("CPU {} is said to have {} bytes of data; its chunks take {walked}", cpu.cpu, cpu.bytes);
        accounting.remarks.push(remark);
    }
}

fn plain_spans<'a>(cpu: CpuData, rest: &'a [u8], sub_buffer_bytes: usize, spans: &mut Spans<'a>, accounting: &mut Accounting) {
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
        spans.push(cpu.cpu, offset, SpanContent::Plain(content));
    }
}

/// `unpacked` is a buffer to unpack into.
fn decode_span(span: Span<'_>, reader: &Reader<'_>, unpacked: &mut Vec<u8>, decoded: &mut Decoded) {
    let (data, packed) = match span.content {
        SpanContent::Plain(data) => (data, false),
        SpanContent::Packed(block) => match unpack(reader.trace.contents.preamble.codec, block, unpacked) {
            Ok(()) => (unpacked.as_slice(), true),
            Err(fault) => {
                decoded.accounting.damaged(Damage { cpu: span.cpu, byte: span.offset, reason: fault.to_string() });
                return;
            }
        },
    };
    // A record of kmem is 40 to 80 bytes long; a chunk may claim to hold far more of them than it does.
    decoded.piece.events.reserve(data.len().min(SPAN_BYTES) / 48);
    let bytes = reader.buffer.sub_buffer_bytes;
    for (number, page) in data.chunks(bytes).enumerate() {
        sub_buffer(page, span, (number * bytes, packed), reader, decoded);
    }
}

/// One sub-buffer; where it is in its span, and whether that was packed.
fn sub_buffer(page: &[u8], span: Span<'_>, (within, packed): (usize, bool), reader: &Reader<'_>, decoded: &mut Decoded) {
    let options = &reader.trace.contents.options;
    let corrected = |time: u64| {
        let ns = options.tsc.map_or(time, |tsc| tsc.apply(time));
        ns.wrapping_add_signed(options.offset_ns)
    };
    let Decoded { piece, accounting, .. } = decoded;
    let outcome = visit_records(page, reader.layout, |time, payload| reader.decoder.record(span.cpu, corrected(time), payload, piece));
    accounting.sub_buffers += 1;
    if let Some(count) = outcome.lost {
        accounting.losses.push(Loss { cpu: span.cpu, time_ns: corrected(outcome.base_time), count });
    }
    if let Some((at, expected)) = outcome.damage {
        let byte = if packed { span.offset } else { span.offset + (within + at) as u64 };
        let place = if packed { format!(" at byte {} of the decompressed chunk", within + at) } else { String::new() };
        accounting.damaged(Damage { cpu: span.cpu, byte, reason: format!("{expected}{place}") });
    }
}

/// Puts pieces together in file order, with names and marks numbered over the whole trace.
struct Assembly<'a> {
    decoder: &'a Decoder,
    recording: Recording,
    joiner: Joiner,
    /// Buffers of pieces that were put together.
    spare: Vec<Vec<Event>>,
    /// Bytes in the file of the present CPU's data that were put together.
    done_bytes: usize,
}

impl<'a> Assembly<'a> {
    fn new(decoder: &'a Decoder, accounting: Accounting) -> Self {
        let recording = Recording { accounting, ..Recording::default() };
        Self { decoder, recording, joiner: Joiner::default(), spare: Vec::new(), done_bytes: 0 }
    }

    /// Takes what a job became; its CPU's data takes `cpu_bytes` of the file.
    fn take(&mut self, part: Decoded, cpu_bytes: usize) {
        let recording = &mut self.recording;
        recording.accounting.absorb(part.accounting);
        let Numbered { mut events, numbers } = self.joiner.take(part.piece, self.decoder, recording);
        if recording.streams.last().is_none_or(|stream| stream.cpu != part.cpu) {
            recording.streams.push(CpuStream { cpu: part.cpu, events: Vec::new() });
            self.done_bytes = 0;
        }
        self.done_bytes += part.file_bytes;
        if let Some(stream) = recording.streams.last_mut() {
            make_room(&mut stream.events, events.len(), self.done_bytes, cpu_bytes);
            stream.events.extend(events.iter().map(|event| numbers.apply(*event)));
        }
        events.clear();
        self.spare.push(events);
    }

    fn finish(mut self) -> Recording {
        self.joiner.finish(&mut self.recording);
        self.recording
    }
}

/// Makes room for `more` events and, if the rest of a CPU's data holds as many in a byte as what is done, for all to come: memory that grows
/// again and again is moved each time. What is not filled is never touched.
fn make_room(events: &mut Vec<Event>, more: usize, done_bytes: usize, cpu_bytes: usize) {
    /// Events take 6 bytes of a file and more; what claims to be denser gets no room ahead.
    const EVENT_BYTES: u128 = 2;
    let known = events.len() + more;
    if events.capacity() >= known {
        return;
    }
    let expected = (known as u128 * cpu_bytes as u128 * 9 / 8 / done_bytes.max(1) as u128).min(cpu_bytes as u128 / EVENT_BYTES) as usize;
    // Where there is no such room it grows as any other.
    if events.try_reserve_exact(expected.saturating_sub(events.len())).is_ok() {
        prefer_huge_pages(events.spare_capacity_mut());
    }
}

impl Reader<'_> {
    /// What the trace says of itself; `seen` is the highest CPU with an event.
    pub(super) fn info(&self, seen: Option<u16>) -> Info {
        let Self { trace, buffer, .. } = self;
        let contents = &trace.contents;
        let uname = |word: usize| contents.options.uname.split_whitespace().nth(word).unwrap_or_default().to_owned();
        let codec = match contents.preamble.version {
            7 => format!(" ({})", contents.preamble.codec.name()),
            _ => String::new(),
        };
        let clock = if buffer.clock.is_empty() { options_clock(&contents.options.clock) } else { buffer.clock.clone() };
        Info {
            format: format!("trace.dat v{}{codec}", contents.preamble.version),
            kernel: uname(2),
            hostname: uname(1),
            cpus: contents.options.cpu_count.unwrap_or(0).max(seen.map_or(0, |cpu| u32::from(cpu) + 1)),
            clock,
            long_bytes: contents.blocks.header_page.long_bytes as u8,
            big_endian: contents.preamble.endian == crate::parse::Endian::Big,
            pointers: Pointers::Real,
            buffer: buffer.name.clone(),
            other_buffers: contents.buffers.iter().filter(|other| other != buffer).map(|other| other.name.clone()).collect(),
            ..Info::default()
        }
    }

    /// Adds to the account what the headers tell, once all data has been read.
    pub(super) fn remark(&self, accounting: &mut Accounting) {
        let contents = &self.trace.contents;
        let overruns = contents.options.ring_overruns.get(&self.buffer.name).copied().unwrap_or(0);
        accounting.ring_overruns = overruns;
        accounting.absent_fields = self.decoder.absent_fields().to_vec();
        let (known, unknown) = accounting.lost_events();
        let remarks = &mut accounting.remarks;
        if contents.options.is_paired {
            remarks.push("the file is half of a host/guest pair; its times are those of its own machine".to_owned());
        }
        contents.blocks.remark(remarks);
        if contents.options.unknown > 0 {
            remarks.push(format!("{} options of unknown kind were skipped", contents.options.unknown));
        }
        if overruns > 0 && known == 0 && unknown == 0 {
            remarks.push(format!("the ring buffer's statistics count {overruns} lost events, but no gap is marked"));
        }
    }
}

fn options_clock(text: &str) -> String {
    super::options::chosen_clock(text)
}
