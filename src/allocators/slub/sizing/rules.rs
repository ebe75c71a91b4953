//! What differs between kernel releases in the creation of a cache: one table.

use super::{CacheFlags, KernelRelease};

/// Rules of one release. Built by [`SizingRules::of`], the only place that compares releases.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SizingRules {
    // Layout of an object.
    /// Where a free pointer inside the object lies.
    pub free_pointer: FreePointerPlace,
    /// Whether a cache may name the place of its free pointer.
    pub explicit_freeptr: ExplicitFreeptr,
    /// Red zone: objects smaller than a word keep their free pointer outside.
    pub red_zone_moves_small_freeptr: bool,
    /// Red zone with a recorded request size: the free pointer is outside.
    pub red_zone_moves_kmalloc_freeptr: bool,
    /// Red zone: there is a second one, left of the object.
    pub red_left_pad: bool,
    /// Bytes of one `struct track` on 64-bit; `STORE_USER` adds two.
    pub track_bytes: u32,
    /// Bytes that `STORE_USER` adds to kmalloc objects for the requested size.
    pub orig_size_bytes: u32,

    // Slabs.
    /// Most objects of a slab, from the width of the object counters.
    pub max_objects_per_slab: u32,
    /// How the page order is searched.
    pub order_search: OrderSearch,
    /// Automatic `min_objects` looks at present cpus, not at possible ones.
    pub min_objects_from_present: bool,

    // Limits.
    /// `min_partial` starts at half of log2(size), not at log2(size).
    pub halved_min_partial: bool,
    /// Unit of the per-cpu partial list's limit.
    pub cpu_partial: CpuPartialUnit,
    /// Which caches have sheaves.
    pub sheaves: SheafPolicy,
    /// Flags that forbid sheaves where [`SheafPolicy::Every`] would give them.
    pub no_sheaf_flags: CacheFlags,

    // Merging and names.
    /// Flags in which two caches must agree to be merged.
    pub merge_same: CacheFlags,
    /// Candidates are tried from the oldest cache on, not from the newest.
    pub merge_oldest_first: bool,
    /// The flag `NO_MERGE` is known.
    pub no_merge_flag: bool,
    /// Whether a cache has a usercopy window.
    pub usercopy: UsercopyWindow,
    /// Directory names carry the letter `t` of caches that kmemcheck tracks.
    pub notrack_letter: bool,
    /// Caches carry `MAY_ACCOUNT` unless memory cgroups do not account.
    pub may_account: bool,

    // kmalloc.
    /// Alignment of kmalloc caches.
    pub kmalloc_align: KmallocAlign,
    /// Order in which kmalloc caches are created.
    pub kmalloc_order: KmallocOrder,
    /// Sizes above 512 are spelled `1k`, `2k`, … in names.
    pub kmalloc_short_names: bool,
    /// `kmalloc-rcl-N` exists.
    pub kmalloc_reclaim: bool,
    /// `kmalloc-cg-N` exists.
    pub kmalloc_cgroup: bool,
    /// `kmalloc-no-objext-N` can exist.
    pub kmalloc_no_objext: bool,
    /// Name part of the random or partitioned copies (`rnd`, `part`), if there can be any.
    pub kmalloc_copies: Option<&'static str>,
    /// Normal kmalloc caches are pinned on builds with memory cgroups.
    pub kmalloc_pinned: bool,
    /// Classes follow the alignment that DMA needs on the running machine.
    pub kmalloc_runtime_align: bool,

    // Kernel command line.
    /// `min_order` and `max_order` push each other.
    pub orders_push: bool,
    /// `slab_min_order=` and its like exist beside the `slub_` spelling.
    pub slab_order_options: bool,
    /// `slab_nomerge` exists beside `slub_nomerge`.
    pub slab_nomerge_option: bool,
    /// `slab_merge` and `slub_merge` exist.
    pub merge_option: bool,
}

