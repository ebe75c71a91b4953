//! Events, their order, and losses.

use super::writer::{Attr, CPU, ID, Mode, PERIOD, Packing, PerfFile, RAW, TIME, USUAL, lost, record, sample, trailer};
use super::*;
use crate::event::{Alloc, AllocCall, MarkId, NameId};
use crate::recording::Loss;

const BIG_64: Machine = Machine { big: true, long: 8 };
const LITTLE_32: Machine = Machine { big: false, long: 4 };

/// Allocations and frees with names on two CPUs, and what they must become.
fn named(machine: Machine, kernel: Kernel, mode: Mode, packing: Packing) -> (PerfFile, Vec<Event>) {
    let formats = formats(kernel, machine);
    let of = |id: u16| format_of(&formats, id);
    let site = if machine.long == 8 { 0xffff_ffff_8123_4567 } else { 0xc123_4567 };
    let mut rounds = Vec::new();
    let mut expected = Vec::new();
    let caches = ["dentry", "filp", "a cache"];
    for number in 0..60_u64 {
        let (cpu, time) = (number as u16 % 2, 1_000 + number * 10);
        let name = caches[number as usize % 3];
        let numbers = [("call_site", site), ("ptr", 0x1000 + number), ("bytes_req", 184), ("bytes_alloc", 192)];
        let rest = [("gfp_flags", 0xcc0), ("node", u64::MAX), ("accounted", 1)];
        let taken = of(layouts::CACHE_ALLOC).payload(machine, 42, 1, &[&numbers[..], &rest].concat(), &[("name", name)]);
        let given = of(CACHE_FREE).payload(machine, -1, 0x10, &numbers[..2], &[("name", name)]);
        let samples = [(20, time, taken), (12, time + 5, given)];
        rounds.push(samples.map(|(id, time, raw)| sample(machine, USUAL, id + u64::from(cpu), cpu.into(), time, &raw)).to_vec());
        let name = Some(NameId(number as u16 % 3));
        let alloc = Alloc {
            call_site: site,
            ptr: 0x1000 + number,
            bytes_req: 184,
            bytes_alloc: 192,
            gfp_flags: 0xcc0,
            node: -1,
            name,
            call: AllocCall::KmemCacheAlloc,
            accounted: Some(true),
        };
        expected.push(Event { time_ns: time, body: Body::Alloc(alloc), pid: 42, cpu, context: Context(1) });
        let free = Free { call_site: site, ptr: 0x1000 + number, name, call: FreeCall::KmemCacheFree };
        expected.push(Event { time_ns: time + 5, body: Body::Free(free), pid: -1, cpu, context: Context(0x10) });
    }
    let attrs = vec![Attr::tracepoint(layouts::CACHE_ALLOC, &[20, 21]), Attr::tracepoint(CACHE_FREE, &[12, 13])];
    let mut file = PerfFile::new(machine, formats, attrs, rounds);
    (file.mode, file.packing) = (mode, packing);
    (file, expected)
}

#[test]
fn every_mode_packing_and_machine() {
    let modes = [Mode::File, Mode::Pipe { counts_padding: true }, Mode::Pipe { counts_padding: false }];
    let packings = [Packing::Plain, Packing::Zstd(4096), Packing::Zstd(37), Packing::Zstd2(100)];
    for machine in [LITTLE_64, BIG_64, LITTLE_32] {
        for mode in modes {
            for packing in packings {
                let (file, expected) = named(machine, Kernel::V6_18, mode, packing);
                let recording = read(&file);
                let what = format!("{machine:?} {mode:?} {packing:?}");
                assert_eq!(merged(&recording), expected, "{what}");
                assert_eq!(recording.names, ["dentry", "filp", "a cache"], "{what}");
                let counts = [("kmem_cache_alloc".to_owned(), 60), ("kmem_cache_free".to_owned(), 60)];
                let accounting = &recording.accounting;
                assert_eq!(accounting.events, counts.into(), "{what}");
                assert_eq!((accounting.damage_count(), &accounting.remarks), (0, &vec![]), "{what}");
                let info = &recording.info;
                assert_eq!((info.long_bytes, info.big_endian), (machine.long as u8, machine.big), "{what}");
                let pipe = if mode == Mode::File { "" } else { " from a pipe" };
                let zstd = if packing == Packing::Plain { "" } else { " (zstd)" };
                assert_eq!(info.format, format!("perf.data{pipe}{zstd}"));
                assert_eq!((info.kernel.as_str(), info.hostname.as_str(), info.cpus), ("6.12.0-test", "host", 4), "{what}");
                assert_eq!((info.command.as_str(), info.clock.as_str()), ("perf record -a -R", "perf"), "{what}");
                assert_eq!(info.nodes, [(0, vec![0, 1, 3])], "{what}");
            }
        }
    }
}

