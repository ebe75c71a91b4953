//! Replay on real threads: workers play the CPUs of the trace, each some of them, and use the same caches at the same time.
//!
//! | file | what it does |
//! |---|---|
//! | [`split`] | shares the plan's operations out to workers |
//! | `slots` | hands objects from the worker that allocates to the one that frees |
//! | `gate` | keeps workers close to each other in trace time; stops them |
//! | `worker` | the loop |
//! | [`target`] | what is driven: a concurrent model, or any other allocator |
//! | [`latency`] | how long operations take |
//! | [`outcome`] | what was found |
//!
//! What a worker does comes in the order of the plan; what several do, in whatever order it happens, but for two bounds: a free waits for its
//! allocation, and nobody is further ahead than the window. One worker alone does what the exact engine does.

mod gate;
pub mod latency;
pub mod outcome;
mod slots;
pub mod split;
pub mod target;
mod worker;

#[cfg(test)]
mod tests;

use std::io;
use std::marker::PhantomData;
use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use crate::allocators::concurrent::{
    Address, Counts, CpuSlabCache, Heap, LayoutError, Memory, Model, NoProbe, Probe, SheafCache, SlabId, Slabs, clock, gauges, validate,
};
use crate::allocators::slub::{Rules, Seed, SheafPlace, Topology, Violation};
use crate::mem::{BoundedPages, PageRequest, PageSource, RecordedPages};
use crate::prepare::Plan;
use gate::Gate;
pub use latency::Latency;
pub use outcome::{MemoryFigures, ThreadsCache, ThreadsOutcome, WorkerFigures};
use slots::Slots;
pub use split::{Share, SharedOp, Shares};
pub use target::{Caches, Target};
use target::{Own, Owned, Probed};
use worker::{Found, Orders, Worker};

/// How to replay on threads.
#[derive(Debug, Clone)]
pub struct ThreadsSetup {
    /// Rules of the kernel release.
    pub rules: Rules,
    /// CPUs and nodes.
    pub topology: Topology,
    /// Page size in bytes.
    pub page_bytes: u32,
    /// Most workers.
    pub workers: usize,
    /// Cores to pin workers to, in turn; none to leave that to the system.
    pub cores: Vec<usize>,
    /// How far workers may be from each other in trace time, in nanoseconds.
    pub window_ns: u64,
    /// When operations are done.
    pub pace: Pace,
    /// Mean distance of timed operations; 0 for none.
    pub sample_every: u32,
    /// What is done with new objects.
    pub touch: Touch,
    /// Count what the kernel counts, and locks. Without, the outcome has no counters.
    pub counts: bool,
}

/// When operations are done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Pace {
    /// As soon as possible.
    #[default]
    Asap,
    /// When they were recorded, so many times as fast.
    Recorded {
        /// 1 for the speed of the recording.
        speed: f64,
    },
}

/// What is done with a new object, as its user would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Touch {
    /// Nothing: only the allocator touches objects.
    #[default]
    Nothing,
    /// Its first cache line is written to.
    FirstLine,
    /// All that was asked for is.
    All,
}

/// How far workers may be from each other if nothing else is said, in nanoseconds; ARCHITECTURE.md has the measurements.
pub const DEFAULT_WINDOW_NS: u64 = 10_000_000;

/// Mean distance of timed operations if nothing else is said.
pub const DEFAULT_SAMPLE_EVERY: u32 = 64;

/// A replay on threads that could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ThreadsError {
    /// No concurrent model follows these rules.
    #[error("no concurrent model of {generation}: there are those of SLUB 6.8-6.17 and SLUB 7.x")]
    NoModel {
        /// Name of the generation.
        generation: &'static str,
    },
    /// A cache cannot be laid out here.
    #[error("cache {cache}: {source}")]
    Layout {
        /// Its name.
        cache: String,
        /// Why.
        source: LayoutError,
    },
    /// The system gives no memory.
    #[error("cannot map memory for slabs")]
    Memory(#[source] io::Error),
    /// A conservation law does not hold afterwards: a bug in the model.
    #[error("cache {cache}, after the replay: {violation}")]
    Broken {
        /// Cache name.
        cache: String,
        /// The law.
        #[source]
        violation: Violation,
    },
}

/// Address space for page frames, in bytes; memory is used as slabs are made. More than machines that traces come from have in slabs.
const ADDRESS_SPACE: usize = 32 << 30;

/// Time between two reports of progress.
const REPORT_EVERY: Duration = Duration::from_millis(50);

/// Whether there is a concurrent model that follows these rules.
#[must_use]
pub fn has_model(rules: &Rules) -> bool {
    CpuSlabCache::models(rules) || SheafCache::models(rules)
}

