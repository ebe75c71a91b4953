//! Folders of raw ring-buffer pages: the pages of a shipped trace.dat taken out of it, and made ones.

mod damage;
#[allow(dead_code, reason = "shared with the unit tests, which use all of it")]
#[path = "../../src/tracedat/tests/layouts.rs"]
mod layouts;
#[allow(dead_code, reason = "shared with the unit tests, which use all of it")]
#[path = "../../src/tracedat/tests/records.rs"]
mod records;
mod shipped;
mod unpack;

use std::path::Path;

use slubreplay_parsers::AnyTrace;
use slubreplay_parsers::event::Event;
use slubreplay_parsers::recording::Recording;

/// Writes a file, and the folders that it is in.
fn put(dir: &Path, name: &str, content: impl AsRef<[u8]>) {
    let path = dir.join(name);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, content).unwrap();
}

fn decode(path: &Path) -> Recording {
    AnyTrace::open(path).unwrap().decode(&|_| {}).unwrap()
}

/// All events by way of batches, with what the stream told at the end.
fn streamed(path: &Path) -> (Vec<Event>, Recording) {
    let trace = AnyTrace::open(path).unwrap();
    let mut source = trace.stream(&|_| {}).unwrap();
    let mut events = Vec::new();
    loop {
        let batch = source.next_batch().unwrap();
        if batch.is_empty() {
            return (events, source.facts().clone());
        }
        events.extend(batch);
    }
}

/// The message of a refusal, without the path of the folder.
fn refusal(dir: &Path) -> String {
    let message = AnyTrace::open(dir).map(drop).unwrap_err().to_string();
    let shown = dir.display().to_string();
    message.strip_prefix(&shown).unwrap_or_else(|| panic!("{message:?} names {shown}")).to_owned()
}
