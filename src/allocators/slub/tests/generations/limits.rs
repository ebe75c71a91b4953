//! Limits of CPU partial lists: slub-paths.md 4.3 and 9.

use super::*;

fn with_limit(release: Release, cpu_partial: u32, cpu_partial_slabs: u32) -> Rig {
    let layout = CacheLayout { cpu_partial, cpu_partial_slabs, min_partial: 1, ..plain_layout(8) };
    Rig::with(release, CacheKind::CpuPartial, &[0, 0], layout)
}

/// Slabs that are all in use, and on no list.
fn full_slabs(rig: &mut Rig, count: usize) -> Vec<Vec<Object>> {
    let objects = rig.take(0, count * 8);
    rig.take(0, 1);
    rig.mark();
    objects.chunks(8).map(<[Object]>::to_vec).collect()
}

/// 4.3: up to 3.1 one slab is taken from a node's list, and no more.
#[test]
fn a_single_slab_is_taken_up_to_3_1() {
    for release in [(2, 6), (3, 0), (3, 1)] {
        let mut rig = with_limit(release, 6, 4);
        let slabs = rig.list_on(0, &[1, 1, 1]);
        assert_eq!(rig.take(0, 1)[0].slab, slabs[0]);
        rig.assert_counts(&[(AllocSlowpath, u64::from(release < (3, 1))), (AllocFromPartial, 1)]);
        assert_eq!((rig.listed(0), rig.parked(0)), (slabs[1..].to_vec(), vec![]));
    }
}

/// 4.3: from 3.6 on slabs are moved until more than half the limit of objects is at hand, the first slab's included.
#[test]
fn slabs_are_moved_until_half_the_objects_are_there() {
    // Half of 6 and 7 is 3; slabs of 1: 2, 3 and 4 after the first three extra ones.
    let cases: [(u32, &[u16], usize); 5] =
        [(6, &[1, 1, 1, 1, 1, 1], 3), (7, &[1, 1, 1, 1, 1], 3), (6, &[4, 1, 1], 0), (6, &[3, 8, 1], 1), (6, &[1, 1], 1)];
    for release in OBJECTS_LIMITED {
        for (limit, free, moved) in cases {
            let mut rig = with_limit(release, limit, 0);
            let slabs = rig.list_on(0, free);
            assert_eq!(rig.take(0, 1)[0].slab, slabs[0]);
            let slow = u64::from(release >= (3, 19));
            rig.assert_counts(&[(AllocSlowpath, slow), (AllocFromPartial, 1), (CpuPartialNode, moved as u64)]);
            let stack: Vec<SlabId> = slabs[1..=moved].iter().rev().copied().collect();
            assert_eq!((rig.parked(0), rig.listed(0)), (stack, slabs[moved + 1..].to_vec()), "{release:?}");
        }
    }
}

/// 4.3: 3.2 leaves the first slab's objects out, and counts `cpu_partial_free` for each that it moves.
#[test]
fn the_first_slab_does_not_count_in_3_2() {
    let cases: [(u32, &[u16], usize); 4] =
        [(6, &[1, 1, 1, 1, 1, 1], 4), (6, &[8, 1, 1, 1, 1, 1], 4), (6, &[8, 8, 1], 1), (0, &[1, 1, 1], 1)];
    for (limit, free, moved) in cases {
        let mut rig = with_limit(EARLY, limit, 0);
        let slabs = rig.list_on(0, free);
        assert_eq!(rig.take(0, 1)[0].slab, slabs[0]);
        rig.assert_counts(&[(AllocFromPartial, 1), (CpuPartialFree, moved as u64)]);
        assert_eq!(rig.listed(0), slabs[moved + 1..]);
    }
}

/// 4.3: what is moved at a limit of 0.
#[test]
fn one_slab_is_moved_at_limit_zero_from_5_16_to_6_8() {
    let none = OBJECTS_LIMITED.into_iter().chain([(6, 12), (6, 17), (6, 19)]).map(|release| (release, 0));
    let one = SLABS_LIMITED_AND_FROZEN.into_iter().chain([(6, 8)]).map(|release| (release, 1));
    for (release, moved) in none.chain(one) {
        let mut rig = with_limit(release, 0, 0);
        rig.list_on(0, &[1, 1, 1]);
        rig.take(0, 1);
        assert_eq!((rig.cache.total(CpuPartialNode), rig.listed(0).len()), (moved, 2 - moved as usize), "{release:?}");
    }
}

