//! State at evenly spaced moments.

use polars::df;
use polars::prelude::{DataFrame, PolarsResult, polars_ensure};

use super::cache_name;
use crate::input::{CacheSeries, ReportInput};

/// State of each cache at each moment, in long form.
///
/// One row per moment and cache that ever held a slab, by `time_ns` rising, then in the order of
/// the input:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `time_ns` | u64 | moment, in nanoseconds since the first event |
/// | `cache` | str | name of the cache |
/// | `slabs` | u64 | slabs |
/// | `slab_bytes` | u64 | bytes in slabs |
/// | `live_objects` | u64 | live objects |
/// | `live_bytes` | u64 | live objects times stride |
/// | `partial_slabs` | u64 | slabs on node partial lists |
/// | `cpu_partial_slabs` | u64 | slabs on CPU partial lists |
///
/// Empty input gives no rows.
///
/// # Errors
///
/// If a series belongs to a cache that is not in the input, or is not as long as `time_ns`.
pub fn timeline(input: &ReportInput) -> PolarsResult<DataFrame> {
    let moments = &input.timeline.time_ns;
    let series = &input.timeline.caches;
    check_lengths(input)?;
    let names = series.iter().map(|series| cache_name(input, series.cache, "a series")).collect::<PolarsResult<Vec<_>>>()?;
    let column = |values: fn(&CacheSeries) -> &Vec<u64>| -> Vec<u64> {
        (0..moments.len()).flat_map(|moment| series.iter().map(move |series| values(series)[moment])).collect()
    };
    df!(
        "time_ns" => moments.iter().flat_map(|time| std::iter::repeat_n(*time, series.len())).collect::<Vec<_>>(),
        "cache" => moments.iter().flat_map(|_| names.iter().copied()).collect::<Vec<_>>(),
        "slabs" => column(|series| &series.slabs),
        "slab_bytes" => column(|series| &series.slab_bytes),
        "live_objects" => column(|series| &series.live_objects),
        "live_bytes" => column(|series| &series.live_bytes),
        "partial_slabs" => column(|series| &series.partial_slabs),
        "cpu_partial_slabs" => column(|series| &series.cpu_partial_slabs),
    )
}

/// State of all caches together at each moment.
///
/// One row per moment, by `time_ns` rising; all columns but the first are sums over the caches:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `time_ns` | u64 | moment, in nanoseconds since the first event |
/// | `slabs` | u64 | slabs |
/// | `slab_bytes` | u64 | bytes in slabs |
/// | `live_objects` | u64 | live objects |
/// | `live_bytes` | u64 | live objects times the stride of their cache |
/// | `partial_slabs` | u64 | slabs on node partial lists |
/// | `cpu_partial_slabs` | u64 | slabs on CPU partial lists |
///
/// Moments without any series are rows of 0; no moments give no rows.
///
/// # Errors
///
/// If a series is not as long as `time_ns`.
pub fn totals(input: &ReportInput) -> PolarsResult<DataFrame> {
    check_lengths(input)?;
    let totals = input.timeline.totals();
    df!(
        "time_ns" => totals.time_ns,
        "slabs" => totals.slabs,
        "slab_bytes" => totals.slab_bytes,
        "live_objects" => totals.live_objects,
        "live_bytes" => totals.live_bytes,
        "partial_slabs" => totals.partial_slabs,
        "cpu_partial_slabs" => totals.cpu_partial_slabs,
    )
}

fn check_lengths(input: &ReportInput) -> PolarsResult<()> {
    let moments = input.timeline.time_ns.len();
    for series in &input.timeline.caches {
        let columns =
            [&series.slabs, &series.slab_bytes, &series.live_objects, &series.live_bytes, &series.partial_slabs, &series.cpu_partial_slabs];
        for column in columns {
            polars_ensure!(
                column.len() == moments,
                ShapeMismatch: "a series of cache {} has {} values for {moments} moments",
                series.cache, column.len()
            );
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use polars::prelude::ChunkAgg;

    use super::*;
    use crate::testdata;

    #[test]
    fn rows_go_by_moment_then_cache() -> PolarsResult<()> {
        let frame = timeline(&testdata::small())?;
        assert_eq!(frame.height(), 6); // 3 moments, 2 series
        let times: Vec<_> = frame.column("time_ns")?.u64()?.iter().flatten().collect();
        assert_eq!(times, [0, 0, 500, 500, 1000, 1000]);
        let bytes: Vec<_> = frame.column("slab_bytes")?.u64()?.iter().flatten().collect();
        assert_eq!(bytes, [0, 4096, 8192, 16384, 4096, 16384]);
        assert_eq!(frame.column("cache")?.str()?.get(3), Some("dentry"));
        Ok(())
    }

    #[test]
    fn totals_are_sums_over_the_caches() -> PolarsResult<()> {
        let frame = totals(&testdata::small())?;
        let bytes: Vec<_> = frame.column("slab_bytes")?.u64()?.iter().flatten().collect();
        assert_eq!(bytes, [4096, 24576, 20480]); // 0 + 4096, 8192 + 16384, 4096 + 16384
        Ok(())
    }

    #[test]
    fn a_short_series_is_an_error() {
        let mut input = testdata::small();
        input.timeline.caches[1].live_bytes.pop();
        for table in [timeline, totals] {
            let error = table(&input).expect_err("2 values for 3 moments");
            assert!(error.to_string().contains("2 values for 3 moments"), "{error}");
        }
    }

    #[test]
    fn moments_without_series_are_zero() -> PolarsResult<()> {
        let mut input = testdata::small();
        input.timeline.caches.clear();
        assert_eq!(timeline(&input)?.height(), 0);
        assert_eq!(totals(&input)?.column("slabs")?.u64()?.sum(), Some(0));
        assert_eq!(totals(&input)?.height(), 3);
        Ok(())
    }
}
