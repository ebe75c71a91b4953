//! What the analyses found.

use polars::df;
use polars::prelude::{DataFrame, PolarsResult};

use super::Table;
use crate::input::analysis::{AnalysisInput, Course, Lifetime, Look, OCCUPANCY_NAMES, OwnerFigures};
use crate::ratios::share;

/// All tables of the analyses, in the order of their export.
pub const ALL: [Table<AnalysisInput>; 11] = [
    Table { name: "verdicts", build: verdicts },
    Table { name: "fragmentation", build: fragmentation },
    Table { name: "occupancy", build: occupancy },
    Table { name: "lists", build: lists },
    Table { name: "churn", build: churn },
    Table { name: "lifetimes", build: lifetimes },
    Table { name: "sites", build: sites },
    Table { name: "threads", build: threads },
    Table { name: "pinning", build: pinning },
    Table { name: "remote-frees", build: remote_frees },
    Table { name: "callers", build: callers },
];

fn column<R, T>(rows: &[R], value: impl Fn(&R) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

/// What is wrong with each cache, if anything.
///
/// One row per cache that ever held a slab, by `bytes` falling:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `cache` | str | name of the cache |
/// | `verdict` | str | `fine`, `leak?`, `sparse`, `hoarded`, `wasteful class` or `high-order` |
/// | `bytes` | u64 | bytes that it is about; 0 if fine |
/// | `evidence` | str | what shows it; what is true besides, after semicolons |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn verdicts(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    let rows = &input.verdicts;
    df!(
        "cache" => column(rows, |row| row.cache.clone()),
        "verdict" => column(rows, |row| row.verdict),
        "bytes" => column(rows, |row| row.bytes),
        "evidence" => column(rows, |row| row.evidence.join("; ")),
    )
}

/// Cache and look of each row, by moment, then cache; moments in nanoseconds.
fn rows(input: &AnalysisInput) -> Vec<(u64, &Course, &Look)> {
    let moments = input.moments_ns.iter().enumerate();
    moments.flat_map(|(at, &ns)| input.courses.iter().filter_map(move |course| Some((ns, course, course.looks.get(at)?)))).collect()
}

/// Where the memory of each cache is, at each moment.
///
/// One row per moment and cache that ever held a slab, by `time_ns` rising, then in the order of creation:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `time_ns` | u64 | moment, in nanoseconds since the first event |
/// | `cache` | str | name of the cache |
/// | `slabs` | u64 | slabs |
/// | `slab_bytes` | u64 | bytes in slabs |
/// | `objects` | u64 | objects that slabs are made of |
/// | `live_objects` | u64 | objects that somebody has, those from before the trace included |
/// | `live_bytes` | u64 | `live_objects` times the stride |
/// | `held_bytes` | u64 | free objects that only one CPU can have (cpu slabs, CPU partial lists, sheaves, SLAB's arrays) times the stride |
/// | `node_bytes` | u64 | free objects on nodes' lists times the stride |
/// | `external_ratio` | f64 | `1 - live_bytes / slab_bytes`, in 0..=1; 0 without slabs |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn fragmentation(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    let rows = rows(input);
    let bytes = |course: &Course, objects: u64| objects.saturating_mul(u64::from(course.stride_bytes));
    df!(
        "time_ns" => column(&rows, |(ns, ..)| *ns),
        "cache" => column(&rows, |(_, course, _)| course.cache.clone()),
        "slabs" => column(&rows, |(.., look)| look.slabs),
        "slab_bytes" => column(&rows, |(.., look)| look.slab_bytes),
        "objects" => column(&rows, |(.., look)| look.objects),
        "live_objects" => column(&rows, |(.., look)| look.live_objects),
        "live_bytes" => column(&rows, |(_, course, look)| bytes(course, look.live_objects)),
        "held_bytes" => column(&rows, |(_, course, look)| bytes(course, look.held())),
        "node_bytes" => column(&rows, |(_, course, look)| bytes(course, look.free_on_nodes)),
        "external_ratio" => column(&rows, |(_, course, look)| {
            if look.slab_bytes == 0 { 0.0 } else { 1.0 - share(bytes(course, look.live_objects), look.slab_bytes) }
        }),
    )
}

/// How full slabs are, at each moment.
///
/// One row per moment, cache and bin that has slabs, by `time_ns` rising, then in the order of creation, then by bin:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `time_ns` | u64 | moment, in nanoseconds since the first event |
/// | `cache` | str | name of the cache |
/// | `live_percent` | str | live objects of a slab, in percent: `0`, `1-10`, …, `91-99`, `100` |
/// | `slabs` | u32 | slabs |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn occupancy(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    let all = rows(input);
    let rows: Vec<_> = all
        .iter()
        .flat_map(|(ns, course, look)| {
            let bins = look.occupancy.iter().zip(OCCUPANCY_NAMES).filter(|(slabs, _)| **slabs > 0);
            bins.map(move |(&slabs, name)| (*ns, course.cache.as_str(), name, slabs))
        })
        .collect();
    df!(
        "time_ns" => column(&rows, |row| row.0),
        "cache" => column(&rows, |row| row.1),
        "live_percent" => column(&rows, |row| row.2),
        "slabs" => column(&rows, |row| row.3),
    )
}

