//! Checks of the computed cache layouts.

use polars::df;
use polars::prelude::{DataFrame, PolarsResult};

use crate::input::ReportInput;

/// Where a computed cache layout differs from the one that the kernel reported.
///
/// One row per difference, in the order of the input:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `cache` | str | name of the cache |
/// | `attribute` | str | sysfs attribute, such as `order` |
/// | `kernel` | u64 | the kernel's value, in the unit of the attribute |
/// | `computed` | u64 | the computed value, in the same unit |
///
/// Empty input gives no rows, and so does a layout that agrees.
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn sizing(input: &ReportInput) -> PolarsResult<DataFrame> {
    let rows = &input.sizing_differences;
    df!(
        "cache" => rows.iter().map(|row| row.cache.as_str()).collect::<Vec<_>>(),
        "attribute" => rows.iter().map(|row| row.attribute).collect::<Vec<_>>(),
        "kernel" => rows.iter().map(|row| row.kernel).collect::<Vec<_>>(),
        "computed" => rows.iter().map(|row| row.computed).collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn both_values_are_kept() -> PolarsResult<()> {
        let frame = sizing(&testdata::small())?;
        assert_eq!(frame.column("attribute")?.str()?.get(0), Some("order"));
        assert_eq!(frame.column("kernel")?.u64()?.get(0), Some(1));
        assert_eq!(frame.column("computed")?.u64()?.get(0), Some(0));
        Ok(())
    }
}
