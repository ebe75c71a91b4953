//! The sections of the report that come from the analyses.

use super::sections::title;
use super::table::{
    Align::{Left, Right},
    Table,
};
use super::{TextOptions, section};
use crate::format::{bytes, duration, percent, printable, sparkline, thousands, wrap};
use crate::input::analysis::{AnalysisInput, Course, Look, RemoteFrees};
use crate::ratios::share;

/// Characters of a sparkline.
const SPARK_WIDTH: usize = 12;

/// Appends the sections.
pub(super) fn render(out: &mut String, input: &AnalysisInput, options: &TextOptions) {
    verdicts(out, input, options);
    free_objects(out, input, options);
    pins(out, input, options);
    live_sites(out, input, options);
    remote(out, input, options);
}

fn verdicts(out: &mut String, input: &AnalysisInput, options: &TextOptions) {
    let found: Vec<_> = input.verdicts.iter().filter(|verdict| verdict.bytes > 0).collect();
    if input.verdicts.is_empty() {
        return;
    }
    let shown = found.len().min(options.top);
    section(out, &title("Verdicts: what is wrong with which cache", shown, found.len()), options);
    for verdict in &found[..shown] {
        let name = printable(&verdict.cache, options.unicode);
        out.push_str(&options.bold(&format!("  {name}: {}, {}", verdict.verdict, bytes(verdict.bytes))));
        out.push('\n');
        for evidence in &verdict.evidence {
            for line in wrap(&printable(evidence, options.unicode), options.width - 4) {
                out.push_str(&format!("    {line}\n"));
            }
        }
    }
    let fine = input.verdicts.len() - found.len();
    out.push_str(&options.faint(&format!("  {} of {} caches are fine", thousands(fine as u64), thousands(input.verdicts.len() as u64))));
    out.push('\n');
}

fn free_objects(out: &mut String, input: &AnalysisInput, options: &TextOptions) {
    let last = |course: &Course| course.looks.last().copied().unwrap_or_default();
    let mut rows: Vec<_> = input.courses.iter().map(|course| (course, last(course))).filter(|(_, look)| look.slabs > 0).collect();
    let free = |look: &Look| look.objects.saturating_sub(look.live_objects);
    rows.sort_by_key(|(course, look)| std::cmp::Reverse(free(look) * u64::from(course.stride_bytes)));
    if rows.is_empty() {
        return;
    }
    let shown = rows.len().min(options.top);
    section(out, &title("Free objects at the end, by where they are", shown, rows.len()), options);
    let mut heads = vec![("cache", Left), ("free", Right), ("of slabs", Right), ("on nodes", Right), ("held", Right), ("sparse", Right)];
    if options.unicode {
        heads.push(("slabs by fill", Left));
    }
    let mut table = Table::new(&heads);
    for (course, look) in &rows[..shown] {
        let stride = u64::from(course.stride_bytes);
        let mut row = vec![
            course.cache.clone(),
            bytes(free(look) * stride),
            percent(share(free(look) * stride, look.slab_bytes)),
            bytes(look.free_on_nodes * stride),
            bytes(look.held() * stride),
            thousands(look.occupancy[1..=5].iter().map(|&slabs| u64::from(slabs)).sum()),
        ];
        if options.unicode {
            let bins: Vec<u64> = look.occupancy.iter().map(|&slabs| u64::from(slabs)).collect();
            row.push(sparkline(&bins, SPARK_WIDTH));
        }
        table.row(row);
    }
    table.write(out, options);
}

fn pins(out: &mut String, input: &AnalysisInput, options: &TextOptions) {
    let rows: Vec<_> = input.pins.iter().filter(|pin| pin.mean_bytes > 0).collect();
    if rows.is_empty() {
        return;
    }
    let shown = rows.len().min(options.top);
    section(out, &title("Pinning: whose long-lived objects keep slabs that are mostly free", shown, rows.len()), options);
    let mut table =
        Table::new(&[("call site", Left), ("cache", Left), ("mean", Right), ("end", Right), ("objects", Right), ("age", Right)]);
    for pin in &rows[..shown] {
        let age = if pin.end_objects > 0 { duration(pin.end_age_ns) } else { "-".to_owned() };
        table.row(vec![
            short(&pin.call_site),
            pin.cache.clone(),
            bytes(pin.mean_bytes),
            bytes(pin.end_bytes),
            thousands(pin.end_objects),
            age,
        ]);
    }
    table.write(out, options);
}

fn live_sites(out: &mut String, input: &AnalysisInput, options: &TextOptions) {
    let rows: Vec<_> = input.sites.iter().filter(|site| site.live_requested_bytes > 0).collect();
    if rows.is_empty() {
        return;
    }
    let shown = rows.len().min(options.top);
    section(out, &title("Allocated and never freed, by call site", shown, rows.len()), options);
    let mut table = Table::new(&[("call site", Left), ("cache", Left), ("live", Right), ("objects", Right), ("others lived", Right)]);
    for site in &rows[..shown] {
        table.row(vec![
            short(&site.owner),
            site.cache.clone(),
            bytes(site.live_requested_bytes),
            thousands(site.live_objects),
            site.lifetime.map_or_else(|| "-".to_owned(), |lifetime| duration(lifetime.p50_ns)),
        ]);
    }
    table.write(out, options);
}

/// A call site without the size of its function: `name+0x10/0x20 [module]` is `name+0x10 [module]`.
fn short(site: &str) -> String {
    let Some((name, rest)) = site.split_once("/0x") else { return site.to_owned() };
    rest.split_once(' ').map_or_else(|| name.to_owned(), |(_, module)| format!("{name} {module}"))
}

fn remote(out: &mut String, input: &AnalysisInput, options: &TextOptions) {
    let frees = |pairs: &mut dyn Iterator<Item = &RemoteFrees>| pairs.map(|pair| pair.frees).sum::<u64>();
    let all = frees(&mut input.remote_frees.iter());
    if all == 0 {
        return;
    }
    let remote = frees(&mut input.remote_frees.iter().filter(|pair| pair.allocated_by != pair.freed_by));
    section(out, "Frees on another CPU than allocated", options);
    out.push_str(&format!("  {} of {} ({})\n", thousands(remote), thousands(all), percent(share(remote, all))));
}

#[cfg(test)]
mod tests {
    use super::short;

    #[test]
    fn sites_are_shown_without_the_size_of_their_function() {
        let cases = [("f+0x10/0x20", "f+0x10"), ("f+0x10/0x20 [mod]", "f+0x10 [mod]"), ("0xffff", "0xffff"), ("unknown", "unknown")];
        assert_eq!(cases.map(|(site, _)| short(site)), cases.map(|(_, shown)| shown.to_owned()));
    }
}
