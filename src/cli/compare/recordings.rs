//! Recordings beside recordings, each replayed by its own kernel.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};
use slubreplay_reports::format::{bytes, percent, printable, thousands};

use super::super::args::{CompareArgs, MachineArgs};
use super::super::columns::{columns, csv_field, row, thousandths};
use super::super::failure::Failure;
use super::super::load;
use super::super::progress::Stage;
use super::{Forms, by_cache_title};
use crate::compare::{CONFIDENCE, Compared, Difference, FALSE_DISCOVERIES, Measure, Run, Summary, compare as replay, compare_runs};

/// Names of the two sides.
const SIDES: [&str; 2] = ["base", "against"];

/// Replays all of them and compares.
pub(super) fn compare(args: &CompareArgs, base: &[PathBuf], against: &[PathBuf], machine: &MachineArgs) -> Result<Forms, Failure> {
    let mut names = Names { wanted: args.cache.as_deref(), found: Vec::new(), missing: None };
    let mut side = |paths: &[PathBuf]| paths.iter().map(|path| run(path, machine, &mut names)).collect::<Result<Vec<Run>, Failure>>();
    let runs = [side(base)?, side(against)?];
    let mut compared = compare_runs(&runs[0], &runs[1]);
    if let Some(wanted) = names.wanted {
        let Names { found, missing, .. } = names;
        compared.retain(|compared| compared.cache.as_ref().is_some_and(|cache| found.contains(cache)));
        if let Some(failure) = missing.filter(|_| found.is_empty()) {
            return Err(failure);
        }
        if compared.is_empty() {
            return Err(Failure::usage(&format!("--cache {wanted}: no recording uses it"), "names are those of the table without --cache"));
        }
    }
    let shown = Shown { paths: [base, against], runs: &runs, compared: &compared };
    Ok(Forms { text: shown.as_text(args.top), csv: shown.as_csv(), json: shown.as_json() })
}

/// A cache that is asked for, by the names that it has in the recordings.
struct Names<'a> {
    wanted: Option<&'a str>,
    found: Vec<String>,
    missing: Option<Failure>,
}

fn run(path: &Path, machine: &MachineArgs, names: &mut Names<'_>) -> Result<Run, Failure> {
    let loaded = load::plan(load::read(path)?, machine.clone().wishes(), path)?;
    if let Some(wanted) = names.wanted {
        match loaded.cache("--cache", wanted) {
            Ok(cache) => names.found.push(loaded.plan.caches[cache].name.clone()),
            Err(failure) => names.missing = Some(failure),
        }
    }
    let stage = Stage::operations("replaying", loaded.plan.ops.len() as u64);
    let own = std::slice::from_ref(&loaded.setting);
    let replayed = replay(&loaded.plan, &loaded.setting, own, &|operations| stage.add(operations))?;
    let (start, end) = loaded.plan.time_range_ns;
    let seconds = end.saturating_sub(start) as f64 / 1e9;
    // One setting, one replay.
    replayed.into_iter().next().map(|replayed| Run { seconds, replayed }).ok_or_else(|| Failure::input(anyhow::anyhow!("no replay")))
}

struct Shown<'a> {
    paths: [&'a [PathBuf]; 2],
    runs: &'a [Vec<Run>; 2],
    compared: &'a [Compared],
}

