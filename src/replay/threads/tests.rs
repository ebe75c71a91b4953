//! One worker does what the exact engine does; several keep the laws, whatever the order they come in.

use std::sync::atomic::AtomicBool;
use std::sync::atomic::Ordering::Relaxed;

use super::*;
use crate::allocators::concurrent::Path;
use crate::allocators::slab::SlabSpec;
use crate::allocators::slub::sizing::{Build, CacheFlags, CacheLayout, CacheSpec, Kernel, KernelRelease, Machine};
use crate::allocators::slub::{CacheKind, Caller, Counter, SeedPlace, SheafPlace, Topology};
use crate::mem::{RecordedPages, UnlimitedPages};
use crate::prepare::{Op, PlannedCache, PlannedSeed, PlannedSheaf, Sibling, What};
use crate::replay::{Engine, NoObserver, Outcome, Setup};

/// Every release whose rules a concurrent model follows, as far as they differ.
const RELEASES: [(u16, u16); 6] = [(6, 8), (6, 12), (7, 0), (7, 1), (7, 2), (7, 3)];

const CPUS: u16 = 5;

fn release((major, minor): (u16, u16)) -> KernelRelease {
    KernelRelease::new(major.into(), minor.into(), 0)
}

fn topology(nodes: u16) -> Topology {
    Topology::new((0..CPUS).map(|cpu| cpu % nodes).collect())
}

fn setup(of: (u16, u16), nodes: u16, workers: usize) -> ThreadsSetup {
    ThreadsSetup {
        rules: Rules::of(release(of)),
        topology: topology(nodes),
        page_bytes: 4096,
        workers,
        cores: Vec::new(),
        window_ns: u64::MAX,
        pace: Pace::Asap,
        sample_every: 3,
        touch: Touch::All,
        counts: true,
        ready_bytes: 0,
    }
}

fn caches(of: (u16, u16)) -> Vec<PlannedCache> {
    let kernel = Kernel::new(release(of), Machine::x86_64(CPUS.into()), Build::default());
    let sizes = [
        (64, CacheKind::CpuPartial),
        (1024, CacheKind::CpuPartial),
        (2048, CacheKind::CpuSlab),
        (512, CacheKind::Debug),
        (4096, CacheKind::CpuPartial),
    ];
    let cache = |&(stride, kind): &(u32, CacheKind)| {
        let layout = CacheLayout::from_stride(&kernel, &CacheSpec::new(stride, CacheFlags::NONE), stride).expect("a layout");
        // Lists short enough that every path is taken.
        let layout = CacheLayout { min_partial: 2, ..layout };
        PlannedCache {
            name: format!("{kind:?}-{stride}"),
            traced_as: String::new(),
            aliases: Vec::new(),
            is_pseudo: false,
            kind,
            layout,
            made: SlabSpec::new(stride, CacheFlags::NONE),
            sibling: Sibling::None,
        }
    };
    sizes.iter().map(cache).collect()
}

