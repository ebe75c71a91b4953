//! Buffers, options and tables of CPUs: what leads to the data.

use super::layouts::{Kernel, formats};
use super::records::{LITTLE_64, Machine, Page};
use super::writer::{Buffer, ClockText, Codec, TraceFile};
use super::{freed, kfree_record, read, read_bytes, refusal, seen};
use crate::recording::Damage;

const BIG_64: Machine = Machine { big: true, long: 8 };

fn file(version: u8, machine: Machine, buffers: Vec<Buffer>) -> TraceFile {
    TraceFile::new(version, machine, formats(Kernel::V6_1, machine), buffers)
}

/// One sub-buffer with one kfree of `ptr` at 101 ns.
fn page(machine: Machine, ptr: u64) -> Vec<Page> {
    vec![Page::new(100, vec![kfree_record(machine, 1, ptr)])]
}

fn one_cpu(version: u8) -> TraceFile {
    file(version, LITTLE_64, vec![Buffer::new("", 4096, vec![(0, page(LITTLE_64, 64))])])
}

#[test]
fn the_top_buffer_is_read_and_instances_are_named() {
    for version in [6, 7] {
        for machine in [LITTLE_64, BIG_64] {
            let mut instance = Buffer::new("web", 4096, vec![(1, page(machine, 128))]);
            instance.clock = "mono";
            let top = Buffer::new("", 4096, vec![(0, page(machine, 64))]);
            let recording = read(&file(version, machine, vec![top, instance]));
            assert_eq!(seen(&recording), [freed(101, 0, 64)]);
            assert_eq!((recording.info.buffer.as_str(), recording.info.other_buffers), ("", vec!["web".to_owned()]));
            assert_eq!(recording.info.clock, "local");
        }
    }
}

#[test]
fn an_instance_is_read_when_the_top_buffer_is_empty() {
    for machine in [LITTLE_64, BIG_64] {
        let web = Buffer::new("web", 4096, vec![(1, page(machine, 128))]);
        let recording = read(&file(6, machine, vec![web.clone()]));
        assert_eq!(seen(&recording), [freed(101, 1, 128)]);
        assert_eq!((recording.info.buffer.as_str(), recording.info.other_buffers.len()), ("web", 0), "the top buffer holds nothing");
        let recording = read(&file(7, machine, vec![Buffer::new("", 4096, vec![]), web]));
        assert_eq!(seen(&recording), [freed(101, 1, 128)]);
        assert_eq!((recording.info.buffer.as_str(), recording.info.other_buffers.len()), ("web", 0), "the top buffer holds nothing");
    }
}

/// The sub-buffer size of version 7 belongs to each buffer, not to the file.
#[test]
fn a_buffer_of_version_7_has_its_own_sub_buffer_size() {
    let two = [page(LITTLE_64, 64), page(LITTLE_64, 128)].concat();
    for codec in [Codec::None, Codec::Zlib] {
        let mut file = file(7, LITTLE_64, vec![Buffer::new("", 16 << 10, vec![(0, two.clone())])]);
        (file.page_bytes, file.codec) = (4096, codec);
        let recording = read(&file);
        assert_eq!(seen(&recording), [freed(101, 0, 64), freed(101, 0, 128)]);
        assert_eq!(recording.accounting.sub_buffers, 2);
    }
}

#[test]
fn cpu_numbers_of_version_7_are_sparse_and_in_any_order() {
    let cpus = vec![(4093, page(LITTLE_64, 128)), (5, page(LITTLE_64, 64))];
    let recording = read(&file(7, LITTLE_64, vec![Buffer::new("", 4096, cpus)]));
    // On equal stamps the lower CPU comes first.
    assert_eq!(seen(&recording), [freed(101, 5, 64), freed(101, 4093, 128)]);
    assert_eq!(recording.streams.iter().map(|stream| stream.cpu).collect::<Vec<_>>(), [5, 4093]);
    assert_eq!(recording.info.cpus, 4094);
}

#[test]
fn a_cpu_that_occurs_twice_is_refused() {
    let cpus = vec![(5, page(LITTLE_64, 64)), (5, page(LITTLE_64, 64))];
    let message = refusal(&file(7, LITTLE_64, vec![Buffer::new("", 4096, cpus)]));
    assert!(message.starts_with("buffer option, byte "), "{message}");
    assert!(message.contains("expected a CPU number below 65536 that occurs once, found 05 00 00 00"), "{message}");
}

#[test]
fn version_6_without_options_has_no_clock() {
    let mut file = one_cpu(6);
    file.without_options = true;
    let recording = read(&file);
    assert_eq!(seen(&recording), [freed(101, 0, 64)]);
    assert_eq!((recording.info.clock.as_str(), recording.info.kernel.as_str()), ("", ""));
}