/// Lists of slabs, at each moment.
///
/// One row per moment and cache that ever held a slab, by `time_ns` rising, then in the order of creation:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `time_ns` | u64 | moment, in nanoseconds since the first event |
/// | `cache` | str | name of the cache |
/// | `node_slabs` | u64 | slabs on nodes' lists |
/// | `free_on_nodes` | u64 | free objects in them |
/// | `empty_node_slabs` | u32 | of these slabs, those without a live object |
/// | `listed_mean_ns` | u64 | how long they have been there, in the mean, as far as the moments tell |
/// | `listed_longest_ns` | u64 | the longest of these times |
/// | `cpu_partial_slabs` | u64 | slabs on CPU partial lists |
/// | `free_on_cpu_partial` | u64 | free objects in them |
/// | `free_in_cpu_slabs` | u64 | free objects in slabs that CPUs allocate from |
/// | `free_in_sheaves` | u64 | free objects in sheaves, or in SLAB's arrays |
/// | `fast_allocs` | u64 | so far: allocations without a lock |
/// | `fast_frees` | u64 | so far: frees without a lock |
/// | `node_moves` | u64 | so far: slabs put on or taken off nodes' lists, each under a list lock |
/// | `drains` | u64 | so far: CPU partial lists given to nodes, sheaves flushed |
/// | `order_fallbacks` | u64 | so far: slabs of a smaller order than preferred |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn lists(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    let rows = rows(input);
    let figure = |value: fn(&Look) -> u64| column(&rows, |(.., look)| value(look));
    df!(
        "time_ns" => column(&rows, |(ns, ..)| *ns),
        "cache" => column(&rows, |(_, course, _)| course.cache.clone()),
        "node_slabs" => figure(|look| look.node_slabs),
        "free_on_nodes" => figure(|look| look.free_on_nodes),
        "empty_node_slabs" => column(&rows, |(.., look)| look.empty_node_slabs),
        "listed_mean_ns" => figure(|look| look.listed_mean_ns),
        "listed_longest_ns" => figure(|look| look.listed_longest_ns),
        "cpu_partial_slabs" => figure(|look| look.cpu_partial_slabs),
        "free_on_cpu_partial" => figure(|look| look.free_on_cpu_partial),
        "free_in_cpu_slabs" => figure(|look| look.free_in_cpu_slabs),
        "free_in_sheaves" => figure(|look| look.free_in_sheaves),
        "fast_allocs" => figure(|look| look.fast_allocs),
        "fast_frees" => figure(|look| look.fast_frees),
        "node_moves" => figure(|look| look.node_moves),
        "drains" => figure(|look| look.drains),
        "order_fallbacks" => figure(|look| look.order_fallbacks),
    )
}

/// How much is allocated between one moment and the next.
///
/// One row per span between two moments and cache that allocated in it, by `from_ns` rising, then in the order of creation:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `from_ns` | u64 | begin of the span, in nanoseconds since the first event |
/// | `to_ns` | u64 | its end |
/// | `cache` | str | name of the cache |
/// | `allocs` | u64 | allocations |
/// | `allocs_per_s` | f64 | the same in a second |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn churn(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    let spans = input.moments_ns.windows(2).enumerate();
    let rows: Vec<_> = spans
        .flat_map(|(at, span)| {
            let courses = input.courses.iter().filter_map(move |course| Some((course, *course.allocs_between.get(at)?)));
            let (from, to) = (span[0], span[1]);
            courses.filter(|(_, allocs)| *allocs > 0).map(move |(course, allocs)| (from, to, course.cache.as_str(), allocs))
        })
        .collect();
    df!(
        "from_ns" => column(&rows, |row| row.0),
        "to_ns" => column(&rows, |row| row.1),
        "cache" => column(&rows, |row| row.2),
        "allocs" => column(&rows, |row| row.3),
        "allocs_per_s" => column(&rows, |row| row.3 as f64 * 1e9 / row.1.saturating_sub(row.0).max(1) as f64),
    )
}

/// How long objects live that were allocated and freed in the trace.
///
/// One row per cache and span of lifetimes that has objects, in the order of creation, then by `from_ns` rising; spans double:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `cache` | str | name of the cache |
/// | `from_ns` | u64 | shortest lifetime |
/// | `below_ns` | u64 | the lifetime that is too long for the row |
/// | `objects` | u64 | objects |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn lifetimes(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    let rows = &input.lifetimes;
    df!(
        "cache" => column(rows, |row| row.cache.clone()),
        "from_ns" => column(rows, |row| row.from_ns),
        "below_ns" => column(rows, |row| row.below_ns),
        "objects" => column(rows, |row| row.objects),
    )
}

