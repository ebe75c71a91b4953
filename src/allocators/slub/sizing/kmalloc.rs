//! The generic caches behind `kmalloc()`: size classes, types, names, creation order.
//!
//! Sizes are a class's object size, which is also its stride. Requests of more than two pages
//! go to the page allocator and belong to no class.

use super::layout::round_up;
use super::{CacheFlags, CacheSpec, Kernel, KmallocAlign};

/// Type of a kmalloc cache; `enum kmalloc_cache_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `kmalloc-N`.
    Normal,
    /// `kmalloc-rnd-NN-N` (6.6 … 7.1) or `kmalloc-part-NN-N` (7.2), copy 1 … 15 of the normal ones.
    Copy(u8),
    /// `kmalloc-rcl-N`: reclaimable (4.20).
    Reclaim,
    /// `dma-kmalloc-N`: from the DMA zone.
    Dma,
    /// `kmalloc-cg-N`: charged to memory cgroups (5.14).
    Cgroup,
    /// `kmalloc-no-objext-N`: the allocator's own vectors.
    NoObjExt,
}

/// The bits of a gfp mask that choose a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct GfpBits {
    /// `__GFP_DMA`.
    pub dma: bool,
    /// `__GFP_RECLAIMABLE`.
    pub reclaimable: bool,
    /// `__GFP_ACCOUNT`.
    pub account: bool,
}

/// How many copies of the normal caches a build with copies has.
pub const COPIES: u8 = 15;

impl Kind {
    /// Returns the type that serves a request with these gfp bits.
    ///
    /// Never [`Kind::Copy`]: which copy serves a normal request depends on a boot-time seed or on
    /// the compiler, see [`copy_of`].
    ///
    /// Source: `kmalloc_type()`, `include/linux/slab.h`, Linux 2.6.38 … 7.3.
    pub fn of_gfp(kernel: &Kernel, gfp: GfpBits) -> Self {
        let first = if gfp.dma && kernel.build.zone_dma {
            Self::Dma
        } else if gfp.reclaimable && kernel.rules.kmalloc_reclaim {
            Self::Reclaim
        } else if gfp.account {
            Self::Cgroup
        } else {
            Self::Normal
        };
        // A type without caches of its own has the normal ones under its index.
        if first.exists(kernel) { first } else { Self::Normal }
    }

    /// Returns whether `kernel` has caches of this type.
    pub fn exists(self, kernel: &Kernel) -> bool {
        let (rules, build) = (&kernel.rules, &kernel.build);
        let accounts = build.memcg && build.memcg_accounting;
        match self {
            Self::Normal => true,
            Self::Copy(copy) => build.kmalloc_copies && rules.kmalloc_copies.is_some() && (1..=COPIES).contains(&copy),
            Self::Reclaim => rules.kmalloc_reclaim && !build.slub_tiny,
            Self::Dma => build.zone_dma,
            Self::Cgroup => rules.kmalloc_cgroup && accounts,
            Self::NoObjExt => rules.kmalloc_no_objext && (build.alloc_profiling || build.slub_tiny && accounts),
        }
    }

    fn flags(self, kernel: &Kernel) -> CacheFlags {
        let (rules, build) = (&kernel.rules, &kernel.build);
        let own = match self {
            Self::Normal => {
                let kept_apart =
                    if rules.may_account { build.memcg && build.memcg_accounting && Self::Reclaim.exists(kernel) } else { build.memcg };
                CacheFlags::NO_MERGE.when(kept_apart && rules.no_merge_flag) | CacheFlags::PINNED.when(build.memcg && rules.kmalloc_pinned)
            }
            Self::Copy(_) => CacheFlags::NO_MERGE,
            Self::Reclaim => CacheFlags::RECLAIM_ACCOUNT,
            Self::Dma => CacheFlags::CACHE_DMA,
            Self::Cgroup => CacheFlags::ACCOUNT,
            Self::NoObjExt => CacheFlags::NO_OBJ_EXT | CacheFlags::NO_MERGE,
        };
        let may_account =
            rules.may_account && build.memcg && build.memcg_accounting && matches!(self, Self::Reclaim | Self::Dma | Self::Cgroup);
        CacheFlags::KMALLOC | own | CacheFlags::MAY_ACCOUNT.when(may_account)
    }
}

