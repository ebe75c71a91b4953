//! Layout steps one by one, and inputs no kernel would see.

use super::super::kmalloc;
use super::super::merge::{ExistingCache, merge_candidate};
use super::*;

fn layout(text: &str, spec: CacheSpec) -> CacheLayout {
    CacheLayout::calculate(&kernel(text, 2), &spec).expect("a layout")
}

/// The selected rows of the specification, 6.18 on 2 cpus: object size, flags, ctor, explicit
/// free pointer → align, stride, order, objects, min_partial, cpu_partial, in slabs.
#[test]
fn worked_examples_of_6_18() {
    let rcu = CacheFlags::TYPESAFE_BY_RCU;
    let hw = CacheFlags::HWCACHE_ALIGN;
    for (size, flags, has_ctor, freeptr_offset, expected) in [
        (96, rcu, true, None, [8, 104, 0, 39, 5, 120, 7]),
        (2080, rcu | hw, true, None, [64, 2112, 3, 15, 5, 24, 4]),
        (2304, rcu | hw, false, None, [64, 2368, 3, 13, 5, 24, 4]),
        (184, rcu | hw, false, Some(0), [64, 192, 0, 21, 5, 120, 12]),
        (192, rcu | hw, false, Some(8), [64, 192, 0, 21, 5, 120, 12]),
        (120, rcu | hw, false, None, [64, 128, 0, 32, 5, 120, 8]),
        (112, rcu, false, None, [8, 120, 0, 34, 5, 120, 8]),
    ] {
        let made = layout("6.18.44", CacheSpec { has_ctor, freeptr_offset, ..CacheSpec::new(size, flags) });
        let figures = [made.align, made.size, made.order, made.objects, made.min_partial, made.cpu_partial, made.cpu_partial_slabs];
        assert_eq!(figures, expected, "{size} bytes");
        assert_eq!(made.freeptr_offset, freeptr_offset.unwrap_or(made.inuse));
    }
}

#[test]
fn hardware_alignment_halves_the_line_for_small_objects() {
    let align = |size| layout("6.12", CacheSpec::new(size, CacheFlags::HWCACHE_ALIGN)).align;
    assert_eq!([33, 64, 1000].map(align), [64, 64, 64]);
    assert_eq!([17, 32].map(align), [32, 32]);
    assert_eq!([9, 16].map(align), [16, 16]);
    assert_eq!([1, 2, 4, 5, 8].map(align), [8; 5], "no less than a word");
}

#[test]
fn place_of_the_free_pointer_by_release() {
    let offset = |text, size| layout(text, CacheSpec::new(size, CacheFlags::NONE)).freeptr_offset;
    assert_eq!([8, 60, 100].map(|n| offset("5.4.18", n)), [0, 0, 0]);
    // up(8, 8) is one word: 0. up(60, 8) / 2 = 32. up(100, 8) / 2 = 52, rounded up: 56.
    assert_eq!([8, 60, 100].map(|n| offset("5.10.0", n)), [0, 32, 56]);
    // 8 / 2 = 4, rounded down: 0. 30 → 24. 50 → 48.
    assert_eq!([8, 60, 100].map(|n| offset("6.12", n)), [0, 24, 48]);
}

#[test]
fn a_cache_may_choose_its_free_pointer_within_limits() {
    let made = |text: &str, flags, has_ctor, offset| {
        let spec = CacheSpec { has_ctor, freeptr_offset: Some(offset), ..CacheSpec::new(64, flags) };
        CacheLayout::calculate(&kernel(text, 2), &spec).map(|made| (made.size, made.freeptr_offset))
    };
    let rcu = CacheFlags::TYPESAFE_BY_RCU;
    let refused = |offset| Err(LayoutError::FreeptrOffset { offset });
    assert_eq!(made("6.12", rcu, false, 16), Ok((64, 16)));
    assert_eq!(made("6.12", rcu, false, 64), refused(64));
    assert_eq!(made("6.12", rcu, false, 12), refused(12));
    assert_eq!(made("6.12", CacheFlags::NONE, false, 16), refused(16));
    assert_eq!(made("6.18", CacheFlags::NONE, true, 16), refused(16));
    assert_eq!(made("7.0", CacheFlags::NONE, true, 16), Ok((64, 16)));
    assert_eq!(made("6.8", rcu, false, 16), Ok((72, 64)), "no such argument");
}

