//! The report to read.

use std::fmt::Write;

use slubreplay_reports::format::{bytes, percent, printable, thousands};

use super::super::columns::{columns, row};
use super::super::set::described;
use super::{Found, Recommended};
use crate::tune::{Block, MARGIN, Row};

/// Caches shown of those that a setting changes.
const MOST_CACHES: usize = 10;

/// Other names shown of a cache.
const MOST_ALIASES: usize = 12;

pub(super) fn render(found: &Found<'_>) -> String {
    let setting = &found.loaded.setting;
    let count = found.tried.rows.len();
    let mut text = format!(
        "{count} configurations of {} ({}) on the operations of {}\n",
        setting.label(),
        setting.model_name(),
        found.args.trace.display()
    );
    for note in &setting.notes {
        writeln!(text, "note: {}", printable(note, true)).unwrap_or_default();
    }
    if let Some((changes, error)) = found.tried.refused.first() {
        let count = found.tried.refused.len();
        let what = described(&found.loaded.plan, changes);
        writeln!(text, "note: {count} configurations are refused by the kernel; the first, {what}: {error}").unwrap_or_default();
    }
    if let Some(caches) = found.tried.rows.iter().map(|row| row.restarted.len()).max().filter(|caches| *caches > 0) {
        writeln!(
            text,
            "note: with other slabs, up to {caches} caches start with their old objects packed anew: such a configuration is scored by what is set now, packed in the same way"
        )
        .unwrap_or_default();
    }
    table(found, &mut text);
    match &found.recommended {
        Some(recommended) => recommendation(found, recommended, &mut text),
        None => writeln!(
            text,
            "\nNo recommendation: by {}, nothing tried beats what is set now by {:.0} %.",
            found.args.objective.name(),
            MARGIN * 100.0
        )
        .unwrap_or_default(),
    }
    text
}

fn table(found: &Found<'_>, text: &mut String) {
    let ranked = found.ranked();
    let mut shown: Vec<usize> = ranked.iter().copied().take(found.args.top).collect();
    if !shown.contains(&0) {
        shown.push(0);
    }
    writeln!(text, "\nConfigurations ({} of {}), best by {} first", shown.len(), ranked.len(), found.args.objective.name())
        .unwrap_or_default();
    // Of a search, most have most knobs as they are.
    let is_search = found.args.set.is_empty();
    let heads = ["peak", "mean", "end", "held", "fast alloc", "free", "slow paths", "moves", "fallbacks", "score"];
    let names = if is_search { vec!["changed".to_owned()] } else { found.columns.iter().map(|&column| found.column(column)).collect() };
    let left = names.len();
    let mut rows = vec![names.into_iter().chain(heads.map(str::to_owned)).collect::<Vec<String>>()];
    for number in shown {
        let own = &found.tried.rows[number];
        let mark = if number == 0 { " (as recorded)" } else { "" };
        let mut cells = if is_search {
            let changes = described(&found.loaded.plan, &own.changes);
            vec![if number == 0 { "as recorded".to_owned() } else { changes }]
        } else {
            let value = |&column| found.value(own, column).map_or_else(|| "default".to_owned(), |value| value.to_string());
            let mut cells: Vec<String> = found.columns.iter().map(value).collect();
            if let Some(last) = cells.last_mut() {
                last.push_str(mark);
            }
            cells
        };
        cells.extend(row([
            &bytes(own.total.slab_bytes_peak),
            &bytes(own.total.slab_bytes_mean as u64),
            &bytes(own.total.slab_bytes_end),
            &thousands(own.total.held_objects_mean.round() as u64),
            &own.total.fast_alloc_share().map_or_else(|| "-".to_owned(), percent),
            &own.total.fast_free_share().map_or_else(|| "-".to_owned(), percent),
            &thousands(own.slow_paths()),
            &thousands(own.total.node_moves),
            &thousands(own.order_fallbacks),
            &found.scores[number]
                .map_or_else(|| "-".to_owned(), |score| format!("{score:.3}{}", if found.front[number] { "*" } else { " " })),
        ]));
        rows.push(cells);
    }
    text.push_str(&columns(&rows, left));
    text.push_str("peak, mean, end: slab memory; held: free objects on CPUs, in the mean; moves: slabs put on or taken off node lists;\n");
    text.push_str(
        "score: 1 is as recorded, less is better, - is out of the objective's bounds; *: nothing has less memory and less slow work\n",
    );
}

