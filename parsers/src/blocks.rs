//! The blocks that describe records, which trace.dat (both versions), perf.data and dumps of the ring buffer share: header
//! info, event formats, command lines.

use nom::Parser;
use nom::bytes::complete::tag;
use nom::error::context;

use crate::error::{Fault, Problem};
use crate::eventformat::{self, EventFormat, FieldKind};
use crate::parse::{Cursor, Endian, Origin, cstr, u32, u64};
use crate::tasks::{self, Tasks};

/// What the shared blocks say.
#[derive(Debug, Clone, Default)]
pub(crate) struct Blocks {
    pub(crate) header_page: HeaderPage,
    pub(crate) formats: Vec<EventFormat>,
    /// Formats that could not be understood: their events stay unknown.
    pub(crate) bad_formats: Vec<String>,
    /// More of them than are kept with their reason.
    pub(crate) bad_formats_beyond: u64,
    /// Where in the file the text of the kernel's symbols is, if it is there in plain.
    pub(crate) kallsyms: Option<std::ops::Range<usize>>,
    /// Names of threads.
    pub(crate) tasks: Tasks,
}

impl Blocks {
    /// Takes the text of an event's format.
    ///
    /// Other systems' formats may hold C that nobody needs here, and are noted; ours must be right, or the records would be
    /// lost one by one without a reason.
    pub(crate) fn add_format(&mut self, system: &str, text: &[u8], origin: Origin) -> Result<(), Fault> {
        match eventformat::parse_at(system, text, origin) {
            Ok(format) => self.formats.push(format),
            Err(fault) if system == "kmem" => return Err(fault),
            Err(fault) if self.bad_formats.len() < BAD_FORMATS_KEPT => self.bad_formats.push(fault.to_string()),
            Err(_) => self.bad_formats_beyond += 1,
        }
        Ok(())
    }

    /// Says which formats were not understood.
    pub(crate) fn remark(&self, remarks: &mut Vec<String>) {
        remarks.extend(self.bad_formats.iter().map(|text| format!("an event format was not understood: {text}")));
        if self.bad_formats_beyond > 0 {
            remarks.push(format!("{} more event formats were not understood", self.bad_formats_beyond));
        }
    }
}

/// The layout of sub-buffers, from the `header_page` text.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct HeaderPage {
    /// Bytes of a kernel `long`: 4 or 8.
    pub(crate) long_bytes: usize,
    /// Size of a sub-buffer; 0 if the text does not tell.
    pub(crate) sub_buffer_bytes: usize,
}

/// Far above what any kernel has; a larger number is damage.
const MAX_SYSTEMS: u32 = 65_536;
pub(crate) const MAX_EVENTS: u32 = 65_536;
pub(crate) const MAX_FORMAT_BYTES: u64 = 16 << 20;
/// How many formats that were not understood are kept with their reason; the rest is counted.
const BAD_FORMATS_KEPT: usize = 20;

/// Sub-buffers are at least a page of the smallest machine; the upper bound is far above any kernel's.
pub(crate) fn plausible_page(bytes: u64) -> bool {
    bytes.is_power_of_two() && (4096..=4 << 20).contains(&bytes)
}

/// HEADER INFO: the formats of sub-buffers and of record headers.
pub(crate) fn header_info(cursor: &mut Cursor<'_>, endian: Endian) -> Result<HeaderPage, Problem> {
    cursor.enter("header info");
    cursor.read(|input| context("`header_page` and NUL", tag(&b"header_page\0"[..])).parse(input))?;
    let bytes = cursor.read(u64(endian))?;
    if bytes == 0 {
        let what = "recorded by a kernel of 2.6.30 or older, whose ring buffer has another layout; it cannot be read";
        return Err(Problem::Unsupported(what.to_owned()));
    }
    let origin = cursor.origin();
    let text = cursor.take(bytes, "the header_page text")?;
    let page = header_page(text, origin)?;
    cursor.read(|input| context("`header_event` and NUL", tag(&b"header_event\0"[..])).parse(input))?;
    let bytes = cursor.read(u64(endian))?;
    cursor.take(bytes, "the header_event text")?;
    Ok(page)
}

