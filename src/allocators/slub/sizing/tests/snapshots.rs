//! Every cache of real kernels: `/sys/kernel/slab` of 5.10, 6.1, 6.12, 6.18 and 7.2.

use super::*;

macro_rules! data {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sizing/", $name))
    };
}

/// One kernel's caches, and what is known of it that its sysfs does not show.
pub(super) struct Snapshot {
    pub(super) title: &'static str,
    pub(super) kernel: Kernel,
    pub(super) table: Table,
    /// Caches that choose the place of their free pointer.
    explicit_freeptr: &'static [&'static str],
    /// Caches created with `SLAB_NO_MERGE` that are neither kmalloc caches nor buckets.
    no_merge: &'static [&'static str],
    /// Caches created with a sheaf capacity of 32.
    sheaves: &'static [&'static str],
}

/// Caches with a constructor, mostly `init_once()` of a file system's inodes. The 6.18 table has a
/// column for it; the others do not show it.
const CONSTRUCTORS: &[&str] = &[
    "aio_inode_cache",
    "anon_vma",
    "bdev_cache",
    "debugfs_inode_cache",
    "ext4_inode_cache",
    "inode_cache",
    "mqueue_inode_cache",
    "proc_inode_cache",
    "radix_tree_node",
    "shmem_inode_cache",
    "sighand_cache",
    "sock_inode_cache",
    "tracefs_inode_cache",
    "v9fs_inode_cache",
];

pub(super) fn snapshots() -> Vec<Snapshot> {
    let plain = Build { hardened_usercopy: false, zone_dma: false, ..Build::default() };
    let buckets = Build { slab_buckets: true, ..plain };
    let live = Build { slab_buckets: true, ..Build::default() };
    let snapshot = |title, text, cpus, build, table| Snapshot {
        title,
        kernel: Kernel::new(release(text), Machine::x86_64(cpus), build),
        table: Table::read(table),
        explicit_freeptr: &[],
        no_merge: &[],
        sheaves: &[],
    };
    vec![
        snapshot("5.10", "5.10.223", 4, plain, data!("slub-5.10-4cpu.csv")),
        snapshot("6.1", "6.1.192", 4, plain, data!("slub-6.1-4cpu.csv")),
        Snapshot {
            explicit_freeptr: &["filp"],
            no_merge: &["skbuff_head_cache"],
            ..snapshot("6.12", "6.12.117", 4, plain, data!("slub-6.12-4cpu.csv"))
        },
        Snapshot {
            explicit_freeptr: &["filp"],
            no_merge: &["skbuff_head_cache", "kmalloc_buckets"],
            ..snapshot("6.12, 2 nodes", "6.12.117", 4, buckets, data!("slub-6.12-4cpu-2node.csv"))
        },
        Snapshot {
            explicit_freeptr: &["filp"],
            no_merge: &["skbuff_head_cache", "kmalloc_buckets"],
            ..snapshot("6.12, hardened", "6.12.117", 4, buckets, data!("slub-6.12-4cpu-hardened.csv"))
        },
        Snapshot {
            explicit_freeptr: &["filp", "bfilp", "vm_area_struct"],
            no_merge: &["kmalloc_buckets"],
            sheaves: &["maple_node", "vm_area_struct"],
            ..snapshot("6.18", "6.18.44-fc-v669", 2, live, data!("sysfs-6.18-2cpu.csv"))
        },
        Snapshot {
            explicit_freeptr: &["filp", "bfilp", "vm_area_struct", "TCP", "TCPv6", "ext4_inode_cache"],
            no_merge: &["skbuff_head_cache"],
            sheaves: &["maple_node", "vm_area_struct"],
            ..snapshot("7.2", "7.2.13", 4, plain, data!("slub-7.2-4cpu.csv"))
        },
    ]
}

impl Snapshot {
    /// The creation arguments of a cache, from what sysfs shows except stride and limits.
    pub(super) fn spec(&self, row: Row<'_>) -> CacheSpec {
        let name = row.text("name");
        let kernel = &self.kernel;
        for (kind, class) in super::super::kmalloc::boot_order(kernel) {
            if name == super::super::kmalloc::cache_name(kernel, kind, class) {
                return super::super::kmalloc::cache_spec(kernel, kind, class);
            }
        }
        let object_size = row.get("object_size");
        let usersize = row.number("usersize").unwrap_or(0);
        for (set, flags, useroffset) in [("memdup_user-", CacheFlags::NONE, 0), ("msg_msg-", CacheFlags::ACCOUNT, 48)] {
            if name.starts_with(set) {
                return super::super::kmalloc::bucket_spec(object_size, flags, useroffset, 4048);
            }
        }
        if matches!(name, "kmem_cache" | "kmem_cache_node") {
            return CacheSpec::new(object_size, CacheFlags::BOOT);
        }
        let letters = name.strip_prefix(':').map_or("", |rest| rest.split_once('-').map_or("", |(letters, _)| letters));
        let hwcache = row.is_set("hwcache_align");
        let has_ctor = if row.columns.contains(&"has_ctor") { row.is_set("has_ctor") } else { CONSTRUCTORS.contains(&name) };
        let flags = [
            (CacheFlags::HWCACHE_ALIGN, hwcache),
            (CacheFlags::RECLAIM_ACCOUNT, row.is_set("reclaim_account")),
            (CacheFlags::CACHE_DMA, row.is_set("cache_dma")),
            (CacheFlags::TYPESAFE_BY_RCU, row.is_set("destroy_by_rcu")),
            // No file shows it; the letter is the only witness.
            (CacheFlags::ACCOUNT, letters.contains('A')),
            (CacheFlags::NO_MERGE, self.no_merge.contains(&name)),
        ];
        let flags = flags.into_iter().fold(CacheFlags::NONE, |all, (flag, set)| all | flag.when(set));
        CacheSpec {
            // With hardware alignment, which sysfs does show, nothing more was asked for.
            align: if hwcache { 0 } else { row.get("align") },
            has_ctor,
            freeptr_offset: self.explicit_freeptr.contains(&name).then_some(0),
            usersize,
            sheaf_capacity: if self.sheaves.contains(&name) { 32 } else { 0 },
            ..CacheSpec::new(object_size, flags)
        }
    }
}

