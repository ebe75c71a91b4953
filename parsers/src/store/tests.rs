//! Every kind of event there and back, and files that are none.

use std::path::Path;

use super::metadata::{FACTS_KEY, VERSION_KEY};
use super::*;
use crate::error::TraceError;
use crate::event::{Alloc, AllocCall, Body, Context, Event, Free, FreeCall, MarkId, NameId, PageAlloc};
use crate::mapped::MappedFile;
use crate::recording::{Accounting, CpuStream, Damage, Info, Loss, Pointers, Recording};
use crate::symbols::{NoSymbols, Symbols};

const KALLSYMS: &[u8] = b"ffffffff81000000 T _text\nffffffff81000100 t grow\nffffffff81000200 D table\nffffffffc0000000 t late\t[ext4]\n";

/// Every kind of event, with its smallest and its largest values.
fn bodies() -> Vec<Body> {
    let alloc = Alloc {
        call_site: 0xffff_ffff_8100_0123,
        ptr: 0xffff_8880_0123_4567,
        bytes_req: 1,
        bytes_alloc: 8,
        gfp_flags: 0xcc0,
        node: -1,
        name: None,
        call: AllocCall::Kmalloc,
        accounted: None,
    };
    let free = Free { call_site: 2, ptr: 16, name: None, call: FreeCall::Kfree };
    let page = PageAlloc { pfn: Some(u64::MAX), gfp_flags: u32::MAX, migratetype: i16::MAX, order: u8::MAX };
    vec![
        Body::Alloc(alloc),
        Body::Alloc(Alloc { call: AllocCall::KmemCacheAlloc, name: Some(NameId(1)), accounted: Some(true), node: i32::MAX, ..alloc }),
        Body::Alloc(Alloc { call: AllocCall::KmemCacheAlloc, name: Some(NameId(0)), accounted: Some(false), node: i32::MIN, ..alloc }),
        Body::Alloc(Alloc { call_site: u64::MAX, ptr: u64::MAX, bytes_req: u64::MAX, bytes_alloc: u64::MAX, gfp_flags: u32::MAX, ..alloc }),
        Body::Alloc(Alloc { call_site: 0, ptr: 0, bytes_req: 0, bytes_alloc: 0, gfp_flags: 0, node: 0, ..alloc }),
        Body::Free(free),
        Body::Free(Free { call_site: 1, ptr: u64::MAX, name: Some(NameId(1)), call: FreeCall::KmemCacheFree }),
        Body::PageAlloc(page),
        Body::PageAlloc(PageAlloc { pfn: None, gfp_flags: 0, migratetype: i16::MIN, order: 0 }),
        Body::PageAlloc(PageAlloc { pfn: Some(0), ..page }),
        Body::PageFree { pfn: u64::MAX, order: u8::MAX },
        Body::PageFreeBatched { pfn: 1 << 63 },
        Body::PagePcpuDrain { pfn: 0, order: 3, migratetype: -1 },
        Body::PageExtFrag { pfn: 7, alloc_order: u8::MAX, fallback_order: u8::MAX, alloc_migratetype: i16::MIN, change_ownership: true },
        Body::PageExtFrag { pfn: 7, alloc_order: 0, fallback_order: 0, alloc_migratetype: -1, change_ownership: false },
        Body::RcuFreeBulk { count: u64::MAX },
        Body::Mark(MarkId(2)),
        Body::Mark(MarkId(0)),
    ]
}

