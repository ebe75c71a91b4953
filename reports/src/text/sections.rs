//! The sections of the report below its header.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use super::table::{
    Align::{Left, Right},
    Table,
};
use super::{TextOptions, section};
use crate::format::{bytes, percent, printable, sparkline, thousands, wrap};
use crate::input::{AllocPaths, CacheFigures, LedgerEntry, ReportInput};
use crate::ratios::{Totals, share};

/// Characters of a sparkline.
const SPARK_WIDTH: usize = 12;

/// Name of the last row, which sums up those shown and those not.
const ALL: &str = "all caches";

/// Caches with a `key` above 0, by it falling, then by name.
fn ranked<K: Ord + Default>(caches: &[CacheFigures], key: impl Fn(&CacheFigures) -> K) -> Vec<(usize, &CacheFigures)> {
    let mut ranked: Vec<(usize, &CacheFigures)> = caches.iter().enumerate().filter(|(_, cache)| key(cache) > K::default()).collect();
    ranked.sort_by(|(_, a), (_, b)| key(b).cmp(&key(a)).then_with(|| a.name.cmp(&b.name)));
    ranked
}

fn sum(caches: &[CacheFigures], value: impl Fn(&CacheFigures) -> u64) -> u64 {
    caches.iter().map(value).fold(0, u64::saturating_add)
}

/// Returns `what`, with how many of how many are shown if some are not.
pub(super) fn title(what: &str, shown: usize, all: usize) -> String {
    if shown < all { format!("{what} ({shown} of {})", thousands(all as u64)) } else { what.to_owned() }
}

pub(super) fn memory(out: &mut String, input: &ReportInput, options: &TextOptions) {
    let ranked = ranked(&input.caches, |cache| cache.slab_bytes_peak);
    if ranked.is_empty() {
        return;
    }
    let shown = ranked.len().min(options.top);
    section(out, &title("Memory, by peak", shown, ranked.len()), options);
    let mut heads = vec![("cache", Left), ("slabs", Right), ("peak", Right), ("end", Right), ("live", Right)];
    if options.unicode {
        heads.push(("over time", Left));
    }
    let mut table = Table::new(&heads);
    for (index, cache) in &ranked[..shown] {
        let mut row = vec![
            cache.label().to_owned(),
            thousands(cache.slabs_end),
            bytes(cache.slab_bytes_peak),
            bytes(cache.slab_bytes_end),
            live_share(cache.live_bytes_end(), cache.slab_bytes_end),
        ];
        if options.unicode {
            let series = &input.timeline.caches;
            let series = series.iter().find(|series| series.cache == *index);
            row.push(series.map_or_else(String::new, |s| sparkline(&s.slab_bytes, SPARK_WIDTH)));
        }
        table.row(row);
    }
    table.total(memory_total(input, options));
    table.write(out, options);
}

fn memory_total(input: &ReportInput, options: &TextOptions) -> Vec<String> {
    let end = sum(&input.caches, |cache| cache.slab_bytes_end);
    let live = sum(&input.caches, CacheFigures::live_bytes_end);
    let totals = input.timeline.totals();
    let mut row = vec![
        ALL.to_owned(),
        thousands(sum(&input.caches, |cache| cache.slabs_end)),
        bytes(total_peak(&input.caches, &totals, end)),
        bytes(end),
        live_share(live, end),
    ];
    if options.unicode {
        row.push(sparkline(&totals.slab_bytes, SPARK_WIDTH));
    }
    row
}

/// The peak of the sum is known only at the moments of the timeline; no less than any cache's own.
fn total_peak(caches: &[CacheFigures], totals: &Totals, end: u64) -> u64 {
    let own = caches.iter().map(|cache| cache.slab_bytes_peak).max();
    let sampled = totals.slab_bytes.iter().copied().max();
    end.max(own.unwrap_or(0)).max(sampled.unwrap_or(0))
}

