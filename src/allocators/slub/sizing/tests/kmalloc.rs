//! Size classes, types, names and the order of creation.

use super::super::kmalloc::*;
use super::*;

#[test]
fn classes_of_requests() {
    let kernel = kernel("6.12.117", 4);
    let class = |bytes| class_bytes(&kernel, bytes);
    // First and last request of every class.
    for (first, last, bytes) in [
        (1, 8, 8),
        (9, 16, 16),
        (17, 32, 32),
        (33, 64, 64),
        (65, 96, 96),
        (97, 128, 128),
        (129, 192, 192),
        (193, 256, 256),
        (257, 512, 512),
        (513, 1024, 1024),
        (1025, 2048, 2048),
        (2049, 4096, 4096),
        (4097, 8192, 8192),
    ] {
        assert_eq!((class(first), class(last)), (Some(bytes), Some(bytes)));
        assert_eq!(class_of_allocated(&kernel, u64::from(bytes)), Some(bytes));
    }
    assert_eq!(class(0), None);
    assert_eq!(class(8193), None);
    assert_eq!(class(u64::MAX), None);
    assert_eq!(class_of_allocated(&kernel, 100), None);
    assert_eq!(large_order(&kernel, 8192), None);
    assert_eq!(large_order(&kernel, 8193), Some(2));
    assert_eq!(large_order(&kernel, 4 << 20), Some(10));
    assert_eq!(large_order(&kernel, (4 << 20) + 1), None);
}

#[test]
fn larger_minimum_sizes_drop_96_and_192() {
    let classes = |kmalloc_min_bytes| {
        let machine = Machine { kmalloc_min_bytes, ..Machine::x86_64(4) };
        let kernel = Kernel::new(release("5.10"), machine, Build::default());
        [1, 65, 129].map(|bytes| class_bytes(&kernel, bytes))
    };
    assert_eq!(classes(16), [Some(16), Some(96), Some(192)]);
    assert_eq!(classes(32), [Some(32), Some(96), Some(192)]);
    assert_eq!(classes(64), [Some(64), Some(128), Some(192)]);
    assert_eq!(classes(128), [Some(128), Some(128), Some(256)]);
}

#[test]
fn run_time_alignment_makes_classes_share_from_6_5_on() {
    let arm64 = |text: &str| {
        let machine = Machine { dma_align_bytes: 64, ..Machine::x86_64(4) };
        Kernel::new(release(text), machine, Build::default())
    };
    let classes = [8, 16, 32, 64, 96, 128, 192].map(|n| class_bytes(&arm64("6.12"), n));
    assert_eq!(classes, [64, 64, 64, 64, 128, 128, 192].map(Some));
    assert_eq!(class_bytes(&arm64("6.1"), 8), Some(8));
    let created = classes_by_index(&arm64("6.12"));
    assert_eq!(created[..4], [128, 192, 64, 256], "each cache is created once");
}

#[test]
fn types_by_gfp() {
    let kind = |text: &str, dma, reclaimable, account| {
        let gfp = GfpBits { dma, reclaimable, account };
        Kind::of_gfp(&kernel(text, 4), gfp)
    };
    assert_eq!(kind("6.12", false, false, false), Kind::Normal);
    assert_eq!(kind("6.12", true, true, true), Kind::Dma);
    assert_eq!(kind("6.12", false, true, true), Kind::Reclaim);
    assert_eq!(kind("6.12", false, false, true), Kind::Cgroup);
    assert_eq!(kind("5.12", false, false, true), Kind::Normal);
    assert_eq!(kind("4.19", false, true, false), Kind::Normal);
    assert_eq!(kind("2.6.38", true, false, false), Kind::Dma);

    let mut unaccounted = kernel("6.12", 4);
    unaccounted.build.memcg_accounting = false;
    unaccounted.build.zone_dma = false;
    let account = GfpBits { account: true, dma: true, ..GfpBits::default() };
    assert_eq!(Kind::of_gfp(&unaccounted, account), Kind::Normal);
}

