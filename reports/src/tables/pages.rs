//! Tables of order fallback and free blocks.

use polars::df;
use polars::prelude::{DataFrame, PolarsResult};

use super::Table;
use crate::input::pages::{CacheFallbacks, FreeMoment, MaxOrderFigures, ORDERS, PageFigures};

/// All tables that are exported, in order.
pub const ALL: [Table<PageFigures>; 3] = [
    Table { name: "fallback-caches", build: fallbacks },
    Table { name: "free-blocks", build: free_blocks },
    Table { name: "slab-max-order", build: max_orders },
];

/// Fallbacks by cache.
///
/// One row per cache of the input, in its order: `cache` (str), `order`, `min_order`, `objects`, `min_objects` (u32), `kernel`,
/// `observed` (u64, empty if there is no such count), `predicted`, `attempts`, `high_order_attempts`, `failures` (u64),
/// `overhead_bytes` (i64).
///
/// # Errors
///
/// None that an input could bring about.
pub fn fallbacks(figures: &PageFigures) -> PolarsResult<DataFrame> {
    let caches = &figures.caches;
    let number = |value: fn(&CacheFallbacks) -> u64| caches.iter().map(value).collect::<Vec<u64>>();
    let small = |value: fn(&CacheFallbacks) -> u32| caches.iter().map(value).collect::<Vec<u32>>();
    df!(
        "cache" => caches.iter().map(|cache| cache.name.as_str()).collect::<Vec<_>>(),
        "order" => small(|cache| cache.orders.0),
        "min_order" => small(|cache| cache.orders.1),
        "objects" => small(|cache| cache.objects.0),
        "min_objects" => small(|cache| cache.objects.1),
        "kernel" => caches.iter().map(|cache| cache.kernel).collect::<Vec<Option<u64>>>(),
        "observed" => caches.iter().map(|cache| cache.observed).collect::<Vec<Option<u64>>>(),
        "predicted" => number(|cache| cache.predicted),
        "attempts" => number(|cache| cache.attempts),
        "high_order_attempts" => number(|cache| cache.high_order_attempts),
        "failures" => number(|cache| cache.failures),
        "overhead_bytes" => caches.iter().map(|cache| cache.overhead_bytes).collect::<Vec<i64>>(),
    )
}

/// Free blocks over time, in long form.
///
/// One row per moment and order: `time_ns` (u64), `order` (u32), `free_blocks` (u64), `unusable_share` (f64: share of the free pages in
/// blocks below the order), `free_pages`, `cpu_list_pages` (u64: of the moment).
///
/// # Errors
///
/// None that an input could bring about.
pub fn free_blocks(figures: &PageFigures) -> PolarsResult<DataFrame> {
    let rows: Vec<(&FreeMoment, usize)> = figures.moments.iter().flat_map(|moment| (0..ORDERS).map(move |order| (moment, order))).collect();
    let of_moment = |value: fn(&FreeMoment) -> u64| rows.iter().map(|(moment, _)| value(moment)).collect::<Vec<u64>>();
    df!(
        "time_ns" => of_moment(|moment| moment.time_ns),
        "order" => rows.iter().map(|(_, order)| *order as u32).collect::<Vec<u32>>(),
        "free_blocks" => rows.iter().map(|(moment, order)| moment.blocks[*order]).collect::<Vec<u64>>(),
        "unusable_share" => rows.iter().map(|(moment, order)| moment.unusable[*order]).collect::<Vec<f64>>(),
        "free_pages" => of_moment(|moment| moment.free_pages),
        "cpu_list_pages" => of_moment(|moment| moment.cpu_list_pages),
    )
}

/// Replays with other parameters, one row each, with the fields of [`MaxOrderFigures`].
///
/// # Errors
///
/// None that an input could bring about.
pub fn max_orders(figures: &PageFigures) -> PolarsResult<DataFrame> {
    let number = |value: fn(&MaxOrderFigures) -> u64| figures.max_orders.iter().map(value).collect::<Vec<u64>>();
    df!(
        "slab_max_order" => figures.max_orders.iter().map(|other| other.max_order).collect::<Vec<u32>>(),
        "is_recorded" => figures.max_orders.iter().map(|other| other.is_recorded).collect::<Vec<bool>>(),
        "caches_changed" => number(|other| other.caches_changed),
        "high_order_attempts" => number(|other| other.high_order_attempts),
        "fallbacks" => number(|other| other.fallbacks),
        "failures" => number(|other| other.failures),
        "slab_bytes_peak" => number(|other| other.slab_bytes_peak),
        "slab_bytes_end" => number(|other| other.slab_bytes_end),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata::pages::small;

    #[test]
    fn tables_have_their_rows_with_and_without_figures() {
        for figures in [PageFigures::default(), small()] {
            let rows = ALL.map(|table| (table.build)(&figures).unwrap().height());
            assert_eq!(rows, [figures.caches.len(), figures.moments.len() * ORDERS, 0]);
        }
    }
}
