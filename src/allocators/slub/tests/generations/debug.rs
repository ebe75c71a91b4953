//! Caches with debugging: slub-paths.md 7.

use super::*;

const DEACTIVATED: [Release; 5] = [(3, 19), (4, 4), (5, 10), (5, 16), (6, 0)];
const LISTED: [Release; 8] = [(6, 1), (6, 7), (6, 8), (6, 12), (6, 18), (7, 0), (7, 2), (7, 3)];

fn debug_cache(release: Release, objects: u32, min_partial: u32, nodes: &[u16]) -> Rig {
    Rig::with(release, CacheKind::Debug, nodes, CacheLayout { min_partial, ..plain_layout(objects) })
}

/// 7, G0: single objects of the cpu slab, whose other objects stay in the slab.
#[test]
fn the_oldest_take_single_objects_of_the_cpu_slab() {
    for release in OLDEST {
        let mut rig = debug_cache(release, 3, 5, &[0]);
        let objects = rig.take(0, 4);
        assert_eq!(objects.iter().map(|object| object.index).collect::<Vec<_>>(), [0, 1, 2, 0]);
        // The first finds no cpu slab; the fourth finds it exhausted.
        rig.assert_counts(&[(AllocSlowpath, 4), (AllocSlab, 2), (AllocRefill, 3), (DeactivateFull, 1)]);
        rig.mark();
        rig.free(0, &objects);
        // The fourth is of the cpu slab, and goes the slow way all the same.
        rig.assert_counts(&[(FreeSlowpath, 4), (FreeAddPartial, 1), (FreeRemovePartial, 1), (FreeSlab, 1), (FreeFrozen, 1)]);
        rig.mark();
        rig.flush(0);
        rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateRemoteFrees, 1), (DeactivateEmpty, 1)]);
        assert_eq!(rig.listed(0), slabs_of(&objects[3..]));
    }
}

/// 7, G0, and 10.1: the objects of a debug cpu slab are on the slab's freelist, so that it goes to the tail.
#[test]
fn a_debug_cpu_slab_of_the_oldest_goes_to_the_tail() {
    for release in OLDEST {
        let mut rig = debug_cache(release, 3, 5, &[0]);
        let object = rig.take(0, 1)[0];
        let listed = rig.list_on(0, &[1]);
        rig.mark();
        rig.flush(0);
        rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateRemoteFrees, 1), (DeactivateToTail, 1)]);
        assert_eq!(rig.listed(0), [listed[0], object.slab]);
        // Taken back from the list one by one, without a refill for the first object.
        rig.mark();
        assert_eq!(rig.take(0, 1)[0].slab, listed[0]);
        rig.assert_counts(&[(AllocSlowpath, 1), (AllocFromPartial, 1)]);
    }
}

/// 7, G1: one object, then the slab is deactivated with the rest.
#[test]
fn one_object_then_the_slab_goes_back_up_to_6_0() {
    // 6.2 says that up to 3.18 only a cpu slab makes the slow path count, and here is none.
    let uncounted = [(3, 1), EARLY, (3, 6), (3, 10)];
    for release in uncounted.into_iter().chain(DEACTIVATED) {
        let mut rig = debug_cache(release, 3, 1, &[0]);
        let objects = rig.take(0, 4);
        let slow = if uncounted.contains(&release) { 0 } else { 4 };
        rig.assert_counts(&[(AllocSlowpath, slow), (AllocSlab, 2), (AllocFromPartial, 2), (DeactivateToHead, 3), (DeactivateFull, 1)]);
        assert_eq!((rig.listed(0), rig.cache.cpu_slab_count()), (slabs_of(&objects[3..]), 0));
        rig.mark();
        rig.free(0, &objects);
        // A is listed behind B; emptied as one of two, it goes. B, emptied as the only one, goes by `>=` and not by `>`.
        let freed = if release < (3, 16) { 1 } else { 2 };
        rig.assert_counts(&[(FreeSlowpath, 4), (FreeAddPartial, 1), (FreeRemovePartial, freed), (FreeSlab, freed)]);
        rig.mark();
        rig.flush(0);
        rig.assert_counts(&[]);
    }
}

