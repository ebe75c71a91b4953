//! Scenarios of slub-paths.md 20.3, 20.4 and 22 worked out by hand, the differences between releases, and random operations.

use std::collections::BTreeMap;

use super::super::sizing::{Build, CacheFlags, CacheLayout, CacheSpec, Kernel, KernelRelease, Machine};
use super::super::*;
use super::*;
use crate::mem::{PageRequest, Pages, UnlimitedPages};

mod random;
mod releases;

const ALL_7: [(u32, u32); 4] = [(7, 0), (7, 1), (7, 2), (7, 3)];

/// A cache of slabs of `objects` objects and sheaves of `capacity`; a node per CPU given, a minimum of 5 partial slabs.
fn cache_of(release: (u32, u32), capacity: u32, objects: u32, nodes: &[u16]) -> Cache {
    cache_with(release, nodes, |layout| CacheLayout { sheaf_capacity: capacity, objects, min_objects: objects, ..layout })
}

fn cache_with(release: (u32, u32), nodes: &[u16], change: impl FnOnce(CacheLayout) -> CacheLayout) -> Cache {
    let release = KernelRelease::new(release.0, release.1, 0);
    let kernel = Kernel::new(release, Machine::x86_64(4), Build::default());
    let layout = CacheLayout::calculate(&kernel, &CacheSpec::new(192, CacheFlags::NONE)).unwrap();
    assert_eq!(layout.min_partial, 5);
    Cache::new(0, change(layout), CacheKind::CpuPartial, Rules::of(release), &Topology::new(nodes.to_vec()))
}

fn take(cache: &mut Cache, cpu: u16, pages: &mut dyn PageSource) -> Object {
    cache.alloc(AllocRequest::on(cpu), pages).unwrap().0
}

fn take_many(cache: &mut Cache, cpu: u16, count: usize, pages: &mut dyn PageSource) -> Vec<Object> {
    (0..count).map(|_| take(cache, cpu, pages)).collect()
}

/// Checks all counters: those not named are 0.
#[track_caller]
fn assert_counts(cache: &Cache, expected: &[(Counter, u64)]) {
    let seen: BTreeMap<&str, u64> =
        Counter::ALL.into_iter().map(|counter| (counter.name(), cache.total(counter))).filter(|(_, value)| *value > 0).collect();
    let expected: BTreeMap<&str, u64> =
        expected.iter().map(|&(counter, value)| (counter.name(), value)).filter(|(_, value)| *value > 0).collect();
    assert_eq!(seen, expected);
}

/// A seeded slab on its node's list; returns its free objects.
fn seed(cache: &mut Cache, pfn: u64, node: u16, free: &[ObjectIndex]) -> Vec<Object> {
    let pages = Pages { pfn, order: cache.layout.order as u8, node };
    let slab = cache.seed(&Seed { pages, free: free.to_vec(), own: None, place: SeedPlace::NodePartial });
    free.iter().map(|&index| Object { slab, index }).collect()
}

/// Objects of a new slab that are in use for it.
fn seed_used(cache: &mut Cache, pfn: u64, node: u16) -> Vec<Object> {
    let pages = Pages { pfn, order: cache.layout.order as u8, node };
    let slab = cache.seed(&Seed { pages, free: vec![], own: None, place: SeedPlace::NodePartial });
    (0..cache.layout.objects as u16).map(|index| Object { slab, index }).collect()
}

fn freelist(cache: &Cache, slab: SlabId) -> Vec<ObjectIndex> {
    cache.slabs.chain(slab, cache.slabs[slab].freelist).collect()
}

fn node_list(cache: &Cache, node: usize) -> Vec<SlabId> {
    cache.nodes[node].iter(&cache.slabs).collect()
}

/// Sheaves in the barn of a node: full, empty.
fn barn(cache: &Cache, node: usize) -> (usize, usize) {
    let barn = &cache.sheaves.as_ref().unwrap().barns[node];
    (barn.full.len(), barn.empty.len())
}

/// Objects in the sheaves of a CPU: main, spare, rcu_free.
fn held(cache: &Cache, cpu: usize) -> (usize, Option<usize>, Option<usize>) {
    let own = &cache.sheaves.as_ref().unwrap().cpus[cpu];
    let size = |sheaf: &Option<Sheaf>| sheaf.as_ref().map(|sheaf| sheaf.objects.len());
    (own.main.objects.len(), size(&own.spare), size(&own.rcu_free))
}

/// Pages that can run out.
#[derive(Default)]
struct LimitedPages {
    source: UnlimitedPages,
    slabs: usize,
}

impl PageSource for LimitedPages {
    fn alloc(&mut self, request: PageRequest) -> Option<Pages> {
        self.slabs = self.slabs.checked_sub(1)?;
        self.source.alloc(request)
    }
    fn free(&mut self, pages: Pages) {
        self.source.free(pages);
    }
}

/// 20.3 with C = 60, N = 21, one CPU.
#[test]
fn three_sheaves_out_and_back() {
    for release in ALL_7 {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 60, 21, &[0]);
        cache.created_on(0);
        assert_counts(&cache, &[(Counter::SheafAlloc, 1)]);
        let objects = take_many(&mut cache, 0, 180, &mut pages);
        // The refills use up what the one before left of its last slab: no surplus, so nothing to count in 7.0 and 7.1 either.
        assert_counts(
            &cache,
            &[
                (Counter::AllocFastpath, 180),
                (Counter::BarnGetFail, 3),
                (Counter::SheafRefill, 180),
                (Counter::SheafAlloc, 2),
                (Counter::AllocSlab, 9),
            ],
        );
        assert_eq!((cache.gauges().objects, cache.gauges().total_objects, cache.gauges().partial), (180, 189, 1));
        cache.validate(Some(180)).unwrap();
        for object in objects {
            assert!(!cache.free(0, object, &mut pages), "no slab is touched");
        }
        assert_counts(
            &cache,
            &[
                (Counter::AllocFastpath, 180),
                (Counter::BarnGetFail, 3),
                (Counter::SheafRefill, 180),
                (Counter::SheafAlloc, 3),
                (Counter::AllocSlab, 9),
                (Counter::FreeFastpath, 180),
                (Counter::BarnPut, 1),
            ],
        );
        assert_eq!((held(&cache, 0), barn(&cache, 0)), ((60, Some(60), None), (1, 0)));
        assert_eq!((cache.gauges().objects, cache.gauges().cpu_slabs, cache.parked_objects().total()), (180, 0, 180));
        cache.validate(Some(0)).unwrap();
    }
}

