//! What is decided when a cache is created: stride, objects per slab, order, where the free indices are, colours.
//!
//! Source: `__kmem_cache_create()`, `calculate_slab_order()`, `cache_estimate()`, `set_objfreelist_slab_cache()`,
//! `set_off_slab_cache()`, `set_on_slab_cache()`, `enable_cpucache()`, `mm/slab.c`; `calculate_alignment()`,
//! `create_boot_cache()`, `mm/slab_common.c`, Linux 6.1. The same in 4.19 to 6.6.

use crate::allocators::slub::sizing::CacheFlags;

/// What geometry depends on besides the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabMachine {
    /// Page size in bytes.
    pub page_bytes: u32,
    /// Line size of the data cache.
    pub cache_line_bytes: u32,
    /// Machine word, in bytes.
    pub word_bytes: u32,
    /// Smallest kmalloc class.
    pub kmalloc_min_bytes: u32,
    /// `slab_max_order`: the order at which the search for a better one stops. 1 with more than 32 MiB of memory.
    pub slab_max_order: u32,
    /// Memory is cleared when freed (`init_on_free=1`): free objects can hold nothing.
    pub init_on_free: bool,
    /// Possible CPUs.
    pub cpus_possible: u32,
}

/// Largest order that the kmalloc caches, and so slabs, may have (`KMALLOC_MAX_ORDER`).
const MAX_ORDER: u32 = 10;

impl SlabMachine {
    /// An x86-64 machine with more than 32 MiB.
    #[must_use]
    pub const fn x86_64(cpus_possible: u32) -> Self {
        Self {
            page_bytes: 4096,
            cache_line_bytes: 64,
            word_bytes: 8,
            kmalloc_min_bytes: 32,
            slab_max_order: 1,
            init_on_free: false,
            cpus_possible,
        }
    }

    /// Bytes of a free index (`freelist_idx_t`): one where so many objects as it can tell apart fill a page.
    #[must_use]
    pub fn index_bytes(&self) -> u32 {
        if self.page_bytes >> 8 <= self.kmalloc_min_bytes.min(16) { 1 } else { 2 }
    }

    /// Most objects of a slab (`SLAB_OBJ_MAX_NUM`).
    #[must_use]
    pub fn max_objects(&self) -> u32 {
        (1 << (8 * self.index_bytes())) - 1
    }

    /// Size class of a kmalloc request; `None` for what is served by whole pages.
    #[must_use]
    pub fn kmalloc_class(&self, bytes: u32) -> Option<u32> {
        let odd = [96, 192].into_iter().find(|&odd| bytes <= odd && bytes > odd - odd / 3 && odd / 3 >= self.kmalloc_min_bytes);
        let class = odd.unwrap_or_else(|| bytes.max(1).next_power_of_two().max(self.kmalloc_min_bytes));
        (bytes > 0 && class <= 2 * self.page_bytes).then_some(class)
    }

    /// Stride of the kmalloc cache of a class: these caches are made with `SLAB_HWCACHE_ALIGN`.
    #[must_use]
    pub fn kmalloc_stride(&self, class: u32) -> u32 {
        class.next_multiple_of(self.alignment(class, if class.is_power_of_two() { class } else { 0 }, CacheFlags::HWCACHE_ALIGN))
    }

    /// `calculate_alignment()`.
    #[must_use]
    pub fn alignment(&self, object_size: u32, requested: u32, flags: CacheFlags) -> u32 {
        let mut align = requested;
        if flags.contains(CacheFlags::HWCACHE_ALIGN) {
            let mut line = self.cache_line_bytes;
            while object_size <= line / 2 {
                line /= 2;
            }
            align = align.max(line);
        }
        align.max(8).next_multiple_of(self.word_bytes)
    }
}

/// A cache as it is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabSpec {
    /// Bytes of an object that the caller uses.
    pub object_size: u32,
    /// Alignment asked for; 0 for none.
    pub align: u32,
    /// Creation flags.
    pub flags: CacheFlags,
    /// It has a constructor.
    pub has_ctor: bool,
}

