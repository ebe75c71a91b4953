//! Drives the caches by a plan.

use super::agreement::Agreement;
use super::objects::Objects;
use super::observe::{Observer, Timeline, TimelineSample};
use super::outcome::{CacheOutcome, Outcome};
use crate::allocators::slub::{AllocRequest, Cache, Rules, Seed, SheafPlace, SlabView, Slub};
use crate::allocators::{Allocator, CacheState, Object, SlabFacts, SlabId, Topology, Violation};
use crate::mem::{PageRequest, PageSource, Rights};
use crate::prepare::{KernelSlab, Op, Plan};

/// How to replay.
#[derive(Debug, Clone)]
pub struct Setup {
    /// Rules of the kernel release.
    pub rules: Rules,
    /// CPUs and nodes.
    pub topology: Topology,
    /// Page size in bytes.
    pub page_bytes: u32,
    /// Moments at which the state of all caches is kept; 0 for none.
    pub samples: u32,
    /// Positions of operations before which the observer looks at the caches, in ascending order; from the number of operations on: when
    /// all are done.
    pub pause_at: Vec<usize>,
    /// Check the conservation laws this often, in operations, and at the end; 0 for never.
    pub check_every: u64,
}

/// The caches just before an operation, or after the last.
pub struct Paused<'a> {
    /// Position of the operation in the plan.
    pub position: usize,
    caches: &'a [Cache],
    agreement: &'a Agreement,
    heap: &'a dyn Heap,
}

/// What can be seen of a replay that stands still, whatever its allocator.
trait Heap {
    fn state(&self, number: usize) -> Option<CacheState>;
    fn held_objects(&self, number: usize) -> u64;
    fn each_slab(&self, number: usize, visit: &mut dyn FnMut(SlabFacts));
    fn each_live(&self, visit: &mut dyn FnMut(u32, Object, u32));
}

impl Paused<'_> {
    /// Counters and gauges of a cache.
    #[must_use]
    pub fn state(&self, number: usize) -> Option<CacheState> {
        self.heap.state(number)
    }

    /// Free objects of a cache in front of the nodes' lists: in cpu slabs, on CPU partial lists, in sheaves or arrays.
    #[must_use]
    pub fn held_objects(&self, number: usize) -> u64 {
        self.heap.held_objects(number)
    }

    /// Shows every slab of a cache; none of SLOB, whose pages are of no cache.
    pub fn each_slab(&self, number: usize, mut visit: impl FnMut(SlabFacts)) {
        self.heap.each_slab(number, &mut visit);
    }

    /// Shows every live object that the plan speaks of, by its number: where it is, and the bytes asked for (0 if that was not seen).
    pub fn each_live(&self, mut visit: impl FnMut(u32, Object, u32)) {
        self.heap.each_live(&mut visit);
    }

    /// A cache by its number, if the allocator is SLUB.
    #[must_use]
    pub fn cache(&self, number: usize) -> Option<&Cache> {
        self.caches.get(number)
    }

    /// The kernel's slab that a slab of the replay stands for.
    #[must_use]
    pub fn kernel_slab(&self, number: usize, slab: SlabId) -> Option<KernelSlab> {
        self.agreement.kernel_slab(number, self.caches.get(number)?, Object { slab, index: 0 })
    }

    /// The replay's slab that stands for one of the kernel's.
    #[must_use]
    pub fn stand_in(&self, number: usize, slab: KernelSlab) -> Option<SlabView> {
        self.agreement.stand_in(number, self.caches.get(number)?, slab)
    }
}

/// A replay that could not go on: a bug in the model.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReplayError {
    /// A conservation law does not hold.
    #[error("cache {cache}, after {operations} operations: {violation}")]
    Broken {
        /// Cache name.
        cache: String,
        /// Operations done.
        operations: u64,
        /// The law.
        #[source]
        violation: Violation,
    },
}

/// A replay in progress.
#[derive(Debug, Clone)]
pub struct Engine<'a, P, A = Slub> {
    plan: &'a Plan,
    setup: &'a Setup,
    pages: P,
    model: A,
    tallies: Vec<Tally>,
    objects: Objects,
    outcome: Outcome,
    timeline: Timeline,
    agreement: Agreement,
}

