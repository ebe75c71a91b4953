//! `slubreplay tune TRACE|CAPTURE`: what knobs would do to a load, and the commands that set them.
//!
//! | file | what it does |
//! |---|---|
//! | `pages` | where slabs get their pages |
//! | `text` | the report to read |
//! | `programs` | CSV and JSON |
//! | `lint` | `tune lint` |
//! | `whatif` | `tune --what-if` |

mod lint;
mod pages;
mod programs;
mod text;
mod whatif;

use std::process::ExitCode;

use slubreplay_reports::export::tuning as export;
use slubreplay_reports::input::RunFacts;
use slubreplay_reports::input::tuning::{TuneFigures, TunePoint};

use super::args::{MachineArgs, TuneArgs, TuneCommand, TuneFormat, TuneLint};
use super::failure::Failure;
use super::load::{self, Loaded};
use super::progress::Stage;
use super::{print, set, write_files};
use crate::tune::{
    Axis, Change, Commands, Effect, Knob, MARGIN, MAX_CONFIGURATIONS, Row, Trial, Tried, beside, best, effects, grid, pareto, search,
    try_all,
};

/// Moments at which memory is looked at.
const SAMPLES: u32 = 400;

pub(super) fn run(command: TuneCommand, machine: MachineArgs) -> Result<ExitCode, Failure> {
    match (command.lint, command.args) {
        (Some(TuneLint::Lint(args)), _) => lint::run(&args, machine),
        (None, Some(args)) => tune(&args, machine),
        // clap asks for the trace itself; the types do not know that.
        (None, None) => Err(Failure::usage("no trace given", "`slubreplay tune --help` shows examples")),
    }
}

