//! Folders that lack something, and pages that are cut off, damaged or of another machine.

use std::path::Path;

use slubreplay_parsers::event::{Body, Event, FreeCall};
use slubreplay_parsers::recording::{Damage, Loss};

use super::layouts::{KFREE, Kernel, formats};
use super::records::{LITTLE_64, Machine, Page, Record};
use super::{decode, put, refusal};

const PAGE_BYTES: usize = 4096;

fn header_page(machine: Machine) -> String {
    let (long, head) = (machine.long, 8 + machine.long);
    format!(
        "\tfield: u64 timestamp;\toffset:0;\tsize:8;\tsigned:0;\n\tfield: local_t commit;\toffset:8;\tsize:{long};\tsigned:1;\n\
         \tfield: char data;\toffset:{head};\tsize:{};\tsigned:1;\n",
        PAGE_BYTES - head
    )
}

fn describe(dir: &Path, machine: Machine) {
    put(dir, "events/header_page", header_page(machine));
    for format in formats(Kernel::V6_1, machine) {
        put(dir, &format!("events/{}/{}/format", format.system, format.name), format.text());
    }
}

/// A page with frees of these pointers, 10 ns apart from `base` + 10 on.
fn page(machine: Machine, base: u64, pointers: &[u64]) -> Page {
    let all = formats(Kernel::V6_1, machine);
    let kfree = all.iter().find(|format| format.id == KFREE).unwrap();
    let record = |&ptr: &u64| Record::Data(10, kfree.payload(machine, 7, 0, &[("call_site", 0x81), ("ptr", ptr)], &[]));
    Page::new(base, pointers.iter().map(record).collect())
}

fn pages(machine: Machine, pages: &[Page]) -> Vec<u8> {
    pages.iter().flat_map(|page| page.bytes(machine, PAGE_BYTES)).collect()
}

/// Time, CPU and pointer of each free.
fn frees<'a>(events: impl IntoIterator<Item = &'a Event>) -> Vec<(u64, u16, u64)> {
    let free = |event: &Event| match event.body {
        Body::Free(free) if free.call == FreeCall::Kfree => (event.time_ns, event.cpu, free.ptr),
        other => panic!("{other:?}"),
    };
    events.into_iter().map(free).collect()
}

/// Nothing in tracefs names the byte order.
#[test]
fn byte_order_and_long_of_the_machine_are_found() {
    for machine in [(false, 4), (false, 8), (true, 4), (true, 8)].map(|(big, long)| Machine { big, long }) {
        let dir = tempfile::tempdir().unwrap();
        describe(dir.path(), machine);
        put(dir.path(), "cpu0.raw", pages(machine, &[page(machine, 1000, &[0x100, 0x200])]));
        put(dir.path(), "cpu12.raw", pages(machine, &[Page { lost: Some(Some(5)), ..page(machine, 1005, &[0x300]) }]));
        put(dir.path(), "cpu3.raw", "");
        let read = decode(dir.path());
        assert_eq!(frees(read.merged()), [(1010, 0, 0x100), (1015, 12, 0x300), (1020, 0, 0x200)], "{machine:?}");
        assert_eq!(read.accounting.losses, [Loss { cpu: 12, time_ns: 1005, count: Some(5) }]);
        assert_eq!(read.accounting.damages, [], "an empty file is a CPU without events");
        let info = read.info;
        assert_eq!((info.big_endian, usize::from(info.long_bytes), info.cpus), (machine.big, machine.long, 13));
    }
}

#[test]
fn damage_costs_its_page_and_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    describe(dir.path(), LITTLE_64);
    let broken = Page { claimed: Some(5000), ..page(LITTLE_64, 2000, &[0x200]) };
    let mut bytes = pages(LITTLE_64, &[page(LITTLE_64, 1000, &[0x100]), broken, page(LITTLE_64, 3000, &[0x300])]);
    bytes.extend(&pages(LITTLE_64, &[page(LITTLE_64, 4000, &[0x400])])[..100]);
    put(dir.path(), "per_cpu/cpu1/trace_pipe_raw", bytes);
    put(dir.path(), "per_cpu/cpu1/stats", "entries: 3\noverrun: 20\ncommit overrun: 0\ndropped events: 1\n");
    let read = decode(dir.path());
    assert_eq!(frees(read.merged()), [(1010, 1, 0x100), (3010, 1, 0x300)]);
    let damage = |byte, reason: &str| Damage { cpu: 1, byte, reason: reason.to_owned() };
    let expected = [damage(3 * 4096, "100 more bytes of whole sub-buffers"), damage(4096 + 8, "a commit size within the sub-buffer")];
    assert_eq!(read.accounting.damages, expected);
    assert_eq!((read.accounting.ring_overruns, read.accounting.remarks.len()), (21, 1), "{:?}", read.accounting.remarks);
}

