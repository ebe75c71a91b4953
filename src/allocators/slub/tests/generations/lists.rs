//! Deactivation, flushing and shrinking: slub-paths.md 10 and 11.

use super::*;

const ALL_WITH_CPU_SLABS: [Release; 14] =
    [(2, 6), (3, 0), (3, 1), (3, 2), (3, 6), (3, 19), (5, 4), (5, 10), (5, 12), (5, 15), (6, 1), (6, 8), (6, 12), (6, 19)];

/// The order in which a slab has its objects once its CPU's are back: 10.1.
fn back_in_front(release: Release, own: &[ObjectIndex], remote: &[ObjectIndex]) -> Vec<ObjectIndex> {
    let mut order = own.to_vec();
    if release < (5, 12) {
        order.reverse();
    }
    order.extend(remote);
    order
}

/// A CPU slab with `used` objects taken, of which those in `remote` are freed by another CPU, and another slab that is listed.
fn beside_a_listed_slab(release: Release, used: usize, remote: &[usize]) -> (Rig, SlabId, SlabId) {
    let mut rig = Rig::new(release, 6, &[0, 0]);
    let objects = rig.take(0, used);
    let listed = rig.list_on(0, &[2])[0];
    for &index in remote {
        rig.free(1, &[objects[index]]);
    }
    rig.mark();
    rig.flush(0);
    (rig, objects[0].slab, listed)
}

#[test]
fn own_objects_alone_go_to_the_head() {
    for release in ALL_WITH_CPU_SLABS {
        let (rig, slab, listed) = beside_a_listed_slab(release, 3, &[]);
        rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateToHead, 1)]);
        assert_eq!(rig.listed(0), [slab, listed]);
        assert_eq!(rig.freelist(slab), back_in_front(release, &[3, 4, 5], &[]), "{release:?}");
    }
}

/// 10.1: the oldest go by the CPU's own objects, all others by those of other CPUs.
#[test]
fn remote_frees_beside_own_objects() {
    for release in ALL_WITH_CPU_SLABS {
        let (rig, slab, listed) = beside_a_listed_slab(release, 3, &[1, 2]);
        assert_eq!(rig.freelist(slab), back_in_front(release, &[3, 4, 5], &[2, 1]), "{release:?}");
        if release < (3, 1) {
            rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateRemoteFrees, 1), (DeactivateToHead, 1)]);
            assert_eq!(rig.listed(0), [slab, listed]);
        } else {
            rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateRemoteFrees, 1), (DeactivateToTail, 1)]);
            assert_eq!(rig.listed(0), [listed, slab]);
        }
    }
}

#[test]
fn remote_frees_alone_go_to_the_tail() {
    for release in ALL_WITH_CPU_SLABS {
        let (rig, slab, listed) = beside_a_listed_slab(release, 6, &[0, 4]);
        rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateRemoteFrees, 1), (DeactivateToTail, 1)]);
        assert_eq!(rig.listed(0), [listed, slab]);
        assert_eq!(rig.freelist(slab), [4, 0]);
    }
}

#[test]
fn a_full_slab_is_on_no_list() {
    for release in ALL_WITH_CPU_SLABS {
        let (rig, slab, listed) = beside_a_listed_slab(release, 6, &[]);
        rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateFull, 1)]);
        assert_eq!((rig.listed(0), rig.cache.slabs[slab].place), (vec![listed], Place::Full));
    }
}

