//! A record's payload to an [`Event`], by the trace's own event formats.
//!
//! Field offsets and sizes come from the formats alone: kernels and vendors move fields freely
//! (`kmem_cache_alloc` got a `name` in the middle in 6.18).

use rustc_hash::FxHashMap;

use crate::event::{Alloc, AllocCall, Body, Context, Event, Free, FreeCall, MarkId, NameId, PageAlloc};
use crate::eventformat::{EventFormat, Field, FieldKind};
use crate::interner::Interner;
use crate::recording::Accounting;
use usual::Usual;

mod usual;

/// Decodes records of one trace.
#[derive(Debug, Clone)]
pub struct Decoder {
    big_endian: bool,
    /// By event number: index into `plans` plus one, 0 for unknown.
    by_id: Vec<u16>,
    plans: Vec<Plan>,
    pid: Option<Slot>,
    flags: Option<Slot>,
    absent: Vec<String>,
}

/// Where an integer is, from its format.
#[derive(Debug, Clone, Copy)]
struct Slot {
    offset: u32,
    size: u8,
    signed: bool,
}

#[derive(Debug, Clone)]
struct Plan {
    label: String,
    shape: Shape,
    /// The shape is one that is read faster, as its fields are where they usually are.
    usual: Option<Usual>,
}