/// What the engine keeps per cache beside the allocator's own counters.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    allocs: u64,
    frees: u64,
    requested_bytes: u64,
    live: u64,
    live_peak: u64,
    live_requested_bytes: u64,
    /// Objects in seeded slabs that are in use without the trace ever freeing them.
    unknown_live: u64,
    slabs_peak: u64,
    partial_peak: u64,
    slab_bytes_peak: u64,
}

/// Asks for the pages of slabs that exist before any operation.
const NO_OWNER: u32 = u32::MAX;

/// Operations between two reports of progress.
const PROGRESS_EVERY: u64 = 1 << 14;

/// What is due while a replay runs.
struct Pace {
    sampler: Sampler,
    /// Operations before the next check of the laws.
    next_check: u64,
    /// Operations that the observer was told of.
    reported: u64,
}

impl Pace {
    fn new(plan: &Plan, setup: &Setup) -> Self {
        let next_check = if setup.check_every > 0 { setup.check_every } else { u64::MAX };
        Self { sampler: Sampler::new(plan, setup.samples), next_check, reported: 0 }
    }
}

impl<'a, P: PageSource> Engine<'a, P> {
    /// Prepares a replay by SLUB: creates the caches and the slabs that exist at the start.
    #[must_use]
    pub fn new(plan: &'a Plan, setup: &'a Setup, pages: P) -> Self {
        let caches = plan.caches.iter().map(|cache| (cache.layout, cache.kind));
        let mut engine = Self::by(Slub::new(caches, setup.rules, &setup.topology), plan, setup, pages);
        let slabs = engine.seed();
        engine.seed_sheaves(&slabs);
        engine
    }

    /// The caches, and the kernel's slab that each of their slabs stands for.
    pub(crate) fn look(&self, position: usize) -> Paused<'_> {
        Paused { position, caches: &self.model.caches, agreement: &self.agreement, heap: self }
    }

    /// A cache.
    pub(crate) fn cache(&self, number: usize) -> Option<&Cache> {
        self.model.caches.get(number)
    }

    /// Puts free objects of seeded slabs into sheaves. Those of CPUs and nodes that the replay lacks stay in use.
    fn seed_sheaves(&mut self, slabs: &[Option<SlabId>]) {
        let topology = &self.setup.topology;
        for planned in &self.plan.sheaf_seeds {
            let exists = match planned.place {
                SheafPlace::Main(cpu) | SheafPlace::Spare(cpu) | SheafPlace::RcuFree(cpu) => cpu < topology.cpus(),
                SheafPlace::Barn(node) => node < topology.nodes(),
            };
            let object = |&(seed, index): &(usize, u16)| Some(Object { slab: slabs[seed]?, index });
            let objects: Option<Vec<Object>> = planned.objects.iter().map(object).collect();
            let number = usize::from(planned.cache);
            if let Some(objects) = objects.filter(|_| exists)
                && self.model.caches[number].seed_sheaf(planned.place, &objects)
            {
                self.tallies[number].unknown_live -= objects.len() as u64;
            }
        }
    }
}

impl<'a, P: PageSource, A: Allocator> Engine<'a, P, A> {
    /// Prepares a replay by any allocator, whose caches are those of the plan: makes the slabs that exist at the start.
    #[must_use]
    pub fn with(model: A, plan: &'a Plan, setup: &'a Setup, pages: P) -> Self {
        let mut engine = Self::by(model, plan, setup, pages);
        engine.seed();
        engine
    }

    fn by(model: A, plan: &'a Plan, setup: &'a Setup, pages: P) -> Self {
        let caches = plan.caches.len();
        Self {
            plan,
            setup,
            pages,
            model,
            tallies: vec![Tally::default(); caches],
            objects: Objects::new(plan.objects),
            outcome: Outcome::default(),
            timeline: Timeline { caches: vec![Vec::new(); caches], ..Timeline::default() },
            agreement: Agreement::new(plan),
        }
    }

    /// The same, for a replay that is copied on the way.
    pub(crate) fn copied_on_the_way(mut self) -> Self {
        self.objects = self.objects.into_shared();
        self
    }