/// 20.4 with N = 21: blocking and atomic.
#[test]
fn sheaves_of_6_18_are_refilled_through_the_cpu_slab() {
    for release in [(6, 18), (6, 19)] {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 32, 21, &[0]);
        cache.created_on(0);
        take(&mut cache, 0, &mut pages);
        assert_counts(
            &cache,
            &[
                (Counter::BarnGetFail, 1),
                (Counter::SheafAlloc, 2),
                (Counter::SheafRefill, 32),
                (Counter::AllocSlowpath, 2),
                (Counter::AllocSlab, 2),
                (Counter::AllocFastpath, 30),
                (Counter::DeactivateBypass, 1),
                (Counter::AllocCpuSheaf, 1),
            ],
        );
        // The old main is in the barn, not a spare.
        assert_eq!((held(&cache, 0), barn(&cache, 0), cache.gauges().cpu_slabs), ((31, None, None), (0, 1), 1));
        cache.validate(Some(1)).unwrap();

        let mut cache = cache_of(release, 32, 21, &[0]);
        let atomic = AllocRequest { caller: Caller::Atomic, ..AllocRequest::on(0) };
        let object = cache.alloc(atomic, &mut pages).unwrap().0;
        cache.alloc(atomic, &mut pages).unwrap();
        cache.free(0, object, &mut pages);
        assert_counts(
            &cache,
            &[
                (Counter::BarnGetFail, 2),
                (Counter::AllocSlowpath, 1),
                (Counter::AllocFastpath, 1),
                (Counter::AllocSlab, 1),
                (Counter::FreeCpuSheaf, 1),
            ],
        );
        cache.validate(Some(1)).unwrap();
    }
}

/// Without a capacity asked for, 6.18 is as 6.17.
#[test]
fn caches_of_6_18_without_a_capacity_have_no_sheaves() {
    assert!(cache_of((6, 18), 0, 21, &[0]).sheaves.is_none());
    assert!(cache_of((6, 17), 32, 21, &[0]).sheaves.is_none());
    assert!(cache_of((6, 17), 32, 21, &[0]).parked_objects().total() == 0);
}

/// The example of 22.4.
#[test]
fn refills_share_slabs() {
    for release in [(7, 2), (7, 3)] {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 60, 21, &[0]);
        for refill in 1..=7_u64 {
            let first = take(&mut cache, 0, &mut pages);
            let last = u64::from(first.index);
            // Emptied from the top: the first handed out is the last one that was taken off a slab.
            assert_eq!(last, (60 * refill - 1) % 21, "refill {refill}");
            assert_eq!(cache.total(Counter::AllocSlab), (60 * refill).div_ceil(21), "refill {refill}");
            let free = cache.gauges().total_objects - cache.gauges().objects;
            assert_eq!(free, (60 * refill).div_ceil(21) * 21 - 60 * refill, "refill {refill}");
            take_many(&mut cache, 0, 59, &mut pages);
        }
        assert_eq!(cache.total(Counter::FreeAddPartial), 0);
        cache.validate(Some(420)).unwrap();
    }
}

/// 22.2, note: a fresh slab with C <= N is handed out from object C - 1 down to 0.
#[test]
fn a_refill_is_handed_out_backwards() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 21, &[0]);
    let indices: Vec<u16> = take_many(&mut cache, 0, 8, &mut pages).iter().map(|object| object.index).collect();
    assert_eq!(indices, [3, 2, 1, 0, 7, 6, 5, 4]);
}

/// 22.5 P4 to P6: a CPU that only frees fills the barn, then flushes the older of its two full sheaves.
#[test]
fn a_freeing_cpu_fills_the_barn_then_flushes() {
    for release in ALL_7 {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 4, 3, &[0, 0]);
        let objects = take_many(&mut cache, 1, 64, &mut pages);
        let made = cache.total(Counter::SheafAlloc);
        assert_eq!(made, 1);
        for &object in &objects[..48] {
            cache.free(0, object, &mut pages);
        }
        let figures = |cache: &Cache| {
            [Counter::SheafAlloc, Counter::BarnPut, Counter::BarnPutFail, Counter::SheafFlush, Counter::FreeFastpath]
                .map(|counter| cache.total(counter))
        };
        assert_eq!(figures(&cache), [made + 11, 10, 0, 0, 48]);
        // The spare still holds the first four, and they go first.
        assert!(cache.free(0, objects[48], &mut pages), "slabs are touched");
        assert_eq!(figures(&cache), [made + 11, 10, 1, 4, 49]);
        for object in &objects[..4] {
            assert!(freelist(&cache, object.slab).contains(&object.index));
        }
        for &object in &objects[49..] {
            cache.free(0, object, &mut pages);
        }
        assert_eq!(figures(&cache), [made + 11, 10, 4, 16, 64]);
        assert_eq!((cache.total(Counter::FreeSlowpath), barn(&cache, 0), held(&cache, 0)), (0, (10, 0), (4, Some(4), None)));
        assert_eq!(cache.parked_objects(), ParkedObjects { cpus: vec![8, 0], barns: vec![40], rcu: 0, prefilled: 0 });
        cache.validate(Some(0)).unwrap();
    }
}