#[test]
fn cpus_are_told_apart_and_each_is_sorted_by_time() {
    // CPU 1's buffer first; an interrupt turned two samples of CPU 0 around; 30 comes twice, in file order.
    let rounds = vec![
        vec![freeing(1, 15, 1), freeing(1, 25, 2), freeing(0, 30, 3), freeing(0, 20, 4), freeing(0, 30, 5)],
        vec![freeing(1, 26, 6), freeing(0, 29, 7)],
    ];
    let recording = read(&file(rounds));
    let order: Vec<(u16, u64)> =
        recording.streams.iter().flat_map(|stream| &stream.events).map(|event| (event.cpu, event.time_ns)).collect();
    assert_eq!(order, [(0, 20), (0, 29), (0, 30), (0, 30), (1, 15), (1, 25), (1, 26)]);
    assert_eq!(recording.streams[0].events[2..], [freed(30, 0, 3), freed(30, 0, 5)]);
}

#[test]
fn many_samples_take_many_spans() {
    let of = |number: u64| freeing(number as u32 / 7 % 2, number, number);
    for packing in [Packing::Plain, Packing::Zstd(60_000)] {
        let rounds = (0..20).map(|round| (0..1000).map(|number| of(round * 1000 + number)).collect()).collect();
        let mut file = file(rounds);
        file.packing = packing;
        let recording = read(&file);
        let expected: Vec<Event> = (0..20_000).map(|number| freed(number, number as u16 / 7 % 2, number)).collect();
        assert!(merged(&recording) == expected);
        assert!(recording.accounting.sub_buffers >= 6, "{}", recording.accounting.sub_buffers);
        assert_eq!(recording.accounting.damage_count(), 0);
    }
}

#[test]
fn a_single_event_needs_no_id() {
    for with_ids in [false, true] {
        let sample_type = TIME | CPU | RAW | if with_ids { ID } else { 0 };
        let attr = Attr { sample_type, ..Attr::tracepoint(KFREE, if with_ids { &[3] } else { &[] }) };
        let samples = (0..4).map(|number| sample(LITTLE_64, sample_type, 3, 1, number, &kfree(LITTLE_64, number))).collect();
        let recording = read(&PerfFile::new(LITTLE_64, formats(Kernel::V6_1, LITTLE_64), vec![attr], vec![samples]));
        assert_eq!(merged(&recording), (0..4).map(|number| freed(number, 1, number)).collect::<Vec<_>>());
    }
}

#[test]
fn events_of_one_layout_without_ids_are_told_by_their_raw_data() {
    let sample_type = TIME | CPU | RAW;
    let attrs = [CACHE_FREE, KFREE].map(|config| Attr { sample_type, ..Attr::tracepoint(config, &[]) });
    let samples = (0..4).map(|number| sample(LITTLE_64, sample_type, 0, 1, number, &kfree(LITTLE_64, number))).collect();
    let recording = read(&PerfFile::new(LITTLE_64, formats(Kernel::V6_1, LITTLE_64), attrs.to_vec(), vec![samples]));
    assert_eq!(merged(&recording), (0..4).map(|number| freed(number, 1, number)).collect::<Vec<_>>());
}

#[test]
fn what_cannot_be_used_is_counted() {
    let with = |id: u64, raw: &[u8]| sample(LITTLE_64, USUAL, id, 0, 5, raw);
    let whole = freeing(0, 1, 1);
    let rounds = vec![vec![
        whole.clone(),
        with(99, &kfree(LITTLE_64, 2)),                                  // an id that no event has
        sample(LITTLE_64, USUAL & !PERIOD, 14, 0, 6, &[]),               // the dummy
        with(10, &kfree(LITTLE_64, 3)[..12]),                            // raw data cut off
        record(LITTLE_64, 9, &whole[8..40]),                             // a sample cut off
        with(12, &kfree(LITTLE_64, 4)),                                  // raw data of another event
        sample(LITTLE_64, USUAL, 10, u32::MAX, 7, &kfree(LITTLE_64, 5)), // an impossible CPU
        record(LITTLE_64, 200, &[0; 8]),                                 // an unknown kind
        record(LITTLE_64, 3, &[0; 8]),                                   // COMM, of no use
        [record(LITTLE_64, 71, &[&24_u64.to_le_bytes()[..], &[0; 32]].concat()), vec![9; 24]].concat(), // AUXTRACE and its data
        freeing(1, 2, 2),
    ]];
    let recording = read(&file(rounds));
    let accounting = &recording.accounting;
    assert_eq!(merged(&recording), [freed(1, 0, 1), freed(2, 1, 2)]);
    assert_eq!(accounting.events, [("dummy:HG".to_owned(), 1), ("kfree".to_owned(), 4)].into());
    assert_eq!(accounting.short_records, [("kfree".to_owned(), 2)].into());
    assert_eq!(accounting.unknown_ids, [(99, 1)].into());
    let reasons: Vec<&str> = accounting.damages.iter().map(|damage| damage.reason.as_str()).collect();
    assert_eq!(reasons, ["raw data of event 655, found that of event 654", "a CPU number below 65536, found 4294967295"]);
    let remarks = ["1 samples have an id that no event has", "1 records of the unknown kind 200 were skipped"];
    assert_eq!(accounting.remarks, remarks);
}

