//! A replay's outcome to a report's input: the one place that sees both.

mod analysis;
mod threads;

use std::path::Path;

use slubreplay_reports::input::{
    AllocPaths, CacheFigures, CacheSeries, CounterFigure, FreePaths, LedgerEntry, ReportInput, RunFacts, SizingDifference, Timeline,
};

use super::load::Loaded;
use crate::allocators::Detail;
use crate::allocators::slab::SlabCounter;
use crate::allocators::slub::Counter;
use crate::compare::untouched_objects;
use crate::prepare::PlannedCache;
use crate::replay::{self, CacheOutcome, Outcome, TimelineSample};

pub(super) use analysis::analysis_input;
pub(super) use threads::threads_input;

pub(super) fn report_input(path: &Path, loaded: &Loaded, outcome: &Outcome, timeline: &replay::Timeline) -> ReportInput {
    let untouched = untouched_objects(&loaded.plan);
    let caches = loaded.plan.caches.iter().zip(&outcome.caches).zip(&untouched);
    let caches = caches.map(|((planned, outcome), &untouched)| figures(planned, outcome, untouched)).collect();
    ReportInput {
        run: facts(path, loaded, outcome),
        caches,
        counters: counters(outcome),
        timeline: series(timeline, &loaded.plan.caches, &untouched),
        ledger: ledger(loaded),
        sizing_differences: sizing(loaded),
    }
}

fn facts(path: &Path, loaded: &Loaded, outcome: &Outcome) -> RunFacts {
    let accounting = &loaded.facts.accounting;
    let mut events: Vec<(String, u64)> = accounting.events.iter().map(|(name, &count)| (name.clone(), count)).collect();
    events.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
    let (start, end) = loaded.plan.time_range_ns;
    RunFacts {
        trace: path.display().to_string(),
        format: loaded.facts.info.format.clone(),
        kernel: loaded.setting.kernel.release.to_string(),
        model: loaded.setting.model_name().to_owned(),
        cpus: u32::from(loaded.setting.topology.cpus()),
        nodes: u32::from(loaded.setting.topology.nodes()),
        page_bytes: loaded.setting.kernel.machine.page_bytes,
        duration_ns: end.saturating_sub(start),
        events,
        lost_events: accounting.lost_events().0,
        operations: outcome.operations,
        allocs: outcome.caches.iter().map(|cache| cache.allocs).sum(),
        frees: outcome.caches.iter().map(|cache| cache.frees).sum(),
        notes: notes(loaded, outcome),
    }
}

fn notes(loaded: &Loaded, outcome: &Outcome) -> Vec<String> {
    let accounting = &loaded.facts.accounting;
    let mut notes = loaded.setting.notes.clone();
    notes.extend(accounting.remarks.iter().cloned());
    if !accounting.absent_fields.is_empty() {
        notes.push(format!("fields missing from the trace's event formats: {}", accounting.absent_fields.join(", ")));
    }
    let (_, gaps) = accounting.lost_events();
    if gaps > 0 {
        notes.push(format!("{gaps} gaps in the recording with an unknown number of lost events"));
    }
    if let (Some(first), count) = (accounting.damages.first(), accounting.damage_count()) {
        notes.push(format!(
            "{count} damaged pieces of data were skipped; the first on CPU {}, byte {}: expected {}",
            first.cpu, first.byte, first.reason
        ));
    }
    if !loaded.facts.info.other_buffers.is_empty() {
        let others: Vec<&str> = loaded.facts.info.other_buffers.iter().map(|name| if name.is_empty() { "(top)" } else { name }).collect();
        notes.push(format!("other buffers of the trace were not read: {}", others.join(", ")));
    }
    if outcome.failed_allocs > 0 {
        notes.push(format!("{} allocations found no memory in the replay", outcome.failed_allocs));
    }
    notes
}