/// 9.1: the list is drained when it already has more objects than the limit, as counted when its slabs came.
#[test]
fn objects_are_counted_when_their_slab_is_parked() {
    for release in [EARLY].into_iter().chain(OBJECTS_LIMITED) {
        let mut rig = with_limit(release, 2, 0);
        let slabs = full_slabs(&mut rig, 4);
        // A is parked with 1 object. Five more come later and are not counted: 1 for A, 2 with B, 3 with C, and only then
        // is it more than 2.
        rig.free(0, &slabs[0][..6]);
        rig.free(0, &[slabs[1][0], slabs[2][0]]);
        rig.assert_counts(&[(FreeSlowpath, 8), (FreeFrozen, 5), (CpuPartialFree, 3)]);
        rig.mark();
        rig.free(0, &[slabs[3][0]]);
        let from_3_6 = u64::from(release != EARLY);
        rig.assert_counts(&[(FreeSlowpath, 1), (CpuPartialFree, 1), (CpuPartialDrain, from_3_6), (FreeAddPartial, 3 * from_3_6)]);
        assert_eq!(rig.listed(0), [slabs[2][0].slab, slabs[1][0].slab, slabs[0][0].slab], "last parked first");
        assert_eq!(rig.parked(0), [slabs[3][0].slab]);
    }
}

/// 9.1: what is taken off the list leaves its count.
#[test]
fn a_slab_taken_off_the_list_takes_its_count_along() {
    for release in OBJECTS_LIMITED {
        let mut rig = with_limit(release, 1, 0);
        let slabs = full_slabs(&mut rig, 3);
        rig.free(0, &[slabs[0][0], slabs[1][0]]);
        // 2 are more than 1: the next would drain. Taking one off leaves 1.
        rig.take(0, 7 + 1);
        assert_eq!(rig.parked(0), [slabs[0][0].slab]);
        rig.mark();
        rig.free(0, &[slabs[2][0]]);
        rig.assert_counts(&[(FreeSlowpath, 1), (CpuPartialFree, 1)]);
        assert_eq!(rig.parked(0), [slabs[2][0].slab, slabs[0][0].slab]);
    }
}

/// 9.1: and that is the count of when it was parked, whatever came later.
#[test]
fn later_frees_do_not_change_the_count_of_a_slab_taken_off() {
    for release in OBJECTS_LIMITED {
        let mut rig = with_limit(release, 3, 0);
        let slabs = full_slabs(&mut rig, 6);
        rig.free(0, &slabs[0][..1]);
        rig.free(0, &slabs[1][..6]);
        rig.take(0, 7 + 1);
        // 1 is left of 2; with the next three it is 2, 3 and 4, which the last finds to be more than 3.
        rig.mark();
        for slab in &slabs[2..5] {
            rig.free(0, &slab[..1]);
        }
        rig.assert_counts(&[(FreeSlowpath, 3), (CpuPartialFree, 3)]);
        rig.mark();
        rig.free(0, &slabs[5][..1]);
        rig.assert_counts(&[(FreeSlowpath, 1), (CpuPartialFree, 1), (CpuPartialDrain, 1), (FreeAddPartial, 4)]);
    }
}

/// 9.2 with four empty slabs and one that is kept for one: `>` until 3.15, `>=` from 3.16 on.
#[test]
fn drained_empty_slabs_are_kept_up_to_the_minimum() {
    let kept_by = |release: Release| match release {
        EARLY => 0,
        _ if release < (3, 16) => 2,
        _ => 1,
    };
    for release in [EARLY].into_iter().chain(OBJECTS_LIMITED).chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        let mut rig = with_limit(release, 30, 30);
        let slabs = full_slabs(&mut rig, 4);
        for slab in &slabs {
            rig.free(1, slab);
        }
        assert_eq!(rig.cache.cpu_partial_count(), 4);
        let frames: Vec<u64> = slabs.iter().map(|slab| rig.cache.slabs[slab[0].slab].pages.pfn).collect();
        rig.mark();
        rig.flush(1);
        let kept = kept_by(release);
        let added = if release == EARLY { 0 } else { kept as u64 };
        rig.assert_counts(&[(FreeAddPartial, added), (DeactivateEmpty, 4 - kept as u64), (FreeSlab, 4 - kept as u64)]);
        let last_parked: Vec<SlabId> = slabs.iter().rev().map(|slab| slab[0].slab).take(kept).collect();
        assert_eq!(rig.listed(0), last_parked);
        if release != EARLY {
            // Those set aside go last first; the source gives out what it got last.
            let request = PageRequest { owner: 0, order: 0, cpu: 0, node: 0, this_node_only: false, rights: crate::mem::Rights::Reclaim };
            assert_eq!(rig.pages.alloc(request).unwrap().pfn, frames[3 - kept]);
        }
    }
}