fn live_share(live: u64, slab: u64) -> String {
    if slab == 0 { "-".to_owned() } else { percent(share(live, slab)) }
}

pub(super) fn waste(out: &mut String, input: &ReportInput, options: &TextOptions) {
    let ranked = ranked(&input.caches, CacheFigures::wasted_bytes_end);
    if ranked.is_empty() {
        return;
    }
    let shown = ranked.len().min(options.top);
    let what = "Waste at the end: slab memory that nobody asked for";
    section(out, &title(what, shown, ranked.len()), options);
    let mut table = Table::new(&[("cache", Left), ("wasted", Right), ("of slabs", Right), ("free space", Right), ("in objects", Right)]);
    let row = |name, wasted, slab, free, rounding| vec![name, bytes(wasted), percent(share(wasted, slab)), bytes(free), bytes(rounding)];
    for (_, cache) in &ranked[..shown] {
        table.row(row(
            cache.label().to_owned(),
            cache.wasted_bytes_end(),
            cache.slab_bytes_end,
            cache.free_bytes_end(),
            cache.rounding_bytes_end(),
        ));
    }
    let caches = &input.caches;
    table.total(row(
        ALL.to_owned(),
        sum(caches, CacheFigures::wasted_bytes_end),
        sum(caches, |cache| cache.slab_bytes_end),
        sum(caches, CacheFigures::free_bytes_end),
        sum(caches, CacheFigures::rounding_bytes_end),
    ));
    table.write(out, options);
}

pub(super) fn slow_paths(out: &mut String, input: &ReportInput, options: &TextOptions) {
    let ranked = ranked(&input.caches, |cache| cache.alloc_paths.slow());
    if ranked.is_empty() {
        return;
    }
    let shown = ranked.len().min(options.top);
    let what = "Slow paths: allocations off the fast path, and what served them";
    section(out, &title(what, shown, ranked.len()), options);
    let mut table = Table::new(&[
        ("cache", Left),
        ("slow", Right),
        ("of all", Right),
        ("refill", Right),
        ("cpu list", Right),
        ("node list", Right),
        ("new slab", Right),
    ]);
    for (_, cache) in &ranked[..shown] {
        table.row(slow_row(cache.label().to_owned(), &cache.alloc_paths));
    }
    let all = all_paths(&input.caches);
    table.total(slow_row(ALL.to_owned(), &all));
    table.write(out, options);
}

fn slow_row(name: String, paths: &AllocPaths) -> Vec<String> {
    let slow = paths.slow();
    let mut row = vec![name, thousands(slow), percent(share(slow, paths.total()))];
    row.extend([paths.refill, paths.cpu_partial, paths.node_partial, paths.new_slab].map(|count| percent(share(count, slow))));
    row
}

fn all_paths(caches: &[CacheFigures]) -> AllocPaths {
    AllocPaths {
        fastpath: sum(caches, |cache| cache.alloc_paths.fastpath),
        refill: sum(caches, |cache| cache.alloc_paths.refill),
        cpu_partial: sum(caches, |cache| cache.alloc_paths.cpu_partial),
        node_partial: sum(caches, |cache| cache.alloc_paths.node_partial),
        new_slab: sum(caches, |cache| cache.alloc_paths.new_slab),
    }
}

