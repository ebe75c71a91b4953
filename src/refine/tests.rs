//! Recordings in which the order shown is not the order in which operations took effect.
//!
//! The truth is a run of the model in the true order; its events are then written down in another order, as a trace may show them.

use super::*;
use crate::allocators::slub::sizing::{Build, CacheFlags, CacheLayout, CacheSpec, Kernel, KernelRelease};
use crate::allocators::slub::{AllocRequest, Cache, CacheKind, Counter, CpuCounts, Object, Rules, Topology};
use crate::mem::{RecordedPages, UnlimitedPages};
use crate::prepare::tests::{MAP, PAGE, Script, kernel};
use crate::replay::{Engine, NoObserver};

const BYTES: u64 = 1024;
const CPUS: u16 = 3;
/// Page frames of the cache's slabs start here: past those that the script uses.
const FIRST_FRAME: u64 = 1 << 20;

/// An operation as it is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    cpu: u16,
    is_free: bool,
    object: Object,
    address: u64,
    /// The operation took a slab that had been full to a partial list.
    revived: bool,
    /// The operation made a new slab: its first page frame.
    made: Option<u64>,
}

struct Truth {
    steps: Vec<Step>,
    counts: Vec<CpuCounts>,
    order: u32,
}

fn kernel_6_12() -> Kernel {
    kernel(KernelRelease::new(6, 12, 0), Build::default())
}

/// A simple generator (Knuth's constants for 64 bits).
fn next(state: &mut u64, below: usize) -> usize {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    ((*state >> 33) as usize) % below
}

/// A run of bursts on three CPUs: each allocates some, frees some of anybody's.
fn truth(seed: u64) -> Truth {
    let kernel = kernel_6_12();
    let layout = CacheLayout::from_stride(&kernel, &CacheSpec::new(BYTES as u32, CacheFlags::NONE), BYTES as u32).expect("a layout");
    let mut cache = Cache::new(0, layout, CacheKind::CpuPartial, Rules::of(kernel.release), &Topology::uniform(4));
    let mut pages = UnlimitedPages::default();
    let mut state = seed;
    let (mut live, mut steps) = (Vec::new(), Vec::new());
    let mut made = 0;
    for _ in 0..300 {
        let cpu = next(&mut state, usize::from(CPUS)) as u16;
        for _ in 0..next(&mut state, 24) {
            let (object, _) = cache.alloc(AllocRequest::on(cpu), &mut pages).expect("memory");
            let slabs = cache.total(Counter::AllocSlab);
            let base = FIRST_FRAME + object.slab.index() as u64 * (1 << layout.order);
            let address = MAP + base * PAGE + u64::from(object.index) * BYTES;
            let made_now = (slabs > made).then_some(base);
            made = slabs;
            steps.push(Step { cpu, is_free: false, object, address, revived: false, made: made_now });
            live.push((object, address));
        }
        let cpu = next(&mut state, usize::from(CPUS)) as u16;
        for _ in 0..next(&mut state, 24).min(live.len()) {
            let (object, address) = live.swap_remove(next(&mut state, live.len()));
            let before = cache.total(Counter::CpuPartialFree);
            cache.free(cpu, object, &mut pages);
            let revived = cache.total(Counter::CpuPartialFree) > before;
            steps.push(Step { cpu, is_free: true, object, address, revived, made: None });
        }
    }
    Truth { steps, counts: (0..CPUS).map(|cpu| *cache.counts(cpu)).collect(), order: layout.order }
}

fn plan(steps: &[Step], order: u32) -> Plan {
    let mut script = Script::with_page_events();
    for step in steps {
        if let Some(frame) = step.made {
            script.on(step.cpu).page_alloc(frame, order as u8);
        }
        if step.is_free {
            script.on(step.cpu).free(step.address, "c");
        } else {
            script.on(step.cpu).alloc(7, step.address, BYTES, BYTES);
        }
    }
    script.plan()
}

fn setup() -> Setup {
    let kernel = kernel_6_12();
    Setup {
        rules: Rules::of(kernel.release),
        topology: Topology::uniform(4),
        page_bytes: 4096,
        samples: 0,
        pause_at: Vec::new(),
        check_every: 0,
    }
}

/// The counters of the cache by CPU, as the plan is replayed.
fn replayed(plan: &Plan) -> Vec<CpuCounts> {
    let pages = RecordedPages::new(plan.recorded_slabs.iter().cloned());
    let (outcome, _) = Engine::new(plan, &setup(), pages).run(&mut NoObserver).expect("laws hold");
    let number = plan.caches.iter().position(|cache| cache.name == "c").expect("the cache");
    outcome.caches[number].end.counts[..usize::from(CPUS)].to_vec()
}

fn refined(mut plan: Plan) -> Plan {
    refine(&mut plan, &setup(), &|_| {});
    plan
}

/// Two frees into a full slab by different CPUs that came close together: by the position of the first.
fn races(truth: &Truth) -> Vec<usize> {
    let steps = &truth.steps;
    (0..steps.len() - 1)
        .filter(|&at| {
            let (first, second) = (steps[at], steps[at + 1]);
            first.revived && second.is_free && first.cpu != second.cpu && first.object.slab == second.object.slab
        })
        .collect()
}

#[test]
fn a_recording_in_the_true_order_is_left_alone() {
    let truth = truth(1);
    let plan = plan(&truth.steps, truth.order);
    assert_eq!(replayed(&plan), truth.counts);
    let ops = plan.ops.clone();
    let plan = refined(plan);
    assert_eq!(plan.ops, ops);
    assert_eq!(plan.ledger.total(Entry::OrderSettled) + plan.ledger.total(Entry::DisplacedEvents), 0);
}

#[test]
fn races_into_a_full_slab_are_put_right() {
    let (mut tried, mut righted) = (0, 0);
    for seed in 1..250 {
        let truth = truth(seed);
        for at in races(&truth) {
            let mut steps = truth.steps.clone();
            steps.swap(at, at + 1);
            let plan = plan(&steps, truth.order);
            if replayed(&plan) == truth.counts {
                continue;
            }
            tried += 1;
            let plan = refined(plan);
            if replayed(&plan) == truth.counts {
                righted += 1;
                assert!(plan.ledger.total(Entry::OrderSettled) > 0);
            }
        }
    }
    assert!(tried >= 8, "{tried} races tell in the counters");
    // Some show in no later address before the recording ends, or in none that only one order explains.
    assert!(righted * 10 >= tried * 7, "{righted} of {tried} races put right");
}

#[test]
fn an_event_of_another_cpu_is_put_where_it_belongs() {
    let truth = truth(3);
    let (mut tried, mut righted) = (0, 0);
    for at in (40..truth.steps.len()).step_by(97).filter(|&at| !truth.steps[at].is_free && truth.steps[at].made.is_none()) {
        let mut steps = truth.steps.clone();
        steps[at].cpu = (steps[at].cpu + 1) % CPUS;
        let plan = plan(&steps, truth.order);
        if replayed(&plan) == truth.counts {
            continue;
        }
        tried += 1;
        righted += u32::from(replayed(&refined(plan)) == truth.counts);
    }
    assert!(tried >= 8, "{tried} displaced events tell in the counters");
    assert!(righted * 10 >= tried * 9, "{righted} of {tried} put right");
}