    /// Does the operation at `position` of `ops`, which are on the plan's objects; returns the position after it. Marks, moments
    /// and checks are left out.
    pub(crate) fn advance(&mut self, ops: &[Op], position: usize, observer: &mut dyn Observer) -> usize {
        if position < ops.len() { self.step(ops, position, observer) } else { position }
    }

    /// Where an object is in the replay.
    pub(crate) fn object(&self, object: u32) -> Option<Object> {
        self.objects.get(object).map(|(object, _)| object)
    }

    fn seed(&mut self) -> Vec<Option<SlabId>> {
        let mut slabs = vec![None; self.plan.seeds.len()];
        for (planned, id) in self.plan.seeds.iter().zip(&mut slabs) {
            let number = usize::from(planned.cache);
            let (order, objects) = self.model.slab_shape(number);
            let cpu = planned.cpu.min(self.setup.topology.cpus() - 1);
            let nodes = self.setup.topology.nodes();
            let node = planned.node.filter(|&node| node < nodes).unwrap_or_else(|| self.setup.topology.node_of(cpu));
            let request = PageRequest { owner: NO_OWNER, order, cpu, node, this_node_only: false, rights: Rights::Reclaim };
            let Some(pages) = self.pages.seed(request, planned.pfn) else { continue };
            let seed = Seed { pages, free: planned.free.clone(), own: planned.own, place: planned.place };
            let Some(slab) = self.model.seed(number, &seed) else {
                self.pages.free(pages);
                continue;
            };
            *id = Some(slab);
            for &(object, index) in &planned.live {
                self.objects.insert(object, Object { slab, index }, 0);
            }
            if let Some(kernel) = planned.slab {
                self.agreement.seeded(number, &self.model, Object { slab, index: 0 }, kernel);
            }
            let tally = &mut self.tallies[number];
            tally.live += planned.live.len() as u64;
            tally.unknown_live += (objects as usize - planned.free.len() - planned.live.len()) as u64;
            tally.live_peak = tally.live;
            self.slabs_changed(number);
        }
        slabs
    }

    /// Replays all operations.
    ///
    /// # Errors
    ///
    /// If a check finds a law of the allocator broken.
    pub fn run(self, observer: &mut dyn Observer) -> Result<(Outcome, Timeline), ReplayError> {
        self.run_on(observer).map(|(outcome, timeline, _)| (outcome, timeline))
    }

    /// The same; also gives the page source back.
    ///
    /// # Errors
    ///
    /// If a check finds a law of the allocator broken.
    pub fn run_on(self, observer: &mut dyn Observer) -> Result<(Outcome, Timeline, P), ReplayError> {
        let plan = self.plan;
        self.run_parts(&[&plan.ops], observer)
    }

    /// The same with operations that are not all in one place, such as some before those that replays share; the plan's own are left
    /// out. Positions count over all parts. A detached list must not go on from one part to the next.
    ///
    /// # Errors
    ///
    /// If a check finds a law of the allocator broken.
    pub fn run_parts(mut self, parts: &[&[Op]], observer: &mut dyn Observer) -> Result<(Outcome, Timeline, P), ReplayError> {
        let plan = self.plan;
        let mut moments = Moments::new(plan);
        let mut pauses = self.setup.pause_at.iter().peekable();
        observer.begin(&|cache| self.state(cache));
        let mut pace = Pace::new(plan, self.setup);
        let mut before = 0;
        for &ops in parts {
            let mut own = 0;
            while let Some(op) = ops.get(own) {
                let position = before + own;
                while moments.tell(position, observer, &|cache| self.state(cache)) {}
                self.sample_until(op.time_ns, &mut pace);
                while pauses.next_if(|&&at| at <= position).is_some() {
                    observer.pause(&self.paused(position));
                }
                own = self.step(ops, own, observer);
                self.check_and_tell((before + own) as u64, &mut pace, observer)?;
            }
            before += own;
        }
        while moments.tell(usize::MAX, observer, &|cache| self.state(cache)) {}
        pauses.for_each(|_| observer.pause(&self.paused(before)));
        self.end(before as u64, pace, observer)
    }

