//! One node: batches, shared arrays, the lists, the reaper.

use super::*;

fn plain(object_size: u32) -> SlabSpec {
    SlabSpec::new(object_size, CacheFlags::NONE)
}

#[test]
fn batches_are_handed_out_backwards() {
    // 8 objects a slab, limit 54, batches of 27; the first, into a cold array, is of 16.
    let mut bench = Bench::new(plain(512), vec![0]);
    let objects = bench.allocs(0, 20);
    assert_eq!(bench.names(&objects), "A7 A6 A5 A4 A3 A2 A1 A0 B7 B6 B5 B4 B3 B2 B1 B0 C7 C6 C5 C4");
    assert_eq!((bench.lists(0).as_str(), bench.array(0).as_str()), ("P[] F[C B A] E[] fo=0", "4/1"));
    bench.free_on(0, &objects);
    assert_eq!((bench.lists(0).as_str(), bench.array(0).as_str()), ("P[] F[C B A] E[] fo=0", "24/1"));
    let again = bench.allocs(0, 4);
    assert_eq!(bench.names(&again), "C4 C5 C6 C7");
    assert!(!bench.cache.nodes[0].free_touched, "growing does not look at the lists");
}

#[test]
fn a_refill_that_finds_too_little_is_content() {
    let mut bench = Bench::new(SlabSpec::kmalloc(32, CacheFlags::NONE), vec![0]);
    let objects = bench.allocs(0, 78);
    let expected: Vec<u16> = (0..16).rev().chain((16..76).rev()).chain([123, 122]).collect();
    assert_eq!(objects.iter().map(|object| object.index).collect::<Vec<_>>(), expected);
    assert_eq!((bench.lists(0).as_str(), bench.array(0).as_str()), ("P[] F[A] E[] fo=0", "46/1"));
    assert!(bench.cache.nodes[0].free_touched);
}

#[test]
fn flushes_and_the_reaper_empty_a_cache_step_by_step() {
    let mut bench = Bench::new(plain(512), vec![0]);
    let objects = bench.allocs(0, 100);
    assert_eq!((bench.lists(0).as_str(), bench.array(0).as_str()), ("P[] F[M L K J I H G F E D C B A] E[] fo=0", "4/1"));
    let steps = [
        (50, "P[] F[M L K J I H G F E D C B A] E[] fo=0", "54/1"),
        (51, "P[M:4 C:1] F[L K J I H G F E D] E[B A] fo=27", "28/1"),
        (78, "P[M:4 G:6] F[L K J I H] E[F E D C B A] fo=54", "28/1"),
        (100, "P[M:4 G:6] F[L K J I H] E[F E D C B A] fo=54", "50/1"),
    ];
    let mut freed = 0;
    for (until, lists, array) in steps {
        bench.free_on(0, &objects[freed..until]);
        freed = until;
        assert_eq!((bench.lists(0).as_str(), bench.array(0).as_str()), (lists, array), "{until} freed");
    }
    let passes = [
        (2, "P[M:4 G:6] F[L K J I H] E[F E D C B A] fo=54", "50/0", 0),
        (4, "P[M:4 H:3] F[L K J I] E[G F E D] fo=41", "39/0", 3),
        (6, "P[M:4] F[L K J] E[I H G F E D] fo=52", "28/0", 3),
        (8, "P[M:4 K:5] F[L] E[J I H G] fo=39", "17/0", 6),
        (10, "P[M:4 L:2] F[] E[K J I H G] fo=50", "6/0", 6),
        (12, "P[M:3] F[] E[L K J I] fo=37", "3/0", 8),
        (14, "P[M:1] F[] E[L K J I] fo=39", "1/0", 8),
        (16, "P[] F[] E[M L K] fo=24", "0/0", 10),
    ];
    for (seconds, lists, array, pages) in passes {
        bench.reap(0, 0, seconds);
        assert_eq!((bench.lists(0).as_str(), bench.array(0).as_str(), bench.pages.freed), (lists, array, pages), "at {seconds} s");
    }
}

#[test]
fn a_shared_array_passes_objects_between_cpus() {
    let mut bench = Bench::new(SlabSpec::kmalloc(1024, CacheFlags::NONE), vec![0, 0]);
    let objects = bench.allocs(0, 60);
    assert_eq!((bench.array(0).as_str(), bench.cache.nodes[0].full.len()), ("0/1", 15));
    bench.free_on(1, &objects[..54]);
    assert_eq!(bench.array(1), "54/0");
    bench.free_on(1, &objects[54..55]);
    assert_eq!((bench.shared(0).as_str(), bench.array(1).as_str()), ("27/0", "28/0"));
    bench.free_on(1, &objects[55..]);
    assert_eq!((bench.shared(0).as_str(), bench.array(1).as_str(), bench.cache.nodes[0].full.len()), ("27/0", "33/0", 15));
    let again = bench.allocs(0, 3);
    assert_eq!(bench.names(&again), "G1 G2 G3");
    assert_eq!((bench.shared(0).as_str(), bench.array(0).as_str()), ("0/1", "24/1"));
}