fn recording() -> Recording {
    let context = |at: usize| Context([0, 0x08, 0x10, 0xff][at % 4]);
    let events = |cpu: u16, bodies: Vec<Body>| {
        let at = |(at, body)| Event {
            time_ns: [0, 5, 5, u64::MAX][at * 4 / 18],
            body,
            pid: [0, -1, i32::MAX, i32::MIN][at % 4],
            cpu,
            context: context(at),
        };
        CpuStream { cpu, events: bodies.into_iter().enumerate().map(at).collect() }
    };
    let mut reversed = bodies();
    reversed.retain(|body| !matches!(body, Body::Mark(_)));
    reversed.reverse();
    let mut backwards = events(u16::MAX, reversed);
    // A CPU's own order stays, even where its time goes back.
    backwards.events[3].time_ns = 1;
    Recording {
        tasks: [(1, "init".to_owned()), (-7, "odd name".to_owned())].into(),
        info: Info {
            format: "trace.dat v7 (zstd)".to_owned(),
            kernel: "6.12.117".to_owned(),
            cpus: 3,
            nodes: vec![(0, vec![0, 2]), (1, vec![1])],
            hostname: "höst \"quoted\"\n".to_owned(),
            command: "record".to_owned(),
            clock: "global".to_owned(),
            long_bytes: 8,
            big_endian: true,
            pointers: Pointers::Hashed,
            gfp_by_name: true,
            buffer: "instance".to_owned(),
            other_buffers: vec![String::new()],
        },
        streams: vec![events(0, bodies()), backwards],
        names: vec!["dentry".to_owned(), "kmalloc-64".to_owned(), "of no event".to_owned()],
        marks: vec!["snapshot begin".to_owned(), "of no event".to_owned(), String::new()],
        sites: vec!["__alloc_skb+0x8d".to_owned(), "nf_conntrack_in+0x70 [nf_conntrack]".to_owned()],
        symbols: Symbols::parse(KALLSYMS).unwrap().into(),
        accounting: Accounting {
            events: [("kmalloc".to_owned(), u64::MAX), ("kfree".to_owned(), 1)].into(),
            unknown_ids: [(u32::MAX, 3)].into(),
            short_records: [("kfree".to_owned(), 2)].into(),
            absent_fields: vec!["kmalloc.node".to_owned()],
            losses: vec![Loss { cpu: 1, time_ns: u64::MAX, count: None }, Loss { cpu: 0, time_ns: 0, count: Some(7) }],
            ring_overruns: 9,
            sub_buffers: 11,
            damages: vec![Damage { cpu: 2, byte: 1 << 40, reason: "a record".to_owned() }],
            damages_beyond: 13,
            remarks: vec!["a remark".to_owned()],
        },
    }
}

fn written(recording: &Recording) -> Vec<u8> {
    let events: Vec<Event> = recording.merged().copied().collect();
    let mut writer = StoreWriter::new(Vec::new()).unwrap();
    // In pieces, as they come from a trace that is read in batches.
    events.chunks(5).for_each(|events| writer.write(events, recording).unwrap());
    writer.finish(recording).unwrap().0
}

fn opened(bytes: Vec<u8>) -> Result<Store, TraceError> {
    Store::read(MappedFile::from_bytes(Path::new("some.parquet"), bytes))
}

fn decoded(bytes: Vec<u8>) -> Result<Recording, TraceError> {
    opened(bytes)?.decode(&|_| {})
}

#[test]
fn everything_survives() {
    let before = recording();
    let after = decoded(written(&before)).unwrap();
    assert_eq!(after.streams.len(), before.streams.len());
    for (before, after) in before.streams.iter().zip(&after.streams) {
        assert_eq!((after.cpu, &after.events), (before.cpu, &before.events));
    }
    let mut info = before.info.clone();
    info.format += ", as Parquet";
    assert_eq!(after.info, info);
    assert_eq!(after.names, before.names);
    assert_eq!(after.marks, before.marks);
    assert_eq!(after.sites, before.sites);
    assert_eq!(after.accounting, before.accounting);
    assert_eq!(after.site_name(0xffff_ffff_8100_0123), "grow+0x23/0x100");
    assert_eq!(after.site_name(2), "nf_conntrack_in+0x70 [nf_conntrack]");
    // Symbols that no call site is in stay out.
    assert_eq!(after.symbols.get().unwrap().len(), 1);
}