/// 22.5 P4 and P5.2, 22.2 A5: sheaves go round through the barn without being made.
#[test]
fn sheaves_go_round_through_the_barn() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 8, &[0, 0]);
    let objects = seed_used(&mut cache, 1, 0);
    assert!(cache.seed_sheaf(SheafPlace::Barn(0), &[]));
    assert!(cache.seed_sheaf(SheafPlace::Barn(0), &[]));
    for &object in &objects[..5] {
        cache.free(0, object, &mut pages);
    }
    // P4: the spare came from the barn.
    assert_eq!((held(&cache, 0), barn(&cache, 0)), ((1, Some(4), None), (0, 1)));
    assert_counts(&cache, &[(Counter::FreeFastpath, 5)]);
    let more = seed_used(&mut cache, 2, 0);
    for &object in objects[5..].iter().chain(&more[..1]) {
        cache.free(0, object, &mut pages);
    }
    // P5.2: main, not the spare, went into the barn.
    assert_eq!((held(&cache, 0), barn(&cache, 0)), ((1, Some(4), None), (1, 0)));
    assert_counts(&cache, &[(Counter::FreeFastpath, 9), (Counter::BarnPut, 1)]);
    // A5 on another CPU: full out, empty in; handed out from the top.
    assert_eq!(take(&mut cache, 1, &mut pages), objects[7]);
    assert_eq!(barn(&cache, 0), (0, 1));
    assert_counts(&cache, &[(Counter::FreeFastpath, 9), (Counter::BarnPut, 1), (Counter::BarnGet, 1), (Counter::AllocFastpath, 1)]);
    // A4: main first, then the spare is swapped in, uncounted.
    assert_eq!(take(&mut cache, 0, &mut pages), more[0]);
    assert_eq!(take(&mut cache, 0, &mut pages), objects[3]);
    assert_eq!(held(&cache, 0), (3, Some(0), None));
    cache.validate(None).unwrap();
}

/// 22.5 P6 without memory: main is flushed instead, 32 objects at a time, each batch from its top.
#[test]
fn without_memory_for_a_sheaf_main_is_flushed() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 40, 48, &[0]);
    cache.set_sheaf_memory(false);
    let objects = seed_used(&mut cache, 1, 0);
    for &object in &objects[..41] {
        cache.free(0, object, &mut pages);
    }
    assert_counts(&cache, &[(Counter::FreeFastpath, 41), (Counter::SheafFlush, 40), (Counter::FreeAddPartial, 1)]);
    // Lists are as built: what was found last, the lowest, at the head; the batch of 8 before the batch of 32.
    let expected: Vec<u16> = (0..8).chain(8..40).collect();
    assert_eq!(freelist(&cache, objects[0].slab), expected);
    assert_eq!(held(&cache, 0), (1, None, None));
    cache.validate(None).unwrap();
    // With a full spare and no empty sheaf in the barn it counts as a failure to put.
    let mut cache = cache_of((7, 2), 4, 48, &[0]);
    cache.set_sheaf_memory(false);
    let objects = seed_used(&mut cache, 1, 0);
    assert!(cache.seed_sheaf(SheafPlace::Main(0), &objects[..4]));
    assert!(cache.seed_sheaf(SheafPlace::Spare(0), &objects[4..8]));
    cache.free(0, objects[8], &mut pages);
    let expected = [(Counter::FreeFastpath, 1), (Counter::SheafFlush, 4), (Counter::FreeAddPartial, 1), (Counter::BarnPutFail, 1)];
    assert_counts(&cache, &expected);
    assert_eq!((held(&cache, 0), barn(&cache, 0)), ((1, Some(4), None), (0, 0)));
    cache.validate(None).unwrap();
}

/// 22.2 A7 without memory, and A8 with too few objects: what was found is flushed, and the request goes to slabs.
#[test]
fn a_failed_refill_is_undone() {
    let mut cache = cache_of((7, 2), 8, 3, &[0]);
    let mut pages = LimitedPages { slabs: 2, ..LimitedPages::default() };
    let object = cache.alloc(AllocRequest::on(0), &mut pages);
    assert!(object.is_some(), "from a slab that the failed refill left");
    assert_counts(
        &cache,
        &[
            (Counter::BarnGetFail, 1),
            (Counter::SheafAlloc, 1),
            (Counter::AllocSlab, 2),
            (Counter::SheafRefill, 6),
            (Counter::SheafFlush, 6),
            (Counter::SheafFree, 1),
            // Two full slabs emptied again; fewer than five are on the list, so both stay.
            (Counter::FreeAddPartial, 2),
            (Counter::AllocSlowpath, 1),
        ],
    );
    cache.validate(Some(1)).unwrap();

    // 6.18: all or nothing, so nothing was refilled and nothing flushed.
    let mut cache = cache_of((6, 18), 8, 3, &[0]);
    let mut pages = LimitedPages { slabs: 2, ..LimitedPages::default() };
    assert!(cache.alloc(AllocRequest::on(0), &mut pages).is_some());
    let figures = [Counter::SheafRefill, Counter::SheafFlush, Counter::SheafAlloc, Counter::SheafFree, Counter::AllocCpuSheaf];
    assert_eq!(figures.map(|counter| cache.total(counter)), [0, 0, 1, 1, 0]);
    cache.validate(Some(1)).unwrap();

    let mut cache = cache_of((7, 2), 8, 3, &[0]);
    cache.set_sheaf_memory(false);
    take(&mut cache, 0, &mut UnlimitedPages::default());
    assert_counts(&cache, &[(Counter::BarnGetFail, 1), (Counter::AllocSlowpath, 1), (Counter::AllocSlab, 1)]);
    cache.validate(Some(1)).unwrap();
}

/// 22.3: requests that find nothing count once and get nothing.
#[test]
fn a_request_without_memory_counts_its_slow_path() {
    let mut cache = cache_of((7, 2), 4, 3, &[0, 1]);
    let mut pages = LimitedPages::default();
    assert_eq!(cache.alloc(AllocRequest { node: Some(1), ..AllocRequest::on(0) }, &mut pages), None);
    assert_counts(&cache, &[(Counter::AllocNodeMismatch, 1), (Counter::AllocSlowpath, 1)]);
    cache.validate(Some(0)).unwrap();
}

