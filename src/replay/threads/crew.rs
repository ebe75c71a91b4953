//! Runs workers and puts together what they found.

use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use super::gate::Gate;
use super::latency::Latency;
use super::outcome::{MemoryFigures, ThreadsOutcome, WorkerFigures};
use super::setup::ThreadsSetup;
use super::slots::Slots;
use super::split::Shares;
use super::target::Target;
use super::worker::{Found, Orders, Worker};
use crate::allocators::concurrent::clock;

/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(50);

/// Runs workers over what each owns until all are done, or told to stop. Caches and memory are the caller's to fill in.
pub(super) fn drive<T: Target>(
    target: &T,
    shares: &Shares,
    owned: &mut [T::Own],
    slots: &Slots,
    setup: &ThreadsSetup,
    stop: &AtomicBool,
    progress: &dyn Fn(u64),
) -> ThreadsOutcome {
    let gate = Gate::new(shares.workers.len(), shares.start_ns, setup.window_ns, stop);
    // The clock measures itself against the system's when it is first read.
    let _ = clock::ticks();
    let started = Instant::now();
    let orders = Orders {
        target,
        gate: &gate,
        slots,
        pace: setup.pace,
        touch: setup.touch,
        sample_every: setup.sample_every,
        started,
        start_ns: shares.start_ns,
        cpus: setup.topology.cpus(),
    };
    let orders = &orders;
    let found = std::thread::scope(|scope| {
        let spawn = |(number, (share, own))| {
            let core = setup.cores.get(number % setup.cores.len().max(1)).copied();
            scope.spawn(move || {
                let is_pinned = core.is_some_and(|id| core_affinity::set_for_current(core_affinity::CoreId { id }));
                (Worker::new(orders, number, share, own).run(), core.filter(|_| is_pinned))
            })
        };
        let workers: Vec<_> = shares.workers.iter().zip(owned).enumerate().map(spawn).collect();
        while !workers.iter().all(|worker| worker.is_finished()) {
            // Short replays should not wait for the next report.
            std::thread::sleep(REPORT_EVERY.min(started.elapsed() / 8 + Duration::from_micros(100)));
            progress(gate.done());
        }
        // A worker that panicked has a bug: the panic goes on.
        workers.into_iter().map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect::<Vec<_>>()
    });
    summary(shares, found, setup)
}

/// What workers found, and the cores that they were pinned to, together.
fn summary(shares: &Shares, found: Vec<(Found, Option<usize>)>, setup: &ThreadsSetup) -> ThreadsOutcome {
    let mut outcome = ThreadsOutcome {
        caches: Vec::new(),
        workers: Vec::new(),
        latency: Latency::default(),
        sample_every: setup.sample_every,
        paths: Default::default(),
        operations: 0,
        elapsed: found.iter().map(|(found, _)| found.elapsed).max().unwrap_or_default(),
        is_stopped: found.iter().map(|(found, _)| found.done).sum::<u64>() < shares.operations(),
        failed_allocs: 0,
        skipped_frees: 0,
        memory: MemoryFigures::default(),
    };
    for (share, (found, core)) in shares.workers.iter().zip(found) {
        outcome.latency.add(&found.latency);
        for (sum, paths) in outcome.paths.iter_mut().zip(found.paths) {
            *sum += paths;
        }
        outcome.operations += found.done;
        outcome.failed_allocs += found.failed_allocs;
        outcome.skipped_frees += found.skipped_frees;
        outcome.memory.touched += found.touched_bytes;
        outcome.workers.push(WorkerFigures {
            cpus: share.cpus.clone(),
            core,
            operations: found.done,
            elapsed: found.elapsed,
            waited_for_objects_ns: clock::nanoseconds(found.waited_for_objects_ticks),
            waited_for_window_ns: clock::nanoseconds(found.waited_for_window_ticks),
        });
    }
    outcome
}
