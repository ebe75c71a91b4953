//! `--stream`: replays a trace without ever holding all of it.

use std::path::Path;

use slubreplay_parsers::AnyTrace;

use super::failure::Failure;
use super::load::{Loaded, Opened, other_recorded, require_slab_events, resolve};
use super::prerequisites;
use super::progress::Stage;
use crate::allocators::AllocatorKind;
use crate::compare::retarget;
use crate::mem::UnlimitedPages;
use crate::prepare::streaming::catalog::Catalog;
use crate::prepare::streaming::census;
use crate::prepare::streaming::feed::Feed;
use crate::prepare::{Plan, Snapshots};
use crate::replay::{Engine, NoObserver, Outcome, Setup, Timeline};
use crate::setting::{Setting, Wishes};

/// What a replay in batches leaves out, for the report.
const NOTE: &str = "replayed in batches (--stream): without slabs from before the trace, without placing untraced operations by addresses, \
     and with pages without end";

/// Why a trace is replayed in batches although nobody asked for it; `None` if memory is expected to hold it.
///
/// Decoded and prepared, an event takes about 150 bytes.
pub(super) fn needed(opened: &Opened) -> Option<String> {
    const EVENT_BYTES: u64 = 150;
    let expected = opened.trace.expected_events().saturating_mul(EVENT_BYTES);
    let available = available_bytes()?;
    (expected > available).then(|| {
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        format!("the whole trace would take about {:.1} GiB of memory, of which {:.1} GiB are free", gib(expected), gib(available))
    })
}

/// `MemAvailable` of `/proc/meminfo`.
fn available_bytes() -> Option<u64> {
    let meminfo = std::fs::read_to_string("/proc/meminfo").ok()?;
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemAvailable:"))?;
    line.split_whitespace().next()?.parse::<u64>().ok()?.checked_mul(1024)
}

/// A replay that is done, with what its report needs beside it.
pub(super) struct Streamed {
    pub(super) loaded: Loaded,
    pub(super) outcome: Outcome,
    pub(super) timeline: Timeline,
}

/// Replays a trace in two passes over its events.
pub(super) fn replay(opened: Opened, path: &Path, wishes: &Wishes, samples: u32, check_every: u64) -> Result<Streamed, Failure> {
    let Opened { capture, trace } = opened;
    let stage = Stage::bytes("counting", trace.data_bytes());
    let census = census::take(&mut *trace.stream(&|bytes| stage.add(bytes))?)?;
    drop(stage);
    require_slab_events(&census.facts, path)?;
    let facts = census.facts.clone();
    let mut setting = resolve(wishes.clone(), &facts, capture.as_ref())?;
    setting.notes.extend(prerequisites::missing(&facts));
    refuse_siblings(&setting, Setting::recorded_allocator(&facts, capture.as_ref()))?;
    let recorded = other_recorded(wishes, &facts, capture.as_ref(), &mut setting);
    let snapshots = capture.as_ref().map_or_else(Snapshots::default, Snapshots::of);
    let catalog = Catalog::new(census, &recorded.as_ref().unwrap_or(&setting).kernel, snapshots);
    let plan = match &recorded {
        Some(recorded) => retarget(&catalog.plan, recorded, &setting).plan,
        None => catalog.plan.clone(),
    };
    setting.notes.push(NOTE.to_owned());
    let setup = Setup { samples, check_every, ..setting.setup() };
    let (outcome, timeline, plan) = run(&trace, &catalog, plan, &setup)?;
    Ok(Streamed { loaded: Loaded { capture, facts, setting, plan, callers: Vec::new() }, outcome, timeline })
}

fn run(trace: &AnyTrace, catalog: &Catalog, plan: Plan, setup: &Setup) -> Result<(Outcome, Timeline, Plan), Failure> {
    let stage = Stage::bytes("replaying", trace.data_bytes());
    let tell = |bytes| stage.add(bytes);
    let mut source = trace.stream(&tell)?;
    let mut feed = Some(Feed::new(catalog));
    let mut ledger = None;
    let next = || {
        let batch = source.next_batch()?;
        if batch.is_empty() {
            let rest = feed.take().map(Feed::finish);
            return Ok::<_, Failure>(rest.map(|(ops, observed)| {
                ledger = Some(observed);
                ops
            }));
        }
        Ok(feed.as_mut().map(|feed| feed.batch(&batch)))
    };
    let (outcome, timeline) = Engine::new(&plan, setup, UnlimitedPages::default()).run_fed(next, &mut NoObserver)?;
    Ok((outcome, timeline, Plan { ledger: ledger.unwrap_or_default(), ..plan }))
}

/// SLAB and SLOB are laid out by what the whole trace shows.
fn refuse_siblings(setting: &Setting, recorded: AllocatorKind) -> Result<(), Failure> {
    match [setting.allocator, recorded].into_iter().find(|&allocator| allocator != AllocatorKind::Slub) {
        None => Ok(()),
        Some(allocator) => Err(Failure::usage(
            &format!("--stream: {} is not replayed in batches, only SLUB is", allocator.name()),
            "leave --stream out, on a machine with about 200 bytes of memory for each event",
        )),
    }
}
