//! File mode: the first bytes, where the sections are, the events and their ids.

use nom::Parser;
use nom::bytes::complete::take;
use nom::error::context;

use super::attr::{self, Attrs, MIN_ATTR_BYTES};
use super::events::Events;
use super::features::{self, Features, id, is_set};
use super::{Contents, formats};
use crate::blocks::Blocks;
use crate::error::{Fault, Problem};
use crate::parse::{Cursor, Endian, Origin, u64};

const MAGIC_LITTLE: &[u8] = b"PERFILE2";
const MAGIC_BIG: &[u8] = b"2ELIFREP";
/// Version 1, of 2009 and 2010, in either byte order.
const MAGICS_OLD: [&[u8]; 2] = [b"PERFFILE", b"ELIFFREP"];

/// Header sizes that tell the modes apart.
const PIPE_HEADER_BYTES: u64 = 16;
const FILE_HEADER_BYTES: u64 = 104;

/// An attr's entry is far smaller in every version; a larger one is damage.
const MAX_ATTR_ENTRY: u64 = 4096;

/// True if these first bytes are those of a perf.data, of whatever version and byte order.
#[must_use]
pub fn is_perf_data(first_bytes: &[u8]) -> bool {
    [MAGIC_LITTLE, MAGIC_BIG].iter().chain(&MAGICS_OLD).any(|magic| first_bytes.starts_with(magic))
}

/// What the first 16 bytes say.
#[derive(Debug, Clone, Copy)]
pub(super) struct Preamble {
    pub(super) endian: Endian,
    pub(super) is_pipe: bool,
}

pub(super) fn preamble(file: &[u8]) -> Result<Preamble, Problem> {
    let mut cursor = Cursor::new(file, Origin::File(0), "preamble");
    let start = cursor.clone();
    let expected = "the perf.data magic `PERFILE2`";
    let magic: &[u8] = cursor.read(|input| context(expected, take(8_usize)).parse(input))?;
    let endian = match magic {
        MAGIC_LITTLE => Endian::Little,
        MAGIC_BIG => Endian::Big,
        old if MAGICS_OLD.contains(&old) => {
            return Err(Problem::Unsupported("perf.data version 1, of 2010 and before; version 2 can be read".to_owned()));
        }
        _ => return Err(start.fault(expected).into()),
    };
    cursor.enter("perf.data header");
    let at_size = cursor.clone();
    match cursor.read(u64(endian))? {
        PIPE_HEADER_BYTES => Ok(Preamble { endian, is_pipe: true }),
        FILE_HEADER_BYTES => Ok(Preamble { endian, is_pipe: false }),
        _ => Err(at_size.fault("a header size of 104 (file) or 16 (pipe)").into()),
    }
}

/// A piece of the file that the header points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Section {
    offset: u64,
    bytes: u64,
}

impl Section {
    fn read(cursor: &mut Cursor<'_>, endian: Endian) -> Result<Self, Fault> {
        Ok(Self { offset: cursor.read(u64(endian))?, bytes: cursor.read(u64(endian))? })
    }

    /// The section's bytes; `at` is where the file points to it.
    fn content<'a>(self, file: &'a [u8], name: &str, at: &Cursor<'_>) -> Result<Cursor<'a>, Fault> {
        let rest = usize::try_from(self.offset).ok().and_then(|offset| file.get(offset..));
        let bytes = usize::try_from(self.bytes).ok();
        let Some(content) = rest.zip(bytes).and_then(|(rest, bytes)| rest.get(..bytes)) else {
            let expected = format!("{name}, {} bytes at byte {}, within the file of {} bytes", self.bytes, self.offset, file.len());
            return Err(at.fault(expected));
        };
        Ok(Cursor::new(content, Origin::File(self.offset), name.to_owned()))
    }
}