/// Sums written out from the table of debug additions.
#[test]
fn debug_flags_add_metadata() {
    let figures = |text, size, flags| {
        let made = layout(text, CacheSpec::new(size, flags));
        (made.inuse, made.freeptr_offset, made.red_left_pad, made.size)
    };
    let (red, poison, user) = (CacheFlags::RED_ZONE, CacheFlags::POISON, CacheFlags::STORE_USER);
    // 64 + 8 (no padding to use) = 72; + 8 right zone + 8 left = 88.
    assert_eq!(figures("6.12", 64, red), (72, 32, 8, 88));
    // 60 is padded to 64, which serves as zone; + 8 + 8 = 80.
    assert_eq!(figures("6.12", 60, red), (64, 24, 8, 80));
    assert_eq!(figures("3.10", 60, red), (64, 0, 0, 72), "no left zone yet");
    // 4 → 8, which holds the zone; free pointer outside: + 8; + 8 + 8.
    assert_eq!(figures("6.12", 4, red), (8, 8, 8, 32));
    assert_eq!(figures("6.12", 64, poison), (64, 64, 0, 72));
    for (text, size) in [("2.6.38", 64 + 48), ("4.19", 64 + 304), ("6.12", 64 + 64)] {
        assert_eq!(figures(text, 64, user).3, size, "{text}");
    }
    // 64 + 8 + 8 free pointer + 64 tracks + 8 + 8 = 160.
    assert_eq!(figures("6.12", 64, red | poison | user), (72, 72, 8, 160));
    let kmalloc = CacheFlags::KMALLOC | user;
    // The recorded size: 4 bytes, then 8; rounded up to 8 in either case.
    assert_eq!(figures("6.1", 64, kmalloc).3, 136);
    assert_eq!(figures("6.12.117", 64, kmalloc).3, 136);
    assert_eq!(figures("6.0", 64, kmalloc).3, 128);
    // 6.12: with a recorded size the red zone moves the free pointer out: 72 + 8 + 64 + 8 + 16.
    assert_eq!(figures("6.12.117", 64, kmalloc | red), (72, 72, 8, 168));

    for flag in [CacheFlags::CONSISTENCY_CHECKS, CacheFlags::TRACE, red, poison, user] {
        let debug = layout("6.12", CacheSpec::new(64, flag));
        assert_eq!((debug.cpu_partial, debug.cpu_partial_slabs), (0, 0), "{flag:?}");
        assert_eq!(layout("7.2", CacheSpec::new(64, flag)).sheaf_capacity, 0, "{flag:?}");
    }
}

#[test]
fn metadata_is_dropped_where_it_would_raise_the_order() {
    let mut kernel = kernel("6.12", 2);
    kernel.params.keep_order = true;
    let flags = CacheFlags::METADATA | CacheFlags::CONSISTENCY_CHECKS;
    let made = |size| CacheLayout::calculate(&kernel, &CacheSpec::new(size, flags)).expect("fits");
    assert_eq!((made(4096).size, made(4096).flags), (4096, CacheFlags::CONSISTENCY_CHECKS));
    assert_eq!((made(64).size, made(64).flags), (160, flags));
}

#[test]
fn tiny_builds_keep_nothing() {
    let build = Build { slub_tiny: true, cpu_partial: false, ..Build::default() };
    for text in ["6.2", "6.12", "6.18", "7.2"] {
        let kernel = Kernel::new(release(text), Machine::x86_64(4), build);
        let spec = CacheSpec { sheaf_capacity: 32, ..CacheSpec::new(2048, CacheFlags::NONE) };
        let made = CacheLayout::calculate(&kernel, &spec).expect("a layout");
        assert_eq!((made.min_partial, made.cpu_partial, made.sheaf_capacity), (0, 0, 0));
        assert_eq!((made.order, made.objects), (1, 4));
        assert!(!kmalloc::Kind::Reclaim.exists(&kernel));
    }
}

#[test]
fn sheaf_capacity_by_release() {
    let capacity =
        |text, size, flags, sheaf_capacity| layout(text, CacheSpec { sheaf_capacity, ..CacheSpec::new(size, flags) }).sheaf_capacity;
    let none = CacheFlags::NONE;
    assert_eq!(capacity("6.17", 256, none, 32), 0);
    assert_eq!(capacity("6.18.44", 256, none, 32), 32);
    assert_eq!(capacity("6.18.44", 256, none, 0), 0);
    assert_eq!([4096, 1024, 256, 8].map(|n| capacity("7.2", n, none, 0)), [4, 12, 28, 60]);
    assert_eq!(capacity("7.2", 256, none, 32), 32);
    assert_eq!(capacity("7.2", 192, none, 32), 60);
    for text in ["7.0", "7.1", "7.2", "7.3"] {
        assert_eq!(capacity(text, 256, CacheFlags::BOOT, 0), 0, "{text}");
        assert_eq!(capacity(text, 256, CacheFlags::NOLEAKTRACE, 0), 0, "{text}");
    }
    assert_eq!(capacity("7.1", 256, CacheFlags::NO_OBJ_EXT, 0), 0);
    assert_eq!(capacity("7.2", 256, CacheFlags::NO_OBJ_EXT, 0), 28);
}

#[test]
fn only_a_stride_is_known() {
    let kernel = kernel("6.12", 4);
    let from = |size, flags, stride| CacheLayout::from_stride(&kernel, &CacheSpec::new(size, flags), stride);
    let made = from(100, CacheFlags::NONE, 128).expect("a layout");
    assert_eq!((made.size, made.inuse, made.freeptr_offset), (128, 104, 48));
    assert_eq!((made.order, made.objects), (0, 32));
    let rcu = from(100, CacheFlags::TYPESAFE_BY_RCU, 112).expect("a layout");
    assert_eq!(rcu.freeptr_offset, 104);
    let no_room = from(104, CacheFlags::TYPESAFE_BY_RCU, 104).expect("a layout");
    assert_eq!(no_room.freeptr_offset, 48, "then it must be inside");
    assert_eq!(from(0, CacheFlags::NONE, 64), Err(LayoutError::NoSize));
    assert_eq!(from(65, CacheFlags::NONE, 64), Err(LayoutError::StrideTooSmall { object_size: 65, stride: 64 }));
}