fn assert_reproduced(title: &str, row: Row<'_>, layout: &CacheLayout) {
    let at = format!("{title}: {}", row.text("name"));
    assert_eq!(layout.object_size, row.get("object_size"), "{at}");
    assert_eq!(layout.size, row.get("slab_size"), "{at}: stride");
    assert_eq!(layout.align, row.get("align"), "{at}: align");
    assert_eq!(layout.order, row.get("order"), "{at}: order");
    assert_eq!(layout.objects, row.get("objs_per_slab"), "{at}: objects");
    assert_eq!(layout.min_partial, row.get("min_partial"), "{at}: min_partial");
    assert_eq!(layout.cpu_partial, row.get("cpu_partial"), "{at}: cpu_partial");
    assert_eq!(
        Some(layout.sheaf_capacity).filter(|_| row.number("sheaf_capacity").is_some()),
        row.number("sheaf_capacity"),
        "{at}: sheaf_capacity"
    );
    assert_eq!(REMOTE_NODE_DEFRAG_RATIO / 10, row.get("remote_node_defrag_ratio"), "{at}");
}

#[test]
fn every_cache_of_every_snapshot_is_reproduced() {
    let mut counts = Vec::new();
    for snapshot in snapshots() {
        for row in snapshot.table.rows() {
            let spec = snapshot.spec(row);
            let layout = CacheLayout::calculate(&snapshot.kernel, &spec).unwrap_or_else(|error| panic!("{}: {error}", row.text("name")));
            assert_reproduced(snapshot.title, row, &layout);

            let stride = row.get("slab_size");
            let from_stride = CacheLayout::from_stride(&snapshot.kernel, &spec, stride);
            assert_eq!(from_stride, Ok(layout), "{}", row.text("name"));
        }
        counts.push(snapshot.table.rows().len());
    }
    // As many directories as the snapshots have, counted when they were extracted.
    assert_eq!(counts, [106, 128, 120, 147, 147, 235, 127]);
}

#[test]
fn kmalloc_and_bucket_caches_follow_from_the_class_table_alone() {
    use super::super::kmalloc::*;
    let mut counts = Vec::new();
    for snapshot in snapshots() {
        let kernel = &snapshot.kernel;
        let row_of = |name: &str| {
            let mut rows = snapshot.table.rows();
            rows.find(|row| row.text("name") == name).unwrap_or_else(|| panic!("{}: no directory {name}", snapshot.title))
        };
        let mut caches: Vec<_> = boot_order(kernel)
            .into_iter()
            .map(|(kind, class)| (cache_name(kernel, kind, class), cache_spec(kernel, kind, class)))
            .collect();
        if kernel.build.slab_buckets {
            for class in classes_by_index(kernel) {
                let none = CacheFlags::NONE;
                let memdup = bucket_spec(class, none, 0, u32::MAX);
                let msg = bucket_spec(class, CacheFlags::ACCOUNT, 48, 4048);
                caches.push((bucket_name(kernel, "memdup_user", class), memdup));
                caches.push((bucket_name(kernel, "msg_msg", class), msg));
            }
        }
        for (name, spec) in &caches {
            let layout = CacheLayout::calculate(kernel, spec).expect("a layout");
            let directory = ExistingCache::new(kernel, spec, &layout).sysfs_name(kernel, name);
            let row = row_of(&directory);
            assert_reproduced(snapshot.title, row, &layout);
            let flag = |flag| Some(u32::from(spec.flags.contains(flag)));
            assert_eq!(flag(CacheFlags::RECLAIM_ACCOUNT), row.number("reclaim_account"));
            if kernel.build.zone_dma {
                assert_eq!(flag(CacheFlags::CACHE_DMA), row.number("cache_dma"));
            }
            if let Some(usersize) = row.number("usersize") {
                assert_eq!(spec.usercopy(kernel).1, usersize, "{name}: usersize");
            }
            if directory != *name {
                let names = row.text("alias_names");
                assert!(names.split(' ').any(|alias| alias == name), "{name}");
            }
        }
        counts.push(caches.len());
    }
    // 13 classes of normal + rcl, + cg, + DMA, + two bucket sets.
    assert_eq!(counts, [26, 39, 39, 65, 65, 78, 39]);
}

use super::super::merge::ExistingCache;