/// 7.x caches of capacity 0 (6.6, 8.5, 22.2 A3, 22.5 P3).
#[test]
fn capacity_0_goes_to_slabs_one_object_at_a_time() {
    for release in ALL_7 {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 0, 3, &[0]);
        cache.created_on(0);
        let objects = take_many(&mut cache, 0, 4, &mut pages);
        assert_eq!(objects.iter().map(|object| object.index).collect::<Vec<_>>(), [0, 1, 2, 0]);
        assert_counts(&cache, &[(Counter::AllocSlowpath, 4), (Counter::AllocSlab, 2)]);
        assert_eq!(node_list(&cache, 0), [objects[3].slab]);
        // The first free into the full slab puts it at the tail; the last object of it leaves it there, as nodes keep five.
        for &object in &objects[..3] {
            cache.free(0, object, &mut pages);
        }
        assert_eq!(node_list(&cache, 0), [objects[3].slab, objects[0].slab]);
        assert_eq!(cache.free_rcu(0, objects[3], &mut pages), RcuFree::NotTaken);
        cache.kfree_bulk(0, &objects[3..], &mut pages);
        assert_counts(
            &cache,
            &[
                (Counter::AllocSlowpath, 4),
                (Counter::AllocSlab, 2),
                (Counter::FreeSlowpath, 4),
                (Counter::FreeAddPartial, 1),
                (Counter::FreeRcuSheafFail, 1),
            ],
        );
        cache.validate(Some(0)).unwrap();
        let mut bulk = Vec::new();
        assert!(cache.alloc_bulk(0, Caller::Blocking, 5, &mut bulk, &mut pages));
        cache.free_bulk(0, &bulk, &mut pages);
        assert_eq!([Counter::AllocSlowpath, Counter::FreeSlowpath].map(|counter| cache.total(counter)), [9, 9]);
        assert!(cache.destroy(0, &mut pages));
        assert_eq!((cache.slab_count(), cache.total(Counter::SheafFree)), (0, 0));
    }
}

/// 8.5 and 22.7 F5, F6: what an emptied slab does when the node has enough.
#[test]
fn empty_slabs_go_once_the_node_has_enough() {
    let mut pages = UnlimitedPages::default();
    let mut cache =
        cache_with((7, 2), &[0], |layout| CacheLayout { sheaf_capacity: 0, objects: 2, min_objects: 2, min_partial: 1, ..layout });
    let objects = take_many(&mut cache, 0, 4, &mut pages);
    cache.free(0, objects[0], &mut pages);
    // Listed, and the limit includes it.
    cache.free(0, objects[1], &mut pages);
    assert_eq!([Counter::FreeAddPartial, Counter::FreeRemovePartial, Counter::FreeSlab].map(|counter| cache.total(counter)), [1, 1, 1]);
    // Full to empty at once with an empty list: kept.
    cache.free_list(0, objects[2].slab, &[0, 1], &mut pages);
    assert_eq!([Counter::FreeAddPartial, Counter::FreeRemovePartial, Counter::FreeSlab].map(|counter| cache.total(counter)), [2, 1, 1]);
    assert_eq!(cache.total(Counter::FreeSlowpath), 4);
    let more = take_many(&mut cache, 0, 4, &mut pages);
    cache.free(0, more[0], &mut pages);
    // Full to empty at once beside a listed slab: gone without having been listed.
    cache.free_list(0, more[2].slab, &[0, 1], &mut pages);
    assert_eq!([Counter::FreeAddPartial, Counter::FreeRemovePartial, Counter::FreeSlab].map(|counter| cache.total(counter)), [3, 1, 2]);
    cache.validate(Some(1)).unwrap();
}

/// 22.2 A1, A9; 22.4 R4; 22.5 P8 on two nodes.
#[test]
fn nodes() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 8, &[0, 1]);
    let there = AllocRequest { node: Some(1), ..AllocRequest::on(0) };
    let object = cache.alloc(there, &mut pages).unwrap().0;
    assert_eq!(cache.slabs[object.slab].pages.node, 1);
    assert_counts(&cache, &[(Counter::AllocNodeMismatch, 1), (Counter::AllocSlowpath, 1), (Counter::AllocSlab, 1)]);
    // A remote free is not for sheaves.
    cache.free(0, object, &mut pages);
    assert_eq!((cache.total(Counter::FreeSlowpath), cache.total(Counter::FreeFastpath)), (1, 0));
    assert_eq!(cache.free_rcu(0, object, &mut pages), RcuFree::NotTaken);
    assert_eq!(cache.total(Counter::FreeRcuSheafFail), 0);
    // The node has one slab, and has to keep five.
    let local = take(&mut cache, 0, &mut pages);
    assert_eq!((cache.slabs[local.slab].pages.node, cache.total(Counter::AllocSlab)), (0, 2));
    // A request for the own node is served by the sheaf.
    cache.alloc(AllocRequest { node: Some(0), ..AllocRequest::on(0) }, &mut pages).unwrap();
    assert_eq!((cache.total(Counter::AllocFastpath), cache.total(Counter::AllocNodeMismatch)), (2, 1));
    cache.validate(Some(2)).unwrap();

    let mut cache =
        cache_with((7, 2), &[0, 1], |layout| CacheLayout { sheaf_capacity: 4, objects: 8, min_objects: 8, min_partial: 1, ..layout });
    let first = seed(&mut cache, 1, 1, &[0, 1, 2, 3, 4, 5]);
    let second = seed(&mut cache, 2, 1, &[0, 1]);
    let got = take(&mut cache, 0, &mut pages);
    // Two slabs are more than one: the refill takes from the other node, the rest to that node's tail.
    assert_eq!(got, first[3]);
    assert_eq!(node_list(&cache, 1), [second[0].slab, first[0].slab]);
    assert_counts(&cache, &[(Counter::BarnGetFail, 1), (Counter::SheafAlloc, 1), (Counter::SheafRefill, 4), (Counter::AllocFastpath, 1)]);
    // The sheaf's top is of the wrong node now.
    cache.alloc(AllocRequest { node: Some(0), this_node_only: true, ..AllocRequest::on(0) }, &mut pages).unwrap();
    assert_eq!([Counter::AllocNodeMismatch, Counter::AllocSlowpath, Counter::AllocSlab].map(|counter| cache.total(counter)), [1, 1, 1]);
    assert_eq!(held(&cache, 0).0, 3);
    cache.validate(None).unwrap();
}