/// 7 and 10.1: each deactivation turns the rest round up to 5.11, so that objects come from both ends in turn.
#[test]
fn deactivation_turns_the_rest_round_up_to_5_11() {
    for (release, order) in [
        ((3, 1), [0, 4, 1, 3, 2]),
        ((4, 4), [0, 4, 1, 3, 2]),
        ((5, 10), [0, 4, 1, 3, 2]),
        ((5, 12), [0, 1, 2, 3, 4]),
        ((6, 0), [0, 1, 2, 3, 4]),
        ((6, 1), [0, 1, 2, 3, 4]),
    ] {
        let mut rig = debug_cache(release, 5, 5, &[0]);
        let taken: Vec<ObjectIndex> = rig.take(0, 5).iter().map(|object| object.index).collect();
        assert_eq!(taken, order, "{release:?}");
    }
}

/// 7, 6.1 and later: the slab stays listed until its last object is taken.
#[test]
fn objects_come_out_of_listed_slabs_from_6_1_on() {
    for release in LISTED {
        let mut rig = debug_cache(release, 3, 1, &[0]);
        let objects = rig.take(0, 4);
        rig.assert_counts(&[(AllocSlowpath, 4), (AllocSlab, 2)]);
        assert_eq!(rig.listed(0), slabs_of(&objects[3..]));
        rig.mark();
        rig.free(0, &objects[..1]);
        rig.assert_counts(&[(FreeSlowpath, 1), (FreeAddPartial, 1)]);
        assert_eq!(rig.listed(0), [objects[3].slab, objects[0].slab]);
        rig.mark();
        rig.free(0, &objects[1..]);
        rig.assert_counts(&[(FreeSlowpath, 3), (FreeRemovePartial, 2), (FreeSlab, 2)]);
        assert_eq!(rig.cache.slab_count(), 0);
        rig.mark();
        rig.flush(0);
        rig.assert_counts(&[]);
    }
}

/// 7, 6.1 and later: the position on the list does not change, and a new slab goes to the head.
#[test]
fn listed_slabs_are_used_up_in_their_order() {
    for release in LISTED {
        let mut rig = debug_cache(release, 3, 5, &[0]);
        let listed = rig.list_on(0, &[2, 1]);
        let taken = rig.take(0, 4);
        assert_eq!(taken.iter().map(|object| object.slab).collect::<Vec<_>>()[..3], [listed[0], listed[0], listed[1]]);
        rig.assert_counts(&[(AllocSlowpath, 4), (AllocSlab, 1)]);
        let behind = rig.list_on(0, &[1]);
        assert_eq!(rig.listed(0), [taken[3].slab, behind[0]]);
        assert_eq!(rig.take(0, 1)[0].slab, taken[3].slab);
    }
}

/// 7, 6.1 and later: a slab of one object is never listed if it is not kept.
#[test]
fn a_debug_slab_of_one_object_is_freed_from_full() {
    for release in LISTED {
        for (min_partial, freed) in [(0, 1), (1, 0)] {
            let mut rig = debug_cache(release, 1, min_partial, &[0]);
            let object = rig.take(0, 1);
            assert_eq!(rig.listed(0), []);
            rig.mark();
            rig.free(0, &object);
            rig.assert_counts(&[(FreeSlowpath, 1), (FreeSlab, freed), (FreeAddPartial, 1 - freed)]);
        }
    }
}

