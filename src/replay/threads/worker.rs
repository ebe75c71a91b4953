//! A thread that plays some of the CPUs.

use std::ptr::NonNull;
use std::time::{Duration, Instant};

use super::gate::Gate;
use super::latency::Latency;
use super::setup::{Pace, Touch};
use super::slots::{Handed, Slots};
use super::split::{Share, SharedOp};
use super::target::Target;
use crate::allocators::concurrent::{Path, clock};
use crate::allocators::slub::flush_order;
use crate::prepare::Op;

/// What all workers are told.
#[derive(Debug)]
pub(super) struct Orders<'a, T> {
    pub(super) target: &'a T,
    pub(super) gate: &'a Gate<'a>,
    pub(super) slots: &'a Slots,
    pub(super) pace: Pace,
    pub(super) touch: Touch,
    /// Mean distance of operations that are timed; 0 for none.
    pub(super) sample_every: u32,
    /// When workers began, and the trace time of that.
    pub(super) started: Instant,
    pub(super) start_ns: u64,
    /// CPUs in all.
    pub(super) cpus: u16,
}

/// What a worker found.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) done: u64,
    pub(super) elapsed: Duration,
    pub(super) latency: Latency,
    pub(super) paths: [u64; Path::COUNT],
    pub(super) failed_allocs: u64,
    pub(super) skipped_frees: u64,
    pub(super) touched_bytes: u64,
    pub(super) waited_for_objects_ticks: u64,
    pub(super) waited_for_window_ticks: u64,
}

/// The user wants it to end.
struct Stopped;

/// Operations between two looks at what others want.
const LOOK_EVERY: u64 = 32;

pub(super) struct Worker<'a, T: Target> {
    pub(super) orders: &'a Orders<'a, T>,
    pub(super) number: usize,
    pub(super) share: &'a Share,
    pub(super) own: &'a mut T::Own,
    found: Found,
    /// Up to when operations may be done.
    limit_ns: u64,
    /// Operations until one is timed.
    until_sample: u32,
    random: fastrand::Rng,
    /// Shrunk caches flushed.
    flushed: u64,
}

impl<'a, T: Target> Worker<'a, T> {
    pub(super) fn new(orders: &'a Orders<'a, T>, number: usize, share: &'a Share, own: &'a mut T::Own) -> Self {
        let mut worker = Self {
            orders,
            number,
            share,
            own,
            found: Found::default(),
            limit_ns: 0,
            until_sample: u32::MAX,
            random: fastrand::Rng::with_seed(number as u64),
            flushed: 0,
        };
        worker.until_sample = worker.next_sample();
        worker
    }

    /// Does all operations, or those until it is told to stop.
    pub(super) fn run(mut self) -> Found {
        let ops = &self.share.ops;
        let mut position = 0;
        while let Some(SharedOp { op, .. }) = ops.get(position) {
            self.found.done = position as u64;
            if (position as u64).is_multiple_of(LOOK_EVERY) {
                self.orders.gate.publish(self.number, op.time_ns, position as u64);
                if self.orders.gate.is_stopped() {
                    break;
                }
                self.flush_shrunk();
            }
            if op.time_ns > self.limit_ns && self.wait_for_window(op).is_err() {
                break;
            }
            match self.step(ops, position) {
                Ok(next) => position = next,
                Err(Stopped) => break,
            }
        }
        self.found.done = position as u64;
        self.found.elapsed = self.orders.started.elapsed();
        self.flush_shrunk();
        self.orders.gate.finish(self.number, position as u64);
        self.found
    }

    /// Does the operation at a position; returns the position after it.
    #[inline(always)]
    fn step(&mut self, ops: &[SharedOp], position: usize) -> Result<usize, Stopped> {
        let SharedOp { op, tenant } = &ops[position];
        if let Pace::Recorded { speed } = self.orders.pace {
            self.wait_for_time(op, speed)?;
        }
        if let Some(order) = op.what.after_shrink() {
            self.shrink(op, order)?;
        }
        if op.what.list_goes_on() {
            return self.free_list(ops, position);
        }
        if op.what.is_free() {
            self.free(op, *tenant)?
        } else {
            self.alloc(op, *tenant)?
        }
        Ok(position + 1)
    }

