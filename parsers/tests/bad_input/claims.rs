//! Counts and sizes that claim far more than there is, and small files that ask for much work.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;

use super::records::LITTLE_64;
use super::writer::{Buffer, Codec, TraceFile};
use super::{SMALL_EVENTS, counting, read, small, small_files};

/// Every place at which a number may stand: the headers but for texts, and the start of every part.
fn places(bytes: &[u8], parts: &[usize]) -> BTreeSet<usize> {
    // perf.data has its formats behind the data; header and attrs are in the first bytes.
    let headers = if bytes.starts_with(b"PERFILE2") { 448 } else { 4096 };
    let first_data = parts.iter().copied().find(|&at| at >= headers).unwrap_or(bytes.len());
    let starts = parts.iter().flat_map(|&at| at..at + 48);
    let is_text = |at: usize| bytes[at..at + 8].iter().all(|byte| matches!(byte, b'\t' | b'\n' | b' '..=b'~'));
    (0..first_data).chain(starts).filter(|&at| at + 8 <= bytes.len() && !is_text(at)).collect()
}

#[test]
fn huge_numbers_everywhere() {
    let _turn = counting::turn();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.dat");
    // Beyond every limit, at the limit of signed numbers, and just within the reader's own.
    let claims: [&[u8]; 4] = [
        &[0xff; 4],
        &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
        &[0, 0, 0, 0x40], // 1 GiB: the largest block, little endian
        &[0, 0, 1, 0],    // 65,536: the most CPUs, systems and events
    ];
    // The two compressions differ in nothing that could lie about a size: one of them is enough here.
    for (name, written) in small_files().into_iter().filter(|(name, _)| *name != "v7 zlib") {
        std::fs::write(&path, &written.bytes).unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        for at in places(&written.bytes, &written.parts) {
            for claim in claims {
                file.write_all_at(claim, at as u64).unwrap();
                let _ = read(&path, &(name, "at", at, claim));
                file.write_all_at(&written.bytes[at..at + claim.len()], at as u64).unwrap();
            }
        }
        assert_eq!(read(&path, &name).unwrap().event_count(), SMALL_EVENTS, "{name}: the file is as it was");
    }
}

/// Place behind a text in a file.
fn after(bytes: &[u8], text: &[u8]) -> usize {
    bytes.windows(text.len()).position(|window| window == text).unwrap() + text.len()
}

fn read_bytes(bytes: &[u8], what: &str) -> Result<slubreplay_parsers::recording::Recording, slubreplay_parsers::TraceError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.dat");
    std::fs::write(&path, bytes).unwrap();
    read(&path, &what)
}

#[test]
fn sixty_five_thousand_cpus_with_the_same_data() {
    let _turn = counting::turn();
    let mut file = small(6, Codec::None);
    file.cpu_count = 65_536;
    let mut bytes = file.write().bytes;
    let table = after(&bytes, b"flyrecord\0");
    let entry = bytes[table..table + 16].to_vec();
    for cpu in 0..65_536 {
        bytes[table + 16 * cpu..][..16].copy_from_slice(&entry);
    }
    let recording = read_bytes(&bytes, "CPUs with the same data").unwrap();
    assert_eq!(recording.event_count(), 123); // 3 sub-buffers of CPU 0
    assert_eq!(recording.accounting.damage_count(), 65_535);
}

#[test]
fn four_billion_chunks_of_nothing() {
    let _turn = counting::turn();
    let written = small(7, Codec::Zstd).write();
    let mut bytes = written.bytes;
    let data = written.parts.iter().copied().find(|&at| at % 4096 == 0 && at > 0).unwrap();
    // CPU 0 has as many chunks as can be counted, and the first is empty.
    bytes[data..data + 4].fill(0xff);
    bytes[data + 4..data + 12].fill(0);
    let recording = read_bytes(&bytes, "chunks of nothing").unwrap();
    assert_eq!(recording.event_count(), 41); // CPU 1
    let reason = &recording.accounting.damages[0].reason;
    assert!(reason.contains("expected a chunk that holds data"), "{reason}");
}

#[test]
fn half_a_million_formats_of_nothing() {
    let _turn = counting::turn();
    let mut file = small(6, Codec::None);
    for system in ["a", "b", "c", "d", "e", "f", "g", "h"] {
        file.more_formats.extend((0..65_536).map(|_| (system, String::new())));
    }
    let recording = read_bytes(&file.write().bytes, "formats of nothing").unwrap();
    assert_eq!(recording.event_count(), SMALL_EVENTS);
    assert_eq!(recording.accounting.remarks.len(), 21);
}

#[test]
fn thousands_of_instances_at_one_place() {
    let _turn = counting::turn();
    let mut file = small(6, Codec::None);
    file.cpu_count = 10_000;
    let top = file.buffers[0].clone();
    file.buffers.push(Buffer { name: "i", ..top });
    let alias = |offset: usize| (3, [&LITTLE_64.number(offset as u64, 8)[..], b"i\0"].concat());
    file.options.extend((0..5000).map(|_| alias(0)));
    // A first writing shows where the instance lies; offsets do not change the size.
    let written = file.write().bytes;
    let second = after(&written, b"flyrecord\0");
    let place = second + after(&written[second..], b"flyrecord\0") - 10;
    let others = file.options.len() - 5000;
    file.options.truncate(others);
    file.options.extend((0..5000).map(|_| alias(place)));
    let message = read_bytes(&file.write().bytes, "instances at one place").unwrap_err().to_string();
    assert!(message.contains("expected an instance that overlaps no other"), "{message}");
}

/// Sections inside one another: each OPTIONS section holds the next, and all they hold.
#[test]
fn option_sections_inside_one_another() {
    let _turn = counting::turn();
    let file = TraceFile::new(7, LITTLE_64, vec![], vec![]);
    let mut bytes = file.write().bytes;
    let start = bytes.len();
    const SECTIONS: usize = 20_000;
    // Section, then an option whose payload starts with the next section; the end option comes first
    // inside it, so that the chain goes on one step deeper.
    let (header, step) = (16, 16 + 14);
    let end = start + SECTIONS * step;
    for number in 0..SECTIONS {
        let at = start + number * step;
        let next = if number + 1 < SECTIONS { at + step } else { 0 };
        let rest = end - at - header;
        bytes.extend([&[0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff][..], &(rest as u64).to_le_bytes()].concat());
        bytes.extend([&[0, 0, 8, 0, 0, 0][..], &(next as u64).to_le_bytes()].concat());
    }
    let first = after(&bytes, b"none\x001.0\0");
    bytes[first..first + 8].copy_from_slice(&(start as u64).to_le_bytes());
    let message = read_bytes(&bytes, "nested option sections").unwrap_err().to_string();
    assert!(message.contains("expected an option section that overlaps no other"), "{message}");
}
