//! The result for programs: CSV and JSON.

use std::fmt::Write;

use serde_json::{Value, json};

use super::super::args::FallbackArgs;
use super::super::columns::csv_field;
use super::Found;
use super::text::{Cost, cost};

/// `cache,kernel,observed,predicted`, one row for each cache with any of the three above zero.
pub(super) fn csv(found: &Found<'_>) -> String {
    let mut text = String::from("cache,kernel,observed,predicted\n");
    for (number, cache) in found.caches() {
        let field = |count: Option<u64>| count.map(|count| count.to_string()).unwrap_or_default();
        let [kernel, observed, predicted] = found.counts(number).map(field);
        writeln!(text, "{},{kernel},{observed},{predicted}", csv_field(&cache.name)).unwrap_or_default();
    }
    text
}

/// Everything.
pub(super) fn json(found: &Found<'_>, args: &FallbackArgs) -> String {
    let start = found.loaded.plan.time_range_ns.0;
    let caches = found.caches().map(|(number, cache)| {
        let [kernel, observed, predicted] = found.counts(number);
        let tries = &found.predicted.caches[number];
        let times = |fallbacks: &[crate::fallback::FellBack]| -> Vec<u64> {
            fallbacks.iter().filter(|fell| fell.cache == number).map(|fell| fell.time_ns.saturating_sub(start)).collect()
        };
        let Cost { objects_lost, overhead_bytes, .. } = cost(found, number);
        json!({
            "cache": cache.name,
            "kernel": kernel,
            "observed": observed,
            "predicted": predicted,
            "order": cache.layout.order,
            "min_order": cache.layout.min_order,
            "objects": cache.layout.objects,
            "min_objects": cache.layout.min_objects,
            "slabs_observed": found.observed.slabs[number],
            "attempts": tries.attempts,
            "high_order_attempts": tries.high_order,
            "failures": tries.failures,
            "refused_no_block": tries.no_block,
            "refused_watermark": tries.watermark,
            "refused_injected": tries.injected,
            "objects_lost_per_slab": objects_lost,
            "overhead_bytes": overhead_bytes,
            "observed_ns": times(&found.observed.fallbacks),
            "predicted_ns": times(&found.predicted.fallbacks),
        })
    });
    let sample = |sample: &crate::mem::buddy::PageSample| {
        json!({
            "time_ns": sample.time_ns.saturating_sub(start),
            "free_pages": sample.free.pages(),
            "cpu_list_pages": sample.parked,
            "free_blocks": sample.free.0,
            "unusable_index": (0..=crate::mem::buddy::MAX_ORDER).map(|order| sample.free.unusable_index(order)).collect::<Vec<u64>>(),
            "fragmentation_index": (0..=crate::mem::buddy::MAX_ORDER).map(|order| sample.free.fragmentation_index(order)).collect::<Vec<_>>(),
        })
    };
    let others = found.others.iter().map(|other| {
        json!({
            "slab_max_order": other.max_order,
            "is_recorded": other.is_recorded,
            "caches_changed": other.changed,
            "high_order_attempts": other.high_order,
            "fallbacks": other.fallbacks,
            "failures": other.failures,
            "slab_bytes_peak": other.slab_bytes_peak,
            "slab_bytes_end": other.slab_bytes_end,
        })
    });
    let (traffic, counts) = (&found.predicted.traffic, &found.predicted.counts);
    let end: Value = found.end.as_ref().map_or(Value::Null, |end| {
        json!({
            "time_ns": end.model.time_ns.saturating_sub(start),
            "kernel_free_pages": end.kernel.pages(),
            "model_free_pages": end.model.free.pages(),
            "kernel_cpu_list_pages": end.kernel_parked,
            "model_cpu_list_pages": end.model.parked,
            "kernel_free_blocks": end.kernel.0,
            "model_free_blocks": end.model.free.0,
        })
    });
    let value = json!({
        "trace": found.trace(args).display().to_string(),
        "kernel": found.loaded.setting.kernel.release.to_string(),
        "notes": found.notes,
        "caches": caches.collect::<Vec<Value>>(),
        "slab_max_order": others.collect::<Vec<Value>>(),
        "second_snapshot": end,
        "model": {
            "free_pages_untouched_at_start": found.machine.start.untouched,
            "slabs_as_recorded": counts.slabs_as_recorded,
            "slabs_by_rules": counts.slabs_by_rules,
            "met_by_reclaim": counts.reclaimed,
            "met_from_nowhere": counts.invented,
            "frees_from_nowhere": counts.foreign_frees,
            "traffic_placed": traffic.placed,
            "traffic_displaced": traffic.displaced,
            "traffic_lost": traffic.lost,
            "traffic_freed": traffic.freed,
            "traffic_frees_ignored": traffic.ignored_frees,
            "traffic_drained": traffic.drained,
            "traffic_drains_of_another_block": traffic.exchanged_drains,
            "traffic_drains_ignored": traffic.ignored_drains,
            "moved_by_compaction": traffic.moved,
            "moved_nowhere": traffic.moved_nowhere,
            "taken_without_event": traffic.unseen,
            "taken_without_event_ignored": traffic.ignored_unseen,
            "pageblocks_claimed_as_recorded": traffic.claimed,
        },
        "samples": found.predicted.samples.iter().map(sample).collect::<Vec<Value>>(),
    });
    format!("{value:#}\n")
}