#[test]
fn losses_are_told_once() {
    let at_end = |id: u64, count: u64| record(LITTLE_64, 13, &[&count.to_le_bytes()[..], &trailer(LITTLE_64, id, 0, 0)].concat());
    let throttled = |id: u64| {
        let words: Vec<u8> = [40, id, id].iter().flat_map(|word: &u64| word.to_le_bytes()).collect();
        record(LITTLE_64, 5, &[words, trailer(LITTLE_64, id, 1, 40)].concat())
    };
    let kernel = record(LITTLE_64, 13, &[&2_u64.to_le_bytes()[..], &trailer(LITTLE_64, 11, 1, 50)].concat());
    let rounds = vec![
        vec![freeing(0, 10, 1), lost(LITTLE_64, 10, 0, 20, 7), freeing(0, 30, 2)],
        vec![throttled(11), throttled(14), kernel, at_end(10, 6), at_end(12, 5), at_end(14, 1000)],
    ];
    let recording = read(&file(rounds));
    let accounting = &recording.accounting;
    let losses = [(0, 20, Some(7)), (1, 40, None), (1, 50, Some(2))];
    assert_eq!(accounting.losses, losses.map(|(cpu, time_ns, count)| Loss { cpu, time_ns, count }));
    assert_eq!(accounting.lost_events(), (9, 1));
    // What perf counted at its end is beside the sum, which it mostly repeats.
    assert_eq!(accounting.ring_overruns, 11);
}

#[test]
fn losses_that_no_record_marks_are_remarked() {
    let at_end = record(LITTLE_64, 13, &[&6_u64.to_le_bytes()[..], &trailer(LITTLE_64, 10, 0, 0)].concat());
    let recording = read(&file(vec![vec![freeing(0, 10, 1), lost(LITTLE_64, 10, 0, 20, 2)], vec![at_end]]));
    assert_eq!(recording.accounting.remarks, ["perf counts 6 lost samples; records in the data mark 2 of them"]);
}

#[test]
fn an_event_recorded_twice_counts_once() {
    let mut file = file(vec![vec![freeing(0, 1, 1), sample(LITTLE_64, USUAL, 50, 0, 1, &kfree(LITTLE_64, 1))]]);
    file.attrs.push(Attr::tracepoint(KFREE, &[50]));
    let recording = read(&file);
    assert_eq!(merged(&recording), [freed(1, 0, 1)]);
    assert_eq!(recording.accounting.remarks, ["kfree was recorded twice; the 1 samples of the second time were left out"]);
}

#[test]
fn sampled_filtered_and_partial_recordings_are_remarked() {
    let mut file = file(vec![vec![]]);
    file.attrs[0].period = 100;
    let words: Vec<u8> = ["perf", "record", "--filter", "ptr>0", "--", "tar", "-a"].iter().flat_map(|word| file.text(word)).collect();
    file.features.retain(|(number, _)| *number != 11);
    file.features.push((11, [7_u32.to_le_bytes().to_vec(), words].concat()));
    let remarks = read(&file).accounting.remarks;
    let starts = ["only some of the events kfree", "recorded with --filter", "recorded without -a"];
    assert_eq!(remarks.len(), starts.len(), "{remarks:?}");
    assert!(remarks.iter().zip(starts).all(|(remark, start)| remark.starts_with(start)), "{remarks:?}");
}

#[test]
fn markers_of_a_program_and_the_clock() {
    let marker = Format { system: "user_events", name: "note", id: 900, fields: vec![("__rel_loc char[] text", 8, 4)], fixed: 12 };
    let raw = marker.payload(LITTLE_64, 3, 0, &[], &[("text", "slubreplay-snap begin\n")]);
    let mut file = file(vec![vec![sample(LITTLE_64, USUAL, 30, 1, 9, &raw), freeing(0, 8, 1)]]);
    file.formats.push(marker);
    file.attrs.push(Attr { clock: Some(1), ..Attr::tracepoint(900, &[30]) });
    let recording = read(&file);
    assert_eq!(merged(&recording)[1].body, Body::Mark(MarkId(0)));
    assert_eq!((recording.marks.as_slice(), recording.info.clock.as_str()), (&["slubreplay-snap begin".to_owned()][..], "mono"));
}
