//! `slubreplay TRACE|CAPTURE`: replays and reports.

use std::io::IsTerminal;
use std::process::ExitCode;

use slubreplay_parsers::symbols::Symbols;
use slubreplay_reports::html::Document;
use slubreplay_reports::text::TextOptions;
use slubreplay_reports::{export, json, tables, text};

use super::args::{MachineArgs, PageChoice, ReplayArgs, ReplayFormat};
use super::failure::Failure;
use super::load::Loaded;
use super::progress::Stage;
use super::stream::{self, Streamed};
use super::threads::{self, Engine, ThreadsArgs};
use super::{convert, load, parameters, print, set};
use crate::analyze::{Analysis, Analyst, Looks};
use crate::replay::{CacheState, Observer, Outcome, Paused, Setup, Timeline};

/// Operations between two checks with `--check`.
const CHECK_EVERY: u64 = 100_000;

pub(super) fn run(args: &ReplayArgs, on_threads: &ThreadsArgs, machine: MachineArgs) -> Result<ExitCode, Failure> {
    if on_threads.engine == Engine::Threads {
        if !args.set.is_empty() || !args.what_if.is_empty() {
            return Err(Failure::usage("--set and --what-if are for the exact engine", "leave --engine threads out"));
        }
        return threads::run(args, on_threads, machine);
    }
    on_threads.refuse_without_engine()?;
    let parameters = parameters::list(args, &machine);
    let opened = load::open(&args.trace)?;
    let is_plain = args.pages == PageChoice::Recorded && args.set.is_empty() && args.what_if.is_empty();
    let too_large = stream::needed(&opened).filter(|_| is_plain);
    let (input, analysis) = if args.stream || too_large.is_some() {
        let Streamed { mut loaded, outcome, timeline } =
            stream::replay(opened, &args.trace, &machine.wishes(), args.samples, check_every(args.check))?;
        loaded.setting.notes.extend(too_large);
        (convert::report_input(&args.trace, &loaded, &outcome, &timeline), None)
    } else {
        let symbols = args.kallsyms.as_deref().map(Symbols::read).transpose()?;
        let mut read = load::decode(opened)?;
        if let Some(symbols) = symbols {
            read.recording.symbols = symbols.into();
        }
        let mut loaded = load::plan(read, machine.wishes(), &args.trace)?;
        loaded.what_if(&args.what_if)?;
        set::apply(&mut loaded, &args.set)?;
        let (outcome, timeline, analysis) = analysed(&loaded, args)?;
        let input = convert::report_input(&args.trace, &loaded, &outcome, &timeline);
        let analysis = convert::analysis_input(input.run.clone(), &loaded, &analysis, &loaded.callers);
        (input, Some(analysis))
    };
    if let Some(dir) = &args.out {
        let formats = args.table_formats();
        export::write_all(&input, dir, &formats).map_err(Failure::input)?;
        if let Some(analysis) = &analysis {
            export::analysis::write_all(analysis, dir, &formats).map_err(Failure::input)?;
        }
        let page = Document {
            input: &input,
            analysis: analysis.as_ref(),
            parameters: &parameters,
            extension: formats.first().map_or("csv", |format| format.extension()),
        };
        export::html::write(&page, dir).map_err(Failure::input)?;
    }
    let shown = match args.format {
        ReplayFormat::Json => format!("{:#}\n", json::to_json(&input, analysis.as_ref())),
        ReplayFormat::Csv => export::to_csv(tables::caches(&input)).map_err(Failure::input)?,
        ReplayFormat::Text => text::render(&input, analysis.as_ref(), &text_options(args.top)),
    };
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// Replays by the exact engine, with a bar.
pub(super) fn exactly(loaded: &Loaded, pages: PageChoice, samples: u32, check: bool) -> Result<(Outcome, Timeline), Failure> {
    let mut progress = Progress(Stage::operations("replaying", loaded.plan.ops.len() as u64));
    loaded.replay_on(pages, Setup { samples, check_every: check_every(check), ..loaded.setting.setup() }, &mut progress)
}

/// Moments at which slabs are looked at, for the analyses.
const LOOKS: usize = 60;

/// The same, with what the analyses find.
fn analysed(loaded: &Loaded, args: &ReplayArgs) -> Result<(Outcome, Timeline, Analysis), Failure> {
    let looks = Looks::spread(&loaded.plan, LOOKS);
    let setting = &loaded.setting;
    let setup = Setup { samples: args.samples, check_every: check_every(args.check), pause_at: looks.positions.clone(), ..setting.setup() };
    let analyst = Analyst::new(&loaded.plan, &setting.rules, setting.kernel.machine.page_bytes, &looks);
    let progress = Progress(Stage::operations("replaying", loaded.plan.ops.len() as u64));
    let mut both = Both { progress, analyst };
    let (outcome, timeline) = loaded.replay_on(args.pages, setup, &mut both)?;
    Ok((outcome, timeline, both.analyst.finish()))
}

/// Shows progress and analyses.
struct Both<'a> {
    progress: Progress,
    analyst: Analyst<'a>,
}

impl Observer for Both<'_> {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}

    fn pause(&mut self, at: &Paused<'_>) {
        self.analyst.pause(at);
    }

    fn progress(&mut self, operations: u64) {
        self.progress.progress(operations);
    }
}

fn check_every(check: bool) -> u64 {
    if check { CHECK_EVERY } else { 0 }
}

/// How to write a report to standard output.
pub(super) fn text_options(top: usize) -> TextOptions {
    let is_terminal = std::io::stdout().is_terminal();
    let width = if is_terminal { terminal_width() } else { 80 };
    TextOptions { width, color: is_terminal && colours_wanted(), unicode: is_unicode(), top }
}

struct Progress(Stage);

impl Observer for Progress {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}

    fn progress(&mut self, operations: u64) {
        self.0.set(operations);
    }
}

/// Columns of the terminal, within what the report is made for.
fn terminal_width() -> usize {
    let columns = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse::<usize>().ok());
    columns.unwrap_or(80).clamp(80, 120)
}

/// See no-color.org.
fn colours_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn is_unicode() -> bool {
    let locale = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(|name| std::env::var(name).ok().filter(|value| !value.is_empty()));
    locale.is_some_and(|locale| locale.to_ascii_lowercase().replace('-', "").contains("utf8"))
}
