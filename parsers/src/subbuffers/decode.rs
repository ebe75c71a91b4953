//! Spans to events, in parallel.

use rayon::prelude::*;

use super::compression::unpack;
use super::span::{SPAN_BYTES, Span, SpanContent};
use super::{Container, Terms};
use crate::event::Event;
use crate::joining::{Joiner, Numbered};
use crate::kmem::{Decoder, Piece};
use crate::recording::{Accounting, CpuStream, Damage, Loss, Recording};
use crate::ring::visit_records;

/// Decodes all events of a container.
pub(crate) fn decode<'a>(container: impl Container<'a>, progress: &(dyn Fn(u64) + Sync)) -> Recording {
    let reader = Reader::new(container, progress);
    let mut accounting = Accounting::default();
    let spans = reader.container.spans(&mut accounting);
    let decoded: Vec<Decoded> = spans.jobs().into_par_iter().map(|job| reader.decode(job)).collect();
    let mut recording = assemble(decoded, &reader.decoder, accounting);
    let seen = recording.streams.iter().map(|stream| stream.cpu).max();
    recording.info = reader.container.info(seen);
    recording.symbols = reader.container.symbols();
    reader.remark(&mut recording.accounting);
    recording
}

/// What one job made of its spans.
pub(super) struct Decoded {
    pub(super) cpu: u16,
    pub(super) piece: Piece,
    pub(super) accounting: Accounting,
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

    pub(super) fn decode(&self, job: &[Span<'_>]) -> Decoded {
        let cpu = job.first().map_or(0, |span| span.cpu);
        let mut decoded = Decoded { cpu, piece: Piece::default(), accounting: Accounting::default() };
        for span in job {
            decode_span(*span, self.terms, &self.decoder, &mut decoded);
            (self.progress)(span.content.file_bytes() as u64);
        }
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

fn decode_span(span: Span<'_>, terms: Terms, decoder: &Decoder, decoded: &mut Decoded) {
    let unpacked;
    let (data, packed) = match span.content {
        SpanContent::Plain(data) => (data, false),
        SpanContent::Packed(block) => match unpack(terms.codec, block) {
            Ok(plain) => {
                unpacked = plain;
                (unpacked.as_slice(), true)
            }
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

/// Puts the pieces together in file order, with names and marks numbered over the whole trace.
fn assemble(decoded: Vec<Decoded>, decoder: &Decoder, accounting: Accounting) -> Recording {
    let mut recording = Recording { accounting, ..Recording::default() };
    let mut joiner = Joiner::default();
    let mut cpus: Vec<(u16, Vec<Numbered>)> = Vec::new();
    for part in decoded {
        recording.accounting.absorb(part.accounting);
        let numbered = joiner.take(part.piece, decoder, &mut recording);
        match cpus.last_mut() {
            Some((cpu, parts)) if *cpu == part.cpu => parts.push(numbered),
            _ => cpus.push((part.cpu, vec![numbered])),
        }
    }
    recording.streams = cpus.into_par_iter().map(|(cpu, parts)| CpuStream { cpu, events: joined(parts) }).collect();
    joiner.finish(&mut recording);
    recording
}

/// The events of one CPU.
fn joined(parts: Vec<Numbered>) -> Vec<Event> {
    let mut joined = Vec::with_capacity(parts.iter().map(|part| part.events.len()).sum());
    for part in parts {
        joined.extend(part.events.iter().map(|event| part.numbers.apply(*event)));
    }
    joined
}
