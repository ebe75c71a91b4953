//! Scenarios worked out by hand, and random operations against a plain map.

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::sizing::{Build, CacheFlags, CacheLayout, CacheSpec, Kernel, KernelRelease, Machine};
use super::*;
use crate::mem::UnlimitedPages;

mod generations;

fn kernel() -> Kernel {
    let release = KernelRelease { major: 6, minor: 12, patch: 0 };
    Kernel::new(release, Machine::x86_64(4), Build::default())
}

fn layout(object_size: u32) -> CacheLayout {
    CacheLayout::calculate(&kernel(), &CacheSpec::new(object_size, CacheFlags::NONE)).unwrap()
}

fn cache(layout: CacheLayout, cpus: u16) -> Cache {
    Cache::new(0, layout, CacheKind::CpuPartial, Rules::of(kernel().release), &Topology::uniform(cpus))
}

/// An object, however it was served.
fn take(cache: &mut Cache, request: AllocRequest, pages: &mut dyn crate::mem::PageSource) -> Object {
    cache.alloc(request, pages).unwrap().0
}

fn totals(cache: &Cache) -> Vec<(&'static str, u64)> {
    Counter::ALL.into_iter().map(|counter| (counter.name(), cache.total(counter))).filter(|(_, value)| *value > 0).collect()
}

/// slub-paths.md 20.1, column "G3, G4 without sheaves".
#[test]
fn fill_a_slab_and_one_more_then_free_in_order() {
    let mut pages = UnlimitedPages::default();
    let layout = layout(192);
    let n = u64::from(layout.objects);
    let mut cache = cache(layout, 1);
    let objects: Vec<Object> = (0..=n).map(|_| take(&mut cache, AllocRequest::on(0), &mut pages)).collect();
    for object in objects {
        cache.free(0, object, &mut pages);
    }
    assert_eq!(
        totals(&cache),
        [
            ("alloc_fastpath", n - 1),
            ("alloc_slowpath", 2),
            ("free_fastpath", 1),
            ("free_slowpath", n),
            ("alloc_slab", 2),
            ("deactivate_bypass", 1),
            ("cpu_partial_free", 1),
        ]
    );
    let gauges = cache.gauges();
    assert_eq!((gauges.slabs, gauges.partial, gauges.cpu_slabs, gauges.objects), (2, 0, 2, 2 * n));
    cache.validate(Some(0)).unwrap();

    cache.flush_cpu(0, &mut pages);
    let flushed = ["cpuslab_flush", "deactivate_to_head", "free_add_partial", "deactivate_empty"];
    let values: Vec<u64> =
        flushed.map(|name| totals(&cache).iter().find(|(found, _)| *found == name).map_or(0, |(_, value)| *value)).to_vec();
    assert_eq!(values, [1, 1, 1, 0]);
    cache.shrink(&mut pages);
    assert_eq!((cache.slab_count(), cache.total(Counter::FreeSlab)), (0, 0));
    cache.validate(Some(0)).unwrap();
}

/// slub-paths.md 20.2 with a CPU partial limit of 4.
#[test]
fn slabs_travel_through_the_cpu_partial_list() {
    let mut pages = UnlimitedPages::default();
    let layout = CacheLayout { cpu_partial_slabs: 4, ..layout(192) };
    let n = layout.objects as usize;
    let mut cache = cache(layout, 1);
    let objects: Vec<Object> = (0..5 * n + 1).map(|_| take(&mut cache, AllocRequest::on(0), &mut pages)).collect();
    let first_of = |slab: usize| objects[slab * n];
    for slab in 0..5 {
        cache.free(0, first_of(slab), &mut pages);
    }
    assert_eq!(
        (cache.total(Counter::CpuPartialFree), cache.total(Counter::CpuPartialDrain), cache.total(Counter::FreeAddPartial)),
        (5, 1, 4)
    );
    assert_eq!((cache.partial_count(), cache.cpu_partial_count()), (4, 1));
    for _ in 0..n - 1 {
        cache.alloc(AllocRequest::on(0), &mut pages);
    }
    // The one free object of the fifth slab, then the slab nearest the head: the fourth.
    assert_eq!(take(&mut cache, AllocRequest::on(0), &mut pages), first_of(4));
    assert_eq!((cache.total(Counter::CpuPartialAlloc), cache.total(Counter::AllocRefill)), (1, 0));
    assert_eq!(take(&mut cache, AllocRequest::on(0), &mut pages), first_of(3));
    assert_eq!((cache.total(Counter::AllocFromPartial), cache.total(Counter::CpuPartialNode), cache.partial_count()), (1, 3, 0));
    // The last slab moved is used first.
    let rest: Vec<Object> = (0..3).map(|_| take(&mut cache, AllocRequest::on(0), &mut pages)).collect();
    assert_eq!(rest, [first_of(0), first_of(1), first_of(2)]);
    cache.validate(None).unwrap();
}