#[test]
fn batches_are_in_the_order_of_all_cpus() {
    let before = recording();
    let store = opened(written(&before)).unwrap();
    let mut stream = store.stream(&|_| {});
    let batch = crate::stream::EventSource::next_batch(&mut stream).unwrap();
    let order = |event: &Event| (event.time_ns, event.cpu, event.pid);
    assert!(batch.iter().map(order).eq(before.merged().map(order)));
    assert!(crate::stream::EventSource::next_batch(&mut stream).unwrap().is_empty());
    let facts = crate::stream::EventSource::facts(&stream);
    // Marks by time, then those of no event.
    assert_eq!(facts.marks, ["", "snapshot begin", "of no event"]);
    let marks: Vec<&str> =
        batch.iter().filter_map(|event| if let Body::Mark(id) = event.body { Some(facts.mark(id)) } else { None }).collect();
    assert_eq!(marks, ["", "snapshot begin"]);
}

#[test]
fn no_symbols_for_the_same_reason() {
    for reason in [NoSymbols::Hidden, NoSymbols::Damaged("a line".to_owned()), NoSymbols::Absent] {
        let before = Recording { symbols: Err(reason.clone()).into(), ..recording() };
        assert_eq!(decoded(written(&before)).unwrap().symbols.get().unwrap_err(), &reason);
    }
}

#[test]
fn nothing_is_a_trace_too() {
    let after = decoded(written(&Recording::default())).unwrap();
    assert_eq!((after.event_count(), after.streams.len(), after.marks.len()), (0, 0, 0));
}

/// The last row of one group and the first of the next.
#[test]
fn groups_of_rows_are_put_together() {
    let rows = schema::GROUP_ROWS + 3;
    let event = |time_ns: u64| Event {
        time_ns,
        body: Body::RcuFreeBulk { count: time_ns },
        pid: 0,
        cpu: (time_ns % 3) as u16,
        context: Context(0),
    };
    let events: Vec<Event> = (0..rows as u64).map(event).collect();
    let mut writer = StoreWriter::new(Vec::new()).unwrap();
    writer.write(&events, &Recording::default()).unwrap();
    let (bytes, count) = writer.finish(&Recording::default()).unwrap();
    assert_eq!(count, rows as u64);
    let store = opened(bytes).unwrap();
    let told = std::sync::atomic::AtomicU64::new(0);
    let tell = |bytes| {
        told.fetch_add(bytes, std::sync::atomic::Ordering::Relaxed);
    };
    let recording = store.decode(&tell).unwrap();
    assert_eq!(told.into_inner(), store.data_bytes());
    assert!(recording.merged().eq(events.iter()));
    let mut stream = store.stream(&|_| {});
    let lens = std::iter::repeat_with(|| crate::stream::EventSource::next_batch(&mut stream).unwrap().len()).take(3);
    assert_eq!(lens.collect::<Vec<_>>(), [schema::GROUP_ROWS, 3, 0]);
}

/// A message names the file and what was expected where.
fn refused(bytes: Vec<u8>) -> String {
    let message = decoded(bytes).unwrap_err().to_string();
    assert!(message.starts_with("some.parquet: "), "{message}");
    message
}

#[test]
fn a_file_that_is_cut_off_anywhere_is_refused() {
    let whole = written(&recording());
    for bytes in 4..whole.len() {
        let message = refused(whole[..bytes].to_vec());
        assert!(message.contains("expected"), "{bytes}: {message}");
    }
    assert!(refused(whole[..whole.len() - 1].to_vec()).contains("end of the file"));
}

/// Checksums are over every byte but the first four, which tell the format.
#[test]
fn a_changed_byte_is_noticed_wherever_it_is() {
    let whole = written(&recording());
    for at in 4..whole.len() {
        for mask in [0x01, 0x80] {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            refused(bytes);
        }
    }
    let mut bytes = whole.clone();
    bytes[40] ^= 0xff;
    assert!(refused(bytes).contains("row group 0, byte 4: expected bytes with the checksum"));
}

