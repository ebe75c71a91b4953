//! Where in a trace.dat the sub-buffers of each CPU are.

use std::collections::{BTreeMap, BTreeSet};

use super::{Buffer, TraceDat};
use crate::blocks::Blocks;
use crate::error::TraceError;
use crate::parse::{Cursor, Endian, Origin, u32};
use crate::recording::{Accounting, Damage, Info, Pointers};
use crate::ring::Layout;
use crate::subbuffers::compression::next_block;
use crate::subbuffers::span::{CpuData, Span, SpanContent, Spans};
use crate::subbuffers::texts::chosen_clock;
use crate::subbuffers::{ClockTerms, Container, Terms};
use crate::symbols::Kallsyms;

/// Bytes of data whose pages are held while its chunks are looked for.
const WALKED_BYTES: usize = 16 << 20;

/// The buffer of a trace.dat that is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Chosen<'a> {
    trace: &'a TraceDat,
    buffer: &'a Buffer,
}

impl<'a> Chosen<'a> {
    pub(super) fn of(trace: &'a TraceDat) -> Result<Self, TraceError> {
        let Some(buffer) = trace.chosen_buffer() else {
            let what = "the recording was not finished: there is no buffer in it".to_owned();
            return Err(TraceError::Unsupported { path: trace.file.path().to_owned(), what });
        };
        Ok(Self { trace, buffer })
    }
}

impl<'a> Container<'a> for Chosen<'a> {
    fn terms(&self) -> Terms {
        let contents = &self.trace.contents;
        Terms {
            layout: Layout { long_bytes: contents.blocks.header_page.long_bytes, big_endian: contents.preamble.endian == Endian::Big },
            sub_buffer_bytes: self.buffer.sub_buffer_bytes,
            codec: contents.preamble.codec,
            clock: ClockTerms { tsc: contents.options.tsc, offset_ns: contents.options.offset_ns },
        }
    }

    fn blocks(&self) -> &Blocks {
        &self.trace.contents.blocks
    }

    fn spans(&self, accounting: &mut Accounting) -> Spans<'a> {
        spans(self.trace, self.buffer, accounting)
    }

    fn symbols(&self) -> Kallsyms {
        self.trace.symbols()
    }

    fn info(&self, seen: Option<u16>) -> Info {
        let Self { trace, buffer, .. } = self;
        let contents = &trace.contents;
        let uname = |word: usize| contents.options.uname.split_whitespace().nth(word).unwrap_or_default().to_owned();
        let codec = match contents.preamble.version {
            7 => format!(" ({})", contents.preamble.codec.name()),
            _ => String::new(),
        };
        let clock = if buffer.clock.is_empty() { chosen_clock(&contents.options.clock) } else { buffer.clock.clone() };
        let others = contents.buffers.iter().filter(|other| *other != *buffer && other.cpus.iter().any(|cpu| cpu.bytes > 0));
        Info {
            format: format!("trace.dat v{}{codec}", contents.preamble.version),
            kernel: uname(2),
            hostname: uname(1),
            cpus: contents.options.cpu_count.unwrap_or(0).max(seen.map_or(0, |cpu| u32::from(cpu) + 1)),
            clock,
            long_bytes: contents.blocks.header_page.long_bytes as u8,
            big_endian: contents.preamble.endian == Endian::Big,
            pointers: Pointers::Real,
            buffer: buffer.name.clone(),
            other_buffers: others.map(|other| other.name.clone()).collect(),
            ..Info::default()
        }
    }

    fn ring_overruns(&self) -> u64 {
        self.trace.contents.options.ring_overruns.get(&self.buffer.name).copied().unwrap_or(0)
    }

    fn remark(&self, remarks: &mut Vec<String>) {
        let contents = &self.trace.contents;
        if contents.options.is_paired {
            remarks.push("the file is half of a host/guest pair; its times are those of its own machine".to_owned());
        }
        contents.blocks.remark(remarks);
        if contents.options.unknown > 0 {
            remarks.push(format!("{} options of unknown kind were skipped", contents.options.unknown));
        }
    }

    fn release(&self, job: &[Span<'_>]) {
        if let (Some(first), Some(last)) = (job.first(), job.last()) {
            self.trace.file.release(first.start()..last.end());
        }
    }

    fn check(&self) -> Result<(), TraceError> {
        self.trace.file.check()
    }
}

/// Cuts all CPUs' data into spans; what cannot be reached is noted as damage.
///
/// A CPU's data ends where another's begins, whatever size it claims: no byte is decoded twice, so the
/// work is bounded by the size of the file.
fn spans<'a>(trace: &'a TraceDat, buffer: &Buffer, accounting: &mut Accounting) -> Spans<'a> {
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
            spans.push_plain(*cpu, rest, buffer.sub_buffer_bytes, accounting);
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
