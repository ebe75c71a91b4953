//! Headers that are damaged, or of recordings that cannot be read.

use super::writer::{CPU, Mode, TIME};
use super::*;

fn whole() -> PerfFile {
    file(vec![vec![freeing(0, 1, 1)]])
}

fn changed(at: usize, with: &[u8]) -> String {
    let mut bytes = whole().write().bytes;
    bytes[at..at + with.len()].copy_from_slice(with);
    refusal(&bytes)
}

#[test]
fn damage_is_named_with_its_place() {
    let expected = crate::any::FORMATS;
    let found = "50 45 52 46 49 4c 45 33 68 00 00 00…";
    assert_eq!(changed(0, b"PERFILE3"), format!("preamble, byte 0: expected {expected}, found {found}"));
    assert_eq!(changed(0, b"PERFFILE"), "perf.data version 1, of 2010 and before; version 2 can be read");
    let places = [
        (8, "perf.data header, byte 8: expected a header size of 104 (file) or 16 (pipe), found 07"),
        (16, "perf.data header, byte 16: expected an attr entry size from 80 to 4096, found 07"),
        (24, "attrs, event 0, byte 135: expected ids, 3840 bytes at byte 3584, within the file"),
        (32, "perf.data header, byte 24: expected an attrs section of whole entries of 144 bytes, found"),
        (48, "perf.data header, byte 40: expected the table of features"),
        (156, "attrs, event 0, byte 152: expected an event's description whose own size is 64 to 128 bytes, found"),
    ];
    for (at, expected) in places {
        let message = if at == 48 { changed(at, &[0xff; 4]) } else { changed(at, &[7, 0]) };
        assert!(message.starts_with(expected), "byte {at}: {message}");
    }
}

#[test]
fn formats_are_needed_and_must_be_right() {
    let mut bytes = whole().write().bytes;
    bytes[72] = 0; // features 0 to 7
    assert!(refusal(&bytes).contains("expected") || refusal(&bytes).contains("no event formats"));
    let mut bytes = whole().write().bytes;
    let at = bytes.windows(10).position(|window| window == b"\x17\x08\x44tracing").unwrap();
    bytes[at + 10] = b'9';
    assert!(refusal(&bytes).starts_with(&format!("tracing data, byte {}: expected version 0.5 or 0.6", at + 10)));
    bytes[at + 10] = b'0';
    bytes[at + 14] = 1;
    assert!(refusal(&bytes).starts_with(&format!("tracing data, byte {}: expected the byte order of the file", at + 14)));
    let mut pipe = whole();
    pipe.mode = Mode::Pipe { counts_padding: true };
    let bytes = pipe.write().bytes;
    assert!(refusal(&bytes[..16]).starts_with("there are no event formats in it"));
}

#[test]
fn a_feature_that_is_only_for_information_costs_no_more_than_itself() {
    let mut file = whole();
    file.features[0].1 = vec![0xff; 8];
    let recording = read(&file);
    assert_eq!(recording.event_count(), 1);
    assert!(recording.accounting.remarks[0].starts_with("a part of the header was not understood: feature 3, byte "));
    assert_eq!((recording.info.hostname.as_str(), recording.info.kernel.as_str()), ("", "6.12.0-test"));
}

#[test]
fn samples_without_what_an_event_needs_are_refused() {
    for (bit, what) in [(TIME, "time"), (CPU, "CPU"), (writer::RAW, "raw data")] {
        let mut file = whole();
        file.attrs[1].sample_type &= !bit;
        let expected = format!("samples of kmem_cache_free were recorded without their {what}; record with `perf record -a -R`");
        assert_eq!(refusal(&file.write().bytes), expected);
    }
    let mut file = whole();
    file.attrs[1].sample_type &= !writer::IDENTIFIER;
    assert!(refusal(&file.write().bytes).starts_with("nothing tells the samples of its events apart"));
}

#[test]
fn unfinished_recordings() {
    let written = whole().write();
    let data = written.parts[3];
    // Killed before the header was written again: no sizes, no features.
    let mut bytes = written.bytes[..data + 80].to_vec();
    bytes[48..56].fill(0);
    bytes[72..104].fill(0);
    assert!(refusal(&bytes).starts_with("the recording was not finished"));
    // One part of a recording by threads.
    let mut file = whole();
    file.features.push((24, 1_u64.to_le_bytes().to_vec()));
    assert!(refusal(&file.write().bytes).contains("record without --threads"));
}
