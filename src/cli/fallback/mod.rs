//! `slubreplay fallback TRACE|CAPTURE`: order fallback and fragmentation.
//!
//! | file | what it does |
//! |---|---|
//! | `text` | the report to read |
//! | `programs` | CSV and JSON |
//! | `tables` | what goes to the reports crate for `--out` |

mod programs;
mod tables;
mod text;

use std::path::Path;
use std::process::ExitCode;

use super::args::{FallbackArgs, FallbackFormat, MachineArgs};
use super::failure::Failure;
use super::load::{self, Loaded};
use super::print;
use super::progress::Stage;
use crate::fallback::{
    CacheWindow, MaxOrder, Memory, Observed, PageMachine, Prediction, Question, kernel_count, observed, other_max_orders, owners, predict,
    windows,
};
use crate::mem::buddy::{FreeBlocks, PageSample};
use crate::prepare::{PlannedCache, Snapshots};
use crate::replay::{CacheState, Observer};

pub(super) fn run(args: &FallbackArgs, machine: MachineArgs) -> Result<ExitCode, Failure> {
    let loaded = load::plan(load::read(&args.trace)?, machine.wishes(), &args.trace)?;
    let found = Found::look(args, &loaded)?;
    if let Some(dir) = &args.out {
        tables::write(&found, args, dir)?;
    }
    print(&match args.format {
        FallbackFormat::Text => text::render(&found, args),
        FallbackFormat::Json => programs::json(&found, args),
        FallbackFormat::Csv => programs::csv(&found),
    })?;
    Ok(ExitCode::SUCCESS)
}

/// All that the command found.
struct Found<'a> {
    loaded: &'a Loaded,
    machine: PageMachine,
    observed: Observed,
    predicted: Prediction,
    /// By cache: what the kernel's counter grew by.
    kernel: Vec<Option<u64>>,
    others: Vec<MaxOrder>,
    /// Free blocks when the second snapshot was read: the kernel's, and the model's.
    end: Option<End>,
    notes: Vec<String>,
}

/// Free blocks at one moment.
struct End {
    kernel: FreeBlocks,
    /// Pages on CPUs' lists in the kernel.
    kernel_parked: u64,
    model: PageSample,
}

impl<'a> Found<'a> {
    fn look(args: &FallbackArgs, loaded: &'a Loaded) -> Result<Self, Failure> {
        let plan = &loaded.plan;
        let capture = loaded.capture.as_ref();
        let snapshots = capture.map_or_else(Snapshots::default, Snapshots::of);
        let before = capture.map(|capture| capture.pages_before()).transpose()?.flatten();
        let after = capture.map(|capture| capture.pages_after()).transpose()?.flatten();
        let memory = Memory { bytes: args.memory, aged_percent: args.aged, seed: args.seed };
        // Figures of the end serve for a recording that has no others; they cannot be compared with the model then.
        let counted = before.as_ref().or(after.as_ref());
        let machine = PageMachine::resolve(plan, &loaded.setting, counted, memory);
        let windows = windows(plan);
        let end_ns = plan.snapshots_ns.get(1).copied();
        let setup = loaded.setting.setup();
        let question = Question {
            plan,
            setting: &loaded.setting,
            setup: &setup,
            machine: &machine,
            owners: owners(plan, snapshots.latest()),
            windows: &windows,
            fail: args.fail_pages,
            placement: args.placement.into(),
            sample_at: moments(plan.time_range_ns, args.samples).chain(end_ns).collect(),
        };
        let mut progress = Progress(Stage::operations("replaying", plan.ops.len() as u64));
        let predicted = predict(&question, &mut progress);
        drop(progress);
        let predicted = predicted?;
        let others = if args.format == FallbackFormat::Csv && args.out.is_none() {
            Vec::new()
        } else {
            other_max_orders(&question, snapshots.latest())?
        };
        let end = match (after.as_ref(), before.is_some() && args.memory.is_none(), end_ns) {
            (Some(after), true, Some(end_ns)) => {
                let counted = after.zones.iter().map(|zone| FreeBlocks::counted(&zone.free_blocks));
                let kernel = counted.fold(FreeBlocks::default(), |sum, zone| sum.plus(&zone));
                let kernel_parked = after.zones.iter().flat_map(|zone| &zone.pagesets).map(|lists| lists.count).sum();
                let model = predicted.samples.iter().find(|sample| sample.time_ns == end_ns);
                model.map(|model| End { kernel, kernel_parked, model: model.clone() })
            }
            _ => None,
        };
        let kernel = plan.caches.iter().map(|cache| kernel_count(snapshots, &cache.name)).collect();
        let observed = observed(plan, &windows);
        let notes = notes(loaded, &machine, &windows);
        Ok(Self { loaded, machine, observed, predicted, kernel, others, end, notes })
    }

    /// Caches to show: any of the three counts is above zero. In the order of the plan.
    fn caches(&self) -> impl Iterator<Item = (usize, &PlannedCache)> {
        self.loaded.plan.caches.iter().enumerate().filter(|(number, _)| {
            let [kernel, observed, predicted] = self.counts(*number);
            kernel.unwrap_or(0) + observed.unwrap_or(0) + predicted.unwrap_or(0) > 0
        })
    }

    /// What kernel, trace and model count of a cache; `None` where there is nothing to count.
    fn counts(&self, cache: usize) -> [Option<u64>; 3] {
        // A plan that is laid out for another kernel knows nothing of the recorded slabs.
        let plan = &self.loaded.plan;
        let is_observed = plan.has_frames && plan.recorded_slabs.iter().any(|slabs| !slabs.is_empty());
        let observed = is_observed.then(|| self.observed.count(cache));
        [self.kernel[cache], observed, Some(self.predicted.caches[cache].fallbacks)]
    }

    fn trace<'p>(&self, args: &'p FallbackArgs) -> &'p Path {
        &args.trace
    }
}

/// Evenly spaced moments, first and last included.
fn moments((from, to): (u64, u64), count: u32) -> impl Iterator<Item = u64> {
    let last = u64::from(count.max(2) - 1);
    (0..=last).map(move |number| from + (u128::from(to - from.min(to)) * u128::from(number) / u128::from(last)) as u64)
}

fn notes(loaded: &Loaded, machine: &PageMachine, windows: &[CacheWindow]) -> Vec<String> {
    let mut notes = loaded.setting.notes.clone();
    notes.extend(machine.notes.iter().cloned());
    let plan = &loaded.plan;
    if plan.traffic.events().is_empty() {
        notes.push("the trace has no page events: nothing is observed, and nobody but the slabs takes pages in the model".to_owned());
    } else if !plan.has_frames {
        notes.push(
            "addresses and page frames could not be related: nothing is observed, and slabs' recorded pages stay in the traffic".to_owned(),
        );
    } else if !plan.traffic.has_drains() {
        notes.push("the trace does not show pages leaving CPUs' lists: they leave by the rules of the release".to_owned());
    }
    if windows.iter().all(|window| window.to_ns == u64::MAX) {
        notes.push("the trace shows no readings of counters: all of it is counted".to_owned());
    }
    notes
}

struct Progress(Stage);

impl Observer for Progress {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}

    fn progress(&mut self, operations: u64) {
        self.0.set(operations);
    }
}