/// Returns the class in bytes that serves a request of `request_bytes`.
///
/// `None` for 0, which gets no memory, and for more than two pages, which bypass the caches.
///
/// Source: `__kmalloc_index()`, `include/linux/slab.h`, and `new_kmalloc_cache()`,
/// `mm/slab_common.c`, Linux 2.6.38 … 7.3.
pub fn class_bytes(kernel: &Kernel, request_bytes: u64) -> Option<u32> {
    let class = plain_class(kernel, request_bytes)?;
    if !kernel.rules.kmalloc_runtime_align || kernel.machine.dma_align_bytes <= 1 {
        return Some(class);
    }
    // Classes that round to the same size share the cache of that size.
    plain_class(kernel, round_up(u64::from(class), kernel.machine.dma_align_bytes))
}

/// Returns the class whose objects take `allocated_bytes` (`bytes_alloc` of a trace); `None` if
/// there is no such class.
pub fn class_of_allocated(kernel: &Kernel, allocated_bytes: u64) -> Option<u32> {
    class_bytes(kernel, allocated_bytes).filter(|class| u64::from(*class) == allocated_bytes)
}

/// Returns the largest request in bytes that a cache serves: two pages, but for allocators beside SLUB.
pub fn max_class_bytes(kernel: &Kernel) -> u64 {
    match kernel.machine.kmalloc_max_bytes {
        0 => 2 * u64::from(kernel.machine.page_bytes),
        bytes => u64::from(bytes),
    }
}

/// Returns the page order that serves a request above [`max_class_bytes`]; `None` for smaller
/// ones and for those the page allocator cannot serve.
pub fn large_order(kernel: &Kernel, request_bytes: u64) -> Option<u32> {
    let order = kernel.machine.order_of(request_bytes);
    let is_large = request_bytes > max_class_bytes(kernel);
    (is_large && order <= kernel.machine.max_page_order).then_some(order)
}

/// Returns the name of the cache for one class of a type.
pub fn cache_name(kernel: &Kernel, kind: Kind, class_bytes: u32) -> String {
    let size = size_name(kernel, class_bytes);
    match kind {
        Kind::Normal => format!("kmalloc-{size}"),
        Kind::Copy(copy) => {
            let part = kernel.rules.kmalloc_copies.unwrap_or("rnd");
            format!("kmalloc-{part}-{copy:02}-{size}")
        }
        Kind::Reclaim => format!("kmalloc-rcl-{size}"),
        Kind::Dma => format!("dma-kmalloc-{size}"),
        Kind::Cgroup => format!("kmalloc-cg-{size}"),
        Kind::NoObjExt => format!("kmalloc-no-objext-{size}"),
    }
}

/// Returns true for the name of a cache of any type and class.
pub fn is_cache_name(name: &str) -> bool {
    name.strip_prefix("dma-").unwrap_or(name).starts_with("kmalloc-")
}

/// Returns the class of a kmalloc cache by its name, such as 2048 for `kmalloc-cg-2k`; `None` for other caches.
pub fn class_in_name(kernel: &Kernel, name: &str) -> Option<u32> {
    let size = Some(name).filter(|name| is_cache_name(name))?.rsplit('-').next()?;
    let (digits, shift) = match size.as_bytes().last()? {
        b'k' => (&size[..size.len() - 1], 10),
        b'M' => (&size[..size.len() - 1], 20),
        _ => (size, 0),
    };
    let bytes = digits.parse::<u64>().ok()?.checked_mul(1 << shift)?;
    class_of_allocated(kernel, bytes)
}

/// Returns the name of the cache of another class, of the same type as the kmalloc cache `name`.
pub fn with_class(kernel: &Kernel, name: &str, class_bytes: u32) -> String {
    let prefix = name.rsplit_once('-').map_or("kmalloc", |(prefix, _)| prefix);
    format!("{prefix}-{}", size_name(kernel, class_bytes))
}

/// Returns the creation arguments of the cache for one class of a type.
///
/// Source: `create_kmalloc_cache()`, `mm/slab_common.c`, Linux 2.6.38 … 7.3.
pub fn cache_spec(kernel: &Kernel, kind: Kind, class_bytes: u32) -> CacheSpec {
    let minimum = kernel.machine.kmalloc_min_bytes;
    let natural = match kernel.rules.kmalloc_align {
        KmallocAlign::Minimum => 0,
        KmallocAlign::PowersOfTwo if class_bytes.is_power_of_two() => class_bytes,
        KmallocAlign::PowersOfTwo => 0,
        KmallocAlign::LargestDivisor => class_bytes & class_bytes.wrapping_neg(),
    };
    CacheSpec { align: natural.max(minimum), usersize: class_bytes, ..CacheSpec::new(class_bytes, kind.flags(kernel)) }
}

