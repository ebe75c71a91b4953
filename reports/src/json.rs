//! The figures as JSON, for other programs.

pub mod threads;

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::input::analysis::AnalysisInput;
use crate::input::{CacheFigures, CounterFigure, ReportInput, RunFacts};

/// Version of the layout below; grows when a field changes its meaning or goes away.
const FORMAT_VERSION: u32 = 1;

/// Returns the figures of a replay as one JSON object.
///
/// Its fields are `format_version`, `run`, `caches` (an array, with the derived ratios and each
/// cache's `counters`), `ledger` and `sizing_differences`. A counter is an object with its `total`
/// and its value `per_cpu`. The timeline, by far the largest part, is left to the tables; `run`
/// says under `timeline_moments` how many moments it has. With an analysis there is a field `analysis` with its findings, but for what is
/// at every moment.
#[must_use]
pub fn to_json(input: &ReportInput, analysis: Option<&AnalysisInput>) -> Value {
    let mut counters = counters_by_cache(input);
    let caches: Vec<Value> =
        input.caches.iter().enumerate().map(|(index, figures)| cache(figures, counters.remove(&index).unwrap_or_default())).collect();
    let mut value = json!({
        "format_version": FORMAT_VERSION,
        "run": run(&input.run, input.timeline.time_ns.len()),
        "caches": caches,
        "ledger": input.ledger,
        "sizing_differences": input.sizing_differences,
    });
    if let Some(found) = analysis {
        value["analysis"] = json!({
            "verdicts": found.verdicts,
            "pins": found.pins,
            "sites": found.sites,
            "threads": found.threads,
            "lifetimes": found.lifetimes,
            "remote_frees": found.remote_frees,
            "callers": found.callers,
        });
    }
    value
}

fn run(run: &RunFacts, moments: usize) -> Value {
    let mut value = json!(run);
    // An object reads better than the pairs that the vector would become.
    let events: Map<String, Value> = run.events.iter().map(|(name, count)| (name.clone(), json!(count))).collect();
    value["events"] = Value::Object(events);
    value["timeline_moments"] = json!(moments);
    value
}

fn cache(figures: &CacheFigures, counters: Map<String, Value>) -> Value {
    let mut value = json!(figures);
    value["live_bytes_end"] = json!(figures.live_bytes_end());
    value["wasted_bytes_end"] = json!(figures.wasted_bytes_end());
    value["waste_ratio_end"] = json!(figures.waste_ratio_end());
    value["internal_waste_ratio"] = json!(figures.internal_waste_ratio());
    value["slow_path_share"] = json!(figures.slow_path_share());
    value["counters"] = Value::Object(counters);
    value
}

/// Counters of each cache by name, in the order of the input.
fn counters_by_cache(input: &ReportInput) -> BTreeMap<usize, Map<String, Value>> {
    let mut caches: BTreeMap<usize, Map<String, Value>> = BTreeMap::new();
    for figure in &input.counters {
        add_counter(caches.entry(figure.cache).or_default(), figure);
    }
    caches
}

fn add_counter(counters: &mut Map<String, Value>, figure: &CounterFigure) {
    let counter = counters.entry(figure.counter).or_insert_with(|| json!({ "total": 0, "per_cpu": {} }));
    let total = counter["total"].as_u64().unwrap_or(0);
    counter["total"] = json!(total.saturating_add(figure.value));
    counter["per_cpu"][figure.cpu.to_string()] = json!(figure.value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn counters_have_totals_and_cpus() {
        let value = to_json(&testdata::small(), None);
        assert_eq!(value["caches"][0]["counters"], json!({ "alloc_fastpath": { "total": 80, "per_cpu": { "0": 50, "1": 30 } } }));
        assert_eq!(value["caches"][2]["counters"], json!({}));
    }

    #[test]
    fn caches_carry_derived_figures() {
        let value = to_json(&testdata::small(), None);
        let cache = &value["caches"][0];
        assert_eq!(cache["name"], "kmalloc-64");
        assert_eq!(cache["live_bytes_end"], 640); // 10 * 64
        assert_eq!(cache["wasted_bytes_end"], 3596); // 4096 - 500
        assert_eq!(cache["slow_path_share"], 0.2); // (10 + 5 + 3 + 2) / 100
        assert_eq!(cache["alloc_paths"]["refill"], 10);
    }

    #[test]
    fn run_facts_without_the_timeline() {
        let value = to_json(&testdata::small(), None);
        assert_eq!(value["run"]["events"], json!({ "kmalloc": 1100, "kfree": 90 }));
        assert_eq!(value["run"]["timeline_moments"], 3);
        assert_eq!(value["ledger"][1]["class"], "inferred");
        assert_eq!(value["sizing_differences"][0]["computed"], 0);
        assert!(value.get("timeline").is_none());
    }

    #[test]
    fn empty_input_keeps_its_fields() {
        let value = to_json(&testdata::empty(), None);
        assert_eq!(value["caches"], json!([]));
        assert_eq!(value["run"]["events"], json!({}));
    }
}
