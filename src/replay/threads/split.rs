//! Shares the operations of a plan out to workers.

use std::collections::VecDeque;

use crate::prepare::{Op, Plan};

/// What every worker has to do.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shares {
    /// By worker.
    pub workers: Vec<Share>,
    /// Number of places that objects are handed over at.
    pub slots: u32,
    /// For each seed of the plan: its live objects by slot, where they are the first.
    pub seeded: Vec<Vec<u32>>,
    /// Most objects that the plan has live at any moment.
    pub live_peak: u32,
    /// Time of the first operation, as operations have it.
    pub start_ns: u64,
}

/// What one worker has to do: operations of its CPUs, in the order of the plan.
///
/// In them, `object` is the slot that the object is handed over at, `cpu` the number of the CPU among the worker's, and `time_ns` never
/// falls, not even against operations of other workers that come earlier in the plan. So the operation that is first in the plan of
/// those not done yet has the earliest time, and whatever waits waits for one that is earlier in the plan: there is no deadlock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Share {
    /// The worker's CPUs.
    pub cpus: Vec<u16>,
    /// Its operations.
    pub ops: Vec<SharedOp>,
}

/// An operation, and whose turn it is at the slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SharedOp {
    /// What to do.
    pub op: Op,
    /// How many objects have had the slot before.
    pub tenant: u32,
}

const _: () = assert!(size_of::<SharedOp>() <= 32, "a replay holds one of these per event");

/// A slot is used again only after so many others came free, so that whoever uses it next need not wait for the one before.
const SLACK: usize = 4096;

impl Shares {
    /// Shares out the operations of `cpus` CPUs to at most `workers` workers. A CPU is never on two workers; the busiest go to the
    /// worker that has least to do.
    #[must_use]
    pub fn of(plan: &Plan, cpus: u16, workers: usize) -> Self {
        let worker_of = assign(plan, cpus, workers);
        let count = worker_of.iter().max().map_or(1, |&worker| worker + 1);
        let mut shares = Self { workers: vec![Share::default(); count], ..Self::default() };
        let mut local = vec![0; usize::from(cpus)];
        for (cpu, &worker) in (0..cpus).zip(&worker_of) {
            local[usize::from(cpu)] = shares.workers[worker].cpus.len() as u16;
            shares.workers[worker].cpus.push(cpu);
        }
        let mut slots = Slots::new(plan.objects, count);
        let freed_by = freed_by(plan, &worker_of);
        let to = |object: u32| usize::from(freed_by[object as usize]);
        let seeded =
            plan.seeds.iter().map(|seed| seed.live.iter().map(|&(object, _)| slots.give(object, to(object), to(object)).0).collect());
        shares.seeded = seeded.collect();
        let mut time_ns = plan.ops.first().map_or(0, |op| op.time_ns);
        shares.start_ns = time_ns;
        for op in &plan.ops {
            time_ns = time_ns.max(op.time_ns);
            // A CPU that the machine does not have counts as its last, as in the exact replay's seeds.
            let cpu = op.cpu.min(cpus - 1);
            let worker = worker_of[usize::from(cpu)];
            let (object, tenant) =
                if op.what.is_free() { slots.take_back(op.object) } else { slots.give(op.object, worker, to(op.object)) };
            let op = Op { time_ns, object, cpu: local[usize::from(cpu)], ..*op };
            shares.workers[worker].ops.push(SharedOp { op, tenant });
        }
        (shares.slots, shares.live_peak) = (slots.count(), slots.live_peak);
        shares
    }

    /// Operations in all.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.workers.iter().map(|worker| worker.ops.len() as u64).sum()
    }
}

/// The worker of each CPU.
fn assign(plan: &Plan, cpus: u16, workers: usize) -> Vec<usize> {
    let mut busy = vec![0_u64; usize::from(cpus)];
    for op in &plan.ops {
        busy[usize::from(op.cpu.min(cpus - 1))] += 1;
    }
    let workers = workers.clamp(1, usize::from(cpus));
    let mut order: Vec<usize> = (0..busy.len()).collect();
    order.sort_by_key(|&cpu| std::cmp::Reverse(busy[cpu]));
    let mut load = vec![(0_u64, 0_u32); workers];
    let mut worker_of = vec![0; busy.len()];
    for cpu in order {
        // Idle CPUs are spread evenly.
        let least = (0..workers).min_by_key(|&worker| load[worker]).unwrap_or(0);
        load[least].0 += busy[cpu];
        load[least].1 += 1;
        worker_of[cpu] = least;
    }
    worker_of
}