    #[inline(always)]
    fn alloc(&mut self, op: &Op, tenant: u32) -> Result<(), Stopped> {
        let start = self.sampled();
        let served = self.orders.target.alloc(self.own, op);
        self.timed(start, served.map(|(_, path)| path));
        let handed = match served {
            Some((object, path)) => {
                self.found.paths[path as usize] += 1;
                self.touch(op, object);
                Handed::Object(object)
            }
            None => {
                self.found.failed_allocs += 1;
                Handed::Failed
            }
        };
        if self.orders.slots.put(op.object, tenant, handed) {
            return Ok(());
        }
        let waited = self.wait(op, |worker| worker.orders.slots.put(op.object, tenant, handed).then_some(()));
        if let (Err(Stopped), Handed::Object(object)) = (&waited, handed) {
            self.orders.target.free(self.own, op, object);
        }
        waited
    }

    #[inline(always)]
    fn free(&mut self, op: &Op, tenant: u32) -> Result<(), Stopped> {
        let handed = match self.orders.slots.take(op.object, tenant) {
            Some(handed) => handed,
            None => self.wait(op, |worker| worker.orders.slots.take(op.object, tenant))?,
        };
        let Handed::Object(object) = handed else {
            self.found.skipped_frees += 1;
            return Ok(());
        };
        let start = self.sampled();
        let path = self.orders.target.free(self.own, op, object);
        self.timed(start, Some(path));
        self.found.paths[path as usize] += 1;
        Ok(())
    }

    #[cold]
    fn free_list(&mut self, ops: &[SharedOp], start: usize) -> Result<usize, Stopped> {
        let rest = ops[start..].iter().position(|shared| !shared.op.what.list_goes_on()).map_or(ops.len(), |length| start + length + 1);
        let mut objects = Vec::with_capacity(rest - start);
        for SharedOp { op, tenant } in &ops[start..rest] {
            match self.wait(op, |worker| worker.orders.slots.take(op.object, *tenant)) {
                Ok(Handed::Object(object)) => objects.push(object),
                Ok(Handed::Failed) => self.found.skipped_frees += 1,
                Err(Stopped) => break,
            }
        }
        self.orders.target.free_list(self.own, &ops[start].op, objects);
        if self.orders.gate.is_stopped() { Err(Stopped) } else { Ok(rest) }
    }

    #[inline(always)]
    fn touch(&mut self, op: &Op, object: NonNull<u8>) {
        let bytes = match self.orders.touch {
            Touch::Nothing => return,
            Touch::FirstLine => op.requested_bytes.min(64),
            Touch::All => op.requested_bytes,
        };
        self.found.touched_bytes += u64::from(bytes);
        self.orders.target.touch(op, object, bytes);
    }

    /// The start of an operation that is to be timed.
    #[inline(always)]
    fn sampled(&mut self) -> Option<u64> {
        self.until_sample -= 1;
        if self.until_sample > 0 {
            return None;
        }
        self.until_sample = self.next_sample();
        if self.orders.sample_every > 0 { Some(clock::ticks()) } else { None }
    }

    #[inline(always)]
    fn timed(&mut self, start: Option<u64>, path: Option<Path>) {
        if let (Some(start), Some(path)) = (start, path) {
            self.found.latency.record(path, clock::ticks() - start);
        }
    }

    /// Distances are random, so that they do not beat with what the trace repeats.
    fn next_sample(&mut self) -> u32 {
        match self.orders.sample_every {
            0 => u32::MAX,
            every => self.random.u32(1..2 * every),
        }
    }

