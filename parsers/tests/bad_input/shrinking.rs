//! Files that lose their end while they are read.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use super::layouts::{KFREE, Kernel, formats};
use super::records::{LITTLE_64, Page, Record};
use super::writer::{Buffer, Codec, TraceFile};
use super::{Numbers, counting};
use slubreplay_parsers::TraceError;
use slubreplay_parsers::tracedat::TraceDat;

const PAGES: u64 = 256;
const EVENTS: u64 = 2 * PAGES * 100;

fn large(version: u8) -> Vec<u8> {
    let formats = formats(Kernel::V6_1, LITTLE_64);
    let kfree = formats.iter().find(|format| format.id == KFREE).unwrap();
    let page = |number: u64| {
        let record = |at: u64| Record::Data(1, kfree.payload(LITTLE_64, 1, 0, &[("call_site", at), ("ptr", number * 4096 + at)], &[]));
        Page::new(number * 1000, (0..100).map(record).collect())
    };
    let cpus = (0..2).map(|cpu| (cpu, (0..PAGES).map(page).collect())).collect();
    let mut file = TraceFile::new(version, LITTLE_64, formats.clone(), vec![Buffer::new("", 4096, cpus)]);
    file.codec = Codec::Zstd;
    file.write().bytes
}

fn truncate(path: &Path, length: usize) {
    File::options().write(true).open(path).unwrap().set_len(length as u64).unwrap();
}

fn is_shrank<T>(result: &Result<T, TraceError>) -> bool {
    matches!(result, Err(TraceError::Shrank { .. }))
}

#[test]
fn truncated_between_open_and_decode() {
    let _turn = counting::turn();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.dat");
    for version in [6, 7] {
        let bytes = large(version);
        let mut numbers = Numbers(version.into());
        // The last byte alone leaves its page in place: nothing faults, and yet it is gone.
        for length in (0..30).map(|_| numbers.below(bytes.len())).chain([0, 1, bytes.len() - 1]) {
            std::fs::write(&path, &bytes).unwrap();
            let trace = TraceDat::open(&path).unwrap();
            truncate(&path, length);
            let result = trace.decode(&|_| {});
            assert!(is_shrank(&result), "v{version}, cut to {length}: {:?}", result.map(|recording| recording.event_count()));
        }
    }
}

#[test]
fn truncated_by_another_thread_during_decode() {
    let _turn = counting::turn();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.dat");
    let mut outcomes = [0; 2];
    for version in [6, 7] {
        let bytes = large(version);
        let mut numbers = Numbers(0xacce + u64::from(version));
        for _ in 0..150 {
            std::fs::write(&path, &bytes).unwrap();
            let trace = TraceDat::open(&path).unwrap();
            let (length, delay) = (numbers.below(bytes.len()), Duration::from_micros(numbers.below(6000) as u64));
            let result = std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(delay);
                    truncate(&path, length);
                });
                trace.decode(&|_| {})
            });
            match result {
                Ok(recording) => assert_eq!(recording.event_count(), EVENTS, "v{version}: whatever was read, was read whole"),
                Err(TraceError::Shrank { mapped_bytes, .. }) => assert_eq!(mapped_bytes, bytes.len() as u64),
                Err(other) => panic!("v{version}, cut to {length} after {delay:?}: {other}"),
            }
            outcomes[usize::from(is_shrank(&trace.decode(&|_| {})))] += 1;
        }
    }
    assert_eq!(outcomes, [0, 300], "once cut, a file that is open stays refused");
}

/// Whether it is cut before, while or after it is mapped: an error or a recording, and no signal.
#[test]
fn truncated_by_another_thread_during_open() {
    let _turn = counting::turn();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.dat");
    for version in [6, 7] {
        let bytes = large(version);
        let mut numbers = Numbers(0x09e4 + u64::from(version));
        for _ in 0..150 {
            std::fs::write(&path, &bytes).unwrap();
            let (length, delay) = (numbers.below(bytes.len()), Duration::from_micros(numbers.below(300) as u64));
            std::thread::scope(|scope| {
                scope.spawn(|| {
                    std::thread::sleep(delay);
                    truncate(&path, length);
                });
                let result = TraceDat::open(&path).and_then(|trace| trace.decode(&|_| {}));
                if let Ok(recording) = result {
                    let is_whole = recording.event_count() == EVENTS;
                    assert!(is_whole || recording.accounting.damage_count() > 0, "v{version}, cut to {length}: read without a word");
                }
            });
        }
    }
}
