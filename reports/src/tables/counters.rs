//! The allocator's own statistics.

use polars::df;
use polars::prelude::{DataFrame, PolarsResult};

use super::cache_name;
use crate::input::ReportInput;

/// Counters as in `/sys/kernel/slab/<cache>/`, in long form.
///
/// One row per cache, counter and CPU with a value above 0, in the order of the input:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `cache` | str | name of the cache |
/// | `counter` | str | name as in sysfs, such as `alloc_fastpath` |
/// | `cpu` | u32 | CPU number |
/// | `value` | u64 | events counted by the end of the replay |
///
/// Empty input gives no rows.
///
/// # Errors
///
/// If a counter belongs to a cache that is not in the input.
pub fn counters(input: &ReportInput) -> PolarsResult<DataFrame> {
    let rows = &input.counters;
    let caches = rows.iter().map(|row| cache_name(input, row.cache, "a counter")).collect::<PolarsResult<Vec<_>>>()?;
    df!(
        "cache" => caches,
        "counter" => rows.iter().map(|row| row.counter).collect::<Vec<_>>(),
        "cpu" => rows.iter().map(|row| row.cpu).collect::<Vec<_>>(),
        "value" => rows.iter().map(|row| row.value).collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use polars::prelude::ChunkAgg;

    use super::*;
    use crate::testdata;

    #[test]
    fn rows_keep_their_order() -> PolarsResult<()> {
        let frame = counters(&testdata::small())?;
        assert_eq!(frame.height(), 3);
        assert_eq!(frame.column("cache")?.str()?.get(2), Some("dentry"));
        assert_eq!(frame.column("cpu")?.u32()?.get(1), Some(1));
        assert_eq!(frame.column("value")?.u64()?.sum(), Some(87)); // 50 + 30 + 7
        Ok(())
    }
}