/// 12.1: the example of the specification, and what the free hook makes of the lists.
#[test]
fn detached_lists() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 60, 8, &[0]);
    let [a, b, c] = [1, 2, 3].map(|pfn| seed_used(&mut cache, pfn, 0));
    let mut array = vec![a[1], b[1], a[2], c[1], a[3]];
    let mut list = Vec::new();
    let mut groups = Vec::new();
    while let Some(slab) = bulk::detach(&mut array, &mut list) {
        groups.push((slab, list.clone()));
    }
    assert_eq!(groups, [(a[0].slab, vec![3, 2, 1]), (b[0].slab, vec![1]), (c[0].slab, vec![1])]);
    // The third foreign pointer ends a round: the fourth of A is not looked at, and comes in a round of its own.
    let mut array = vec![a[1], b[1], b[2], c[1], a[3]];
    let rounds = std::iter::from_fn(|| bulk::detach(&mut array, &mut list).map(|slab| (slab, list.clone())));
    assert_eq!(rounds.collect::<Vec<_>>(), [(a[0].slab, vec![3]), (c[0].slab, vec![1]), (b[0].slab, vec![2, 1]), (a[0].slab, vec![1])]);

    // kfree_bulk() goes through the hook: what is at the end of the array comes to the head. One by one in 22.7, n per list.
    cache.kfree_bulk(0, &[a[1], b[1], a[2], c[1], a[3]], &mut pages);
    assert_eq!((freelist(&cache, a[0].slab), cache.total(Counter::FreeSlowpath), cache.total(Counter::SheafFlush)), (vec![3, 2, 1], 5, 0));
    assert_eq!(node_list(&cache, 0), [a[0].slab, b[0].slab, c[0].slab]);
    // A flush does not: its top comes to the tail.
    for object in [a[4], a[5], a[6]] {
        cache.free(0, object, &mut pages);
    }
    cache.flush_cpu(0, &mut pages);
    assert_eq!(freelist(&cache, a[0].slab), [4, 5, 6, 3, 2, 1]);
    assert_eq!((cache.total(Counter::FreeSlowpath), cache.total(Counter::SheafFlush)), (5, 3));
    cache.validate(None).unwrap();
}

/// 22.8 and 22.9.
#[test]
fn bulk_operations() {
    for release in ALL_7 {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 4, 16, &[0]);
        let mut objects = Vec::new();
        assert!(cache.alloc_bulk(0, Caller::Blocking, 10, &mut objects, &mut pages));
        // L1: no refill of sheaves, no sheaf made; straight off the slab, in its order.
        assert_counts(&cache, &[(Counter::BarnGetFail, 1), (Counter::AllocSlowpath, 10), (Counter::AllocSlab, 1)]);
        assert_eq!(objects.iter().map(|object| object.index).collect::<Vec<_>>(), (0..10).collect::<Vec<_>>());
        cache.free_bulk(0, &objects, &mut pages);
        // B2: no spare and no empty sheaf in the barn: the rest goes to slabs.
        assert_counts(
            &cache,
            &[
                (Counter::BarnGetFail, 1),
                (Counter::AllocSlowpath, 10),
                (Counter::AllocSlab, 1),
                (Counter::FreeFastpath, 4),
                (Counter::FreeSlowpath, 6),
            ],
        );
        assert_eq!(cache.sheaves.as_ref().unwrap().cpus[0].main.objects, objects[..4]);
        cache.validate(Some(0)).unwrap();
        // L2: the top two, lowest first.
        let mut two = Vec::new();
        assert!(cache.alloc_bulk(0, Caller::Blocking, 2, &mut two, &mut pages));
        assert_eq!(two, objects[2..4]);
        // Sheaf first, the rest past it.
        let mut five = Vec::new();
        assert!(cache.alloc_bulk(0, Caller::Blocking, 5, &mut five, &mut pages));
        assert_eq!(five[..2], objects[..2]);
        assert_eq!([Counter::AllocFastpath, Counter::AllocSlowpath, Counter::BarnGetFail].map(|counter| cache.total(counter)), [4, 13, 2]);
        cache.validate(Some(7)).unwrap();
    }
}

/// 22.8 B2: room through the spare, an empty sheaf of the barn, and barn_put; then barn_put_fail.
#[test]
fn a_bulk_free_finds_room_in_the_barn() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 32, &[0]);
    let objects = seed_used(&mut cache, 1, 0);
    assert!(cache.seed_sheaf(SheafPlace::Barn(0), &[]));
    assert!(cache.seed_sheaf(SheafPlace::Barn(0), &[]));
    cache.free_bulk(0, &objects[..16], &mut pages);
    // 4 into main; the first empty one: 4; the second: barn_put, 4; then both full and no empty one.
    assert_counts(
        &cache,
        &[
            (Counter::FreeFastpath, 12),
            (Counter::BarnPut, 1),
            (Counter::BarnPutFail, 1),
            (Counter::FreeSlowpath, 4),
            (Counter::FreeAddPartial, 1),
        ],
    );
    assert_eq!((held(&cache, 0), barn(&cache, 0)), ((4, Some(4), None), (1, 0)));
    assert_eq!(cache.sheaves.as_ref().unwrap().barns[0].full[0].objects, objects[4..8]);
    cache.validate(None).unwrap();
}

/// 22.9 L3: all or nothing; what came from sheaves goes to slabs, uncounted.
#[test]
fn a_failed_bulk_allocation_gives_all_back() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 8, &[0]);
    let objects = take_many(&mut cache, 0, 1, &mut pages);
    let mut none = Vec::new();
    let mut limited = LimitedPages { slabs: 0, ..LimitedPages::default() };
    assert!(!cache.alloc_bulk(0, Caller::Blocking, 9, &mut none, &mut limited));
    assert!(none.is_empty());
    assert_counts(
        &cache,
        &[
            (Counter::AllocFastpath, 4),
            (Counter::BarnGetFail, 2),
            (Counter::SheafAlloc, 1),
            (Counter::SheafRefill, 4),
            (Counter::AllocSlab, 1),
            // The four left in the slab were taken: it was full when they came back.
            (Counter::FreeAddPartial, 1),
        ],
    );
    assert_eq!(cache.slabs[objects[0].slab].inuse, 1);
    cache.validate(Some(1)).unwrap();
}