/// 9.2, 3.2: once a lock is held, empties are kept as long as no more than the minimum is listed.
#[test]
fn empties_behind_a_kept_slab_may_stay_in_3_2() {
    let mut rig = with_limit(EARLY, 30, 0);
    let slabs = full_slabs(&mut rig, 5);
    // From the top: empty, one object in use, empty, empty, empty.
    for slab in [&slabs[4], &slabs[3], &slabs[2]] {
        rig.free(1, slab);
    }
    rig.free(1, &slabs[1][1..]);
    rig.free(1, &slabs[0]);
    rig.mark();
    rig.flush(1);
    // Gone, kept (1 listed), kept as 1 is not more than 1, gone, gone.
    rig.assert_counts(&[(DeactivateEmpty, 3), (FreeSlab, 3)]);
    assert_eq!(rig.listed(0), [slabs[1][0].slab, slabs[2][0].slab]);
}

/// 9.1, quirks: a limit of 0 parks nothing in 4.4 to 5.14; before and after, one slab waits for the next.
#[test]
fn a_limit_of_zero_parks_a_slab_but_not_from_4_4_to_5_14() {
    for release in [(4, 4), (4, 19), (5, 4), (5, 10), (5, 14)] {
        let mut rig = with_limit(release, 0, 0);
        let slabs = full_slabs(&mut rig, 2);
        rig.free(0, &[slabs[0][0], slabs[1][0]]);
        rig.assert_counts(&[(FreeSlowpath, 2), (CpuPartialFree, 2), (FreeAddPartial, 2)]);
        assert_eq!(rig.listed(0), [slabs[0][0].slab, slabs[1][0].slab]);
        assert_eq!(rig.parked(0), []);
    }
    let before = [EARLY, (3, 6), (3, 10), (3, 19)];
    for release in before.into_iter().chain([(5, 15)]).chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        let mut rig = with_limit(release, 0, 0);
        let slabs = full_slabs(&mut rig, 2);
        rig.free(0, &[slabs[0][0]]);
        rig.assert_counts(&[(FreeSlowpath, 1), (CpuPartialFree, 1)]);
        assert_eq!(rig.parked(0), [slabs[0][0].slab]);
        rig.mark();
        rig.free(0, &[slabs[1][0]]);
        let from_3_6 = u64::from(release != EARLY);
        rig.assert_counts(&[(FreeSlowpath, 1), (CpuPartialFree, 1), (FreeAddPartial, from_3_6), (CpuPartialDrain, from_3_6)]);
        assert_eq!((rig.listed(0), rig.parked(0)), (vec![slabs[0][0].slab], vec![slabs[1][0].slab]), "{release:?}");
    }
}

/// 9.1, quirks: an empty slab that goes straight to its node is kept or discarded as by a drain.
#[test]
fn an_empty_slab_that_is_not_parked_may_be_discarded() {
    let layout = CacheLayout { cpu_partial: 0, min_partial: 1, ..plain_layout(1) };
    let mut rig = Rig::with((5, 10), CacheKind::CpuPartial, &[0], layout);
    let objects = rig.take(0, 3);
    rig.mark();
    rig.free(0, &objects[..2]);
    rig.assert_counts(&[(FreeSlowpath, 2), (CpuPartialFree, 2), (FreeAddPartial, 1), (DeactivateEmpty, 1), (FreeSlab, 1)]);
    assert_eq!(rig.listed(0), slabs_of(&objects[..1]));
}

/// 8.2, 21.4: the CPU that frees gets the slab, on whatever node it is; a drain gives it back to its own node.
#[test]
fn the_freeing_cpu_parks_the_slab() {
    for release in [EARLY].into_iter().chain(OBJECTS_LIMITED).chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        let mut rig = Rig::new(release, 4, &[0, 1]);
        let objects = rig.take(0, 5);
        rig.free(1, &objects[..1]);
        assert_eq!((rig.parked(0), rig.parked(1)), (vec![], slabs_of(&objects[..1])), "{release:?}");
        assert_eq!(rig.cache.counts(1).get(CpuPartialFree), 1);
        rig.flush(1);
        assert_eq!((rig.listed(0), rig.listed(1)), (slabs_of(&objects[..1]), vec![]), "{release:?}");
    }
}
