//! Preparation and exact replay of a capture, in operations per second on one thread.
//!
//! `SLUBREPLAY_TRACE` names another trace or capture than the shipped one.

#![allow(missing_docs, reason = "criterion_group! makes public functions without documentation")]

use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use slubreplay::fallback::{Memory, PageMachine, Question, owners};
use slubreplay::mem::UnlimitedPages;
use slubreplay::mem::buddy::Placement;
use slubreplay::prepare::{Plan, Snapshots, prepare};
use slubreplay::replay::{Engine, NoObserver, Setup};
use slubreplay::setting::{Setting, Wishes};
use slubreplay_parsers::capture::Capture;
use slubreplay_parsers::recording::Recording;
use slubreplay_parsers::tracedat::TraceDat;

/// A decoded trace with what preparation wants to know.
struct Input {
    capture: Option<Capture>,
    recording: Recording,
    setting: Setting,
}

impl Input {
    fn read() -> Self {
        let shipped = || Path::new(env!("CARGO_MANIFEST_DIR")).join("traces/forkexec-6.12");
        let path = std::env::var_os("SLUBREPLAY_TRACE").map_or_else(shipped, PathBuf::from);
        let capture = path.is_dir().then(|| Capture::open(&path).expect("a capture"));
        let trace = TraceDat::open(capture.as_ref().map_or(&path, |capture| &capture.trace)).expect("a trace");
        let recording = trace.decode(&|_| {}).expect("decodes");
        let setting = Setting::resolve(Wishes::default(), &recording, capture.as_ref()).expect("a setting");
        Self { capture, recording, setting }
    }

    fn prepare(&self) -> Plan {
        let snapshots = self.capture.as_ref().map_or_else(Snapshots::default, Snapshots::of);
        prepare(&self.recording, &self.setting.kernel, snapshots)
    }

    fn setup(&self, samples: u32) -> Setup {
        Setup {
            rules: self.setting.rules,
            topology: self.setting.topology.clone(),
            page_bytes: self.setting.kernel.machine.page_bytes,
            samples,
            pause_at: Vec::new(),
            check_every: 0,
        }
    }
}

fn preparation(criterion: &mut Criterion) {
    let input = Input::read();
    let mut group = criterion.benchmark_group("prepare");
    group.sample_size(10).throughput(Throughput::Elements(input.prepare().ops.len() as u64));
    group.bench_function("operations", |bencher| bencher.iter_with_large_drop(|| black_box(input.prepare())));
    group.finish();
}

fn exact_replay(criterion: &mut Criterion) {
    let input = Input::read();
    let plan = input.prepare();
    let mut group = criterion.benchmark_group("exact_replay");
    group.sample_size(20).throughput(Throughput::Elements(plan.ops.len() as u64));
    // As for `verify`, and as for a report with its charts over time.
    for (name, samples) in [("counters", 0), ("with_400_moments", 400)] {
        let setup = input.setup(samples);
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || Engine::new(&plan, &setup, UnlimitedPages::default()),
                |engine| engine.run(&mut NoObserver).expect("replays"),
                BatchSize::PerIteration,
            );
        });
    }
    // The page allocator modelled, its state at the start not counted.
    let counted = input.capture.as_ref().and_then(|capture| capture.pages_before().expect("page files"));
    let machine = PageMachine::resolve(&plan, &input.setting, counted.as_ref(), Memory::default());
    let setup = input.setup(0);
    let question = Question {
        plan: &plan,
        setting: &input.setting,
        setup: &setup,
        machine: &machine,
        owners: owners(&plan, None),
        windows: &[],
        fail: None,
        placement: Placement::Recorded,
        sample_at: Vec::new(),
    };
    group.bench_function("with_page_model", |bencher| {
        bencher.iter_batched(
            || Engine::new(&plan, &setup, question.pages()),
            |engine| engine.run(&mut NoObserver).expect("replays"),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

criterion_group!(benches, preparation, exact_replay);
criterion_main!(benches);
