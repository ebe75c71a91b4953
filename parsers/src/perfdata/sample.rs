//! Where the fields of a sample are, by its event's `sample_type`.
//!
//! The order of fields is fixed; each is there if its bit is set. Up to the period all have 8 bytes, so
//! their places are known beforehand.

use super::attr::Attr;
use super::records::{u32_at, u64_at};
use crate::parse::Endian;

/// Bits of `sample_type` (`enum perf_event_sample_format`).
mod bit {
    pub(super) const IP: u64 = 1 << 0;
    pub(super) const TID: u64 = 1 << 1;
    pub(super) const TIME: u64 = 1 << 2;
    pub(super) const ADDR: u64 = 1 << 3;
    pub(super) const READ: u64 = 1 << 4;
    pub(super) const CALLCHAIN: u64 = 1 << 5;
    pub(super) const ID: u64 = 1 << 6;
    pub(super) const CPU: u64 = 1 << 7;
    pub(super) const PERIOD: u64 = 1 << 8;
    pub(super) const STREAM_ID: u64 = 1 << 9;
    pub(super) const RAW: u64 = 1 << 10;
    pub(super) const IDENTIFIER: u64 = 1 << 16;
}

/// Bits of `read_format`.
mod read_bit {
    pub(super) const ENABLED: u64 = 1 << 0;
    pub(super) const RUNNING: u64 = 1 << 1;
    pub(super) const ID: u64 = 1 << 2;
    pub(super) const GROUP: u64 = 1 << 3;
    pub(super) const LOST: u64 = 1 << 4;
}

/// Fields of 8 bytes at the start of a sample, in their order.
const LEADING: [u64; 9] = [bit::IDENTIFIER, bit::IP, bit::TID, bit::TIME, bit::ADDR, bit::ID, bit::STREAM_ID, bit::CPU, bit::PERIOD];
/// Fields of 8 bytes at the end of other records, in their order.
const TRAILING: [u64; 6] = [bit::TID, bit::TIME, bit::ID, bit::STREAM_ID, bit::CPU, bit::IDENTIFIER];

/// Places in the bodies of an event's samples, and at the end of other records.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Layout {
    /// Of the id that tells the event.
    pub(super) id: Option<usize>,
    pub(super) time: Option<usize>,
    pub(super) cpu: Option<usize>,
    /// Where fields of varying size begin.
    varying: usize,
    read_format: Option<u64>,
    has_callchain: bool,
    pub(super) has_raw: bool,
    pub(super) trailer: Option<Trailer>,
}

/// Places before the end of a record that is not a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Trailer {
    /// Of the id that tells the event.
    pub(super) id: Option<usize>,
    time: Option<usize>,
    cpu: Option<usize>,
}

impl Layout {
    pub(super) fn new(attr: &Attr) -> Self {
        let has = |bit: u64| attr.sample_type & bit != 0;
        let place =
            |wanted: u64| has(wanted).then(|| 8 * LEADING.iter().take_while(|&&bit| bit != wanted).filter(|&&bit| has(bit)).count());
        let from_end =
            |wanted: u64| has(wanted).then(|| 8 * TRAILING.iter().skip_while(|&&bit| bit != wanted).filter(|&&bit| has(bit)).count());
        let trailer =
            Trailer { id: from_end(bit::IDENTIFIER).or_else(|| from_end(bit::ID)), time: from_end(bit::TIME), cpu: from_end(bit::CPU) };
        Self {
            id: place(bit::IDENTIFIER).or_else(|| place(bit::ID)),
            time: place(bit::TIME),
            cpu: place(bit::CPU),
            varying: 8 * LEADING.iter().filter(|&&bit| has(bit)).count(),
            read_format: has(bit::READ).then_some(attr.read_format),
            has_callchain: has(bit::CALLCHAIN),
            has_raw: has(bit::RAW),
            trailer: attr.sample_id_all.then_some(trailer),
        }
    }