/// Replays a plan on threads. `stop` ends it early; `progress` is told of the operations done, now and then.
///
/// The laws of all caches are checked afterwards.
///
/// # Errors
///
/// If there is no model for the rules, no memory, or a law is broken.
pub fn run(plan: &Plan, setup: &ThreadsSetup, stop: &AtomicBool, progress: &dyn Fn(u64)) -> Result<ThreadsOutcome, ThreadsError> {
    run_in(plan, setup, 0, stop, progress)
}

/// The same, in memory of which the system has given the first `ready_bytes` before the start: what is measured is the allocator then.
///
/// # Errors
///
/// As [`run`].
pub fn run_in(
    plan: &Plan,
    setup: &ThreadsSetup,
    ready_bytes: u64,
    stop: &AtomicBool,
    progress: &dyn Fn(u64),
) -> Result<ThreadsOutcome, ThreadsError> {
    if CpuSlabCache::models(&setup.rules) {
        run_model::<CpuSlabCache>(plan, setup, ready_bytes, stop, progress)
    } else if SheafCache::models(&setup.rules) {
        run_model::<SheafCache>(plan, setup, ready_bytes, stop, progress)
    } else {
        Err(ThreadsError::NoModel { generation: setup.rules.generation.name() })
    }
}

fn run_model<M: Model>(
    plan: &Plan,
    setup: &ThreadsSetup,
    ready_bytes: u64,
    stop: &AtomicBool,
    progress: &dyn Fn(u64),
) -> Result<ThreadsOutcome, ThreadsError> {
    let shares = Shares::of(plan, setup.topology.cpus(), setup.workers);
    let nodes = setup.topology.nodes();
    if setup.counts {
        let replay = Replay::<M, Counts>::new(plan, setup, shares, || Counts::new(nodes))?;
        replay.heap.populate(ready_bytes);
        replay.run(stop, progress, |counts| ThreadsCache::of(counts, nodes))
    } else {
        let replay = Replay::<M, NoProbe>::new(plan, setup, shares, || NoProbe)?;
        replay.heap.populate(ready_bytes);
        replay.run(stop, progress, |_| ThreadsCache::default())
    }
}

/// An allocator that is no model: it has no slabs from before the trace and no caches.
pub trait Other: Target<Own = ()> {
    /// An object of so many bytes.
    fn make(&self, bytes: u32) -> Option<NonNull<u8>>;

    /// Takes back an object of so many bytes.
    fn take_back(&self, object: NonNull<u8>, bytes: u32);
}

/// Replays a plan on threads by another allocator. What is live at the start is allocated before time runs, what is live at the end freed
/// after.
pub fn run_other<T: Other>(plan: &Plan, setup: &ThreadsSetup, target: &T, stop: &AtomicBool) -> ThreadsOutcome {
    let shares = Shares::of(plan, setup.topology.cpus(), setup.workers);
    let slots = Slots::new(shares.slots);
    // By slot: its last tenant, and the bytes of that.
    let mut last = vec![(0_u32, 0_u32); shares.slots as usize];
    for (seed, live) in plan.seeds.iter().zip(&shares.seeded) {
        let bytes = plan.caches[usize::from(seed.cache)].layout.object_size;
        for &slot in live {
            slots.put(slot, 0, target.make(bytes).map_or(slots::Handed::Failed, slots::Handed::Object));
            last[slot as usize].1 = bytes;
        }
    }
    for shared in shares.workers.iter().flat_map(|share| &share.ops).filter(|shared| !shared.op.what.is_free()) {
        let last = &mut last[shared.op.object as usize];
        if shared.tenant >= last.0 {
            *last = (shared.tenant, shared.op.requested_bytes);
        }
    }
    let mut owned = vec![(); shares.workers.len()];
    let (found, cores, elapsed) = drive(target, &shares, &mut owned, &slots, setup, stop, &|_| {});
    let mut outcome = summary(&shares, found, cores, elapsed, setup);
    outcome.is_stopped = outcome.operations < shares.operations();
    for (slot, (tenant, bytes)) in (0..).zip(last) {
        if let Some(slots::Handed::Object(object)) = slots.take(slot, tenant) {
            target.take_back(object, bytes);
        }
    }
    outcome
}

/// A replay, ready to run.
struct Replay<'a, M: Model, P> {
    plan: &'a Plan,
    setup: &'a ThreadsSetup,
    shares: Shares,
    heap: Arc<Heap>,
    caches: Caches<M>,
    /// By worker.
    owned: Vec<Owned<M::Cpu, P>>,
    slots: Slots,
    /// By cache: objects in use from the start that the trace never frees.
    untouched: Vec<u64>,
}

