//! `slubreplay verify CAPTURE`: compares a replay with the kernel's own figures.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{MachineArgs, VerifyArgs, VerifyFormat};
use super::failure::{Failure, RESULT_OUTSIDE};
use super::load::{self, Loaded};
use super::print;
use super::progress::Stage;
use crate::prepare::ledger::Entry;
use crate::verify::{CacheVerdict, SnapshotMarks, Summary, Verification, compare};

pub(super) fn run(args: &VerifyArgs, machine: MachineArgs) -> Result<ExitCode, Failure> {
    if !args.capture.is_dir() {
        let error = anyhow::anyhow!("{}: not a directory", args.capture.display());
        return Err(Failure::input(error).hint("verify takes a capture directory: trace.dat with slab.before and slab.after in it"));
    }
    let loaded = load::plan(load::read(&args.capture)?, machine.wishes(), &args.capture)?;
    let result = verify(&loaded, args)?;
    let excluded = excluded(&loaded, args)?;
    let summary = result.summary(|cache| !excluded.contains(&cache.cache));
    print(&match args.format {
        VerifyFormat::Csv => as_csv(&result),
        VerifyFormat::Json => format!("{:#}\n", as_json(&loaded, &result, &summary, &excluded)),
        VerifyFormat::Text => as_text(&loaded, &result, &summary, &excluded, args.all),
    })?;
    let outside = args.max_error.is_some_and(|max| summary.error_percent() > max);
    Ok(if outside { RESULT_OUTSIDE.into() } else { ExitCode::SUCCESS })
}

fn verify(loaded: &Loaded, args: &VerifyArgs) -> Result<Verification, Failure> {
    let capture = loaded.capture.as_ref();
    let Some(after) = capture.and_then(|capture| capture.after.as_ref()) else {
        let error = anyhow::anyhow!("{}: there is no slab.after to compare with", args.capture.display());
        return Err(Failure::input(error).hint("a snapshot is all of /sys/kernel/slab as lines `cache,attribute,value`"));
    };
    let stage = Stage::operations("replaying", loaded.plan.ops.len() as u64);
    let mut marks = SnapshotMarks::new(&loaded.plan.caches, |operations| stage.set(operations));
    let (outcome, _) = loaded.replay(0, 0, &mut marks)?;
    let before = capture.and_then(|capture| capture.before.as_ref());
    let end = |cache: usize| outcome.caches.get(cache).map(|cache| cache.end.clone()).unwrap_or_default();
    let result = compare(before, after, &marks, &end, loaded.setting.topology.cpus());
    if result.caches.is_empty() {
        let error = anyhow::anyhow!("{}: slab.after has no counters", args.capture.display());
        return Err(Failure::input(error).hint("the kernel has to be built with CONFIG_SLUB_STATS"));
    }
    Ok(result)
}

/// Directories behind the names given with `--exclude`.
fn excluded(loaded: &Loaded, args: &VerifyArgs) -> Result<Vec<String>, Failure> {
    let after = loaded.capture.as_ref().and_then(|capture| capture.after.as_ref());
    let resolve = |name: &String| {
        let known = after.and_then(|after| after.resolve(name)).map(str::to_owned);
        known
            .ok_or_else(|| Failure::usage(&format!("--exclude {name}: no such cache in slab.after"), "names are those in /sys/kernel/slab"))
    };
    args.exclude.iter().map(resolve).collect()
}

fn as_csv(result: &Verification) -> String {
    let mut text = String::from("cache,counter,cpu,kernel,replay\n");
    for row in &result.rows {
        let cpu = row.cpu.map(|cpu| cpu.to_string()).unwrap_or_default();
        writeln!(text, "{},{},{cpu},{},{}", quoted(&row.cache), row.counter, row.kernel, row.replay).unwrap_or_default();
    }
    text
}

/// A CSV field; cache names may hold anything.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text.to_owned() }
}

fn as_json(loaded: &Loaded, result: &Verification, summary: &Summary, excluded: &[String]) -> Value {
    let caches: Vec<Value> = result.caches.iter().map(|cache| cache_json(loaded, result, cache)).collect();
    let notes: Vec<&String> = loaded.setting.notes.iter().chain(&result.notes).collect();
    json!({
        "kernel": loaded.setting.kernel.release.to_string(),
        "model": loaded.setting.rules.generation.name(),
        "notes": notes,
        "excluded": excluded,
        "summary": {
            "caches": summary.caches,
            "kernel_sum": summary.kernel_sum,
            "error_sum": summary.error_sum,
            "error_percent": summary.error_percent(),
            "busy_caches": summary.busy,
            "busy_caches_exactly_equal": summary.busy_exact,
            "races_left_out": summary.races,
        },
        "caches": caches,
    })
}