/// `untouched` objects of the cache are live from the start to the end without an event that speaks of them. What was asked for them is not
/// known: they count with all of the object.
fn figures(planned: &PlannedCache, outcome: &CacheOutcome, untouched: u64) -> CacheFigures {
    let paths = outcome.end.paths();
    CacheFigures {
        name: planned.name.clone(),
        traced_as: if planned.traced_as == planned.name { String::new() } else { planned.traced_as.clone() },
        aliases: planned.aliases.clone(),
        pseudo: planned.is_pseudo,
        object_bytes: planned.layout.object_size,
        stride_bytes: planned.layout.size,
        order: planned.layout.order,
        objects_per_slab: planned.layout.objects,
        allocs: outcome.allocs,
        frees: outcome.frees,
        requested_bytes_total: outcome.requested_bytes,
        live_objects_end: outcome.live_objects + untouched,
        live_requested_bytes_end: outcome.live_requested_bytes + untouched * u64::from(planned.layout.object_size),
        live_objects_peak: outcome.live_objects_peak + untouched,
        slabs_end: outcome.end.gauges.slabs,
        slabs_peak: outcome.slabs_peak,
        slab_bytes_end: outcome.slab_bytes,
        slab_bytes_peak: outcome.slab_bytes_peak,
        partial_slabs_end: outcome.end.gauges.partial,
        partial_slabs_peak: outcome.partial_peak,
        cpu_slabs_end: outcome.end.gauges.cpu_slabs,
        alloc_paths: AllocPaths {
            fastpath: paths.alloc_fastpath,
            refill: paths.alloc_refill,
            cpu_partial: paths.alloc_cpu_partial,
            node_partial: paths.alloc_node_partial,
            new_slab: paths.alloc_new_slab,
        },
        free_paths: FreePaths { fastpath: paths.free_fastpath, frozen: paths.free_frozen, slowpath: paths.free_slowpath },
    }
}

fn counters(outcome: &Outcome) -> Vec<CounterFigure> {
    let mut figures = Vec::new();
    for (cache, outcome) in outcome.caches.iter().enumerate() {
        let mut push = |counter, cpu, value| {
            if value > 0 {
                figures.push(CounterFigure { cache, counter, cpu, value });
            }
        };
        for counter in Counter::ALL {
            for (cpu, counts) in (0..).zip(&outcome.end.counts) {
                push(counter.name(), cpu, counts.get(counter));
            }
        }
        match &outcome.end.detail {
            Detail::Slub => {}
            Detail::Slab(slab) => {
                for counter in SlabCounter::ALL {
                    for (cpu, counts) in (0..).zip(&slab.counts) {
                        push(counter.name(), cpu, counts.get(counter));
                    }
                }
                // Figures of the whole cache are under CPU 0.
                let marks = [("maxobjs", slab.max_objects), ("maxfreeable", slab.max_freeable), ("parked_objects", slab.parked)];
                slab.info.named().into_iter().chain(marks).for_each(|(name, value)| push(name, 0, value));
            }
            Detail::Slob(slob) => slob.named().into_iter().for_each(|(name, value)| push(name, 0, value)),
        }
    }
    figures
}

fn series(timeline: &replay::Timeline, planned: &[PlannedCache], untouched: &[u64]) -> Timeline {
    let used = timeline.caches.iter().enumerate().filter(|(_, samples)| samples.iter().any(|sample| sample.slabs > 0));
    let caches = used
        .map(|(cache, samples)| {
            let stride = planned.get(cache).map_or(0, |planned| u64::from(planned.layout.size));
            let untouched = untouched.get(cache).copied().unwrap_or(0);
            let live = |sample: &TimelineSample| sample.live_objects + untouched;
            let column = |figure: fn(&TimelineSample) -> u64| samples.iter().map(figure).collect();
            CacheSeries {
                cache,
                slabs: column(|sample| sample.slabs),
                slab_bytes: column(|sample| sample.slab_bytes),
                live_objects: samples.iter().map(live).collect(),
                live_bytes: samples.iter().map(|sample| live(sample) * stride).collect(),
                partial_slabs: column(|sample| sample.partial_slabs),
                cpu_partial_slabs: column(|sample| sample.cpu_partial_slabs),
            }
        })
        .collect();
    Timeline { time_ns: timeline.time_ns.clone(), caches }
}

fn ledger(loaded: &Loaded) -> Vec<LedgerEntry> {
    let entries = loaded.plan.ledger.iter().map(|(entry, cache, count)| {
        let (kind, class, meaning) = entry.describe();
        LedgerEntry { kind, class: class.name(), cache: cache.to_owned(), count, meaning }
    });
    entries.collect()
}

fn sizing(loaded: &Loaded) -> Vec<SizingDifference> {
    let differences = loaded.plan.sizing_differences.iter();
    differences
        .map(|difference| SizingDifference {
            cache: difference.cache.clone(),
            attribute: difference.attribute,
            kernel: difference.kernel,
            computed: difference.computed,
        })
        .collect()
}
