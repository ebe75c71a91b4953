//! Layouts by the rules of 6.1, for x86-64 with more than 32 MiB; those of a real `/proc/slabinfo` are checked on captures.

use super::*;

const HW: CacheFlags = CacheFlags::HWCACHE_ALIGN;
const RECLAIM: CacheFlags = CacheFlags::RECLAIM_ACCOUNT;
const RCU: CacheFlags = CacheFlags::TYPESAFE_BY_RCU;
const NONE: CacheFlags = CacheFlags::NONE;

fn ctor(object_size: u32, flags: CacheFlags) -> SlabSpec {
    SlabSpec { has_ctor: true, ..SlabSpec::new(object_size, flags) }
}

#[test]
fn reference_geometries() {
    use IndexPlace::{FreeObject, OffSlab, OnSlab};
    let kmalloc = |class| SlabSpec::kmalloc(class, NONE);
    let plain = |size| SlabSpec::new(size, NONE);
    let hw = |size| SlabSpec::new(size, HW);
    // (spec, place, size, order, num, colour, colour_off): worked out from the rules.
    let expected = [
        (kmalloc(32), OnSlab, 32, 0, 124, 0, 64),
        (kmalloc(64), FreeObject, 64, 0, 64, 0, 64),
        (kmalloc(96), FreeObject, 128, 0, 32, 0, 64),
        (kmalloc(128), FreeObject, 128, 0, 32, 0, 128),
        (kmalloc(192), FreeObject, 192, 0, 21, 1, 64),
        (kmalloc(256), FreeObject, 256, 0, 16, 0, 256),
        (kmalloc(4096), FreeObject, 4096, 0, 1, 0, 4096),
        (kmalloc(8192), FreeObject, 8192, 1, 1, 0, 8192),
        (plain(8), OnSlab, 16, 0, 240, 0, 64),
        (plain(24), OnSlab, 24, 0, 163, 0, 64),
        (plain(40), OnSlab, 40, 0, 99, 0, 64),
        (hw(56), OnSlab, 64, 0, 63, 0, 64),
        (SlabSpec::new(104, RECLAIM), FreeObject, 104, 0, 39, 0, 64),
        (plain(208), FreeObject, 208, 0, 19, 2, 64),
        (SlabSpec::new(256, RCU), OffSlab, 256, 0, 16, 0, 64),
        (ctor(512, NONE), OffSlab, 512, 0, 8, 0, 64),
        (ctor(576, RECLAIM), OnSlab, 576, 0, 7, 0, 64),
        (plain(600), FreeObject, 600, 0, 6, 7, 64),
        (ctor(696, NONE), OnSlab, 696, 1, 11, 8, 64),
        (hw(704), FreeObject, 704, 1, 11, 7, 64),
        (ctor(960, HW.or(RECLAIM)), OnSlab, 960, 0, 4, 3, 64),
        (hw(1088), FreeObject, 1088, 1, 7, 9, 64),
        (ctor(1072, RECLAIM), OnSlab, 1072, 0, 3, 13, 64),
        (ctor(2112, HW.or(RCU)), OnSlab, 2112, 1, 3, 28, 64),
        (plain(3000), FreeObject, 3000, 1, 2, 34, 64),
        (plain(9000), FreeObject, 9000, 2, 1, 115, 64),
    ];
    for (spec, place, size, order, num, colour, colour_off) in expected {
        let found = Geometry::calculate(&SlabMachine::x86_64(4), &spec).expect("a geometry");
        let shown = (found.index_place, found.size, found.gfporder, found.num, found.colour, found.colour_off);
        assert_eq!(shown, (place, size, order, num, colour, colour_off), "{spec:?}");
    }
}

#[test]
fn kmalloc_classes_begin_at_the_smallest() {
    let machine = SlabMachine::x86_64(4);
    let classes = [0, 1, 32, 33, 65, 96, 97, 129, 192, 193, 8192, 8193].map(|bytes| machine.kmalloc_class(bytes));
    let expected = [None, Some(32), Some(32), Some(64), Some(96), Some(96), Some(128), Some(192), Some(192), Some(256), Some(8192), None];
    assert_eq!(classes, expected);
    // Where DMA asks for 128 bytes there is no class between the powers of two.
    let arm64 = SlabMachine { kmalloc_min_bytes: 128, ..machine };
    assert_eq!([8, 65, 129].map(|bytes| arm64.kmalloc_class(bytes)), [Some(128), Some(128), Some(256)]);
}

#[test]
fn limits_go_by_stride() {
    let tunables = |cpus, size| {
        let Tunables { limit, batchcount, shared } = Tunables::of(&SlabMachine::x86_64(cpus), size);
        (limit, batchcount, shared)
    };
    let expected = [(120, 60, 8), (54, 27, 8), (54, 27, 8), (24, 12, 8), (24, 12, 8), (8, 4, 0), (8, 4, 0), (1, 1, 0)];
    assert_eq!([256, 257, 1024, 1025, 4096, 4097, 131_072, 131_073].map(|size| tunables(4, size)), expected);
    assert_eq!(tunables(1, 256), (120, 60, 0));
    let accepted = |limit, batchcount, shared| Tunables { limit, batchcount, shared }.accepted().is_some();
    assert_eq!([accepted(1, 1, 0), accepted(0, 0, 0), accepted(5, 6, 0), accepted(5, 0, 1)], [true, false, false, false]);
}

#[test]
fn what_slabinfo_shows_wins_over_what_was_computed() {
    let machine = SlabMachine::x86_64(4);
    let computed = Geometry::calculate(&machine, &SlabSpec::new(600, NONE)).ok();
    assert_eq!(Geometry::reported(&machine, computed, 600, 6, 1), computed);
    // 6 of 648 bytes fill a page but for 208 bytes: indices in a free object.
    let other = Geometry::reported(&machine, computed, 648, 6, 1).expect("fits");
    assert_eq!((other.size, other.num, other.gfporder, other.index_place, other.colour), (648, 6, 0, IndexPlace::FreeObject, 3));
    // What cannot be is no geometry.
    assert_eq!(
        [(648, 7, 1), (0, 1, 1), (16, 256, 1), (16, 4, 3)].map(|(size, num, pages)| Geometry::reported(&machine, None, size, num, pages)),
        [None; 4]
    );
}
