//! slub-paths.md 20.1 and 20.2.

use super::*;

const N: u64 = 7;

/// Allocates N + 1 objects and frees them in the order of allocation.
fn fill_one_slab_and_one_more(release: Release) -> Rig {
    let mut rig = Rig::new(release, N as u32, &[0]);
    let objects = rig.take(0, N as usize + 1);
    rig.free(0, &objects);
    rig.cache.validate(Some(0)).unwrap();
    rig
}

fn assert_gauges(rig: &Rig, slabs: u64, partial: u64, cpu_slabs: u64, objects: u64) {
    let gauges = rig.cache.gauges();
    assert_eq!((gauges.slabs, gauges.partial, gauges.cpu_slabs, gauges.objects), (slabs, partial, cpu_slabs, objects), "{:?}", rig.release);
}

fn assert_shrinks_to_nothing(rig: &mut Rig) {
    rig.mark();
    rig.cache.shrink(&mut rig.pages);
    rig.check();
    rig.assert_counts(&[]);
    assert_eq!(rig.cache.slab_count(), 0);
}

/// 20.1, column G0.
#[test]
fn an_emptied_slab_is_freed_at_once_in_the_oldest() {
    for release in OLDEST {
        let mut rig = fill_one_slab_and_one_more(release);
        rig.assert_counts(&[
            (AllocFastpath, N - 1),
            (AllocSlowpath, 2),
            (AllocSlab, 2),
            (AllocRefill, 1),
            (DeactivateFull, 1),
            (FreeSlowpath, N),
            (FreeAddPartial, 1),
            (FreeRemovePartial, 1),
            (FreeSlab, 1),
            (FreeFastpath, 1),
        ]);
        assert_gauges(&rig, 1, 0, 1, N);
        // Kept all the same when its CPU gives it up, below min_partial (10.1).
        rig.mark();
        rig.flush(0);
        rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateEmpty, 1)]);
        assert_gauges(&rig, 1, 1, 0, 0);
        assert_shrinks_to_nothing(&mut rig);
    }
}

/// 20.1 worked out for 3.1: the bypass of 3.2, node lists as in G0, and a minimum of slabs that is kept (8.1).
#[test]
fn an_emptied_slab_stays_on_its_node_in_3_1() {
    let mut rig = fill_one_slab_and_one_more((3, 1));
    rig.assert_counts(&[
        (AllocFastpath, N - 1),
        (AllocSlowpath, 1),
        (AllocSlab, 2),
        (DeactivateBypass, 1),
        (FreeSlowpath, N),
        (FreeAddPartial, 1),
        (FreeFastpath, 1),
    ]);
    assert_gauges(&rig, 2, 1, 1, N);
    rig.mark();
    rig.flush(0);
    rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateToHead, 1)]);
    assert_gauges(&rig, 2, 2, 0, 0);
    assert_shrinks_to_nothing(&mut rig);
}

/// 20.1, columns 3.2 and "5.10 to 5.15 and G2"; what is in between differs in `alloc_slowpath` alone (6.2).
#[test]
fn an_emptied_slab_stays_frozen_up_to_6_7() {
    for release in [EARLY].into_iter().chain(OBJECTS_LIMITED).chain(SLABS_LIMITED_AND_FROZEN) {
        let mut rig = fill_one_slab_and_one_more(release);
        rig.assert_counts(&[
            (AllocFastpath, N - 1),
            (AllocSlowpath, if release < (3, 19) { 1 } else { 2 }),
            (AllocSlab, 2),
            (DeactivateBypass, 1),
            (FreeSlowpath, N),
            (FreeFrozen, N - 1),
            (CpuPartialFree, 1),
            (FreeFastpath, 1),
        ]);
        assert_gauges(&rig, 2, 0, 2, 2 * N);
        rig.mark();
        rig.flush(0);
        let order = rig.listed(0);
        if release == EARLY {
            // 9.2: an empty slab that is met before any node's lock is taken goes.
            rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateToHead, 1), (DeactivateEmpty, 1), (FreeSlab, 1)]);
            assert_eq!(order.len(), 1);
        } else {
            rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateToHead, 1), (FreeAddPartial, 1)]);
            // B at the head, A at the tail. A was the first slab.
            assert_eq!(order.iter().map(|slab| slab.index()).collect::<Vec<_>>(), [1, 0]);
        }
        assert_shrinks_to_nothing(&mut rig);
    }
}

/// 20.1, column "G3, G4 without sheaves".
#[test]
fn an_emptied_slab_stays_parked_from_6_8_on() {
    for release in UNFROZEN {
        let mut rig = fill_one_slab_and_one_more(release);
        rig.assert_counts(&[
            (AllocFastpath, N - 1),
            (AllocSlowpath, 2),
            (AllocSlab, 2),
            (DeactivateBypass, 1),
            (FreeSlowpath, N),
            (CpuPartialFree, 1),
            (FreeFastpath, 1),
        ]);
        assert_gauges(&rig, 2, 0, 2, 2 * N);
        rig.mark();
        rig.flush(0);
        rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateToHead, 1), (FreeAddPartial, 1)]);
        assert_gauges(&rig, 2, 2, 0, 0);
        assert_shrinks_to_nothing(&mut rig);
    }
}

