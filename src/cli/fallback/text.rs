//! The result to read.

use std::fmt::Write;

use slubreplay_reports::format::{bytes, percent, printable, thousands};

use super::super::args::FallbackArgs;
use super::super::columns::{columns, row};
use super::Found;
use crate::fallback::over_time;
use crate::mem::buddy::{ORDERS, PageSample};

/// Parts of the trace's time that fallbacks are counted in.
const PARTS: usize = 20;

/// The order that fragmentation is shown for: the largest that SLUB asks for by default.
const SHOWN_ORDER: u8 = 3;

/// What a cache's predicted fallbacks cost.
pub(super) struct Cost {
    /// Objects of a whole slab that one of the least order has no room for.
    pub(super) objects_lost: u64,
    /// Memory of these slabs beyond what their objects take in whole ones; below zero if they pack better.
    pub(super) overhead_bytes: i64,
}

pub(super) fn cost(found: &Found<'_>, cache: usize) -> Cost {
    let layout = &found.loaded.plan.caches[cache].layout;
    let page = i64::from(found.loaded.setting.kernel.machine.page_bytes);
    let objects = i64::from(layout.objects.max(1));
    let in_whole = (page << layout.order) * i64::from(layout.min_objects) / objects;
    let each = (page << layout.min_order) - in_whole;
    Cost {
        objects_lost: u64::from(layout.objects.saturating_sub(layout.min_objects)),
        overhead_bytes: each * found.predicted.caches[cache].fallbacks as i64,
    }
}

pub(super) fn render(found: &Found<'_>, args: &FallbackArgs) -> String {
    let release = found.loaded.setting.kernel.release;
    let mut text = format!("Order fallback in {}, kernel {release}\n", found.trace(args).display());
    for note in &found.notes {
        writeln!(text, "note: {}", printable(note, true)).unwrap_or_default();
    }
    by_cache(&mut text, found);
    when(&mut text, found);
    fragmentation(&mut text, found);
    at_the_end(&mut text, found);
    other_orders(&mut text, found);
    fit(&mut text, found);
    text
}

fn by_cache(text: &mut String, found: &Found<'_>) {
    let mut rows = vec![row([&"cache", &"order", &"objects", &"kernel", &"observed", &"predicted", &"overhead"])];
    let mut requests = vec![row([&"cache", &"requests", &"no block", &"watermark", &"injected", &"failed"])];
    let mut sums = [None; 3];
    for (number, cache) in found.caches() {
        let counts = found.counts(number);
        for (sum, count) in sums.iter_mut().zip(counts) {
            *sum = count.map(|count| sum.unwrap_or(0) + count).or(*sum);
        }
        let [kernel, observed, predicted] = counts.map(optional);
        let (name, layout, tries) = (printable(&cache.name, true), &cache.layout, &found.predicted.caches[number]);
        let orders = format!("{}>{}", layout.order, layout.min_order);
        let objects = format!("{}>{}", layout.objects, layout.min_objects);
        let overhead = signed_bytes(cost(found, number).overhead_bytes);
        rows.push(row([&name, &orders, &objects, &kernel, &observed, &predicted, &overhead]));
        let figures = [tries.attempts, tries.no_block, tries.watermark, tries.injected, tries.failures].map(thousands);
        requests.push([name.to_string()].into_iter().chain(figures).collect());
    }
    if rows.len() == 1 {
        text.push_str("\nNo cache fell back to a lower order, in kernel, trace or model.\n");
        return;
    }
    let [kernel, observed, predicted] = sums.map(optional);
    rows.push(row([&"all of these", &"", &"", &kernel, &observed, &predicted, &""]));
    writeln!(text, "\nFallbacks by cache\n{}", columns(&rows, 1).trim_end()).unwrap_or_default();
    text.push_str(
        "order, objects: of a slab as preferred and after a fallback; kernel: by its\n\
         counters between the snapshots; observed: by page events; predicted, and all\n\
         that follows: by the model; overhead: memory of the smaller slabs beyond what\n\
         their objects take in whole ones\n",
    );
    writeln!(text, "\nRequests for their slabs\n{}", columns(&requests, 1).trim_end()).unwrap_or_default();
    text.push_str(
        "no block, watermark, injected: why the first attempt was refused; failed: the\n\
         second attempt was refused, too\n",
    );
}

/// Observed and predicted fallbacks over the time of the trace.
fn when(text: &mut String, found: &Found<'_>) {
    if found.observed.fallbacks.is_empty() && found.predicted.fallbacks.is_empty() {
        return;
    }
    let span = found.loaded.plan.time_range_ns;
    let seen = over_time(found.observed.fallbacks.iter().map(|fell| fell.time_ns), span, PARTS);
    let told = over_time(found.predicted.fallbacks.iter().map(|fell| fell.time_ns), span, PARTS);
    let mut rows = vec![row([&"from (s)", &"observed", &"predicted"])];
    let length = (span.1 - span.0.min(span.1)) as f64 / 1e9 / PARTS as f64;
    for (part, (seen, told)) in seen.iter().zip(&told).enumerate().filter(|(_, (seen, told))| **seen + **told > 0) {
        rows.push(row([&format!("{:.2}", part as f64 * length), &thousands(*seen), &thousands(*told)]));
    }
    writeln!(text, "\nWhen (parts of {length:.2} s, those without any left out)\n{}", columns(&rows, 0).trim_end()).unwrap_or_default();
}

