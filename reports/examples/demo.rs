//! Writes the report of an invented replay into a folder: `demo [FOLDER] [CACHES] [MOMENTS]`.

use std::error::Error;
use std::io::{Write, stdout};
use std::path::PathBuf;
use std::time::Instant;

use slubreplay_reports::input::{
    AllocPaths, CacheFigures, CacheSeries, CounterFigure, FreePaths, LedgerEntry, ReportInput, RunFacts, SizingDifference, Timeline,
};
use slubreplay_reports::{export, text};

const NAMES: [&str; 12] = [
    "kmalloc-64",
    "dentry",
    "inode_cache",
    "kmalloc-1k",
    "skbuff_head_cache",
    "a_cache_with_quite_an_unreasonably_long_name",
    "vm_area_struct",
    "buffer_head",
    "kmalloc-cg-256",
    "radix_tree_node",
    "anon_vma_chain",
    "filp",
];

fn main() -> Result<(), Box<dyn Error>> {
    let mut args = std::env::args().skip(1);
    let dir = PathBuf::from(args.next().unwrap_or_else(|| "demo-report".to_owned()));
    let caches = args.next().map_or(Ok(24), |arg| arg.parse())?;
    let moments = args.next().map_or(Ok(400), |arg| arg.parse())?;
    let input = invent(caches, moments);
    let started = Instant::now();
    let written = export::write_all(&input, &dir, &[export::TableFormat::Csv])?;
    let elapsed = started.elapsed();
    let options = text::TextOptions { unicode: true, ..Default::default() };
    let mut out = stdout().lock();
    write!(out, "{}", text::render(&input, None, &options))?;
    writeln!(out, "\n{} files in {} after {elapsed:?}", written.len(), dir.display())?;
    Ok(())
}

/// Numbers that look random and are the same on each run (Knuth's MMIX generator).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit.max(1)
    }
}

fn invent(cache_count: usize, moments: usize) -> ReportInput {
    let mut dice = Dice(7);
    let series: Vec<CacheSeries> = (0..cache_count).map(|index| invent_series(&mut dice, index, moments)).collect();
    let caches: Vec<CacheFigures> = series.iter().map(|series| invent_cache(&mut dice, series)).collect();
    let counters = (0..cache_count).flat_map(|cache| {
        ["alloc_fastpath", "alloc_slowpath", "free_fastpath", "free_slowpath"]
            .into_iter()
            .flat_map(move |counter| (0..4).map(move |cpu| CounterFigure { cache, counter, cpu, value: 1000 + u64::from(cpu) }))
    });
    let allocs = caches.iter().map(|cache| cache.allocs).sum();
    let frees = caches.iter().map(|cache| cache.frees).sum();
    ReportInput {
        run: invent_run(allocs, frees),
        counters: counters.collect(),
        ledger: invent_ledger(&caches),
        timeline: Timeline { time_ns: (0..moments as u64).map(|moment| moment * 31_000_000).collect(), caches: series },
        sizing_differences: vec![SizingDifference { cache: "dentry".to_owned(), attribute: "cpu_partial", kernel: 120, computed: 52 }],
        caches,
    }
}

/// A load that grows, bursts and mostly goes away, leaving slabs behind.
fn invent_series(dice: &mut Dice, index: usize, moments: usize) -> CacheSeries {
    let mut series = CacheSeries { cache: index, ..CacheSeries::default() };
    let scale = 20_000 / (index as u64 + 1);
    let burst = 100 + dice.below(200);
    let (mut live, mut slabs) = (0u64, 0u64);
    for moment in 0..moments as u64 {
        let target = scale / 4 + if (burst..burst + 90).contains(&moment) { scale } else { 0 };
        let step = (scale / 25).max(1);
        live = if live < target { live + dice.below(step) } else { live.saturating_sub(dice.below(step)) };
        slabs = live.div_ceil(32).max(slabs - slabs / 60);
        series.slabs.push(slabs);
        series.slab_bytes.push(slabs * 4096);
        series.live_objects.push(live);
        series.live_bytes.push(live * 128);
        series.partial_slabs.push((slabs - live.div_ceil(32)).saturating_sub(4));
        series.cpu_partial_slabs.push((slabs - live.div_ceil(32)).min(4));
    }
    series
}

fn invent_cache(dice: &mut Dice, series: &CacheSeries) -> CacheFigures {
    let peak = |values: &[u64]| values.iter().copied().max().unwrap_or(0);
    let last = |values: &[u64]| values.last().copied().unwrap_or(0);
    let scale = 2_000_000 / (series.cache as u64 + 1);
    let alloc_paths = AllocPaths {
        fastpath: scale + dice.below(scale),
        refill: dice.below(scale / 4),
        cpu_partial: dice.below(scale / 3),
        node_partial: dice.below(scale / 5),
        new_slab: dice.below(scale / 9),
    };
    let live = last(&series.live_objects);
    let frees = alloc_paths.total().saturating_sub(live);
    let name = NAMES.get(series.cache).map_or_else(|| format!("cache-{}", series.cache), |name| (*name).to_owned());
    CacheFigures {
        name,
        object_bytes: 128,
        stride_bytes: 128,
        objects_per_slab: 32,
        allocs: alloc_paths.total(),
        frees,
        requested_bytes_total: alloc_paths.total() * 100,
        live_objects_end: live,
        live_requested_bytes_end: live * 100,
        live_objects_peak: peak(&series.live_objects),
        slabs_end: last(&series.slabs),
        slabs_peak: peak(&series.slabs),
        slab_bytes_end: last(&series.slab_bytes),
        slab_bytes_peak: peak(&series.slab_bytes),
        partial_slabs_end: last(&series.partial_slabs),
        partial_slabs_peak: peak(&series.partial_slabs),
        cpu_slabs_end: 4,
        alloc_paths,
        free_paths: FreePaths { fastpath: frees, ..FreePaths::default() },
        ..CacheFigures::default()
    }
}

fn invent_run(allocs: u64, frees: u64) -> RunFacts {
    RunFacts {
        trace: "traces/kbuild.dat".to_owned(),
        format: "trace.dat v7".to_owned(),
        kernel: "6.12.117".to_owned(),
        model: "SLUB 6.8-6.17".to_owned(),
        cpus: 4,
        nodes: 1,
        page_bytes: 4096,
        duration_ns: 12_369_000_000,
        events: vec![
            ("kmem_cache_alloc".to_owned(), allocs / 2),
            ("kmem_cache_free".to_owned(), frees / 2),
            ("kmalloc".to_owned(), allocs - allocs / 2),
            ("kfree".to_owned(), frees - frees / 2),
        ],
        lost_events: 1234,
        operations: allocs + frees,
        allocs,
        frees,
        notes: vec![
            "The recording starts after boot: objects that were live before it are unknown, so \
             figures of memory are those of the recorded part alone."
                .to_owned(),
        ],
    }
}

fn invent_ledger(caches: &[CacheFigures]) -> Vec<LedgerEntry> {
    let mut ledger = Vec::new();
    for cache in caches {
        for (kind, class, count, meaning) in [
            ("allocations", "observed", cache.allocs, "Allocation events of the trace."),
            (
                "implied frees",
                "inferred",
                cache.allocs / 900,
                "An address was handed out again without a free in between, so its free was missed.",
            ),
        ] {
            ledger.push(LedgerEntry { kind, class, cache: cache.name.clone(), count, meaning });
        }
    }
    ledger
}