/// 20.2 with L = 4, and with 1, 3 and 5 by the same arithmetic: half of the limit and one more, but no more than there are.
#[test]
fn consecutive_slabs_go_through_the_cpu_partial_list() {
    for release in SLABS_LIMITED_AND_FROZEN.into_iter().chain(UNFROZEN) {
        for (limit, objects) in [(1, 4), (3, 4), (4, 2), (4, 7), (5, 4)] {
            let layout = CacheLayout { cpu_partial_slabs: limit, ..plain_layout(objects) };
            let mut rig = Rig::with(release, CacheKind::CpuPartial, &[0], layout);
            let (l, n) = (limit as usize, objects as usize);
            let all = rig.take(0, (l + 1) * n + 1);
            let firsts: Vec<Object> = all.chunks_exact(n).map(|slab| slab[0]).take(l + 1).collect();
            let slabs = slabs_of(&firsts);
            rig.mark();
            rig.free(0, &firsts);
            let limit = u64::from(limit);
            rig.assert_counts(&[(FreeSlowpath, limit + 1), (CpuPartialFree, limit + 1), (CpuPartialDrain, 1), (FreeAddPartial, limit)]);
            let drained: Vec<SlabId> = slabs[..l].iter().rev().copied().collect();
            assert_eq!(rig.listed(0), drained);
            assert_eq!(rig.parked(0), slabs[l..]);

            rig.mark();
            rig.take(0, n - 1);
            rig.assert_counts(&[(AllocFastpath, n as u64 - 1)]);

            rig.mark();
            assert_eq!(rig.take(0, 1), firsts[l..]);
            let refill = u64::from(release < (6, 8));
            rig.assert_counts(&[(AllocSlowpath, 1), (DeactivateBypass, 1), (CpuPartialAlloc, 1), (AllocRefill, refill)]);

            rig.mark();
            assert_eq!(rig.take(0, 1), firsts[l - 1..l]);
            let moved = (l / 2 + 1).min(l - 1);
            rig.assert_counts(&[(AllocSlowpath, 1), (DeactivateBypass, 1), (AllocFromPartial, 1), (CpuPartialNode, moved as u64)]);
            // Moved one by one from the head: the last one moved is on top.
            let stack: Vec<SlabId> = drained[1..=moved].iter().rev().copied().collect();
            assert_eq!(rig.parked(0), stack);
            assert_eq!(rig.listed(0), drained[moved + 1..]);
            if limit == 4 {
                assert_eq!((moved, rig.parked(0)), (3, slabs[..3].to_vec()));
            }
        }
    }
}

/// 6.1 to 6.4: whether a request that fails counts.
#[test]
fn a_failed_allocation_counts_from_3_19_on() {
    for release in OLDEST.into_iter().chain([(3, 1), EARLY]).chain(OBJECTS_LIMITED).chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        let mut rig = Rig::new(release, 4, &[0]);
        rig.pages.refuse = Refuse::Everything;
        assert_eq!(rig.cache.alloc(AllocRequest::on(0), &mut rig.pages), None);
        rig.assert_counts(&[(AllocSlowpath, u64::from(release >= (3, 19)))]);
        // With an exhausted cpu slab: 3.1 to 3.18 count where they find one, 2.6.38 the look into it.
        rig.pages.refuse = Refuse::Nothing;
        rig.take(0, 4);
        rig.mark();
        rig.pages.refuse = Refuse::Everything;
        assert_eq!(rig.cache.alloc(AllocRequest::on(0), &mut rig.pages), None);
        if release < (3, 1) {
            rig.assert_counts(&[(AllocRefill, 1), (DeactivateFull, 1)]);
        } else {
            rig.assert_counts(&[(AllocSlowpath, 1), (DeactivateBypass, 1)]);
        }
        rig.check();
    }
}

/// 6.2: an exhausted cpu slab and a slab of the CPU partial list count twice up to 3.18.
#[test]
fn the_slow_path_counts_at_each_cpu_slab_up_to_3_18() {
    for release in [EARLY].into_iter().chain(OBJECTS_LIMITED).chain(SLABS_LIMITED_AND_FROZEN) {
        let mut rig = Rig::new(release, 4, &[0]);
        let objects = rig.take(0, 8);
        rig.free(0, &objects[1..2]);
        rig.mark();
        assert_eq!(rig.take(0, 1), objects[1..2]);
        let slow = if release < (3, 19) { 2 } else { 1 };
        rig.assert_counts(&[(AllocSlowpath, slow), (DeactivateBypass, 1), (CpuPartialAlloc, 1), (AllocRefill, 1)]);
    }
}

/// 6.1 to 6.4: objects freed by others into an exhausted cpu slab are taken with one refill, in the order of its freelist.
#[test]
fn remote_frees_refill_the_cpu_slab() {
    for release in OLDEST.into_iter().chain([(3, 1), EARLY]).chain(OBJECTS_LIMITED).chain(SLABS_LIMITED_AND_FROZEN).chain(UNFROZEN) {
        let mut rig = Rig::new(release, 4, &[0, 0]);
        let objects = rig.take(0, 4);
        rig.mark();
        rig.free(1, &objects[1..3]);
        rig.assert_counts(&[(FreeSlowpath, 2), (FreeFrozen, 2)]);
        assert_eq!((rig.cache.counts(1).get(FreeFrozen), rig.cache.counts(0).get(FreeFrozen)), (2, 0));
        rig.mark();
        assert_eq!(rig.take(0, 2), [objects[2], objects[1]]);
        rig.assert_counts(&[(AllocSlowpath, 1), (AllocRefill, 1), (AllocFastpath, 1)]);
    }
}
