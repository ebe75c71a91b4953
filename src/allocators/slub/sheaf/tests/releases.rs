//! Each difference between 6.18, 6.19, 7.0, 7.1, 7.2 and 7.3 that the model has.

use super::*;

const ALL: [(u32, u32); 6] = [(6, 18), (6, 19), (7, 0), (7, 1), (7, 2), (7, 3)];

/// The example of slub-paths.md 17.6 steps 2 and 3: A has 1 free object, B has 30, 26 are wanted.
#[test]
fn order_and_surplus_of_a_refill() {
    for release in ALL_7 {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 26, 32, &[0]);
        let a = seed(&mut cache, 1, 0, &[9]);
        let b = seed(&mut cache, 2, 0, &(0..30).rev().collect::<Vec<_>>());
        let first = take(&mut cache, 0, &mut pages);
        let common = [(Counter::BarnGetFail, 1), (Counter::SheafAlloc, 1), (Counter::SheafRefill, 26), (Counter::AllocFastpath, 1)];
        if release >= (7, 2) {
            // A delivers 1, B 25; the 5 others stay in B.
            assert_eq!(first, b[24]);
            assert_eq!(node_list(&cache, 0), [b[0].slab]);
            assert_eq!(freelist(&cache, b[0].slab), [4, 3, 2, 1, 0]);
            assert_counts(&cache, &common);
        } else {
            // B delivers 26, its 4 others are given back to the tail; A was not touched and is at the head.
            assert_eq!(first, b[25]);
            assert_eq!(node_list(&cache, 0), [a[0].slab, b[0].slab]);
            assert_eq!((freelist(&cache, a[0].slab), freelist(&cache, b[0].slab)), (vec![9], vec![3, 2, 1, 0]));
            assert_counts(&cache, &[common.as_slice(), &[(Counter::FreeAddPartial, 1)]].concat());
        }
        cache.validate(None).unwrap();
    }
}

/// slub-paths.md 22.4 R3: several slabs not reached keep their order, the first of the reversed list ends up at the very head.
#[test]
fn slabs_not_reached_go_to_the_head_in_reverse() {
    for release in ALL_7 {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 8, 16, &[0]);
        let [a, b] = [1, 2].map(|pfn| seed(&mut cache, pfn, 0, &[5]));
        let c = seed(&mut cache, 3, 0, &(0..12).collect::<Vec<_>>());
        let d = seed(&mut cache, 4, 0, &[1, 2]);
        let slabs = [&a, &b, &c, &d].map(|objects| objects[0].slab);
        take(&mut cache, 0, &mut pages);
        // 7.0: grabbed A, B, C; used C; B then A at the head; C at the tail behind D. 7.2: A, B and 6 of C.
        let expected = if release < (7, 2) { vec![slabs[0], slabs[1], slabs[3], slabs[2]] } else { vec![slabs[3], slabs[2]] };
        assert_eq!(node_list(&cache, 0), expected, "{release:?}");
        assert_eq!(freelist(&cache, slabs[2]).len(), if release < (7, 2) { 4 } else { 6 });
        cache.validate(None).unwrap();
    }
}

/// slub-paths.md 22.4 R3, 7.0 and 7.1: a slab not reached that is empty goes, uncounted, if the node has enough. Only a slab of the
/// minimum order can be empty and yet have too few objects.
#[test]
fn an_empty_slab_not_reached_is_discarded() {
    for release in ALL_7 {
        for min_partial in [1, 5] {
            let mut pages = UnlimitedPages::default();
            let mut cache = cache_with(release, &[0], |layout| CacheLayout {
                sheaf_capacity: 6,
                objects: 8,
                min_objects: 2,
                order: 1,
                min_order: 0,
                min_partial,
                ..layout
            });
            let request = PageRequest { owner: 0, order: 0, cpu: 0, node: 0, this_node_only: false, rights: crate::mem::Rights::Reclaim };
            let small = Seed { pages: pages.alloc(request).unwrap(), free: vec![0, 1], own: None, place: SeedPlace::NodePartial };
            let small = cache.seed(&small);
            let large = seed(&mut cache, 2, 0, &[0, 1, 2, 3, 4, 5, 6, 7])[0].slab;
            take(&mut cache, 0, &mut pages);
            let expected = match (release < (7, 2), min_partial) {
                (true, 1) => vec![large],
                (true, _) => vec![small, large],
                // The empty one is used first, and so is full.
                (false, _) => vec![large],
            };
            assert_eq!(node_list(&cache, 0), expected, "{release:?}");
            let gone = release < (7, 2) && min_partial == 1;
            assert_eq!((cache.slab_count(), cache.uncounted_discards), if gone { (1, 1) } else { (2, 0) });
            assert_eq!(cache.total(Counter::FreeSlab), 0);
            cache.validate(None).unwrap();
        }
    }
}

