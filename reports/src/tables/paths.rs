//! Where objects came from and where they went.

use polars::df;
use polars::prelude::{DataFrame, PolarsResult};

use crate::input::{CacheFigures, ReportInput};
use crate::ratios::share;

/// How each cache served its allocations and frees.
///
/// One row per cache with at least one allocation, in creation order:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `cache` | str | name of the cache |
/// | `alloc_fastpath` | u64 | allocations from the CPU's own freelist, without a lock |
/// | `alloc_refill` | u64 | allocations from objects freed remotely into the cpu slab |
/// | `alloc_cpu_partial` | u64 | allocations from a slab of the per-CPU partial list |
/// | `alloc_node_partial` | u64 | allocations from a slab of a node partial list |
/// | `alloc_new_slab` | u64 | allocations from a new slab |
/// | `free_fastpath` | u64 | frees to the CPU's own freelist, without a lock |
/// | `free_frozen` | u64 | frees into another CPU's cpu slab |
/// | `free_slowpath` | u64 | frees into any other slab |
/// | `alloc_*_share` | f64 | five columns: the count above / all five, in 0..=1 |
/// | `free_*_share` | f64 | three columns: the count above / all three, in 0..=1; 0 without frees |
///
/// Empty input gives no rows.
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn paths(input: &ReportInput) -> PolarsResult<DataFrame> {
    let rows: Vec<&CacheFigures> = input.caches.iter().filter(|cache| cache.allocs > 0 || cache.alloc_paths.total() > 0).collect();
    let count = |value: fn(&CacheFigures) -> u64| -> Vec<u64> { rows.iter().map(|cache| value(cache)).collect() };
    let alloc_share =
        |value: fn(&CacheFigures) -> u64| -> Vec<f64> { rows.iter().map(|cache| share(value(cache), cache.alloc_paths.total())).collect() };
    let free_share =
        |value: fn(&CacheFigures) -> u64| -> Vec<f64> { rows.iter().map(|cache| share(value(cache), cache.free_paths.total())).collect() };
    df!(
        "cache" => rows.iter().map(|cache| cache.name.as_str()).collect::<Vec<_>>(),
        "alloc_fastpath" => count(|c| c.alloc_paths.fastpath),
        "alloc_refill" => count(|c| c.alloc_paths.refill),
        "alloc_cpu_partial" => count(|c| c.alloc_paths.cpu_partial),
        "alloc_node_partial" => count(|c| c.alloc_paths.node_partial),
        "alloc_new_slab" => count(|c| c.alloc_paths.new_slab),
        "free_fastpath" => count(|c| c.free_paths.fastpath),
        "free_frozen" => count(|c| c.free_paths.frozen),
        "free_slowpath" => count(|c| c.free_paths.slowpath),
        "alloc_fastpath_share" => alloc_share(|c| c.alloc_paths.fastpath),
        "alloc_refill_share" => alloc_share(|c| c.alloc_paths.refill),
        "alloc_cpu_partial_share" => alloc_share(|c| c.alloc_paths.cpu_partial),
        "alloc_node_partial_share" => alloc_share(|c| c.alloc_paths.node_partial),
        "alloc_new_slab_share" => alloc_share(|c| c.alloc_paths.new_slab),
        "free_fastpath_share" => free_share(|c| c.free_paths.fastpath),
        "free_frozen_share" => free_share(|c| c.free_paths.frozen),
        "free_slowpath_share" => free_share(|c| c.free_paths.slowpath),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn shares_add_up_and_idle_caches_are_left_out() -> PolarsResult<()> {
        let frame = paths(&testdata::small())?;
        let names: Vec<_> = frame.column("cache")?.str()?.iter().flatten().collect();
        assert_eq!(names, ["kmalloc-64", "dentry"], "`idle` served nothing");
        let share = |name: &str| frame.column(name)?.f64().map(|c| c.get(0));
        assert_eq!(share("alloc_fastpath_share")?, Some(0.8)); // 80 / 100
        assert_eq!(share("alloc_refill_share")?, Some(0.1)); // 10 / 100
        assert_eq!(share("alloc_new_slab_share")?, Some(0.02)); // 2 / 100
        assert_eq!(share("free_fastpath_share")?, Some(0.5)); // 45 / 90
        assert_eq!(share("free_slowpath_share")?, Some(0.3)); // 27 / 90
        Ok(())
    }
}