fn owners(rows: &[OwnerFigures], name: &str) -> PolarsResult<DataFrame> {
    let lifetime = |value: fn(&Lifetime) -> u64| column(rows, |row| row.lifetime.as_ref().map(value));
    df!(
        "cache" => column(rows, |row| row.cache.clone()),
        name => column(rows, |row| row.owner.clone()),
        "allocs" => column(rows, |row| row.allocs),
        "requested_bytes" => column(rows, |row| row.requested_bytes),
        "frees" => column(rows, |row| row.frees),
        "remote_frees" => column(rows, |row| row.remote_frees),
        "live_objects" => column(rows, |row| row.live_objects),
        "live_requested_bytes" => column(rows, |row| row.live_requested_bytes),
        "oldest_ns" => column(rows, |row| row.oldest_ns),
        "lifetime_p50_ns" => lifetime(|lifetime| lifetime.p50_ns),
        "lifetime_p90_ns" => lifetime(|lifetime| lifetime.p90_ns),
        "lifetime_p99_ns" => lifetime(|lifetime| lifetime.p99_ns),
        "lifetime_longest_ns" => lifetime(|lifetime| lifetime.longest_ns),
    )
}

/// Who allocates what, and what becomes of it.
///
/// One row per cache and call site, by `live_requested_bytes` falling, then `requested_bytes` falling:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `cache` | str | name of the cache |
/// | `call_site` | str | symbol or address of the caller; `unknown` for what the trace does not show being allocated |
/// | `allocs` | u64 | allocations |
/// | `requested_bytes` | u64 | bytes asked for, over all of them |
/// | `frees` | u64 | objects freed |
/// | `remote_frees` | u64 | of these, by another CPU than allocated them |
/// | `live_objects` | u64 | objects allocated in the trace and never freed in it |
/// | `live_requested_bytes` | u64 | bytes asked for of these |
/// | `oldest_ns` | u64 | when the oldest of them was allocated, since the first event; empty without any |
/// | `lifetime_p50_ns`, `_p90_`, `_p99_`, `_longest_` | u64 | lifetimes of freed objects; empty without any |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn sites(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    owners(&input.sites, "call_site")
}

/// The same by thread: `thread` is its number, with its name if the trace tells. Interrupts count for the thread that they interrupt.
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn threads(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    owners(&input.threads, "thread")
}

/// Who keeps slabs that are mostly free.
///
/// One row per cache and call site that ever does, by `mean_bytes` falling. A slab counts if less than half of its objects are live, some
/// are, and no CPU allocates from it; its free bytes are shared among those of its objects that were live at the moment before, too.
///
/// | column | type | meaning |
/// |---|---|---|
/// | `cache` | str | name of the cache |
/// | `call_site` | str | who allocated the objects; `unknown` for those from before the trace |
/// | `mean_bytes` | u64 | bytes pinned, in the mean over the moments |
/// | `peak_bytes` | u64 | the most at any moment |
/// | `end_bytes` | u64 | at the end |
/// | `end_objects` | u64 | objects that pin them at the end |
/// | `end_age_ns` | u64 | their mean age |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn pinning(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    let rows = &input.pins;
    df!(
        "cache" => column(rows, |row| row.cache.clone()),
        "call_site" => column(rows, |row| row.call_site.clone()),
        "mean_bytes" => column(rows, |row| row.mean_bytes),
        "peak_bytes" => column(rows, |row| row.peak_bytes),
        "end_bytes" => column(rows, |row| row.end_bytes),
        "end_objects" => column(rows, |row| row.end_objects),
        "end_age_ns" => column(rows, |row| row.end_age_ns),
    )
}

/// Which CPU frees what which CPU allocated.
///
/// One row per pair of CPUs with frees, by `allocated_by`, then `freed_by`:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `allocated_by` | u32 | CPU that allocated the objects |
/// | `freed_by` | u32 | CPU that freed them |
/// | `frees` | u64 | objects |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn remote_frees(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    let rows = &input.remote_frees;
    df!(
        "allocated_by" => column(rows, |row| row.allocated_by),
        "freed_by" => column(rows, |row| row.freed_by),
        "frees" => column(rows, |row| row.frees),
    )
}

/// What `perf kmem --caller stat` prints.
///
/// One row per call site, by `total_alloc` falling; columns are perf's, sums in bytes:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `call_site` | str | symbol or address of the caller |
/// | `total_alloc` | u64 | bytes given |
/// | `total_req` | u64 | bytes asked for |
/// | `hit` | u64 | allocations, failed and large ones included |
/// | `ping_pong` | u64 | frees on another CPU than allocated |
/// | `frag` | f64 | share of the bytes given that was not asked for, 0 to 1 |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn callers(input: &AnalysisInput) -> PolarsResult<DataFrame> {
    let rows = &input.callers;
    df!(
        "call_site" => column(rows, |row| row.call_site.clone()),
        "total_alloc" => column(rows, |row| row.allocated_bytes),
        "total_req" => column(rows, |row| row.requested_bytes),
        "hit" => column(rows, |row| row.hits),
        "ping_pong" => column(rows, |row| row.ping_pong),
        "frag" => column(rows, |row| row.fragmentation),
    )
}
