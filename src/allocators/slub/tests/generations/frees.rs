//! Free paths without CPU partial lists, detached lists and bulk operations: slub-paths.md 8 and 12.

use super::*;

fn without_cpu_partial(release: Release, objects: u32, min_partial: u32) -> Rig {
    Rig::with(release, CacheKind::CpuSlab, &[0], CacheLayout { min_partial, ..plain_layout(objects) })
}

/// The object in use of a slab that [`Rig::list_on`] made with one less.
fn last_of(rig: &Rig, slab: SlabId) -> Object {
    Object { slab, index: rig.cache.layout.objects as u16 - 1 }
}

/// 8.1 to 8.3: three slabs on a list, each emptied in turn, with a minimum of 1.
#[test]
fn an_emptied_listed_slab_is_kept_by_the_rule_of_its_time() {
    let cases = [
        // Whatever the minimum.
        ((2, 6), 3),
        ((3, 0), 3),
        // More than one listed, itself included: at 3 and 2, not at 1.
        ((3, 1), 2),
        ((3, 2), 2),
        ((3, 10), 2),
        ((3, 15), 2),
        // One or more listed.
        ((3, 16), 3),
        ((3, 19), 3),
        ((5, 10), 3),
        ((6, 1), 3),
        ((6, 12), 3),
        ((6, 18), 3),
    ];
    for (release, freed) in cases {
        let mut rig = without_cpu_partial(release, 4, 1);
        for slab in rig.list_on(0, &[3, 3, 3]) {
            let object = last_of(&rig, slab);
            rig.free(0, &[object]);
        }
        rig.assert_counts(&[(FreeSlowpath, 3), (FreeRemovePartial, freed), (FreeSlab, freed)]);
        assert_eq!(rig.listed(0).len() as u64, 3 - freed);
    }
}

/// 8.1: with plenty of room below the minimum only 2.6.38 and 3.0 free an emptied slab.
#[test]
fn min_partial_is_not_asked_by_frees_of_the_oldest() {
    for release in OLDEST.into_iter().chain([(3, 1), EARLY, (3, 19), (6, 7), (6, 17)]) {
        let mut rig = without_cpu_partial(release, 4, 5);
        let slab = rig.list_on(0, &[3])[0];
        let object = last_of(&rig, slab);
        rig.free(0, &[object]);
        let freed = u64::from(release < (3, 1));
        rig.assert_counts(&[(FreeSlowpath, 1), (FreeRemovePartial, freed), (FreeSlab, freed)]);
    }
}

/// 8.1 to 8.3: a slab of one object is full, then empty, and was on no list.
#[test]
fn a_slab_of_one_object_goes_from_full_to_empty() {
    for release in OLDEST.into_iter().chain([(3, 1), EARLY, (3, 19), (6, 7), (6, 17)]) {
        for min_partial in [0, 1] {
            let mut rig = without_cpu_partial(release, 1, min_partial);
            let objects = rig.take(0, 2);
            rig.mark();
            rig.free(0, &objects[..1]);
            // None is listed yet: 0 > 0 does not hold, 0 >= 0 does.
            let freed = u64::from(release < (3, 1) || release >= (3, 16) && min_partial == 0);
            rig.assert_counts(&[(FreeSlowpath, 1), (FreeSlab, freed), (FreeAddPartial, 1 - freed)]);
        }
    }
}

/// 4.1, 8.1: the first free into a full slab puts it at the tail.
#[test]
fn a_full_slab_goes_to_the_tail_without_a_cpu_partial_list() {
    for release in OLDEST.into_iter().chain([(3, 1), EARLY, (3, 19), (6, 7), (6, 17)]) {
        let mut rig = without_cpu_partial(release, 4, 5);
        let objects = rig.take(0, 5);
        let listed = rig.list_on(0, &[2]);
        rig.mark();
        rig.free(0, &objects[1..2]);
        rig.assert_counts(&[(FreeSlowpath, 1), (FreeAddPartial, 1)]);
        assert_eq!(rig.listed(0), [listed[0], objects[1].slab]);
    }
    // 3.1 and before have no such list, whatever the cache.
    let mut rig = Rig::new((3, 1), 4, &[0]);
    let objects = rig.take(0, 5);
    rig.free(0, &objects[1..2]);
    assert_eq!((rig.listed(0).len(), rig.cache.cpu_partial_count()), (1, 0));
}