#[derive(Debug, Clone, Copy)]
enum Shape {
    /// An event that is counted only.
    Other,
    Alloc {
        call: AllocCall,
        call_site: Option<Slot>,
        ptr: Slot,
        req: Slot,
        alloc: Slot,
        gfp: Option<Slot>,
        node: Option<Slot>,
        accounted: Option<Slot>,
        name: Option<TextSlot>,
    },
    Free {
        call: FreeCall,
        call_site: Option<Slot>,
        ptr: Slot,
        name: Option<TextSlot>,
    },
    PageAlloc {
        pfn: Slot,
        order: Slot,
        gfp: Option<Slot>,
        migratetype: Option<Slot>,
    },
    PageFree {
        pfn: Slot,
        order: Slot,
    },
    PageFreeBatched {
        pfn: Slot,
    },
    PagePcpuDrain {
        pfn: Slot,
        order: Slot,
        migratetype: Option<Slot>,
    },
    PageExtFrag {
        pfn: Slot,
        alloc_order: Slot,
        fallback_order: Slot,
        alloc_migratetype: Option<Slot>,
        change_ownership: Option<Slot>,
    },
    RcuFreeBulk {
        count: Slot,
    },
    Mark {
        text: TextSlot,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum TextSlot {
    DataLoc(u32),
    RelLoc(u32),
    Array(u32, u32),
    Rest(u32),
}

/// Events of one piece of a trace, with names numbered within the piece.
#[derive(Debug, Default)]
pub(crate) struct Piece {
    pub(crate) events: Vec<Event>,
    pub(crate) names: Interner,
    pub(crate) marks: Vec<String>,
    pub(crate) counts: Vec<u64>,
    pub(crate) short: Vec<u64>,
    pub(crate) unknown: FxHashMap<u16, u64>,
}

impl Decoder {
    /// Prepares decoding by the formats of one trace. Formats that lack a needed field leave their
    /// events counted but unused; [`Decoder::absent_fields`] names the fields.
    #[must_use]
    pub fn new(formats: &[EventFormat], big_endian: bool) -> Self {
        let mut decoder = Self { big_endian, by_id: Vec::new(), plans: Vec::new(), pid: None, flags: None, absent: Vec::new() };
        for format in formats {
            let shape = shape(format, &mut decoder.absent).unwrap_or(Shape::Other);
            if decoder.pid.is_none() {
                decoder.pid = integer(format, "common_pid");
                decoder.flags = integer(format, "common_flags");
            }
            let id = usize::from(format.id);
            if decoder.by_id.len() <= id {
                decoder.by_id.resize(id + 1, 0);
            }
            let usual = Usual::of(&shape, format).filter(|_| !big_endian);
            decoder.plans.push(Plan { label: format.name.clone(), shape, usual });
            let number = u16::try_from(decoder.plans.len()).unwrap_or(0);
            if let Some(entry) = decoder.by_id.get_mut(id) {
                *entry = number;
            }
        }
        decoder
    }

    /// Fields that a known event's format lacks, as `event.field`.
    #[must_use]
    pub fn absent_fields(&self) -> &[String] {
        &self.absent
    }

    /// Decodes one record into `piece`.
    #[inline]
    pub(crate) fn record(&self, cpu: u16, time_ns: u64, payload: &[u8], piece: &mut Piece) {
        if self.big_endian {
            self.record_of::<true>(cpu, time_ns, payload, piece);
        } else {
            self.record_of::<false>(cpu, time_ns, payload, piece);
        }
    }

    /// The byte order is that of the whole trace: known when this is compiled, no field has to ask.
    #[inline]
    fn record_of<const BIG: bool>(&self, cpu: u16, time_ns: u64, payload: &[u8], piece: &mut Piece) {
        let Some(id) = integer_at::<BIG>(payload, 0, 2) else {
            *piece.unknown.entry(u16::MAX).or_default() += 1;
            return;
        };
        let number = self.by_id.get(id as usize).copied().unwrap_or(0);
        let Some(index) = usize::from(number).checked_sub(1) else {
            *piece.unknown.entry(id as u16).or_default() += 1;
            return;
        };
        let Some(plan) = self.plans.get(index) else { return };
        if piece.counts.len() < self.plans.len() {
            piece.counts.resize(self.plans.len(), 0);
            piece.short.resize(self.plans.len(), 0);
        }
        if let Some(count) = piece.counts.get_mut(index) {
            *count += 1;
        }
        if !BIG
            && let Some(usual) = plan.usual
            && usual.read(cpu, time_ns, payload, piece).is_some()
        {
            return;
        }
        if !matches!(plan.shape, Shape::Other) {
            self.by_fields::<BIG>(&plan.shape, index, (cpu, time_ns), payload, piece);
        }
    }

    /// Reads a record by its format's fields. Apart from what reads the usual ones, which is short enough to stand where records are found.
    #[inline(never)]
    fn by_fields<const BIG: bool>(&self, shape: &Shape, index: usize, (cpu, time_ns): (u16, u64), payload: &[u8], piece: &mut Piece) {
        let Some(body) = body::<BIG>(shape, payload, piece) else {
            if let Some(count) = piece.short.get_mut(index) {
                *count += 1;
            }
            return;
        };
        let pid = self.pid.and_then(|slot| at::<BIG>(payload, slot)).unwrap_or(0) as i32;
        let flags = self.flags.and_then(|slot| at::<BIG>(payload, slot)).unwrap_or(0) as u8;
        piece.events.push(Event { time_ns, body, pid, cpu, context: Context(flags) });
    }

    /// Moves a piece's counts into an account, by event name.
    pub(crate) fn account(&self, piece: &Piece, accounting: &mut Accounting) {
        for (plan, (&count, &short)) in self.plans.iter().zip(piece.counts.iter().zip(&piece.short)) {
            if count > 0 {
                *accounting.events.entry(plan.label.clone()).or_default() += count;
            }
            if short > 0 {
                *accounting.short_records.entry(plan.label.clone()).or_default() += short;
            }
        }
        let mut unknown: Vec<_> = piece.unknown.iter().collect();
        unknown.sort_unstable();
        for (&id, &count) in unknown {
            *accounting.unknown_ids.entry(u32::from(id)).or_default() += count;
        }
    }
}

#[inline]
fn body<const BIG: bool>(shape: &Shape, payload: &[u8], piece: &mut Piece) -> Option<Body> {
    let get = |slot: Slot| at::<BIG>(payload, slot);
    // An optional field is absent as a whole (no slot), never cut off: that is a short record.
    let or = |slot: Option<Slot>, default: u64| slot.map_or(Some(default), get);
    Some(match *shape {
        Shape::Other => return None,
        Shape::Alloc { call, call_site, ptr, req, alloc, gfp, node, accounted, name } => Body::Alloc(Alloc {
            call_site: or(call_site, 0)?,
            ptr: valid_pointer(get(ptr)?, ptr.size),
            bytes_req: get(req)?,
            bytes_alloc: get(alloc)?,
            gfp_flags: or(gfp, 0)? as u32,
            node: or(node, u64::MAX)? as i32,
            name: name_at::<BIG>(payload, name, piece)?,
            call,
            accounted: accounted.map(get).map(|value| value.map(|value| value != 0)).map_or(Some(None), |value| value.map(Some))?,
        }),
        Shape::Free { call, call_site, ptr, name } => {
            Body::Free(Free { call_site: or(call_site, 0)?, ptr: get(ptr)?, name: name_at::<BIG>(payload, name, piece)?, call })
        }
        Shape::PageAlloc { pfn, order, gfp, migratetype } => Body::PageAlloc(PageAlloc {
            pfn: Some(get(pfn)?).filter(|&frame| frame != all_ones(pfn.size) && frame != 0),
            gfp_flags: or(gfp, 0)? as u32,
            migratetype: or(migratetype, u64::MAX)? as i16,
            order: narrow(get(order)?),
        }),
        Shape::PageFree { pfn, order } => Body::PageFree { pfn: get(pfn)?, order: narrow(get(order)?) },
        Shape::PageFreeBatched { pfn } => Body::PageFreeBatched { pfn: get(pfn)? },
        Shape::PagePcpuDrain { pfn, order, migratetype } => {
            Body::PagePcpuDrain { pfn: get(pfn)?, order: narrow(get(order)?), migratetype: or(migratetype, u64::MAX)? as i16 }
        }
        Shape::PageExtFrag { pfn, alloc_order, fallback_order, alloc_migratetype, change_ownership } => Body::PageExtFrag {
            pfn: get(pfn)?,
            alloc_order: narrow(get(alloc_order)?),
            fallback_order: narrow(get(fallback_order)?),
            alloc_migratetype: or(alloc_migratetype, u64::MAX)? as i16,
            change_ownership: or(change_ownership, 0)? != 0,
        },
        Shape::RcuFreeBulk { count } => Body::RcuFreeBulk { count: get(count)? },
        Shape::Mark { text } => {
            let text = String::from_utf8_lossy(text_at::<BIG>(payload, text)?).trim_end().to_owned();
            let id = MarkId(u32::try_from(piece.marks.len()).ok()?);
            piece.marks.push(text);
            Body::Mark(id)
        }
    })
}

/// `Some(None)`: the event has no name field. `None`: the record is too short for it.
#[inline]
fn name_at<const BIG: bool>(payload: &[u8], slot: Option<TextSlot>, piece: &mut Piece) -> Option<Option<NameId>> {
    match slot {
        None => Some(None),
        Some(slot) => text_at::<BIG>(payload, slot).map(|text| piece.names.number(text)),
    }
}

#[inline]
fn at<const BIG: bool>(payload: &[u8], slot: Slot) -> Option<u64> {
    let value = integer_at::<BIG>(payload, slot.offset as usize, slot.size)?;
    if !slot.signed || slot.size == 8 {
        return Some(value);
    }
    let unused = 64 - 8 * u32::from(slot.size);
    Some(((value << unused) as i64 >> unused) as u64)
}

#[inline]
fn integer_at<const BIG: bool>(payload: &[u8], offset: usize, size: u8) -> Option<u64> {
    let rest = payload.get(offset..)?;
    macro_rules! read {
        ($int:ty) => {{
            let raw = *rest.first_chunk::<{ size_of::<$int>() }>()?;
            u64::from(if BIG { <$int>::from_be_bytes(raw) } else { <$int>::from_le_bytes(raw) })
        }};
    }
    Some(match size {
        8 => read!(u64),
        4 => read!(u32),
        2 => read!(u16),
        _ => u64::from(*rest.first()?),
    })
}

/// A text field, cut at its first NUL.
#[inline]
fn text_at<const BIG: bool>(payload: &[u8], slot: TextSlot) -> Option<&[u8]> {
    let located = |at: u32, base: usize| {
        let word = integer_at::<BIG>(payload, at as usize, 4)?;
        let (start, bytes) = ((word & 0xffff) as usize, (word >> 16) as usize);
        payload.get(base.checked_add(start)?..)?.get(..bytes)
    };
    let bytes = match slot {
        TextSlot::DataLoc(at) => located(at, 0)?,
        TextSlot::RelLoc(at) => located(at, at as usize + 4)?,
        TextSlot::Array(at, size) => payload.get(at as usize..)?.get(..size as usize)?,
        TextSlot::Rest(at) => payload.get(at as usize..)?,
    };
    Some(until_nul(bytes))
}

/// What is in front of the first NUL. Names are short: by words, without a call.
#[inline]
fn until_nul(bytes: &[u8]) -> &[u8] {
    const ONES: u64 = u64::MAX / 0xff;
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        // The lowest bit of these is at the first NUL; higher ones may be wrong.
        let nuls = word.wrapping_sub(ONES) & !word & ONES << 7;
        if nuls != 0 {
            return bytes.get(..number * 8 + nuls.trailing_zeros() as usize / 8).unwrap_or(bytes);
        }
    }
    let in_rest = rest.iter().take_while(|&&byte| byte != 0).count();
    bytes.get(..bytes.len() - rest.len() + in_rest).unwrap_or(bytes)
}

/// An order; what does not fit is as impossible as 255.
fn narrow(order: u64) -> u8 {
    u8::try_from(order).unwrap_or(u8::MAX)
}

/// Error pointers (-4095..-1, in the kernel's own width) stand for a failed allocation, like NULL.
fn valid_pointer(ptr: u64, bytes: u8) -> u64 {
    if ptr > all_ones(bytes) - 4095 { 0 } else { ptr }
}

/// The number -1 in an unsigned integer of this size.
fn all_ones(bytes: u8) -> u64 {
    if bytes == 8 { u64::MAX } else { u64::from(u32::MAX) }
}

fn integer(format: &EventFormat, name: &str) -> Option<Slot> {
    format.field(name).and_then(integer_slot)
}

fn integer_slot(field: &Field) -> Option<Slot> {
    let size = u8::try_from(field.size).ok().filter(|size| matches!(size, 1 | 2 | 4 | 8))?;
    (field.kind == FieldKind::Integer).then_some(Slot { offset: field.offset, size, signed: field.signed })
}

fn text(format: &EventFormat, name: &str) -> Option<TextSlot> {
    format.field(name).and_then(text_slot)
}

fn text_slot(field: &Field) -> Option<TextSlot> {
    match field.kind {
        FieldKind::DataLoc => Some(TextSlot::DataLoc(field.offset)),
        FieldKind::RelLoc => Some(TextSlot::RelLoc(field.offset)),
        FieldKind::Array => Some(TextSlot::Array(field.offset, field.size)),
        FieldKind::Rest => Some(TextSlot::Rest(field.offset)),
        FieldKind::Integer => None,
    }
}

/// How to read an event, or `None` if it is of no use here or lacks a needed field.
fn shape(format: &EventFormat, absent: &mut Vec<String>) -> Option<Shape> {
    let mut need = |name: &str| {
        let slot = integer(format, name);
        if slot.is_none() {
            absent.push(format!("{}.{name}", format.name));
        }
        slot
    };
    let maybe = |name: &str| integer(format, name);
    // Up to 4.0 page events carried a `struct page *` instead of a frame number: an identity only.
    let frame = if format.field("pfn").is_some() { "pfn" } else { "page" };
    Some(match (format.system.as_str(), format.name.as_str()) {
        ("kmem", name @ ("kmalloc" | "kmalloc_node" | "kmem_cache_alloc" | "kmem_cache_alloc_node")) => Shape::Alloc {
            call: if name.starts_with("kmalloc") { AllocCall::Kmalloc } else { AllocCall::KmemCacheAlloc },
            call_site: need("call_site"),
            ptr: need("ptr")?,
            req: need("bytes_req")?,
            alloc: need("bytes_alloc")?,
            gfp: need("gfp_flags"),
            node: maybe("node"),
            accounted: maybe("accounted"),
            name: text(format, "name"),
        },
        ("kmem", name @ ("kfree" | "kmem_cache_free")) => Shape::Free {
            call: if name == "kfree" { FreeCall::Kfree } else { FreeCall::KmemCacheFree },
            call_site: need("call_site"),
            ptr: need("ptr")?,
            name: text(format, "name"),
        },
        ("kmem", "mm_page_alloc") => {
            Shape::PageAlloc { pfn: need(frame)?, order: need("order")?, gfp: maybe("gfp_flags"), migratetype: maybe("migratetype") }
        }
        ("kmem", "mm_page_free" | "mm_page_free_direct") => Shape::PageFree { pfn: need(frame)?, order: need("order")? },
        ("kmem", "mm_page_free_batched" | "mm_pagevec_free") => Shape::PageFreeBatched { pfn: need(frame)? },
        ("kmem", "mm_page_pcpu_drain") => {
            Shape::PagePcpuDrain { pfn: need(frame)?, order: need("order")?, migratetype: maybe("migratetype") }
        }
        ("kmem", "mm_page_alloc_extfrag") => Shape::PageExtFrag {
            pfn: need(frame)?,
            alloc_order: need("alloc_order")?,
            fallback_order: need("fallback_order")?,
            alloc_migratetype: maybe("alloc_migratetype"),
            change_ownership: maybe("change_ownership"),
        },
        ("rcu", "rcu_invoke_kfree_bulk_callback") => Shape::RcuFreeBulk { count: need("nr_records")? },
        ("ftrace", "print") => Shape::Mark { text: text(format, "buf")? },
        // perf does not record trace_marker; a program can write the same text to an event of its own.
        ("user_events", _) => Shape::Mark { text: format.fields.iter().find_map(text_slot)? },
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::eventformat;

    fn format(name: &str, id: u16, fields: &[(&str, u32, u32)]) -> EventFormat {
        let mut text = format!("name: {name}\nID: {id}\nformat:\n");
        for (declaration, offset, size) in fields {
            text +=
                &format!("\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{};\n", u8::from(declaration.starts_with("int")));
        }
        eventformat::parse("kmem", text.as_bytes()).unwrap()
    }

    const COMMON: [(&str, u32, u32); 3] =
        [("unsigned short common_type", 0, 2), ("unsigned char common_flags", 2, 1), ("int common_pid", 4, 4)];

    /// The 6.18 layout: `name` sits between `ptr` and `bytes_req` (kmem-events.md section 2).
    #[test]
    fn alloc_of_6_18_has_its_name_in_the_middle() {
        let own = [
            ("unsigned long call_site", 8, 8),
            ("const void * ptr", 16, 8),
            ("__data_loc char[] name", 24, 4),
            ("size_t bytes_req", 32, 8),
            ("size_t bytes_alloc", 40, 8),
            ("unsigned long gfp_flags", 48, 8),
            ("int node", 56, 4),
            ("bool accounted", 60, 1),
        ];
        let decoder = Decoder::new(&[format("kmem_cache_alloc", 7, &[&COMMON[..], &own].concat())], false);
        let mut payload = vec![0_u8; 64];
        payload[0] = 7;
        payload[2] = 0x10;
        payload[4..8].copy_from_slice(&1234_i32.to_le_bytes());
        payload[8..16].copy_from_slice(&0xffff_ffff_8100_0000_u64.to_le_bytes());
        payload[16..24].copy_from_slice(&0xffff_8880_0000_1000_u64.to_le_bytes());
        payload[24..28].copy_from_slice(&(64_u32 | 7 << 16).to_le_bytes());
        payload[32] = 184;
        payload[40] = 192;
        payload[48..50].copy_from_slice(&0xcc0_u16.to_le_bytes());
        payload[56..60].copy_from_slice(&(-1_i32).to_le_bytes());
        payload[60] = 1;
        payload.extend(b"dentry\0\0");
        let mut piece = Piece::default();
        decoder.record(3, 55, &payload, &mut piece);
        let alloc = Alloc {
            call_site: 0xffff_ffff_8100_0000,
            ptr: 0xffff_8880_0000_1000,
            bytes_req: 184,
            bytes_alloc: 192,
            gfp_flags: 0xcc0,
            node: -1,
            name: Some(NameId(0)),
            call: AllocCall::KmemCacheAlloc,
            accounted: Some(true),
        };
        assert_eq!(piece.events, [Event { time_ns: 55, body: Body::Alloc(alloc), pid: 1234, cpu: 3, context: Context(0x10) }]);
        assert_eq!(piece.names.names, ["dentry"]);
    }

    #[test]
    fn short_unknown_and_incomplete_records_are_counted() {
        let whole = format("kfree", 9, &[&COMMON[..], &[("unsigned long call_site", 8, 8), ("const void * ptr", 16, 8)]].concat());
        let without_ptr = format("kmem_cache_free", 10, &[&COMMON[..], &[("unsigned long call_site", 8, 8)]].concat());
        let decoder = Decoder::new(&[whole, without_ptr], false);
        assert_eq!(decoder.absent_fields(), ["kmem_cache_free.ptr"]);
        let mut piece = Piece::default();
        let mut record = vec![9, 0, 0, 0, 0, 0, 0, 0];
        decoder.record(0, 1, &record, &mut piece);
        record[0] = 10;
        decoder.record(0, 2, &record, &mut piece);
        record[0] = 11;
        decoder.record(0, 3, &record, &mut piece);
        let mut accounting = Accounting::default();
        decoder.account(&piece, &mut accounting);
        assert!(piece.events.is_empty());
        assert_eq!(accounting.short_records, [("kfree".to_owned(), 1)].into());
        assert_eq!(accounting.events, [("kfree".to_owned(), 1), ("kmem_cache_free".to_owned(), 1)].into());
        assert_eq!(accounting.unknown_ids, [(11, 1)].into());
    }

    #[test]
    fn big_endian_32_bit_kfree() {
        let kfree = format("kfree", 5, &[&COMMON[..], &[("unsigned long call_site", 8, 4), ("const void * ptr", 12, 4)]].concat());
        let decoder = Decoder::new(&[kfree], true);
        let mut piece = Piece::default();
        decoder.record(0, 1, &[0, 5, 0, 0, 0, 0, 0, 42, 0xc0, 0, 1, 2, 0xc1, 0, 0, 16], &mut piece);
        let free = Free { call_site: 0xc000_0102, ptr: 0xc100_0010, name: None, call: FreeCall::Kfree };
        assert_eq!(piece.events, [Event { time_ns: 1, body: Body::Free(free), pid: 42, cpu: 0, context: Context(0) }]);
    }

    /// Formats of kernels since 6.1, whose events are read by constant offsets.
    fn usual_formats() -> Vec<EventFormat> {
        let sizes = [("unsigned long call_site", 8, 8), ("const void * ptr", 16, 8)];
        let alloc = [("size_t bytes_req", 24, 8), ("size_t bytes_alloc", 32, 8), ("unsigned long gfp_flags", 40, 8), ("int node", 48, 4)];
        let flags = ("unsigned char common_flags", 2, 1);
        let common = [COMMON[0], flags, COMMON[2]];
        let page = [("unsigned long pfn", 8, 8), ("unsigned int order", 16, 4)];
        vec![
            format("kmalloc", 1, &[&common[..], &sizes, &alloc].concat()),
            format("kmem_cache_alloc", 2, &[&common[..], &sizes, &alloc, &[("bool accounted", 52, 1)]].concat()),
            format("kfree", 3, &[&common[..], &sizes].concat()),
            format("kmem_cache_free", 4, &[&common[..], &sizes, &[("__data_loc char[] name", 24, 4)]].concat()),
            format("mm_page_alloc", 5, &[&common[..], &page, &[("unsigned long gfp_flags", 24, 8), ("int migratetype", 32, 4)]].concat()),
            format("mm_page_free", 6, &[&common[..], &page].concat()),
        ]
    }

    proptest! {
        #[test]
        fn a_text_ends_before_its_first_nul(bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(1), Just(0x80), any::<u8>()], 0..40)) {
            let expected = bytes.split(|&byte| byte == 0).next().unwrap();
            prop_assert_eq!(until_nul(&bytes), expected);
        }

        /// Whatever is in a record, and however short it is, constant offsets read what the format's fields say.
        #[test]
        fn usual_records_read_as_by_their_fields(
            id in 1_u8..7, mut payload in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0), Just(0xff)], 2..72), name in proptest::option::of(0_u8..40)
        ) {
            (payload[0], payload[1]) = (id, 0);
            if let (Some(name), Some(place)) = (name, payload.get_mut(24..28)) {
                place.copy_from_slice(&[28, 0, name, 0]);
            }
            let fast = Decoder::new(&usual_formats(), false);
            prop_assert!(fast.plans.iter().all(|plan| plan.usual.is_some()));
            let mut slow = fast.clone();
            slow.plans.iter_mut().for_each(|plan| plan.usual = None);
            let [expected, found] = [&slow, &fast].map(|decoder| {
                let mut piece = Piece::default();
                decoder.record(3, 55, &payload, &mut piece);
                piece
            });
            prop_assert_eq!(&found.events, &expected.events);
            prop_assert_eq!((&found.names.names, &found.counts, &found.short), (&expected.names.names, &expected.counts, &expected.short));
        }
    }
}
