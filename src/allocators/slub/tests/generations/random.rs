//! Whatever the order of operations, in every generation: the laws hold after each, no object is handed out twice, and no
//! counter moves that the release does not have.

use proptest::sample::{Index, select};

use super::*;

const RELEASES: [Release; 26] = [
    (2, 6),
    (3, 0),
    (3, 1),
    (3, 2),
    (3, 5),
    (3, 6),
    (3, 10),
    (3, 16),
    (3, 19),
    (4, 0),
    (4, 4),
    (5, 4),
    (5, 10),
    (5, 12),
    (5, 14),
    (5, 15),
    (5, 16),
    (6, 0),
    (6, 1),
    (6, 7),
    (6, 8),
    (6, 12),
    (6, 18),
    (7, 0),
    (7, 2),
    (7, 3),
];

const MACHINES: [&[u16]; 6] = [&[0], &[0, 0], &[0, 1], &[0, 0, 0], &[0, 0, 1], &[1, 0, 1]];

#[derive(Debug, Clone)]
enum Op {
    Alloc { cpu: u16, node: Option<u16>, this_node_only: bool },
    AllocBulk { cpu: u16, count: usize },
    Free { cpu: u16, pick: Index },
    FreeList { cpu: u16, pick: Index, count: usize },
    Flush { cpu: u16 },
    Shrink,
    Refuse(Refuse),
}

fn op() -> impl Strategy<Value = Op> {
    let cpu = || 0_u16..3;
    let pick = any::<Index>;
    let refuse = select(vec![Refuse::Nothing, Refuse::Nothing, Refuse::HigherOrders, Refuse::Everything, Refuse::Node(1)]);
    prop_oneof![
        60 => (cpu(), prop::option::weighted(0.2, 0_u16..3), any::<bool>())
            .prop_map(|(cpu, node, this_node_only)| Op::Alloc { cpu, node, this_node_only }),
        45 => (cpu(), pick()).prop_map(|(cpu, pick)| Op::Free { cpu, pick }),
        8 => (cpu(), pick(), 1_usize..9).prop_map(|(cpu, pick, count)| Op::FreeList { cpu, pick, count }),
        2 => (cpu(), 0_usize..12).prop_map(|(cpu, count)| Op::AllocBulk { cpu, count }),
        2 => cpu().prop_map(|cpu| Op::Flush { cpu }),
        1 => Just(Op::Shrink),
        2 => refuse.prop_map(Op::Refuse),
    ]
}

#[derive(Default)]
struct Tally {
    live: BTreeSet<Object>,
    /// Single allocations and those that failed.
    allocs: u64,
    failed: u64,
    /// Objects by bulk allocations, of which only later releases count all.
    has_bulk: bool,
    bulk: u64,
    /// Calls that freed, and the objects of lists beyond the first each, by the path taken.
    free_calls: u64,
    fast_more: u64,
    slow_more: u64,
}

impl Tally {
    fn step(&mut self, rig: &mut Rig, op: &Op) -> Result<(), TestCaseError> {
        let cpus = rig.cache.topology.cpus();
        let (cache, pages) = (&mut rig.cache, &mut rig.pages);
        match *op {
            Op::Alloc { cpu, node, this_node_only } => {
                self.allocs += 1;
                let request = AllocRequest { node, this_node_only, ..AllocRequest::on(cpu % cpus) };
                match cache.alloc(request, pages) {
                    Some((object, _)) => prop_assert!(self.live.insert(object), "handed out twice: {object:?}"),
                    None => self.failed += 1,
                }
            }
            Op::AllocBulk { cpu, count } => {
                // A failed one frees what it got, which only a test of its own can follow.
                if matches!(pages.refuse, Refuse::Everything | Refuse::HigherOrders) {
                    return Ok(());
                }
                let mut got = Vec::new();
                prop_assert!(cache.alloc_bulk(cpu % cpus, Caller::Blocking, count, &mut got, pages));
                prop_assert_eq!(got.len(), count);
                self.has_bulk = true;
                self.bulk += got.len() as u64;
                for object in got {
                    prop_assert!(self.live.insert(object), "handed out twice: {object:?}");
                }
            }
            Op::Free { cpu, pick } if !self.live.is_empty() => {
                let object = *self.live.iter().nth(pick.index(self.live.len())).unwrap();
                self.live.remove(&object);
                cache.free(cpu % cpus, object, pages);
                self.free_calls += 1;
            }
            Op::FreeList { cpu, pick, count } if !self.live.is_empty() => {
                let slab = self.live.iter().nth(pick.index(self.live.len())).unwrap().slab;
                let objects: Vec<Object> = self.live.iter().filter(|object| object.slab == slab).take(count).copied().collect();
                self.live.retain(|object| !objects.contains(object));
                let list: Vec<ObjectIndex> = objects.iter().rev().map(|object| object.index).collect();
                let before = cache.total(FreeSlowpath);
                cache.free_list(cpu % cpus, slab, &list, pages);
                let more = list.len() as u64 - 1;
                if cache.total(FreeSlowpath) > before {
                    self.slow_more += more
                } else {
                    self.fast_more += more
                }
                self.free_calls += 1;
            }
            Op::Flush { cpu } => cache.flush_cpu(cpu % cpus, pages),
            Op::Shrink => cache.shrink(pages),
            Op::Refuse(refuse) => pages.refuse = refuse,
            Op::Free { .. } | Op::FreeList { .. } => {}
        }
        Ok(())
    }

