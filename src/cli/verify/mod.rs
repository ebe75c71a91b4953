//! `slubreplay verify TRACE|CAPTURE`: compares a replay with the kernel, by its addresses and, where there are any, its counters.
//!
//! | file | what it is for |
//! |---|---|
//! | `text`, `json` | the two forms that show everything |
//! | `siblings` | SLAB and SLOB, which are compared with other figures |
//! | `explain` | `--explain`: one cache, allocation by allocation |

mod explain;
mod json;
mod siblings;
mod text;

use std::fmt::Write;
use std::process::ExitCode;

use super::args::{MachineArgs, VerifyArgs, VerifyFormat};
use super::columns::csv_field;
use super::failure::{Failure, RESULT_OUTSIDE};
use super::load::{self, Loaded};
use super::print;
use super::progress::Stage;
use crate::allocators::AllocatorKind;
use crate::prepare::Coverage;
use crate::replay::Timeline;
use crate::verify::{Agreements, CacheVerdict, Obstacle, SnapshotMarks, Verification, compare, traced_between_snapshots};

/// Equal parts of the trace's time that agreement is shown for.
const SLICES: usize = 10;

/// Moments at which agreement is kept; a multiple of the parts, and the start.
const SAMPLES: u32 = 10 * SLICES as u32 + 1;

pub(super) fn run(args: &VerifyArgs, machine: MachineArgs) -> Result<ExitCode, Failure> {
    let loaded = load::plan(load::read(&args.trace)?, machine.wishes(), &args.trace)?;
    if loaded.setting.allocator != AllocatorKind::Slub {
        return siblings::run(&loaded, args);
    }
    if let Some(name) = &args.explain {
        return explain::run(&loaded, name, args);
    }
    if let Err(why) = snapshot_with_counters(&loaded) {
        let option = match (args.max_error, args.format) {
            (Some(_), _) => Some("--max-error"),
            (None, VerifyFormat::Csv) => Some("--format csv"),
            _ => None,
        };
        if let Some(option) = option {
            let hint = "--min-agreement and --format agreement-csv need no counters";
            return Err(Failure::usage(&format!("{option}: there are no counters to compare with: {why}"), hint));
        }
    }
    let found = Found::by(&loaded, args)?;
    if let (Some(_), Some(obstacle)) = (args.min_agreement, found.obstacle) {
        return Err(Failure::usage(&format!("--min-agreement: agreement cannot be judged: {obstacle}"), "leave --min-agreement out"));
    }
    print(&match args.format {
        VerifyFormat::Csv => found.counters.as_ref().map(|counters| counters_csv(&counters.result)).unwrap_or_default(),
        VerifyFormat::AgreementCsv => agreement_csv(&found),
        VerifyFormat::Json => format!("{:#}\n", json::of(&found)),
        VerifyFormat::Text => text::of(&found, args.all),
    })?;
    let error = found.counters.as_ref().map_or(0.0, |counters| counters.result.summary(|cache| found.counts(&cache.cache)).error_percent());
    let agreement = found.agreements.total(|row| found.counts(&row.cache)).percent().unwrap_or(100.0);
    let is_outside = args.max_error.is_some_and(|max| error > max) || args.min_agreement.is_some_and(|min| agreement < min);
    Ok(if is_outside { RESULT_OUTSIDE.into() } else { ExitCode::SUCCESS })
}

/// The snapshot to compare counters with, or why there are none.
fn snapshot_with_counters(loaded: &Loaded) -> Result<&slubreplay_parsers::capture::SlabSnapshot, &'static str> {
    let Some(capture) = &loaded.capture else { return Err("a trace alone has none; a capture directory has slab.before and slab.after") };
    let after = capture.after.as_ref().ok_or("the capture has no slab.after")?;
    let has_counters = after.caches.values().any(|attributes| attributes.get("alloc_fastpath").is_some());
    if has_counters { Ok(after) } else { Err("slab.after has none; the kernel has to be built with CONFIG_SLUB_STATS") }
}

/// Everything that a replay found against the kernel.
struct Found<'a> {
    loaded: &'a Loaded,
    agreements: Agreements,
    timeline: Timeline,
    obstacle: Option<Obstacle>,
    counters: Option<Counters>,
    /// Why there are no counters, if there are none.
    no_counters: Option<&'static str>,
    /// Caches left out of the sums.
    excluded: Vec<String>,
}

