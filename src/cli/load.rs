//! Opens a trace or capture, prepares it, and replays it.

use std::path::Path;

use slubreplay_parsers::AnyTrace;
use slubreplay_parsers::capture::{Capture, SlabSnapshot, SlabinfoFile};
use slubreplay_parsers::recording::Recording;
use slubreplay_parsers::symbols::Symbols;

use super::args::PageChoice;
use super::failure::Failure;
use super::prerequisites;
use super::progress::Stage;
use crate::allocators::AllocatorKind;
use crate::analyze::callers::{Caller, callers};
use crate::compare::{is_recorded, retarget};
use crate::fallback::{Memory, PageMachine, Question, owners};
use crate::mem::buddy::Placement;
use crate::mem::{PageSource, RecordedPages, UnlimitedPages};
use crate::prepare::{Plan, PlannedCache, Snapshots, mark_snapshots, prepare_recorded};
use crate::refine::refine;
use crate::replay::{Observer, Outcome, Setup, Timeline};
use crate::setting::{Setting, SettingError, Wishes};
use crate::whatif::{Kind, WhatIf, WhatIfError};

/// A trace, decoded, with the capture it is part of.
#[derive(Debug)]
pub(super) struct Input {
    pub(super) capture: Option<Capture>,
    pub(super) recording: Recording,
}

/// A trace that was opened, with the capture it is part of.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) capture: Option<Capture>,
    pub(super) trace: AnyTrace,
}

/// Opens a trace of any format, or a capture directory.
pub(super) fn open(path: &Path) -> Result<Opened, Failure> {
    let capture = if path.is_dir() { Some(Capture::open(path)?) } else { None };
    let trace = AnyTrace::open(capture.as_ref().map_or(path, |capture| &capture.trace))?;
    Ok(Opened { capture, trace })
}

/// Opens a trace or capture and decodes it.
pub(super) fn read(path: &Path) -> Result<Input, Failure> {
    decode(open(path)?)
}

/// Decodes all of a trace.
pub(super) fn decode(opened: Opened) -> Result<Input, Failure> {
    let Opened { capture, trace } = opened;
    let stage = Stage::bytes("decoding", trace.data_bytes());
    let mut recording = trace.decode(&|bytes| stage.add(bytes))?;
    name_sites(&mut recording, capture.as_ref())?;
    Ok(Input { capture, recording })
}

/// Takes the kernel's symbols from the capture, where the trace has none.
fn name_sites(recording: &mut Recording, capture: Option<&Capture>) -> Result<(), Failure> {
    let file = capture.map(|capture| capture.dir.join("kallsyms")).filter(|file| file.is_file());
    if let Some(file) = file
        && recording.symbols.get().is_err()
    {
        recording.symbols = Symbols::read(&file)?.into();
    }
    Ok(())
}

/// Turns a trace into operations; the decoded events are dropped.
pub(super) fn plan(input: Input, wishes: Wishes, path: &Path) -> Result<Loaded, Failure> {
    let Input { capture, mut recording } = input;
    require_slab_events(&recording, path)?;
    let callers = callers(&recording);
    let allocator = Setting::recorded_allocator(&recording, capture.as_ref());
    let slabinfo = slabinfo(capture.as_ref(), allocator);
    let snapshots = match &capture {
        Some(capture) if allocator == AllocatorKind::Slab => Snapshots::of_slabinfo(capture, &slabinfo),
        Some(capture) => Snapshots::of(capture),
        None => Snapshots::default(),
    };
    // On nodes that the user laid out, the page frames are not where the recorded machine had them.
    let memory = if wishes.nodes.is_some() { &[] } else { snapshots.memory };
    let snapshots = Snapshots { memory, ..snapshots };
    let is_marked = allocator == AllocatorKind::Slub && mark_snapshots(&mut recording, snapshots);
    let mut setting = resolve(wishes.clone(), &recording, capture.as_ref())?;
    setting.notes.extend(prerequisites::missing(&recording));
    if is_marked {
        setting
            .notes
            .push("the recording has no markers of the snapshots: they were put where it shows the snapshots being read".to_owned());
    }
    let plan = prepare_for(&wishes, &recording, capture.as_ref(), snapshots, &mut setting);
    let facts = Recording { streams: Vec::new(), ..recording };
    Ok(Loaded { capture, facts, setting, plan, callers })
}

