//! One event's description (`struct perf_event_attr`), and the ids its samples carry.

use rustc_hash::FxHashMap;

use super::records::{u32_at, u64_at};
use crate::error::Fault;
use crate::parse::{Cursor, Endian, u64};

/// Bytes of the first version of the struct.
pub(super) const MIN_ATTR_BYTES: u64 = 64;

/// `PERF_TYPE_TRACEPOINT`.
const TYPE_TRACEPOINT: u32 = 2;
const FLAG_FREQ: u64 = 1 << 10;
const FLAG_SAMPLE_ID_ALL: u64 = 1 << 18;
const FLAG_USE_CLOCKID: u64 = 1 << 25;

/// What is recorded of one event, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Attr {
    pub(super) kind: u32,
    /// Of a tracepoint: the number in its format.
    pub(super) config: u64,
    /// One sample for so many events; a frequency instead if `by_frequency`.
    pub(super) sample_period: u64,
    pub(super) by_frequency: bool,
    pub(super) sample_type: u64,
    pub(super) read_format: u64,
    /// Records other than samples end with ids and time.
    pub(super) sample_id_all: bool,
    /// Clock that was asked for, by its number in clock_gettime().
    pub(super) clock_id: Option<i32>,
    /// Name given by the recorder; empty if it gave none.
    pub(super) name: String,
}

impl Attr {
    pub(super) fn is_tracepoint(&self) -> bool {
        self.kind == TYPE_TRACEPOINT
    }
}

/// All events, and which of them an id stands for.
#[derive(Debug, Clone, Default)]
pub(super) struct Attrs {
    pub(super) all: Vec<Attr>,
    by_id: FxHashMap<u64, u16>,
}

impl Attrs {
    /// Adds an event with its ids. An id belongs to the first that claims it.
    pub(super) fn push(&mut self, attr: Attr, ids: impl Iterator<Item = u64>, cursor: &Cursor<'_>) -> Result<(), Fault> {
        let Ok(number) = u16::try_from(self.all.len()) else { return Err(cursor.fault("at most 65536 events")) };
        self.all.push(attr);
        for id in ids {
            self.by_id.entry(id).or_insert(number);
        }
        Ok(())
    }

    /// The number of the event that an id stands for.
    #[inline]
    pub(super) fn find(&self, id: u64) -> Option<u16> {
        self.by_id.get(&id).copied()
    }

    /// Gives an event its name.
    pub(super) fn name(&mut self, id: u64, name: &str) {
        if let Some(attr) = self.find(id).and_then(|number| self.all.get_mut(usize::from(number))) {
            name.clone_into(&mut attr.name);
        }
    }
}

/// Reads an attr that takes `bytes` bytes in the file; its own size says how much of them counts.
pub(super) fn attr(cursor: &mut Cursor<'_>, bytes: u64, endian: Endian) -> Result<Attr, Fault> {
    let start = cursor.clone();
    let whole = cursor.take(bytes, "an event's description")?;
    let own = match u32_at(whole, 4, endian) {
        // Files of the first perf left the size at zero.
        Some(0) => MIN_ATTR_BYTES,
        Some(own) => u64::from(own),
        None => return Err(start.fault("a size of the event's description")),
    };
    let counted = usize::try_from(own).ok().filter(|_| own >= MIN_ATTR_BYTES).and_then(|own| whole.get(..own));
    let Some(counted) = counted else {
        return Err(start.fault(format!("an event's description whose own size is {MIN_ATTR_BYTES} to {bytes} bytes")));
    };
    let word = |at: usize| u64_at(counted, at, endian).unwrap_or(0);
    // A C bit-field starts at the end that the byte order puts first.
    let flags = if endian == Endian::Big { word(40).reverse_bits() } else { word(40) };
    Ok(Attr {
        kind: u32_at(counted, 0, endian).unwrap_or(0),
        config: word(8),
        sample_period: word(16),
        by_frequency: flags & FLAG_FREQ != 0,
        sample_type: word(24),
        read_format: word(32),
        sample_id_all: flags & FLAG_SAMPLE_ID_ALL != 0,
        clock_id: u32_at(counted, 92, endian).filter(|_| flags & FLAG_USE_CLOCKID != 0).map(|id| id as i32),
        name: String::new(),
    })
}

/// Ids up to the end of the bytes.
pub(super) fn ids(mut cursor: Cursor<'_>, endian: Endian) -> Result<Vec<u64>, Fault> {
    let mut ids = Vec::with_capacity(cursor.rest().len() / 8);
    while !cursor.is_empty() {
        ids.push(cursor.read(u64(endian))?);
    }
    Ok(ids)
}
