//! `slubreplay TRACE|CAPTURE --engine threads`: replays by the exact engine and on real threads, and reports on the latter.

mod args;

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use slubreplay_reports::text::threads as text;
use slubreplay_reports::{export, input, json, tables};

pub(super) use args::{Engine, ThreadsArgs};

use super::args::{MachineArgs, ReplayArgs, ReplayFormat};
use super::failure::{BUG, Failure, INTERRUPTED};
use super::load::{self, Loaded};
use super::progress::Stage;
use super::{convert, print, replay};
use crate::allocators::AllocatorKind;
use crate::replay::threads::{self, ThreadsError, ThreadsOutcome, ThreadsSetup};
use crate::setting::Setting;

pub(super) fn run(args: &ReplayArgs, on_threads: &ThreadsArgs, machine: MachineArgs) -> Result<ExitCode, Failure> {
    let loaded = load::plan(load::read(&args.trace)?, machine.wishes(), &args.trace)?;
    if let Some(generation) = without_model(&loaded.setting) {
        return Err(failure(ThreadsError::NoModel { generation }));
    }
    // What both count is compared, so the exact engine goes first; nothing runs beside the workers.
    let (exact, _) = replay::exactly(&loaded, args.pages, 0, args.check)?;
    let setup = setup(on_threads, &loaded);
    let outcome = drive(&loaded, &setup)?;
    let mut figures = convert::threads_input(&args.trace, &loaded, &exact, &outcome, &setup);
    if on_threads.wants_pinning() {
        figures.run.notes.extend(pinning_note(&figures.workers, &setup));
    }
    if let Some(dir) = &args.out {
        export::threads::write_all(&figures, dir, &args.table_formats()).map_err(Failure::input)?;
    }
    let shown = match args.format {
        ReplayFormat::Json => format!("{:#}\n", json::threads::to_json(&figures)),
        ReplayFormat::Csv => export::to_csv(tables::threads::caches(&figures)).map_err(Failure::input)?,
        ReplayFormat::Text => text::render(&figures, &replay::text_options(args.top)),
    };
    print(&shown)?;
    if outcome.is_stopped {
        return Ok(INTERRUPTED.into());
    }
    match figures.violations().first() {
        Some(&(cache, figure)) => {
            let (cache, figure) = (&figures.caches[cache].name, figures.figures[figure].name);
            Err(Failure::outside(anyhow::anyhow!("cache {cache}: {figure} is not what the exact engine counts")).hint(BUG))
        }
        None => Ok(ExitCode::SUCCESS),
    }
}

/// What has no concurrent model, if the setting's allocator has none.
fn without_model(setting: &Setting) -> Option<&'static str> {
    match setting.allocator {
        AllocatorKind::Slub => (!threads::has_model(&setting.rules)).then(|| setting.rules.generation.name()),
        sibling => Some(sibling.name()),
    }
}

fn setup(args: &ThreadsArgs, loaded: &Loaded) -> ThreadsSetup {
    let setting = &loaded.setting;
    let workers = args.workers(setting.topology.cpus());
    let cores = core_affinity::get_core_ids().unwrap_or_default().into_iter().map(|core| core.id).collect();
    ThreadsSetup {
        rules: setting.rules,
        topology: setting.topology.clone(),
        page_bytes: setting.kernel.machine.page_bytes,
        workers,
        cores: args.cores(workers, cores),
        window_ns: args.window_ns(),
        pace: args.pace(),
        sample_every: args.sample_every(),
        touch: args.touch(),
        counts: true,
        ready_bytes: 0,
    }
}

/// Replays with a bar; Ctrl-C ends it early, a second one at once.
fn drive(loaded: &Loaded, setup: &ThreadsSetup) -> Result<ThreadsOutcome, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&stop);
    let handler = move || {
        if asked.swap(true, Relaxed) {
            INTERRUPTED.exit();
        }
    };
    // Without a handler Ctrl-C does what it always does.
    ctrlc::set_handler(handler).ok();
    let stage = Stage::operations("threads", loaded.plan.ops.len() as u64);
    threads::run(&loaded.plan, setup, &stop, &|operations| stage.set(operations)).map_err(failure)
}

fn failure(error: ThreadsError) -> Failure {
    match error {
        ThreadsError::NoModel { .. } => Failure::usage(
            &error.to_string(),
            "lay the trace out for another kernel: `--allocator slub` with `--kernel 6.12` or `--kernel 7.0`",
        ),
        ThreadsError::Broken { .. } => Failure::outside(error).hint(BUG),
        ThreadsError::Memory(_) => Failure::input(error).hint("address space may be limited: see `ulimit -v`"),
        ThreadsError::Layout { .. } => Failure::input(error),
    }
}

/// What became of the wish to pin workers, if it was not done as asked.
fn pinning_note(workers: &[input::threads::WorkerFigures], setup: &ThreadsSetup) -> Option<String> {
    let unpinned = workers.iter().filter(|worker| worker.core.is_none()).count();
    if unpinned > 0 {
        return Some(format!("{unpinned} of {} workers could not be pinned", workers.len()));
    }
    let cores = setup.cores.len();
    (workers.len() > cores).then(|| format!("{} workers share {cores} cores", workers.len()))
}