#[test]
fn a_file_shorter_than_a_page_is_damage() {
    let dir = tempfile::tempdir().unwrap();
    describe(dir.path(), LITTLE_64);
    put(dir.path(), "cpu0", &pages(LITTLE_64, &[page(LITTLE_64, 1000, &[0x100])])[..4095]);
    let read = decode(dir.path());
    assert_eq!((read.event_count(), read.accounting.damage_count()), (0, 1));
    assert_eq!(read.accounting.damages[0].reason, "4095 more bytes of whole sub-buffers");
}

#[test]
fn a_record_of_an_event_without_a_format_is_counted() {
    let dir = tempfile::tempdir().unwrap();
    describe(dir.path(), LITTLE_64);
    std::fs::remove_file(dir.path().join("events/kmem/kfree/format")).unwrap();
    put(dir.path(), "cpu0.raw", pages(LITTLE_64, &[page(LITTLE_64, 1000, &[0x100, 0x200])]));
    assert_eq!(decode(dir.path()).accounting.unknown_ids, [(u32::from(KFREE), 2)].into());
}

#[test]
fn of_two_files_of_a_cpu_one_is_read_and_the_other_told() {
    let dir = tempfile::tempdir().unwrap();
    describe(dir.path(), LITTLE_64);
    put(dir.path(), "per_cpu/cpu0/trace_pipe_raw", pages(LITTLE_64, &[page(LITTLE_64, 1000, &[0x100])]));
    put(dir.path(), "cpu0.raw", pages(LITTLE_64, &[page(LITTLE_64, 2000, &[0x200])]));
    put(dir.path(), "cpu00.raw", "no name that the kernel gives");
    let read = decode(dir.path());
    assert_eq!(frees(read.merged()), [(1010, 0, 0x100)]);
    assert_eq!(read.accounting.remarks, ["cpu0.raw was not read: the pages of CPU 0 are in per_cpu/cpu0/trace_pipe_raw too"]);
}

#[test]
fn what_is_missing_is_named() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "cpu0.raw", pages(LITTLE_64, &[page(LITTLE_64, 1000, &[0x100])]));
    let without = |what: &str| format!(": the pages cannot be understood without {what}; copy it from tracefs of the same boot");
    assert_eq!(refusal(dir.path()), without("events/header_page"));
    put(dir.path(), "events/header_page", header_page(LITTLE_64));
    put(dir.path(), "events/ftrace/print/format", "name: print\nID: 5\nformat:\n");
    assert_eq!(refusal(dir.path()), without("events/kmem/*/format"));
    describe(dir.path(), LITTLE_64);
    std::fs::remove_file(dir.path().join("cpu0.raw")).unwrap();
    let expected = "per_cpu/cpuN/trace_pipe_raw, cpuN/trace_pipe_raw, cpuN.raw or cpuN";
    assert_eq!(refusal(dir.path()), format!(": there are formats of events, but no pages of a CPU; expected {expected}"));
    put(dir.path(), "per_cpu/cpu0/trace_pipe_raw", "");
    put(dir.path(), "tracing_on", "1\n");
    assert!(refusal(dir.path()).contains("this is tracefs itself"));
}

#[test]
fn damaged_texts_are_refused_with_file_and_place() {
    let dir = tempfile::tempdir().unwrap();
    describe(dir.path(), LITTLE_64);
    put(dir.path(), "cpu0.raw", "");
    let whole = std::fs::read_to_string(dir.path().join("events/kmem/kfree/format")).unwrap();
    put(dir.path(), "events/kmem/kfree/format", whole.replace("offset:8;", "offset:x;"));
    let message = refusal(dir.path());
    assert!(message.starts_with("/events/kmem/kfree/format: event format, kmem:kfree, byte "), "{message}");
    assert!(message.contains("expected a decimal number"), "{message}");
    put(dir.path(), "events/kmem/kfree/format", whole);
    put(dir.path(), "events/header_page", header_page(LITTLE_64).replace("size:4080", "size:4000"));
    let message = refusal(dir.path());
    assert!(message.starts_with("/events/header_page: header_page, byte 0: expected offset and size of `data`"), "{message}");
}