/// slub-paths.md 17.2.1 step 5: whose allocation may refill.
#[test]
fn who_may_refill() {
    for release in ALL {
        let may = [Caller::NoLock, Caller::NoReclaim, Caller::Atomic, Caller::Blocking].map(|caller| {
            let mut cache = cache_of(release, 4, 16, &[0]);
            cache.alloc(AllocRequest { caller, ..AllocRequest::on(0) }, &mut UnlimitedPages::default()).unwrap();
            assert_eq!(cache.total(Counter::BarnGetFail), 1);
            assert_eq!(cache.total(Counter::SheafRefill) > 0, cache.total(Counter::SheafAlloc) > 0);
            cache.total(Counter::SheafRefill) > 0
        });
        let expected = match release {
            (6, _) => [false, false, false, true],
            (7, 0 | 1) => [false, false, true, true],
            _ => [false, true, true, true],
        };
        assert_eq!(may, expected, "{release:?}");
    }
}

/// slub-paths.md 17.2.1 step 8, 22.2 A8: what the old main becomes.
#[test]
fn the_old_main() {
    for release in ALL {
        let mut cache = cache_of(release, 4, 16, &[0]);
        take_many(&mut cache, 0, 5, &mut UnlimitedPages::default());
        // One sheaf was made; it and the first main take turns, one of them empty.
        assert_eq!(cache.total(Counter::SheafAlloc), 1);
        let expected = if release < (7, 0) { ((3, None, None), (0, 1)) } else { ((3, Some(0), None), (0, 0)) };
        assert_eq!((held(&cache, 0), barn(&cache, 0)), expected, "{release:?}");
    }
}

/// slub-paths.md 17.10: counters of a sheaf hit; 17.2 steps 2 and 5: who counts a node that does not fit.
#[test]
fn counters_of_hits_and_misses() {
    for release in ALL {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 4, 16, &[0, 1]);
        let objects = seed_used(&mut cache, 1, 0);
        cache.free(0, objects[0], &mut pages);
        take(&mut cache, 0, &mut pages);
        let hits = [Counter::AllocFastpath, Counter::FreeFastpath, Counter::AllocCpuSheaf, Counter::FreeCpuSheaf];
        let expected = if release < (7, 0) { [0, 0, 1, 1] } else { [1, 1, 0, 0] };
        assert_eq!(hits.map(|counter| cache.total(counter)), expected, "{release:?}");
        let there = AllocRequest { node: Some(1), ..AllocRequest::on(0) };
        cache.alloc(there, &mut pages).unwrap();
        // 6.18 has no cpu slab yet that could mismatch.
        let missed = [Counter::AllocNodeMismatch, Counter::AllocSlowpath].map(|counter| cache.total(counter));
        assert_eq!(missed, if release < (7, 0) { [0, 1] } else { [1, 1] }, "{release:?}");
        cache.validate(None).unwrap();
    }
}

/// slub-paths.md 22.11 T2, T5: oversize sheaves count in 7.2.
#[test]
fn oversize_sheaves() {
    for release in ALL {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 4, 16, &[0]);
        let mut sheaf = cache.prefill(0, Caller::Blocking, 6, &mut pages).unwrap();
        assert_eq!(cache.parked_objects().prefilled, 6);
        cache.take_from_sheaf(&sheaf).unwrap();
        assert!(cache.refill_sheaf(0, Caller::Blocking, &mut sheaf, 6, &mut pages));
        cache.validate(Some(1)).unwrap();
        // Larger than what is held: a new one, and the old one is flushed.
        assert!(cache.refill_sheaf(0, Caller::Blocking, &mut sheaf, 7, &mut pages));
        cache.validate(Some(1)).unwrap();
        cache.return_sheaf(0, Caller::Blocking, sheaf, &mut pages);
        let figures = [
            Counter::SheafPrefillOversize,
            Counter::SheafAlloc,
            Counter::SheafFree,
            Counter::SheafFlush,
            Counter::SheafRefill,
            Counter::BarnGetFail,
        ];
        let counted = if release < (7, 2) { 0 } else { 2 };
        assert_eq!(figures.map(|counter| cache.total(counter)), [2, counted, counted, 13, 0, 0], "{release:?}");
        // 7.x: 6, 1 and 7 objects past the sheaves. Before: the first of a cpu slab by the slow path, the others by the fast one.
        let slow = cache.total(Counter::AllocSlowpath);
        let fast = cache.total(Counter::AllocFastpath);
        assert_eq!((slow, fast), if release < (7, 0) { (1, 13) } else { (14, 0) }, "{release:?}");
        cache.validate(Some(1)).unwrap();
        // Without memory for the objects.
        let mut cache = cache_of(release, 4, 16, &[0]);
        assert_eq!(cache.prefill(0, Caller::Blocking, 6, &mut LimitedPages::default()), None);
        assert_eq!(cache.total(Counter::SheafFree), counted / 2);
        cache.validate(Some(0)).unwrap();
    }
}

