//! What is particular to perf.data: one stream of compressed records, sections that point anywhere.

use super::layouts::{CACHE_FREE, KFREE, Kernel, formats};
use super::perf_writer::{Attr, Mode, Packing, PerfFile, USUAL, lost, record, sample};
use super::records::LITTLE_64;
use super::writer::Written;
use super::{counting, read};
use slubreplay_parsers::TraceError;
use slubreplay_parsers::recording::Recording;

/// A small file of two CPUs with frees, and a loss a round.
pub(crate) fn small(mode: Mode, packing: Packing) -> PerfFile {
    let formats: Vec<_> = formats(Kernel::V6_1, LITTLE_64).into_iter().filter(|format| [KFREE, CACHE_FREE].contains(&format.id)).collect();
    let payload = |id: u16, ptr: u64, texts: &[(&str, &str)]| {
        let format = formats.iter().find(|format| format.id == id).unwrap();
        format.payload(LITTLE_64, 42, 0, &[("call_site", 0xffff_ffff_8100_0000), ("ptr", ptr)], texts)
    };
    let round = |number: u64| {
        let (cpu, base) = (number as u32 % 2, number * 10_000);
        let free = |at: u64| match at % 2 {
            0 => sample(LITTLE_64, USUAL, 10, cpu, base + at, &payload(KFREE, base + at * 64, &[])),
            _ => sample(LITTLE_64, USUAL, 11, cpu, base + at, &payload(CACHE_FREE, base + at * 64, &[("name", "dentry")])),
        };
        (0..41).map(free).chain([lost(LITTLE_64, 10, cpu, base, 3)]).collect()
    };
    let attrs = vec![Attr::tracepoint(KFREE, &[10]), Attr::tracepoint(CACHE_FREE, &[11])];
    let mut file = PerfFile::new(LITTLE_64, formats.clone(), attrs, (0..4).map(round).collect());
    (file.mode, file.packing) = (mode, packing);
    file
}

/// Its bytes, in the form of the other small files.
pub(crate) fn written(mode: Mode, packing: Packing) -> Written {
    let written = small(mode, packing).write();
    // Records are much alike: some of them stand for all.
    let all = written.parts.len();
    let parts = (0..).zip(written.parts).filter(|(number, _)| *number < 8 || number % 10 == 0 || number + 20 > all);
    Written { bytes: written.bytes, parts: parts.map(|(_, part)| part).collect() }
}

fn read_bytes(bytes: &[u8], what: &str) -> Result<Recording, TraceError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("perf.data");
    std::fs::write(&path, bytes).unwrap();
    read(&path, &what)
}

/// 400 MB of records in a few thousand bytes.
#[test]
fn compressed_data_that_grows_without_measure() {
    let _turn = counting::turn();
    let events = small(Mode::File, Packing::Plain).rounds.concat();
    for (what, filler) in [("zeroes", vec![0; 8]), ("records", record(LITTLE_64, 82, &[])), ("events", events[0].clone())] {
        let mut file = small(Mode::File, Packing::Zstd(16 << 20));
        let block: Vec<u8> = filler.iter().copied().cycle().take(filler.len() * ((16 << 20) / filler.len())).collect();
        file.rounds.splice(0..0, vec![vec![block]; 25]);
        let recording = read_bytes(&file.write().bytes, what).unwrap();
        assert!(recording.accounting.damage_count() > 0, "{what}");
        assert!(recording.event_count() < 1 << 20, "{what}: {}", recording.event_count());
    }
}

#[test]
fn thousands_of_events_with_the_same_ids() {
    let _turn = counting::turn();
    let mut file = small(Mode::File, Packing::Plain);
    file.attrs[0].ids = (0..20_000).collect();
    file.attrs.extend((0..3000).map(|_| Attr::tracepoint(1, &[])));
    let mut bytes = file.write().bytes;
    let attrs = u64::from_le_bytes(bytes[24..32].try_into().unwrap()) as usize;
    for number in 0..3002 {
        let entry = attrs + 144 * number;
        bytes[entry + 128..entry + 136].copy_from_slice(&104_u64.to_le_bytes());
        bytes[entry + 136..entry + 144].copy_from_slice(&160_000_u64.to_le_bytes());
    }
    let message = read_bytes(&bytes, "the same ids").unwrap_err().to_string();
    assert!(message.contains("expected a section of ids within the file that overlaps no other"), "{message}");
}

#[test]
fn samples_of_every_cpu_there_can_be() {
    let _turn = counting::turn();
    let mut file = small(Mode::File, Packing::Plain);
    let raw =
        formats(Kernel::V6_1, LITTLE_64).iter().find(|format| format.id == KFREE).unwrap().payload(LITTLE_64, 1, 0, &[("ptr", 1)], &[]);
    file.rounds = vec![(0..=65_536).map(|cpu| sample(LITTLE_64, USUAL, 10, cpu, 1, &raw)).collect()];
    let recording = read_bytes(&file.write().bytes, "many CPUs").unwrap();
    assert_eq!((recording.streams.len(), recording.accounting.damage_count()), (65_536, 1));
}
