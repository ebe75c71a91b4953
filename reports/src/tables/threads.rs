//! Tables of a replay on threads.

use polars::df;
use polars::prelude::{Column, DataFrame, PolarsResult};

use super::Table;
use crate::input::threads::{LockFigures, QUANTILES, ThreadsCache, ThreadsInput};

/// All tables that are exported, in order.
pub const ALL: [Table<ThreadsInput>; 4] = [
    Table { name: "threads-workers", build: workers },
    Table { name: "threads-latency", build: latency },
    Table { name: "threads-locks", build: locks },
    Table { name: "threads-agreement", build: agreement },
];

/// The workers.
///
/// One row per worker:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `worker` | u32 | its number |
/// | `cpus` | str | CPUs that it played, joined by blanks |
/// | `core` | u32 | core that it was pinned to; empty if it was not |
/// | `operations` | u64 | operations done |
/// | `elapsed_ns` | u64 | until it was done |
/// | `operations_per_second` | f64 | waiting included |
/// | `waited_for_objects_ns` | u64 | waiting for objects that others had yet to allocate |
/// | `waited_for_window_ns` | u64 | waiting for workers too far behind |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn workers(input: &ThreadsInput) -> PolarsResult<DataFrame> {
    let rows = &input.workers;
    let cpus = |cpus: &[u16]| cpus.iter().map(u16::to_string).collect::<Vec<_>>().join(" ");
    df!(
        "worker" => (0..).zip(rows).map(|(number, _)| number).collect::<Vec<u32>>(),
        "cpus" => rows.iter().map(|row| cpus(&row.cpus)).collect::<Vec<_>>(),
        "core" => rows.iter().map(|row| row.core.map(|core| core as u32)).collect::<Vec<_>>(),
        "operations" => rows.iter().map(|row| row.operations).collect::<Vec<_>>(),
        "elapsed_ns" => rows.iter().map(|row| row.elapsed_ns).collect::<Vec<_>>(),
        "operations_per_second" => rows.iter().map(|row| row.per_second()).collect::<Vec<_>>(),
        "waited_for_objects_ns" => rows.iter().map(|row| row.waited_for_objects_ns).collect::<Vec<_>>(),
        "waited_for_window_ns" => rows.iter().map(|row| row.waited_for_window_ns).collect::<Vec<_>>(),
    )
}

/// How long operations took, by path.
///
/// One row per path that any operation took, in the order of the paths; durations are empty where none was timed, and include about
/// what reading the clock costs:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `path` | str | the dearest step of the operation, such as `alloc node partial` |
/// | `operations` | u64 | operations on it |
/// | `timed` | u64 | of these, those timed |
/// | `mean_ns` | f64 | mean duration |
/// | `p50_ns`, `p90_ns`, `p99_ns`, `p99.9_ns`, `p99.99_ns` | f64 | five columns: what that share of operations did not exceed |
/// | `max_ns` | f64 | the longest |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn latency(input: &ThreadsInput) -> PolarsResult<DataFrame> {
    let rows: Vec<_> = input.latency.iter().filter(|row| row.operations > 0 || row.timed > 0).collect();
    let mut frame = df!(
        "path" => rows.iter().map(|row| row.path).collect::<Vec<_>>(),
        "operations" => rows.iter().map(|row| row.operations).collect::<Vec<_>>(),
        "timed" => rows.iter().map(|row| row.timed).collect::<Vec<_>>(),
        "mean_ns" => rows.iter().map(|row| row.mean_ns).collect::<Vec<_>>(),
    )?;
    for (index, (_, name)) in QUANTILES.iter().enumerate() {
        let values: Vec<Option<f64>> = rows.iter().map(|row| row.quantiles_ns[index]).collect();
        frame.with_column(Column::new(format!("{name}_ns").into(), values))?;
    }
    frame.with_column(Column::new("max_ns".into(), rows.iter().map(|row| row.max_ns).collect::<Vec<_>>()))?;
    Ok(frame)
}

