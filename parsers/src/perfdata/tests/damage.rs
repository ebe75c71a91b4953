//! Damage in the data: what it costs, and what it does not.

use super::writer::Packing;
use super::*;

/// Rounds of two samples, at times `10 * round` and one after.
fn rounds(count: u64) -> Vec<Vec<Vec<u8>>> {
    (0..count).map(|round| vec![freeing(0, 10 * round, round), freeing(0, 10 * round + 1, round)]).collect()
}

fn times(recording: &Recording) -> Vec<u64> {
    recording.merged().map(|event| event.time_ns).collect()
}

fn place(bytes: &[u8], wanted: &[u8]) -> usize {
    bytes.windows(wanted.len()).position(|window| window == wanted).unwrap()
}

#[test]
fn a_record_without_a_size_costs_the_rest_of_its_round() {
    let mut bytes = file(rounds(3)).write().bytes;
    let at = place(&bytes, &freeing(0, 10, 1));
    bytes[at + 6] = 0;
    let recording = read_bytes(&bytes).unwrap();
    assert_eq!(times(&recording), [0, 1, 20, 21]);
    let damage = &recording.accounting.damages[0];
    assert_eq!((recording.accounting.damage_count(), damage.byte, damage.reason.as_str()), (1, at as u64, "a record size of at least 8"));
}

#[test]
fn a_record_without_a_size_in_compressed_data_costs_the_same() {
    let mut broken = rounds(3);
    broken[1][0][6] = 0;
    let mut file = file(broken);
    file.packing = Packing::Zstd(1 << 15);
    let recording = read(&file);
    assert_eq!(times(&recording), [0, 1, 20, 21]);
    assert!(recording.accounting.damages[0].reason.starts_with("a record size of at least 8"));
}

#[test]
fn compressed_data_is_lost_from_the_damage_on() {
    let mut file = file(rounds(4));
    file.packing = Packing::Zstd(1 << 15);
    let written = file.write();
    let packed: Vec<usize> = written.parts.iter().copied().filter(|&at| written.bytes[at..].starts_with(&[81, 0, 0, 0, 0, 0])).collect();
    assert_eq!(packed.len(), 4);
    let mut bytes = written.bytes.clone();
    // An impossible block type in the second record.
    bytes[packed[1] + 8] |= 0x06;
    let recording = read_bytes(&bytes).unwrap();
    assert_eq!(times(&recording), [0, 1]);
    let accounting = &recording.accounting;
    assert_eq!((accounting.damage_count(), accounting.damages[0].byte), (1, packed[1] as u64));
    assert!(accounting.remarks[0].contains("bytes of compressed records could not be read"), "{:?}", accounting.remarks);
    // A record that is skipped over leaves a hole in the stream too.
    let mut bytes = written.bytes;
    bytes[packed[1] + 6..packed[1] + 8].fill(0);
    let recording = read_bytes(&bytes).unwrap();
    assert_eq!(times(&recording), [0, 1]);
    assert_eq!(recording.accounting.damage_count(), 1);
}

#[test]
fn a_size_beyond_the_data_is_damage() {
    let whole = file(rounds(2));
    let mut bytes = whole.write().bytes;
    let at = place(&bytes, &freeing(0, 11, 1));
    bytes[at + 6..at + 8].fill(0xff);
    let recording = read_bytes(&bytes).unwrap();
    assert_eq!(times(&recording), [0, 1, 10]);
    assert_eq!(recording.accounting.damages[0].reason, "a record that ends within the data");
}

#[test]
fn data_mostly_of_unknown_records_is_refused() {
    let unknown = writer::record(LITTLE_64, 190, &[0; 64]);
    let message = refusal(&file(vec![vec![unknown; 10]]).write().bytes);
    assert_eq!(message, "a perf.data without samples, most of it in records of unknown kinds (190)");
}