impl SlabSpec {
    /// A cache of objects of this size.
    #[must_use]
    pub const fn new(object_size: u32, flags: CacheFlags) -> Self {
        Self { object_size, align: 0, flags, has_ctor: false }
    }

    /// A kmalloc cache.
    #[must_use]
    pub const fn kmalloc(class: u32, flags: CacheFlags) -> Self {
        let align = if class.is_power_of_two() { class } else { 0 };
        Self { object_size: class, align, flags: flags.or(CacheFlags::HWCACHE_ALIGN).or(CacheFlags::KMALLOC), has_ctor: false }
    }
}

/// Where the free indices of a slab are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexPlace {
    /// In a free object of the slab (`CFLGS_OBJFREELIST_SLAB`).
    FreeObject,
    /// In a kmalloc object of their own (`CFLGS_OFF_SLAB`).
    OffSlab,
    /// At the end of the slab.
    OnSlab,
}

/// The geometry of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Geometry {
    /// Bytes from one object to the next.
    pub size: u32,
    /// Bytes of an object that the caller uses.
    pub object_size: u32,
    /// Alignment of objects.
    pub align: u32,
    /// Order of a slab.
    pub gfporder: u32,
    /// Objects of a slab.
    pub num: u32,
    /// Where the free indices are.
    pub index_place: IndexPlace,
    /// Bytes of the free indices of a slab.
    pub freelist_size: u32,
    /// Offsets of the first object that slabs take turns in; 0 and 1 mean none.
    pub colour: u32,
    /// Bytes of one such step.
    pub colour_off: u32,
}

/// A cache that cannot be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("no slab of up to 2^{MAX_ORDER} pages holds an object of {size} bytes")]
pub struct GeometryError {
    /// Its stride.
    pub size: u32,
}

/// An order that was accepted.
#[derive(Debug, Clone, Copy)]
struct Fit {
    num: u32,
    order: u32,
    left: u32,
}

impl Geometry {
    /// Lays a cache out.
    ///
    /// # Errors
    ///
    /// If no order holds an object.
    pub fn calculate(machine: &SlabMachine, spec: &SlabSpec) -> Result<Self, GeometryError> {
        let too_large = GeometryError { size: spec.object_size };
        if spec.object_size > machine.page_bytes << MAX_ORDER {
            return Err(too_large);
        }
        let align = machine.alignment(spec.object_size, spec.align, spec.flags);
        let mut size = spec.object_size.max(1).next_multiple_of(machine.word_bytes).next_multiple_of(align);
        if machine.index_bytes() == 1 && size < 16 {
            size = 16_u32.next_multiple_of(align);
        }
        let colour_off = machine.cache_line_bytes.max(align);
        let made = |place: IndexPlace, fit: Fit| Self {
            size,
            object_size: spec.object_size,
            align,
            gfporder: fit.order,
            num: fit.num,
            index_place: place,
            freelist_size: fit.num * machine.index_bytes(),
            colour: fit.left / colour_off,
            colour_off,
        };
        let search = |place| search(machine, spec, size, place);
        let keeps_objects = spec.has_ctor || spec.flags.contains(CacheFlags::TYPESAFE_BY_RCU) || machine.init_on_free;
        if !keeps_objects
            && let Some(fit) = search(IndexPlace::FreeObject)
            && fit.num * machine.index_bytes() <= spec.object_size
        {
            return Ok(made(IndexPlace::FreeObject, fit));
        }
        if !spec.flags.contains(CacheFlags::NOLEAKTRACE)
            && let Some(fit) = search(IndexPlace::OffSlab)
            && fit.left < fit.num * machine.index_bytes()
        {
            return Ok(made(IndexPlace::OffSlab, fit));
        }
        search(IndexPlace::OnSlab).map(|fit| made(IndexPlace::OnSlab, fit)).ok_or(GeometryError { size })
    }