fn cache_json(loaded: &Loaded, result: &Verification, cache: &CacheVerdict) -> Value {
    let rows = result.rows.iter().filter(|row| row.cache == cache.cache && row.cpu.is_none());
    let differences: Vec<Value> =
        rows.filter(|row| row.error() > 0).map(|row| json!({"counter": row.counter, "kernel": row.kernel, "replay": row.replay})).collect();
    json!({
        "cache": cache.cache,
        "operations": cache.operations,
        "kernel_sum": cache.kernel_sum,
        "error_sum": cache.error_sum,
        "untouched_slabs": cache.untouched_slabs,
        "implied_operations": implied(loaded, &cache.cache),
        "differences": differences,
    })
}

/// Operations of a cache that the trace does not show.
fn implied(loaded: &Loaded, cache: &str) -> u64 {
    [Entry::ImpliedFrees, Entry::ImpliedAllocs, Entry::ContradictedFrees].into_iter().map(|entry| loaded.plan.ledger.of(entry, cache)).sum()
}

/// Differing caches shown without `--all`.
const SHOWN: usize = 20;

fn as_text(loaded: &Loaded, result: &Verification, summary: &Summary, excluded: &[String], all: bool) -> String {
    let mut text = format!(
        "Replay by the rules of {} against the kernel's own counters ({})\n",
        loaded.setting.rules.generation.name(),
        loaded.setting.kernel.release
    );
    for note in loaded.setting.notes.iter().chain(&result.notes) {
        writeln!(text, "note: {note}").unwrap_or_default();
    }
    let mut differing: Vec<&CacheVerdict> = result.caches.iter().filter(|cache| cache.error_sum > 0).collect();
    differing.sort_by(|a, b| b.error_sum.cmp(&a.error_sum).then_with(|| a.cache.cmp(&b.cache)));
    if !differing.is_empty() {
        writeln!(text, "\n{:<22} {:>10} {:>8} {:>9} {:>8}  largest difference", "cache", "operations", "error", "error %", "implied")
            .unwrap_or_default();
    }
    let shown = if all { differing.len() } else { SHOWN };
    for cache in differing.iter().take(shown) {
        let percent =
            if cache.kernel_sum == 0 { "-".to_owned() } else { format!("{:.3}", cache.error_sum as f64 * 100.0 / cache.kernel_sum as f64) };
        let worst = cache.worst.map_or(String::new(), |(counter, error)| format!("{counter} {error}"));
        let mark = if excluded.contains(&cache.cache) { "*" } else { "" };
        let name = format!("{}{mark}", cache.cache);
        writeln!(
            text,
            "{name:<22} {:>10} {:>8} {percent:>9} {:>8}  {worst}",
            cache.operations,
            cache.error_sum,
            implied(loaded, &cache.cache)
        )
        .unwrap_or_default();
    }
    if differing.len() > shown {
        writeln!(text, "… and {} more (--all shows them)", differing.len() - shown).unwrap_or_default();
    }
    if !excluded.is_empty() {
        writeln!(text, "* left out of the sums below").unwrap_or_default();
    }
    let equal = result.caches.len() - differing.len();
    writeln!(text, "\ncaches compared           {} ({equal} equal in every counter)", result.caches.len()).unwrap_or_default();
    writeln!(text, "summed counter error      {} of {} ({:.4} %)", summary.error_sum, summary.kernel_sum, summary.error_percent())
        .unwrap_or_default();
    writeln!(
        text,
        "exactly equal             {} of {} caches with at least {} operations",
        summary.busy_exact,
        summary.busy,
        Summary::BUSY
    )
    .unwrap_or_default();
    writeln!(text, "lost races, left out      {} (cmpxchg_double_fail, cmpxchg_double_cpu_fail: no trace shows them)", summary.races)
        .unwrap_or_default();
    let gauges = result.rows.iter().filter(|row| row.is_gauge);
    let (count, equal) = gauges.fold((0, 0), |(count, equal), row| (count + 1, equal + u32::from(row.error() == 0)));
    writeln!(text, "state at the end          {equal} of {count} gauges equal (slabs, objects, partial, cpu_slabs, …)").unwrap_or_default();
    text
}