impl<'a, M: Model, P: Probe> Replay<'a, M, P> {
    fn new(plan: &'a Plan, setup: &'a ThreadsSetup, shares: Shares, probe: impl Fn() -> P) -> Result<Self, ThreadsError> {
        let memory = Memory::map(ADDRESS_SPACE / setup.page_bytes as usize, setup.page_bytes).map_err(ThreadsError::Memory)?;
        let frames = BoundedPages::new(memory.frames() as u64);
        let mut pages = RecordedPages::over(frames, plan.recorded_slabs.iter().cloned());
        let seeded = seed_pages(plan, setup, &mut pages);
        let heap = Arc::new(Heap::new(memory, setup.page_bytes, Box::new(pages)));
        let topology = Arc::new(setup.topology.clone());
        let mut caches = Vec::with_capacity(plan.caches.len());
        for (number, cache) in (0..).zip(&plan.caches) {
            let slabs = Slabs::new(Arc::clone(&heap), number, cache.layout, cache.kind, setup.rules, Arc::clone(&topology));
            caches.push(M::new(slabs.map_err(|source| ThreadsError::Layout { cache: cache.name.clone(), source })?));
        }
        let place = |cache: &M, cpu| Own { state: cache.cpu(cpu), probe: probe() };
        let of_worker = |share: &Share| Owned {
            places: share
                .cpus
                .iter()
                .flat_map(|&cpu| caches.iter().map(move |cache| (cache, cpu)))
                .map(|(cache, cpu)| place(cache, cpu))
                .collect(),
            caches: caches.len(),
        };
        let owned = shares.workers.iter().map(of_worker).collect();
        let slots = Slots::new(shares.slots);
        let untouched = vec![0; caches.len()];
        let mut replay = Self { plan, setup, shares, heap, caches: Caches(caches), owned, slots, untouched };
        replay.seed(seeded);
        Ok(replay)
    }

    /// Builds the state at the start.
    fn seed(&mut self, pages: Vec<Option<crate::mem::Pages>>) {
        let mut slabs: Vec<Option<SlabId>> = vec![None; self.plan.seeds.len()];
        for (number, (planned, pages)) in self.plan.seeds.iter().zip(pages).enumerate() {
            let cache = usize::from(planned.cache);
            let Some(pages) = pages else {
                for &slot in &self.shares.seeded[number] {
                    self.slots.put(slot, 0, slots::Handed::Failed);
                }
                continue;
            };
            let seed = Seed { pages, free: planned.free.clone(), own: planned.own, place: planned.place };
            self.heap.granted(pages);
            let model = &self.caches.0[cache];
            let slab = model.seed(&mut states(&mut self.owned, &self.shares, cache), &seed);
            slabs[number] = Some(slab);
            for (&slot, &(_, index)) in self.shares.seeded[number].iter().zip(&planned.live) {
                let object = model.slabs().seeded_object(slab, index);
                self.slots.put(slot, 0, object.map_or(slots::Handed::Failed, |object| slots::Handed::Object(object.into_raw())));
            }
            self.untouched[cache] += u64::from(model.slabs().objects_of(pages.order)) - (planned.free.len() + planned.live.len()) as u64;
        }
        for planned in &self.plan.sheaf_seeds {
            let cache = usize::from(planned.cache);
            let exists = match planned.place {
                SheafPlace::Main(cpu) | SheafPlace::Spare(cpu) | SheafPlace::RcuFree(cpu) => cpu < self.setup.topology.cpus(),
                SheafPlace::Barn(node) => node < self.setup.topology.nodes(),
            };
            let model = &self.caches.0[cache];
            let object = |&(seed, index): &(usize, u16)| model.slabs().seeded_object(slabs[seed]?, index);
            let objects: Option<Vec<Address>> = planned.objects.iter().map(object).collect();
            if let Some(objects) = objects.filter(|_| exists)
                && model.seed_sheaf(&mut states(&mut self.owned, &self.shares, cache), planned.place, &objects)
            {
                self.untouched[cache] -= objects.len() as u64;
            }
        }
    }