/// Understands the `header_page` text.
pub(crate) fn header_page(text: &[u8], origin: Origin) -> Result<HeaderPage, Fault> {
    let mut cursor = Cursor::new(text, origin, "header_page");
    let start = cursor.clone();
    let fields = eventformat::fields(&mut cursor)?;
    let field = |name: &str| fields.iter().find(|field| field.name == name);
    let commit = field("commit").ok_or_else(|| start.fault("a field `commit`"))?;
    let data = field("data").ok_or_else(|| start.fault("a field `data`"))?;
    if !matches!(commit.size, 4 | 8) || commit.offset != 8 || commit.kind != FieldKind::Integer {
        return Err(start.fault("`commit` at offset 8 with 4 or 8 bytes"));
    }
    let total = u64::from(data.offset) + u64::from(data.size);
    let sub_buffer_bytes = if plausible_page(total) { total as usize } else { 0 };
    Ok(HeaderPage { long_bytes: commit.size as usize, sub_buffer_bytes })
}

/// FTRACE EVENT FORMATS: the tracer's own events, of which markers (`print`) are wanted.
pub(crate) fn ftrace_formats(cursor: &mut Cursor<'_>, endian: Endian, blocks: &mut Blocks) -> Result<(), Fault> {
    cursor.enter("ftrace event formats");
    let at_count = cursor.clone();
    let count = cursor.read(u32(endian))?;
    if count > MAX_EVENTS {
        return Err(at_count.fault("at most 65536 events"));
    }
    for number in 0..count {
        cursor.enter(format!("ftrace event formats, event {number}"));
        one_format(cursor, endian, "ftrace", blocks)?;
    }
    Ok(())
}

/// EVENT FORMATS: systems and their events.
pub(crate) fn event_formats(cursor: &mut Cursor<'_>, endian: Endian, blocks: &mut Blocks) -> Result<(), Fault> {
    cursor.enter("event formats");
    let at_count = cursor.clone();
    let systems = cursor.read(u32(endian))?;
    if systems > MAX_SYSTEMS {
        return Err(at_count.fault("at most 65536 systems"));
    }
    for _ in 0..systems {
        cursor.enter("event formats");
        let system = String::from_utf8_lossy(cursor.read(cstr)?).into_owned();
        let at_count = cursor.clone();
        let events = cursor.read(u32(endian))?;
        if events > MAX_EVENTS {
            return Err(at_count.fault("at most 65536 events in a system"));
        }
        for number in 0..events {
            cursor.enter(format!("event formats, system {system}, event {number}"));
            one_format(cursor, endian, &system, blocks)?;
        }
    }
    Ok(())
}

fn one_format(cursor: &mut Cursor<'_>, endian: Endian, system: &str, blocks: &mut Blocks) -> Result<(), Fault> {
    let at_size = cursor.clone();
    let bytes = cursor.read(u64(endian))?;
    if bytes > MAX_FORMAT_BYTES {
        return Err(at_size.fault("a format text of at most 16 MiB"));
    }
    let origin = cursor.origin();
    let text = cursor.take(bytes, "a format text")?;
    blocks
        .add_format(system, text, origin)
        .map_err(|fault| Fault { section: format!("{}, {}", at_size.fault("").section, fault.section).into(), ..fault })
}

/// KALLSYMS: its place is noted, the text is only read when names are asked for.
pub(crate) fn kallsyms(cursor: &mut Cursor<'_>, endian: Endian, blocks: &mut Blocks) -> Result<(), Fault> {
    cursor.enter("kallsyms");
    let bytes = cursor.read(u32(endian))?;
    let origin = cursor.origin();
    cursor.take(u64::from(bytes), "text")?;
    if let (Origin::File(start), 1..) = (origin, bytes) {
        let start = usize::try_from(start).unwrap_or(usize::MAX);
        blocks.kallsyms = Some(start..start.saturating_add(bytes as usize));
    }
    Ok(())
}

/// CMDLINES: names of threads.
pub(crate) fn cmdlines(cursor: &mut Cursor<'_>, endian: Endian, blocks: &mut Blocks) -> Result<(), Fault> {
    cursor.enter("command lines");
    let bytes = cursor.read(u64(endian))?;
    tasks::section(cursor, bytes, &mut blocks.tasks)
}

/// A block preceded by its size, which is stepped over: printk formats (`u32`).
pub(crate) fn skip_sized_u32(cursor: &mut Cursor<'_>, endian: Endian, section: &'static str) -> Result<(), Fault> {
    cursor.enter(section);
    let bytes = cursor.read(u32(endian))?;
    cursor.take(u64::from(bytes), "text")?;
    Ok(())
}
