//! Per-CPU data to events, in parallel.
//!
//! A CPU's data is cut into spans of whole sub-buffers: the compressed chunks of version 7, or runs of
//! [`SPAN_SUB_BUFFERS`] otherwise. Every sub-buffer carries its own time base, so spans are decoded
//! independently and put together in file order.

use rayon::prelude::*;

use super::compression::{Block, next_block, unpack};
use super::{Buffer, CpuData, TraceDat};
use crate::error::TraceError;
use crate::event::{Body, MarkId, NameId};
use crate::kmem::{Decoder, Interner, Piece};
use crate::parse::{Cursor, Origin, u32};
use crate::recording::{Accounting, CpuStream, Damage, Info, Loss, Recording};
use crate::ring::{Layout, visit_records};

/// Enough work for a thread, little enough to share out evenly.
const SPAN_SUB_BUFFERS: usize = 64;

/// Some whole sub-buffers of one CPU.
#[derive(Debug, Clone, Copy)]
struct Span<'a> {
    cpu: u16,
    /// Offset in the file, for messages.
    offset: u64,
    content: SpanContent<'a>,
}

#[derive(Debug, Clone, Copy)]
enum SpanContent<'a> {
    Plain(&'a [u8]),
    Packed(Block<'a>),
}

struct Decoded {
    cpu: u16,
    piece: Piece,
    accounting: Accounting,
}

pub(super) fn decode(trace: &TraceDat, progress: &(dyn Fn(u64) + Sync)) -> Result<Recording, TraceError> {
    let contents = &trace.contents;
    let big_endian = contents.preamble.endian == crate::parse::Endian::Big;
    let decoder = Decoder::new(&contents.blocks.formats, big_endian);
    let Some(buffer) = trace.chosen_buffer() else {
        let what = "the recording was not finished: there is no buffer in it".to_owned();
        return Err(TraceError::Unsupported { path: trace.file.path().to_owned(), what });
    };
    let mut accounting = Accounting::default();
    let spans = spans(trace, buffer, &mut accounting);
    let layout = Layout { long_bytes: contents.blocks.header_page.long_bytes, big_endian };
    let decoded: Vec<Decoded> = spans.par_iter().map(|span| decode_span(*span, trace, buffer, layout, &decoder, progress)).collect();
    let mut recording = assemble(decoded, &decoder, accounting);
    describe(trace, buffer, &decoder, &mut recording);
    Ok(recording)
}

/// Cuts all CPUs' data into spans; what cannot be reached is noted as damage.
fn spans<'a>(trace: &'a TraceDat, buffer: &Buffer, accounting: &mut Accounting) -> Vec<Span<'a>> {
    let mut spans = Vec::new();
    for cpu in &buffer.cpus {
        let start = usize::try_from(cpu.offset).ok();
        let Some(rest) = start.and_then(|start| trace.file.get(start..)).filter(|rest| !rest.is_empty()) else {
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

fn packed_spans<'a>(trace: &TraceDat, cpu: CpuData, rest: &'a [u8], spans: &mut Vec<Span<'a>>, accounting: &mut Accounting) {
    // trace-cmd before 3.2 wrote a size 4 bytes too small: the chunk count decides, the size does not.
    let endian = trace.contents.preamble.endian;
    let mut cursor = Cursor::new(rest, Origin::File(cpu.offset), format!("data of CPU {}", cpu.cpu));
    let mut walk = || {
        for _ in 0..cursor.read(u32(endian))? {
            let block = next_block(&mut cursor, endian, cpu.offset)?;
            spans.push(Span { cpu: cpu.cpu, offset: block.offset, content: SpanContent::Packed(block) });
        }
        Ok::<(), crate::error::Fault>(())
    };
    if let Err(fault) = walk() {
        let byte = cpu.offset + cursor.position() as u64;
        accounting.damaged(Damage { cpu: cpu.cpu, byte, reason: fault.to_string() });
    }
}

fn plain_spans<'a>(cpu: CpuData, rest: &'a [u8], sub_buffer_bytes: usize, spans: &mut Vec<Span<'a>>, accounting: &mut Accounting) {
    let bytes = usize::try_from(cpu.bytes).unwrap_or(usize::MAX);
    let data = rest.get(..bytes).unwrap_or(rest);
    let whole = data.len() - data.len() % sub_buffer_bytes;
    if whole < bytes {
        let byte = cpu.offset + whole as u64;
        accounting.damaged(Damage { cpu: cpu.cpu, byte, reason: format!("{} more bytes of whole sub-buffers", bytes - whole) });
    }
    let data = data.get(..whole).unwrap_or_default();
    let span_bytes = SPAN_SUB_BUFFERS * sub_buffer_bytes;
    for (number, content) in data.chunks(span_bytes).enumerate() {
        let offset = cpu.offset + (number * span_bytes) as u64;
        spans.push(Span { cpu: cpu.cpu, offset, content: SpanContent::Plain(content) });
    }
}