    /// The raw data of a sample; `None` if the sample is too short for it.
    #[inline]
    pub(super) fn raw<'a>(&self, body: &'a [u8], endian: Endian) -> Option<&'a [u8]> {
        let mut at = self.varying;
        if let Some(format) = self.read_format {
            at = at.checked_add(read_bytes(body, at, format, endian)?)?;
        }
        if self.has_callchain {
            let entries = usize::try_from(u64_at(body, at, endian)?).ok()?;
            at = at.checked_add(8)?.checked_add(entries.checked_mul(8)?)?;
        }
        let bytes = u32_at(body, at, endian)? as usize;
        body.get(at.checked_add(4)?..)?.get(..bytes)
    }
}

/// Bytes of the counter values in a sample.
fn read_bytes(body: &[u8], at: usize, format: u64, endian: Endian) -> Option<usize> {
    let has = |bit: u64| usize::from(format & bit != 0);
    let times = has(read_bit::ENABLED) + has(read_bit::RUNNING);
    let value = 1 + has(read_bit::ID) + has(read_bit::LOST);
    let words = if has(read_bit::GROUP) == 0 {
        times + value
    } else {
        let values = usize::try_from(u64_at(body, at, endian)?).ok()?;
        values.checked_mul(value)?.checked_add(1 + times)?
    };
    words.checked_mul(8)
}

impl Trailer {
    /// Time and CPU at the end of a record's body, as far as they are there.
    pub(super) fn read(&self, body: &[u8], endian: Endian) -> (Option<u64>, Option<u32>) {
        let word = |from_end: Option<usize>| body.len().checked_sub(from_end?);
        (word(self.time).and_then(|at| u64_at(body, at, endian)), word(self.cpu).and_then(|at| u32_at(body, at, endian)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn attr(sample_type: u64, read_format: u64) -> Attr {
        Attr { sample_type, read_format, sample_id_all: true, ..Attr::default() }
    }

    /// What `perf record -e kmem:… -a -R` sets: IP, TID, TIME, CPU, PERIOD, RAW, IDENTIFIER.
    #[test]
    fn places_of_perfs_own_choice() {
        let layout = Layout::new(&attr(0x1_0587, 20));
        assert_eq!((layout.id, layout.time, layout.cpu, layout.varying), (Some(0), Some(24), Some(32), 48));
        assert_eq!(layout.trailer, Some(Trailer { id: Some(8), time: Some(24), cpu: Some(16) }));
    }

    #[test]
    fn the_id_field_stands_in_for_the_identifier() {
        let layout = Layout::new(&attr(bit::IP | bit::TIME | bit::ADDR | bit::ID | bit::STREAM_ID | bit::CPU, 0));
        assert_eq!((layout.id, layout.time, layout.cpu), (Some(24), Some(8), Some(40)));
        assert_eq!(layout.trailer, Some(Trailer { id: Some(24), time: Some(32), cpu: Some(8) }));
    }

    fn words(words: &[u64]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_le_bytes()).collect()
    }

    #[test]
    fn counter_values_and_call_chains_before_the_raw_data() {
        let raw = [&4_u32.to_le_bytes()[..], b"data"].concat();
        // A group of two values with times, id and lost count; then a chain of three.
        let group = Layout::new(&attr(bit::TIME | bit::READ | bit::CALLCHAIN | bit::RAW, 0x1f));
        let mut body = words(&[5, 2, 10, 11, 1, 2, 3, 1, 2, 3, 3, 7, 7, 7]);
        body.extend(&raw);
        assert_eq!(group.raw(&body, Endian::Little), Some(&b"data"[..]));
        let single = Layout::new(&attr(bit::READ | bit::RAW, 0x14));
        assert_eq!(single.raw(&[words(&[1, 2, 3]), raw].concat(), Endian::Little), Some(&b"data"[..]));
        // Numbers beyond the sample.
        for lie in [u64::MAX, u64::MAX / 8, 1 << 40, 4] {
            body[8..16].copy_from_slice(&lie.to_le_bytes());
            assert_eq!(group.raw(&body, Endian::Little), None);
        }
    }
}