#[test]
fn slabs_take_turns_in_their_colour() {
    let colours = |spec: SlabSpec, release: KernelRelease, slabs: usize| {
        let mut bench = Bench::of(spec, vec![0], release);
        let num = bench.cache.spec.geometry.num as usize;
        let objects = bench.allocs(0, num * slabs);
        let mut seen: Vec<(SlabId, u32)> = Vec::new();
        for object in objects {
            if seen.iter().all(|(slab, _)| *slab != object.slab) {
                seen.push((object.slab, bench.cache.offset(Object { index: 0, ..object })));
            }
        }
        seen.sort_unstable();
        seen.into_iter().map(|(_, offset)| offset).take(slabs).collect::<Vec<_>>()
    };
    assert_eq!(colours(plain(208), RELEASE, 5), [64, 0, 64, 0, 64]);
    let aligned = SlabSpec::new(704, CacheFlags::HWCACHE_ALIGN);
    assert_eq!(colours(aligned, RELEASE, 9), [64, 128, 192, 256, 320, 384, 0, 64, 128]);
    assert_eq!(colours(plain(208), KernelRelease::new(2, 6, 38), 3), [0, 64, 0]);
}

#[test]
fn the_old_rule_destroys_the_slab_just_emptied() {
    // free_limit = 2 * 27 + 8 = 62. Freed in order of allocation: slabs A, B, … are emptied one after the other.
    let emptied = |release| {
        let mut bench = Bench::of(plain(512), vec![0], release);
        let objects = bench.allocs(0, 300);
        bench.free_on(0, &objects);
        bench.lists(0)
    };
    let (old, new) = (emptied(KernelRelease::new(3, 2, 0)), emptied(RELEASE));
    // 246 objects and 3 of the last batches reach the slabs: the old rule keeps the first that were emptied, the new one the last.
    assert!(old.contains('A') && !new.contains("E[A") && !new.contains(" A]"), "{old} {new}");
}

#[test]
fn shrinking_gives_all_free_slabs_back_and_tuning_changes_the_arrays() {
    let mut bench = Bench::new(plain(512), vec![0, 0]);
    let objects = bench.allocs(0, 40);
    bench.free_on(1, &objects[8..]);
    assert!(bench.cache.shrink(0, &mut bench.pages), "slab A is in use");
    bench.check();
    assert_eq!((bench.lists(0).as_str(), bench.cache.parked()), ("P[] F[A] E[] fo=0", 0));
    let small = Tunables { limit: 4, batchcount: 2, shared: 0 };
    assert!(!bench.cache.tune(0, Tunables { batchcount: 0, ..small }, &mut bench.pages));
    assert!(bench.cache.tune(0, small, &mut bench.pages));
    assert_eq!((bench.cache.nodes[0].free_limit, bench.shared(0).as_str()), (3 * 2 + 8, ""));
    bench.free_on(0, &objects[..8]);
    assert_eq!(bench.array(0), "4/0");
    assert!(bench.cache.shutdown(0, &mut bench.pages), "nothing is in use");
    bench.check();
    assert_eq!((bench.lists(0).as_str(), bench.cache.slabs.count()), ("P[] F[] E[] fo=0", 0));
}

#[test]
fn off_slab_indices_are_objects_of_a_kmalloc_cache() {
    let machine = SlabMachine::x86_64(1);
    let spec = |spec: SlabSpec| {
        let geometry = Geometry::calculate(&machine, &spec).expect("a geometry");
        SlabCacheSpec { geometry, tunables: Tunables::of(&machine, geometry.size), is_early: false }
    };
    let kmalloc = spec(SlabSpec::kmalloc(32, CacheFlags::NONE));
    let off = spec(SlabSpec::new(256, CacheFlags::TYPESAFE_BY_RCU));
    assert_eq!((off.geometry.index_place, off.geometry.freelist_size), (IndexPlace::OffSlab, 16));
    let setting = SlabSetting { rules: SlabRules::of(RELEASE), topology: Topology::uniform(1), numa: false, alien: false };
    let mut slab = Slab::new([(kmalloc, None), (off, Some(0))], &setting, 250, 0);
    let mut pages = UnlimitedPages::default();
    // Three slabs of 16, each with an index array.
    for _ in 0..48 {
        Allocator::alloc(&mut slab, 1, request(0), 0, &mut pages).expect("pages");
    }
    Allocator::validate(&slab, 0, 0).expect("the index arrays are known");
    Allocator::validate(&slab, 1, 48).expect("all objects are known");
    assert_eq!(slab.freelist_objects[0], 3);
}