fn recommendation(found: &Found<'_>, recommended: &Recommended, text: &mut String) {
    let new = &found.tried.rows[recommended.row];
    let old = new.base(&found.tried.rows[0]);
    writeln!(text, "\nRecommended: {}", described(&found.loaded.plan, &new.changes)).unwrap_or_default();
    let line = |name: &str, figure: &dyn Fn(&Row) -> f64, shown: &dyn Fn(&Row) -> String| {
        let (was, is) = (figure(old), figure(new));
        let change = if was > 0.0 { format!("{:+.1} %", (is / was - 1.0) * 100.0) } else { "-".to_owned() };
        vec![format!("  {name}"), shown(old), shown(new), change]
    };
    let rows = [
        vec!["  expected on this load".to_owned(), "now".to_owned(), "then".to_owned(), "change".to_owned()],
        line("slab memory, peak", &|row| row.total.slab_bytes_peak as f64, &|row| bytes(row.total.slab_bytes_peak)),
        line("slab memory, mean", &|row| row.total.slab_bytes_mean, &|row| bytes(row.total.slab_bytes_mean as u64)),
        line("slow paths", &|row| row.slow_paths() as f64, &|row| thousands(row.slow_paths())),
        line("node list moves", &|row| row.total.node_moves as f64, &|row| thousands(row.total.node_moves)),
        line("order fallbacks", &|row| row.order_fallbacks as f64, &|row| thousands(row.order_fallbacks)),
    ];
    text.push_str(&columns(&rows, 1));
    if !new.restarted.is_empty() {
        let caches = new.restarted.len();
        writeln!(text, "  now and then: with the old objects of {caches} caches packed anew").unwrap_or_default();
    }
    let commands = &recommended.commands;
    for write in &commands.writes {
        let old = write.old.map_or_else(|| "each cache's own".to_owned(), |old| old.to_string());
        let reboot = if write.needs_reboot { "needs a reboot" } else { "at run time" };
        writeln!(text, "  {}: {old} -> {} ({reboot})", write.target, write.new).unwrap_or_default();
        if !write.aliases.is_empty() {
            let shown: Vec<&str> = write.aliases.iter().take(MOST_ALIASES).map(String::as_str).collect();
            let more = write.aliases.len() - shown.len();
            let more = if more > 0 { format!(" and {more} more") } else { String::new() };
            writeln!(text, "    changes all of {}{more}", printable(&shown.join(", "), true)).unwrap_or_default();
        }
    }
    cost(found, recommended, text);
    let mut block = |title: &str, lines: &[String]| {
        if !lines.is_empty() {
            let lines: Vec<String> = lines.iter().map(|line| printable(line, true)).collect();
            writeln!(text, "\n{title}\n{}", lines.join("\n")).unwrap_or_default();
        }
    };
    block("# Apply now (shell, as root)", &commands.now);
    block("# Undo that", &commands.undo_now);
    let titled = |blocks: &[Block]| -> Vec<String> {
        blocks.iter().flat_map(|block| std::iter::once(format!("# {}", block.title)).chain(block.lines.iter().cloned())).collect()
    };
    block("# Keep", &titled(&commands.keep));
    block("# Undo that", &commands.undo_keep);
    block("# Boot: use the way that the machine boots by, then reboot", &titled(&commands.boot));
    block("# Undo that, then reboot", &titled(&commands.undo_boot));
    block("# Build", &commands.build);
    block("# Code", &commands.code);
    if !commands.notes.is_empty() {
        text.push('\n');
    }
    for note in &commands.notes {
        writeln!(text, "note: {note}").unwrap_or_default();
    }
}

/// Memory that the kernel may park at most, before and after.
fn cost(found: &Found<'_>, recommended: &Recommended, text: &mut String) {
    let mut effects: Vec<_> = recommended.effects.iter().flatten().collect();
    effects.sort_by_key(|effect| effect.cache);
    effects.dedup_by_key(|effect| effect.cache);
    if effects.is_empty() {
        return;
    }
    let sum = |side: fn(&(u64, u64)) -> u64| effects.iter().map(|effect| side(&effect.worst_case)).fold(0, u64::saturating_add);
    let (old, new) = (sum(|sides| sides.0), sum(|sides| sides.1));
    writeln!(text, "  memory that CPUs and nodes may park at worst, {} caches: {} -> {}", effects.len(), bytes(old), bytes(new))
        .unwrap_or_default();
    let peak = |cache: usize| found.tried.rows[0].caches[cache].slab_bytes_peak;
    effects.sort_by(|a, b| peak(b.cache).cmp(&peak(a.cache)).then(a.cache.cmp(&b.cache)));
    let mut rows = vec![row([&"    cache", &"value", &"now", &"worst case", &"now", &"mean", &"now"])];
    for effect in effects.iter().take(MOST_CACHES) {
        let tried = &found.tried.rows[recommended.row];
        let [old, new] = [tried.base(&found.tried.rows[0]), tried].map(|row| &row.caches[effect.cache]);
        rows.push(row([
            &format!("    {}", printable(&found.loaded.plan.caches[effect.cache].name, true)),
            &effect.values.1,
            &effect.values.0,
            &bytes(effect.worst_case.1),
            &bytes(effect.worst_case.0),
            &bytes(new.slab_bytes_mean as u64),
            &bytes(old.slab_bytes_mean as u64),
        ]));
    }
    text.push_str(&columns(&rows, 1));
}
