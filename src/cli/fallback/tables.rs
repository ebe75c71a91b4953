//! What goes into the folder of `--out`.

use std::path::Path;

use super::super::args::FallbackArgs;
use super::super::failure::Failure;
use super::text::cost;
use super::{Found, programs};
use crate::mem::buddy::PageSample;
use slubreplay_reports::export::{TableFormat, pages};
use slubreplay_reports::input::RunFacts;
use slubreplay_reports::input::pages::{CacheFallbacks, FreeMoment, MaxOrderFigures, ORDERS, PageFigures};

/// Writes `fallback.csv`, `fallback.json` and the tables and charts of the reports crate.
pub(super) fn write(found: &Found<'_>, args: &FallbackArgs, dir: &Path) -> Result<(), Failure> {
    pages::write_all(&figures(found, args), dir, &[TableFormat::Csv]).map_err(Failure::input)?;
    for (name, content) in [("fallback.csv", programs::csv(found)), ("fallback.json", programs::json(found, args))] {
        let path = dir.join(name);
        std::fs::write(&path, content).map_err(|error| Failure::output(&path.display().to_string(), error))?;
    }
    Ok(())
}

fn figures(found: &Found<'_>, args: &FallbackArgs) -> PageFigures {
    let loaded = found.loaded;
    let (start, end) = loaded.plan.time_range_ns;
    let since = |time_ns: u64| time_ns.saturating_sub(start);
    let run = RunFacts {
        trace: found.trace(args).display().to_string(),
        kernel: loaded.setting.kernel.release.to_string(),
        model: loaded.setting.rules.generation.name().to_owned(),
        duration_ns: end.saturating_sub(start),
        notes: found.notes.clone(),
        ..RunFacts::default()
    };
    let asked = |(number, _): &(usize, _)| found.predicted.caches[*number].attempts > 0;
    let caches = loaded.plan.caches.iter().enumerate().filter(asked).map(|(number, cache)| {
        let [kernel, observed, predicted] = found.counts(number);
        let (layout, tries) = (&cache.layout, &found.predicted.caches[number]);
        CacheFallbacks {
            name: cache.name.clone(),
            orders: (layout.order, layout.min_order),
            objects: (layout.objects, layout.min_objects),
            kernel,
            observed,
            predicted: predicted.unwrap_or(0),
            attempts: tries.attempts,
            high_order_attempts: tries.high_order,
            failures: tries.failures,
            overhead_bytes: cost(found, number).overhead_bytes,
        }
    });
    let moment = |sample: &PageSample| {
        let unusable: [f64; ORDERS] = std::array::from_fn(|order| sample.free.unusable_index(order as u8) as f64 / 1000.0);
        let (free_pages, blocks) = (sample.free.pages(), sample.free.0);
        FreeMoment { time_ns: since(sample.time_ns), free_pages, cpu_list_pages: sample.parked, blocks, unusable }
    };
    let max_orders = found.others.iter().map(|other| MaxOrderFigures {
        max_order: other.max_order,
        is_recorded: other.is_recorded,
        caches_changed: other.changed,
        high_order_attempts: other.high_order,
        fallbacks: other.fallbacks,
        failures: other.failures,
        slab_bytes_peak: other.slab_bytes_peak,
        slab_bytes_end: other.slab_bytes_end,
    });
    PageFigures {
        run,
        caches: caches.collect(),
        moments: found.predicted.samples.iter().map(moment).collect(),
        observed_ns: found.observed.fallbacks.iter().map(|fell| since(fell.time_ns)).collect(),
        predicted_ns: found.predicted.fallbacks.iter().map(|fell| since(fell.time_ns)).collect(),
        max_orders: max_orders.collect(),
    }
}