/// Gives objects places, as few as may be. What one worker hands to another goes through blocks of their own: a cache line is filled by the
/// one and emptied by the other, like a queue, and what stays with a worker is in no line that others look at.
struct Slots {
    /// Slot and tenant of each object.
    of_object: Vec<(u32, u32)>,
    /// By allocating worker, then freeing worker.
    ways: Vec<Way>,
    workers: usize,
    /// By block: its way.
    way_of_block: Vec<usize>,
    live: u32,
    live_peak: u32,
}

/// From one worker to one worker.
#[derive(Default)]
struct Way {
    /// Slots that came free, with their next tenants.
    free: VecDeque<(u32, u32)>,
    /// The next slot of its last block, and how many are left there.
    fresh: u32,
    left: u32,
}

/// Slots of a block: two cache lines, as processors fetch pairs.
const BLOCK: u32 = 8;

impl Slots {
    fn new(objects: u32, workers: usize) -> Self {
        Self {
            of_object: vec![(0, 0); objects as usize],
            ways: (0..workers * workers).map(|_| Way::default()).collect(),
            workers,
            way_of_block: Vec::new(),
            live: 0,
            live_peak: 0,
        }
    }

    fn count(&self) -> u32 {
        self.way_of_block.len() as u32 * BLOCK
    }

    /// The slot of a new object on its way from a worker to another.
    fn give(&mut self, object: u32, from: usize, to: usize) -> (u32, u32) {
        self.live += 1;
        self.live_peak = self.live_peak.max(self.live);
        let number = from * self.workers + to;
        let way = &mut self.ways[number];
        let reused = if way.free.len() > SLACK { way.free.pop_front() } else { None };
        let slot = reused.unwrap_or_else(|| {
            if way.left == 0 {
                way.fresh = self.way_of_block.len() as u32 * BLOCK;
                way.left = BLOCK;
                self.way_of_block.push(number);
            }
            way.left -= 1;
            way.fresh += 1;
            (way.fresh - 1, 0)
        });
        self.of_object[object as usize] = slot;
        slot
    }

    fn take_back(&mut self, object: u32) -> (u32, u32) {
        self.live -= 1;
        let (slot, tenant) = self.of_object[object as usize];
        let way = self.way_of_block[(slot / BLOCK) as usize];
        self.ways[way].free.push_back((slot, tenant + 1));
        (slot, tenant)
    }
}

/// The worker that frees each object; that it is never freed makes no difference to anybody, so the first then.
fn freed_by(plan: &Plan, worker_of: &[usize]) -> Vec<u16> {
    let mut workers = vec![0; plan.objects as usize];
    for op in plan.ops.iter().filter(|op| op.what.is_free()) {
        workers[op.object as usize] = worker_of[usize::from(op.cpu).min(worker_of.len() - 1)] as u16;
    }
    workers
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::prepare::What;

    fn op(time_ns: u64, cpu: u16, object: u32, what: What) -> Op {
        Op { time_ns, object, requested_bytes: 8, cache: 0, cpu, what, node: -1 }
    }

    #[test]
    fn cpus_are_whole_and_balanced() {
        let ops = (0..90).map(|number| op(number, [0, 0, 0, 1, 2, 2, 3, 3, 3][number as usize % 9], number as u32, What::ALLOC)).collect();
        let plan = Plan { ops, objects: 90, ..Plan::default() };
        let shares = Shares::of(&plan, 4, 2);
        let cpus: Vec<_> = shares.workers.iter().map(|worker| (worker.cpus.clone(), worker.ops.len())).collect();
        assert_eq!(cpus, [(vec![0, 2], 50), (vec![1, 3], 40)]);
        assert_eq!(Shares::of(&plan, 4, 9).workers.len(), 4, "no more workers than CPUs");
    }

    #[test]
    fn time_never_falls_over_all_workers() {
        let ops = vec![op(50, 0, 0, What::ALLOC), op(40, 1, 1, What::ALLOC), op(60, 0, 1, What::FREED), op(55, 1, 0, What::FREED)];
        let shares = Shares::of(&Plan { ops, objects: 2, ..Plan::default() }, 2, 2);
        let times: Vec<Vec<u64>> =
            shares.workers.iter().map(|worker| worker.ops.iter().map(|shared| shared.op.time_ns).collect()).collect();
        assert_eq!(times, [[50, 60], [50, 60]]);
    }

    #[test]
    fn slots_are_used_again() {
        let rounds = 3 * SLACK as u32;
        let ops = (0..rounds).flat_map(|object| [op(0, 0, object, What::ALLOC), op(0, 0, object, What::FREED)]).collect();
        let shares = Shares::of(&Plan { ops, objects: rounds, ..Plan::default() }, 1, 1);
        assert_eq!((shares.slots, shares.live_peak), ((SLACK as u32 + 2).next_multiple_of(BLOCK), 1));
    }
}