fn tune(args: &TuneArgs, machine: MachineArgs) -> Result<ExitCode, Failure> {
    let mut loaded = load::plan(load::read(&args.trace)?, machine.wishes(), &args.trace)?;
    if !args.what_if.is_empty() {
        return whatif::run(args, &loaded);
    }
    let (axes, notes) = set::axes(&loaded, &args.set)?;
    loaded.setting.notes.extend(notes);
    let (pages, why) = pages::choose(&loaded, args.pages)?;
    loaded.setting.notes.push(why);
    let trial = Trial::new(set::base(&loaded), pages, SAMPLES);
    let operations = loaded.plan.ops.len() as u64;
    let tried = if axes.is_empty() {
        let stage = Stage::operations("replaying", operations * u64::from(args.budget));
        search(&trial, args.objective, args.budget as usize, &|done| stage.add(done))?
    } else {
        let configurations = grid(&axes).ok_or_else(|| {
            Failure::usage(&format!("--set: more than {MAX_CONFIGURATIONS} configurations"), "fewer values, or fewer knobs at once")
        })?;
        let stage = Stage::operations("replaying", operations * configurations.len() as u64);
        try_all(&trial, &configurations, &|done| stage.add(done))?
    };
    if tried.rows.is_empty() {
        return Err(tried
            .refused
            .into_iter()
            .next()
            .map_or_else(|| Failure::usage("nothing to try", "see --help"), |(_, error)| set::failure(error)));
    }
    let found = Found::new(args, &trial, &loaded, tried, axes);
    if let Some(dir) = &args.out {
        found.write(dir)?;
    }
    print(&match args.format {
        TuneFormat::Text => text::render(&found),
        TuneFormat::Json => programs::json(&found),
        TuneFormat::Csv => programs::csv(&found),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// All that the command found.
struct Found<'a> {
    args: &'a TuneArgs,
    loaded: &'a Loaded,
    pages: &'static str,
    tried: Tried,
    /// Knobs, with their caches, that differ between configurations.
    columns: Vec<(Knob, Option<usize>)>,
    /// By row: how it compares with the recorded one; `None` if it is out of the objective's bounds.
    scores: Vec<Option<f64>>,
    /// By row: no other beats it in memory and in slow work at once.
    front: Vec<bool>,
    recommended: Option<Recommended>,
}

/// A configuration that is worth it.
struct Recommended {
    row: usize,
    commands: Commands,
    /// By change of the row: what it does to the caches that it concerns.
    effects: Vec<Vec<Effect>>,
}

impl<'a> Found<'a> {
    fn new(args: &'a TuneArgs, trial: &Trial<'a>, loaded: &'a Loaded, tried: Tried, axes: Vec<Axis>) -> Self {
        let mut columns: Vec<(Knob, Option<usize>)> = axes.iter().map(|axis| (axis.knob, axis.cache)).collect();
        if columns.is_empty() {
            columns = tried.rows.iter().flat_map(|row| &row.changes).map(|change| (change.knob, change.cache)).collect();
            columns.sort_unstable();
            columns.dedup();
        }
        let scores = tried.rows.iter().map(|row| args.objective.score(row, &tried.rows[0])).collect();
        let front = pareto(&tried.rows);
        let winner = best(&tried.rows, args.objective).filter(|&(row, score)| row > 0 && score < 1.0 - MARGIN);
        let recommended = winner.map(|(row, _)| recommend(row, &tried.rows[row].changes, trial, loaded));
        Self { args, loaded, pages: trial.pages.name(), tried, columns, scores, front, recommended }
    }

    /// Rows, best first; those out of bounds last.
    fn ranked(&self) -> Vec<usize> {
        let mut rows: Vec<usize> = (0..self.tried.rows.len()).collect();
        let score = |row: usize| self.scores[row].unwrap_or(f64::INFINITY);
        rows.sort_by(|&a, &b| score(a).total_cmp(&score(b)).then(a.cmp(&b)));
        rows
    }

    /// Name of a column.
    fn column(&self, (knob, cache): (Knob, Option<usize>)) -> String {
        cache.map_or_else(|| knob.name().to_owned(), |cache| format!("{}.{knob}", self.loaded.plan.caches[cache].name))
    }

    /// What a row has in a column: the value set, else the recorded one, if all caches have the same.
    fn value(&self, row: &Row, (knob, cache): (Knob, Option<usize>)) -> Option<u32> {
        let own = |cache| row.changes.iter().find(|change| (change.knob, change.cache) == (knob, cache)).map(|change| change.value);
        let of_all = || own(None).filter(|_| cache.is_some());
        own(cache).or_else(of_all).or_else(|| set::base(self.loaded).value(knob, cache))
    }

    fn write(&self, dir: &std::path::Path) -> Result<(), Failure> {
        write_files(dir, &[("tune.csv", &programs::csv(self)), ("tune.json", &programs::json(self))])?;
        export::write_all(&self.figures(), dir).map_err(Failure::input)?;
        Ok(())
    }

    /// What the chart is drawn from.
    fn figures(&self) -> TuneFigures {
        let point = |(number, row, (memory_bytes, slow_work)): (usize, &Row, (f64, f64))| TunePoint {
            label: set::described(&self.loaded.plan, &row.changes),
            memory_bytes,
            slow_work: slow_work.round() as u64,
            is_front: self.front[number],
            is_recorded: number == 0,
            is_recommended: self.recommended.as_ref().is_some_and(|recommended| recommended.row == number),
        };
        let setting = &self.loaded.setting;
        let run = RunFacts {
            trace: self.args.trace.display().to_string(),
            kernel: setting.kernel.release.to_string(),
            model: setting.model_name().to_owned(),
            ..RunFacts::default()
        };
        let rows = &self.tried.rows;
        let points = rows.iter().enumerate().map(|(number, row)| (number, row, beside(row, &rows[0])));
        TuneFigures { run, points: points.map(point).collect() }
    }
}

fn recommend(row: usize, changes: &[Change], trial: &Trial<'_>, loaded: &Loaded) -> Recommended {
    let cmdline = loaded.capture.as_ref().and_then(|capture| capture.machine.cmdline.as_deref()).unwrap_or("");
    let commands = Commands::of(changes, &loaded.setting, &loaded.plan.caches, cmdline);
    let before = (&loaded.setting, loaded.plan.caches.as_slice());
    let effects = match trial.base.caches(changes) {
        Ok((setting, caches)) => changes.iter().map(|change| effects(change, before, (&setting, &caches))).collect(),
        Err(_) => Vec::new(),
    };
    Recommended { row, commands, effects }
}
