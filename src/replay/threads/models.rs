//! Replay by the caches of a concurrent model.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use super::crew::drive;
use super::outcome::{MemoryFigures, ThreadsCache, ThreadsOutcome};
use super::setup::{ThreadsError, ThreadsSetup};
use super::slots::{Handed, Slots};
use super::split::{Share, Shares};
use super::target::{Caches, Own, Owned, Probed};
use crate::allocators::concurrent::{Address, Counts, Heap, Memory, Model, NoProbe, Probe, SlabId, Slabs, gauges, validate};
use crate::allocators::slub::{Seed, SheafPlace};
use crate::mem::{BoundedPages, PageRequest, PageSource, Pages, RecordedPages, Rights};
use crate::prepare::{Plan, PlannedSeed};

/// Address space for page frames, in bytes; memory is used as slabs are made. More than machines that traces come from have in slabs.
const ADDRESS_SPACE: usize = 32 << 30;

/// Replays a plan by caches of a model, whose laws are checked afterwards.
pub(super) fn run<M: Model>(
    plan: &Plan,
    setup: &ThreadsSetup,
    stop: &AtomicBool,
    progress: &dyn Fn(u64),
) -> Result<ThreadsOutcome, ThreadsError> {
    let nodes = setup.topology.nodes();
    if setup.counts {
        let replay = Replay::<M, Counts>::new(plan, setup, || Counts::new(nodes))?;
        replay.run(stop, progress, |counts| ThreadsCache::of(counts, nodes))
    } else {
        Replay::<M, NoProbe>::new(plan, setup, || NoProbe)?.run(stop, progress, |_| ThreadsCache::default())
    }
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
    fn new(plan: &'a Plan, setup: &'a ThreadsSetup, probe: impl Fn() -> P) -> Result<Self, ThreadsError> {
        let shares = Shares::of(plan, setup.topology.cpus(), setup.workers);
        let memory = Memory::map(ADDRESS_SPACE / setup.page_bytes as usize, setup.page_bytes).map_err(ThreadsError::Memory)?;
        let frames = BoundedPages::new(memory.frames() as u64);
        let mut pages = RecordedPages::over(frames, plan.recorded_slabs.iter().cloned());
        let seeded = seed_pages(plan, setup, &mut pages);
        let heap = Arc::new(Heap::new(memory, setup.page_bytes, Box::new(pages)));
        heap.populate(setup.ready_bytes);
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
    fn seed(&mut self, pages: Vec<Option<Pages>>) {
        let mut slabs: Vec<Option<SlabId>> = vec![None; self.plan.seeds.len()];
        for (number, (planned, pages)) in self.plan.seeds.iter().zip(pages).enumerate() {
            let cache = usize::from(planned.cache);
            let Some(pages) = pages else {
                for &slot in &self.shares.seeded[number] {
                    self.slots.put(slot, 0, Handed::Failed);
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
                self.slots.put(slot, 0, object.map_or(Handed::Failed, |object| Handed::Object(object.into_raw())));
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
        let mut outcome = drive(&target, &self.shares, &mut self.owned, &self.slots, self.setup, stop, progress);
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
fn seed_pages(plan: &Plan, setup: &ThreadsSetup, pages: &mut impl PageSource) -> Vec<Option<Pages>> {
    let topology = &setup.topology;
    let request = |planned: &PlannedSeed| {
        let cpu = planned.cpu.min(topology.cpus() - 1);
        let node = planned.node.filter(|&node| node < topology.nodes()).unwrap_or_else(|| topology.node_of(cpu));
        let order = plan.caches[usize::from(planned.cache)].layout.order as u8;
        PageRequest { owner: u32::MAX, order, cpu, node, this_node_only: false, rights: Rights::Reclaim }
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