/// Returns the creation arguments of one cache of a bucket set (`kmem_buckets_create()`, 6.11).
///
/// The window from `useroffset` is cut to the class. Unlike kmalloc's, these caches ask for no
/// alignment.
pub fn bucket_spec(class_bytes: u32, flags: CacheFlags, useroffset: u32, usersize: u32) -> CacheSpec {
    let room = class_bytes.saturating_sub(useroffset);
    CacheSpec {
        useroffset: if room == 0 { 0 } else { useroffset },
        usersize: usersize.min(room),
        ..CacheSpec::new(class_bytes, flags | CacheFlags::NO_MERGE)
    }
}

/// Returns the name of one cache of the bucket set `set`.
pub fn bucket_name(kernel: &Kernel, set: &str, class_bytes: u32) -> String {
    format!("{set}-{}", size_name(kernel, class_bytes))
}

/// Returns the classes in order of their index: 96, 192, 8, 16, …; the order in which bucket sets
/// are created.
pub fn classes_by_index(kernel: &Kernel) -> Vec<u32> {
    let powers = (3..32).map(|shift| 1 << shift);
    distinct_classes(kernel, [96, 192].into_iter().chain(powers))
}

/// Returns every kmalloc cache in the order of creation at boot.
///
/// Source: `create_kmalloc_caches()`, `mm/slab_common.c`, Linux 2.6.38 … 7.3.
pub fn boot_order(kernel: &Kernel) -> Vec<(Kind, u32)> {
    let order = kernel.rules.kmalloc_order;
    let by_index = classes_by_index(kernel);
    let mut by_size = by_index.clone();
    by_size.sort_unstable();
    let classes = |kind| {
        let by_index_here = order.odd_sizes_first || order.dma_by_index && kind == Kind::Dma;
        if by_index_here { &by_index } else { &by_size }
    };
    kinds_in_order(kernel)
        .filter(|kind| kind.exists(kernel))
        .flat_map(|kind| classes(kind).iter().map(move |class| (kind, *class)))
        .collect()
}

/// Returns which copy of the normal caches serves a call site: 0 for the normal one itself.
///
/// The seed is random at every boot; a replay can keep call sites apart, not name their copy.
///
/// Source: `kmalloc_type()`, `include/linux/slab.h`, Linux 6.6 … 7.1.
pub fn copy_of(call_site: u64, seed: u64) -> u8 {
    /// The kernel's `GOLDEN_RATIO_64`.
    const MULTIPLIER: u64 = 0x61C8_8646_80B5_83EB;
    let hash = (call_site ^ seed).wrapping_mul(MULTIPLIER);
    hash.to_be_bytes()[0] >> 4
}

fn kinds_in_order(kernel: &Kernel) -> impl Iterator<Item = Kind> {
    let cgroup_early = kernel.rules.kmalloc_order.cgroup_before_reclaim;
    std::iter::once(Kind::Normal)
        .chain((1..=COPIES).map(Kind::Copy))
        .chain(cgroup_early.then_some(Kind::Cgroup))
        .chain([Kind::Reclaim, Kind::Dma])
        .chain((!cgroup_early).then_some(Kind::Cgroup))
        .chain([Kind::NoObjExt])
}

/// The class by size alone, before the running machine's alignment.
fn plain_class(kernel: &Kernel, request_bytes: u64) -> Option<u32> {
    let minimum = u64::from(kernel.machine.kmalloc_min_bytes.max(8));
    if request_bytes == 0 || request_bytes > max_class_bytes(kernel) {
        return None;
    }
    let class = match request_bytes.max(minimum) {
        65..=96 if minimum < 64 => 96,
        129..=192 if minimum < 128 => 192,
        bytes => bytes.checked_next_power_of_two()?,
    };
    (class <= max_class_bytes(kernel)).then(|| u32::try_from(class).ok()).flatten()
}

/// Keeps the first of the `sizes` that share a class.
fn distinct_classes(kernel: &Kernel, sizes: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut classes = Vec::new();
    for size in sizes {
        match class_bytes(kernel, u64::from(size)) {
            Some(class) if !classes.contains(&class) => classes.push(class),
            _ => {}
        }
    }
    classes
}

fn size_name(kernel: &Kernel, bytes: u32) -> String {
    const KIB: u32 = 1 << 10;
    const MIB: u32 = 1 << 20;
    match bytes {
        _ if !kernel.rules.kmalloc_short_names => bytes.to_string(),
        MIB.. if bytes.is_multiple_of(MIB) => format!("{}M", bytes / MIB),
        KIB.. if bytes.is_multiple_of(KIB) => format!("{}k", bytes / KIB),
        _ => bytes.to_string(),
    }
}
