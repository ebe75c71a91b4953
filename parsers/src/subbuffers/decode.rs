//! Spans to events, in parallel.
//!
//! Pieces are put together in file order as soon as they are there, so that what they make is still in the processor's cache, and their
//! buffers are used again: fresh memory costs more than decoding.

use super::compression::unpack;
use super::span::{SPAN_BYTES, Span, SpanContent};
use super::{Container, Terms};
use crate::event::Event;
use crate::inorder::in_order;
use crate::interner::Interner;
use crate::joining::{Joiner, Numbered};
use crate::kmem::{Decoder, Piece};
use crate::recording::{Accounting, CpuStream, Damage, Loss, Recording};
use crate::ring::visit_records;
use crate::room::make_room;

/// Decodes all events of a container.
pub(crate) fn decode<'a>(container: impl Container<'a>, progress: &(dyn Fn(u64) + Sync)) -> Recording {
    let reader = Reader::new(container, progress);
    let mut accounting = Accounting::default();
    let spans = reader.container.spans(&mut accounting);
    let cpu_bytes = spans.bytes_by_cpu();
    let jobs = spans.jobs();
    let mut assembly = Assembly::new(&reader.decoder, accounting);
    let decode = |number: usize, spare| reader.decode(jobs.get(number).copied().unwrap_or_default(), spare);
    let put_together = |part: Decoded| {
        let bytes = cpu_bytes.get(&part.cpu).copied().unwrap_or(0);
        assembly.take(part, bytes)
    };
    in_order(jobs.len(), decode, put_together);
    let mut recording = assembly.finish();
    let seen = recording.streams.iter().map(|stream| stream.cpu).max();
    recording.info = reader.container.info(seen);
    recording.symbols = reader.container.symbols();
    recording.tasks = reader.container.blocks().tasks.clone();
    reader.remark(&mut recording.accounting);
    recording
}

/// What is left of a piece that was put together, for another one to begin with.
#[derive(Default)]
pub(super) struct Spare {
    /// An empty buffer.
    events: Vec<Event>,
    unpacked: Vec<u8>,
    names: Interner,
}

/// What one job made of its spans.
pub(super) struct Decoded {
    pub(super) cpu: u16,
    /// Bytes that its spans take in the file.
    file_bytes: usize,
    pub(super) piece: Piece,
    pub(super) accounting: Accounting,
    /// A buffer that was unpacked into.
    unpacked: Vec<u8>,
}

/// Decodes the jobs of one buffer.
pub(super) struct Reader<'p, C> {
    pub(super) container: C,
    pub(super) decoder: Decoder,
    terms: Terms,
    progress: &'p (dyn Fn(u64) + Sync),
}

impl<'a, 'p, C: Container<'a>> Reader<'p, C> {
    pub(super) fn new(container: C, progress: &'p (dyn Fn(u64) + Sync)) -> Self {
        let terms = container.terms();
        let decoder = Decoder::new(&container.blocks().formats, terms.layout.big_endian);
        Self { container, decoder, terms, progress }
    }

    pub(super) fn decode(&self, job: &[Span<'_>], spare: Spare) -> Decoded {
        let cpu = job.first().map_or(0, |span| span.cpu);
        let Spare { events, mut unpacked, names } = spare;
        let piece = Piece { events, names, ..Piece::default() };
        let mut decoded = Decoded { cpu, file_bytes: 0, piece, accounting: Accounting::default(), unpacked: Vec::new() };
        for span in job {
            decode_span(*span, self.terms, &self.decoder, &mut unpacked, &mut decoded);
            decoded.file_bytes += span.content.file_bytes();
            (self.progress)(span.content.file_bytes() as u64);
        }
        decoded.unpacked = unpacked;
        decoded
    }

    /// Adds to the account what the headers tell, once all data has been read.
    pub(super) fn remark(&self, accounting: &mut Accounting) {
        let overruns = self.container.ring_overruns();
        accounting.ring_overruns = overruns;
        accounting.absent_fields = self.decoder.absent_fields().to_vec();
        let (known, unknown) = accounting.lost_events();
        let remarks = &mut accounting.remarks;
        self.container.remark(remarks);
        if overruns > 0 && known == 0 && unknown == 0 {
            remarks.push(format!("the ring buffer's statistics count {overruns} lost events, but no gap is marked"));
        }
    }
}

/// `unpacked` is a buffer to unpack into.
fn decode_span(span: Span<'_>, terms: Terms, decoder: &Decoder, unpacked: &mut Vec<u8>, decoded: &mut Decoded) {
    let (data, packed) = match span.content {
        SpanContent::Plain(data) => (data, false),
        SpanContent::Packed(block) => match unpack(terms.codec, block, unpacked) {
            Ok(()) => (unpacked.as_slice(), true),
            Err(fault) => {
                decoded.accounting.damaged(Damage { cpu: span.cpu, byte: span.offset, reason: fault.to_string() });
                return;
            }
        },
    };
    // A record of kmem is 40 to 80 bytes long; a chunk may claim to hold far more of them than it does.
    decoded.piece.events.reserve(data.len().min(SPAN_BYTES) / 48);
    for (number, page) in data.chunks(terms.sub_buffer_bytes).enumerate() {
        let within = number * terms.sub_buffer_bytes;
        sub_buffer(page, span, within, packed, terms, decoder, decoded);
    }
}

fn sub_buffer(page: &[u8], span: Span<'_>, within: usize, packed: bool, terms: Terms, decoder: &Decoder, decoded: &mut Decoded) {
    let corrected = |time: u64| terms.clock.corrected(time);
    let Decoded { piece, accounting, .. } = decoded;
    let outcome = visit_records(page, terms.layout, |time, payload| decoder.record(span.cpu, corrected(time), payload, piece));
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
    /// Bytes in the file of the present CPU's data that were put together.
    done_bytes: usize,
}

impl<'a> Assembly<'a> {
    fn new(decoder: &'a Decoder, accounting: Accounting) -> Self {
        let recording = Recording { accounting, ..Recording::default() };
        Self { decoder, recording, joiner: Joiner::default(), done_bytes: 0 }
    }

    /// Takes what a job became, and gives back what the next one can begin with; its CPU's data takes `cpu_bytes` of the file.
    fn take(&mut self, part: Decoded, cpu_bytes: usize) -> Spare {
        let recording = &mut self.recording;
        recording.accounting.absorb(part.accounting);
        let Numbered { mut events, numbers, names } = self.joiner.take(part.piece, self.decoder, recording);
        if recording.streams.last().is_none_or(|stream| stream.cpu != part.cpu) {
            recording.streams.push(CpuStream { cpu: part.cpu, events: Vec::new() });
            self.done_bytes = 0;
        }
        self.done_bytes += part.file_bytes;
        if let Some(stream) = recording.streams.last_mut() {
            make_room(&mut stream.events, events.len(), self.done_bytes, cpu_bytes);
            numbers.append(&events, &mut stream.events);
        }
        events.clear();
        Spare { events, unpacked: part.unpacked, names: self.joiner.names_for_more(&numbers, names) }
    }

    fn finish(mut self) -> Recording {
        self.joiner.finish(&mut self.recording);
        self.recording
    }
}
