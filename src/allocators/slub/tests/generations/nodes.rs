//! Several nodes: slub-paths.md 4.2, 4.4, 6 and 10.2.

use super::*;

fn node_of(rig: &Rig, object: Object) -> u16 {
    rig.cache.slabs[object.slab].pages.node
}

/// 6.1, 10.2: a cpu slab of the wrong node is given up; the mismatch has a counter from 3.1 on.
#[test]
fn a_mismatch_is_counted_from_3_1_on() {
    for release in OLDEST.into_iter().chain([(3, 1), EARLY]).chain(OBJECTS_LIMITED).chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        let mut rig = Rig::new(release, 4, &[0, 1]);
        rig.take(0, 1);
        rig.mark();
        let object = rig.take_on_node(0, 1);
        assert_eq!(node_of(&rig, object), 1);
        // No cpu slab passed the test: not counted from 3.1 to 3.18.
        let slow = u64::from(!((3, 1)..(3, 19)).contains(&release));
        rig.assert_counts(&[
            (AllocSlowpath, slow),
            (AllocNodeMismatch, u64::from(release >= (3, 1))),
            (DeactivateToHead, 1),
            (AllocSlab, 1),
        ]);
        // The node fits now.
        rig.mark();
        rig.take_on_node(0, 1);
        rig.assert_counts(&[(AllocFastpath, 1)]);
    }
}

/// 6.2 and 6.4: a parked slab of the wrong node.
#[test]
fn a_parked_slab_may_not_fit() {
    for release in OBJECTS_LIMITED.into_iter().chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        let mut rig = Rig::new(release, 4, &[0, 1]);
        let objects = rig.take(0, 5);
        // CPU 1 parks a slab of node 0 and asks for its own node.
        rig.free(1, &objects[..1]);
        rig.mark();
        let object = rig.take_on_node(1, 1);
        assert_eq!(node_of(&rig, object), 1);
        if release < (6, 8) {
            // It becomes the cpu slab first. Its objects are all on its own freelist, as those freed remotely are.
            rig.assert_counts(&[
                (AllocSlowpath, u64::from(release >= (3, 19))),
                (CpuPartialAlloc, 1),
                (AllocNodeMismatch, 1),
                (DeactivateRemoteFrees, 1),
                (DeactivateToTail, 1),
                (AllocSlab, 1),
            ]);
        } else {
            let counted = u64::from(release < (6, 10));
            rig.assert_counts(&[(AllocSlowpath, 1), (CpuPartialAlloc, counted), (FreeAddPartial, 1), (AllocSlab, 1)]);
        }
        assert_eq!(rig.listed(0), slabs_of(&objects[..1]));
    }
}

/// 4.4: without a request other nodes give what they need not keep, the nearest first.
#[test]
fn other_nodes_give_what_they_need_not_keep() {
    for release in OLDEST.into_iter().chain([(3, 1), EARLY]).chain(OBJECTS_LIMITED).chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        for (listed, is_taken) in [(1, false), (2, true)] {
            let layout = CacheLayout { min_partial: 1, ..plain_layout(8) };
            let mut rig = Rig::with(release, CacheKind::CpuPartial, &[0, 1], layout);
            let slabs = rig.list_on(1, &[8, 8][..listed]);
            let object = rig.take(0, 1)[0];
            assert_eq!((object.slab == slabs[0], rig.cache.total(AllocSlab)), (is_taken, u64::from(!is_taken)), "{release:?}");
        }
    }
}

/// 4.2: a request for a node never looks elsewhere up to 6.8, and from 6.12 on only if a new slab there was refused (6.4).
#[test]
fn requests_for_a_node_look_elsewhere_last() {
    for release in OLDEST.into_iter().chain([(3, 1), EARLY]).chain(OBJECTS_LIMITED).chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        for refused in [false, true] {
            let layout = CacheLayout { min_partial: 1, ..plain_layout(8) };
            let mut rig = Rig::with(release, CacheKind::CpuPartial, &[0, 1], layout);
            let slabs = rig.list_on(0, &[8, 8]);
            if refused {
                rig.pages.refuse = Refuse::Node(1);
            }
            let object = rig.take_on_node(0, 1);
            let from_list = refused && release >= (6, 10);
            assert_eq!((slabs.contains(&object.slab), rig.cache.total(AllocSlab)), (from_list, u64::from(!from_list)), "{release:?}");
            assert_eq!(node_of(&rig, object), u16::from(!refused));
        }
    }
}

/// 6.2, step 1: a node without memory counts as none asked for. What the CPU has is used without a counter up to 3.18, where
/// the slow path counts only after a look at it.
#[test]
fn a_node_without_memory_is_ignored() {
    for release in [EARLY].into_iter().chain(OBJECTS_LIMITED).chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        let mut rig = Rig::new(release, 4, &[0]);
        let first = rig.take(0, 1)[0];
        rig.mark();
        assert_eq!(rig.take_on_node(0, 9).slab, first.slab);
        rig.assert_counts(&[(AllocSlowpath, u64::from(release >= (3, 19)))]);
    }
}

/// Without a CPU partial list a slab seeded there is on its node's list.
#[test]
fn a_seeded_slab_is_parked_where_there_are_lists() {
    for (release, kind, is_parked) in [
        ((2, 6), CacheKind::CpuPartial, false),
        ((3, 1), CacheKind::CpuPartial, false),
        ((3, 2), CacheKind::CpuPartial, true),
        ((6, 12), CacheKind::CpuPartial, true),
        ((6, 12), CacheKind::CpuSlab, false),
        ((7, 2), CacheKind::CpuPartial, false),
    ] {
        let mut rig = Rig::with(release, kind, &[0], plain_layout(4));
        let pages = Pages { pfn: 1, order: 0, node: 0 };
        let slab = rig.cache.seed(&Seed { pages, free: vec![2], own: None, place: SeedPlace::CpuPartial(0) });
        rig.check();
        assert_eq!((rig.parked(0), rig.listed(0)), if is_parked { (vec![slab], vec![]) } else { (vec![], vec![slab]) });
        assert_eq!(rig.take(0, 1), [Object { slab, index: 2 }]);
    }
}
