//! Inputs for tests, small enough to work out every figure by hand.

pub(crate) mod pages;
pub(crate) mod threads;

use crate::input::{
    AllocPaths, CacheFigures, CacheSeries, CounterFigure, FreePaths, LedgerEntry, ReportInput, RunFacts, SizingDifference, Timeline,
};

/// Nothing was replayed.
pub(crate) fn empty() -> ReportInput {
    ReportInput {
        run: RunFacts::default(),
        caches: Vec::new(),
        counters: Vec::new(),
        timeline: Timeline::default(),
        ledger: Vec::new(),
        sizing_differences: Vec::new(),
    }
}

/// Three caches, one of them idle, and three moments.
pub(crate) fn small() -> ReportInput {
    ReportInput {
        run: run(),
        caches: vec![kmalloc_64(), dentry(), idle()],
        counters: vec![counter(0, "alloc_fastpath", 0, 50), counter(0, "alloc_fastpath", 1, 30), counter(1, "alloc_slab", 0, 7)],
        timeline: Timeline {
            time_ns: vec![0, 500, 1000],
            caches: vec![
                series(0, [0, 8192, 4096], [0, 6400, 640], [0, 1, 0]),
                series(1, [4096, 16384, 16384], [192, 9600, 1920], [0, 2, 3]),
            ],
        },
        ledger: vec![
            entry("allocations", "observed", "kmalloc-64", 100),
            entry("implied frees", "inferred", "kmalloc-64", 12),
            entry("implied frees", "inferred", "dentry", 5),
            entry("unknown lines", "unusable", "", 3),
        ],
        sizing_differences: vec![SizingDifference { cache: "dentry".to_owned(), attribute: "order", kernel: 1, computed: 0 }],
    }
}

fn run() -> RunFacts {
    RunFacts {
        trace: "traces/small.dat".to_owned(),
        format: "trace.dat v7".to_owned(),
        kernel: "6.12.117".to_owned(),
        model: "SLUB 6.8-6.17".to_owned(),
        cpus: 2,
        nodes: 1,
        page_bytes: 4096,
        duration_ns: 1000,
        events: vec![("kmalloc".to_owned(), 1100), ("kfree".to_owned(), 90)],
        lost_events: 0,
        operations: 240,
        allocs: 150,
        frees: 90,
        notes: vec!["The recording starts in the middle of things.".to_owned()],
    }
}

fn kmalloc_64() -> CacheFigures {
    CacheFigures {
        name: "kmalloc-64".to_owned(),
        traced_as: String::new(),
        aliases: vec!["pid".to_owned(), "fib6_node".to_owned()],
        object_bytes: 64,
        stride_bytes: 64,
        objects_per_slab: 64,
        allocs: 100,
        frees: 90,
        requested_bytes_total: 4800,
        live_objects_end: 10,
        live_requested_bytes_end: 500,
        live_objects_peak: 100,
        slabs_end: 1,
        slabs_peak: 2,
        slab_bytes_end: 4096,
        slab_bytes_peak: 8192,
        partial_slabs_peak: 1,
        cpu_slabs_end: 1,
        alloc_paths: AllocPaths { fastpath: 80, refill: 10, cpu_partial: 5, node_partial: 3, new_slab: 2 },
        free_paths: FreePaths { fastpath: 45, frozen: 18, slowpath: 27 },
        ..CacheFigures::default()
    }
}

fn dentry() -> CacheFigures {
    CacheFigures {
        name: "dentry".to_owned(),
        object_bytes: 192,
        stride_bytes: 192,
        objects_per_slab: 21,
        allocs: 50,
        requested_bytes_total: 9600,
        live_objects_end: 10,
        live_requested_bytes_end: 1920,
        live_objects_peak: 50,
        slabs_end: 4,
        slabs_peak: 4,
        slab_bytes_end: 16384,
        slab_bytes_peak: 16384,
        partial_slabs_end: 3,
        partial_slabs_peak: 3,
        cpu_slabs_end: 1,
        alloc_paths: AllocPaths { fastpath: 43, new_slab: 7, ..AllocPaths::default() },
        ..CacheFigures::default()
    }
}

fn idle() -> CacheFigures {
    CacheFigures { name: "idle".to_owned(), stride_bytes: 8, ..CacheFigures::default() }
}

fn counter(cache: usize, counter: &'static str, cpu: u32, value: u64) -> CounterFigure {
    CounterFigure { cache, counter, cpu, value }
}

fn series(cache: usize, slab_bytes: [u64; 3], live: [u64; 3], partial: [u64; 3]) -> CacheSeries {
    CacheSeries {
        cache,
        slabs: slab_bytes.map(|bytes| bytes / 4096).to_vec(),
        slab_bytes: slab_bytes.to_vec(),
        live_objects: live.map(|bytes| bytes / 64).to_vec(),
        live_bytes: live.to_vec(),
        partial_slabs: partial.to_vec(),
        cpu_partial_slabs: vec![0; 3],
    }
}

fn entry(kind: &'static str, class: &'static str, cache: &str, count: u64) -> LedgerEntry {
    LedgerEntry { kind, class, cache: cache.to_owned(), count, meaning: "A sentence on what was counted." }
}
