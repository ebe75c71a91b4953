//! A trace in columns is the trace that it was converted from: the same events of every CPU, the same facts.

use std::path::{Path, PathBuf};

use slubreplay_parsers::AnyTrace;
use slubreplay_parsers::event::{Body, Event, MarkId, NameId};
use slubreplay_parsers::recording::Recording;
use slubreplay_parsers::store;

/// An event with its name and mark spelled out: a trace that is read in batches numbers them in another order.
fn spelled(event: &Event, facts: &Recording) -> (Event, Option<String>) {
    let mut event = *event;
    let take = |name: &mut Option<NameId>| name.take().map(|name| facts.name(name).to_owned());
    let text = match &mut event.body {
        Body::Alloc(alloc) => take(&mut alloc.name),
        Body::Free(free) => take(&mut free.name),
        Body::Mark(mark) => Some(facts.mark(std::mem::replace(mark, MarkId(0))).to_owned()),
        _ => None,
    };
    (event, text)
}

/// Bytes of an event in the file, at most: what a trace in columns may take of a disk.
const MOST_BYTES: u64 = 12;

fn survives(path: &Path) {
    let what = path.display();
    let trace = AnyTrace::open(path).unwrap();
    let whole = trace.decode(&|_| {}).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("trace.parquet");
    let converted = store::convert(&trace, path, &out, &|_| {}).unwrap();
    assert_eq!(converted.events, whole.event_count(), "{what}");
    assert_eq!(converted.bytes, std::fs::metadata(&out).unwrap().len(), "{what}");
    assert!(converted.bytes <= MOST_BYTES * converted.events, "{what}: {converted:?}");

    let stored = AnyTrace::open(&out).unwrap();
    let again = stored.decode(&|_| {}).unwrap();
    for (expected, found) in whole.streams.iter().zip(&again.streams) {
        assert_eq!((expected.cpu, expected.events.len()), (found.cpu, found.events.len()), "{what}");
        for (expected, found) in expected.events.iter().zip(&found.events) {
            assert_eq!(spelled(expected, &whole), spelled(found, &again), "{what}");
        }
    }
    assert_eq!(whole.streams.len(), again.streams.len(), "{what}");
    assert_eq!(again.info.format, format!("{}, as Parquet", whole.info.format), "{what}");
    let mut info = whole.info.clone();
    info.format.clone_from(&again.info.format);
    assert_eq!(again.info, info, "{what}");
    assert_eq!(again.sites, whole.sites, "{what}");
    let sorted = |texts: &[String]| {
        let mut texts = texts.to_vec();
        texts.sort();
        texts
    };
    assert_eq!(sorted(&again.names), sorted(&whole.names), "{what}");
    assert_eq!(sorted(&again.marks), sorted(&whole.marks), "{what}");
    let (mut found, mut all) = (again.accounting.clone(), whole.accounting.clone());
    // Noticed in the order of reading.
    for losses in [&mut found.losses, &mut all.losses] {
        losses.sort_by_key(|loss| (loss.time_ns, loss.cpu));
    }
    assert_eq!(found, all, "{what}");
    same_in_batches(&stored, &again);
    same_file_again(&out, dir.path());
}

/// In batches: the order of all CPUs, in pieces of bounded size.
fn same_in_batches(stored: &AnyTrace, whole: &Recording) {
    let mut expected = whole.merged();
    let mut stream = stored.stream(&|_| {}).unwrap();
    loop {
        let batch = stream.next_batch().unwrap();
        if batch.is_empty() {
            break;
        }
        assert!(batch.len() <= 131_072, "a batch of {}", batch.len());
        for event in &batch {
            let expected = expected.next().expect("no more events than there are");
            assert_eq!(spelled(event, stream.facts()), spelled(expected, whole));
        }
    }
    assert!(expected.next().is_none());
    assert_eq!(stream.facts().info, whole.info);
    assert_eq!(stream.facts().accounting, whole.accounting);
    assert_eq!(stream.facts().marks.len(), whole.marks.len());
}

/// A store that is converted is the same store, byte for byte, but for marks, which are numbered in the order of their times then.
fn same_file_again(out: &Path, dir: &Path) {
    let [second, third] = ["second.parquet", "third.parquet"].map(|name| dir.join(name));
    store::convert(&AnyTrace::open(out).unwrap(), out, &second, &|_| {}).unwrap();
    store::convert(&AnyTrace::open(&second).unwrap(), &second, &third, &|_| {}).unwrap();
    assert!(std::fs::read(&second).unwrap() == std::fs::read(&third).unwrap());
}

/// The shipped traces, and those of the folder that `SLUBREPLAY_CAPTURES` names.
#[test]
fn real_recordings_survive() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces");
    let folders = [Some(shipped), std::env::var_os("SLUBREPLAY_CAPTURES").map(PathBuf::from)];
    let mut traces: Vec<PathBuf> = Vec::new();
    for folder in folders.into_iter().flatten() {
        let captures = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        traces.extend(captures.flat_map(|capture| [capture.join("trace.dat"), capture.join("perf.data")]).filter(|trace| trace.is_file()));
    }
    assert!(traces.len() >= 3, "the shipped traces");
    for trace in traces {
        survives(&trace);
    }
}