/// Free blocks and indices at evenly spaced moments.
fn fragmentation(text: &mut String, found: &Found<'_>) {
    let samples = &found.predicted.samples;
    const MOMENTS: usize = 11;
    // From here on orders are shown together.
    const LARGE: usize = 7;
    if samples.len() < 2 {
        return;
    }
    let start = found.loaded.plan.time_range_ns.0;
    let heads = ["time (s)", "free", "on CPUs", "unusable"].into_iter().map(str::to_owned);
    let orders = (0..LARGE).map(|order| order.to_string()).chain([format!("{LARGE}+")]);
    let mut rows: Vec<Vec<String>> = vec![heads.chain(orders).collect()];
    for number in 0..MOMENTS {
        let PageSample { time_ns, free, parked } = &samples[number * (samples.len() - 1) / (MOMENTS - 1)];
        let figures = [
            format!("{:.2}", time_ns.saturating_sub(start) as f64 / 1e9),
            thousands(free.pages()),
            thousands(*parked),
            format!("{:.1}%", free.unusable_index(SHOWN_ORDER) as f64 / 10.0),
        ];
        let (small, large) = free.0.split_at(LARGE);
        let blocks = small.iter().copied().chain([large.iter().sum()]);
        rows.push(figures.into_iter().chain(blocks.map(|blocks: u64| blocks.to_string())).collect());
    }
    writeln!(text, "\nFree pages in the model, and free blocks by order\n{}", columns(&rows, 0).trim_end()).unwrap_or_default();
    writeln!(
        text,
        "on CPUs: pages on their own lists, not counted as free; unusable: share of the\nfree pages in blocks below order {SHOWN_ORDER}"
    )
    .unwrap_or_default();
}

fn at_the_end(text: &mut String, found: &Found<'_>) {
    let Some(end) = &found.end else { return };
    let heads = ["", "free"].into_iter().map(str::to_owned);
    let mut rows: Vec<Vec<String>> = vec![heads.chain((0..ORDERS).map(|order| order.to_string())).collect()];
    for (who, free) in [("kernel", &end.kernel), ("model", &end.model.free)] {
        rows.push([who.to_owned(), thousands(free.pages())].into_iter().chain(free.0.iter().map(u64::to_string)).collect());
    }
    let read_s = end.model.time_ns.saturating_sub(found.loaded.plan.time_range_ns.0) as f64 / 1e9;
    let table = columns(&rows, 1);
    writeln!(text, "\nFree blocks by order at the second snapshot, read at {read_s:.2} s\n{}", table.trim_end()).unwrap_or_default();
    let (kernel, model) = (end.kernel.pages() as f64, end.model.free.pages() as f64);
    if kernel > 0.0 {
        writeln!(text, "free pages differ by {}", percent((model - kernel).abs() / kernel)).unwrap_or_default();
        let (kernel, model) = (thousands(end.kernel_parked), thousands(end.model.parked));
        writeln!(text, "pages on CPUs' lists, in no block: {kernel} in the kernel, {model} in the model").unwrap_or_default();
    }
}

fn other_orders(text: &mut String, found: &Found<'_>) {
    if found.others.is_empty() {
        return;
    }
    let heads = ["slab_max_order", "changed", "high-order", "fallbacks", "failed", "slab peak", "slab end"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for other in &found.others {
        let recorded = if other.is_recorded { " (recorded)" } else { "" };
        rows.push(row([
            &format!("{}{recorded}", other.max_order),
            &thousands(other.changed),
            &thousands(other.high_order),
            &thousands(other.fallbacks),
            &thousands(other.failures),
            &bytes(other.slab_bytes_peak),
            &bytes(other.slab_bytes_end),
        ]));
    }
    writeln!(text, "\nWith another slab_max_order, in the model\n{}", columns(&rows, 1).trim_end()).unwrap_or_default();
    text.push_str(
        "changed: caches with slabs of another order; high-order: requests for more than\n\
         one page; slabs of another order than recorded are placed by the lists' rules\n",
    );
}

/// How far model and recording went together.
fn fit(text: &mut String, found: &Found<'_>) {
    let (traffic, counts) = (&found.predicted.traffic, &found.predicted.counts);
    let figures = [
        ("pages free at the start, never touched by the trace", found.machine.start.untouched),
        ("slabs where the kernel had them", counts.slabs_as_recorded),
        ("slabs elsewhere", counts.slabs_by_rules),
        ("slabs that only reclaim could have met", counts.reclaimed),
        ("  of these, from nowhere", counts.invented),
        ("frees of slabs from nowhere", counts.foreign_frees),
        ("others' allocations where recorded", traffic.placed),
        ("others' allocations elsewhere", traffic.displaced),
        ("others' allocations that found no pages", traffic.lost),
        ("others' frees", traffic.freed),
        ("others' frees of pages that are not in use", traffic.ignored_frees),
        ("blocks returned from CPUs' lists as recorded", traffic.drained),
        ("blocks returned in the stead of others", traffic.exchanged_drains),
        ("recorded returns without a block to return", traffic.ignored_drains),
        ("pageblocks claimed as recorded", traffic.claimed),
        ("pages moved by compaction", traffic.moved),
        ("  of these, that found no place to go to", traffic.moved_nowhere),
        ("pages taken without an event", traffic.unseen),
        ("  of these, in use already", traffic.ignored_unseen),
    ];
    let rows: Vec<Vec<String>> = figures.iter().map(|(what, count)| row([what, &thousands(*count)])).collect();
    writeln!(text, "\nModel and recording\n{}", columns(&rows, 1).trim_end()).unwrap_or_default();
}

fn optional(count: Option<u64>) -> String {
    count.map_or_else(|| "-".to_owned(), thousands)
}

fn signed_bytes(value: i64) -> String {
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{}", bytes(value.unsigned_abs()))
}