/// The footer with something in it replaced by something as long, and sealed again.
fn forged(whole: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = memchr::memmem::rfind(whole, from.as_bytes()).unwrap();
    let mut bytes = whole.to_vec();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    sealed(bytes)
}

/// What somebody has written who knows about checksums.
fn sealed(mut bytes: Vec<u8>) -> Vec<u8> {
    let tail = bytes.split_off(bytes.len() - 8);
    let size = u32::from_le_bytes(tail[..4].try_into().unwrap()) as usize;
    let mut footer = bytes.split_off(bytes.len() - size);
    let at = memchr::memmem::find(&footer, seal::KEY.as_bytes()).unwrap() + seal::KEY.len() + 2;
    footer[at..at + 8].copy_from_slice(seal::BLANK.as_bytes());
    [bytes, seal::seal(footer).unwrap(), tail].concat()
}

#[test]
fn another_version_is_refused_by_name() {
    let whole = written(&recording());
    let key = |version: &str| format!("{VERSION_KEY}\u{18}\u{1}{version}");
    let message = refused(forged(&whole, &key("1"), &key("7")));
    assert!(message.contains("version 7") && message.contains("reads version 1"), "{message}");
}

#[test]
fn metadata_that_is_none_is_refused() {
    let whole = written(&recording());
    let message = refused(forged(&whole, "{\"info\":", "{\"info\"-"));
    assert!(message.contains("metadata") && message.contains(FACTS_KEY), "{message}");
    let message = refused(forged(&whole, "\"of no event\"]", "\"of no event\"]").replace_first_name());
    assert!(message.contains("column cache") && message.contains("one of the names in the metadata"), "{message}");
    // A number of a mark that leaves a gap.
    let message = refused(forged(&whole, "\"unused_marks\":{\"1\"", "\"unused_marks\":{\"9\""));
    assert!(message.contains("a mark of the number 1"), "{message}");
}

trait Rename {
    fn replace_first_name(self) -> Vec<u8>;
}

impl Rename for Vec<u8> {
    /// `dentry` in the metadata is another cache's name; in the column it stays.
    fn replace_first_name(self) -> Vec<u8> {
        forged(&self, "[\"dentry\"", "[\"Dentry\"")
    }
}

#[test]
fn files_of_others_are_refused() {
    for bytes in [&b"PAR1"[..], b"PAR1PAR1", b"PAR1\0\0\0\0PAR1", b"PAR1\xff\xff\xff\xffPAR1", b"PAR1 and then something else"] {
        assert!(is_store(bytes));
        refused(bytes.to_vec());
    }
    assert!(refused(b"PAR1no footer here\x0e\0\0\0PAR1".to_vec()).contains("slubreplay did not write"));
    assert!(refused(b"PAR1footer\x06\0\0\0PARE".to_vec()).contains("encrypted"));
}

/// Bytes of the row groups and of the footer, changed by somebody who makes the checksums fit: an error or other events, never a panic.
#[test]
fn forged_checksums_reach_no_panic() {
    let whole = written(&recording());
    let size = u32::from_le_bytes(whole[whole.len() - 8..whole.len() - 4].try_into().unwrap()) as usize;
    let footer = whole.len() - 8 - size;
    let hash = |bytes: &[u8]| crc32fast::hash(&bytes[4..footer]).to_string();
    let old = hash(&whole);
    let step = if cfg!(debug_assertions) { 7 } else { 1 };
    for at in (4..whole.len() - 8).step_by(step) {
        for mask in [0x01, 0x40, 0xff] {
            let mut bytes = whole.clone();
            bytes[at] ^= mask;
            let new = hash(&bytes);
            if at < footer && new.len() == old.len() {
                bytes = forged(&bytes, &old, &new);
            }
            // The seal itself may be what was changed.
            if memchr::memmem::find(&bytes[footer..], seal::KEY.as_bytes()).is_some() {
                bytes = sealed(bytes);
            }
            drop(decoded(bytes));
        }
    }
}