/// 3, 22.8: a detached list is one slow free up to 6.19; in 7.x each object counts.
#[test]
fn detached_lists_of_debug_caches() {
    for release in [(4, 4), (6, 0)].into_iter().chain(LISTED) {
        let mut rig = debug_cache(release, 4, 5, &[0]);
        let slab = rig.take(0, 4)[0].slab;
        rig.mark();
        rig.free_list(0, slab, &[2, 1, 3]);
        rig.assert_counts(&[(FreeSlowpath, if release < (7, 0) { 1 } else { 3 }), (FreeAddPartial, 1)]);
        assert_eq!(rig.freelist(slab), [2, 1, 3]);
    }
}

/// 4.2: up to 6.8 a request for a node gets nothing of others; later it does, but only once a new slab there was refused (6.4).
#[test]
fn debug_requests_for_a_node() {
    for release in DEACTIVATED.into_iter().chain(LISTED) {
        // The CPU is on node 1; nodes 0 and 1 have more than they must keep.
        let mut rig = debug_cache(release, 3, 1, &[1, 0, 2]);
        let zero = rig.list_on(0, &[1, 1]);
        let one = rig.list_on(1, &[1, 1]);
        let object = rig.take_on_node(0, 2);
        assert_eq!((rig.cache.slabs[object.slab].pages.node, rig.cache.total(AllocSlab)), (2, 1), "{release:?}");
        assert_eq!((rig.listed(0), rig.listed(1)), (zero, one.clone()));
        // The next is of the same slab.
        assert_eq!(rig.take_on_node(0, 2).slab, object.slab);
        rig.take_on_node(0, 2);
        rig.pages.refuse = Refuse::Node(2);
        let object = rig.take_on_node(0, 2);
        if release < (6, 10) {
            assert_eq!((rig.cache.slabs[object.slab].pages.node, rig.cache.total(AllocSlab)), (0, 2), "{release:?}");
        } else {
            assert_eq!((object.slab, rig.cache.total(AllocSlab)), (one[0], 1), "the CPU's own node first");
        }
    }
}

/// A seeded slab is where a cache with debugging can have it.
#[test]
fn seeded_debug_slabs_are_found() {
    for release in OLDEST.into_iter().chain([(3, 1), EARLY]).chain(DEACTIVATED).chain(LISTED) {
        for place in [SeedPlace::Cpu(0), SeedPlace::CpuPartial(0), SeedPlace::NodePartial] {
            let mut rig = debug_cache(release, 3, 5, &[0]);
            let pages = Pages { pfn: 1, order: 0, node: 0 };
            let slab = rig.cache.seed(&Seed { pages, free: vec![1, 2], own: None, place });
            rig.check();
            let objects = rig.take(0, 2);
            assert_eq!(slabs_of(&objects), [slab], "{release:?}, {place:?}");
            assert_eq!(rig.cache.total(AllocSlab), 0);
        }
    }
}

/// 17.2 step 2 and 22.10 K3: in 7.x every cache is asked for a sheaf first, and counts that it has none on the node asked for
/// (`alloc_node_mismatch`) and none for kfree_rcu() (`free_rcu_sheaf_fail`); before, caches with debugging count neither.
#[test]
fn sheaves_that_debug_caches_lack_are_asked_for_in_7_x() {
    for release in LISTED {
        let asked = u64::from(release >= (7, 0));
        let mut rig = debug_cache(release, 3, 1, &[0, 1]);
        // CPU 0 is on node 0: the first is of its own node, the second of another.
        let own = rig.take_on_node(0, 0);
        let other = rig.take_on_node(0, 1);
        assert_eq!(rig.cache.total(AllocNodeMismatch), asked, "{release:?}");
        // An object of another node does not qualify, so nobody counts.
        for (object, failures) in [(other, 0), (own, asked)] {
            assert_eq!(rig.cache.free_rcu(0, object, &mut rig.pages), RcuFree::NotTaken, "{release:?}");
            assert_eq!(rig.cache.total(FreeRcuSheafFail), failures, "{release:?}");
            rig.free(0, &[object]);
        }
    }
}
