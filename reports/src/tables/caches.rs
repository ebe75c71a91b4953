//! Memory and paths per cache.

use polars::df;
use polars::prelude::{DataFrame, PolarsResult, SortMultipleOptions};

use crate::input::{CacheFigures, ReportInput};

/// Memory of each cache, at the end of the replay and at its peak.
///
/// One row per cache, by `slab_bytes_peak` falling, then `name`:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `name` | str | name as in `/sys/kernel/slab`, or of the pseudo-cache |
/// | `traced_as` | str | name in the trace, of a merged cache; else empty |
/// | `aliases` | str | other names of the same cache, joined by blanks |
/// | `pseudo` | bool | true if the kernel named no such cache |
/// | `object_bytes` | u32 | usable bytes of an object |
/// | `stride_bytes` | u32 | bytes from one object to the next |
/// | `order` | u32 | preferred page order of a slab |
/// | `objects_per_slab` | u32 | objects in a slab of that order |
/// | `allocs` | u64 | allocations replayed |
/// | `frees` | u64 | frees replayed |
/// | `live_objects_end` | u64 | live objects at the end |
/// | `live_objects_peak` | u64 | most objects live at any moment |
/// | `slabs_end` | u64 | slabs at the end |
/// | `slabs_peak` | u64 | most slabs at any moment |
/// | `slab_bytes_end` | u64 | bytes in slabs at the end |
/// | `slab_bytes_peak` | u64 | most bytes in slabs at any moment |
/// | `live_bytes_end` | u64 | `live_objects_end * stride_bytes` |
/// | `wasted_bytes_end` | u64 | `slab_bytes_end` less the bytes asked for of live objects |
/// | `waste_ratio_end` | f64 | `wasted_bytes_end / slab_bytes_end`, in 0..=1; 0 without slabs |
/// | `internal_waste_ratio` | f64 | `1 - bytes asked for / (allocs * stride_bytes)` over all allocations, in 0..=1; 0 without allocations |
/// | `partial_slabs_end` | u64 | slabs on node partial lists at the end |
/// | `partial_slabs_peak` | u64 | most slabs on node partial lists at any moment |
/// | `cpu_slabs_end` | u64 | cpu slabs and slabs on CPU partial lists at the end |
/// | `slow_path_share` | f64 | allocations that the fast path did not serve / `allocs`; 0 without allocations |
///
/// Empty input gives no rows.
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn caches(input: &ReportInput) -> PolarsResult<DataFrame> {
    let rows = &input.caches;
    let frame = df!(
        "name" => column(rows, |c| c.name.clone()),
        "traced_as" => column(rows, |c| c.traced_as.clone()),
        "aliases" => column(rows, |c| c.aliases.join(" ")),
        "pseudo" => column(rows, |c| c.pseudo),
        "object_bytes" => column(rows, |c| c.object_bytes),
        "stride_bytes" => column(rows, |c| c.stride_bytes),
        "order" => column(rows, |c| c.order),
        "objects_per_slab" => column(rows, |c| c.objects_per_slab),
        "allocs" => column(rows, |c| c.allocs),
        "frees" => column(rows, |c| c.frees),
        "live_objects_end" => column(rows, |c| c.live_objects_end),
        "live_objects_peak" => column(rows, |c| c.live_objects_peak),
        "slabs_end" => column(rows, |c| c.slabs_end),
        "slabs_peak" => column(rows, |c| c.slabs_peak),
        "slab_bytes_end" => column(rows, |c| c.slab_bytes_end),
        "slab_bytes_peak" => column(rows, |c| c.slab_bytes_peak),
        "live_bytes_end" => column(rows, CacheFigures::live_bytes_end),
        "wasted_bytes_end" => column(rows, CacheFigures::wasted_bytes_end),
        "waste_ratio_end" => column(rows, CacheFigures::waste_ratio_end),
        "internal_waste_ratio" => column(rows, CacheFigures::internal_waste_ratio),
        "partial_slabs_end" => column(rows, |c| c.partial_slabs_end),
        "partial_slabs_peak" => column(rows, |c| c.partial_slabs_peak),
        "cpu_slabs_end" => column(rows, |c| c.cpu_slabs_end),
        "slow_path_share" => column(rows, CacheFigures::slow_path_share),
    )?;
    let order = SortMultipleOptions::default().with_order_descending_multi([true, false]).with_maintain_order(true);
    frame.sort(["slab_bytes_peak", "name"], order)
}

fn column<T>(rows: &[CacheFigures], value: impl Fn(&CacheFigures) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn figures_of_one_cache() -> PolarsResult<()> {
        let frame = caches(&testdata::small())?;
        let u64_at = |name: &str, row| frame.column(name)?.u64().map(|c| c.get(row));
        let f64_at = |name: &str, row| frame.column(name)?.f64().map(|c| c.get(row));
        // `dentry` has the higher peak, 16384 against 8192, so it comes first.
        assert_eq!(frame.column("name")?.str()?.get(0), Some("dentry"));
        assert_eq!(u64_at("live_bytes_end", 1)?, Some(640)); // 10 * 64
        assert_eq!(u64_at("wasted_bytes_end", 1)?, Some(3596)); // 4096 - 500
        assert_eq!(f64_at("waste_ratio_end", 1)?, Some(3596.0 / 4096.0));
        assert_eq!(f64_at("internal_waste_ratio", 1)?, Some(0.25)); // 1 - 4800 / (100 * 64)
        assert_eq!(f64_at("slow_path_share", 1)?, Some(0.2)); // (10 + 5 + 3 + 2) / 100
        assert_eq!(frame.column("aliases")?.str()?.get(1), Some("pid fib6_node"));
        Ok(())
    }

    #[test]
    fn equal_peaks_sort_by_name() -> PolarsResult<()> {
        let mut input = testdata::small();
        for (cache, name) in input.caches.iter_mut().zip(["b", "a", "c"]) {
            cache.name = name.to_owned();
            cache.slab_bytes_peak = 1;
        }
        let frame = caches(&input)?;
        let names: Vec<_> = frame.column("name")?.str()?.iter().flatten().collect();
        assert_eq!(names, ["a", "b", "c"]);
        Ok(())
    }
}
