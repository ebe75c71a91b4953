//! The verification as one JSON object.

use serde_json::{Value, json};

use super::Found;
use crate::prepare::Coverage;
use crate::verify::{AgreementRow, AgreementTotal, CacheVerdict, FirstDivergence, Summary};

pub(super) fn of(found: &Found<'_>) -> Value {
    let setting = &found.loaded.setting;
    let result = found.counters.as_ref().map(|counters| &counters.result);
    let notes: Vec<&String> = setting.notes.iter().chain(result.into_iter().flat_map(|result| &result.notes)).collect();
    let summary = |include: &dyn Fn(&str) -> bool| {
        result.map(|result| summary(&result.summary(|cache| found.counts(&cache.cache) && include(&cache.cache))))
    };
    let caches = result.map(|result| result.caches.iter().map(|cache| verdict(found, cache)).collect::<Vec<Value>>());
    json!({
        "kernel": setting.kernel.release.to_string(),
        "model": setting.rules.generation.name(),
        "notes": notes,
        "excluded": found.excluded,
        "no_counters": found.no_counters,
        "summary": summary(&|_| true),
        "summary_observed": summary(&|cache| found.coverage(cache).is_observed()),
        "partly_observed_above_percent": Coverage::PARTLY_ABOVE_PERCENT,
        "partly_observed": found.partly_observed().iter().map(|(cache, _)| partly(found, cache)).collect::<Vec<Value>>(),
        "agreement": agreement(found),
        "caches": caches.unwrap_or_default(),
    })
}

fn summary(summary: &Summary) -> Value {
    json!({
        "caches": summary.caches,
        "kernel_sum": summary.kernel_sum,
        "error_sum": summary.error_sum,
        "error_percent": summary.error_percent(),
        "busy_caches": summary.busy,
        "busy_caches_exactly_equal": summary.busy_exact,
        "races_left_out": summary.races,
    })
}

/// How far a cache is observed, and what the trace lacks of it.
fn partly(found: &Found<'_>, cache: &str) -> Value {
    let coverage = found.coverage(cache);
    let untraced = found.verdict(cache).and_then(|verdict| found.untraced(verdict));
    json!({
        "cache": cache,
        "traced_operations": coverage.traced,
        "implied_operations": coverage.implied,
        "implied_percent": coverage.implied_percent(),
        "operations_not_in_trace": untraced.as_ref().map(|untraced| untraced.operations),
        "kernel_operations": untraced.as_ref().map(|untraced| untraced.of),
    })
}

fn verdict(found: &Found<'_>, cache: &CacheVerdict) -> Value {
    let rows = found.counters.iter().flat_map(|counters| &counters.result.rows);
    let rows = rows.filter(|row| row.cache == cache.cache && row.cpu.is_none() && row.error() > 0);
    let differences: Vec<Value> = rows.map(|row| json!({"counter": row.counter, "kernel": row.kernel, "replay": row.replay})).collect();
    let coverage = found.coverage(&cache.cache);
    let agreement = found.agreements.row(&cache.cache).filter(|_| found.obstacle.is_none());
    json!({
        "cache": cache.cache,
        "operations": cache.operations,
        "kernel_sum": cache.kernel_sum,
        "error_sum": cache.error_sum,
        "untouched_slabs": cache.untouched_slabs,
        "observed": coverage.is_observed(),
        "implied_operations": coverage.implied,
        "operations_not_in_trace": found.untraced(cache).map(|untraced| untraced.operations),
        "agreement_percent": agreement.and_then(|row| row.figures.percent()),
        "differences": differences,
    })
}

fn agreement(found: &Found<'_>) -> Value {
    if let Some(obstacle) = found.obstacle {
        return json!({"judged": false, "reason": obstacle.to_string()});
    }
    let agreements = &found.agreements;
    let counts = |row: &AgreementRow| found.counts(&row.cache);
    let caches: Vec<Value> = agreements
        .caches
        .iter()
        .map(|row| {
            let samples = found.timeline.caches.get(row.number).map(Vec::as_slice).unwrap_or_default();
            json!({
                "cache": row.cache,
                "observed": row.coverage.is_observed(),
                "operations": row.coverage.operations(),
                "implied_operations": row.coverage.implied,
                "compared": row.figures.compared,
                "agreed": row.figures.agreed,
                "percent": row.figures.percent(),
                "first_divergence": agreements.first_of(row).as_ref().map(first),
                "samples": {
                    "compared": samples.iter().map(|sample| sample.compared).collect::<Vec<u64>>(),
                    "agreed": samples.iter().map(|sample| sample.agreed).collect::<Vec<u64>>(),
                },
            })
        })
        .collect();
    let sums = |figure: fn(&crate::replay::TimelineSample) -> u64| -> Vec<u64> {
        let rows = || agreements.caches.iter().filter(|row| counts(row)).filter_map(|row| found.timeline.caches.get(row.number));
        (0..found.timeline.time_ns.len()).map(|moment| rows().filter_map(|samples| samples.get(moment)).map(figure).sum()).collect()
    };
    json!({
        "judged": true,
        "total": total(&agreements.total(counts)),
        "observed": total(&agreements.total(|row| counts(row) && row.coverage.is_observed())),
        "samples": {
            "time_ns": found.timeline.time_ns,
            "compared": sums(|sample| sample.compared),
            "agreed": sums(|sample| sample.agreed),
        },
        "caches": caches,
    })
}

fn total(total: &AgreementTotal) -> Value {
    json!({
        "compared": total.compared,
        "agreed": total.agreed,
        "percent": total.percent(),
        "first_divergence": total.first_divergence.as_ref().map(first),
    })
}

fn first(first: &FirstDivergence) -> Value {
    json!({"operation": first.operation, "time_ns": first.time_ns, "cache": first.cache})
}
