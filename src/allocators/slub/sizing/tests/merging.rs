//! Which caches share, and what their directories are called.

use super::super::merge::{ExistingCache, merge_candidate};
use super::snapshots::snapshots;
use super::*;

fn existing(kernel: &Kernel, spec: &CacheSpec) -> ExistingCache {
    let layout = CacheLayout::calculate(kernel, spec).expect("a layout");
    ExistingCache::new(kernel, spec, &layout)
}

#[test]
fn directory_names_follow_from_flags_and_stride() {
    for snapshot in snapshots() {
        for row in snapshot.table.rows() {
            let directory = row.text("name");
            let cache = existing(&snapshot.kernel, &snapshot.spec(row));
            // Any name but the directory's must give way in a directory that is shared.
            let own = if directory.starts_with(':') { "own-name" } else { directory };
            assert_eq!(cache.sysfs_name(&snapshot.kernel, own), directory, "{}", snapshot.title);
        }
    }
}

#[test]
fn a_second_cache_like_a_shared_one_finds_that_one() {
    for snapshot in snapshots() {
        let specs: Vec<_> = snapshot.table.rows().map(|row| snapshot.spec(row)).collect();
        let caches: Vec<_> = specs.iter().map(|spec| existing(&snapshot.kernel, spec)).collect();
        for (at, row) in snapshot.table.rows().enumerate() {
            let name = row.text("name");
            let found = merge_candidate(&snapshot.kernel, &caches, &specs[at]);
            if name.starts_with(':') {
                assert_eq!(found, Some(at), "{}: {name}", snapshot.title);
                let names = row.text("alias_names").split(' ').count();
                assert_eq!(u32::try_from(names - 1), Ok(row.get("aliases")), "{name}");
                let mut grown = caches[at];
                for _ in 1..names {
                    grown.absorb(&snapshot.kernel, &specs[at]);
                }
                assert_eq!(grown.aliases, row.get("aliases"), "{name}");
                assert_eq!(
                    (grown.size, grown.object_size),
                    (caches[at].size, caches[at].object_size),
                    "{name}: an alias changes no stride"
                );
            } else if !specs[at].flags.contains(CacheFlags::PINNED) {
                assert_eq!(found, None, "{}: {name}", snapshot.title);
            }
        }
    }
}

#[test]
fn the_walk_turned_round_in_3_18() {
    let spec = CacheSpec::new(64, CacheFlags::NONE);
    for (text, expected) in [("3.10.17", 2), ("3.19.8", 0), ("6.12.117", 0)] {
        let kernel = kernel(text, 4);
        let caches = [existing(&kernel, &spec); 3];
        assert_eq!(merge_candidate(&kernel, &caches, &spec), Some(expected), "{text}");
    }
}

#[test]
fn conditions_of_a_merge_one_by_one() {
    let kernel = kernel("6.12.117", 4);
    let base = existing(&kernel, &CacheSpec::new(60, CacheFlags::NONE));
    assert_eq!((base.object_size, base.inuse, base.size), (60, 64, 64));
    let merges = |spec: CacheSpec| merge_candidate(&kernel, &[base], &spec) == Some(0);
    let none = CacheFlags::NONE;

    assert!(merges(CacheSpec::new(64, none)));
    assert!(merges(CacheSpec::new(57, none)));
    assert!(!merges(CacheSpec::new(56, none)), "a word is left over");
    assert!(!merges(CacheSpec::new(65, none)), "too large");
    assert!(merges(CacheSpec { align: 32, ..CacheSpec::new(64, none) }));
    assert!(!merges(CacheSpec { align: 128, ..CacheSpec::new(64, none) }));
    assert!(merges(CacheSpec::new(40, CacheFlags::HWCACHE_ALIGN)), "not in the mask");
    assert!(merges(CacheSpec::new(64, CacheFlags::CONSISTENCY_CHECKS)));
    for flag in [
        CacheFlags::ACCOUNT,
        CacheFlags::RECLAIM_ACCOUNT,
        CacheFlags::CACHE_DMA,
        CacheFlags::CACHE_DMA32,
        CacheFlags::TYPESAFE_BY_RCU,
        CacheFlags::NOLEAKTRACE,
        CacheFlags::NO_MERGE,
        CacheFlags::RED_ZONE,
        CacheFlags::POISON,
        CacheFlags::STORE_USER,
        CacheFlags::TRACE,
        CacheFlags::FAILSLAB,
        CacheFlags::KASAN,
    ] {
        assert!(!merges(CacheSpec::new(64, flag)), "{flag:?}");
    }
    assert!(!merges(CacheSpec { has_ctor: true, ..CacheSpec::new(64, none) }));
    assert!(!merges(CacheSpec { usersize: 8, ..CacheSpec::new(64, none) }));

    let mut grown = base;
    grown.absorb(&kernel, &CacheSpec::new(64, none));
    assert_eq!((grown.object_size, grown.inuse, grown.aliases), (64, 64, 1));

    let mut unmerging = kernel;
    unmerging.params.merge = false;
    assert_eq!(merge_candidate(&unmerging, &[base], &CacheSpec::new(64, none)), None);
    assert_eq!(base.sysfs_name(&unmerging, "sixty"), "sixty");
}

