//! The kernel's ring-buffer sub-buffers: a header and variable-length, delta-timed records.
//!
//! Source of the layout: `include/linux/ring_buffer.h` and `kernel/trace/ring_buffer.c`, and the
//! `header_page` text that comes with every recording.

/// How sub-buffers of one recording are laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of a kernel `long`: 4 or 8. The size of the commit word.
    pub long_bytes: usize,
    /// True if numbers are stored most significant byte first.
    pub big_endian: bool,
}

impl Layout {
    /// Bytes before the first record.
    #[must_use]
    pub fn header_bytes(self) -> usize {
        8 + self.long_bytes
    }
}

/// What a sub-buffer said besides its records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Outcome {
    /// Time stamp in the header.
    pub base_time: u64,
    /// Set if events were lost before this sub-buffer; the number, if stored.
    pub lost: Option<Option<u64>>,
    /// Why the rest of the sub-buffer could not be read, and at which byte of it.
    pub damage: Option<(usize, &'static str)>,
}

/// True if the number of bytes that a sub-buffer says to hold fits into it, read in this layout.
pub(crate) fn commit_fits(page: &[u8], layout: Layout) -> bool {
    let long = if layout.big_endian { long::<true> } else { long::<false> };
    let used = long(page, 8, layout.long_bytes).map(|commit| commit & !(LOST | LOST_STORED));
    used.is_some_and(|used| used <= page.len().saturating_sub(layout.header_bytes()) as u64)
}

/// Bits of the commit word (`RB_MISSED_EVENTS`, `RB_MISSED_STORED`).
const USED_MASK: u64 = 0x07ff_ffff;
const LOST: u64 = 1 << 31;
const LOST_STORED: u64 = 1 << 30;

/// Bits of a time stamp that an absolute time record cannot hold.
const TOP_BITS: u64 = 0xf8 << 56;

/// Calls `visit` with the time and payload of every data record of one sub-buffer.
///
/// Damage costs the rest of the sub-buffer: records already visited stay valid.
pub fn visit_records(page: &[u8], layout: Layout, visit: impl FnMut(u64, &[u8])) -> Outcome {
    if layout.big_endian { walk::<true>(page, layout.long_bytes, visit) } else { walk::<false>(page, layout.long_bytes, visit) }
}

fn word<const BIG: bool>(bytes: &[u8], at: usize) -> Option<u32> {
    let raw = *bytes.get(at..)?.first_chunk::<4>()?;
    Some(if BIG { u32::from_be_bytes(raw) } else { u32::from_le_bytes(raw) })
}

fn long<const BIG: bool>(bytes: &[u8], at: usize, long_bytes: usize) -> Option<u64> {
    if long_bytes == 4 {
        return word::<BIG>(bytes, at).map(u64::from);
    }
    let raw = *bytes.get(at..)?.first_chunk::<8>()?;
    Some(if BIG { u64::from_be_bytes(raw) } else { u64::from_le_bytes(raw) })
}

fn walk<const BIG: bool>(page: &[u8], long_bytes: usize, mut visit: impl FnMut(u64, &[u8])) -> Outcome {
    let header_bytes = 8 + long_bytes;
    let (Some(base_time), Some(commit)) = (long::<BIG>(page, 0, 8), long::<BIG>(page, 8, long_bytes)) else {
        return Outcome { damage: Some((0, "a sub-buffer header")), ..Outcome::default() };
    };
    let mut outcome = Outcome { base_time, ..Outcome::default() };
    let used_bytes = usize::try_from(commit & USED_MASK).unwrap_or(usize::MAX);
    let Some(records) = page.get(header_bytes..).and_then(|data| data.get(..used_bytes)) else {
        outcome.damage = Some((8, "a commit size within the sub-buffer"));
        return outcome;
    };
    if commit & LOST != 0 {
        let stored = (commit & LOST_STORED != 0).then(|| long::<BIG>(page, header_bytes + used_bytes, long_bytes)).flatten();
        outcome.lost = Some(stored);
    }
    let mut at = 0;
    let mut time = base_time;
    while at < records.len() {
        match step::<BIG>(records, at, time) {
            Ok(Step { next, time: now, payload }) => {
                time = now;
                if let Some(payload) = payload {
                    visit(time, payload);
                }
                at = next;
            }
            Err(Stop::End) => break,
            Err(Stop::Damaged(reason)) => {
                outcome.damage = Some((header_bytes + at, reason));
                break;
            }
        }
    }
    outcome
}

struct Step<'a> {
    next: usize,
    time: u64,
    payload: Option<&'a [u8]>,
}

