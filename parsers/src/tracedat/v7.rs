//! Version 7: sections found through options.

use std::borrow::Cow;
use std::collections::BTreeSet;

use super::options::{self, Options, id};
use super::preamble::Preamble;
use super::v6::MAX_CPUS;
use super::{Buffer, Contents, CpuData};
use crate::blocks::{self, Blocks, plausible_page};
use crate::error::Problem;
use crate::parse::{Cursor, Origin, cstr, u16, u32, u64};
use crate::subbuffers::compression::{next_block, unpack};
use crate::symbols::{NoSymbols, Symbols};

pub(super) fn read(file: &[u8], preamble: Preamble) -> Result<Contents, Problem> {
    if preamble.options_offset == 0 {
        return Err(Problem::Unsupported("the recording was not finished: no options were written".to_owned()));
    }
    let mut options = Options::default();
    let mut next = preamble.options_offset;
    // Sections lie apart from each other: together they are no larger than the file. A chain that
    // takes more runs in a circle, or through sections inside one another.
    let mut left = file.len() as u64;
    while next != 0 {
        let section = section(file, preamble, next, id::DONE, "options")?;
        let mut cursor = section.cursor();
        left = left.checked_sub(section.stored_bytes).ok_or_else(|| cursor.fault("an option section that overlaps no other"))?;
        options::read(&mut cursor, preamble.endian, 7, section.start, &mut options)?;
        next = options.next;
    }
    let blocks = shared_blocks(file, preamble, &options)?;
    let payloads = std::mem::take(&mut options.buffers);
    if payloads.is_empty() {
        let what = if options.has_text_buffer {
            "holds the text of a trace, not records; extract the text and read that"
        } else {
            "the recording was not finished: there is no buffer in it"
        };
        return Err(Problem::Unsupported(what.to_owned()));
    }
    let buffers = payloads.iter().map(|(payload, at)| buffer(file, preamble, payload, *at)).collect::<Result<Vec<_>, Problem>>()?;
    Ok(Contents { preamble, blocks, options, buffers })
}

fn shared_blocks(file: &[u8], preamble: Preamble, options: &Options) -> Result<Blocks, Problem> {
    let mut all = Blocks::default();
    let find = |wanted: u16| options.sections.iter().find(|(id, _)| *id == wanted).map(|&(_, offset)| offset);
    let Some(header_info) = find(id::HEADER_INFO) else {
        return Err(Problem::Unsupported("no header info section: the size of the kernel's numbers is unknown".to_owned()));
    };
    let header = section(file, preamble, header_info, id::HEADER_INFO, "header info")?;
    all.header_page = blocks::header_info(&mut header.cursor(), preamble.endian)?;
    if let Some(offset) = find(id::FTRACE_EVENTS) {
        let section = section(file, preamble, offset, id::FTRACE_EVENTS, "ftrace event formats")?;
        blocks::ftrace_formats(&mut section.cursor(), preamble.endian, &mut all)?;
    }
    if let Some(offset) = find(id::CMDLINES) {
        let section = section(file, preamble, offset, id::CMDLINES, "command lines")?;
        blocks::cmdlines(&mut section.cursor(), preamble.endian, &mut all)?;
    }
    if let Some(offset) = find(id::EVENT_FORMATS) {
        let section = section(file, preamble, offset, id::EVENT_FORMATS, "event formats")?;
        blocks::event_formats(&mut section.cursor(), preamble.endian, &mut all)?;
    }
    Ok(all)
}

/// The kernel's symbols, from the section at `offset`.
pub(super) fn symbols(file: &[u8], preamble: Preamble, offset: u64) -> Result<Symbols, NoSymbols> {
    let text = || {
        let section = section(file, preamble, offset, id::KALLSYMS, "kallsyms")?;
        let mut cursor = section.cursor();
        let bytes = cursor.read(u32(preamble.endian))?;
        Ok::<_, Problem>(Symbols::parse(cursor.take(u64::from(bytes), "text")?))
    };
    text().unwrap_or_else(|problem| {
        Err(NoSymbols::Damaged(match problem {
            Problem::Fault(fault) => fault.to_string(),
            Problem::Unsupported(what) => what,
        }))
    })
}

/// The content of a section, decompressed if need be.
struct Section<'a> {
    content: Cow<'a, [u8]>,
    /// Offset of the content in the file; of the compressed bytes if it was compressed.
    start: u64,
    /// Bytes that it takes in the file, with its header.
    stored_bytes: u64,
    name: &'static str,
}

