//! The pages of a shipped trace.dat as a folder give the events of the trace.dat.

use std::path::{Path, PathBuf};

use slubreplay_parsers::capture::Capture;
use slubreplay_parsers::event::{Alloc, Body, Event, Free, MarkId};
use slubreplay_parsers::recording::Recording;

use super::{decode, put, streamed, unpack};

fn shipped() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/midlife-6.12/trace.dat")
}

/// An event with its name and mark spelled out: their numbers follow the order in which pieces are decoded.
fn spelled(event: &Event, facts: &Recording) -> (Event, Option<String>) {
    let mut event = *event;
    let text = match &mut event.body {
        Body::Alloc(Alloc { name, .. }) | Body::Free(Free { name, .. }) => name.take().map(|name| facts.name(name).to_owned()),
        Body::Mark(mark) => Some(facts.mark(std::mem::replace(mark, MarkId(0))).to_owned()),
        _ => None,
    };
    (event, text)
}

/// Writes the folder, with the pages of a CPU under the name that `name` gives.
fn write_dump(dir: &Path, name: impl Fn(u32) -> String) -> unpack::Tracefs {
    let tracefs = unpack::tracefs(&shipped());
    put(dir, "events/header_page", &tracefs.header_page);
    put(dir, "events/enable", "X\n");
    put(dir, "trace_clock", "local [global] counter\n");
    put(dir, "uname", "Linux lab 6.12.117 #1 SMP x86_64 GNU/Linux\n");
    for (system, event, text) in &tracefs.formats {
        put(dir, &format!("events/{system}/{event}/format"), text);
    }
    for (cpu, pages) in &tracefs.cpus {
        put(dir, &name(*cpu), pages);
    }
    tracefs
}

#[test]
fn every_event_is_that_of_the_trace_dat() {
    let dir = tempfile::tempdir().unwrap();
    let tracefs = write_dump(dir.path(), |cpu| format!("per_cpu/cpu{cpu}/trace_pipe_raw"));
    let (expected, read) = (decode(&shipped()), decode(dir.path()));
    assert!(expected.event_count() > 500_000, "the whole trace is there");
    assert_eq!((&read.names, &read.marks), (&expected.names, &expected.marks));
    assert_eq!(read.streams.len(), expected.streams.len());
    for (read, expected) in read.streams.iter().zip(&expected.streams) {
        assert_eq!(read.cpu, expected.cpu);
        assert!(read.events == expected.events, "CPU {}", read.cpu);
    }
    assert_eq!(read.accounting, expected.accounting);
    let pages: usize = tracefs.cpus.iter().map(|(_, pages)| pages.len() / tracefs.sub_buffer_bytes).sum();
    assert_eq!(read.accounting.sub_buffers, pages as u64);
    let info = &read.info;
    assert_eq!((info.kernel.as_str(), info.hostname.as_str(), info.clock.as_str()), ("6.12.117", "lab", "global"));
    assert_eq!((info.format.as_str(), info.cpus, info.long_bytes), ("raw ring buffer pages", 4, 8));
}

#[test]
fn batches_give_the_same_events() {
    let dir = tempfile::tempdir().unwrap();
    write_dump(dir.path(), |cpu| format!("cpu{cpu}.raw"));
    let whole = decode(dir.path());
    let (events, facts) = streamed(dir.path());
    assert_eq!(events.len() as u64, whole.event_count());
    for (read, expected) in events.iter().zip(whole.merged()) {
        assert_eq!(spelled(read, &facts), spelled(expected, &whole));
    }
    assert_eq!((facts.accounting, facts.info), (whole.accounting, whole.info));
}

/// In a capture the pages are in a folder `ring`, or beside the other files.
#[test]
fn a_capture_may_have_pages_for_its_trace() {
    for within in ["ring/", ""] {
        let dir = tempfile::tempdir().unwrap();
        write_dump(&dir.path().join(within), |cpu| format!("cpu{cpu}/trace_pipe_raw"));
        put(dir.path(), "slab.after", "dentry,order,0\n");
        let capture = Capture::open(dir.path()).unwrap();
        assert_eq!(capture.trace, dir.path().join(within));
        assert!(capture.after.is_some());
        assert_eq!(decode(&capture.trace).event_count(), decode(&shipped()).event_count());
    }
}