/// slub-paths.md 22.8 B1, B5: remote objects in batches of 32 on the way, or all at the end.
#[test]
fn remote_objects_of_a_bulk_free() {
    for release in ALL_7 {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 4, 64, &[0, 1]);
        let remote = seed_used(&mut cache, 1, 1);
        let slab = remote[0].slab;
        cache.free_bulk(0, &remote[..33], &mut pages);
        // 7.0 to 7.2 collect 0, 32, 31 ... 2 and free these, then 1; the list of an array has its first at the head.
        let expected: Vec<u16> = if release < (7, 3) { [1, 0].into_iter().chain((2..=32).rev()).collect() } else { (0..33).collect() };
        assert_eq!(freelist(&cache, slab), expected, "{release:?}");
        assert_eq!((cache.total(Counter::FreeSlowpath), cache.total(Counter::FreeFastpath)), (33, 0));
        cache.validate(None).unwrap();
    }
}

/// slub-paths.md 22.8 B1: what the walk does to the order of local objects, and that the 32nd remote one loses none.
#[test]
fn local_objects_between_remote_ones() {
    for release in ALL_7 {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 8, 64, &[0, 1]);
        let remote = seed_used(&mut cache, 1, 1);
        let local = seed_used(&mut cache, 2, 0);
        cache.free_bulk(0, &[remote[0], local[0], local[1], remote[1], local[2]], &mut pages);
        // 7.0: the last element fills the hole: L2 L0 L1. 7.3: R0; L0 L1; R1 changes place with L0: L1 L0 L2.
        let expected = if release < (7, 3) { [local[2], local[0], local[1]] } else { [local[1], local[0], local[2]] };
        assert_eq!(cache.sheaves.as_ref().unwrap().cpus[0].main.objects, expected, "{release:?}");
        assert_eq!(freelist(&cache, remote[0].slab), [0, 1]);
        let mut leaky = local[3..6].to_vec();
        leaky.extend(&remote[2..34]);
        cache.free_bulk(0, &leaky, &mut pages);
        assert_eq!((cache.total(Counter::FreeFastpath), cache.total(Counter::FreeSlowpath)), (6, 34));
        cache.validate(None).unwrap();
    }
}

/// slub-paths.md 17.5: 6.18 counts the lists of the fallback as its slabs do, one call each.
#[test]
fn bulk_operations_of_6_18() {
    for release in [(6, 18), (6, 19)] {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 4, 16, &[0]);
        let objects = seed_used(&mut cache, 1, 0);
        cache.free_bulk(0, &objects[..10], &mut pages);
        assert_counts(&cache, &[(Counter::FreeCpuSheaf, 4), (Counter::FreeSlowpath, 1), (Counter::CpuPartialFree, 1)]);
        let mut got = Vec::new();
        assert!(cache.alloc_bulk(0, Caller::Blocking, 7, &mut got, &mut pages));
        // 17.3: 4 from the sheaf, then the slab on the CPU's list: one slow step, two pops.
        assert_eq!(got[..4], objects[..4]);
        let figures =
            [Counter::AllocCpuSheaf, Counter::BarnGetFail, Counter::AllocSlowpath, Counter::CpuPartialAlloc, Counter::AllocFastpath];
        assert_eq!(figures.map(|counter| cache.total(counter)), [4, 1, 1, 1, 2]);
        cache.validate(None).unwrap();
    }
}

/// slub-paths.md 17.8: caches of 6.18 without sheaves do not count what goes to RCU; flushes count as frees to slabs.
#[test]
fn flush_and_rcu_of_6_18() {
    let mut pages = UnlimitedPages::default();
    let mut cache = cache_of((6, 18), 0, 16, &[0]);
    let object = take(&mut cache, 0, &mut pages);
    assert_eq!(cache.free_rcu(0, object, &mut pages), RcuFree::NotTaken);
    assert_eq!(cache.total(Counter::FreeRcuSheafFail), 0);
    let mut cache = cache_of((6, 18), 4, 16, &[0]);
    take_many(&mut cache, 0, 1, &mut pages);
    cache.flush_cpu(0, &mut pages);
    // Three objects to the cpu slab, which goes after the sheaves.
    let figures = [Counter::SheafFlush, Counter::FreeFastpath, Counter::FreeSlowpath, Counter::CpuslabFlush, Counter::SheafFree];
    assert_eq!(figures.map(|counter| cache.total(counter)), [3, 3, 0, 1, 0]);
    cache.validate(Some(1)).unwrap();
}

/// slub-paths.md 17.4.1 step 5: what the allocation of a sheaf for a free may do.
#[test]
fn caller_of_a_sheaf_for_a_free() {
    for release in ALL {
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, 4, 16, &[0]);
        cache.request_sheaf_memory(8, false);
        let objects = seed_used(&mut cache, 1, 0);
        for &object in &objects[..5] {
            cache.free(0, object, &mut pages);
        }
        let caller = if release < (7, 2) { Caller::Atomic } else { Caller::NoReclaim };
        let request = AllocRequest { caller, ..AllocRequest::on(0) };
        assert_eq!(cache.take_sheaf_requests(), [SheafRequest::Alloc { sheaf: 0, bytes: 64, request }], "{release:?}");
    }
}
