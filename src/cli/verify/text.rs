//! The verification to read.

use std::fmt::Write;

use slubreplay_reports::format::{percent as share, printable};

use super::super::columns::{columns, row};
use super::{Found, SLICES};
use crate::prepare::Coverage;
use crate::verify::{AgreementRow, AgreementTotal, CacheVerdict, Summary};

/// Differing caches shown without `--all`.
const SHOWN: usize = 20;

/// Caches shown in each of the short tables.
const SHORT: usize = 10;

pub(super) fn of(found: &Found<'_>, all: bool) -> String {
    let setting = &found.loaded.setting;
    let against = if found.counters.is_some() { "the kernel's own counters and addresses" } else { "the kernel's addresses" };
    let mut text = format!("Replay by the rules of {} against {against} ({})\n", setting.rules.generation.name(), setting.kernel.release);
    for note in setting.notes.iter().chain(found.counters.iter().flat_map(|counters| &counters.result.notes)) {
        writeln!(text, "note: {note}").unwrap_or_default();
    }
    if let Some(why) = found.no_counters {
        writeln!(text, "note: counters are not compared: {why}").unwrap_or_default();
    }
    counters(&mut text, found, if all { usize::MAX } else { SHOWN });
    only_agreement(&mut text, found, if all { usize::MAX } else { SHORT });
    partly_observed(&mut text, found, if all { usize::MAX } else { SHORT });
    agreement(&mut text, found);
    summary(&mut text, found);
    text
}