/// 3: `free_fastpath` counts calls up to 6.7 and objects from 6.8 on; `free_slowpath` calls until 6.19.
#[test]
fn detached_lists_count_calls_or_objects() {
    for release in OBJECTS_LIMITED.into_iter().chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        let mut rig = Rig::new(release, 8, &[0, 0]);
        let objects = rig.take(0, 8 + 7);
        let (full, own) = (objects[0].slab, objects[8].slab);
        rig.mark();
        rig.free_list(0, own, &[2, 0, 1]);
        rig.assert_counts(&[(FreeFastpath, if release < (6, 8) { 1 } else { 3 })]);
        // Head first, before the object that was left.
        let order = [2, 0, 1, 7];
        let chain: Vec<ObjectIndex> = rig.cache.slabs.chain(own, rig.cache.cpus[0].freelist).collect();
        assert_eq!(chain, order);

        rig.mark();
        rig.free_list(1, own, &[3, 4]);
        rig.assert_counts(&[(FreeSlowpath, 1), (FreeFrozen, 1)]);
        assert_eq!(rig.freelist(own), [3, 4]);

        rig.mark();
        rig.free_list(1, full, &[0, 1, 2]);
        rig.assert_counts(&[(FreeSlowpath, 1), (CpuPartialFree, 1)]);
        rig.mark();
        rig.free_list(0, full, &[3, 4, 5]);
        rig.assert_counts(&[(FreeSlowpath, 1), (FreeFrozen, u64::from(release < (6, 8)))]);
        assert_eq!(rig.freelist(full), [3, 4, 5, 0, 1, 2]);
    }
}

/// 8.2, 9.1: a whole slab freed at once is parked although it is empty, with all its objects.
#[test]
fn a_whole_slab_freed_at_once_is_parked() {
    for release in OBJECTS_LIMITED {
        let mut rig = Rig::new(release, 8, &[0]);
        let objects = rig.take(0, 16 + 1);
        rig.mark();
        rig.free_list(0, objects[0].slab, &[0, 1, 2, 3, 4, 5, 6, 7]);
        rig.assert_counts(&[(FreeSlowpath, 1), (CpuPartialFree, 1)]);
        // 8 objects are more than 6. Nothing is listed, so the empty slab is kept.
        rig.mark();
        rig.free(0, &objects[8..9]);
        rig.assert_counts(&[(FreeSlowpath, 1), (CpuPartialFree, 1), (CpuPartialDrain, 1), (FreeAddPartial, 1)]);
        assert_eq!(rig.listed(0), slabs_of(&objects[..1]));
    }
}

/// 12.2: bulk allocation counts slow steps from 5.10 on and what it pops from 6.8 on.
#[test]
fn bulk_allocations_count_more_and_more() {
    for release in [(4, 4), (5, 4), (5, 10), (5, 15), (6, 1), (6, 7), (6, 8), (6, 12), (6, 19)] {
        let mut rig = Rig::new(release, 8, &[0]);
        let mut got = Vec::new();
        assert!(rig.cache.alloc_bulk(0, Caller::Blocking, 8 + 3, &mut got, &mut rig.pages));
        rig.check();
        let slow = if release < (5, 10) { 0 } else { 2 };
        let popped = if release < (6, 8) { 0 } else { 7 + 2 };
        rig.assert_counts(&[(AllocFastpath, popped), (AllocSlowpath, slow), (AllocSlab, 2), (DeactivateBypass, 1)]);
        assert_eq!(got.len(), 11);
    }
}

/// 12.2: all or nothing; the give-back counts as detached lists do.
#[test]
fn a_failed_bulk_allocation_gives_back() {
    for release in [(4, 4), (5, 10), (6, 1), (6, 8), (6, 19)] {
        let mut rig = Rig::new(release, 8, &[0]);
        rig.take(0, 1);
        rig.mark();
        rig.pages.refuse = Refuse::Everything;
        let mut got = Vec::new();
        assert!(!rig.cache.alloc_bulk(0, Caller::Blocking, 8, &mut got, &mut rig.pages));
        assert!(got.is_empty());
        rig.cache.validate(Some(1)).unwrap();
        // Seven popped; then the slab was dropped, so that they are freed into a full slab, as one list.
        let counted_slow = u64::from(release >= (5, 10));
        let popped = if release < (6, 8) { 0 } else { 7 };
        rig.assert_counts(&[
            (AllocFastpath, popped),
            (AllocSlowpath, counted_slow),
            (DeactivateBypass, 1),
            (FreeSlowpath, 1),
            (CpuPartialFree, 1),
        ]);
    }
}
