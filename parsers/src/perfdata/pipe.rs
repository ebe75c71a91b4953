//! Pipe mode (`perf record -o -`): the header's parts come as records before the first sample.

use super::attr::{self, Attrs};
use super::events::Events;
use super::features::{self, Features};
use super::header::no_formats;
use super::records::{HEADER_BYTES, Record, kind, record_at, u32_at, u64_at};
use super::{Contents, formats};
use crate::blocks::Blocks;
use crate::error::{Fault, Problem};
use crate::parse::{Cursor, Endian, Origin};

/// Magic and header size.
const START: usize = 16;

/// What has been read of the header so far.
#[derive(Debug, Default)]
struct Parts {
    attrs: Attrs,
    features: Features,
    blocks: Option<Blocks>,
}

pub(super) fn read(file: &[u8], endian: Endian) -> Result<Contents, Problem> {
    let mut parts = Parts::default();
    let mut at = START;
    while at < file.len() {
        let rest = file.get(at..).unwrap_or_default();
        let here = Cursor::new(rest, Origin::File(at as u64), "records before the first sample");
        let record = record_at(file, at, endian).map_err(|error| here.fault(error.expected()))?;
        if matches!(record.kind, kind::SAMPLE | kind::COMPRESSED | kind::COMPRESSED2) {
            break;
        }
        let mut after = here.clone();
        after.take(record.bytes() as u64, "a record")?;
        let trailing = record.trailing_bytes(endian).ok_or_else(|| here.fault("a record that says how many bytes follow it"))?;
        let trailing = after.take(trailing, "data behind the record")?;
        parts.record(record, trailing, at, endian)?;
        at += record.bytes() + trailing.len();
    }
    let Parts { mut attrs, features, blocks } = parts;
    for (id, name) in &features.names {
        attrs.name(*id, name);
    }
    let blocks = blocks.ok_or_else(no_formats)?;
    let events = Events::new(&attrs, &blocks)?;
    Ok(Contents { endian, is_pipe: true, attrs, blocks, features, events, data_start: at, data_end: None })
}

impl Parts {
    fn record(&mut self, record: Record<'_>, trailing: &[u8], at: usize, endian: Endian) -> Result<(), Problem> {
        let body_at = (at + HEADER_BYTES) as u64;
        match record.kind {
            kind::HEADER_ATTR => self.attr(record.body, body_at, endian)?,
            kind::TRACING_DATA => {
                let start = (at + record.bytes()) as u64;
                self.blocks = Some(formats::read(Cursor::new(trailing, Origin::File(start), "tracing data"), endian)?);
            }
            kind::HEADER_FEATURE => {
                if let (Some(number), Some(content)) = (features::number(record.body, endian), record.body.get(8..)) {
                    self.features.read(number, Cursor::new(content, Origin::File(body_at + 8), "feature"), endian);
                }
            }
            kind::EVENT_UPDATE => self.name(record.body, endian),
            _ => {}
        }
        Ok(())
    }

    /// An attr of its own size, and ids up to the end of the record.
    fn attr(&mut self, body: &[u8], body_at: u64, endian: Endian) -> Result<(), Fault> {
        let mut cursor = Cursor::new(body, Origin::File(body_at), format!("attr record, event {}", self.attrs.all.len()));
        let start = cursor.clone();
        let bytes = u32_at(body, 4, endian).map_or(0, u64::from);
        let attr = attr::attr(&mut cursor, if bytes == 0 { attr::MIN_ATTR_BYTES } else { bytes }, endian)?;
        self.attrs.push(attr, attr::ids(cursor, endian)?.into_iter(), &start)
    }

    /// `u64` what is updated, `u64` id, text: the name is number 2.
    fn name(&mut self, body: &[u8], endian: Endian) {
        const NAME: u64 = 2;
        if u64_at(body, 0, endian) == Some(NAME)
            && let (Some(id), Some(text)) = (u64_at(body, 8, endian), body.get(16..))
        {
            let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
            self.attrs.name(id, &String::from_utf8_lossy(text));
        }
    }
}