/// How often locks were taken.
///
/// One row per cache, lock, and CPU or node, where it was taken at all. The `list` lock is told twice: by CPU over all nodes, and by node
/// over all CPUs; each sums up to the same.
///
/// | column | type | meaning |
/// |---|---|---|
/// | `cache` | str | name of the cache |
/// | `lock` | str | `list` (of a node), `barn`, or `pages` (of the page allocator, shared by all caches) |
/// | `cpu` | u32 | CPU that took it; empty in rows by node |
/// | `node` | u32 | node that it belongs to; empty in rows by CPU |
/// | `taken` | u64 | times taken |
/// | `contended` | u64 | of these, times that somebody else had it |
/// | `contended_share` | f64 | `contended / taken`, in 0..=1 |
/// | `waited_ns` | u64 | time waited for it |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn locks(input: &ThreadsInput) -> PolarsResult<DataFrame> {
    let rows: Vec<LockRow<'_>> = input.caches.iter().flat_map(lock_rows).filter(|row| row.locks.taken > 0).collect();
    df!(
        "cache" => rows.iter().map(|row| row.cache).collect::<Vec<_>>(),
        "lock" => rows.iter().map(|row| row.lock).collect::<Vec<_>>(),
        "cpu" => rows.iter().map(|row| row.cpu).collect::<Vec<_>>(),
        "node" => rows.iter().map(|row| row.node).collect::<Vec<_>>(),
        "taken" => rows.iter().map(|row| row.locks.taken).collect::<Vec<_>>(),
        "contended" => rows.iter().map(|row| row.locks.contended).collect::<Vec<_>>(),
        "contended_share" => rows.iter().map(|row| row.locks.contended_share()).collect::<Vec<_>>(),
        "waited_ns" => rows.iter().map(|row| row.locks.waited_ns).collect::<Vec<_>>(),
    )
}

struct LockRow<'a> {
    cache: &'a str,
    lock: &'static str,
    cpu: Option<u32>,
    node: Option<u32>,
    locks: LockFigures,
}

fn lock_rows(cache: &ThreadsCache) -> Vec<LockRow<'_>> {
    let by_cpu = [("list", &cache.list_locks), ("barn", &cache.barn_locks), ("pages", &cache.page_locks)];
    let row = |lock, cpu, node, locks: &LockFigures| LockRow { cache: &cache.name, lock, cpu, node, locks: *locks };
    let mut rows: Vec<LockRow<'_>> =
        by_cpu.iter().flat_map(|(lock, locks)| (0..).zip(*locks).map(|(cpu, locks)| row(lock, Some(cpu), None, locks))).collect();
    rows.extend((0..).zip(&cache.list_locks_of_node).map(|(node, locks)| row("list", None, Some(node), locks)));
    rows
}

/// What threads counted beside what the exact replay did.
///
/// One row per cache and figure that either counted:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `cache` | str | name of the cache |
/// | `counter` | str | a counter as in sysfs, or `allocations`, `frees`, `live_objects` |
/// | `exact` | u64 | by the exact replay of the whole trace |
/// | `threads` | u64 | by all workers |
/// | `difference` | i64 | `threads - exact` |
/// | `by_nature` | bool | true if several workers may make it differ; false if it has to be equal, unless the replay was stopped |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn agreement(input: &ThreadsInput) -> PolarsResult<DataFrame> {
    let all = input.caches.iter().flat_map(|cache| input.figures.iter().enumerate().map(move |row| (cache, row)));
    let rows: Vec<_> = all
        .map(|(cache, (number, figure))| (cache, figure, cache.compared(number)))
        .filter(|(_, _, compared)| compared.exact > 0 || compared.threads > 0)
        .collect();
    let difference = |difference: i128| i64::try_from(difference).unwrap_or(if difference < 0 { i64::MIN } else { i64::MAX });
    df!(
        "cache" => rows.iter().map(|(cache, _, _)| cache.name.as_str()).collect::<Vec<_>>(),
        "counter" => rows.iter().map(|(_, figure, _)| figure.name).collect::<Vec<_>>(),
        "exact" => rows.iter().map(|(_, _, compared)| compared.exact).collect::<Vec<_>>(),
        "threads" => rows.iter().map(|(_, _, compared)| compared.threads).collect::<Vec<_>>(),
        "difference" => rows.iter().map(|(_, _, compared)| difference(compared.difference())).collect::<Vec<_>>(),
        "by_nature" => rows.iter().map(|(_, figure, _)| figure.why.is_some()).collect::<Vec<_>>(),
    )
}

/// Chooses one kind of a cache's locks.
type LocksOf = fn(&ThreadsCache) -> &[LockFigures];