#[test]
fn the_clock_text_of_version_6_may_be_missing_or_damaged() {
    let cases = [
        (ClockText::Present("local [global] mono"), "global"),
        (ClockText::Present("[local]"), "local"),
        (ClockText::Present(""), ""),
        (ClockText::Absent, ""),
        (ClockText::Damaged, ""),
    ];
    for (clock, expected) in cases {
        let mut file = one_cpu(6);
        file.clock = clock;
        let recording = read(&file);
        assert_eq!(seen(&recording), [freed(101, 0, 64)], "{clock:?}");
        assert_eq!(recording.info.clock, expected, "{clock:?}");
    }
}

#[test]
fn recordings_that_were_not_finished_say_so() {
    let mut cut_short = one_cpu(7);
    cut_short.unfinished = true;
    assert_eq!(refusal(&cut_short), "the recording was not finished: no options were written");
    assert_eq!(refusal(&file(7, LITTLE_64, vec![])), "the recording was not finished: there is no buffer in it");
    let mut zero_table = file(6, LITTLE_64, vec![]);
    zero_table.cpu_count = 4;
    assert_eq!(refusal(&zero_table), "the recording was not finished: its table of CPUs is empty");
}

/// A finished recording of nothing is no error: its table has places, but no sizes.
#[test]
fn an_empty_recording_has_no_events() {
    let empty = vec![Buffer::new("", 4096, vec![(0, vec![]), (1, vec![])])];
    for version in [6, 7] {
        let recording = read(&file(version, LITTLE_64, empty.clone()));
        assert_eq!((recording.event_count(), recording.accounting.damage_count()), (0, 0));
    }
}

#[test]
fn texts_instead_of_records_are_named() {
    let mut file = one_cpu(6);
    file.latency = true;
    assert_eq!(refusal(&file), "holds the text of a latency trace, not records; extract the text and read that");
    let mut file = self::file(7, LITTLE_64, vec![]);
    file.options.push((22, [&[0; 8][..], b"\0local\0"].concat()));
    assert_eq!(refusal(&file), "holds the text of a trace, not records; extract the text and read that");
}

#[test]
fn a_loop_of_option_sections_is_refused() {
    let mut file = one_cpu(7);
    file.looped = true;
    let message = refusal(&file);
    assert!(message.contains("expected an option section that overlaps no other"), "{message}");
    assert!(message.starts_with("options, byte "), "{message}");
}

#[test]
fn times_are_converted_by_tsc_and_offset() {
    let tsc = |mult: u64, shift: u64| {
        let number = |value: u64| LITTLE_64.number(value, 4);
        (14, [number(mult), number(shift), vec![0; 8]].concat())
    };
    let cases = [
        (vec![tsc(3, 1)], (101 * 3) >> 1),
        (vec![tsc(1 << 31, 31)], 101),
        (vec![tsc(1, 200)], 0),
        (vec![(7, b"1000\0".to_vec())], 1101),
        (vec![(7, b"-0x1\0".to_vec())], 100),
        (vec![tsc(4, 1), (7, b"-2\0".to_vec())], 200),
        (vec![(7, b"nonsense\0".to_vec())], 101),
        // The lowest number there is has no opposite.
        (vec![(7, b"--9223372036854775808\0".to_vec())], (1 << 63) + 101),
    ];
    for version in [6, 7] {
        for (options, expected) in &cases {
            let mut file = one_cpu(version);
            file.options.extend(options.clone());
            assert_eq!(seen(&read(&file)), [freed(*expected, 0, 64)], "{options:?}");
        }
    }
}

#[test]
fn times_beyond_64_bits_do_not_overflow_before_the_shift() {
    let mut file = one_cpu(7);
    file.buffers[0].cpus[0].1[0].base = (1 << 62) + 100;
    file.options.push((14, [LITTLE_64.number(1 << 20, 4), LITTLE_64.number(22, 4), vec![0; 8]].concat()));
    assert_eq!(seen(&read(&file)), [freed((1 << 60) + 25, 0, 64)]); // (2^62 + 101) / 4
}

#[test]
fn options_of_no_use_are_skipped_and_unknown_ones_are_counted() {
    for version in [6, 7] {
        let mut file = one_cpu(version);
        let skipped = [1, 6, 9, 10, 11, 24].map(|id| (id, b"text\0".to_vec()));
        file.options.extend(skipped);
        file.options.extend([(999, vec![]), (26, vec![1, 2, 3]), (13, b"guest\0".to_vec())]);
        let recording = read(&file);
        assert_eq!(seen(&recording), [freed(101, 0, 64)]);
        let expected =
            ["the file is half of a host/guest pair; its times are those of its own machine", "2 options of unknown kind were skipped"];
        assert_eq!(recording.accounting.remarks, expected);
    }
}

