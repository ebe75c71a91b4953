//! Files made by an independent writer, read back: every event, count and loss must be what was put in.

mod headers;
pub(crate) mod layouts;
mod matrix;
pub(crate) mod records;
mod streams;
mod structure;
mod writer;

use crate::TraceError;
use crate::event::{Body, Context, Event, Free, FreeCall, MarkId};
use crate::recording::Recording;
use crate::tracedat::TraceDat;
use layouts::{KFREE, Kernel};
use records::{Format, Machine, Record};
use writer::TraceFile;

/// An event with its cache name or marker text spelled out.
type Seen = (Event, String);

fn read_bytes(bytes: &[u8]) -> Result<Recording, TraceError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.dat");
    std::fs::write(&path, bytes).unwrap();
    TraceDat::open(&path)?.decode(&|_| {})
}

fn read(file: &TraceFile) -> Recording {
    read_bytes(&file.write().bytes).unwrap()
}

/// The message of a refused file, without its path.
fn refusal(file: &TraceFile) -> String {
    let message = read_bytes(&file.write().bytes).unwrap_err().to_string();
    let (path, rest) = message.split_once(": ").unwrap();
    assert!(path.ends_with("trace.dat"), "{message}");
    rest.to_owned()
}

/// All events in merged order, with the numbers of names and marks replaced by their texts.
fn seen(recording: &Recording) -> Vec<Seen> {
    let spelled = |event: &Event| {
        let mut event = *event;
        let text = match &mut event.body {
            Body::Alloc(alloc) => alloc.name.take().map_or("", |name| recording.name(name)),
            Body::Free(free) => free.name.take().map_or("", |name| recording.name(name)),
            Body::Mark(id) => recording.mark(std::mem::replace(id, MarkId(0))),
            _ => "",
        };
        (event, text.to_owned())
    };
    recording.merged().map(spelled).collect()
}

fn format_of(formats: &[Format], id: u16) -> &Format {
    formats.iter().find(|format| format.id == id).unwrap()
}

/// The payload of a kfree of `ptr` in the layout of 6.1.
fn kfree(machine: Machine, ptr: u64) -> Vec<u8> {
    let formats = layouts::formats(Kernel::V6_1, machine);
    format_of(&formats, KFREE).payload(machine, 7, 0, &[("call_site", 0x8000_0000), ("ptr", ptr)], &[])
}

fn kfree_record(machine: Machine, delta: u32, ptr: u64) -> Record {
    Record::Data(delta, kfree(machine, ptr))
}

/// What such a record must become.
fn freed(time_ns: u64, cpu: u16, ptr: u64) -> Seen {
    let free = Free { call_site: 0x8000_0000, ptr, name: None, call: FreeCall::Kfree };
    (Event { time_ns, body: Body::Free(free), pid: 7, cpu, context: Context(0) }, String::new())
}
