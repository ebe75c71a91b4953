//! Random operations, with every law checked after each.

use proptest::prelude::*;

use super::*;

#[derive(Debug, Clone, Copy)]
enum Step {
    Alloc { cpu: u16, node: Option<u16>, only: bool },
    Free { cpu: u16, at: usize },
    Reap { cpu: u16 },
    Shrink { cpu: u16 },
    Tune { limit: u32, batchcount: u32, shared: u32 },
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        40 => (0..4_u16, prop_oneof![6 => Just(None), 1 => (0..2_u16).prop_map(Some)], any::<bool>())
            .prop_map(|(cpu, node, only)| Step::Alloc { cpu, node, only: only && node.is_some() }),
        36 => (0..4_u16, any::<usize>()).prop_map(|(cpu, at)| Step::Free { cpu, at }),
        4 => (0..4_u16).prop_map(|cpu| Step::Reap { cpu }),
        1 => (0..4_u16).prop_map(|cpu| Step::Shrink { cpu }),
        1 => (0..9_u32, 0..9_u32, 0..3_u32).prop_map(|(limit, batchcount, shared)| Step::Tune { limit, batchcount, shared }),
    ]
}

fn run(spec: SlabSpec, node_of_cpu: Vec<u16>, left: Vec<u64>, release: KernelRelease, steps: &[Step]) {
    let mut bench = Bench::of(spec, node_of_cpu, release);
    bench.pages.left = left;
    let mut live = Vec::new();
    let nodes = bench.cache.nodes.len() as u16;
    for (second, step) in (0..).zip(steps) {
        match *step {
            Step::Alloc { cpu, node, only } => {
                let node = node.filter(|&node| node < nodes);
                let request = AllocRequest { node, this_node_only: only && node.is_some(), ..request(cpu) };
                if let Some((object, _)) = bench.cache.alloc(request, &mut bench.pages) {
                    assert!(!live.contains(&object), "an object is handed out once");
                    live.push(object);
                    bench.live += 1;
                }
            }
            Step::Free { cpu, at } if !live.is_empty() => {
                let object = live.swap_remove(at % live.len());
                bench.cache.free(cpu, object, &mut bench.pages);
                bench.live -= 1;
            }
            Step::Free { .. } => {}
            Step::Reap { cpu } => bench.cache.reap(cpu, cpu % nodes, second * 1_000_000_000, &mut bench.pages),
            Step::Shrink { cpu } => drop(bench.cache.shrink(cpu, &mut bench.pages)),
            Step::Tune { limit, batchcount, shared } => {
                bench.cache.tune(0, Tunables { limit, batchcount, shared }, &mut bench.pages);
            }
        }
        bench.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn laws_hold_after_every_operation(
        steps in prop::collection::vec(step(), 1..500),
        object_size in prop_oneof![Just(32_u32), Just(200), Just(700), Just(3000), Just(5000)],
        has_two_nodes in any::<bool>(),
        limits in (0..40_u64, 0..40_u64),
        is_old in any::<bool>(),
        is_rcu in any::<bool>(),
    ) {
        let node_of_cpu = if has_two_nodes { vec![0, 0, 1, 1] } else { vec![0; 4] };
        let left = if has_two_nodes { vec![limits.0, limits.1] } else { vec![limits.0] };
        let flags = if is_rcu { CacheFlags::TYPESAFE_BY_RCU } else { CacheFlags::NONE };
        let release = if is_old { KernelRelease::new(3, 2, 0) } else { RELEASE };
        run(SlabSpec::new(object_size, flags), node_of_cpu, left, release, &steps);
    }
}