#[test]
fn sizes_no_slab_can_hold_are_errors() {
    for text in ["2.6.38", "6.6", "6.12", "7.3"] {
        let kernel = kernel(text, 4);
        let made = |size| CacheLayout::calculate(&kernel, &CacheSpec::new(size, CacheFlags::NONE));
        assert_eq!(made(0), Err(LayoutError::NoSize));
        let largest = made(4 << 20).expect("order 10");
        assert_eq!((largest.order, largest.objects), (10, 1), "{text}");
        let bytes = (4 << 20) + 8;
        assert_eq!(made((4 << 20) + 1), Err(LayoutError::TooLarge { bytes }));
        assert_eq!(made(u32::MAX), Err(LayoutError::TooLarge { bytes: 1 << 32 }));
    }
}

#[test]
fn pages_of_64_kib() {
    let machine = Machine { page_bytes: 65_536, ..Machine::x86_64(4) };
    let kernel = Kernel::new(release("6.12"), machine, Build::default());
    let made = CacheLayout::calculate(&kernel, &CacheSpec::new(8, CacheFlags::NONE));
    assert_eq!(made.map(|made| (made.order, made.objects)), Ok((0, 8192)));
    // 16 · 8192 bytes need two pages; cpu_partial compares with the page size.
    let made = CacheLayout::calculate(&kernel, &CacheSpec::new(8192, CacheFlags::NONE));
    assert_eq!(made.map(|made| (made.order, made.objects, made.cpu_partial)), Ok((1, 16, 24)));
    assert_eq!(kmalloc::class_bytes(&kernel, 131_072), Some(131_072));
    assert_eq!(kmalloc::class_bytes(&kernel, 131_073), None);
    assert_eq!(kmalloc::cache_name(&kernel, kmalloc::Kind::Normal, 131_072), "kmalloc-128k");
}

#[test]
fn no_cpus_still_give_a_layout() {
    // fls(0) = 0, so 4 objects are wanted: 4 · 1024 bytes fit in a page.
    let made = CacheLayout::calculate(&kernel("6.12", 0), &CacheSpec::new(1024, CacheFlags::NONE));
    assert_eq!(made.map(|made| (made.order, made.objects)), Ok((0, 4)));
}

/// Nothing panics, hangs or breaks the promises of [`CacheLayout`], whatever the input.
#[test]
fn hostile_input_is_harmless() {
    let odd = [0, 1, 3, 7, 8, 64, 4096, 65_536, 1 << 31, u32::MAX];
    let mut laid_out = 0_u32;
    for text in ["2.6.38", "5.10", "6.12", "6.18", "7.3"] {
        for a in odd {
            for b in odd {
                let machine = Machine {
                    page_bytes: a,
                    cpus_present: b,
                    cpus_possible: a,
                    cache_line_bytes: b,
                    word_bytes: if a > 100 { 8 } else { a },
                    slab_min_align_bytes: b.min(64),
                    kmalloc_min_bytes: b,
                    kmalloc_max_bytes: 0,
                    dma_align_bytes: a,
                    max_page_order: b,
                };
                let mut kernel = Kernel::new(release(text), machine, Build::default());
                kernel.params.min_objects = b;
                kernel.params.min_order = b.min(40);
                kernel.params.max_order = a;
                let _ = kmalloc::boot_order(&kernel);
                for size in odd {
                    let spec = CacheSpec {
                        align: b,
                        usersize: size,
                        useroffset: a,
                        sheaf_capacity: b,
                        freeptr_offset: None,
                        ..CacheSpec::new(size, CacheFlags::METADATA | CacheFlags::HWCACHE_ALIGN)
                    };
                    let _ = kmalloc::class_bytes(&kernel, u64::from(size));
                    let _ = kmalloc::large_order(&kernel, u64::from(size));
                    let _ = kmalloc::bucket_spec(size, CacheFlags::NONE, a, b);
                    let _ = CacheLayout::from_stride(&kernel, &spec, a);
                    let Ok(made) = CacheLayout::calculate(&kernel, &spec) else {
                        continue;
                    };
                    laid_out += 1;
                    let fits = |order, objects: u32| objects >= 1 && u64::from(objects) * u64::from(made.size) <= machine.slab_bytes(order);
                    assert!(fits(made.order, made.objects), "{kernel:?} {spec:?} {made:?}");
                    assert!(fits(made.min_order, made.min_objects));
                    let cache = ExistingCache::new(&kernel, &spec, &made);
                    let _ = merge_candidate(&kernel, &[cache], &spec);
                }
            }
        }
    }
    assert!(laid_out > 100, "{laid_out}");
}
