//! How fast traces become typed events, in events per second.
//!
//! Reads the file that `SLUBREPLAY_TRACE` names, else a generated one of about a million events.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use slubreplay_parsers::AnyTrace;

#[allow(dead_code, reason = "shared with tests, which use all of it")]
#[path = "../src/tracedat/tests/layouts.rs"]
mod layouts;
#[allow(dead_code, reason = "shared with tests, which use all of it")]
#[path = "../src/tracedat/tests/records.rs"]
mod records;
#[allow(dead_code, reason = "shared with tests, which use all of it")]
#[path = "../src/tracedat/tests/writer.rs"]
mod writer;

use layouts::{CACHE_ALLOC, CACHE_FREE, Kernel, formats};
use records::{LITTLE_64, Page, Record};
use writer::{Buffer, Codec, TraceFile};

fn decode(criterion: &mut Criterion) {
    let dir = tempfile::tempdir().unwrap();
    let given = std::env::var_os("SLUBREPLAY_TRACE").map(PathBuf::from);
    let path = given.unwrap_or_else(|| generated(dir.path()));
    let events = open_and_decode(&path);
    let mut group = criterion.benchmark_group("decode");
    group.throughput(Throughput::Elements(events)).sample_size(20);
    let all = std::thread::available_parallelism().map_or(1, usize::from);
    for threads in [1, all] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        group.bench_function(BenchmarkId::new("threads", threads), |bencher| {
            bencher.iter(|| pool.install(|| open_and_decode(black_box(&path))));
        });
    }
    group.finish();
}

/// The whole way from the file to typed events; returns their number.
fn open_and_decode(path: &Path) -> u64 {
    AnyTrace::open(path).unwrap().decode(&|_| {}).unwrap().event_count()
}

/// A version 7 zstd file of 4 CPUs with 1,015,808 events: allocations and frees with cache names.
fn generated(dir: &Path) -> PathBuf {
    let formats = formats(Kernel::V6_18, LITTLE_64);
    let of = |id: u16| formats.iter().find(|format| format.id == id).unwrap();
    let (alloc, free) = (of(CACHE_ALLOC), of(CACHE_FREE));
    let mut address = 0x9e37_79b9_7f4a_7c15_u64;
    let mut page = |number: u64| {
        let mut records = Vec::new();
        for _ in 0..31 {
            // Addresses scatter, as they do in a kernel, so that the data compresses as little.
            address = address.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let ptr = 0xffff_8880_0000_0000 | (address >> 32 << 6 & 0xffff_ffc0);
            let site = 0xffff_ffff_8120_0000 + (address >> 60);
            let sizes = [("call_site", site), ("ptr", ptr), ("bytes_req", 184), ("bytes_alloc", 192)];
            let rest = [("gfp_flags", 0xcc0), ("node", u64::MAX), ("accounted", 0)];
            let taken = alloc.payload(LITTLE_64, 1234, 0, &[&sizes[..], &rest].concat(), &[("name", "dentry")]);
            let given = free.payload(LITTLE_64, 1234, 0, &[("call_site", site), ("ptr", ptr)], &[("name", "dentry")]);
            let delta = (address >> 40 & 0x3ff) as u32;
            records.extend([Record::Data(delta, taken), Record::Data(delta + 100, given)]);
        }
        Page::new(1_000_000_000 + number * 40_000, records)
    };
    let cpus = (0..4).map(|cpu| (cpu, (0..4096).map(&mut page).collect())).collect();
    let mut file = TraceFile::new(7, LITTLE_64, formats.clone(), vec![Buffer::new("", 4096, cpus)]);
    file.codec = Codec::Zstd;
    let path = dir.join("trace.dat");
    std::fs::write(&path, file.write().bytes).unwrap();
    path
}

criterion_group!(benches, decode);
criterion_main!(benches);