#[test]
fn names_by_release() {
    let name = |text: &str, kind, bytes| cache_name(&kernel(text, 4), kind, bytes);
    assert_eq!(name("6.12", Kind::Normal, 1024), "kmalloc-1k");
    assert_eq!(name("6.12", Kind::Normal, 512), "kmalloc-512");
    assert_eq!(name("4.19", Kind::Normal, 1024), "kmalloc-1024");
    assert_eq!(name("6.12", Kind::Cgroup, 96), "kmalloc-cg-96");
    assert_eq!(name("6.12", Kind::Reclaim, 8192), "kmalloc-rcl-8k");
    assert_eq!(name("6.12", Kind::Dma, 192), "dma-kmalloc-192");
    assert_eq!(name("2.6.38", Kind::Dma, 2048), "dma-kmalloc-2048");
    assert_eq!(name("7.1", Kind::Copy(3), 64), "kmalloc-rnd-03-64");
    assert_eq!(name("7.2", Kind::Copy(15), 64), "kmalloc-part-15-64");
    assert_eq!(name("7.2", Kind::NoObjExt, 64), "kmalloc-no-objext-64");
}

#[test]
fn alignment_by_release() {
    let align = |text: &str, bytes| {
        let kernel = kernel(text, 4);
        let spec = cache_spec(&kernel, Kind::Normal, bytes);
        CacheLayout::calculate(&kernel, &spec).expect("a layout").align
    };
    for text in ["2.6.38", "4.19"] {
        assert_eq!([8, 96, 192, 4096].map(|n| align(text, n)), [8, 8, 8, 8]);
    }
    for text in ["5.4.18", "6.8.0"] {
        assert_eq!([8, 96, 192, 4096].map(|n| align(text, n)), [8, 8, 8, 4096]);
    }
    for text in ["6.12.117", "7.1.5"] {
        assert_eq!([8, 96, 192, 4096].map(|n| align(text, n)), [8, 32, 64, 4096]);
    }
}

#[test]
fn boot_order_equals_slabinfo() {
    let table = Table::read(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sizing/kmalloc-boot-order.csv")));
    assert_eq!(table.rows().len(), 5);
    for row in table.rows() {
        let mut kernel = kernel(row.text("release"), 4);
        kernel.build.zone_dma = row.text("names").contains("dma-kmalloc-8");
        let names: Vec<_> = boot_order(&kernel).into_iter().map(|(kind, class)| cache_name(&kernel, kind, class)).collect();
        assert_eq!(names.join(" "), row.text("names"), "{}", row.text("release"));
        assert!(names.iter().all(|name| is_cache_name(name)), "{names:?}");
    }
    assert!(["kmem_cache", "kmalloc", "bpf-kmalloc-8", ":0000064"].iter().all(|name| !is_cache_name(name)));
}

#[test]
fn older_boot_orders_end_with_dma_by_index() {
    let kernel = kernel("4.19", 4);
    let order = boot_order(&kernel);
    let classes = |kind| {
        let of_kind = order.iter().filter(move |(k, _)| *k == kind);
        of_kind.map(|(_, class)| *class).take(6).collect::<Vec<_>>()
    };
    assert_eq!(classes(Kind::Normal), [8, 16, 32, 64, 96, 128]);
    assert_eq!(classes(Kind::Dma), [96, 192, 8, 16, 32, 64]);
    assert_eq!(order.last(), Some(&(Kind::Dma, 8192)));
}

#[test]
fn copies_exist_where_they_are_built_in() {
    let count = |text: &str| {
        let mut kernel = kernel(text, 4);
        kernel.build.kmalloc_copies = true;
        let order = boot_order(&kernel);
        let copies = order.iter().filter(|(kind, _)| matches!(kind, Kind::Copy(_)));
        (copies.count(), order[13])
    };
    assert_eq!(count("6.12"), (15 * 13, (Kind::Copy(1), 96)));
    assert_eq!(count("6.5").0, 0);
    // (1 ^ 0) times the multiplier starts with the hexadecimal digit 6, 2 times with c.
    assert_eq!((copy_of(1, 0), copy_of(2, 0), copy_of(7, 7)), (6, 12, 0));
}