/// 22.10.
#[test]
fn kfree_rcu_fills_sheaves() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 16, &[0]);
    let objects = take_many(&mut cache, 0, 4, &mut pages);
    assert_eq!(held(&cache, 0), (0, Some(0), None));
    for &object in &objects[..3] {
        assert_eq!(cache.free_rcu(0, object, &mut pages), RcuFree::Kept);
    }
    // K3: the empty spare.
    assert_eq!(held(&cache, 0), (0, None, Some(3)));
    let RcuFree::Full(sheaf) = cache.free_rcu(0, objects[3], &mut pages) else { panic!("the sheaf is full") };
    assert_eq!((held(&cache, 0), cache.parked_objects().rcu), ((0, None, None), 4));
    cache.validate(Some(0)).unwrap();
    cache.rcu_sheaf_done(0, sheaf, &mut pages);
    assert_counts(
        &cache,
        &[
            (Counter::AllocFastpath, 4),
            (Counter::BarnGetFail, 1),
            (Counter::SheafAlloc, 1),
            (Counter::SheafRefill, 4),
            (Counter::AllocSlab, 1),
            (Counter::FreeRcuSheaf, 4),
            (Counter::BarnPut, 1),
        ],
    );
    // Reused from the barn, without any slab: the last one freed first.
    assert_eq!(take(&mut cache, 0, &mut pages), objects[3]);
    assert_eq!(cache.total(Counter::BarnGet), 1);
    // K3: now the empty one of the barn, then a new one.
    cache.free_rcu(0, objects[3], &mut pages);
    assert_eq!((barn(&cache, 0), cache.total(Counter::SheafAlloc)), ((0, 0), 1));
    cache.validate(Some(0)).unwrap();
    let mut cold = cache_of((7, 2), 4, 16, &[0]);
    let objects = seed_used(&mut cold, 1, 0);
    cold.free_rcu(0, objects[0], &mut pages);
    assert_counts(&cold, &[(Counter::SheafAlloc, 1), (Counter::FreeRcuSheaf, 1)]);
    let mut cold = cache_of((7, 2), 4, 16, &[0]);
    let objects = seed_used(&mut cold, 1, 0);
    cold.set_sheaf_memory(false);
    assert_eq!(cold.free_rcu(0, objects[0], &mut pages), RcuFree::NotTaken);
    assert_counts(&cold, &[(Counter::FreeRcuSheafFail, 1)]);
}

/// 22.10 K5 with a barn that has ten full sheaves, and then ten empty ones.
#[test]
fn rcu_sheaves_that_the_barn_does_not_take_are_flushed() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 64, &[0]);
    let objects = seed_used(&mut cache, 1, 0);
    for full in objects[..40].chunks(4) {
        assert!(cache.seed_sheaf(SheafPlace::Barn(0), full));
    }
    for _ in 0..10 {
        assert!(cache.seed_sheaf(SheafPlace::Barn(0), &[]));
    }
    let mut collect = |cache: &mut Cache, objects: &[Object]| {
        let mut done = Vec::new();
        for &object in objects {
            if let RcuFree::Full(sheaf) = cache.free_rcu(0, object, &mut pages) {
                done.push(sheaf);
            }
        }
        for sheaf in done {
            cache.rcu_sheaf_done(0, sheaf, &mut pages);
        }
    };
    collect(&mut cache, &objects[40..44]);
    // It came from the barn's empty ones and goes back there.
    assert_eq!(barn(&cache, 0), (10, 10));
    let lists = (Counter::FreeAddPartial, 1);
    assert_counts(&cache, &[(Counter::FreeRcuSheaf, 4), (Counter::BarnPutFail, 1), (Counter::SheafFlush, 4), lists]);
    // With the collecting sheaf from elsewhere there are ten empty ones: freed.
    assert!(cache.seed_sheaf(SheafPlace::RcuFree(0), &objects[44..47]));
    collect(&mut cache, &objects[47..48]);
    assert_eq!(barn(&cache, 0), (10, 10));
    assert_counts(
        &cache,
        &[(Counter::FreeRcuSheaf, 5), (Counter::BarnPutFail, 2), (Counter::SheafFlush, 8), (Counter::SheafFree, 1), lists],
    );
    cache.validate(None).unwrap();
}

/// 22.11 T1, T3, T4, T5.
#[test]
fn prefilled_sheaves() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 8, 32, &[0]);
    let mut sheaf = cache.prefill(0, Caller::Blocking, 3, &mut pages).unwrap();
    let mut expected = vec![
        (Counter::SheafPrefillSlow, 1),
        (Counter::BarnGetFail, 1),
        (Counter::SheafAlloc, 1),
        (Counter::SheafRefill, 8),
        (Counter::AllocSlab, 1),
    ];
    assert_counts(&cache, &expected);
    assert_eq!(cache.take_from_sheaf(&sheaf).unwrap().index, 7);
    cache.take_from_sheaf(&sheaf).unwrap();
    // Enough in it: nothing.
    assert!(cache.refill_sheaf(0, Caller::Blocking, &mut sheaf, 6, &mut pages));
    assert_counts(&cache, &expected);
    assert!(cache.refill_sheaf(0, Caller::Blocking, &mut sheaf, 7, &mut pages));
    expected[3].1 += 2;
    cache.take_from_sheaf(&sheaf).unwrap();
    cache.validate(Some(3)).unwrap();
    cache.return_sheaf(0, Caller::Blocking, sheaf, &mut pages);
    expected.push((Counter::SheafReturnFast, 1));
    assert_counts(&cache, &expected);
    assert_eq!(held(&cache, 0), (0, Some(7), None));
    // The spare is taken as it is.
    let sheaf = cache.prefill(0, Caller::Blocking, 7, &mut pages).unwrap();
    expected.push((Counter::SheafPrefillFast, 1));
    assert_counts(&cache, &expected);
    // Returned beside a spare: filled and into the barn.
    assert!(cache.seed_sheaf(SheafPlace::Spare(0), &[]));
    cache.return_sheaf(0, Caller::Blocking, sheaf, &mut pages);
    expected[3].1 += 1;
    expected.extend([(Counter::SheafReturnSlow, 1), (Counter::BarnPut, 1)]);
    assert_counts(&cache, &expected);
    assert_eq!((held(&cache, 0), barn(&cache, 0)), ((0, Some(0), None), (1, 0)));
    cache.validate(Some(3)).unwrap();
    // Another cpu's worth: no spare, a full one in the barn.
    cache.sheaves().cpus[0].spare = None;
    cache.sheaves().ledger.seeded_sheaves -= 1;
    let sheaf = cache.prefill(0, Caller::Blocking, 8, &mut pages).unwrap();
    expected[0].1 += 1;
    expected.push((Counter::BarnGet, 1));
    assert_counts(&cache, &expected);
    // Ten full sheaves in the barn: flushed.
    let objects = (2..5).flat_map(|pfn| seed_used(&mut cache, pfn, 0)).collect::<Vec<_>>();
    for full in objects.chunks(8).take(10) {
        assert!(cache.seed_sheaf(SheafPlace::Barn(0), full));
    }
    assert!(cache.seed_sheaf(SheafPlace::Spare(0), &[]));
    cache.return_sheaf(0, Caller::Blocking, sheaf, &mut pages);
    let figures = [Counter::SheafReturnSlow, Counter::SheafFlush, Counter::SheafFree, Counter::BarnPutFail];
    assert_eq!(figures.map(|counter| cache.total(counter)), [2, 8, 1, 0]);
    cache.validate(None).unwrap();
}