impl Shown<'_> {
    /// Side, path and run of all recordings.
    fn recordings(&self) -> impl Iterator<Item = (&'static str, &Path, &Run)> {
        let sides = SIDES.into_iter().zip(self.paths).zip(self.runs);
        sides.flat_map(|((side, paths), runs)| paths.iter().zip(runs).map(move |(path, run)| (side, path.as_path(), run)))
    }

    fn notes(&self) -> Vec<String> {
        let mut notes = Vec::new();
        let apart = |is_in: fn(&Difference) -> bool| {
            self.compared.iter().filter(|compared| compared.get(Measure::SlabBytesPeak).is_some_and(is_in)).count()
        };
        let only = [apart(|figure| figure.against.is_none()), apart(|figure| figure.base.is_none())];
        for (side, count) in SIDES.into_iter().zip(only).filter(|(_, count)| *count > 0) {
            notes.push(format!(
                "{count} caches are in {side} alone; names are those of directories where a recording has a snapshot, else those in its events"
            ));
        }
        if self.runs.iter().any(|runs| runs.len() < 2) {
            notes.push("what differs by more than chance shows from two runs on each side on, surely from four".to_owned());
        }
        notes
    }

    fn tested(&self) -> usize {
        self.compared.iter().flat_map(|compared| &compared.differences).filter(|difference| difference.test.is_some()).count()
    }

    fn as_csv(&self) -> String {
        let mut text = String::from(
            "cache,figure,base_runs,base_mean,base_deviation,against_runs,against_mean,against_deviation,difference,relative_difference,\
             interval_low,interval_high,p_value,significant\n",
        );
        for (compared, difference) in self.rows() {
            let cells: Vec<String> = fields(difference).into_iter().map(|(_, value)| cell(&value)).collect();
            let cache = csv_field(compared.cache.as_deref().unwrap_or(""));
            writeln!(text, "{cache},{},{}", difference.measure.name(), cells.join(",")).unwrap_or_default();
        }
        text
    }

    fn rows(&self) -> impl Iterator<Item = (&Compared, &Difference)> {
        self.compared.iter().flat_map(|compared| compared.differences.iter().map(move |difference| (compared, difference)))
    }

    fn as_json(&self) -> String {
        let recordings = self.recordings().map(|(side, path, run)| {
            let setting = &run.replayed.setting;
            json!({
                "side": side,
                "trace": path.display().to_string(),
                "kernel": setting.label(),
                "model": setting.model_name(),
                "seconds": thousandths(run.seconds),
                "notes": setting.notes,
            })
        });
        let caches = self.compared.iter().map(|compared| {
            let figures = compared.differences.iter().map(|difference| {
                let fields = fields(difference).into_iter().map(|(name, value)| (name.to_owned(), value));
                (difference.measure.name().to_owned(), Value::Object(fields.collect()))
            });
            json!({ "cache": compared.cache, "figures": figures.collect::<Map<String, Value>>() })
        });
        let value = json!({
            "recordings": recordings.collect::<Vec<Value>>(),
            "notes": self.notes(),
            "tests": self.tested(),
            "false_discoveries": FALSE_DISCOVERIES,
            "confidence": CONFIDENCE,
            "caches": caches.collect::<Vec<Value>>(),
        });
        format!("{value:#}\n")
    }

    fn as_text(&self, top: usize) -> String {
        let mut text = String::from("Recordings, each replayed by its own kernel\n");
        let recordings = self.recordings().map(|(side, path, run)| {
            let setting = &run.replayed.setting;
            let seconds = format!("{:.1} s", run.seconds);
            row([&format!("  {side}"), &printable(&path.display().to_string(), true), &setting.label(), &setting.model_name(), &seconds])
        });
        text.push_str(&columns(&recordings.collect::<Vec<_>>(), 4));
        for note in self.notes() {
            writeln!(text, "note: {note}").unwrap_or_default();
        }
        let mut said = Vec::new();
        for (side, path, run) in self.recordings() {
            for note in run.replayed.setting.notes.iter().filter(|note| !said.contains(&(side, *note))).collect::<Vec<_>>() {
                writeln!(text, "note: {side}, {}: {}", printable(&path.display().to_string(), true), printable(note, true))
                    .unwrap_or_default();
                said.push((side, note));
            }
        }
        if let Some(all) = self.compared.iter().find(|compared| compared.cache.is_none()) {
            totals(all, &mut text);
        }
        self.by_cache(&mut text, top);
        if self.tested() > 0 {
            let (level, tested) = (FALSE_DISCOVERIES * 100.0, self.tested());
            writeln!(
                text,
                "±: standard deviation of the runs; *: more than chance by Welch's t-test of {tested} figures, at most {level:.0} % of these falsely so"
            )
            .unwrap_or_default();
        }
        text
    }

    fn by_cache(&self, text: &mut String, top: usize) {
        let mut caches: Vec<&Compared> = self.compared.iter().filter(|compared| compared.cache.is_some()).collect();
        let mean = |side: Option<Summary>| side.map_or(0.0, |summary| summary.mean);
        let apart =
            |compared: &Compared, measure| compared.get(measure).map_or(0.0, |figure| (mean(figure.against) - mean(figure.base)).abs());
        let key = |compared: &Compared| (apart(compared, Measure::SlabBytesMean), apart(compared, Measure::AllocRate));
        caches.sort_by(|a, b| {
            let ((a_bytes, a_rate), (b_bytes, b_rate)) = (key(a), key(b));
            b_bytes.total_cmp(&a_bytes).then(b_rate.total_cmp(&a_rate))
        });
        let count = caches.len();
        caches.truncate(top);
        if caches.is_empty() {
            return;
        }
        text.push_str(&by_cache_title(caches.len(), count));
        let heads = ["cache", "", "peak", "mean", "live", "allocs/s", "fast alloc", "free", "moves/1k", "held"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for compared in caches {
            let name = printable(compared.cache.as_deref().unwrap_or(""), true);
            let line = |first: &str, side: &str, figure: &dyn Fn(&Difference) -> String| {
                let figures = BY_CACHE.iter().map(|&measure| compared.get(measure).map_or_else(String::new, figure));
                [first.to_owned(), side.to_owned()].into_iter().chain(figures).collect::<Vec<String>>()
            };
            rows.push(line(&name, SIDES[0], &|figure| value(figure.measure, figure.base)));
            rows.push(line("", SIDES[1], &|figure| value(figure.measure, figure.against)));
            if compared.is_of_both() {
                rows.push(line("", "change", &change));
            }
        }
        text.push_str(&columns(&rows, 2));
        text.push_str("live: share of slab memory at the end; moves/1k: slabs put on or taken off node lists in 1,000 operations;\n");
        text.push_str("held: free objects in CPUs' slabs, on their partial lists, in sheaves and in arrays, in the mean\n");
    }
}

