//! Files made by an independent writer, read back: every event, count and loss must be what was put in.

mod captures;
mod damage;
mod headers;
mod streams;
mod writer;

use crate::event::{Body, Context, Event, Free, FreeCall};
use crate::recording::Recording;
use crate::tracedat::tests::{layouts, records};
use crate::{AnyTrace, TraceError};
use layouts::{CACHE_FREE, KFREE, Kernel, formats};
use records::{Format, LITTLE_64, Machine};
use writer::{Attr, PerfFile, USUAL, sample};

fn read_bytes(bytes: &[u8]) -> Result<Recording, TraceError> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("perf.data");
    std::fs::write(&path, bytes).unwrap();
    AnyTrace::open(&path)?.decode(&|_| {})
}

fn read(file: &PerfFile) -> Recording {
    read_bytes(&file.write().bytes).unwrap()
}

/// The message of refused bytes, without the path.
fn refusal(bytes: &[u8]) -> String {
    let message = read_bytes(bytes).unwrap_err().to_string();
    let (path, rest) = message.split_once(": ").unwrap();
    assert!(path.ends_with("perf.data"), "{message}");
    rest.to_owned()
}

fn format_of(formats: &[Format], id: u16) -> &Format {
    formats.iter().find(|format| format.id == id).unwrap()
}

/// The raw data of a kfree of `ptr` in the layout of 6.1.
fn kfree(machine: Machine, ptr: u64) -> Vec<u8> {
    let formats = formats(Kernel::V6_1, machine);
    format_of(&formats, KFREE).payload(machine, 7, 0, &[("call_site", 0x8000_0000), ("ptr", ptr)], &[])
}

/// What such a sample must become.
fn freed(time_ns: u64, cpu: u16, ptr: u64) -> Event {
    let free = Free { call_site: 0x8000_0000, ptr, name: None, call: FreeCall::Kfree };
    Event { time_ns, body: Body::Free(free), pid: 7, cpu, context: Context(0) }
}

/// Ids of kfree in the small file, one a CPU.
const KFREE_IDS: [u64; 2] = [10, 11];

/// A sample of kfree in the small file.
fn freeing(cpu: u32, time: u64, ptr: u64) -> Vec<u8> {
    sample(LITTLE_64, USUAL, KFREE_IDS[cpu as usize % 2], cpu, time, &kfree(LITTLE_64, ptr))
}

/// kfree and kmem_cache_free as recorded by `perf record -a -R`, and the event that perf adds for itself.
fn file(rounds: Vec<Vec<Vec<u8>>>) -> PerfFile {
    let dummy = Attr { kind: 1, config: 9, sample_type: USUAL & !writer::PERIOD, name: "dummy:HG", ..Attr::tracepoint(0, &[14, 15]) };
    let attrs = vec![Attr::tracepoint(KFREE, &KFREE_IDS), Attr::tracepoint(CACHE_FREE, &[12, 13]), dummy];
    PerfFile::new(LITTLE_64, formats(Kernel::V6_1, LITTLE_64), attrs, rounds)
}

fn merged(recording: &Recording) -> Vec<Event> {
    recording.merged().copied().collect()
}