pub(super) fn read(file: &[u8], endian: Endian) -> Result<Contents, Problem> {
    let mut cursor = Cursor::new(file, Origin::File(0), "perf.data header");
    cursor.take(16, "magic and header size")?;
    let at_entry = cursor.clone();
    let entry_bytes = cursor.read(u64(endian))?;
    if !(MIN_ATTR_BYTES + 16..=MAX_ATTR_ENTRY).contains(&entry_bytes) {
        return Err(at_entry.fault("an attr entry size from 80 to 4096").into());
    }
    let at_attrs = cursor.clone();
    let attrs = Section::read(&mut cursor, endian)?;
    let at_data = cursor.clone();
    let data = Section::read(&mut cursor, endian)?;
    cursor.take(16, "the section of event types")?;
    let mut bitmap = [0; 4];
    for word in &mut bitmap {
        *word = cursor.read(u64(endian))?;
    }
    if attrs.bytes % entry_bytes != 0 {
        return Err(at_attrs.fault(format!("an attrs section of whole entries of {entry_bytes} bytes")).into());
    }
    let mut attrs = read_attrs(file, attrs.content(file, "attrs", &at_attrs)?, entry_bytes, endian)?;
    let Some(data_start) = usize::try_from(data.offset).ok().filter(|&start| start <= file.len()) else {
        return Err(at_data.fault(format!("data at byte {} within the file of {} bytes", data.offset, file.len())).into());
    };
    // perf fills in the size at its end, when it appends the features too: their bits alone say nothing.
    if data.bytes == 0 {
        let what = "the recording was not finished: it has no event formats, which perf writes at its end";
        return Err(Problem::Unsupported(what.to_owned()));
    }
    if is_set(&bitmap, id::DIR_FORMAT) {
        let what = "one part of a recording by several threads; record without --threads";
        return Err(Problem::Unsupported(what.to_owned()));
    }
    let Some(data_end) = data.offset.checked_add(data.bytes) else {
        return Err(at_data.fault("data whose end can be counted in 64 bits").into());
    };
    let (features, blocks) = read_features(file, data_end, bitmap, endian, &at_data)?;
    for (id, name) in &features.names {
        attrs.name(*id, name);
    }
    let blocks = blocks.ok_or_else(no_formats)?;
    let events = Events::new(&attrs, &blocks)?;
    Ok(Contents { endian, is_pipe: false, attrs, blocks, features, events, data_start, data_end: Some(data_end) })
}

pub(super) fn no_formats() -> Problem {
    let what = "there are no event formats in it (the feature TRACING_DATA): it holds no kernel tracepoints";
    Problem::Unsupported(what.to_owned())
}

fn read_attrs(file: &[u8], mut cursor: Cursor<'_>, entry_bytes: u64, endian: Endian) -> Result<Attrs, Fault> {
    let mut attrs = Attrs::default();
    // Sections of ids lie apart from each other: together they are no larger than the file.
    let mut left = file.len() as u64;
    let mut number = 0;
    while !cursor.is_empty() {
        cursor.enter(format!("attrs, event {number}"));
        number += 1;
        let start = cursor.clone();
        let attr = attr::attr(&mut cursor, entry_bytes - 16, endian)?;
        let at_ids = cursor.clone();
        let ids = Section::read(&mut cursor, endian)?;
        left = left.checked_sub(ids.bytes).ok_or_else(|| at_ids.fault("a section of ids within the file that overlaps no other"))?;
        let ids = attr::ids(ids.content(file, "ids", &at_ids)?, endian)?;
        attrs.push(attr, ids.into_iter(), &start)?;
    }
    Ok(attrs)
}

/// The features, and the event formats if they are there.
fn read_features(
    file: &[u8],
    table: u64,
    bitmap: [u64; 4],
    endian: Endian,
    at_data: &Cursor<'_>,
) -> Result<(Features, Option<Blocks>), Problem> {
    let mut all = Features::default();
    let mut blocks = None;
    let numbers: Vec<u32> = (0..256).filter(|&number| is_set(&bitmap, number)).collect();
    let bytes = 16 * numbers.len() as u64;
    let mut cursor = Section { offset: table, bytes }.content(file, "the table of features", at_data)?;
    for number in numbers {
        cursor.enter(format!("table of features, feature {number}"));
        let start = cursor.clone();
        let content = Section::read(&mut cursor, endian)?.content(file, "the feature", &start)?;
        if number == features::id::TRACING_DATA {
            blocks = Some(formats::read(content, endian)?);
        } else {
            all.read(number, content, endian);
        }
    }
    Ok((all, blocks))
}