struct Counters {
    result: Verification,
    /// By number of the cache in the plan: operations in the trace between the snapshots.
    traced: Vec<u64>,
}

/// Operations that the kernel counted and the trace does not have. The kernel counts a bulk free to one slab as one.
struct Untraced {
    operations: u64,
    of: u64,
}

impl<'a> Found<'a> {
    fn by(loaded: &'a Loaded, args: &VerifyArgs) -> Result<Self, Failure> {
        let excluded = args.exclude.iter().map(|name| Ok(loaded.plan.caches[loaded.cache("--exclude", name)?].name.clone()));
        let excluded = excluded.collect::<Result<_, Failure>>()?;
        let stage = Stage::operations("replaying", loaded.plan.ops.len() as u64);
        let mut marks = SnapshotMarks::new(&loaded.plan.caches, |operations| stage.set(operations));
        let (outcome, timeline) = loaded.replay(SAMPLES, 0, &mut marks)?;
        let agreements = Agreements::of(&loaded.plan, &outcome);
        let obstacle = agreements.obstacle(&loaded.plan, loaded.setting.kernel.machine.word_bytes);
        let after = snapshot_with_counters(loaded);
        let counters = after.ok().map(|after| {
            let before = loaded.capture.as_ref().and_then(|capture| capture.before.as_ref());
            let end = |cache: usize| outcome.caches.get(cache).map(|cache| cache.end.clone()).unwrap_or_default();
            Counters {
                result: compare(before, after, &marks, &end, loaded.setting.topology.cpus()),
                traced: traced_between_snapshots(&loaded.plan, before.is_some()),
            }
        });
        Ok(Self { loaded, agreements, timeline, obstacle, counters, no_counters: after.err(), excluded })
    }

    /// True if a cache is part of the sums.
    fn counts(&self, cache: &str) -> bool {
        !self.excluded.iter().any(|excluded| excluded == cache)
    }

    fn coverage(&self, cache: &str) -> Coverage {
        Coverage::of(&self.loaded.plan.ledger, cache)
    }

    /// What the trace lacks of a cache, if the kernel counted.
    fn untraced(&self, cache: &CacheVerdict) -> Option<Untraced> {
        let number = self.loaded.plan.caches.iter().position(|planned| planned.name == cache.cache);
        let traced = number.and_then(|number| self.counters.as_ref()?.traced.get(number)).copied().unwrap_or(0);
        Some(Untraced { operations: cache.operations.saturating_sub(traced), of: cache.operations })
    }

    fn verdict(&self, cache: &str) -> Option<&CacheVerdict> {
        self.counters.as_ref()?.result.caches.iter().find(|verdict| verdict.cache == cache)
    }

    /// Names of the caches that the trace shows in part only, those with most inferred operations first.
    fn partly_observed(&self) -> Vec<(&str, Coverage)> {
        let caches = self.loaded.plan.caches.iter().map(|cache| (cache.name.as_str(), self.coverage(&cache.name)));
        let mut partly: Vec<_> = caches.filter(|(_, coverage)| !coverage.is_observed()).collect();
        partly.sort_by(|a, b| b.1.implied.cmp(&a.1.implied).then_with(|| a.0.cmp(b.0)));
        partly
    }
}

fn counters_csv(result: &Verification) -> String {
    let mut text = String::from("cache,counter,cpu,kernel,replay\n");
    for row in &result.rows {
        let cpu = row.cpu.map(|cpu| cpu.to_string()).unwrap_or_default();
        writeln!(text, "{},{},{cpu},{},{}", csv_field(&row.cache), row.counter, row.kernel, row.replay).unwrap_or_default();
    }
    text
}

fn agreement_csv(found: &Found<'_>) -> String {
    let mut text = String::from("cache,compared,agreed,percent,first_divergence_operation,first_divergence_ns\n");
    for row in found.agreements.caches.iter().filter(|_| found.obstacle.is_none()) {
        let first = found.agreements.first_of(row).map_or_else(|| ",".to_owned(), |first| format!("{},{}", first.operation, first.time_ns));
        let percent = row.figures.percent().map_or_else(String::new, |percent| percent.to_string());
        let (compared, agreed) = (row.figures.compared, row.figures.agreed);
        writeln!(text, "{},{compared},{agreed},{percent},{first}", csv_field(&row.cache)).unwrap_or_default();
    }
    text
}