/// Statistics of an instance that is not read say nothing of the buffer that is.
#[test]
fn overruns_are_those_of_the_buffer_that_is_read() {
    let stats =
        |overrun: u64| (2, format!("CPU: 0\nentries: 9\noverrun: {overrun}\ncommit overrun: 2\ndropped events: 3\n\0").into_bytes());
    for version in [6, 7] {
        let mut file = one_cpu(version);
        file.options.extend([stats(10), stats(0), (2, b"\nBuffer: web\n\n\0".to_vec()), stats(1000)]);
        let accounting = read(&file).accounting;
        assert_eq!(accounting.ring_overruns, 20);
        assert_eq!(accounting.remarks, ["the ring buffer's statistics count 20 lost events, but no gap is marked"]);
    }
}

#[test]
fn an_absurd_cpu_count_is_not_believed() {
    for (count, expected) in [(64_u64, 64), (0xffff_ffff, 1)] {
        for version in [6, 7] {
            let mut file = one_cpu(version);
            file.options.push((8, LITTLE_64.number(count, 4)));
            assert_eq!(read(&file).info.cpus, expected);
        }
    }
}

/// Place of the first CPU's entry in the table of a version 6 file.
fn table_at(bytes: &[u8]) -> usize {
    bytes.windows(10).position(|window| window == b"flyrecord\0").unwrap() + 10
}

#[test]
fn a_size_beyond_the_end_of_the_file_is_counted() {
    let mut bytes = one_cpu(6).write().bytes;
    let (at, len) = (table_at(&bytes), bytes.len() as u64);
    bytes[at + 8..at + 16].copy_from_slice(&(4096_u64 + 4096 + 1).to_le_bytes());
    let recording = read_bytes(&bytes).unwrap();
    assert_eq!(seen(&recording), [freed(101, 0, 64)]);
    let reason = "4097 more bytes of whole sub-buffers".to_owned();
    assert_eq!(recording.accounting.damages, [Damage { cpu: 0, byte: len, reason }]);
    bytes[at..at + 8].copy_from_slice(&(len + 1).to_le_bytes());
    let recording = read_bytes(&bytes).unwrap();
    let reason = format!("data within the file, which has {len} bytes");
    assert_eq!(recording.accounting.damages, [Damage { cpu: 0, byte: len + 1, reason }]);
}

/// Otherwise a small file of many CPUs could claim the same bytes for each of them.
#[test]
fn no_byte_is_decoded_for_two_cpus() {
    let cpus = vec![(0, page(LITTLE_64, 64)), (1, page(LITTLE_64, 128))];
    let mut bytes = file(6, LITTLE_64, vec![Buffer::new("", 4096, cpus)]).write().bytes;
    let (at, len) = (table_at(&bytes), bytes.len() as u64);
    // CPU 0 claims the data of CPU 1 as well.
    bytes[at + 8..at + 16].copy_from_slice(&8192_u64.to_le_bytes());
    let recording = read_bytes(&bytes).unwrap();
    assert_eq!(seen(&recording), [freed(101, 0, 64), freed(101, 1, 128)]);
    let reason = "4096 more bytes of whole sub-buffers".to_owned();
    assert_eq!(recording.accounting.damages, [Damage { cpu: 0, byte: len - 4096, reason }]);
    // CPU 1 claims the place of CPU 0.
    bytes[at + 16..at + 24].copy_from_slice(&(len - 8192).to_le_bytes());
    let recording = read_bytes(&bytes).unwrap();
    assert_eq!(seen(&recording), [freed(101, 0, 64), freed(101, 0, 128)]);
    let reason = "data of its own, found that of CPU 0".to_owned();
    assert_eq!(recording.accounting.damages, [Damage { cpu: 1, byte: len - 8192, reason }]);
}

#[test]
fn a_damaged_chunk_costs_itself() {
    for codec in [Codec::Zlib, Codec::Zstd] {
        let pages: Vec<Page> = (1..=3).flat_map(|number| page(LITTLE_64, number * 64)).collect();
        let mut file = file(7, LITTLE_64, vec![Buffer::new("", 4096, vec![(0, pages)])]);
        (file.codec, file.chunk_pages) = (codec, 1);
        let written = file.write();
        let chunk = *written.parts.iter().rfind(|&&at| written.bytes[at..].starts_with(&[3, 0, 1, 0])).unwrap();
        let data = (chunk + 16).next_multiple_of(4096);
        let second = data + 4 + 8 + u32::from_le_bytes(written.bytes[data + 4..data + 8].try_into().unwrap()) as usize;
        let mut bytes = written.bytes;
        bytes[second + 8..second + 12].fill(0xff); // no codec's magic
        let recording = read_bytes(&bytes).unwrap();
        assert_eq!(seen(&recording), [freed(101, 0, 64), freed(101, 0, 192)]);
        let damage = &recording.accounting.damages[..];
        assert!(matches!(damage, [Damage { cpu: 0, byte, .. }] if *byte == second as u64 + 8), "{damage:?}");
    }
}
