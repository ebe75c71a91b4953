//! The frame of a record, and the kinds of records.

use crate::parse::Endian;

/// Bytes of a record's header: `u32` kind, `u16` misc, `u16` size with the header.
pub(super) const HEADER_BYTES: usize = 8;

/// Kinds of records (`enum perf_event_type`, `enum perf_user_event_type`) that are told apart here.
pub(super) mod kind {
    pub(in super::super) const LOST: u32 = 2;
    pub(in super::super) const COMM: u32 = 3;
    pub(in super::super) const THROTTLE: u32 = 5;
    pub(in super::super) const SAMPLE: u32 = 9;
    pub(in super::super) const LOST_SAMPLES: u32 = 13;
    /// The last one of the kernel that is known.
    pub(in super::super) const LAST_KERNEL: u32 = 22;
    pub(in super::super) const HEADER_ATTR: u32 = 64;
    pub(in super::super) const TRACING_DATA: u32 = 66;
    pub(in super::super) const FINISHED_ROUND: u32 = 68;
    pub(in super::super) const AUXTRACE: u32 = 71;
    pub(in super::super) const EVENT_UPDATE: u32 = 78;
    pub(in super::super) const HEADER_FEATURE: u32 = 80;
    pub(in super::super) const COMPRESSED: u32 = 81;
    pub(in super::super) const COMPRESSED2: u32 = 83;
    /// The last one of perf that is known.
    pub(in super::super) const LAST_PERF: u32 = 86;
}

/// True for kinds that are known, be they of use here or not.
pub(super) fn is_known(kind: u32) -> bool {
    (1..=kind::LAST_KERNEL).contains(&kind) || (kind::HEADER_ATTR..=kind::LAST_PERF).contains(&kind)
}

/// One record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Record<'a> {
    pub(super) kind: u32,
    pub(super) misc: u16,
    /// What follows the header.
    pub(super) body: &'a [u8],
}

impl Record<'_> {
    /// Bytes of the record with its header.
    pub(super) fn bytes(&self) -> usize {
        HEADER_BYTES + self.body.len()
    }

    /// Bytes that follow the record without being counted in its size; `None` if it is too short to tell.
    pub(super) fn trailing_bytes(&self, endian: Endian) -> Option<u64> {
        match self.kind {
            kind::AUXTRACE => u64_at(self.body, 0, endian),
            // Padded to 8 bytes; current perf counts the padding, old perf did not.
            kind::TRACING_DATA => u32_at(self.body, 0, endian).map(|bytes| u64::from(bytes).next_multiple_of(8)),
            _ => Some(0),
        }
    }
}

/// Why there is no record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoRecord {
    /// There are fewer bytes than its header, or its size, wants.
    Partial,
    /// Its size is smaller than its header: nothing tells where the next one is.
    TooSmall,
}

impl NoRecord {
    pub(super) fn expected(self) -> &'static str {
        match self {
            Self::Partial => "a record that ends within the data",
            Self::TooSmall => "a record size of at least 8",
        }
    }
}

/// The record at a position.
#[inline]
pub(super) fn record_at(bytes: &[u8], at: usize, endian: Endian) -> Result<Record<'_>, NoRecord> {
    let rest = bytes.get(at..).ok_or(NoRecord::Partial)?;
    let (Some(kind), Some(misc), Some(size)) = (u32_at(rest, 0, endian), u16_at(rest, 4, endian), u16_at(rest, 6, endian)) else {
        return Err(NoRecord::Partial);
    };
    let size = usize::from(size);
    if size < HEADER_BYTES {
        return Err(NoRecord::TooSmall);
    }
    let body = rest.get(HEADER_BYTES..size).ok_or(NoRecord::Partial)?;
    Ok(Record { kind, misc, body })
}

/// The bytes of a record that ends a round.
pub(super) fn finished_round(endian: Endian) -> [u8; HEADER_BYTES] {
    match endian {
        Endian::Little => [68, 0, 0, 0, 0, 0, 8, 0],
        Endian::Big => [0, 0, 0, 68, 0, 0, 0, 8],
    }
}

#[inline]
pub(super) fn u16_at(bytes: &[u8], at: usize, endian: Endian) -> Option<u16> {
    let raw = *bytes.get(at..)?.first_chunk()?;
    Some(if endian == Endian::Big { u16::from_be_bytes(raw) } else { u16::from_le_bytes(raw) })
}

#[inline]
pub(super) fn u32_at(bytes: &[u8], at: usize, endian: Endian) -> Option<u32> {
    let raw = *bytes.get(at..)?.first_chunk()?;
    Some(if endian == Endian::Big { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
}

#[inline]
pub(super) fn u64_at(bytes: &[u8], at: usize, endian: Endian) -> Option<u64> {
    let raw = *bytes.get(at..)?.first_chunk()?;
    Some(if endian == Endian::Big { u64::from_be_bytes(raw) } else { u64::from_le_bytes(raw) })
}