/// What a line of a cache has.
const BY_CACHE: [Measure; 8] = [
    Measure::SlabBytesPeak,
    Measure::SlabBytesMean,
    Measure::LiveShareEnd,
    Measure::AllocRate,
    Measure::FastAllocShare,
    Measure::FastFreeShare,
    Measure::NodeMoves,
    Measure::HeldObjectsMean,
];

fn totals(all: &Compared, text: &mut String) {
    let mut rows = vec![row([&"all caches", &SIDES[0], &"", &SIDES[1], &"", &"change"])];
    for difference in &all.differences {
        let measure = difference.measure;
        rows.push(row([
            &title(measure),
            &value(measure, difference.base),
            &spread(difference.base),
            &value(measure, difference.against),
            &spread(difference.against),
            &change(difference),
        ]));
    }
    writeln!(text, "\n{}", columns(&rows, 1).trim_end()).unwrap_or_default();
}

fn title(measure: Measure) -> &'static str {
    match measure {
        Measure::AllocRate => "allocations/s",
        Measure::FreeRate => "frees/s",
        Measure::SlabBytesPeak => "slab memory, peak",
        Measure::SlabBytesMean => "slab memory, mean",
        Measure::SlabBytesEnd => "slab memory, end",
        Measure::LiveSharePeak => "live share of it, at peak",
        Measure::LiveShareEnd => "live share of it, at end",
        Measure::FastAllocShare => "fast allocations",
        Measure::FastFreeShare => "fast frees",
        Measure::NodeMoves => "node list moves/1k operations",
        Measure::HeldObjectsEnd => "free objects held, end",
        Measure::HeldObjectsMean => "free objects held, mean",
    }
}

/// A mean as people read it.
fn value(measure: Measure, side: Option<Summary>) -> String {
    let Some(Summary { mean, .. }) = side else { return "-".to_owned() };
    match measure {
        Measure::SlabBytesPeak | Measure::SlabBytesMean | Measure::SlabBytesEnd => bytes(mean.round() as u64),
        measure if measure.is_share() => percent(mean),
        Measure::NodeMoves => format!("{mean:.2}"),
        _ => thousands(mean.round() as u64),
    }
}

/// A standard deviation as a share of the mean.
fn spread(side: Option<Summary>) -> String {
    let share = side.and_then(|side| (side.mean != 0.0).then_some(side.deviation? / side.mean));
    share.map_or_else(String::new, |share| format!("± {:.1}%", share * 100.0))
}

/// How far the means are apart: shares in points, others relative to the first.
fn change(difference: &Difference) -> String {
    let mark = if difference.is_significant { "*" } else { "" };
    let Some(apart) = difference.difference() else { return "-".to_owned() };
    // Without a sign for what is rounded to nothing.
    let hundredths = |share: f64| (share * 1000.0).round() / 10.0 + 0.0;
    let by = match difference.relative() {
        _ if difference.measure.is_share() => format!("{:+.1} pp", hundredths(apart)),
        Some(relative) => format!("{:+.1}%", hundredths(relative)),
        None if apart == 0.0 => "+0.0%".to_owned(),
        None => "from 0".to_owned(),
    };
    format!("{by}{mark}")
}

/// A difference for a program: names and values, in order.
fn fields(difference: &Difference) -> Vec<(&'static str, Value)> {
    let of =
        |side: Option<Summary>, figure: &dyn Fn(Summary) -> Option<f64>| side.and_then(figure).map_or(Value::Null, |value| json!(value));
    let runs = |side: Option<Summary>| json!(side.map_or(0, |side| side.runs));
    let (base, against, test) = (difference.base, difference.against, difference.test);
    let number = |value: Option<f64>| value.map_or(Value::Null, |value| json!(value));
    let interval = test.and_then(|test| test.interval);
    vec![
        ("base_runs", runs(base)),
        ("base_mean", of(base, &|side| Some(side.mean))),
        ("base_deviation", of(base, &|side| side.deviation)),
        ("against_runs", runs(against)),
        ("against_mean", of(against, &|side| Some(side.mean))),
        ("against_deviation", of(against, &|side| side.deviation)),
        ("difference", number(difference.difference())),
        ("relative_difference", number(difference.relative())),
        ("interval_low", number(interval.map(|(low, _)| low))),
        ("interval_high", number(interval.map(|(_, high)| high))),
        ("p_value", number(test.map(|test| test.p_value))),
        ("significant", test.map_or(Value::Null, |_| json!(difference.is_significant))),
    ]
}

fn cell(value: &Value) -> String {
    if value.is_null() { String::new() } else { value.to_string() }
}