    /// The geometry that a `/proc/slabinfo` shows: what it does not show is what `computed` has, if the rest agrees, else what fits.
    #[must_use]
    pub fn reported(machine: &SlabMachine, computed: Option<Self>, size: u32, num: u32, pages: u32) -> Option<Self> {
        let order = pages.checked_ilog2().filter(|&order| order <= MAX_ORDER && 1 << order == pages)?;
        let bytes = machine.page_bytes << order;
        if size == 0 || num == 0 || num > machine.max_objects() || u64::from(num) * u64::from(size) > u64::from(bytes) {
            return None;
        }
        if let Some(same) = computed.filter(|computed| (computed.size, computed.num, computed.gfporder) == (size, num, order)) {
            return Some(same);
        }
        // Only the colours and side allocations depend on it.
        let index_place = if bytes / size == num { IndexPlace::FreeObject } else { IndexPlace::OnSlab };
        let freelist_size = num * machine.index_bytes();
        let left = bytes - num * size - if index_place == IndexPlace::OnSlab { freelist_size.min(bytes - num * size) } else { 0 };
        let align = computed.map_or(machine.word_bytes.max(8), |computed| computed.align);
        let colour_off = machine.cache_line_bytes.max(align);
        let object_size = computed.map_or(size, |computed| computed.object_size.min(size));
        Some(Self { size, object_size, align, gfporder: order, num, index_place, freelist_size, colour: left / colour_off, colour_off })
    }
}

/// `cache_estimate()`: objects in a slab of an order, and the bytes left over.
fn estimate(machine: &SlabMachine, size: u32, order: u32, place: IndexPlace) -> (u32, u32) {
    let bytes = machine.page_bytes << order;
    let each = size + if place == IndexPlace::OnSlab { machine.index_bytes() } else { 0 };
    (bytes / each, bytes % each)
}

/// `calculate_slab_order()`.
fn search(machine: &SlabMachine, spec: &SlabSpec, size: u32, place: IndexPlace) -> Option<Fit> {
    let mut accepted = None;
    for order in 0..=MAX_ORDER {
        let (num, left) = estimate(machine, size, order, place);
        if num == 0 {
            continue;
        }
        if num > machine.max_objects() {
            break;
        }
        if place == IndexPlace::OffSlab {
            let wanted = num * machine.index_bytes();
            let stride = machine.kmalloc_class(wanted).map_or_else(
                || wanted.div_ceil(machine.page_bytes).next_power_of_two() * machine.page_bytes,
                |class| machine.kmalloc_stride(class),
            );
            if stride > spec.object_size / 2 {
                continue;
            }
        }
        accepted = Some(Fit { num, order, left });
        // Reclaimable memory is wanted in small pieces, at any waste.
        let is_enough = spec.flags.contains(CacheFlags::RECLAIM_ACCOUNT)
            || order >= machine.slab_max_order
            || u64::from(left) * 8 <= u64::from(machine.page_bytes) << order;
        if is_enough {
            break;
        }
    }
    accepted
}

/// Sizes of the arrays in front of the slabs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tunables {
    /// Most objects of a CPU's array.
    pub limit: u32,
    /// Objects moved at once.
    pub batchcount: u32,
    /// The shared array of a node holds this many batches; 0 for none.
    pub shared: u32,
}

impl Tunables {
    /// `enable_cpucache()`: the defaults, by stride.
    #[must_use]
    pub fn of(machine: &SlabMachine, size: u32) -> Self {
        let limit = match size {
            131_073.. => 1,
            size if size > machine.page_bytes => 8,
            1025.. => 24,
            257.. => 54,
            _ => 120,
        };
        let shared = if size <= machine.page_bytes && machine.cpus_possible > 1 { 8 } else { 0 };
        Self { limit, batchcount: limit.div_ceil(2), shared }
    }

    /// The same, if they are what a write to `/proc/slabinfo` accepts (`slabinfo_write()`).
    #[must_use]
    pub fn accepted(self) -> Option<Self> {
        // Far beyond what anybody sets; a damaged file must not ask for memory without bound.
        const MAX: u32 = 1 << 20;
        let is_valid = (1..=self.limit).contains(&self.batchcount) && self.limit <= MAX && self.shared <= 1024;
        is_valid.then_some(self)
    }
}
