//! Writes what fuzzing starts from: `cargo test -p slubreplay-parsers --test bad_input seeds -- --ignored`, see `fuzz/README.md`.

use std::path::{Path, PathBuf};

use super::perf_writer::{Mode, Packing};
use super::records::{LITTLE_64, Page, Record};
use super::{perf, small_files};
use slubreplay_parsers::AnyTrace;

fn corpus(target: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
#[ignore = "writes files into the source"]
fn write_seeds() {
    for (name, written) in small_files() {
        let target = if name.starts_with("perf") { "perfdata" } else { "tracedat" };
        std::fs::write(corpus(target).join(format!("seed-{}", name.replace(' ', "-"))), &written.bytes).unwrap();
    }
    let mut head = perf::small(Mode::Pipe { counts_padding: true }, Packing::Plain);
    let all = head.write().bytes;
    head.rounds.clear();
    let head = head.write().bytes;
    std::fs::write(Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/perf-head"), &head).unwrap();
    std::fs::write(corpus("perfrecords").join("seed"), all.strip_prefix(&head[..]).unwrap()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (trace, parquet) = (dir.path().join("trace.dat"), corpus("store").join("seed"));
    std::fs::write(&trace, &small_files()[0].1.bytes).unwrap();
    slubreplay_parsers::store::convert(&AnyTrace::open(&trace).unwrap(), &trace, &parquet, &|_| {}).unwrap();
    // A record of every event of `fuzzing::formats`, all numbers 1.
    let record = |id: u16, bytes: usize| {
        let head = [&id.to_le_bytes()[..], &[0, 0, 1, 0, 0, 0]].concat();
        let words = (0..bytes / 8).flat_map(|_| 1_u64.to_le_bytes());
        Record::Data(1, head.into_iter().chain(words).collect())
    };
    let records = [(1, 48), (2, 48), (3, 16), (4, 24), (5, 16), (6, 16), (7, 8)].map(|(id, bytes)| record(id, bytes));
    let page = Page {
        lost: Some(Some(3)),
        ..Page::new(7, records.into_iter().chain([Record::Extend(1 << 30), Record::Padding(9, 40)]).collect())
    };
    std::fs::write(corpus("ring").join("seed"), [vec![0], page.bytes(LITTLE_64, 4096)].concat()).unwrap();
}
