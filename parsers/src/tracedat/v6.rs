//! Version 6: blocks in a fixed order, then a table of CPUs.

use nom::Parser;
use nom::bytes::complete::take;
use nom::error::context;

use super::options::{self, Options};
use super::preamble::Preamble;
use super::{Buffer, Contents, CpuData};
use crate::blocks::{self, Blocks};
use crate::error::Problem;
use crate::parse::{Cursor, Endian, Origin, u32, u64};
use crate::subbuffers::texts::chosen_clock;

/// More CPUs than any kernel supports; a larger number is damage.
pub(super) const MAX_CPUS: u32 = 65_536;

pub(super) fn read(file: &[u8], preamble: Preamble, body: usize) -> Result<Contents, Problem> {
    let endian = preamble.endian;
    let mut cursor = Cursor::new(file.get(body..).unwrap_or_default(), Origin::File(body as u64), "version 6");
    let header_page = blocks::header_info(&mut cursor, endian)?;
    let mut all = Blocks { header_page, ..Blocks::default() };
    blocks::ftrace_formats(&mut cursor, endian, &mut all)?;
    blocks::event_formats(&mut cursor, endian, &mut all)?;
    blocks::kallsyms(&mut cursor, endian, &mut all)?;
    blocks::skip_sized_u32(&mut cursor, endian, "printk formats")?;
    blocks::cmdlines(&mut cursor, endian, &mut all)?;
    cursor.enter("CPU count");
    let at_count = cursor.clone();
    let cpus = cursor.read(u32(endian))?;
    if cpus > MAX_CPUS {
        return Err(at_count.fault("at most 65536 CPUs").into());
    }
    let mut options = Options::default();
    let top = buffer(&mut cursor, preamble, all.header_page.sub_buffer_bytes, cpus, body as u64, String::new(), &mut options)?;
    let table_is_zero = cpus > 0 && top.is_zero;
    let mut buffers = vec![top.buffer];
    // Instances lie apart from each other: all their tables together are no larger than the file.
    let mut left = file.len();
    for (offset, name) in std::mem::take(&mut options.instances) {
        // The offset was written in the byte order of the machine that wrote the file, so a file
        // converted across byte orders has it swapped.
        let at = [offset, offset.swap_bytes()].into_iter().filter_map(|at| usize::try_from(at).ok()).find(|&at| at < file.len());
        let Some(at) = at else { return Err(cursor.fault(format!("instance {name:?} at byte {offset} within the file")).into()) };
        let mut cursor = Cursor::new(file.get(at..).unwrap_or_default(), Origin::File(at as u64), format!("instance {name:?}"));
        let instance_cpus = options.cpu_count.unwrap_or(cpus).min(MAX_CPUS);
        let start = cursor.clone();
        let table = buffer(&mut cursor, preamble, all.header_page.sub_buffer_bytes, instance_cpus, at as u64, name, &mut options)?;
        left = left.checked_sub(cursor.position()).ok_or_else(|| start.fault("an instance that overlaps no other"))?;
        buffers.push(table.buffer);
    }
    options.cpu_count.get_or_insert(cpus);
    if table_is_zero && buffers.iter().all(|buffer| buffer.cpus.is_empty()) {
        return Err(Problem::Unsupported("the recording was not finished: its table of CPUs is empty".to_owned()));
    }
    Ok(Contents { preamble, blocks: all, options, buffers })
}

/// A buffer, and whether its table of CPUs is all zero: neither sizes nor places were filled in.
struct Table {
    buffer: Buffer,
    is_zero: bool,
}

/// A tag, options if the tag says so, and the table of CPUs.
fn buffer(
    cursor: &mut Cursor<'_>,
    preamble: Preamble,
    sub_buffer_bytes: usize,
    cpus: u32,
    start: u64,
    name: String,
    options: &mut Options,
) -> Result<Table, Problem> {
    let endian = preamble.endian;
    let tag_text = |cursor: &mut Cursor<'_>| -> Result<Vec<u8>, Problem> {
        cursor.enter("data tag");
        Ok(cursor.read(|input| context("a tag of 10 bytes", take(10_usize)).parse(input))?.to_vec())
    };
    let mut at_tag = cursor.clone();
    let mut tag = tag_text(cursor)?;
    if tag == b"options  \0" {
        options::read(cursor, endian, 6, start, options)?;
        at_tag = cursor.clone();
        tag = tag_text(cursor)?;
    }
    match tag.as_slice() {
        b"flyrecord\0" => {}
        b"latency  \0" => {
            let what = "holds the text of a latency trace, not records; extract the text and read that";
            return Err(Problem::Unsupported(what.to_owned()));
        }
        _ => return Err(at_tag.fault("the tag `options`, `flyrecord` or `latency`").into()),
    }
    cursor.enter("CPU table");
    let table = (0..cpus).map(|cpu| cpu_entry(cursor, endian, cpu)).collect::<Result<Vec<_>, Problem>>()?;
    let clock = if options.has_clock { clock_text(cursor, endian) } else { String::new() };
    let is_zero = table.iter().all(|cpu| cpu.offset == 0 && cpu.bytes == 0);
    let buffer = Buffer {
        name,
        clock: chosen_clock(if clock.is_empty() { &options.clock } else { &clock }),
        sub_buffer_bytes: if sub_buffer_bytes > 0 { sub_buffer_bytes } else { preamble.page_bytes as usize },
        compressed: false,
        cpus: table.into_iter().filter(|cpu| cpu.bytes > 0).collect(),
    };
    Ok(Table { buffer, is_zero })
}

fn cpu_entry(cursor: &mut Cursor<'_>, endian: Endian, cpu: u32) -> Result<CpuData, Problem> {
    let (offset, bytes) = (cursor.read(u64(endian))?, cursor.read(u64(endian))?);
    Ok(CpuData { cpu: u16::try_from(cpu).unwrap_or(u16::MAX), offset, bytes })
}

/// The text after the CPU table. In some old files it is damaged or missing: then the clock is unknown.
fn clock_text(cursor: &mut Cursor<'_>, endian: Endian) -> String {
    let mut ahead = cursor.clone();
    let text = ahead.read(u64(endian)).ok().filter(|&bytes| bytes <= 4096).and_then(|bytes| ahead.take(bytes, "clock text").ok());
    text.map(|text| String::from_utf8_lossy(text).into_owned()).unwrap_or_default()
}