    /// Waits until no worker is further behind than the window.
    #[cold]
    fn wait_for_window(&mut self, op: &Op) -> Result<(), Stopped> {
        self.limit_ns = self.orders.gate.limit_ns();
        if op.time_ns <= self.limit_ns {
            return Ok(());
        }
        let start = clock::ticks();
        let limit_ns = self.wait_quietly(op, |worker| Some(worker.orders.gate.limit_ns()).filter(|&limit_ns| op.time_ns <= limit_ns));
        self.found.waited_for_window_ticks += clock::ticks() - start;
        self.limit_ns = limit_ns?;
        Ok(())
    }

    /// Waits for another worker to hand something over.
    #[cold]
    fn wait<R>(&mut self, op: &Op, until: impl FnMut(&mut Self) -> Option<R>) -> Result<R, Stopped> {
        let start = clock::ticks();
        let waited = self.wait_quietly(op, until);
        self.found.waited_for_objects_ticks += clock::ticks() - start;
        waited
    }

    fn wait_quietly<R>(&mut self, op: &Op, mut until: impl FnMut(&mut Self) -> Option<R>) -> Result<R, Stopped> {
        /// Attempts before the core is offered to others: there may be more workers than cores.
        const SPINS: u32 = 200;
        // Others may be waiting for this worker to have come so far.
        self.orders.gate.publish(self.number, op.time_ns, self.found.done);
        for attempt in 0_u64.. {
            if let Some(result) = until(self) {
                return Ok(result);
            }
            if self.orders.gate.is_stopped() {
                return Err(Stopped);
            }
            self.flush_shrunk();
            if attempt < u64::from(SPINS) {
                std::hint::spin_loop();
            } else {
                std::thread::yield_now();
            }
        }
        Err(Stopped)
    }

    /// Waits until it is time for an operation.
    fn wait_for_time(&mut self, op: &Op, speed: f64) -> Result<(), Stopped> {
        let due = Duration::from_nanos(((op.time_ns - self.orders.start_ns) as f64 / speed) as u64);
        while let Some(early) = due.checked_sub(self.orders.started.elapsed()).filter(|early| !early.is_zero()) {
            self.orders.gate.publish(self.number, op.time_ns, self.found.done);
            if self.orders.gate.is_stopped() {
                return Err(Stopped);
            }
            self.flush_shrunk();
            // Sleeping takes 50 µs more than asked for; the rest is spent awake.
            match early.checked_sub(Duration::from_micros(100)) {
                Some(long) if !long.is_zero() => std::thread::sleep(long.min(Duration::from_millis(20))),
                _ => std::hint::spin_loop(),
            }
        }
        Ok(())
    }

    /// Flushes caches that are being shrunk.
    #[inline]
    fn flush_shrunk(&mut self) {
        for cache in self.orders.gate.to_flush(self.flushed) {
            self.flushed += 1;
            for cpu in 0..self.share.cpus.len() {
                self.orders.target.flush(self.own, cache, cpu);
            }
            self.orders.gate.has_flushed(self.number, self.flushed);
        }
    }

    /// `kmem_cache_shrink()`: all CPUs flush, each on its own worker, then the lists are sorted.
    #[cold]
    fn shrink(&mut self, op: &Op, order: u16) -> Result<(), Stopped> {
        self.flush_shrunk();
        // Its own CPUs first, in the order of the plan; a second flush finds nothing.
        for cpu in flush_order(self.orders.cpus, order) {
            if let Some(own) = self.share.cpus.iter().position(|&other| other == cpu) {
                self.orders.target.flush(self.own, op.cache, own);
            }
        }
        let epoch = self.orders.gate.ask_to_flush(op.cache);
        self.wait(op, |worker| {
            worker.flush_shrunk();
            worker.orders.gate.is_flushed(epoch).then_some(())
        })?;
        self.orders.target.shrink(self.own, op.cache, usize::from(op.cpu));
        Ok(())
    }
}