/// 22.12 W1 to W3.
#[test]
fn flush_shrink_destroy() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 16, &[0, 0]);
    cache.created_on(1);
    assert_eq!(cache.counts(1).get(Counter::SheafAlloc), 2);
    let objects = take_many(&mut cache, 1, 14, &mut pages);
    assert_eq!(held(&cache, 1), (2, Some(0), None));
    for &object in &objects[..13] {
        cache.free(0, object, &mut pages);
    }
    cache.free_rcu(0, objects[13], &mut pages);
    assert_eq!((held(&cache, 0), barn(&cache, 0)), ((1, Some(4), Some(1)), (2, 0)));
    cache.flush_cpu(0, &mut pages);
    let waiting = cache.take_flushed_rcu_sheaves();
    assert_eq!((held(&cache, 0), waiting.len()), ((0, None, None), 1));
    assert_eq!([Counter::SheafFlush, Counter::SheafFree].map(|counter| cache.total(counter)), [5, 1]);
    for sheaf in waiting {
        cache.rcu_sheaf_done(0, sheaf, &mut pages);
    }
    assert_eq!([Counter::SheafFlush, Counter::SheafFree, Counter::BarnPutFail].map(|counter| cache.total(counter)), [6, 2, 0]);
    cache.validate(Some(0)).unwrap();
    cache.shrink(&mut pages);
    // Two of main and an empty spare on CPU 1, two full sheaves in the barn.
    assert_eq!([Counter::SheafFlush, Counter::SheafFree].map(|counter| cache.total(counter)), [16, 5]);
    assert_eq!((cache.slab_count(), cache.total(Counter::FreeSlab), cache.total(Counter::FreeSlowpath)), (0, 0, 0));
    cache.validate(Some(0)).unwrap();
    assert!(cache.destroy(0, &mut pages));
    let (made, freed) = (cache.total(Counter::SheafAlloc), cache.total(Counter::SheafFree));
    assert_eq!((made, freed), (7, 7));
}

/// 22.12 W4: main of a CPU that goes away is flushed whole, on the CPU that sees to it.
#[test]
fn an_offline_cpu_loses_its_sheaves() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 40, 48, &[0, 0]);
    let objects = seed_used(&mut cache, 1, 0);
    for &object in &objects[..40] {
        cache.free(0, object, &mut pages);
    }
    cache.offline_cpu(0, 1, &mut pages);
    assert_eq!((cache.counts(1).get(Counter::SheafFlush), cache.counts(0).get(Counter::SheafFlush)), (40, 0));
    // One list, not two of 32 and 8.
    assert_eq!(freelist(&cache, objects[0].slab), (0..40).collect::<Vec<_>>());
    cache.validate(None).unwrap();
}

/// Seeding refuses what does not fit, and what is seeded is handed out from the top.
#[test]
fn seeded_sheaves() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 16, &[0]);
    let objects = seed_used(&mut cache, 1, 0);
    assert!(cache.seed_sheaf(SheafPlace::Main(0), &objects[..2]));
    assert!(!cache.seed_sheaf(SheafPlace::Main(0), &objects[2..3]), "not empty");
    assert!(cache.seed_sheaf(SheafPlace::Spare(0), &objects[2..5]));
    assert!(!cache.seed_sheaf(SheafPlace::Spare(0), &objects[5..6]));
    assert!(!cache.seed_sheaf(SheafPlace::Barn(0), &objects[5..6]), "neither full nor empty");
    assert!(!cache.seed_sheaf(SheafPlace::Barn(0), &objects[5..10]), "too many");
    assert!(cache.seed_sheaf(SheafPlace::Barn(0), &objects[5..9]));
    assert_eq!(cache.parked_objects(), ParkedObjects { cpus: vec![5], barns: vec![4], ..ParkedObjects::default() });
    let got: Vec<u16> = take_many(&mut cache, 0, 9, &mut pages).iter().map(|object| object.index).collect();
    assert_eq!(got, [1, 0, 4, 3, 2, 8, 7, 6, 5]);
    assert_counts(&cache, &[(Counter::AllocFastpath, 9), (Counter::BarnGet, 1)]);
    cache.validate(Some(16)).unwrap();
    // An object twice is found out.
    assert!(cache.seed_sheaf(SheafPlace::RcuFree(0), &[objects[0], objects[0]]));
    assert_eq!(cache.validate(None).unwrap_err().law, "no object is in two sheaves");
}

/// Caches, and the kmalloc caches that their sheaves come from.
struct Caches {
    caches: Vec<Cache>,
    /// By cache and number of the sheaf: where its memory is.
    memory: BTreeMap<(usize, u32), (usize, Object)>,
    pages: UnlimitedPages,
}