/// Locks and counters of each cache, for standard output.
///
/// One row per cache that was used, in creation order:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `cache` | str | name of the cache |
/// | `list_lock_taken`, `list_lock_contended`, `list_lock_waited_ns` | u64 | `list_lock`s of all nodes |
/// | `barn_lock_taken`, `barn_lock_contended`, `barn_lock_waited_ns` | u64 | locks of barns |
/// | `page_lock_taken`, `page_lock_contended`, `page_lock_waited_ns` | u64 | the lock of the page allocator, on behalf of the cache |
/// | `allocations`, `frees`, `live_objects` | u64 | on threads |
/// | any other | u64 | the counter of that name in sysfs, over all CPUs, on threads |
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn caches(input: &ThreadsInput) -> PolarsResult<DataFrame> {
    let is_used =
        |cache: &&ThreadsCache| cache.threads.iter().any(|&value| value > 0) || lock_rows(cache).iter().any(|row| row.locks.taken > 0);
    let rows: Vec<&ThreadsCache> = input.caches.iter().filter(is_used).collect();
    let mut frame = df!("cache" => rows.iter().map(|row| row.name.as_str()).collect::<Vec<_>>())?;
    let kinds: [(&str, LocksOf); 3] =
        [("list", |cache| &cache.list_locks), ("barn", |cache| &cache.barn_locks), ("page", |cache| &cache.page_locks)];
    for (kind, locks) in kinds {
        let sums: Vec<LockFigures> = rows.iter().map(|row| LockFigures::sum(locks(row))).collect();
        frame.with_column(Column::new(format!("{kind}_lock_taken").into(), sums.iter().map(|sum| sum.taken).collect::<Vec<_>>()))?;
        frame
            .with_column(Column::new(format!("{kind}_lock_contended").into(), sums.iter().map(|sum| sum.contended).collect::<Vec<_>>()))?;
        frame
            .with_column(Column::new(format!("{kind}_lock_waited_ns").into(), sums.iter().map(|sum| sum.waited_ns).collect::<Vec<_>>()))?;
    }
    for (number, figure) in input.figures.iter().enumerate() {
        let values: Vec<u64> = rows.iter().map(|row| row.compared(number).threads).collect();
        frame.with_column(Column::new(figure.name.into(), values))?;
    }
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use polars::prelude::ChunkAgg;

    use super::*;
    use crate::testdata::threads::small;

    fn names(frame: &DataFrame) -> String {
        frame.get_column_names().iter().map(|name| name.as_str()).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn columns_are_as_documented_even_without_rows() {
        let headers = [
            "worker,cpus,core,operations,elapsed_ns,operations_per_second,waited_for_objects_ns,waited_for_window_ns",
            "path,operations,timed,mean_ns,p50_ns,p90_ns,p99_ns,p99.9_ns,p99.99_ns,max_ns",
            "cache,lock,cpu,node,taken,contended,contended_share,waited_ns",
            "cache,counter,exact,threads,difference,by_nature",
        ];
        for (table, header) in ALL.iter().zip(headers) {
            let (empty, full) = ((table.build)(&ThreadsInput::default()).unwrap(), (table.build)(&small()).unwrap());
            assert_eq!(names(&full), header, "{}", table.name);
            assert_eq!(empty.schema(), full.schema(), "{}", table.name);
        }
    }

    #[test]
    fn caches_have_locks_and_counters() -> PolarsResult<()> {
        let frame = caches(&small())?;
        assert_eq!(
            names(&frame),
            "cache,list_lock_taken,list_lock_contended,list_lock_waited_ns,barn_lock_taken,barn_lock_contended,barn_lock_waited_ns,\
             page_lock_taken,page_lock_contended,page_lock_waited_ns,allocations,alloc_fastpath,alloc_slowpath"
        );
        assert_eq!(frame.column("list_lock_taken")?.u64()?.get(0), Some(80)); // 60 + 20
        assert_eq!(frame.column("page_lock_waited_ns")?.u64()?.get(1), Some(50));
        assert_eq!(frame.column("alloc_fastpath")?.u64()?.sum(), Some(110)); // 70 + 40
        Ok(())
    }

    #[test]
    fn locks_by_cpu_and_by_node_sum_up_to_the_same() -> PolarsResult<()> {
        let frame = locks(&small())?;
        // kmalloc-64: list on two CPUs, barn and pages on one, list of a node; dentry: pages on one.
        assert_eq!(frame.height(), 6);
        let (taken, cpu, lock) = (frame.column("taken")?.u64()?, frame.column("cpu")?.u32()?, frame.column("lock")?.str()?);
        let sum = |by_cpu: bool| -> u64 {
            (0..6).filter(|&row| lock.get(row) == Some("list") && cpu.get(row).is_some() == by_cpu).filter_map(|row| taken.get(row)).sum()
        };
        assert_eq!((sum(true), sum(false)), (80, 80));
        assert_eq!(frame.column("contended_share")?.f64()?.get(0), Some(0.1)); // 6 of 60
        Ok(())
    }

    #[test]
    fn agreement_tells_differences_with_their_sign() -> PolarsResult<()> {
        let frame = agreement(&small())?;
        assert_eq!(frame.height(), 6);
        let differences: Vec<_> = frame.column("difference")?.i64()?.iter().flatten().collect();
        assert_eq!(differences, [0, -10, 10, 0, 0, 0]);
        assert_eq!(frame.column("by_nature")?.bool()?.get(0), Some(false));
        Ok(())
    }

    #[test]
    fn paths_that_nothing_took_are_left_out() -> PolarsResult<()> {
        let frame = latency(&small())?;
        assert_eq!(frame.height(), 3);
        assert_eq!(frame.column("p50_ns")?.f64()?.get(1), Some(2500.0)); // 25 % took 300, the rest 2500
        Ok(())
    }
}