/// A trace without slab events is most likely recorded wrongly.
pub(super) fn require_slab_events(facts: &Recording, path: &Path) -> Result<(), Failure> {
    let is_of_slab = |name: &String| name.starts_with("kmem_cache") || name.starts_with("kmalloc") || name == "kfree";
    if facts.accounting.events.keys().any(is_of_slab) {
        return Ok(());
    }
    let error = anyhow::anyhow!("{}: there are no slab events in this trace", path.display());
    Err(Failure::input(error).hint(format!("record with {}", prerequisites::RECORD)))
}

/// The setting of a replay, by what the user said, capture and trace.
pub(super) fn resolve(wishes: Wishes, facts: &Recording, capture: Option<&Capture>) -> Result<Setting, Failure> {
    Setting::resolve(wishes, facts, capture).map_err(|error| match &error {
        SettingError::Nodes(_) => Failure::usage(&error.to_string(), "a number of nodes, or the CPUs of each node such as 0-3/4-7"),
        _ => Failure::input(error),
    })
}

/// What `/proc/slabinfo` of a SLAB kernel showed, as snapshots. Other allocators show more elsewhere, or nothing.
fn slabinfo(capture: Option<&Capture>, allocator: AllocatorKind) -> [Option<SlabSnapshot>; 2] {
    let files = capture.filter(|_| allocator == AllocatorKind::Slab).map(|capture| &capture.slabinfo);
    files.map_or([None, None], |files| [0, 1].map(|at| files[at].as_ref().map(SlabinfoFile::as_snapshot)))
}

/// Prepares a recording by the kernel that it was made on, whose rules its addresses follow; then lays it out for the kernel that the
/// user asked for, if that is another one.
fn prepare_for(wishes: &Wishes, recording: &Recording, capture: Option<&Capture>, snapshots: Snapshots<'_>, setting: &mut Setting) -> Plan {
    if let Some(recorded) = other_recorded(wishes, recording, capture, setting) {
        return retarget(&prepare_recorded(recording, &recorded.kernel, &recorded.recorded(), snapshots), &recorded, setting).plan;
    }
    let mut plan = prepare_recorded(recording, &setting.kernel, &setting.recorded(), snapshots);
    // On another machine than the recorded one addresses are no evidence.
    let recorded = Setting::resolve(Wishes { kernel: wishes.kernel, allocator: wishes.allocator, ..Wishes::default() }, recording, capture);
    let is_same = recorded.is_ok_and(|recorded| (&recorded.kernel, &recorded.topology) == (&setting.kernel, &setting.topology));
    if is_same && setting.allocator == AllocatorKind::Slub {
        let stage = Stage::operations("settling", plan.ops.len() as u64);
        refine(&mut plan, &setting.setup(), &|operations| stage.add(operations));
    }
    plan
}

/// The setting that the trace was recorded in, if it is to be laid out for another kernel or allocator, with a note of that.
pub(super) fn other_recorded(wishes: &Wishes, facts: &Recording, capture: Option<&Capture>, setting: &mut Setting) -> Option<Setting> {
    let as_recorded = Wishes { kernel: None, allocator: None, ..wishes.clone() };
    let release = Setting::recorded_release(facts, capture);
    let allocator = Setting::recorded_allocator(facts, capture);
    let is_other_release = matches!((wishes.kernel, release), (Some(asked), Some(release)) if !is_recorded(asked, release));
    if !is_other_release && setting.allocator == allocator {
        return None;
    }
    let recorded = Setting::resolve(as_recorded, facts, capture).ok()?;
    let name = |setting: &Setting| match (setting.allocator, recorded.allocator) {
        (AllocatorKind::Slub, AllocatorKind::Slub) => setting.kernel.release.to_string(),
        (allocator, _) => format!("{} {}", allocator.name(), setting.kernel.release),
    };
    let (from, to) = (name(&recorded), name(setting));
    setting.notes.push(format!("recorded on {from}, laid out for {to}: objects keep the caches that they had"));
    Some(recorded)
}

/// A design that cannot be tried.
pub(super) fn what_if_failure(error: WhatIfError) -> Failure {
    Failure::usage(&error.to_string(), "call sites are as in the trace: symbols, or addresses such as 0xffffffff81234567")
}

/// A trace, ready to be replayed.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) capture: Option<Capture>,
    /// The recording without its events.
    pub(super) facts: Recording,
    pub(super) setting: Setting,
    pub(super) plan: Plan,
    /// Call sites that allocate, as the events have them; none of a trace that was replayed in batches.
    pub(super) callers: Vec<Caller>,
}

