//! A trace that is read in batches is the trace that is read at once: same events in the same order, same account.

use std::path::{Path, PathBuf};

use slubreplay_parsers::AnyTrace;
use slubreplay_parsers::event::{Body, Event, MarkId, NameId};
use slubreplay_parsers::recording::Recording;

/// An event with its name and mark spelled out: their numbers follow the order in which pieces are decoded.
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

/// More than two rounds of perf over its buffers, and less than the larger traces have.
const MOST_AT_A_TIME: usize = 1 << 19;

fn same_in_batches(path: &Path) {
    let what = path.display();
    let trace = AnyTrace::open(path).unwrap();
    let whole = trace.decode(&|_| {}).unwrap();
    let mut expected = whole.merged();
    let mut stream = trace.stream(&|_| {}).unwrap();
    let mut batches = 0;
    loop {
        let batch = stream.next_batch().unwrap();
        if batch.is_empty() {
            break;
        }
        batches += 1;
        assert!(batch.len() <= MOST_AT_A_TIME, "{what}: a batch of {}", batch.len());
        for event in &batch {
            let expected = expected.next().expect("no more events than there are");
            assert_eq!(spelled(event, stream.facts()), spelled(expected, &whole), "{what}");
        }
    }
    assert!(expected.next().is_none(), "{what}: after {batches} batches");
    let facts = stream.facts();
    assert_eq!(facts.info, whole.info, "{what}");
    let (mut found, mut all) = (facts.accounting.clone(), whole.accounting.clone());
    // Noticed in the order of reading.
    for losses in [&mut found.losses, &mut all.losses] {
        losses.sort_by_key(|loss| (loss.time_ns, loss.cpu));
    }
    assert_eq!(found, all, "{what}");
}

/// The shipped traces, and those of the folder that `SLUBREPLAY_CAPTURES` names.
#[test]
fn real_recordings_in_batches() {
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces");
    let folders = [Some(shipped), std::env::var_os("SLUBREPLAY_CAPTURES").map(PathBuf::from)];
    let mut traces: Vec<PathBuf> = Vec::new();
    for folder in folders.into_iter().flatten() {
        let captures = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        traces.extend(captures.flat_map(|capture| [capture.join("trace.dat"), capture.join("perf.data")]).filter(|trace| trace.is_file()));
    }
    assert!(traces.len() >= 3, "the shipped traces");
    for trace in traces {
        same_in_batches(&trace);
    }
}