    /// Replays operations that come in batches, each with those objects of the plan that it speaks of; the plan's own operations
    /// and marks are left out. `next` gives none when that was all.
    ///
    /// # Errors
    ///
    /// What `next` fails with, or if a check finds a law of the allocator broken.
    pub fn run_fed<E: From<ReplayError>>(
        mut self,
        mut next: impl FnMut() -> Result<Option<Vec<Op>>, E>,
        observer: &mut dyn Observer,
    ) -> Result<(Outcome, Timeline), E> {
        observer.begin(&|cache| self.state(cache));
        let mut pace = Pace::new(self.plan, self.setup);
        let mut done = 0;
        while let Some(ops) = next()? {
            if let Some(last) = ops.iter().map(|op| op.object).max() {
                self.objects.reach(last);
            }
            let mut position = 0;
            while let Some(op) = ops.get(position) {
                self.sample_until(op.time_ns, &mut pace);
                position = self.step(&ops, position, observer);
                self.check_and_tell(done + position as u64, &mut pace, observer)?;
            }
            done += position as u64;
        }
        let (outcome, timeline, _) = self.end(done, pace, observer)?;
        Ok((outcome, timeline))
    }

    /// Keeps the states of the moments before a time.
    #[inline]
    fn sample_until(&mut self, time_ns: u64, pace: &mut Pace) {
        while let Some(moment) = pace.sampler.due(time_ns) {
            self.sample(moment);
        }
    }

    #[inline]
    fn check_and_tell(&mut self, done: u64, pace: &mut Pace, observer: &mut dyn Observer) -> Result<(), ReplayError> {
        if done - pace.reported >= PROGRESS_EVERY {
            pace.reported = done;
            observer.progress(done);
        }
        if done >= pace.next_check {
            pace.next_check += self.setup.check_every;
            self.validate(done)?;
        }
        Ok(())
    }

    fn end(mut self, done: u64, mut pace: Pace, observer: &mut dyn Observer) -> Result<(Outcome, Timeline, P), ReplayError> {
        self.sample_until(u64::MAX, &mut pace);
        if self.setup.check_every > 0 {
            self.validate(done)?;
        }
        observer.progress(done);
        self.outcome.operations = done;
        let (outcome, timeline) = self.tally_up();
        Ok((outcome, timeline, self.pages))
    }

    /// Does the operation at `position` and returns the position after it.
    #[inline]
    fn step(&mut self, ops: &[Op], position: usize, observer: &mut dyn Observer) -> usize {
        let op = &ops[position];
        self.pages.advance(op.time_ns, op.cpu);
        if self.model.advance(op.time_ns, op.cpu, &mut self.pages) {
            self.all_slabs_changed();
        }
        if let Some(order) = op.what.after_shrink() {
            self.shrink(usize::from(op.cache), op.cpu, order);
        }
        if op.what.list_goes_on() {
            return self.free_list(ops, position);
        }
        if op.what.is_free() {
            match self.objects.take(op.object) {
                Some((object, requested)) => {
                    let number = usize::from(op.cache);
                    let slow = if op.what.is_by_rcu() {
                        self.model.free_rcu(number, op.cpu, object, &mut self.pages);
                        true
                    } else {
                        self.model.free(number, op.cpu, object, &mut self.pages)
                    };
                    self.freed(number, u64::from(requested));
                    if slow {
                        self.slabs_changed(number);
                    }
                }
                None => self.outcome.skipped_frees += 1,
            }
        } else {
            self.alloc(position, op, observer);
        }
        position + 1
    }