fn decode_span(
    span: Span<'_>,
    trace: &TraceDat,
    buffer: &Buffer,
    layout: Layout,
    decoder: &Decoder,
    progress: &(dyn Fn(u64) + Sync),
) -> Decoded {
    let mut decoded = Decoded { cpu: span.cpu, piece: Piece::default(), accounting: Accounting::default() };
    let unpacked;
    let (data, packed_bytes) = match span.content {
        SpanContent::Plain(data) => (data, data.len()),
        SpanContent::Packed(block) => match unpack(trace.contents.preamble.codec, block) {
            Ok(plain) => {
                unpacked = plain;
                (unpacked.as_slice(), block.data.len())
            }
            Err(fault) => {
                decoded.accounting.damaged(Damage { cpu: span.cpu, byte: span.offset, reason: fault.to_string() });
                progress(block.data.len() as u64);
                return decoded;
            }
        },
    };
    // A record of kmem is 40 to 80 bytes long.
    decoded.piece.events.reserve(data.len() / 48);
    let packed = matches!(span.content, SpanContent::Packed(_));
    for (number, page) in data.chunks(buffer.sub_buffer_bytes).enumerate() {
        let within = number * buffer.sub_buffer_bytes;
        sub_buffer(page, span, within, packed, trace, layout, decoder, &mut decoded);
    }
    progress(packed_bytes as u64);
    decoded
}

#[expect(clippy::too_many_arguments, reason = "the loop body above, by itself")]
fn sub_buffer(
    page: &[u8],
    span: Span<'_>,
    within: usize,
    packed: bool,
    trace: &TraceDat,
    layout: Layout,
    decoder: &Decoder,
    decoded: &mut Decoded,
) {
    let options = &trace.contents.options;
    let corrected = |time: u64| {
        let ns = options.tsc.map_or(time, |tsc| tsc.apply(time));
        ns.wrapping_add_signed(options.offset_ns)
    };
    let Decoded { piece, accounting, .. } = decoded;
    let outcome = visit_records(page, layout, |time, payload| decoder.record(span.cpu, corrected(time), payload, piece));
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
    let mut names = Interner::default();
    let mut dropped_names = 0;
    let mut left = vec![0; usize::from(u16::MAX) + 1];
    for part in &decoded {
        if let Some(count) = left.get_mut(usize::from(part.cpu)) {
            *count += part.piece.events.len();
        }
    }
    for part in decoded {
        decoder.account(&part.piece, &mut recording.accounting);
        recording.accounting.absorb(part.accounting);
        let map: Vec<Option<NameId>> = part.piece.names.names.iter().map(|name| names.number(name.as_bytes())).collect();
        dropped_names += map.iter().filter(|name| name.is_none()).count();
        let first_mark = recording.marks.len() as u32;
        recording.marks.extend(part.piece.marks);
        if recording.streams.last().is_none_or(|stream| stream.cpu != part.cpu) {
            let events = Vec::with_capacity(left.get(usize::from(part.cpu)).copied().unwrap_or(0));
            recording.streams.push(CpuStream { cpu: part.cpu, events });
        }
        let Some(stream) = recording.streams.last_mut() else { continue };
        let renumber = |name: &mut Option<NameId>| *name = name.and_then(|name| map.get(usize::from(name.0)).copied().flatten());
        stream.events.extend(part.piece.events.into_iter().map(|mut event| {
            match &mut event.body {
                Body::Alloc(alloc) => renumber(&mut alloc.name),
                Body::Free(free) => renumber(&mut free.name),
                Body::Mark(MarkId(id)) => *id += first_mark,
                _ => {}
            }
            event
        }));
    }
    if dropped_names > 0 {
        recording.accounting.remarks.push(format!("{dropped_names} cache names beyond the first 65536 were dropped"));
    }
    recording.names = names.names;
    recording
}

fn describe(trace: &TraceDat, buffer: &Buffer, decoder: &Decoder, recording: &mut Recording) {
    let contents = &trace.contents;
    let codec = match contents.preamble.version {
        7 => format!(" ({})", contents.preamble.codec.name()),
        _ => String::new(),
    };
    let seen = recording.streams.iter().map(|stream| u32::from(stream.cpu) + 1).max().unwrap_or(0);
    let clock = if buffer.clock.is_empty() { options_clock(&contents.options.clock) } else { buffer.clock.clone() };
    recording.info = Info {
        format: format!("trace.dat v{}{codec}", contents.preamble.version),
        kernel: contents.options.uname.split_whitespace().nth(2).unwrap_or_default().to_owned(),
        cpus: contents.options.cpu_count.unwrap_or(0).max(seen),
        clock,
        long_bytes: contents.blocks.header_page.long_bytes as u8,
        big_endian: contents.preamble.endian == crate::parse::Endian::Big,
        buffer: buffer.name.clone(),
        other_buffers: contents.buffers.iter().filter(|other| *other != buffer).map(|other| other.name.clone()).collect(),
    };
    recording.accounting.ring_overruns = contents.options.ring_overruns;
    recording.accounting.absent_fields = decoder.absent_fields().to_vec();
    let remarks = &mut recording.accounting.remarks;
    if contents.options.is_paired {
        remarks.push("the file is half of a host/guest pair; its times are those of its own machine".to_owned());
    }
    for text in &contents.blocks.bad_formats {
        remarks.push(format!("an event format was not understood: {text}"));
    }
    if contents.options.unknown > 0 {
        remarks.push(format!("{} options of unknown kind were skipped", contents.options.unknown));
    }
    let (known, unknown) = recording.accounting.lost_events();
    if contents.options.ring_overruns > 0 && known == 0 && unknown == 0 {
        let remark = format!("the ring buffer's statistics count {} lost events, but no gap is marked", contents.options.ring_overruns);
        recording.accounting.remarks.push(remark);
    }
}

fn options_clock(text: &str) -> String {
    super::options::chosen_clock(text)
}
