//! The figures of a replay on threads as JSON.

use serde_json::{Map, Value, json};

use super::{FORMAT_VERSION, run};
use crate::input::threads::{LockFigures, PathLatency, QUANTILES, ThreadsCache, ThreadsInput};

/// Returns the figures of a replay on threads as one JSON object.
///
/// Its fields are `format_version`, `engine` (`threads`), `run` (as of the exact replay), `threads` (how it was replayed and how fast),
/// `workers`, `latency` (by path, with `distribution` as pairs of nanoseconds and the share that took no longer), `agreement` (totals),
/// `caches` (locks by CPU and node, and both replays' figures) and `memory`.
#[must_use]
pub fn to_json(input: &ThreadsInput) -> Value {
    let mut facts = json!(input.facts);
    facts["operations_per_second"] = json!(input.facts.per_second());
    let workers = input.workers.iter().map(|worker| {
        let mut value = json!(worker);
        value["operations_per_second"] = json!(worker.per_second());
        value
    });
    let figures = input.figures.iter().enumerate().map(|(number, figure)| {
        let total = input.compared(number);
        json!({
            "counter": figure.name,
            "exact": total.exact,
            "threads": total.threads,
            "difference": difference(total.difference()),
            "by_nature": figure.why.is_some(),
            "why": figure.why,
        })
    });
    let mut trace = run(&input.run, 0);
    if let Some(fields) = trace.as_object_mut() {
        // Nothing is followed over time.
        fields.remove("timeline_moments");
    }
    json!({
        "format_version": FORMAT_VERSION,
        "engine": "threads",
        "run": trace,
        "threads": facts,
        "workers": workers.collect::<Vec<_>>(),
        "latency": input.latency.iter().map(latency).collect::<Vec<_>>(),
        "agreement": figures.collect::<Vec<_>>(),
        "caches": input.caches.iter().map(|figures| cache(input, figures)).collect::<Vec<_>>(),
        "memory": input.memory,
    })
}

/// JSON has numbers of any size, but readers have 64 bits.
fn difference(value: i128) -> Value {
    json!(i64::try_from(value).unwrap_or(if value < 0 { i64::MIN } else { i64::MAX }))
}

fn latency(path: &PathLatency) -> Value {
    let mut value = json!(path);
    let quantiles = QUANTILES.iter().zip(path.quantiles_ns).map(|((_, name), ns)| ((*name).to_owned(), json!(ns)));
    value["quantiles_ns"] = Value::Object(quantiles.collect::<Map<_, _>>());
    value
}

fn cache(input: &ThreadsInput, cache: &ThreadsCache) -> Value {
    let locks = |by_cpu: &[LockFigures]| {
        let mut value = json!(LockFigures::sum(by_cpu));
        value["per_cpu"] = json!(by_cpu);
        value
    };
    let mut list = locks(&cache.list_locks);
    list["per_node"] = json!(cache.list_locks_of_node);
    let figures = input.figures.iter().enumerate().map(|(number, figure)| {
        let compared = cache.compared(number);
        (figure.name.to_owned(), json!({ "exact": compared.exact, "threads": compared.threads }))
    });
    json!({
        "name": cache.name,
        "label": cache.label,
        "list_lock": list,
        "barn_lock": locks(&cache.barn_locks),
        "page_lock": locks(&cache.page_locks),
        "figures": figures.collect::<Map<_, _>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata::threads::small;

    #[test]
    fn sums_and_parts_are_both_there() {
        let value = to_json(&small());
        assert_eq!((&value["engine"], &value["threads"]["operations_per_second"]), (&json!("threads"), &json!(240e6)));
        let lock = &value["caches"][0]["list_lock"];
        assert_eq!(
            (&lock["taken"], &lock["per_cpu"][1]["taken"], &lock["per_node"][0]["waited_ns"]),
            (&json!(80), &json!(20), &json!(1000))
        );
        assert_eq!(value["caches"][0]["figures"]["alloc_fastpath"], json!({ "exact": 80, "threads": 70 }));
        assert_eq!(value["agreement"][1]["difference"], -10);
        assert_eq!((&value["agreement"][0]["by_nature"], &value["agreement"][1]["by_nature"]), (&json!(false), &json!(true)));
        assert_eq!(value["latency"][0]["quantiles_ns"]["p99.99"], 40.0);
        assert_eq!(value["latency"][1]["distribution"], json!([[300.0, 0.25], [2500.0, 1.0]]));
        assert_eq!(value["memory"]["live_peak"], 150);
        assert!(value["run"].get("timeline_moments").is_none());
    }

    #[test]
    fn empty_input_keeps_its_fields() {
        let value = to_json(&ThreadsInput::default());
        assert_eq!((&value["caches"], &value["workers"], &value["threads"]["window_ns"]), (&json!([]), &json!([]), &Value::Null));
    }
}