/// Share in percent, cut off after two places, so that 100.00 means all.
pub(super) fn percent(part: u64, whole: u64) -> String {
    if whole == 0 {
        return "-".to_owned();
    }
    let hundredths = u128::from(part) * 10_000 / u128::from(whole);
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A cache's name with what sets it apart.
fn name(found: &Found<'_>, cache: &str) -> String {
    let partly = if found.coverage(cache).is_observed() { "" } else { "~" };
    let excluded = if found.counts(cache) { "" } else { "*" };
    format!("{}{partly}{excluded}", printable(cache, true))
}

fn agree_percent(found: &Found<'_>, cache: &str) -> String {
    let row = found.agreements.row(cache).filter(|_| found.obstacle.is_none());
    row.map_or_else(|| "-".to_owned(), |row| percent(row.figures.agreed, row.figures.compared))
}

fn counters(text: &mut String, found: &Found<'_>, most: usize) {
    let caches = found.counters.iter().flat_map(|counters| &counters.result.caches);
    let mut differing: Vec<&CacheVerdict> = caches.filter(|cache| cache.error_sum > 0).collect();
    differing.sort_by(|a, b| b.error_sum.cmp(&a.error_sum).then_with(|| a.cache.cmp(&b.cache)));
    if differing.is_empty() {
        return;
    }
    let mut rows = vec![row([&"cache", &"operations", &"error", &"error %", &"agree %", &"implied", &"largest difference"])];
    for cache in differing.iter().take(most) {
        let error =
            if cache.kernel_sum == 0 { "-".to_owned() } else { format!("{:.3}", cache.error_sum as f64 * 100.0 / cache.kernel_sum as f64) };
        let worst = cache.worst.map_or(String::new(), |(counter, error)| format!("{counter} {error}"));
        let implied = found.coverage(&cache.cache).implied;
        let agree = agree_percent(found, &cache.cache);
        rows.push(row([&name(found, &cache.cache), &cache.operations, &cache.error_sum, &error, &agree, &implied, &worst]));
    }
    writeln!(text, "\n{}", columns(&rows, 1).trim_end()).unwrap_or_default();
    more(text, differing.len(), most);
    if differing.iter().any(|cache| !found.counts(&cache.cache)) {
        writeln!(text, "* left out of the sums below").unwrap_or_default();
    }
}

fn more(text: &mut String, count: usize, shown: usize) {
    if count > shown {
        writeln!(text, "… and {} more (--all shows them)", count - shown).unwrap_or_default();
    }
}

/// Caches that the counters do not tell apart.
fn only_agreement(text: &mut String, found: &Found<'_>, most: usize) {
    if found.obstacle.is_some() {
        return;
    }
    let has_equal_counters = |row: &&AgreementRow| found.verdict(&row.cache).is_none_or(|verdict| verdict.error_sum == 0);
    let disagrees = |row: &&AgreementRow| row.figures.agreed < row.figures.compared;
    let mut differing: Vec<&AgreementRow> = found.agreements.caches.iter().filter(disagrees).filter(has_equal_counters).collect();
    differing.sort_by(|a, b| {
        let apart = |row: &AgreementRow| row.figures.compared - row.figures.agreed;
        apart(b).cmp(&apart(a)).then_with(|| a.cache.cmp(&b.cache))
    });
    if differing.is_empty() {
        return;
    }
    let title =
        if found.counters.is_some() { "Equal or no counters, but other slabs than the kernel's" } else { "Other slabs than the kernel's" };
    let mut rows = vec![row([&"cache", &"allocations", &"apart", &"agree %", &"implied", &"first apart"])];
    for cache in differing.iter().take(most) {
        let (compared, agreed) = (cache.figures.compared, cache.figures.agreed);
        let first = found.agreements.first_of(cache).map_or_else(String::new, |first| seconds(first.time_ns));
        let agree = percent(agreed, compared);
        rows.push(row([&name(found, &cache.cache), &compared, &(compared - agreed), &agree, &cache.coverage.implied, &first]));
    }
    writeln!(text, "\n{title}\n{}", columns(&rows, 1).trim_end()).unwrap_or_default();
    more(text, differing.len(), most);
}

fn partly_observed(text: &mut String, found: &Found<'_>, most: usize) {
    let partly = found.partly_observed();
    if partly.is_empty() {
        return;
    }
    let mut rows = vec![row([&"cache", &"operations", &"implied", &"implied %", &"not in the trace"])];
    for (cache, coverage) in partly.iter().take(most) {
        let untraced = found.verdict(cache).and_then(|verdict| found.untraced(verdict));
        let untraced = untraced.map_or_else(|| "-".to_owned(), |untraced| format!("{} of {}", untraced.operations, untraced.of));
        let implied = format!("{:.2}", coverage.implied_percent());
        rows.push(row([&name(found, cache), &coverage.operations(), &coverage.implied, &implied, &untraced]));
    }
    let above = Coverage::PARTLY_ABOVE_PERCENT;
    writeln!(text, "\n~ Partly observed: more than {above} % of the operations had to be inferred").unwrap_or_default();
    writeln!(text, "{}", columns(&rows, 1).trim_end()).unwrap_or_default();
    more(text, partly.len(), most);
    if found.counters.is_some() {
        let meaning = "what the kernel counted between the snapshots beyond what was traced; it counts a bulk free as one";
        writeln!(text, "not in the trace: {meaning}").unwrap_or_default();
    }
}

fn seconds(ns: u64) -> String {
    format!("{:.6} s", ns as f64 / 1e9)
}

fn agreement(text: &mut String, found: &Found<'_>) {
    if found.obstacle.is_some() {
        return;
    }
    let slices = found.agreements.slices(&found.timeline, SLICES, |row| found.counts(&row.cache));
    let mut rows = vec![row([&"from", &"to", &"allocations", &"agree %"])];
    for slice in slices {
        let time = |ns: u64| format!("{:.3} s", ns as f64 / 1e9);
        rows.push(row([&time(slice.from_ns), &time(slice.to_ns), &slice.compared, &percent(slice.agreed, slice.compared)]));
    }
    writeln!(text, "\nSlab agreement over time\n{}", columns(&rows, 0).trim_end()).unwrap_or_default();
}

fn summary(text: &mut String, found: &Found<'_>) {
    text.push('\n');
    let mut line = |key: &str, value: &str| writeln!(text, "{key:<25} {value}").unwrap_or_default();
    match found.obstacle {
        Some(obstacle) => line("slab agreement", &format!("cannot be judged: {obstacle}")),
        None => {
            let total = |include: &dyn Fn(&AgreementRow) -> bool| found.agreements.total(|row| found.counts(&row.cache) && include(row));
            let shown = |total: &AgreementTotal| {
                let (agreed, compared) = (total.agreed, total.compared);
                format!("{} % ({agreed} of {compared} allocations from the kernel's slab)", percent(agreed, compared))
            };
            let all = total(&|_| true);
            line("slab agreement", &shown(&all));
            line("  over observed caches", &shown(&total(&|row| row.coverage.is_observed())));
            let first = all.first_divergence.map_or_else(
                || "none".to_owned(),
                |first| format!("at {}, operation {}, {}", seconds(first.time_ns), first.operation, printable(&first.cache, true)),
            );
            line("  first divergence", &first);
        }
    }
    let Some(counters) = &found.counters else { return };
    let result = &counters.result;
    let all = result.summary(|cache| found.counts(&cache.cache));
    let observed = result.summary(|cache| found.counts(&cache.cache) && found.coverage(&cache.cache).is_observed());
    let equal = result.caches.iter().filter(|cache| cache.error_sum == 0).count();
    let error = |summary: &Summary| format!("{} of {} ({:.4} %)", summary.error_sum, summary.kernel_sum, summary.error_percent());
    line("caches compared", &format!("{} ({equal} equal in every counter)", result.caches.len()));
    line("summed counter error", &error(&all));
    line("  over observed caches", &error(&observed));
    let partly = result.caches.iter().filter(|cache| found.counts(&cache.cache) && !found.coverage(&cache.cache).is_observed());
    let (missing, of) = partly
        .filter_map(|cache| found.untraced(cache))
        .fold((0_u64, 0_u64), |(missing, of), untraced| (missing.saturating_add(untraced.operations), of.saturating_add(untraced.of)));
    if of > 0 {
        let part = share(missing as f64 / of as f64);
        line("  not in the trace", &format!("{missing} of {of} operations ({part}) of the partly observed caches"));
    }
    let busy = Summary::BUSY;
    line("exactly equal", &format!("{} of {} caches with at least {busy} operations", all.busy_exact, all.busy));
    line("lost races, left out", &format!("{} (cmpxchg_double_fail, cmpxchg_double_cpu_fail: no trace shows them)", all.races));
    let gauges = result.rows.iter().filter(|row| row.is_gauge);
    let (count, equal) = gauges.fold((0, 0), |(count, equal), row| (count + 1, equal + u32::from(row.error() == 0)));
    line("state at the end", &format!("{equal} of {count} gauges equal (slabs, objects, partial, cpu_slabs, …)"));
}