/// slub-paths.md 10.1: remote frees decide the end of the list; a kept empty slab is not `deactivate_empty`.
#[test]
fn deactivation_goes_to_the_tail_after_remote_frees() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache(layout(192), 2);
    let object = take(&mut cache, AllocRequest::on(0), &mut pages);
    cache.free(1, object, &mut pages);
    assert_eq!(cache.total(Counter::FreeFrozen), 1);
    cache.flush_cpu(0, &mut pages);
    assert_eq!(
        (cache.total(Counter::DeactivateRemoteFrees), cache.total(Counter::DeactivateToTail), cache.total(Counter::DeactivateEmpty)),
        (1, 1, 0)
    );
    cache.validate(Some(0)).unwrap();
}

/// slub-paths.md 6.4 and 10.2: a request for another node gives the cpu slab up.
#[test]
fn a_node_mismatch_deactivates_the_cpu_slab() {
    let mut pages = UnlimitedPages::default();
    let topology = Topology::new(vec![0, 1]);
    let mut cache = Cache::new(0, layout(192), CacheKind::CpuPartial, Rules::of(kernel().release), &topology);
    take(&mut cache, AllocRequest::on(0), &mut pages);
    let remote = AllocRequest { node: Some(1), ..AllocRequest::on(0) };
    let object = take(&mut cache, remote, &mut pages);
    assert_eq!(cache.slabs[object.slab].pages.node, 1);
    let seen = ["alloc_node_mismatch", "deactivate_to_head", "alloc_slab"]
        .map(|name| totals(&cache).iter().find(|(found, _)| *found == name).map(|(_, value)| *value));
    assert_eq!(seen, [Some(1), Some(1), Some(2)]);
    cache.validate(Some(2)).unwrap();
}

/// A page source that refuses everything above order 0.
struct SinglePages(UnlimitedPages);

impl crate::mem::PageSource for SinglePages {
    fn alloc(&mut self, request: crate::mem::PageRequest) -> Option<crate::mem::Pages> {
        if request.order > 0 { None } else { self.0.alloc(request) }
    }
    fn free(&mut self, pages: crate::mem::Pages) {
        self.0.free(pages);
    }
}

/// slub-paths.md 5.1: the fallback slab has the objects of the minimum order.
#[test]
fn a_refused_order_falls_back_to_the_minimum() {
    let mut pages = SinglePages(UnlimitedPages::default());
    let layout = layout(1024);
    assert_eq!((layout.order, layout.min_order, layout.min_objects), (2, 0, 4));
    let mut cache = cache(layout, 1);
    for _ in 0..5 {
        take(&mut cache, AllocRequest::on(0), &mut pages);
    }
    assert_eq!((cache.total(Counter::OrderFallback), cache.total(Counter::AllocSlab), cache.gauges().total_objects), (2, 2, 8));
    assert_eq!(cache.slab_bytes(4096), 8192);
    cache.validate(Some(5)).unwrap();
}

/// A list freed at once counts its objects on the fast path and one call on the slow path.
#[test]
fn detached_lists_count_objects_or_calls() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache(layout(192), 2);
    let objects: Vec<Object> = (0..6).map(|_| take(&mut cache, AllocRequest::on(0), &mut pages)).collect();
    let slab = objects[0].slab;
    cache.free_list(0, slab, &[0, 1, 2], &mut pages);
    cache.free_list(1, slab, &[3, 4, 5], &mut pages);
    assert_eq!((cache.total(Counter::FreeFastpath), cache.total(Counter::FreeSlowpath), cache.total(Counter::FreeFrozen)), (3, 1, 1));
    assert_eq!(take(&mut cache, AllocRequest::on(0), &mut pages), Object { slab, index: 0 });
    cache.validate(Some(1)).unwrap();
}