/// A plan of every kind of operation, on several CPUs, with slabs from before.
fn plan(seed: u64, of: (u16, u16), nodes: u16, length: usize) -> Plan {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut plan = Plan { caches: caches(of), ..Plan::default() };
    plan.recorded_slabs = vec![Vec::new(); plan.caches.len()];
    let mut live: Vec<Vec<u32>> = vec![Vec::new(); plan.caches.len()];
    for (cache, live) in live.iter_mut().enumerate() {
        let places = [SeedPlace::Cpu(1), SeedPlace::CpuPartial(2), SeedPlace::CpuPartial(2), SeedPlace::NodePartial];
        for (number, place) in places.into_iter().enumerate() {
            live.push(plan.objects);
            plan.seeds.push(PlannedSeed {
                cache: cache as u16,
                free: vec![1],
                own: Some(number % 2),
                place,
                slab: None,
                pfn: None,
                cpu: number as u16,
                node: None,
                live: vec![(plan.objects, 0)],
            });
            plan.objects += 1;
        }
    }
    plan.sheaf_seeds.push(PlannedSheaf { cache: 1, place: SheafPlace::Main(2), objects: vec![(4, 2), (5, 2)] });
    let mut growing = true;
    for number in 0..length {
        if random.u32(..400) == 0 {
            growing = !growing;
        }
        let cache = random.usize(..plan.caches.len());
        let op = Op {
            time_ns: number as u64 * 10,
            object: 0,
            requested_bytes: 40,
            cache: cache as u16,
            cpu: random.u16(..CPUS),
            what: What::ALLOC,
            node: if random.u32(..20) == 0 { random.u16(..nodes) as i16 } else { -1 },
        };
        if live[cache].is_empty() || random.u32(..10) < if growing { 6 } else { 3 } {
            let what = match random.u32(..40) {
                0 => What::ALLOC.in_bulk(),
                1 => What::ALLOC.with_caller(Caller::Atomic),
                2 => What::ALLOC.this_node_only(),
                3 => What::ALLOC.with_caller(Caller::NoReclaim).without_new_sheaf(),
                4 if random.u32(..20) == 0 => What::ALLOC.shrunk_in_order(random.u32(..24) as u16),
                _ => What::ALLOC,
            };
            live[cache].push(plan.objects);
            plan.ops.push(Op { object: plan.objects, what, ..op });
            plan.objects += 1;
            continue;
        }
        let count = if random.u32(..50) == 0 { 3.min(live[cache].len()) } else { 1 };
        let is_by_rcu = count == 1 && random.u32(..30) == 0;
        for left in (0..count).rev() {
            let position = random.usize(..live[cache].len());
            let object = live[cache].swap_remove(position);
            let what = if is_by_rcu { What::FREED.by_rcu() } else { What::FREED };
            plan.ops.push(Op { object, what: if left > 0 { what.in_list() } else { what }, ..op });
        }
    }
    plan
}

fn exact(plan: &Plan, of: (u16, u16), nodes: u16) -> Outcome {
    let setup = Setup {
        rules: Rules::of(release(of)),
        topology: topology(nodes),
        page_bytes: 4096,
        samples: 0,
        pause_at: Vec::new(),
        check_every: 0,
    };
    Engine::new(plan, &setup, UnlimitedPages::default()).run(&mut NoObserver).expect("replays").0
}

fn on_threads(plan: &Plan, setup: &ThreadsSetup) -> ThreadsOutcome {
    run(plan, setup, &AtomicBool::new(false), &|_| {}).expect("replays")
}

#[test]
fn one_worker_does_what_the_exact_engine_does() {
    for of in RELEASES {
        for nodes in [1, 2] {
            for seed in 0..12 {
                let plan = plan(seed, of, nodes, 6_000);
                let (expected, found) = (exact(&plan, of, nodes), on_threads(&plan, &setup(of, nodes, 1)));
                for ((cache, expected), found) in plan.caches.iter().zip(&expected.caches).zip(&found.caches) {
                    let at = format!("{of:?}, {nodes} nodes, seed {seed}, {}", cache.name);
                    for counter in Counter::ALL {
                        assert_eq!(found.end.total(counter), expected.end.total(counter), "{at}: {}", counter.name());
                    }
                    assert_eq!(found.end, expected.end, "{at}");
                }
            }
        }
    }
}

#[test]
fn every_path_is_taken() {
    let mut taken = [0_u64; Path::COUNT];
    for of in RELEASES {
        for (sum, paths) in taken.iter_mut().zip(on_threads(&plan(1, of, 1, 20_000), &setup(of, 1, 1)).paths) {
            *sum += paths;
        }
    }
    for path in Path::ALL {
        assert!(taken[path as usize] > 0, "{}", path.name());
    }
}

#[test]
fn any_number_of_workers_keeps_the_laws_and_the_sums() {
    for of in RELEASES {
        for workers in [2, 3, 5] {
            let plan = plan(7, of, 2, 30_000);
            let expected = exact(&plan, of, 2);
            // The laws are checked by `run`.
            let found = on_threads(&plan, &setup(of, 2, workers));
            assert_eq!(found.operations, plan.ops.len() as u64);
            assert_eq!((found.failed_allocs, found.skipped_frees, found.is_stopped), (0, 0, false));
            for (expected, found) in expected.caches.iter().zip(&found.caches) {
                let allocated = |end: &crate::replay::CacheState| end.total(Counter::AllocFastpath) + end.total(Counter::AllocSlowpath);
                assert_eq!(allocated(&found.end), allocated(&expected.end), "{of:?}, {workers} workers");
            }
        }
    }
}