    fn run(
        mut self,
        stop: &AtomicBool,
        progress: &dyn Fn(u64),
        figures: impl Fn(&mut dyn Iterator<Item = &P>) -> ThreadsCache,
    ) -> Result<ThreadsOutcome, ThreadsError> {
        let target = Probed { caches: &self.caches, probe: PhantomData };
        let (found, cores, elapsed) = drive(&target, &self.shares, &mut self.owned, &self.slots, self.setup, stop, progress);
        let mut outcome = summary(&self.shares, found, cores, elapsed, self.setup);
        outcome.is_stopped = outcome.operations < self.shares.operations();
        outcome.memory = MemoryFigures {
            slab_peak: self.heap.slab_bytes_peak(),
            frames: self.heap.touched_bytes(),
            descriptors: self.heap.touched_bytes() / u64::from(self.setup.page_bytes) * 64,
            cpus: (self.owned.iter().map(|owned| owned.places.len()).sum::<usize>() * size_of::<M::Cpu>()) as u64,
            slots: self.slots.bytes(),
            live_peak: u64::from(self.shares.live_peak),
            ..outcome.memory
        };
        let mut handed = vec![0_u64; self.untouched.len()];
        for object in self.slots.rest() {
            let owner = self.caches.0.first().and_then(|cache| cache.slabs().owner_at(Address::from_raw(object)));
            if let Some(handed) = owner.and_then(|owner| handed.get_mut(owner as usize)) {
                *handed += 1;
            }
        }
        for (number, (cache, live_objects)) in self.caches.0.iter().zip(handed).enumerate() {
            let places: Vec<&Own<M::Cpu, P>> = by_cpu(&self.owned, &self.shares, number).collect();
            validate(cache, places.iter().map(|place| &place.state), self.untouched[number] + live_objects)
                .map_err(|violation| ThreadsError::Broken { cache: self.plan.caches[number].name.clone(), violation })?;
            let mut result = figures(&mut places.iter().map(|place| &place.probe));
            result.live_objects = live_objects;
            result.end.gauges = gauges(cache, places.iter().map(|place| &place.state));
            outcome.caches.push(result);
        }
        Ok(outcome)
    }
}

/// Pages of the slabs that exist at the start, on their nodes.
fn seed_pages(plan: &Plan, setup: &ThreadsSetup, pages: &mut impl PageSource) -> Vec<Option<crate::mem::Pages>> {
    let topology = &setup.topology;
    let request = |planned: &crate::prepare::PlannedSeed| {
        let cpu = planned.cpu.min(topology.cpus() - 1);
        let node = planned.node.filter(|&node| node < topology.nodes()).unwrap_or_else(|| topology.node_of(cpu));
        let order = plan.caches[usize::from(planned.cache)].layout.order as u8;
        PageRequest { owner: u32::MAX, order, cpu, node, this_node_only: false, opportunistic: false }
    };
    plan.seeds.iter().map(|planned| pages.alloc(request(planned))).collect()
}

/// The states of all CPUs in a cache, by CPU.
fn states<'a, C, P>(owned: &'a mut [Owned<C, P>], shares: &Shares, cache: usize) -> Vec<&'a mut C> {
    let mut states: Vec<(u16, &mut C)> = Vec::new();
    for (owned, share) in owned.iter_mut().zip(&shares.workers) {
        let caches = owned.caches;
        let places = owned.places.iter_mut().skip(cache).step_by(caches);
        states.extend(share.cpus.iter().copied().zip(places.map(|place| &mut place.state)));
    }
    states.sort_by_key(|&(cpu, _)| cpu);
    states.into_iter().map(|(_, state)| state).collect()
}

/// What all CPUs have of a cache, by CPU.
fn by_cpu<'a, C, P>(owned: &'a [Owned<C, P>], shares: &Shares, cache: usize) -> impl Iterator<Item = &'a Own<C, P>> {
    let mut places: Vec<(u16, &Own<C, P>)> = Vec::new();
    for (owned, share) in owned.iter().zip(&shares.workers) {
        places.extend(share.cpus.iter().copied().zip(owned.places.iter().skip(cache).step_by(owned.caches)));
    }
    places.sort_by_key(|&(cpu, _)| cpu);
    places.into_iter().map(|(_, place)| place)
}

/// Runs workers over what each owns until all are done; returns what they found, the cores that they were pinned to, and the time it took.
fn drive<T: Target>(
    target: &T,
    shares: &Shares,
    owned: &mut [T::Own],
    slots: &Slots,
    setup: &ThreadsSetup,
    stop: &AtomicBool,
    progress: &dyn Fn(u64),
) -> (Vec<Found>, Vec<Option<usize>>, Duration) {
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
    let elapsed = found.iter().map(|(found, _)| found.elapsed).max().unwrap_or_default();
    let (found, cores) = found.into_iter().unzip();
    (found, cores, elapsed)
}

/// What workers found, together.
fn summary(shares: &Shares, found: Vec<Found>, cores: Vec<Option<usize>>, elapsed: Duration, setup: &ThreadsSetup) -> ThreadsOutcome {
    let mut outcome = ThreadsOutcome {
        caches: Vec::new(),
        workers: Vec::new(),
        latency: Latency::default(),
        sample_every: setup.sample_every,
        paths: Default::default(),
        operations: 0,
        elapsed,
        is_stopped: false,
        failed_allocs: 0,
        skipped_frees: 0,
        memory: MemoryFigures::default(),
    };
    for ((share, found), core) in shares.workers.iter().zip(found).zip(cores) {
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