impl Caches {
    /// The 192-byte cache, kmalloc-512, kmalloc-256.
    fn new(release: (u32, u32)) -> Self {
        let release = KernelRelease::new(release.0, release.1, 0);
        let kernel = Kernel::new(release, Machine::x86_64(4), Build::default());
        let cache = |number: u32, size, flags| {
            let layout = CacheLayout::calculate(&kernel, &CacheSpec::new(size, flags)).unwrap();
            let mut cache = Cache::new(number, layout, CacheKind::CpuPartial, Rules::of(release), &Topology::uniform(1));
            cache.request_sheaf_memory(8, size == 256);
            cache
        };
        let caches = vec![cache(0, 192, CacheFlags::NONE), cache(1, 512, CacheFlags::KMALLOC), cache(2, 256, CacheFlags::KMALLOC)];
        Self { caches, memory: BTreeMap::new(), pages: UnlimitedPages::default() }
    }

    fn alloc(&mut self, cache: usize, request: AllocRequest) -> Object {
        let object = self.caches[cache].alloc(request, &mut self.pages).unwrap().0;
        self.drain(cache);
        object
    }

    fn drain(&mut self, cache: usize) {
        for request in self.caches[cache].take_sheaf_requests() {
            match request {
                SheafRequest::Alloc { sheaf, bytes, request } => {
                    let from = if bytes == 512 { 1 } else { 2 };
                    assert!(bytes == 512 || bytes == 256, "{bytes}");
                    let object = self.alloc(from, request);
                    self.memory.insert((cache, sheaf), (from, object));
                }
                SheafRequest::Free { sheaf, cpu } => {
                    let (from, object) = self.memory.remove(&(cache, sheaf)).unwrap();
                    self.caches[from].free(cpu, object, &mut self.pages);
                    self.drain(from);
                }
            }
        }
    }
}

/// The worked example of 22.6: three cold caches. Slabs as computed: 21 objects of 192 bytes, 8 or 16 of 512, 16 of 256.
#[test]
fn sheaves_come_from_kmalloc() {
    for release in [(7, 2), (7, 3)] {
        let mut machine = Caches::new(release);
        machine.alloc(0, AllocRequest::on(0));
        let slabs = |cache: &Cache, objects: u64| objects.div_ceil(u64::from(cache.layout.objects));
        let refilled = |cache: &Cache, capacity: u64| {
            [
                (Counter::BarnGetFail, 1),
                (Counter::SheafAlloc, 1),
                (Counter::SheafRefill, capacity),
                (Counter::AllocSlab, slabs(cache, capacity)),
                (Counter::AllocFastpath, 1),
            ]
        };
        assert_counts(&machine.caches[0], &refilled(&machine.caches[0], 60));
        assert_counts(&machine.caches[1], &refilled(&machine.caches[1], 28));
        assert_counts(&machine.caches[2], &[(Counter::BarnGetFail, 1), (Counter::AllocSlowpath, 1), (Counter::AllocSlab, 1)]);
        for (cache, live) in machine.caches.iter().zip([1, 1, 1]) {
            cache.validate(Some(live)).unwrap();
        }
        // Sheaves that go return their memory: the spare of the first cache is its first main, which was there before.
        machine.caches[0].flush_cpu(0, &mut machine.pages);
        machine.drain(0);
        assert_eq!((machine.caches[0].total(Counter::SheafFree), machine.memory.len()), (1, 2));
    }
}

/// 22.6: an unmarked cold kmalloc(256) meets itself.
#[test]
fn kmalloc_256_makes_its_own_sheaves() {
    for release in ALL_7 {
        let mut machine = Caches::new(release);
        machine.alloc(2, AllocRequest::on(0));
        let cache = &machine.caches[2];
        let objects = u64::from(cache.layout.objects);
        assert_eq!((cache.layout.sheaf_capacity, cache.sheaf_bytes(8)), (28, Some(256)));
        assert_counts(
            cache,
            &[
                (Counter::BarnGetFail, 2),
                (Counter::AllocSlowpath, 1),
                (Counter::SheafAlloc, 1),
                (Counter::SheafRefill, 28),
                // One object before, so the refill ends after 29. In 7.0 and 7.1 it is out of a partial slab into new ones: no surplus.
                (Counter::AllocSlab, 29_u64.div_ceil(objects)),
                (Counter::AllocFastpath, 1),
            ],
        );
        cache.validate(Some(1)).unwrap();
        // 22.13: refusals add to alloc_slowpath, and are what barn_get_fail has more than refills.
        assert_eq!(cache.total(Counter::SheafRefill), 28 * (cache.total(Counter::BarnGetFail) - cache.total(Counter::AllocSlowpath)));
    }
}

/// 22.5 P6: the memory of the new sheaf is taken from the full main itself, so main has room again.
#[test]
fn a_free_whose_sheaf_comes_from_its_own_main() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 16, &[0]);
    cache.request_sheaf_memory(8, true);
    let objects = seed_used(&mut cache, 1, 0);
    assert!(cache.seed_sheaf(SheafPlace::Main(0), &objects[..4]));
    assert!(cache.seed_sheaf(SheafPlace::Spare(0), &objects[4..8]));
    cache.free(0, objects[8], &mut pages);
    assert_counts(&cache, &[(Counter::AllocFastpath, 1), (Counter::SheafAlloc, 1), (Counter::FreeFastpath, 1)]);
    assert_eq!((held(&cache, 0), barn(&cache, 0)), ((4, Some(4), None), (0, 1)));
    cache.validate(Some(7)).unwrap();
}

/// A driver that feeds recorded events gets no requests.
#[test]
fn nobody_is_asked_for_memory_by_default() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((7, 2), 4, 16, &[0]);
    cache.created_on(0);
    take(&mut cache, 0, &mut pages);
    assert_eq!((cache.total(Counter::SheafAlloc), cache.take_sheaf_requests()), (2, vec![]));
    cache.request_sheaf_memory(4, false);
    assert_eq!(cache.sheaf_bytes(4), Some(20 + 16));
    let objects = seed_used(&mut cache, 1, 0);
    for &object in &objects[..9] {
        cache.free(0, object, &mut pages);
    }
    let request = AllocRequest { caller: Caller::NoReclaim, ..AllocRequest::on(0) };
    assert_eq!(cache.take_sheaf_requests(), [SheafRequest::Alloc { sheaf: 0, bytes: 36, request }]);
}