    /// Sums of counters: slub-paths.md 3 and 6.2.
    fn check_sums(&self, rig: &Rig) -> Result<(), TestCaseError> {
        let total = |counter| rig.cache.total(counter);
        let got = total(AllocFastpath) + total(AllocSlowpath);
        match rig.release {
            // Only what comes of it.
            (2, _) | (3, 0) if !self.has_bulk => prop_assert_eq!(got, self.allocs - self.failed),
            (3, 1..19) => {}
            release if release >= (6, 8) => prop_assert_eq!(got, self.allocs + self.bulk),
            release if release >= (3, 19) && !self.has_bulk => prop_assert_eq!(got, self.allocs),
            _ => {}
        }
        let freed = total(FreeFastpath) + total(FreeSlowpath);
        let objects = match rig.release {
            release if release >= (7, 0) => self.fast_more + self.slow_more,
            release if release >= (6, 8) => self.fast_more,
            _ => 0,
        };
        prop_assert_eq!(freed, self.free_calls + objects);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn every_generation_keeps_the_laws(
        release in select(RELEASES.to_vec()),
        nodes in select(MACHINES.to_vec()),
        kind in select(vec![CacheKind::CpuPartial, CacheKind::CpuPartial, CacheKind::CpuSlab, CacheKind::Debug]),
        (objects, min_objects) in select(vec![(1, 1), (2, 1), (6, 3), (7, 7)]),
        (cpu_partial, cpu_partial_slabs, min_partial) in (0_u32..7, 0_u32..4, 0_u32..3),
        ops in prop::collection::vec(op(), 1..250),
    ) {
        let layout = CacheLayout {
            order: 1, objects, min_order: u32::from(objects == min_objects), min_objects,
            cpu_partial, cpu_partial_slabs, min_partial, sheaf_capacity: 0, ..layout(64)
        };
        let mut rig = Rig::with(release, kind, nodes, layout);
        let foreign: Vec<Counter> = {
            let own = Counter::of(release_of(release));
            Counter::ALL.into_iter().filter(|counter| !own.contains(counter)).collect()
        };
        let mut tally = Tally::default();
        for op in &ops {
            tally.step(&mut rig, op)?;
            if let Err(violation) = rig.cache.validate(Some(tally.live.len() as u64)) {
                return Err(TestCaseError::fail(format!("{op:?}: {violation}")));
            }
            for &counter in &foreign {
                prop_assert_eq!(rig.cache.total(counter), 0, "{} after {:?}", counter.name(), op);
            }
            tally.check_sums(&rig)?;
        }
        let rest: Vec<Object> = tally.live.iter().copied().collect();
        for object in rest {
            rig.cache.free(0, object, &mut rig.pages);
        }
        rig.cache.shrink(&mut rig.pages);
        prop_assert_eq!(rig.cache.slab_count(), 0);
        rig.cache.validate(Some(0)).unwrap();
    }
}