impl Loaded {
    /// Makes the load what it would be with other designs of the caches, one after the other.
    pub(super) fn what_if(&mut self, designs: &[WhatIf]) -> Result<(), Failure> {
        for design in designs {
            let sites = self.sites(&design.kind);
            let notes = design.apply(&mut self.plan, &mut self.setting, &sites).map_err(what_if_failure)?;
            self.setting.notes.extend(notes);
        }
        Ok(())
    }

    /// By number in the plan: the call sites that a design means.
    pub(super) fn sites(&self, kind: &Kind) -> Vec<bool> {
        let Kind::Dedicated(wanted) = kind else { return Vec::new() };
        let address = wanted.strip_prefix("0x").and_then(|digits| u64::from_str_radix(digits, 16).ok());
        let is_meant = |&site: &u64| {
            // `name+0x12/0x34 [module]` is meant by its name, too.
            let symbol = self.facts.site_name(site);
            address == Some(site) || symbol == *wanted || symbol.split('+').next() == Some(wanted)
        };
        self.plan.origins.sites.iter().map(is_meant).collect()
    }

    /// Replays the plan, with pages as recorded.
    pub(super) fn replay(&self, samples: u32, check_every: u64, observer: &mut dyn Observer) -> Result<(Outcome, Timeline), Failure> {
        self.replay_pausing(samples, check_every, Vec::new(), observer)
    }

    /// The same, with pauses before the operations at these positions.
    pub(super) fn replay_pausing(
        &self,
        samples: u32,
        check_every: u64,
        pause_at: Vec<usize>,
        observer: &mut dyn Observer,
    ) -> Result<(Outcome, Timeline), Failure> {
        self.replay_on(PageChoice::Recorded, Setup { samples, pause_at, check_every, ..self.setting.setup() }, observer)
    }

    /// Replays the plan as `setup` says, with pages from where the user wants them.
    pub(super) fn replay_on(&self, pages: PageChoice, setup: Setup, observer: &mut dyn Observer) -> Result<(Outcome, Timeline), Failure> {
        match pages {
            PageChoice::Recorded => self.replay_from(&setup, RecordedPages::new(self.plan.recorded_slabs.iter().cloned()), observer),
            PageChoice::Unlimited => self.replay_from(&setup, UnlimitedPages::default(), observer),
            PageChoice::Model => {
                let capture = self.capture.as_ref();
                let counted = capture.map(|capture| capture.pages_before()).transpose()?.flatten();
                let machine = PageMachine::resolve(&self.plan, &self.setting, counted.as_ref(), Memory::default());
                let snapshot = capture.and_then(|capture| capture.after.as_ref().or(capture.before.as_ref()));
                let question = Question {
                    plan: &self.plan,
                    setting: &self.setting,
                    setup: &setup,
                    machine: &machine,
                    owners: owners(&self.plan, snapshot),
                    windows: &[],
                    fail: None,
                    placement: Placement::Recorded,
                    sample_at: Vec::new(),
                };
                self.replay_from(&setup, question.pages(), observer)
            }
        }
    }

    fn replay_from(&self, setup: &Setup, pages: impl PageSource, observer: &mut dyn Observer) -> Result<(Outcome, Timeline), Failure> {
        let replayed = self.setting.replay(&self.plan, setup, pages, observer);
        Ok(replayed.map(|(outcome, timeline, _)| (outcome, timeline))?)
    }

    /// Number of the cache of that name, be it a directory, the name in the trace or one that was merged. `option` is where the
    /// user named it.
    pub(super) fn cache(&self, option: &str, name: &str) -> Result<usize, Failure> {
        let capture = self.capture.as_ref();
        let snapshot = capture.and_then(|capture| capture.after.as_ref().or(capture.before.as_ref()));
        let directory = snapshot.and_then(|snapshot| snapshot.resolve(name)).unwrap_or(name);
        let caches = &self.plan.caches;
        let found = caches.iter().position(|cache| cache.name == directory).or_else(|| {
            let has_name = |cache: &PlannedCache| cache.traced_as == name || cache.aliases.iter().any(|alias| alias == name);
            caches.iter().position(has_name)
        });
        let hint = if snapshot.is_some() { "names are those in /sys/kernel/slab" } else { "names are those in the trace's events" };
        found.ok_or_else(|| Failure::usage(&format!("{option} {name}: no such cache in trace or snapshots"), hint))
    }
}