    #[inline]
    fn alloc(&mut self, position: usize, op: &Op, observer: &mut dyn Observer) {
        let number = usize::from(op.cache);
        let node = u16::try_from(op.node).ok();
        let request = AllocRequest {
            cpu: op.cpu,
            node,
            this_node_only: op.what.is_this_node_only(),
            caller: op.what.caller(),
            no_sheaf: op.what.makes_no_sheaf(),
        };
        let taken = if op.what.is_in_bulk() {
            self.model.alloc_in_bulk(number, request, op.requested_bytes, &mut self.pages)
        } else {
            self.model.alloc(number, request, op.requested_bytes, &mut self.pages)
        };
        let Some((object, slow)) = taken else {
            self.outcome.failed_allocs += 1;
            return;
        };
        if !self.agreement.allocated((position, op.time_ns), number, &self.model, object, &self.plan.kernel, op.object) {
            observer.diverged(position);
        }
        let tally = &mut self.tallies[number];
        tally.allocs += 1;
        tally.requested_bytes += u64::from(op.requested_bytes);
        tally.live += 1;
        tally.live_peak = tally.live_peak.max(tally.live);
        tally.live_requested_bytes += u64::from(op.requested_bytes);
        self.objects.insert(op.object, object, op.requested_bytes);
        if slow {
            self.slabs_changed(number);
        }
    }

    /// A cache is shrunk by a CPU. Grace periods that this began are over when it is done, long before the next operation.
    #[cold]
    fn shrink(&mut self, number: usize, cpu: u16, order: u16) {
        self.model.shrink(number, cpu, order, &mut self.pages);
        self.slabs_changed(number);
    }

    /// Frees a run of objects in one call, as bulk freeing does.
    #[cold]
    fn free_list(&mut self, ops: &[Op], start: usize) -> usize {
        let mut end = start;
        while ops.get(end).is_some_and(|op| op.what.list_goes_on()) {
            end += 1;
        }
        end = (end + 1).min(ops.len());
        let run = &ops[start..end];
        debug_assert!(run.iter().all(|op| op.what.is_free() && op.cache == run[0].cache), "a list is of one cache");
        let number = usize::from(run[0].cache);
        let mut objects = Vec::with_capacity(run.len());
        for op in run {
            let Some((object, requested)) = self.objects.take(op.object) else {
                self.outcome.skipped_frees += 1;
                continue;
            };
            objects.push(object);
            self.freed(number, u64::from(requested));
        }
        self.model.free_together(number, run[0].cpu, &objects, &mut self.pages);
        self.slabs_changed(number);
        end
    }

    #[inline]
    fn freed(&mut self, number: usize, requested_bytes: u64) {
        let tally = &mut self.tallies[number];
        tally.frees += 1;
        tally.live -= 1;
        tally.live_requested_bytes -= requested_bytes;
    }

    /// Slabs may have come, gone or moved: only slow paths do that.
    fn slabs_changed(&mut self, number: usize) {
        let (model, tally) = (&self.model, &mut self.tallies[number]);
        tally.partial_peak = tally.partial_peak.max(model.partial_count(number));
        tally.slabs_peak = tally.slabs_peak.max(model.slab_count(number));
        tally.slab_bytes_peak = tally.slab_bytes_peak.max(model.slab_bytes(number, self.setup.page_bytes));
    }

    #[cold]
    fn all_slabs_changed(&mut self) {
        (0..self.tallies.len()).for_each(|number| self.slabs_changed(number));
    }

    fn paused(&self, position: usize) -> Paused<'_> {
        Paused { position, caches: self.model.slub(), agreement: &self.agreement, heap: self }
    }

    fn state(&self, cache: usize) -> Option<CacheState> {
        (cache < self.tallies.len()).then(|| self.model.state(cache))
    }

    fn sample(&mut self, moment: u64) {
        self.timeline.time_ns.push(moment);
        for (number, (tally, series)) in self.tallies.iter().zip(&mut self.timeline.caches).enumerate() {
            let (model, agreement) = (&self.model, self.agreement.of_cache(number));
            series.push(TimelineSample {
                slabs: model.slab_count(number),
                slab_bytes: model.slab_bytes(number, self.setup.page_bytes),
                live_objects: tally.live,
                partial_slabs: model.partial_count(number),
                cpu_partial_slabs: model.cpu_partial_count(number),
                held_objects: model.held_objects(number),
                compared: agreement.compared,
                agreed: agreement.agreed,
            });
        }
    }

    fn validate(&self, operations: u64) -> Result<(), ReplayError> {
        for (number, (planned, tally)) in self.plan.caches.iter().zip(&self.tallies).enumerate() {
            let live = tally.live + tally.unknown_live;
            self.model.validate(number, live).map_err(|violation| ReplayError::Broken {
                cache: planned.name.clone(),
                operations,
                violation,
            })?;
        }
        Ok(())
    }

    fn tally_up(&mut self) -> (Outcome, Timeline) {
        self.outcome.caches = (0..self.tallies.len())
            .map(|number| {
                let tally = self.tallies[number];
                CacheOutcome {
                    end: self.state(number).unwrap_or_default(),
                    agreement: self.agreement.of_cache(number),
                    allocs: tally.allocs,
                    frees: tally.frees,
                    requested_bytes: tally.requested_bytes,
                    live_objects: tally.live,
                    live_objects_peak: tally.live_peak,
                    live_requested_bytes: tally.live_requested_bytes,
                    slabs_peak: tally.slabs_peak,
                    partial_peak: tally.partial_peak,
                    slab_bytes: self.model.slab_bytes(number, self.setup.page_bytes),
                    slab_bytes_peak: tally.slab_bytes_peak,
                }
            })
            .collect();
        (std::mem::take(&mut self.outcome), std::mem::take(&mut self.timeline))
    }
}