impl SizingRules {
    /// Returns the rules of `release`.
    ///
    /// Where the release of a change is not known exactly, the comment names the last source read
    /// without it and the first one with it; the release chosen lies between them.
    pub fn of(release: KernelRelease) -> Self {
        let since = |major, minor| release.since(major, minor);
        let update = |major, minor, patch| release.is_update(major, minor, patch);
        // The two changes came in one series. It was also queued for 5.10.y and 5.12.y, whose
        // first releases lack it; which update took it was not checked.
        let middle_down = since(5, 13); // 5.12.9 … 5.14
        Self {
            free_pointer: match () {
                () if middle_down => FreePointerPlace::MiddleDown,
                () if since(5, 7) => FreePointerPlace::MiddleUp,
                () => FreePointerPlace::Start,
            },
            explicit_freeptr: match () {
                () if since(7, 0) => ExplicitFreeptr::RcuOrConstructor,
                () if since(6, 12) => ExplicitFreeptr::Rcu, // 6.8 … 6.12
                () => ExplicitFreeptr::No,
            },
            red_zone_moves_small_freeptr: middle_down,
            red_zone_moves_kmalloc_freeptr: since(6, 12),
            red_left_pad: since(4, 6), // 4.4 … 4.9
            track_bytes: match () {
                () if since(5, 19) => 32, // stack depot, 5.17 … 5.19
                () if since(3, 2) => 152, // 16 stack entries
                () => 24,
            },
            orig_size_bytes: match () {
                () if since(7, 0) => 8,
                // The first updates seen with the wider field; 6.18.2 has the narrow one.
                () if update(6, 18, 33) || update(6, 12, 117) => 8,
                () if since(6, 1) => 4,
                () => 0,
            },

            max_objects_per_slab: if since(3, 1) { 32767 } else { 65535 },
            order_search: if since(6, 7) {
                OrderSearch::SinglePass // 6.6 … 6.8
            } else {
                OrderSearch::ObjectsLoop
            },
            min_objects_from_present: since(5, 11),

            halved_min_partial: since(3, 2),
            cpu_partial: match () {
                () if since(7, 0) => CpuPartialUnit::Gone,
                () if since(5, 16) => CpuPartialUnit::Slabs,
                () if since(3, 2) => CpuPartialUnit::Objects,
                () => CpuPartialUnit::Gone,
            },
            sheaves: match () {
                () if since(7, 0) => SheafPolicy::Every,
                () if since(6, 18) => SheafPolicy::OptIn,
                () => SheafPolicy::No,
            },
            no_sheaf_flags: CacheFlags::NOLEAKTRACE.or(if since(7, 2) { CacheFlags::NO_SHEAVES } else { CacheFlags::NO_OBJ_EXT }),

            merge_same: CacheFlags::RECLAIM_ACCOUNT
                .or(CacheFlags::CACHE_DMA)
                .or(CacheFlags::CACHE_DMA32.when(since(5, 1))) // 4.19 … 5.4
                .or(CacheFlags::ACCOUNT.when(since(4, 5))) // 4.4 … 4.9
                .or(CacheFlags::MAY_ACCOUNT.when(since(7, 3)))
                .or(CacheFlags::NOTRACK.when(!since(4, 15))) // 4.4 … 4.19
                .or(CacheFlags::CONSISTENCY_CHECKS.when(!since(3, 18))), // 3.10 … 4.4
            merge_oldest_first: since(3, 18), // 3.10 … 3.19
            no_merge_flag: since(6, 5),
            usercopy: match () {
                () if since(6, 2) => UsercopyWindow::IfHardened, // 6.1 … 6.12
                () if since(4, 16) => UsercopyWindow::Always,    // 4.9 … 4.19
                () => UsercopyWindow::No,
            },
            notrack_letter: !since(4, 15), // 4.9 … 4.19
            may_account: since(7, 3),

            kmalloc_align: match () {
                () if since(6, 11) => KmallocAlign::LargestDivisor, // 6.8 … 6.12
                () if since(5, 4) => KmallocAlign::PowersOfTwo,     // 4.19 … 5.4
                () => KmallocAlign::Minimum,
            },
            kmalloc_order: KmallocOrder {
                odd_sizes_first: since(6, 10), // 6.8 … 6.12
                dma_by_index: !since(5, 16),   // 5.15 … 5.17
                // 6.1.192 … 6.12.117, both seen in /proc/slabinfo.
                cgroup_before_reclaim: !since(6, 2),
            },
            kmalloc_short_names: since(4, 20), // 4.19 … 5.4
            kmalloc_reclaim: since(4, 20),     // 4.19 … 5.4
            kmalloc_cgroup: since(5, 14),      // 5.12 … 5.14
            kmalloc_no_objext: since(7, 2) || update(6, 12, 117),
            kmalloc_copies: match () {
                () if since(7, 2) => Some("part"),
                () if since(6, 6) => Some("rnd"), // 6.5 … 6.6
                () => None,
            },
            kmalloc_pinned: since(5, 14) && !since(6, 5),
            kmalloc_runtime_align: since(6, 5), // 6.5/6.6

            orders_push: since(6, 7),          // 6.6 … 6.8
            slab_order_options: since(6, 9),   // 6.8 … 6.12
            slab_nomerge_option: since(3, 18), // 3.10 … 3.19
            merge_option: since(5, 14),        // 5.10 … 5.15
        }
    }
}

/// Where the free pointer lies inside an object that holds it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FreePointerPlace {
    /// In the first word.
    Start,
    /// In the middle, rounded up to a word.
    MiddleUp,
    /// In the middle, rounded down to a word.
    MiddleDown,
}

/// Which caches may say where their free pointer lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExplicitFreeptr {
    /// None: the argument does not exist.
    No,
    /// Caches with `TYPESAFE_BY_RCU`.
    Rcu,
    /// These, and caches with a constructor.
    RcuOrConstructor,
}

/// Search for the page order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OrderSearch {
    /// Fewer and fewer objects, waste up to 1/4 (up to 6.6).
    ObjectsLoop,
    /// One pass, waste up to 1/2 (6.7 and later).
    SinglePass,
}

/// What the per-cpu partial list is limited by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CpuPartialUnit {
    /// There is no such list.
    Gone,
    /// Estimated free objects (3.2 … 5.15).
    Objects,
    /// Slabs (5.16 … 6.19).
    Slabs,
}

/// Which caches have sheaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SheafPolicy {
    /// None.
    No,
    /// Those created with a capacity (6.18, 6.19).
    OptIn,
    /// All but a few (7.0 and later).
    Every,
}

/// Whether the part of an object that may be copied to user space is recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UsercopyWindow {
    /// Never.
    No,
    /// In every build.
    Always,
    /// Only in builds with hardened usercopy.
    IfHardened,
}

/// Alignment that kmalloc caches are created with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KmallocAlign {
    /// The architecture's minimum.
    Minimum,
    /// The size, if it is a power of two.
    PowersOfTwo,
    /// The largest power of two that divides the size.
    LargestDivisor,
}

/// Order of creation of the kmalloc caches at boot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KmallocOrder {
    /// 96 and 192 come before all others, not among them.
    pub odd_sizes_first: bool,
    /// DMA caches come by index (96, 192, 8, …) whatever the other types do.
    pub dma_by_index: bool,
    /// Cgroup caches come right after the normal ones, not last.
    pub cgroup_before_reclaim: bool,
}