#[test]
fn usercopy_sheaves_and_no_merge_count_from_their_release_on() {
    let merges = |text: &str, hardened: bool, spec: CacheSpec| {
        let build = Build { hardened_usercopy: hardened, ..Build::default() };
        let kernel = Kernel::new(release(text), Machine::x86_64(4), build);
        let target = existing(&kernel, &CacheSpec::new(64, CacheFlags::NONE));
        merge_candidate(&kernel, &[target], &spec).is_some()
    };
    let plain = CacheSpec::new(64, CacheFlags::NONE);
    let window = CacheSpec { usersize: 64, ..plain };
    assert!(merges("4.9.154", true, window), "no windows yet");
    assert!(!merges("4.19.0", false, window), "whatever the build");
    assert!(!merges("6.1.192", false, window));
    assert!(merges("6.12.117", false, window));
    assert!(!merges("6.12.117", true, window));

    let sheaves = CacheSpec { sheaf_capacity: 32, ..plain };
    assert!(merges("6.12.117", true, sheaves));
    assert!(!merges("6.18.44", true, sheaves));
    assert!(!merges("7.2.13", true, sheaves));
    assert!(merges("7.2.13", true, plain), "the target has sheaves of its own");

    let alone = CacheSpec::new(64, CacheFlags::NO_MERGE);
    assert!(merges("6.4.6", true, alone));
    assert!(!merges("6.5.0", true, alone));
}

#[test]
fn may_be_accounted_separates_kmalloc_from_the_rest_in_7_3() {
    use super::super::kmalloc::{Kind, cache_spec};
    let build = Build {
        hardened_usercopy: false,
        slub_tiny: true, // so that normal kmalloc may merge at all
        ..Build::default()
    };
    let other = CacheSpec::new(64, CacheFlags::NONE);
    for (accounting, found) in [(true, None), (false, Some(0))] {
        let build = Build { memcg_accounting: accounting, ..build };
        let kernel = Kernel::new(release("7.3.4"), Machine::x86_64(4), build);
        let normal = existing(&kernel, &cache_spec(&kernel, Kind::Normal, 64));
        assert_eq!(merge_candidate(&kernel, &[normal], &other), found);
        let second = existing(&kernel, &other);
        assert_eq!(merge_candidate(&kernel, &[second], &other), Some(0));
    }
}

#[test]
fn letters_of_directory_names() {
    let name = |text: &str, flags| {
        let kernel = kernel(text, 4);
        existing(&kernel, &CacheSpec::new(192, flags)).sysfs_name(&kernel, "own")
    };
    let both = CacheFlags::RECLAIM_ACCOUNT | CacheFlags::ACCOUNT;
    assert_eq!(name("6.12.117", both), ":aA-0000192");
    assert_eq!(name("6.12.117", CacheFlags::NONE), ":0000192");
    assert_eq!(name("6.12.117", CacheFlags::CACHE_DMA32 | both), ":DaA-0000192");
    assert_eq!(name("6.12.117", CacheFlags::CACHE_DMA | CacheFlags::CONSISTENCY_CHECKS), ":dF-0000192");
    assert_eq!(name("2.6.38", CacheFlags::NONE), ":t-0000192");
    assert_eq!(name("2.6.38", CacheFlags::RECLAIM_ACCOUNT), ":at-0000192");
    assert_eq!(name("2.6.38", CacheFlags::NOTRACK), ":0000192");
}