/// Workers that may be anywhere come to a slot before its earlier tenants were there.
#[test]
fn a_slot_that_is_used_again_waits_for_its_earlier_tenants() {
    let rounds = 40_000;
    let mut plan = Plan { caches: caches((6, 12)), objects: rounds, ..Plan::default() };
    plan.recorded_slabs = vec![Vec::new(); plan.caches.len()];
    for object in 0..rounds {
        // CPU 1 has nearly nothing to do, and would be done with it long before.
        let cpu = if object % 1_000 == 0 { 1 } else { 0 };
        let op = Op { time_ns: object.into(), object, requested_bytes: 8, cache: 0, cpu, what: What::ALLOC, node: -1 };
        plan.ops.extend([op, Op { what: What::FREED, ..op }]);
    }
    let found = on_threads(&plan, &setup((6, 12), 1, 2));
    assert_eq!(found.operations, u64::from(2 * rounds));
}

#[test]
fn stops_when_told_to_and_says_so() {
    let plan = plan(3, (7, 2), 1, 30_000);
    let stop = AtomicBool::new(true);
    let found = run(&plan, &setup((7, 2), 1, 3), &stop, &|_| {}).expect("the laws hold for what was done");
    assert!(found.is_stopped && found.operations < 30_000);
    // On the way: the first report of progress asks for the end.
    let stop = AtomicBool::new(false);
    let slow = ThreadsSetup { pace: Pace::Recorded { speed: 1e-3 }, ..setup((7, 2), 1, 3) };
    let found = run(&plan, &slow, &stop, &|_| stop.store(true, Relaxed)).expect("the laws hold");
    assert!(found.is_stopped);
}

#[test]
fn keeps_to_the_recorded_pace_and_to_the_window() {
    let mut plan = plan(5, (6, 12), 1, 2_000);
    for op in &mut plan.ops {
        op.time_ns *= 1_000;
    }
    let recorded = plan.ops[plan.ops.len() - 1].time_ns;
    let paced = ThreadsSetup { pace: Pace::Recorded { speed: 2.0 }, window_ns: 1_000, ..setup((6, 12), 1, 2) };
    let found = on_threads(&plan, &paced);
    assert!(found.elapsed.as_nanos() as u64 >= recorded / 2, "{:?} for {recorded} ns at twice the speed", found.elapsed);
}

#[test]
fn rules_without_a_model_are_refused() {
    for of in [(2, 6), (3, 2), (5, 10), (6, 1), (6, 18)] {
        let plan = Plan::default();
        let error = run(&plan, &setup(of, 1, 1), &AtomicBool::new(false), &|_| {}).expect_err("no model");
        assert!(error.to_string().starts_with("no concurrent model of SLUB"), "{error}");
    }
}

#[test]
fn memory_that_runs_out_fails_allocations_as_in_the_exact_engine() {
    use crate::mem::RecordedSlab;
    let mut plan = plan(9, (6, 12), 1, 4_000);
    // The first slabs were of order 0 in the recording: the preferred order was refused.
    let small = RecordedSlab::default();
    plan.recorded_slabs[1] = vec![small; 5];
    let setting = Setup {
        rules: Rules::of(release((6, 12))),
        topology: topology(1),
        page_bytes: 4096,
        samples: 0,
        pause_at: Vec::new(),
        check_every: 0,
    };
    let pages = RecordedPages::new(plan.recorded_slabs.iter().cloned());
    let (expected, _) = Engine::new(&plan, &setting, pages).run(&mut NoObserver).expect("replays");
    let found = on_threads(&plan, &setup((6, 12), 1, 1));
    assert_eq!(found.caches[1].end, expected.caches[1].end);
    assert_eq!(found.caches[1].end.total(Counter::OrderFallback), 5);
}