pub(super) fn partial_lists(out: &mut String, input: &ReportInput, options: &TextOptions) {
    let ranked = ranked(&input.caches, |cache| cache.partial_slabs_peak);
    if ranked.is_empty() {
        return;
    }
    let shown = ranked.len().min(options.top);
    let what = "Partial lists: slabs with free objects, by peak";
    section(out, &title(what, shown, ranked.len()), options);
    let mut table = Table::new(&[("cache", Left), ("node peak", Right), ("node end", Right), ("of slabs", Right), ("on CPUs", Right)]);
    let facts = |cache_end: u64, slabs: u64, on_cpus: u64| {
        let of_slabs = if slabs == 0 { "-".to_owned() } else { percent(share(cache_end, slabs)) };
        [thousands(cache_end), of_slabs, thousands(on_cpus)]
    };
    for (_, cache) in &ranked[..shown] {
        let mut row = vec![cache.label().to_owned(), thousands(cache.partial_slabs_peak)];
        row.extend(facts(cache.partial_slabs_end, cache.slabs_end, cache.cpu_slabs_end));
        table.row(row);
    }
    // Peaks of different moments have no sum.
    let mut total = vec![ALL.to_owned(), String::new()];
    total.extend(facts(
        sum(&input.caches, |cache| cache.partial_slabs_end),
        sum(&input.caches, |cache| cache.slabs_end),
        sum(&input.caches, |cache| cache.cpu_slabs_end),
    ));
    table.total(total);
    table.write(out, options);
}

pub(super) fn ledger(out: &mut String, input: &ReportInput, options: &TextOptions) {
    if input.ledger.is_empty() {
        return;
    }
    section(out, "Ledger: what was seen and what was inferred", options);
    let kinds = by_kind(&input.ledger);
    let mut table = Table::new(&[("kind", Left), ("count", Right), ("class", Left)]);
    for (entry, count) in &kinds {
        table.row(vec![entry.kind.to_owned(), thousands(*count), entry.class.to_owned()]);
    }
    table.write(out, options);
    for (entry, _) in kinds.iter().filter(|(entry, _)| entry.class != "observed") {
        let text = format!("{}: {}", entry.kind, entry.meaning);
        for line in wrap(&printable(&text, options.unicode), options.width - 2) {
            out.push_str(&options.faint(&format!("  {line}")));
            out.push('\n');
        }
    }
    inferred_caches(out, input, options);
}

/// One entry per kind and class in order of appearance, with the sum of their counts.
fn by_kind(ledger: &[LedgerEntry]) -> Vec<(&LedgerEntry, u64)> {
    let mut kinds: Vec<(&LedgerEntry, u64)> = Vec::new();
    for entry in ledger {
        let same = |(kind, _): &&mut (&LedgerEntry, u64)| (kind.kind, kind.class) == (entry.kind, entry.class);
        match kinds.iter_mut().find(same) {
            Some((_, count)) => *count = count.saturating_add(entry.count),
            None => kinds.push((entry, entry.count)),
        }
    }
    kinds
}

/// Appends the caches about which most was inferred, with the kind that made up most of it.
fn inferred_caches(out: &mut String, input: &ReportInput, options: &TextOptions) {
    let mut caches: BTreeMap<&str, (u64, &LedgerEntry)> = BTreeMap::new();
    let inferred = |entry: &&LedgerEntry| entry.class == "inferred" && entry.count > 0 && !entry.cache.is_empty();
    for entry in input.ledger.iter().filter(inferred) {
        let (count, main) = caches.entry(&entry.cache).or_insert((0, entry));
        *count = count.saturating_add(entry.count);
        if entry.count > main.count {
            *main = entry;
        }
    }
    if caches.is_empty() {
        return;
    }
    let mut ranked: Vec<_> = caches.into_iter().collect();
    // Stable, so that equal counts stay in the order of their names.
    ranked.sort_by_key(|(_, (count, _))| Reverse(*count));
    let shown = ranked.len().min(options.top);
    section(out, &title("Caches with most inferred", shown, ranked.len()), options);
    let mut table = Table::new(&[("cache", Left), ("inferred", Right), ("mostly", Left)]);
    for (cache, (count, main)) in &ranked[..shown] {
        table.row(vec![input.label_of(cache).to_owned(), thousands(*count), main.kind.to_owned()]);
    }
    table.write(out, options);
}

