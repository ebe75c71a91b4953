//! Files that end early, and files with wrong bits.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::writer::Written;
use super::{Numbers, SMALL_EVENTS, counting, read, small_files};

/// Cuts a file to each length, the longest first; a file cut short never reads as whole. Only what came
/// from a pipe says nowhere how long it is, and may end with any record.
fn cut(path: &Path, lengths: BTreeSet<usize>, name: &str) {
    let file = File::options().write(true).open(path).unwrap();
    for length in lengths.into_iter().rev() {
        file.set_len(length as u64).unwrap();
        if let Ok(recording) = read(path, &(name, "cut at", length))
            && !name.contains("pipe")
        {
            assert!(recording.accounting.damage_count() > 0, "{name}, cut at {length}: read without a word");
        }
    }
}

/// Offset of the first CPU's data; that of the end for perf.data, which has headers behind the data too.
fn headers_end(written: &Written) -> usize {
    written.parts.iter().copied().find(|&at| at > 0 && at % 4096 == 0 && written.bytes[at - 1] == 0).unwrap_or(written.bytes.len())
}

#[test]
fn cut_at_every_byte_of_the_headers_at_every_part_and_anywhere() {
    let _turn = counting::turn();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.dat");
    for (name, written) in small_files() {
        std::fs::write(&path, &written.bytes).unwrap();
        let mut numbers = Numbers(0x5eed);
        let mut lengths: BTreeSet<usize> = (0..headers_end(&written)).collect();
        lengths.extend(written.parts.iter().flat_map(|&at| [at.saturating_sub(1), at, at + 1]));
        lengths.extend((0..1000).map(|_| numbers.below(written.bytes.len())));
        lengths.retain(|&length| length < written.bytes.len());
        cut(&path, lengths, name);
    }
}

/// Flips 1 to 4 random bits at a time, `rounds` times.
fn flip(path: &Path, bytes: &[u8], rounds: usize, name: &str) {
    let file = File::options().write(true).open(path).unwrap();
    let mut numbers = Numbers(0xb175);
    for round in 0..rounds {
        let places: Vec<usize> = (0..=numbers.below(4)).map(|_| numbers.below(bytes.len() * 8)).collect();
        for place in &places {
            file.write_all_at(&[bytes[place / 8] ^ (1 << (place % 8))], (place / 8) as u64).unwrap();
        }
        let _ = read(path, &(name, "round", round, "bits", &places));
        for place in &places {
            file.write_all_at(&bytes[place / 8..=place / 8], (place / 8) as u64).unwrap();
        }
    }
}

#[test]
fn twenty_thousand_rounds_of_flipped_bits() {
    let _turn = counting::turn();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.dat");
    for (name, Written { bytes, .. }) in small_files() {
        std::fs::write(&path, &bytes).unwrap();
        flip(&path, &bytes, 2_500, name);
        assert_eq!(read(&path, &name).unwrap().event_count(), SMALL_EVENTS, "{name}: the file is as it was");
    }
}

/// The smallest of the recordings of that name that `SLUBREPLAY_CAPTURES` holds.
fn smallest_recording(file: &str) -> Option<PathBuf> {
    let folder = std::env::var_os("SLUBREPLAY_CAPTURES")?;
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let traces = entries.filter_map(|entry| Some(entry.ok()?.path().join(file))).filter(|path| path.is_file());
    traces.min_by_key(|path| std::fs::metadata(path).map_or(u64::MAX, |metadata| metadata.len()))
}

#[test]
fn a_real_recording_cut_and_flipped() {
    for (file, rounds, cuts) in [("trace.dat", 40, 1000), ("perf.data", 10, 1000)] {
        real_cut_and_flipped(file, rounds, cuts);
    }
}

fn real_cut_and_flipped(file: &str, rounds: usize, cuts: usize) {
    let Some(real) = smallest_recording(file) else {
        #[expect(clippy::print_stderr, reason = "a skipped test should say so")]
        {
            eprintln!("skipped: SLUBREPLAY_CAPTURES names no folder with */{file}");
        }
        return;
    };
    let _turn = counting::turn();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(file);
    let bytes = std::fs::read(&real).unwrap();
    std::fs::write(&path, &bytes).unwrap();
    let name = real.display().to_string();
    flip(&path, &bytes, rounds, &name);
    let mut numbers = Numbers(0x5eed);
    cut(&path, (0..cuts).map(|_| numbers.below(bytes.len())).collect(), &name);
}
