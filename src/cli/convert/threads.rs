//! The outcome of a replay on threads to a report's input.

use std::path::Path;

use slubreplay_reports::input::threads::{
    ComparedFigure, LockFigures, PathLatency, QUANTILES, ThreadsCache, ThreadsFacts, ThreadsInput, ThreadsMemory, WorkerFigures,
};

use super::facts;
use crate::allocators::concurrent::{self, LockCounts, clock};
use crate::allocators::slub::{Counter, Generation};
use crate::cli::load::Loaded;
use crate::prepare::PlannedCache;
use crate::replay::threads::{self, Pace, ThreadsOutcome, ThreadsSetup, Touch};
use crate::replay::{CacheOutcome, CacheState, Outcome};

pub(in crate::cli) fn threads_input(
    path: &Path,
    loaded: &Loaded,
    exact: &Outcome,
    outcome: &ThreadsOutcome,
    setup: &ThreadsSetup,
) -> ThreadsInput {
    let caches = loaded.plan.caches.iter().zip(exact.caches.iter().zip(&outcome.caches));
    let mut run = facts(path, loaded, exact);
    if outcome.failed_allocs > 0 {
        run.notes.push(format!("{} allocations found no memory on threads", outcome.failed_allocs));
    }
    ThreadsInput {
        run,
        facts: threads_facts(outcome, setup),
        workers: outcome.workers.iter().map(worker).collect(),
        latency: concurrent::Path::ALL.into_iter().map(|path| latency(outcome, path)).collect(),
        figures: figures(loaded, setup),
        caches: caches.map(|(planned, (exact, threads))| cache(planned, exact, threads)).collect(),
        memory: memory(outcome),
    }
}

fn threads_facts(outcome: &ThreadsOutcome, setup: &ThreadsSetup) -> ThreadsFacts {
    ThreadsFacts {
        operations: outcome.operations,
        elapsed_ns: outcome.elapsed.as_nanos() as u64,
        is_stopped: outcome.is_stopped,
        window_ns: (setup.window_ns < u64::MAX).then_some(setup.window_ns),
        speed: match setup.pace {
            Pace::Asap => None,
            Pace::Recorded { speed } => Some(speed),
        },
        touch: match setup.touch {
            Touch::Nothing => "none",
            Touch::FirstLine => "line",
            Touch::All => "all",
        },
        sample_every: outcome.sample_every,
        clock_cost_ns: clock::cost_ns(),
        failed_allocs: outcome.failed_allocs,
        skipped_frees: outcome.skipped_frees,
    }
}

fn worker(worker: &threads::WorkerFigures) -> WorkerFigures {
    WorkerFigures {
        cpus: worker.cpus.clone(),
        core: worker.core,
        operations: worker.operations,
        elapsed_ns: worker.elapsed.as_nanos() as u64,
        waited_for_objects_ns: worker.waited_for_objects_ns,
        waited_for_window_ns: worker.waited_for_window_ns,
    }
}

fn latency(outcome: &ThreadsOutcome, path: concurrent::Path) -> PathLatency {
    let latency = &outcome.latency;
    PathLatency {
        path: path.name(),
        is_alloc: path < concurrent::Path::FreeFast,
        operations: outcome.paths[path as usize],
        timed: latency.count(path),
        mean_ns: latency.mean_ns(path),
        max_ns: latency.max_ns(path),
        quantiles_ns: QUANTILES.map(|(share, _)| latency.quantile_ns(path, share)),
        distribution: latency.distribution(path),
    }
}

/// What is compared: sums that do not depend on who comes first, then every counter.
fn figures(loaded: &Loaded, setup: &ThreadsSetup) -> Vec<ComparedFigure> {
    // Lists freed into a slab count as one call before 7.0, and each object where they go to the CPU's own freelist.
    let has_lists = loaded.plan.ops.iter().any(|op| op.what.list_goes_on());
    let is_by_call = has_lists && setup.rules.generation != Generation::Sheaves;
    let sums = [
        ComparedFigure { name: "allocations", why: None },
        ComparedFigure { name: "frees", why: is_by_call.then_some(LISTS) },
        ComparedFigure { name: "live_objects", why: None },
    ];
    let counters = Counter::ALL.into_iter().map(|counter| ComparedFigure { name: counter.name(), why: why(counter) });
    sums.into_iter().chain(counters).collect()
}

