//! The option list that versions 6 and 7 share.

use std::collections::BTreeMap;

use super::v6::MAX_CPUS;
use crate::error::Problem;
use crate::parse::{Cursor, Endian, Origin, cstr, u16, u32, u64};
use crate::subbuffers::TscToNs;
use crate::subbuffers::texts::overruns;

/// What the options say, as far as a replay can use it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Options {
    /// "sysname nodename release machine".
    pub(super) uname: String,
    pub(super) cpu_count: Option<u32>,
    /// Text of the clock file, or empty.
    pub(super) clock: String,
    /// True if a TRACECLOCK option was present, even empty: version 6 then has a text after the CPU table.
    pub(super) has_clock: bool,
    /// Nanoseconds to add to every time stamp.
    pub(super) offset_ns: i64,
    pub(super) tsc: Option<TscToNs>,
    /// Sum of `overrun`, `commit overrun` and `dropped events` over the CPUSTAT texts, by buffer.
    pub(super) ring_overruns: BTreeMap<String, u64>,
    /// Buffer that the CPUSTAT texts are about; empty for the top one.
    stat_buffer: String,
    /// Version 6: (offset, name) of instances.
    pub(super) instances: Vec<(u64, String)>,
    /// Version 7: payloads of BUFFER options with their place in the file.
    pub(super) buffers: Vec<(Vec<u8>, u64)>,
    /// Version 7: a BUFFER_TEXT section exists.
    pub(super) has_text_buffer: bool,
    /// Version 7: section offsets by section id.
    pub(super) sections: Vec<(u16, u64)>,
    /// The file is one half of a host/guest pair.
    pub(super) is_paired: bool,
    /// Version 7: offset of the next OPTIONS section.
    pub(super) next: u64,
    /// Options with a number that is not known.
    pub(super) unknown: u32,
}

/// Section ids of version 7, which are option ids too.
pub(super) mod id {
    pub(in super::super) const DONE: u16 = 0;
    pub(in super::super) const BUFFER: u16 = 3;
    pub(in super::super) const HEADER_INFO: u16 = 16;
    pub(in super::super) const FTRACE_EVENTS: u16 = 17;
    pub(in super::super) const EVENT_FORMATS: u16 = 18;
    pub(in super::super) const KALLSYMS: u16 = 19;
    pub(in super::super) const CMDLINES: u16 = 21;
}

/// Reads an option list up to its end mark.
pub(super) fn read(cursor: &mut Cursor<'_>, endian: Endian, version: u32, start: u64, options: &mut Options) -> Result<(), Problem> {
    cursor.enter("options");
    options.next = 0;
    loop {
        if version == 7 && cursor.is_empty() {
            return Ok(());
        }
        let id = cursor.read(u16(endian))?;
        // The end mark of version 6 has no size; that of version 7 has, and a payload.
        if id == id::DONE && version == 6 {
            return Ok(());
        }
        let bytes = cursor.read(u32(endian))?;
        let at = start + cursor.position() as u64;
        let payload = cursor.take(u64::from(bytes), "option payload")?;
        let mut inner = Cursor::new(payload, Origin::File(at), format!("option {id}"));
        if id == id::DONE {
            options.next = inner.read(u64(endian))?;
            return Ok(());
        }
        one(id, &mut inner, endian, version, at, options)?;
    }
}

fn text(cursor: &Cursor<'_>) -> String {
    let bytes = cursor.rest().split(|&byte| byte == 0).next().unwrap_or_default();
    String::from_utf8_lossy(bytes).trim().to_owned()
}

fn one(id: u16, cursor: &mut Cursor<'_>, endian: Endian, version: u32, at: u64, options: &mut Options) -> Result<(), Problem> {
    match id {
        2 => cpu_stat(&text(cursor), options),
        id::BUFFER if version == 6 => {
            let offset = cursor.read(u64(endian))?;
            options.instances.push((offset, String::from_utf8_lossy(cursor.read(cstr)?).into_owned()));
        }
        id::BUFFER => options.buffers.push((cursor.rest().to_vec(), at)),
        4 => {
            options.has_clock = true;
            options.clock = text(cursor);
        }
        5 => options.uname = text(cursor),
        7 => options.offset_ns = number(&text(cursor)),
        // Not always in the file's byte order: an absurd number says nothing.
        8 => options.cpu_count = Some(cursor.read(u32(endian))?).filter(|&count| count <= MAX_CPUS),
        12 | 13 => options.is_paired = true,
        14 => options.tsc = Some(TscToNs { mult: cursor.read(u32(endian))?, shift: cursor.read(u32(endian))? }),
        16..=21 | 23 | 25 if version == 7 => options.sections.push((id, cursor.read(u64(endian))?)),
        22 if version == 7 => options.has_text_buffer = true,
        // DATE, HOOK, VERSION, PROCMAPS, TRACEID, STRINGS, LAST_BOOT_INFO: of no use to a replay.
        1 | 6 | 9 | 10 | 11 | 15 | 24 => {}
        _ => options.unknown += 1,
    }
    Ok(())
}

/// `strtoll` with base 0, as far as writers use it.
fn number(text: &str) -> i64 {
    let (negative, digits) = text.strip_prefix('-').map_or((false, text), |digits| (true, digits));
    let value = digits.strip_prefix("0x").map_or_else(|| digits.parse().ok(), |hex| i64::from_str_radix(hex, 16).ok());
    let value = value.unwrap_or(0);
    if negative { value.wrapping_neg() } else { value }
}

/// One CPU's `stats` text, or the name of the instance that the texts after it are about.
fn cpu_stat(text: &str, options: &mut Options) {
    if let Some(name) = text.strip_prefix("Buffer:") {
        name.trim().clone_into(&mut options.stat_buffer);
        return;
    }
    let sum = options.ring_overruns.entry(options.stat_buffer.clone()).or_default();
    *sum = sum.saturating_add(overruns(text));
}