/// 10.1: what becomes of an empty cpu slab with as many slabs listed as are kept, one less and one more.
#[test]
fn an_empty_cpu_slab_is_kept_below_the_minimum() {
    for release in ALL_WITH_CPU_SLABS.into_iter().chain([(3, 10), (3, 15), (3, 16)]) {
        for listed in 1_u64..=3 {
            let layout = CacheLayout { min_partial: 2, ..plain_layout(6) };
            let mut rig = Rig::with(release, CacheKind::CpuPartial, &[0], layout);
            let object = rig.take(0, 1);
            rig.free(0, &object);
            rig.list_on(0, &[1, 1, 1][..listed as usize]);
            rig.mark();
            rig.flush(0);
            let tests_for_more = ((3, 1)..(3, 16)).contains(&release);
            let is_discarded = if tests_for_more { listed > 2 } else { listed >= 2 };
            let position = rig.listed(0).iter().position(|&slab| slab == object[0].slab);
            if is_discarded {
                rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateEmpty, 1), (FreeSlab, 1)]);
            } else if release < (3, 1) {
                rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateEmpty, 1)]);
                assert_eq!(position, Some(listed as usize), "at the tail");
            } else {
                rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateToHead, 1)]);
                assert_eq!(position, Some(0), "at the head");
            }
        }
    }
}

/// 10.2: a flush of a CPU with slabs parked, but without a cpu slab, and of one that has nothing.
#[test]
fn a_flush_counts_cpu_slabs_only() {
    for release in ALL_WITH_CPU_SLABS.into_iter().filter(|&release| release > EARLY) {
        let mut rig = Rig::new(release, 2, &[0, 0]);
        let objects = rig.take(0, 5);
        rig.free(1, &[objects[0], objects[2]]);
        rig.mark();
        rig.flush(1);
        rig.assert_counts(&[(FreeAddPartial, 2)]);
        rig.mark();
        rig.flush(1);
        rig.assert_counts(&[]);
    }
}

/// 11: all by their fill up to 3.19, those of equal fill turned round; later only up to 32 free objects.
#[test]
fn shrinking_sorts_the_list() {
    for release in ALL_WITH_CPU_SLABS.into_iter().chain([(4, 4), (7, 0), (7, 3)]) {
        let mut rig = Rig::new(release, 40, &[0]);
        let free = [35, 3, 40, 1, 3, 33, 20, 35, 32];
        let slabs = rig.list_on(0, &free);
        rig.cache.shrink(&mut rig.pages);
        rig.check();
        let sorted = if release <= (3, 19) { [3, 4, 1, 6, 8, 5, 7, 0] } else { [3, 4, 1, 6, 8, 0, 5, 7] };
        assert_eq!(rig.listed(0), sorted.map(|position: usize| slabs[position]), "{release:?}");
        // The empty one goes whatever min_partial, and counts nowhere.
        rig.assert_counts(&[]);
        assert_eq!(rig.cache.slab_count(), 8);
    }
}

/// 11: the CPUs are flushed first, with their counters.
#[test]
fn shrinking_flushes_all_cpus() {
    for release in ALL_WITH_CPU_SLABS.into_iter().filter(|&release| release > EARLY) {
        let mut rig = Rig::new(release, 2, &[0, 0]);
        let objects = rig.take(0, 3);
        rig.free(1, &objects[..2]);
        rig.mark();
        rig.cache.shrink(&mut rig.pages);
        rig.check();
        // The cpu slab of CPU 0, with one of two in use, and an empty slab that CPU 1 has parked.
        rig.assert_counts(&[(CpuslabFlush, 1), (DeactivateToHead, 1), (FreeAddPartial, 1)]);
        assert_eq!(rig.listed(0), slabs_of(&objects[2..]));
    }
}

/// 4.1: of the two ends of a list allocation takes the head.
#[test]
fn allocation_starts_at_the_head() {
    for release in ALL_WITH_CPU_SLABS {
        let mut rig = Rig::new(release, 8, &[0]);
        let slabs = rig.list_on(0, &[8, 8]);
        let last = rig.list_on(0, &[8])[0];
        rig.cache.nodes[0].remove(&mut rig.cache.slabs, last);
        rig.cache.nodes[0].add(&mut rig.cache.slabs, last, End::Head);
        assert_eq!(rig.take(0, 1)[0].slab, last, "{release:?}");
        assert!(rig.listed(0).is_empty() || rig.listed(0).ends_with(&slabs[1..]));
    }
}