/// The values of [`figures`] in a cache.
fn values(end: &CacheState, live_objects: u64) -> Vec<u64> {
    let total = |counter| end.total(counter);
    let sums = [
        total(Counter::AllocFastpath) + total(Counter::AllocSlowpath),
        total(Counter::FreeFastpath) + total(Counter::FreeSlowpath) + total(Counter::FreeRcuSheaf),
        live_objects,
    ];
    sums.into_iter().chain(Counter::ALL.into_iter().map(total)).collect()
}

fn cache(planned: &PlannedCache, exact: &CacheOutcome, threads: &threads::ThreadsCache) -> ThreadsCache {
    let locks = |counts: &[LockCounts]| counts.iter().copied().map(lock).collect();
    ThreadsCache {
        name: planned.name.clone(),
        label: if planned.traced_as.is_empty() { planned.name.clone() } else { planned.traced_as.clone() },
        list_locks: locks(&threads.list_locks),
        list_locks_of_node: locks(&threads.list_locks_of_node),
        barn_locks: locks(&threads.barn_locks),
        page_locks: locks(&threads.page_locks),
        exact: values(&exact.end, exact.live_objects),
        threads: values(&threads.end, threads.live_objects),
    }
}

fn lock(counts: LockCounts) -> LockFigures {
    LockFigures { taken: counts.taken, contended: counts.contended, waited_ns: counts.waited_ns() }
}

fn memory(outcome: &ThreadsOutcome) -> ThreadsMemory {
    let memory = &outcome.memory;
    ThreadsMemory {
        slab_peak: memory.slab_peak,
        frames: memory.frames,
        descriptors: memory.descriptors,
        slots: memory.slots,
        cpus: memory.cpus,
        touched: memory.touched,
        live_peak: memory.live_peak,
        overhead_per_object: memory.overhead_per_object(),
    }
}

const OWN: &str =
    "Which CPU comes to a slab first decides whose it is, and so which operations are fast, refill, or go to another CPU's slab.";
const MOVES: &str = "The order in which CPUs allocate and free decides when slabs come to lists and leave them.";
const SLABS: &str = "A new slab is saved where another CPU freed in time; an empty one is kept while its list is short.";
const SHEAVES: &str = "What a barn has when a CPU asks depends on what others brought and took.";
const RACES: &str = "Only real races lose an exchange; the exact engine has none.";
const LISTS: &str = "Objects freed together count once where they go to a slab, and each where they go to the CPU's own freelist.";

/// Why a counter may differ when several workers run.
fn why(counter: Counter) -> Option<&'static str> {
    use Counter::*;
    match counter {
        AllocFastpath | AllocSlowpath | AllocRefill | FreeFastpath | FreeSlowpath | FreeFrozen => Some(OWN),
        FreeAddPartial
        | FreeRemovePartial
        | AllocFromPartial
        | AllocNodeMismatch
        | CpuslabFlush
        | DeactivateFull
        | DeactivateEmpty
        | DeactivateToHead
        | DeactivateToTail
        | DeactivateRemoteFrees
        | DeactivateBypass
        | CpuPartialAlloc
        | CpuPartialFree
        | CpuPartialNode
        | CpuPartialDrain => Some(MOVES),
        AllocSlab | FreeSlab | OrderFallback => Some(SLABS),
        AllocCpuSheaf | FreeCpuSheaf | FreeRcuSheaf | FreeRcuSheafFail | SheafFlush | SheafRefill | SheafAlloc | SheafFree | BarnGet
        | BarnGetFail | BarnPut | BarnPutFail | SheafPrefillFast | SheafPrefillSlow | SheafPrefillOversize | SheafReturnFast
        | SheafReturnSlow => Some(SHEAVES),
        CmpxchgDoubleFail => Some(RACES),
        // No interrupt and no migration comes between here.
        CmpxchgDoubleCpuFail => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::slub::CpuCounts;

    #[test]
    fn sums_come_before_the_counters_that_they_are_of() {
        let mut counts = CpuCounts::default();
        for (counter, amount) in [(Counter::AllocFastpath, 7), (Counter::AllocSlowpath, 2), (Counter::FreeFastpath, 3)] {
            counts.add(counter, amount);
        }
        let values = values(&CacheState { counts: vec![counts, counts], ..CacheState::default() }, 12);
        assert_eq!(values[..7], [18, 6, 12, 14, 4, 6, 0]);
        assert_eq!(values.len(), 3 + Counter::COUNT);
    }
}