#[test]
fn seeded_slabs_are_used_in_their_order() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache(layout(192), 1);
    let at = |pfn| crate::mem::Pages { pfn, order: 0, node: 0 };
    let own = cache.seed(&Seed { pages: at(1), free: vec![5, 3, 3, 999], own: None, place: SeedPlace::Cpu(0) });
    let parked = cache.seed(&Seed { pages: at(2), free: vec![7], own: None, place: SeedPlace::NodePartial });
    let full = cache.seed(&Seed { pages: at(3), free: vec![], own: None, place: SeedPlace::NodePartial });
    assert_eq!(cache.slabs[full].place, Place::Full);
    let got: Vec<Object> = (0..3).map(|_| take(&mut cache, AllocRequest::on(0), &mut pages)).collect();
    assert_eq!(got, [Object { slab: own, index: 5 }, Object { slab: own, index: 3 }, Object { slab: parked, index: 7 }]);
    assert_eq!(cache.total(Counter::AllocSlab), 0);
    cache.validate(None).unwrap();
}

#[derive(Debug, Clone)]
enum Op {
    Alloc { cpu: u16, node: Option<u16> },
    Free { cpu: u16, pick: prop::sample::Index },
    FreeSlabOf { cpu: u16, pick: prop::sample::Index },
    Flush { cpu: u16 },
    Shrink,
}

fn op() -> impl Strategy<Value = Op> {
    let cpu = 0_u16..4;
    prop_oneof![
        60 => (cpu.clone(), prop::option::weighted(0.1, 0_u16..2)).prop_map(|(cpu, node)| Op::Alloc { cpu, node }),
        50 => (cpu.clone(), any::<prop::sample::Index>()).prop_map(|(cpu, pick)| Op::Free { cpu, pick }),
        5 => (cpu.clone(), any::<prop::sample::Index>()).prop_map(|(cpu, pick)| Op::FreeSlabOf { cpu, pick }),
        1 => cpu.prop_map(|cpu| Op::Flush { cpu }),
        1 => Just(Op::Shrink),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Whatever the order of operations: no object is handed out twice, the laws hold after every
    /// operation, calls and objects add up, and everything comes back after freeing all and shrinking.
    #[test]
    fn random_operations_keep_the_laws(ops in prop::collection::vec(op(), 1..600), object_size in prop::sample::select(vec![64_u32, 700, 1024, 4096]), limit in 0_u32..5, new_rules: bool) {
        let mut pages = UnlimitedPages::default();
        let layout = CacheLayout { cpu_partial_slabs: limit, min_partial: 2, ..layout(object_size) };
        let release = KernelRelease { major: 6, minor: if new_rules { 12 } else { 8 }, patch: 0 };
        let mut cache = Cache::new(0, layout, CacheKind::CpuPartial, Rules::of(release), &Topology::new(vec![0, 0, 1, 1]));
        let mut live: BTreeSet<Object> = BTreeSet::new();
        let (mut allocs, mut frees, mut slow_list_objects) = (0, 0, 0);
        for op in ops {
            match op {
                Op::Alloc { cpu, node } => {
                    let object = take(&mut cache, AllocRequest { node, ..AllocRequest::on(cpu) }, &mut pages);
                    prop_assert!(live.insert(object), "handed out twice: {object:?}");
                    allocs += 1;
                }
                Op::Free { cpu, pick } if !live.is_empty() => {
                    let object = *live.iter().nth(pick.index(live.len())).unwrap();
                    live.remove(&object);
                    cache.free(cpu, object, &mut pages);
                    frees += 1;
                }
                Op::FreeSlabOf { cpu, pick } if !live.is_empty() => {
                    let slab = live.iter().nth(pick.index(live.len())).unwrap().slab;
                    let list: Vec<ObjectIndex> = live.iter().filter(|object| object.slab == slab).map(|object| object.index).collect();
                    live.retain(|object| object.slab != slab);
                    let before = cache.total(Counter::FreeSlowpath);
                    cache.free_list(cpu, slab, &list, &mut pages);
                    frees += list.len() as u64;
                    slow_list_objects += (list.len() as u64 - 1) * (cache.total(Counter::FreeSlowpath) - before);
                }
                Op::Flush { cpu } => cache.flush_cpu(cpu, &mut pages),
                Op::Shrink => cache.shrink(&mut pages),
                Op::Free { .. } | Op::FreeSlabOf { .. } => {}
            }
            cache.validate(Some(live.len() as u64)).unwrap();
        }
        prop_assert_eq!(cache.total(Counter::AllocFastpath) + cache.total(Counter::AllocSlowpath), allocs);
        prop_assert_eq!(cache.total(Counter::FreeFastpath) + cache.total(Counter::FreeSlowpath) + slow_list_objects, frees);
        for object in live {
            cache.free(0, object, &mut pages);
        }
        cache.shrink(&mut pages);
        prop_assert_eq!(cache.slab_count(), 0);
        cache.validate(Some(0)).unwrap();
    }
}
