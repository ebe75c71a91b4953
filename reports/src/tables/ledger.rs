//! What was seen and what had to be concluded.

use polars::df;
use polars::prelude::{DataFrame, PolarsResult};

use crate::input::ReportInput;

/// Statements about the input: what was observed, what was inferred, what could not be used.
///
/// One row per kind and cache, in the order of the input:
///
/// | column | type | meaning |
/// |---|---|---|
/// | `kind` | str | what was counted, such as `implied frees` |
/// | `class` | str | `observed`, `inferred` or `unusable` |
/// | `cache` | str | cache concerned; empty if it concerns none |
/// | `count` | u64 | how many |
/// | `meaning` | str | one sentence that says what it means |
///
/// Empty input gives no rows.
///
/// # Errors
///
/// Only if polars cannot build the table, which no input should bring about.
pub fn ledger(input: &ReportInput) -> PolarsResult<DataFrame> {
    let rows = &input.ledger;
    df!(
        "kind" => rows.iter().map(|row| row.kind).collect::<Vec<_>>(),
        "class" => rows.iter().map(|row| row.class).collect::<Vec<_>>(),
        "cache" => rows.iter().map(|row| row.cache.as_str()).collect::<Vec<_>>(),
        "count" => rows.iter().map(|row| row.count).collect::<Vec<_>>(),
        "meaning" => rows.iter().map(|row| row.meaning).collect::<Vec<_>>(),
    )
}

#[cfg(test)]
mod tests {
    use polars::prelude::ChunkAgg;

    use super::*;
    use crate::testdata;

    #[test]
    fn a_statement_without_a_cache_has_an_empty_name() -> PolarsResult<()> {
        let frame = ledger(&testdata::small())?;
        assert_eq!(frame.height(), 4);
        assert_eq!(frame.column("cache")?.str()?.get(3), Some(""));
        assert_eq!(frame.column("count")?.u64()?.sum(), Some(120)); // 100 + 12 + 5 + 3
        Ok(())
    }
}