enum Stop {
    /// Nothing more in this sub-buffer.
    End,
    Damaged(&'static str),
}

/// Reads the record at `at`, given the time of the one before.
#[inline]
fn step<const BIG: bool>(records: &[u8], at: usize, time: u64) -> Result<Step<'_>, Stop> {
    let header = word::<BIG>(records, at).ok_or(Stop::Damaged("a whole record header"))?;
    let (type_len, delta) = if BIG { (header >> 27, header & 0x07ff_ffff) } else { (header & 31, header >> 5) };
    let delta = u64::from(delta);
    let second = || word::<BIG>(records, at + 4).ok_or(Stop::Damaged("the second word of a record"));
    let plain = |payload_at: usize, payload_bytes: usize, next: usize| {
        let payload = records.get(payload_at..).and_then(|rest| rest.get(..payload_bytes));
        let payload = payload.ok_or(Stop::Damaged("a record that ends within the sub-buffer"))?;
        Ok(Step { next, time: time.wrapping_add(delta), payload: Some(payload) })
    };
    match type_len {
        1..=28 => {
            let bytes = 4 * type_len as usize;
            plain(at + 4, bytes, at + 4 + bytes)
        }
        0 => match second()? as usize {
            // Some 4.19-based Android kernels leave a zero-filled tail inside the committed size.
            0 if delta == 0 => Err(Stop::Damaged("a record length (zero-filled tail)")),
            bytes if bytes < 4 => Err(Stop::Damaged("a record length of at least 4")),
            bytes => plain(at + 8, bytes - 4, at.saturating_add(4).saturating_add(bytes.next_multiple_of(4))),
        },
        29 if delta == 0 => Err(Stop::End),
        29 => {
            // A discarded event still moves the clock.
            let bytes = second()? as usize;
            let next = at.saturating_add(4).saturating_add(bytes);
            if bytes < 4 || next > records.len() {
                return Err(Stop::Damaged("padding that ends within the sub-buffer"));
            }
            Ok(Step { next, time: time.wrapping_add(delta), payload: None })
        }
        30 => {
            let high = u64::from(second()?);
            Ok(Step { next: at + 8, time: time.wrapping_add((high << 27) + delta), payload: None })
        }
        _ => {
            let mut absolute = (u64::from(second()?) << 27) + delta;
            if time & TOP_BITS != 0 {
                absolute |= time & TOP_BITS;
                if absolute < time {
                    absolute = absolute.wrapping_add(1 << 59);
                }
            }
            Ok(Step { next: at + 8, time: absolute, payload: None })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // The worked example of trace-dat.md section 13: time, length and lost count worked out by hand there.
    const LITTLE: &str = "00ca9a3b000000006c0000c000000000 0600000091020001d2040000f5f02281 ffffffff2074d2028188ffffbe000000 02000000e00000001c00000091020001 d2040000f5f02281ffffffff2074d202 8188ffff7d0000000800000000000000 4601000091020001d2040000f5f02281 ffffffff2074d2028188ffff2a000000 00000000";
    const BIG: &str = "000000003b9aca0000000000c000006c 3000000002910001000004d2ffffffff 8122f0f5ffff888102d27420f0000005 00000002000000070000001c02910001 000004d2ffffffff8122f0f5ffff8881 02d27420e80000030000000800000000 3000000a02910001000004d2ffffffff 8122f0f5ffff888102d2742000000000 0000002a";

    fn bytes(hex: &str) -> Vec<u8> {
        let digits: Vec<u8> = hex.bytes().filter(u8::is_ascii_hexdigit).collect();
        digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
    }

    fn times(page: &[u8], layout: Layout) -> (Vec<(u64, usize)>, Outcome) {
        let mut seen = Vec::new();
        let outcome = visit_records(page, layout, |time, payload| seen.push((time, payload.len())));
        (seen, outcome)
    }

    #[test]
    fn worked_example_in_both_byte_orders() {
        for (hex, big_endian) in [(LITTLE, false), (BIG, true)] {
            let (seen, outcome) = times(&bytes(hex), Layout { long_bytes: 8, big_endian });
            assert_eq!(seen, [(1_000_000_000, 24), (1_268_435_468, 24), (1_268_435_481, 24)]);
            assert_eq!(outcome, Outcome { base_time: 1_000_000_000, lost: Some(Some(42)), damage: None });
        }
    }

    #[test]
    fn a_record_past_the_end_costs_only_what_follows() {
        let mut page = bytes(LITTLE);
        page[8] = 0x60; // commit 96: the last record, at 80, would end at 108
        let (seen, outcome) = times(&page, Layout { long_bytes: 8, big_endian: false });
        assert_eq!(seen.len(), 2);
        assert_eq!(outcome.damage, Some((16 + 80, "a record that ends within the sub-buffer")));
    }

    #[test]
    fn absolute_time_keeps_the_top_bits_of_the_time_before() {
        let base: u64 = 0x0800_0000_0000_0010;
        let mut page = base.to_le_bytes().to_vec();
        page.extend(16_u64.to_le_bytes());
        page.extend((31_u32 | (5 << 5)).to_le_bytes()); // absolute time 5, then the top bits, then a carry
        page.extend(0_u32.to_le_bytes());
        page.extend(1_u32.to_le_bytes()); // a record of 4 bytes, delta 0
        page.extend([0; 4]);
        let (seen, _) = times(&page, Layout { long_bytes: 8, big_endian: false });
        assert_eq!(seen, [(0x0800_0000_0000_0005 + (1 << 59), 4)]);
    }
}
