//! How fast text, perf.data and the Parquet store become typed events, in events per second, on one core and on all.
//!
//! What is read is made from the trace.dat that `SLUBREPLAY_TRACE` names, by default a shipped one: the same events as the kernel's
//! `trace` file and `perf script` print them, in samples as `perf record` lays them out for 6.1 and later, and in columns.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use slubreplay_parsers::AnyTrace;
use slubreplay_parsers::event::{AllocCall, Body, Event, FreeCall};
use slubreplay_parsers::recording::Recording;
use slubreplay_parsers::store;

#[allow(dead_code, reason = "shared with tests, which use all of it")]
#[path = "../src/tracedat/tests/layouts.rs"]
mod layouts;
#[allow(dead_code, reason = "shared with tests, which use all of it")]
#[path = "../src/perfdata/tests/writer.rs"]
mod perf_writer;
#[path = "../tests/support/printed.rs"]
mod printed;
#[allow(dead_code, reason = "shared with tests, which use all of it")]
#[path = "../src/tracedat/tests/records.rs"]
mod records;

use layouts::{CACHE_ALLOC, CACHE_FREE, KFREE, KMALLOC, Kernel, PAGE_ALLOC, PAGE_FREE, formats};
use perf_writer::{Attr, PerfFile, USUAL, sample};
use records::{Format, LITTLE_64};

fn decode(criterion: &mut Criterion) {
    let given = std::env::var_os("SLUBREPLAY_TRACE").map(PathBuf::from);
    let shipped = || Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces/midlife-6.12/trace.dat");
    let source = given.unwrap_or_else(shipped);
    let trace = AnyTrace::open(&source).unwrap();
    let recording = trace.decode(&|_| {}).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let mut group = criterion.benchmark_group("formats");
    group.sample_size(20);
    let text = |text: String| text.into_bytes();
    for (name, bytes) in [
        ("ftrace text", text(printed::ftrace(&recording, &|ptr| ptr))),
        ("perf script text", text(printed::perf_script(&recording))),
        ("perf.data", perf_data(&recording)),
    ] {
        std::fs::write(dir.path().join(name), bytes).unwrap();
    }
    store::convert(&trace, &source, &dir.path().join("Parquet"), &|_| {}).unwrap();
    for name in ["ftrace text", "perf script text", "perf.data", "Parquet"] {
        let path = dir.path().join(name);
        group.throughput(Throughput::Elements(open_and_decode(&path)));
        let all = std::thread::available_parallelism().map_or(1, usize::from);
        for threads in [1, all] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            group.bench_function(BenchmarkId::new(name, threads), |bencher| {
                bencher.iter(|| pool.install(|| open_and_decode(black_box(&path))));
            });
        }
    }
    group.finish();
}

/// The whole way from the file to typed events; returns their number.
fn open_and_decode(path: &Path) -> u64 {
    AnyTrace::open(path).unwrap().decode(&|_| {}).unwrap().event_count()
}

/// The events in rounds of perf over the buffers of all CPUs.
fn perf_data(recording: &Recording) -> Vec<u8> {
    /// Events of a round, which takes 4 ms or so on a busy machine.
    const ROUND: usize = 4096;
    let formats = formats(Kernel::V6_1, LITTLE_64);
    let ids = [KMALLOC, CACHE_ALLOC, KFREE, CACHE_FREE, PAGE_ALLOC, PAGE_FREE];
    let attrs = ids.map(|id| Attr::tracepoint(id, &[u64::from(id)])).to_vec();
    let events: Vec<Event> = recording.merged().copied().collect();
    let round = |events: &[Event]| {
        let mut events = events.to_vec();
        // perf empties one CPU's buffer after the other.
        events.sort_by_key(|event| event.cpu);
        events.iter().filter_map(|event| record(event, recording, &formats)).collect()
    };
    PerfFile::new(LITTLE_64, formats.clone(), attrs, events.chunks(ROUND).map(round).collect()).write().bytes
}

/// A sample; `None` for events that perf does not record.
fn record(event: &Event, recording: &Recording, formats: &[Format]) -> Option<Vec<u8>> {
    let (id, fields, name) = match event.body {
        Body::Alloc(alloc) => {
            let id = if alloc.call == AllocCall::Kmalloc { KMALLOC } else { CACHE_ALLOC };
            let sizes = [("bytes_req", alloc.bytes_req), ("bytes_alloc", alloc.bytes_alloc), ("gfp_flags", alloc.gfp_flags.into())];
            let rest = [("node", alloc.node as u64), ("accounted", alloc.accounted.unwrap_or(false).into())];
            let rest = if id == KMALLOC { &rest[..1] } else { &rest[..] };
            (id, [&[("call_site", alloc.call_site), ("ptr", alloc.ptr)], &sizes[..], rest].concat(), None)
        }
        Body::Free(free) => {
            let id = if free.call == FreeCall::Kfree { KFREE } else { CACHE_FREE };
            (id, vec![("call_site", free.call_site), ("ptr", free.ptr)], free.name.map(|name| recording.name(name)))
        }
        Body::PageAlloc(page) => {
            let fields = [("pfn", page.pfn.unwrap_or(u64::MAX)), ("order", page.order.into()), ("gfp_flags", page.gfp_flags.into())];
            (PAGE_ALLOC, [&fields[..], &[("migratetype", page.migratetype as u64)]].concat(), None)
        }
        Body::PageFree { pfn, order } => (PAGE_FREE, vec![("pfn", pfn), ("order", order.into())], None),
        _ => return None,
    };
    let format = formats.iter().find(|format| format.id == id)?;
    let texts: Vec<(&str, &str)> = name.into_iter().filter(|_| id == CACHE_FREE).map(|name| ("name", name)).collect();
    let payload = format.payload(LITTLE_64, event.pid, event.context.0, &fields, &texts);
    Some(sample(LITTLE_64, USUAL, id.into(), event.cpu.into(), event.time_ns, &payload))
}

criterion_group!(benches, decode);
criterion_main!(benches);