pub(super) fn sizing(out: &mut String, input: &ReportInput, options: &TextOptions) {
    let rows = &input.sizing_differences;
    if rows.is_empty() {
        return;
    }
    let shown = rows.len().min(options.top);
    let what = "Sizing differences: layouts computed otherwise than reported";
    section(out, &title(what, shown, rows.len()), options);
    let mut table = Table::new(&[("cache", Left), ("attribute", Left), ("kernel", Right), ("computed", Right)]);
    for row in &rows[..shown] {
        table.row(vec![input.label_of(&row.cache).to_owned(), row.attribute.to_owned(), thousands(row.kernel), thousands(row.computed)]);
    }
    table.write(out, options);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    fn section_text(write: fn(&mut String, &ReportInput, &TextOptions), top: usize) -> String {
        let options = TextOptions { top, ..TextOptions::default() };
        let mut out = String::new();
        write(&mut out, &testdata::small(), &options);
        out
    }

    #[test]
    fn memory_has_peak_end_and_live_share() {
        // dentry: 10 * 192 / 16384 = 11.7 %; kmalloc-64: 640 / 4096 = 15.6 %;
        // both: 2560 / 20480 = 12.5 %. The peak of both, 24576, is the timeline's.
        let expected = "
Memory, by peak
  cache       slabs      peak       end   live
  dentry          4  16.0 KiB  16.0 KiB  11.7%
  kmalloc-64      1   8.0 KiB   4.0 KiB  15.6%
  all caches      5  24.0 KiB  20.0 KiB  12.5%
";
        assert_eq!(section_text(memory, 10), expected);
    }

    #[test]
    fn waste_is_free_space_and_rounding() {
        // dentry: 16384 - 1920 = 14464, all of it free; kmalloc-64: 4096 - 500 = 3596, of which
        // 640 - 500 = 140 in objects. Both: 18060 of 20480.
        let expected = "
Waste at the end: slab memory that nobody asked for
  cache         wasted  of slabs  free space  in objects
  dentry      14.1 KiB     88.3%    14.1 KiB         0 B
  kmalloc-64   3.5 KiB     87.8%     3.4 KiB       140 B
  all caches  17.6 KiB     88.2%    17.5 KiB       140 B
";
        assert_eq!(section_text(waste, 10), expected);
    }

    #[test]
    fn slow_paths_split_what_was_slow() {
        // kmalloc-64: 20 of 100: 10, 5, 3, 2; dentry: 7 of 50, all new slabs; both: 27 of 150.
        let expected = "
Slow paths: allocations off the fast path, and what served them
  cache       slow  of all  refill  cpu list  node list  new slab
  kmalloc-64    20   20.0%   50.0%     25.0%      15.0%     10.0%
  dentry         7   14.0%    0.0%      0.0%       0.0%    100.0%
  all caches    27   18.0%   37.0%     18.5%      11.1%     33.3%
";
        assert_eq!(section_text(slow_paths, 10), expected);
    }

    #[test]
    fn top_limits_rows_but_not_totals() {
        let text = section_text(partial_lists, 1);
        assert!(text.contains("by peak (1 of 2)\n"), "{text}");
        assert!(!text.contains("kmalloc-64"));
        // 3 of 5 slabs on the node lists, 2 on CPUs.
        assert!(text.contains("  all caches                    3     60.0%        2\n"), "{text}");
    }

    #[test]
    fn the_ledger_sums_kinds_and_ranks_caches() {
        let text = section_text(ledger, 10);
        assert!(text.contains("  implied frees     17  inferred\n"), "12 + 5: {text}");
        assert!(text.contains("  kmalloc-64        12  implied frees\n  dentry"), "{text}");
        assert!(text.contains("  unknown lines: A sentence"), "{text}");
        assert!(!text.contains("  allocations: A sentence"), "observed needs no words");
    }

    #[test]
    fn sizing_shows_both_values() {
        let text = section_text(sizing, 10);
        assert!(text.contains("  dentry  order           1         0\n"), "{text}");
    }
}