impl Section<'_> {
    fn cursor(&self) -> Cursor<'_> {
        let origin = match self.content {
            Cow::Borrowed(_) => Origin::File(self.start),
            Cow::Owned(_) => Origin::Block { block: self.start, from: 0 },
        };
        Cursor::new(&self.content, origin, self.name)
    }
}

fn section_header<'a>(
    file: &'a [u8],
    preamble: Preamble,
    offset: u64,
    wanted: u16,
    name: &'static str,
) -> Result<(Cursor<'a>, bool, u64), Problem> {
    let at = usize::try_from(offset).unwrap_or(usize::MAX);
    let Some(rest) = file.get(at..) else {
        let whole = Cursor::new(file.get(file.len()..).unwrap_or_default(), Origin::File(file.len() as u64), name);
        return Err(whole.fault(format!("the {name} section at byte {offset}, within the file")).into());
    };
    let mut cursor = Cursor::new(rest, Origin::File(offset), name);
    let at_id = cursor.clone();
    let id = cursor.read(u16(preamble.endian))?;
    if id != wanted {
        return Err(at_id.fault(format!("section id {wanted} ({name})")).into());
    }
    let flags = cursor.read(u16(preamble.endian))?;
    cursor.read(u32(preamble.endian))?; // description: an offset into a string table, cosmetic
    let bytes = cursor.read(u64(preamble.endian))?;
    Ok((cursor, flags & 1 != 0, bytes))
}

fn section<'a>(file: &'a [u8], preamble: Preamble, offset: u64, wanted: u16, name: &'static str) -> Result<Section<'a>, Problem> {
    let (mut cursor, compressed, bytes) = section_header(file, preamble, offset, wanted, name)?;
    if compressed {
        let block = next_block(&mut cursor, preamble.endian, offset)?;
        let mut content = Vec::new();
        unpack(preamble.codec, block, &mut content)?;
        let content = Cow::Owned(content);
        return Ok(Section { content, start: block.offset, stored_bytes: cursor.position() as u64, name });
    }
    let start = offset + cursor.position() as u64;
    let content = Cow::Borrowed(cursor.take(bytes, "section content")?);
    Ok(Section { content, start, stored_bytes: cursor.position() as u64, name })
}

/// A BUFFER option: name, clock, sub-buffer size, and where each CPU's data is.
fn buffer(file: &[u8], preamble: Preamble, payload: &[u8], at: u64) -> Result<Buffer, Problem> {
    let endian = preamble.endian;
    let mut cursor = Cursor::new(payload, Origin::File(at), "buffer option");
    let offset = cursor.read(u64(endian))?;
    let name = String::from_utf8_lossy(cursor.read(cstr)?).into_owned();
    let clock = String::from_utf8_lossy(cursor.read(cstr)?).into_owned();
    let at_page = cursor.clone();
    let sub_buffer_bytes = cursor.read(u32(endian))?;
    if !plausible_page(u64::from(sub_buffer_bytes)) {
        return Err(at_page.fault("a sub-buffer size that is a power of two from 4096 to 4 MiB").into());
    }
    let at_count = cursor.clone();
    let count = cursor.read(u32(endian))?;
    if count > MAX_CPUS {
        return Err(at_count.fault("at most 65536 CPUs").into());
    }
    let mut cpus: Vec<CpuData> = Vec::new();
    let mut seen = BTreeSet::new();
    for _ in 0..count {
        let at_cpu = cursor.clone();
        let cpu = cursor.read(u32(endian))?;
        let Some(cpu) = u16::try_from(cpu).ok().filter(|&cpu| seen.insert(cpu)) else {
            return Err(at_cpu.fault("a CPU number below 65536 that occurs once").into());
        };
        cpus.push(CpuData { cpu, offset: cursor.read(u64(endian))?, bytes: cursor.read(u64(endian))? });
    }
    cpus.sort_by_key(|entry| entry.cpu);
    cpus.retain(|entry| entry.bytes > 0);
    // The data section's header says whether the data is compressed.
    let (_, compressed, _) = section_header(file, preamble, offset, id::BUFFER, "buffer data")?;
    Ok(Buffer { name, clock, sub_buffer_bytes: sub_buffer_bytes as usize, compressed, cpus })
}
