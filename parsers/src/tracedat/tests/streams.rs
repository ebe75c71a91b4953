//! What the records of a sub-buffer do to time, and what damage in them costs.

use super::layouts::{KFREE, Kernel, formats};
use super::records::{LITTLE_64, Machine, Page, Record};
use super::writer::{Buffer, Codec, TraceFile};
use super::{Seen, freed, kfree, kfree_record, read, seen};
use crate::recording::{Damage, Loss, Recording};

const BIG_32: Machine = Machine { big: true, long: 4 };

fn file(version: u8, machine: Machine, pages: Vec<Page>) -> TraceFile {
    TraceFile::new(version, machine, formats(Kernel::V6_1, machine), vec![Buffer::new("", 4096, vec![(0, pages)])])
}

fn read_pages(machine: Machine, pages: Vec<Page>) -> Recording {
    read(&file(6, machine, pages))
}

/// Name, base time, records, and the events they must give as (time, pointer).
type TimeCase = (&'static str, u64, Vec<Record>, Vec<(u64, u64)>);

fn time_cases(machine: Machine) -> Vec<TimeCase> {
    let free = |delta: u32, ptr: u64| kfree_record(machine, delta, ptr);
    // A 59-bit time whose last 27 bits and the 32 above them are all in use.
    let absolute = (0x1234_5678 << 27) + 0x0123_4567;
    let top: u64 = 0xf000_0000_0000_0000;
    vec![
        ("deltas add up", 1000, vec![free(0, 64), free(5, 128), free(0x07ff_ffff, 192)], vec![(1000, 64), (1005, 128), (134_218_732, 192)]),
        ("type 0 is data too", 1000, vec![Record::Long(7, kfree(machine, 64)), free(1, 128)], vec![(1007, 64), (1008, 128)]),
        ("time extend", 1000, vec![Record::Extend((3 << 27) + 9), free(1, 64)], vec![(402_654_194, 64)]),
        ("absolute time", 1000, vec![Record::Absolute(absolute), free(2, 64)], vec![(absolute + 2, 64)]),
        ("absolute time keeps the top bits", top + 50, vec![Record::Absolute(60), free(0, 64)], vec![(top + 60, 64)]),
        ("absolute time carries", (1 << 63) + 50, vec![Record::Absolute(40), free(0, 64)], vec![((1 << 63) + (1 << 59) + 40, 64)]),
        ("padding moves the clock", 1000, vec![Record::Padding(30, 24), free(1, 64)], vec![(1031, 64)]),
        ("padding without a delta ends the sub-buffer", 1000, vec![free(1, 64), Record::End, free(1, 128)], vec![(1001, 64)]),
        ("nothing committed", 1000, vec![], vec![]),
    ]
}

#[test]
fn time_in_every_form() {
    for machine in [LITTLE_64, BIG_32] {
        for (name, base, records, expected) in time_cases(machine) {
            let recording = read_pages(machine, vec![Page::new(base, records)]);
            let expected: Vec<Seen> = expected.into_iter().map(|(time, ptr)| freed(time, 0, ptr)).collect();
            assert_eq!(seen(&recording), expected, "{name}, {machine:?}");
            assert_eq!(recording.accounting.damages, [], "{name}, {machine:?}");
        }
    }
}

#[test]
fn lost_events_with_and_without_their_number() {
    for machine in [LITTLE_64, BIG_32] {
        let marked = |base: u64, lost: Option<u64>, records: Vec<Record>| Page { lost: Some(lost), ..Page::new(base, records) };
        let pages = vec![
            marked(100, None, vec![kfree_record(machine, 1, 64)]),
            Page::new(200, vec![kfree_record(machine, 1, 128)]),
            marked(300, Some(118), vec![kfree_record(machine, 1, 192)]),
            marked(400, Some(2), vec![]), // nothing in it, yet events were lost before it
        ];
        let recording = read_pages(machine, pages);
        assert_eq!(seen(&recording), [freed(101, 0, 64), freed(201, 0, 128), freed(301, 0, 192)]);
        let loss = |time_ns: u64, count: Option<u64>| Loss { cpu: 0, time_ns, count };
        assert_eq!(recording.accounting.losses, [loss(100, None), loss(300, Some(118)), loss(400, Some(2))]);
        assert_eq!(recording.accounting.lost_events(), (120, 1));
    }
}

#[test]
fn a_number_of_lost_events_without_room_for_it_is_unknown() {
    // 16 bytes of header, 28 and 4 of records, and the rest filled up.
    let records = vec![kfree_record(LITTLE_64, 1, 64), Record::End, Record::Raw(vec![0; 4096 - 16 - 28 - 4])];
    let mut marked = Page::new(100, records).bytes(LITTLE_64, 4096);
    marked[11] |= 0xc0; // lost, and the number stored: after the last byte of the sub-buffer
    let mut written = file(6, LITTLE_64, vec![Page::new(100, vec![])]).write();
    let at = written.bytes.len() - 4096;
    written.bytes.splice(at.., marked);
    let recording = super::read_bytes(&written.bytes).unwrap();
    assert_eq!(recording.accounting.losses, [Loss { cpu: 0, time_ns: 100, count: None }]);
    assert_eq!(seen(&recording), [freed(101, 0, 64)]);
}

/// Records that cannot be: the rest of their sub-buffer is lost, and the next one is read.
#[test]
fn damage_costs_the_rest_of_one_sub_buffer() {
    let long = |length: u32| Record::Raw([0x20_u32.to_le_bytes(), length.to_le_bytes()].concat()); // type 0, delta 1
    let padding = |length: u32| Record::Raw([(29_u32 | 1 << 5).to_le_bytes(), length.to_le_bytes()].concat());
    let cases: [(&str, Vec<Record>, &str); 8] = [
        ("zero-filled tail", vec![Record::Raw(vec![0; 64])], "a record length (zero-filled tail)"),
        ("length 0 with a delta", vec![long(0)], "a record length of at least 4"),
        ("length 3", vec![long(3)], "a record length of at least 4"),
        ("length past the end", vec![long(0xffff_ffff)], "a record that ends within the sub-buffer"),
        ("short data past the end", vec![Record::Raw(28_u32.to_le_bytes().to_vec())], "a record that ends within the sub-buffer"),
        ("padding past the end", vec![padding(0xffff_fff0)], "padding that ends within the sub-buffer"),
        ("padding of no length", vec![padding(0)], "padding that ends within the sub-buffer"),
        ("half a header", vec![Record::Raw(vec![1, 2])], "a whole record header"),
    ];
    for (name, tail, reason) in cases {
        let first = Page::new(100, [vec![kfree_record(LITTLE_64, 1, 64)], tail].concat());
        let written = file(6, LITTLE_64, vec![first, Page::new(200, vec![kfree_record(LITTLE_64, 1, 128)])]).write();
        let recording = super::read_bytes(&written.bytes).unwrap();
        assert_eq!(seen(&recording), [freed(101, 0, 64), freed(201, 0, 128)], "{name}");
        // 16 bytes of header and 28 of the good record come before the bad one.
        let byte = (written.bytes.len() - 2 * 4096 + 16 + 28) as u64;
        assert_eq!(recording.accounting.damages, [Damage { cpu: 0, byte, reason: reason.to_owned() }], "{name}");
    }
}

#[test]
fn a_commit_beyond_the_sub_buffer_costs_all_of_it() {
    for claimed in [4096 - 15, 0x07ff_ffff] {
        let bad = Page { claimed: Some(claimed), ..Page::new(100, vec![kfree_record(LITTLE_64, 1, 64)]) };
        for version in [6, 7] {
            let mut file = file(version, LITTLE_64, vec![bad.clone(), Page::new(200, vec![kfree_record(LITTLE_64, 1, 128)])]);
            file.codec = Codec::Zstd;
            let recording = read(&file);
            assert_eq!(seen(&recording), [freed(201, 0, 128)]);
            assert_eq!(recording.accounting.damage_count(), 1);
            let reason = &recording.accounting.damages[0].reason;
            assert!(reason.starts_with("a commit size within the sub-buffer"), "{reason}");
            assert_eq!(reason.ends_with(" at byte 8 of the decompressed chunk"), version == 7, "{reason}");
        }
    }
}

#[test]
fn unknown_and_short_records_are_counted() {
    let mut unknown = kfree(LITTLE_64, 64);
    unknown[0..2].copy_from_slice(&9999_u16.to_le_bytes());
    let mut short = kfree(LITTLE_64, 64);
    short.truncate(16); // ends before `ptr`
    let records = vec![Record::Data(1, unknown.clone()), Record::Data(1, unknown), Record::Data(1, short), kfree_record(LITTLE_64, 1, 128)];
    let recording = read_pages(LITTLE_64, vec![Page::new(100, records)]);
    assert_eq!(seen(&recording), [freed(104, 0, 128)]);
    assert_eq!(recording.accounting.unknown_ids, [(9999, 2)].into());
    assert_eq!(recording.accounting.short_records, [("kfree".to_owned(), 1)].into());
    assert_eq!(recording.accounting.events, [("kfree".to_owned(), 2)].into());
}

/// Error pointers and -1 frames are failures in the kernel's own width.
#[test]
fn failed_allocations_have_no_object() {
    use super::layouts::KMALLOC;
    use crate::event::Body;
    for (machine, error, last_page) in [(LITTLE_64, u64::MAX - 11, u64::MAX - 4095), (BIG_32, 0xffff_fff4, 0xffff_f000)] {
        let formats = formats(Kernel::V6_1, machine);
        let record = |ptr: u64| {
            let sizes = [("call_site", 1), ("ptr", ptr), ("bytes_req", 8), ("bytes_alloc", 8), ("gfp_flags", 0), ("node", 0)];
            Record::Data(1, super::format_of(&formats, KMALLOC).payload(machine, 1, 0, &sizes, &[]))
        };
        let recording = read_pages(machine, vec![Page::new(0, vec![record(error), record(0), record(last_page)])]);
        let ptrs: Vec<u64> = recording
            .merged()
            .map(|event| match event.body {
                Body::Alloc(alloc) => alloc.ptr,
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(ptrs, [0, 0, last_page], "{machine:?}");
    }
}

#[test]
fn sub_buffers_without_kmem_formats_hold_unknown_events() {
    let mut file = file(6, LITTLE_64, vec![Page::new(100, vec![kfree_record(LITTLE_64, 1, 64)])]);
    file.formats.clear();
    let recording = read(&file);
    assert_eq!(recording.event_count(), 0);
    assert_eq!(recording.accounting.unknown_ids, [(u32::from(KFREE), 1)].into());
}
