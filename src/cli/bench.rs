//! `slubreplay bench`: what an allocation and its free cost, the models beside other allocators.

use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::args::{BenchArgs, BenchFormat, MachineArgs};
use super::columns::{columns, csv_field, row};
use super::failure::Failure;
use super::progress::Stage;
use super::{load, print};
use crate::bench::{self, Allocator, Figure, Options, Pattern, trace};

/// Rounds if nothing else is said: of a pattern, and of a trace, whose rounds take as long as it takes.
const ROUNDS: usize = 21;
const TRACE_ROUNDS: usize = 5;

pub(super) fn run(args: &BenchArgs, machine: MachineArgs) -> Result<ExitCode, Failure> {
    let allocators = allocators(&args.allocators)?;
    let threads = &args.threads;
    // A trace alone is measured alone.
    let patterns = match (&args.patterns, &args.trace) {
        (Some(patterns), _) => patterns.clone(),
        (None, Some(_)) => Vec::new(),
        // Those that nobody asked for by name are left out where no number of threads fits.
        (None, None) => Pattern::ALL.into_iter().filter(|pattern| threads.iter().any(|&threads| pattern.fits(threads))).collect(),
    };
    let cells = cells(&patterns, threads)?;
    let options = Options {
        patterns,
        allocators: allocators.clone(),
        threads: threads.clone(),
        size: args.size,
        rounds: args.rounds.map_or(ROUNDS, |rounds| rounds as usize),
        time: Duration::from_micros((args.time * 1e3) as u64),
    };
    let stage = Stage::operations("measuring", cells);
    let figures = bench::run(&options, &|cells| stage.add(cells));
    drop(stage);
    let mut figures = figures.map_err(Failure::input)?;
    if let Some(path) = &args.trace {
        let loaded = load::plan(load::read(path)?, machine.wishes(), path)?;
        let rounds = args.rounds.map_or(TRACE_ROUNDS, |rounds| rounds as usize);
        let traced = trace::Traced { plan: &loaded.plan, setting: &loaded.setting, capture: loaded.capture.as_ref() };
        let stage = Stage::operations("replaying", (threads.len() * (rounds + 1) * allocators.len()) as u64);
        let replayed = trace::run(traced, &allocators, threads, rounds, &|replays| stage.add(replays));
        drop(stage);
        figures.extend(replayed.map_err(Failure::input)?);
    }
    print(&match args.format {
        BenchFormat::Text => as_text(&figures),
        BenchFormat::Json => format!("{:#}\n", Value::Array(figures.iter().map(as_json).collect())),
        BenchFormat::Csv => as_csv(&figures),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn allocators(names: &[String]) -> Result<Vec<Allocator>, Failure> {
    let parse = |name: &str| name.parse::<Allocator>().map_err(|error| Failure::usage(&format!("--allocators {name}"), &error.to_string()));
    if names.is_empty() {
        return Allocator::default_names().into_iter().map(parse).collect();
    }
    let mut allocators = Vec::new();
    for name in names {
        let allocator = parse(name)?;
        if !allocators.contains(&allocator) {
            allocators.push(allocator);
        }
    }
    Ok(allocators)
}

/// How many cells there are to measure. A pattern that goes with none of the numbers of threads is a mistake.
fn cells(patterns: &[Pattern], threads: &[usize]) -> Result<u64, Failure> {
    let mut cells = 0;
    for pattern in patterns {
        let fitting = threads.iter().filter(|&&threads| pattern.fits(threads)).count();
        if fitting == 0 {
            let wants = pattern.wants().unwrap_or("a thread");
            return Err(Failure::usage(&format!("--patterns {}: it takes {wants}", pattern.name()), "try `--threads 2`"));
        }
        cells += fitting as u64;
    }
    Ok(cells)
}

fn as_json(figure: &Figure) -> Value {
    let mut object = Map::new();
    let mut add = |key: &str, value: Value| object.insert(key.to_owned(), value);
    add("pattern", json!(figure.pattern));
    add("allocator", json!(figure.allocator));
    add("threads", json!(figure.threads));
    add("ns_per_pair_median", json!(hundredths(figure.median())));
    add("ns_per_pair_min", json!(hundredths(figure.min())));
    add("size", json!(figure.size));
    add("rounds", json!(figure.ns_per_pair.len()));
    if let Some(replay) = figure.replay {
        add("operations", json!(replay.operations));
        add("operations_per_second", json!(replay.per_second.round()));
        add("efficiency", json!(replay.efficiency));
        add("efficiency_bound", json!(replay.bound));
    }
    Value::Object(object)
}

fn as_csv(figures: &[Figure]) -> String {
    let mut text =
        "pattern,allocator,threads,ns_per_pair_median,ns_per_pair_min,size,rounds,operations_per_second,efficiency,efficiency_bound\n"
            .to_owned();
    for figure in figures {
        let optional = |value: Option<f64>| value.map_or(String::new(), |value| value.to_string());
        let fields = [
            figure.pattern.to_owned(),
            csv_field(&figure.allocator),
            figure.threads.to_string(),
            hundredths(figure.median()).to_string(),
            hundredths(figure.min()).to_string(),
            figure.size.map_or(String::new(), |size| size.to_string()),
            figure.ns_per_pair.len().to_string(),
            optional(figure.replay.map(|replay| replay.per_second.round())),
            optional(figure.replay.and_then(|replay| replay.efficiency)),
            optional(figure.replay.map(|replay| replay.bound)),
        ];
        text.push_str(&fields.join(","));
        text.push('\n');
    }
    text
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

/// The fastest of mimalloc, jemalloc and snmalloc in the same pattern on as many threads, by its median.
fn best_other(figures: &[Figure], of: &Figure) -> Option<f64> {
    let same = figures.iter().filter(|figure| (figure.pattern, figure.threads) == (of.pattern, of.threads));
    same.filter(|figure| Allocator::is_yardstick(&figure.allocator)).map(Figure::median).min_by(f64::total_cmp)
}

fn as_text(figures: &[Figure]) -> String {
    let mut rows =
        vec![row([&"pattern", &"allocator", &"threads", &"ns/pair", &"least", &"x best", &"M ops/s", &"efficiency", &"at most"])];
    let percent = |share: f64| format!("{:.0}%", share * 100.0);
    let mut before = ("", 0);
    for figure in figures {
        let cell = (figure.pattern, figure.threads);
        let ratio = best_other(figures, figure).map_or(String::new(), |best| format!("{:.2}", figure.median() / best));
        let replay = figure.replay;
        rows.push(row([
            &if cell == before { "" } else { figure.pattern },
            &figure.allocator,
            &figure.threads,
            &format!("{:.1}", figure.median()),
            &format!("{:.1}", figure.min()),
            &ratio,
            &replay.map_or(String::new(), |replay| format!("{:.1}", replay.per_second / 1e6)),
            &replay.and_then(|replay| replay.efficiency).map_or(String::new(), percent),
            &replay.filter(|_| figure.threads > 1).map_or(String::new(), |replay| percent(replay.bound)),
        ]));
        before = cell;
    }
    let has_trace = figures.iter().any(|figure| figure.replay.is_some());
    if !has_trace {
        rows.iter_mut().for_each(|row| row.truncate(6));
    }
    let mut text = columns(&rows, 2);
    text.push_str("ns/pair: of a thread for an allocation and its free, the median of all rounds; least: the fastest round\n");
    if Allocator::HAS_OTHERS {
        text.push_str("x best: median over that of the fastest of mimalloc, jemalloc and snmalloc\n");
    } else {
        text.push_str("mimalloc, jemalloc and snmalloc: `cargo build --release --features other-allocators`\n");
    }
    if has_trace {
        text.push_str("efficiency: speed of each worker against that of one alone; at most: what the busiest worker's share allows\n");
    }
    text
}