impl<P: PageSource, A: Allocator> Heap for Engine<'_, P, A> {
    fn state(&self, number: usize) -> Option<CacheState> {
        Engine::state(self, number)
    }

    fn held_objects(&self, number: usize) -> u64 {
        self.model.held_objects(number)
    }

    fn each_slab(&self, number: usize, visit: &mut dyn FnMut(SlabFacts)) {
        self.model.each_slab(number, visit);
    }

    fn each_live(&self, visit: &mut dyn FnMut(u32, Object, u32)) {
        self.objects.each(visit);
    }
}

/// Marks and reads of a plan, in their order.
struct Moments<'a> {
    plan: &'a Plan,
    marks: usize,
    reads: usize,
    /// Operations before the next of them.
    next: usize,
}

impl<'a> Moments<'a> {
    fn new(plan: &'a Plan) -> Self {
        // A read comes after its mark.
        Self { plan, marks: 0, reads: 0, next: plan.marks.first().map_or(usize::MAX, |(ops, _)| *ops) }
    }

    /// Tells the observer of the next one, if it is before the operation at `position`.
    #[inline]
    fn tell(&mut self, position: usize, observer: &mut dyn Observer, state: &dyn Fn(usize) -> Option<CacheState>) -> bool {
        position >= self.next && self.tell_next(observer, state)
    }

    #[cold]
    fn tell_next(&mut self, observer: &mut dyn Observer, state: &dyn Fn(usize) -> Option<CacheState>) -> bool {
        let (marks, reads) = (&self.plan.marks, &self.plan.reads);
        if let Some(read) = reads.get(self.reads).filter(|read| read.mark < self.marks) {
            self.reads += 1;
            observer.read(&marks[read.mark].1, read.attribute, state);
        } else if let Some((_, text)) = marks.get(self.marks) {
            self.marks += 1;
            observer.mark(text, state);
        } else {
            return false;
        }
        let read = reads.get(self.reads).filter(|read| read.mark < self.marks).map(|read| read.ops);
        self.next = read.or_else(|| marks.get(self.marks).map(|(ops, _)| *ops)).unwrap_or(usize::MAX);
        true
    }
}

/// Evenly spaced moments over the time of a trace, its first and last included.
struct Sampler {
    start: u64,
    duration: u64,
    samples: u64,
    next: u64,
}

impl Sampler {
    fn new(plan: &Plan, samples: u32) -> Self {
        let (start, end) = plan.time_range_ns;
        Self { start, duration: end.saturating_sub(start), samples: u64::from(samples), next: 0 }
    }

    /// The next moment, relative to the first event, if it is before `time_ns`.
    fn due(&mut self, time_ns: u64) -> Option<u64> {
        if self.next >= self.samples {
            return None;
        }
        let moment = match self.samples {
            1 => self.duration,
            samples => (u128::from(self.duration) * u128::from(self.next) / u128::from(samples - 1)) as u64,
        };
        (self.start.saturating_add(moment) < time_ns).then(|| {
            self.next += 1;
            moment
        })
    }
}
