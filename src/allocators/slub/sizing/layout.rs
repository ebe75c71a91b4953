//! A cache as asked for, and as laid out.

use std::error::Error;
use std::fmt;

use super::{CacheFlags, ExplicitFreeptr, FreePointerPlace, Kernel, UsercopyWindow, calculate_order, limits};

/// `remote_node_defrag_ratio` of a new cache; sysfs shows a tenth of it.
pub const REMOTE_NODE_DEFRAG_RATIO: u32 = 1000;

/// What bounds a cache's dealings with nodes, beside its partial lists. The same for every cache unless somebody changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeLimits {
    /// How often an allocation that finds nothing on its node may look at others, of 1000; sysfs shows a tenth of it.
    pub remote_node_defrag_ratio: u32,
    /// Full sheaves that a barn takes (`MAX_FULL_SHEAVES`).
    pub max_full_sheaves: u32,
    /// Empty sheaves that a barn takes from RCU (`MAX_EMPTY_SHEAVES`).
    pub max_empty_sheaves: u32,
}

impl Default for NodeLimits {
    /// Source: `kmem_cache_open()` and `MAX_*_SHEAVES`, `mm/slub.c`, Linux 7.3.
    fn default() -> Self {
        Self { remote_node_defrag_ratio: REMOTE_NODE_DEFRAG_RATIO, max_full_sheaves: 10, max_empty_sheaves: 10 }
    }
}

/// Arguments of `kmem_cache_create()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CacheSpec {
    /// Bytes of one object.
    pub object_size: u32,
    /// Alignment asked for, 0 for none.
    pub align: u32,
    /// Creation flags, debug flags of the command line included.
    pub flags: CacheFlags,
    /// A constructor prepares objects once, so they must stay intact while free.
    pub has_ctor: bool,
    /// Where the cache lets its free pointer lie (6.12); ignored by releases before.
    pub freeptr_offset: Option<u32>,
    /// Start of the part that may be copied to user space (4.16).
    pub useroffset: u32,
    /// Bytes of that part.
    pub usersize: u32,
    /// Sheaf capacity asked for (6.18), 0 for none.
    pub sheaf_capacity: u32,
}

impl CacheSpec {
    /// Returns a cache of `object_size` bytes with these flags and nothing else asked for.
    pub fn new(object_size: u32, flags: CacheFlags) -> Self {
        Self { object_size, flags, ..Self::default() }
    }

    /// Returns the usercopy window, offset and bytes, that `kernel` records.
    ///
    /// A window that does not lie within the object is refused, which leaves none.
    pub fn usercopy(&self, kernel: &Kernel) -> (u32, u32) {
        let recorded = match kernel.rules.usercopy {
            UsercopyWindow::No => false,
            UsercopyWindow::Always => true,
            UsercopyWindow::IfHardened => kernel.build.hardened_usercopy,
        };
        let end = self.useroffset.checked_add(self.usersize);
        let fits = end.is_some_and(|end| end <= self.object_size);
        if recorded && fits && self.usersize > 0 { (self.useroffset, self.usersize) } else { (0, 0) }
    }
}

/// All figures of a cache that are fixed when it is created.
///
/// `objects * size` never exceeds a slab of `order`, `min_objects * size` none of `min_order`,
/// and both object counts are at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CacheLayout {
    /// Bytes of one object.
    pub object_size: u32,
    /// Stride: bytes from one object to the next; `slab_size` in sysfs.
    pub size: u32,
    /// Alignment of objects.
    pub align: u32,
    /// Offset of the first metadata byte behind an object.
    pub inuse: u32,
    /// Offset of the free pointer, from the start of the object.
    pub freeptr_offset: u32,
    /// Bytes of the red zone left of each object; 0 without.
    pub red_left_pad: u32,
    /// Page order of a slab (`oo`).
    pub order: u32,
    /// Objects of such a slab.
    pub objects: u32,
    /// Page order of a slab when pages of `order` cannot be had (`min`).
    pub min_order: u32,
    /// Objects of such a slab.
    pub min_objects: u32,
    /// Slabs that a node keeps although they are empty.
    pub min_partial: u32,
    /// Free objects that a cpu's partial list should hold; 0 without such lists.
    pub cpu_partial: u32,
    /// Slabs that a cpu's partial list may hold; 0 where objects are counted.
    pub cpu_partial_slabs: u32,
    /// Objects per sheaf; 0 without sheaves.
    pub sheaf_capacity: u32,
    /// Limits of its dealings with nodes.
    pub nodes: NodeLimits,
    /// Flags in force: those asked for, less debug flags that were dropped.
    pub flags: CacheFlags,
}

impl CacheLayout {
    /// Lays out a cache.
    ///
    /// Source: `calculate_sizes()`, `mm/slub.c`, Linux 2.6.38 … 7.3. KASAN's metadata is left out.
    ///
    /// # Errors
    ///
    /// If `kernel` would refuse to create the cache.
    pub fn calculate(kernel: &Kernel, spec: &CacheSpec) -> Result<Self, LayoutError> {
        let object = ObjectLayout::of(kernel, spec)?;
        let mut layout = Self::with_slabs(kernel, spec, object, spec.flags)?;
        let grown = layout.min_order > kernel.machine.order_of(u64::from(spec.object_size));
        if kernel.params.keep_order && grown && spec.flags.intersects(CacheFlags::METADATA) {
            let flags = spec.flags.without(CacheFlags::METADATA);
            let object = ObjectLayout::of(kernel, &CacheSpec { flags, ..*spec })?;
            layout = Self::with_slabs(kernel, spec, object, flags)?;
        }
        Ok(layout)
    }

    /// Lays out a cache of which a trace told only the stride, `bytes_alloc`.
    ///
    /// `spec` holds what else is known. The place of the free pointer follows from it as far as
    /// the stride leaves room; all other figures depend on the stride alone.
    ///
    /// # Errors
    ///
    /// If no object fits in the stride, or none of this stride in a slab.
    pub fn from_stride(kernel: &Kernel, spec: &CacheSpec, stride: u32) -> Result<Self, LayoutError> {
        if spec.object_size == 0 || stride == 0 {
            return Err(LayoutError::NoSize);
        }
        if spec.object_size > stride {
            return Err(LayoutError::StrideTooSmall { object_size: spec.object_size, stride });
        }
        let word = kernel.machine.word_bytes;
        let known = ObjectLayout::of(kernel, spec).ok();
        let inuse = round_up(u64::from(spec.object_size), word).min(u64::from(stride));
        let object = ObjectLayout {
            size: stride,
            align: calculate_alignment(kernel, spec),
            inuse: u32::try_from(inuse).unwrap_or(stride),
            freeptr_offset: known
                .filter(|known| known.size <= stride)
                .map_or_else(|| inside_offset(kernel, spec.object_size), |known| known.freeptr_offset),
            red_left_pad: known.filter(|known| known.size <= stride).map_or(0, |known| known.red_left_pad),
        };
        Self::with_slabs(kernel, spec, object, spec.flags)
    }

    /// Sets `cpu_partial`, as a write to that file does.
    ///
    /// Source: `slub_set_cpu_partial()`, `mm/slub.c`, Linux 6.12.
    pub fn set_cpu_partial(&mut self, cpu_partial: u32, kernel: &Kernel) {
        self.cpu_partial = cpu_partial;
        self.cpu_partial_slabs = limits::cpu_partial_slabs(kernel, cpu_partial, self.objects);
    }

    fn with_slabs(kernel: &Kernel, spec: &CacheSpec, object: ObjectLayout, flags: CacheFlags) -> Result<Self, LayoutError> {
        let size = object.size;
        let too_large = LayoutError::TooLarge { bytes: u64::from(size) };
        let order = calculate_order(kernel, size).ok_or(too_large)?;
        let count = |order| u32::try_from(kernel.machine.objects(order, size)).unwrap_or(u32::MAX);
        let objects = count(order);
        let min_order = kernel.machine.order_of(u64::from(size));
        let min_objects = count(min_order);
        if objects == 0 || min_objects == 0 {
            return Err(too_large);
        }
        let cpu_partial = limits::cpu_partial(kernel, size, flags);
        Ok(Self {
            object_size: spec.object_size,
            size,
            align: object.align,
            inuse: object.inuse,
            freeptr_offset: object.freeptr_offset,
            red_left_pad: object.red_left_pad,
            order,
            objects,
            min_order,
            min_objects,
            min_partial: limits::min_partial(kernel, size),
            cpu_partial,
            cpu_partial_slabs: limits::cpu_partial_slabs(kernel, cpu_partial, objects),
            sheaf_capacity: limits::sheaf_capacity(kernel, size, flags, spec.sheaf_capacity),
            nodes: NodeLimits::default(),
            flags,
        })
    }
}

/// A cache that a kernel would refuse to create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LayoutError {
    /// Objects of no size.
    NoSize,
    /// One object with its metadata does not fit in the largest slab.
    TooLarge {
        /// Stride needed, in bytes.
        bytes: u64,
    },
    /// The free pointer's place is outside the object, unaligned, or not this cache's to choose.
    FreeptrOffset {
        /// Offset asked for.
        offset: u32,
    },
    /// The object is larger than the stride.
    StrideTooSmall {
        /// Bytes of one object.
        object_size: u32,
        /// Stride given, in bytes.
        stride: u32,
    },
}

impl fmt::Display for LayoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoSize => f.write_str("a cache cannot hold objects of no size"),
            Self::TooLarge { bytes } => {
                write!(f, "no slab can hold an object of {bytes} bytes")
            }
            Self::FreeptrOffset { offset } => {
                write!(f, "the free pointer cannot lie at offset {offset}")
            }
            Self::StrideTooSmall { object_size, stride } => {
                write!(f, "an object of {object_size} bytes does not fit in a stride of {stride} bytes")
            }
        }
    }
}

impl Error for LayoutError {}

/// Returns the alignment in bytes of a cache's objects.
///
/// Source: `calculate_alignment()`, `mm/slab_common.c`, Linux 6.12; the same since 2.6.38.
pub(super) fn calculate_alignment(kernel: &Kernel, spec: &CacheSpec) -> u32 {
    let machine = &kernel.machine;
    let mut align = spec.align;
    if spec.flags.contains(CacheFlags::HWCACHE_ALIGN) {
        // Small objects share a line rather than waste most of it.
        let mut line = machine.cache_line_bytes;
        while line > 1 && spec.object_size <= line / 2 {
            line /= 2;
        }
        align = align.max(line);
    }
    let align = align.max(machine.slab_min_align_bytes);
    u32::try_from(round_up(u64::from(align), machine.word_bytes)).unwrap_or(align)
}

/// Returns `value` rounded up to a multiple of `to`; 0 and 1 change nothing.
pub(super) fn round_up(value: u64, to: u32) -> u64 {
    value.checked_next_multiple_of(u64::from(to)).unwrap_or(value)
}

/// The part of a layout that concerns one object.
#[derive(Debug, Clone, Copy)]
struct ObjectLayout {
    size: u32,
    align: u32,
    inuse: u32,
    freeptr_offset: u32,
    red_left_pad: u32,
}

impl ObjectLayout {
    fn of(kernel: &Kernel, spec: &CacheSpec) -> Result<Self, LayoutError> {
        if spec.object_size == 0 {
            return Err(LayoutError::NoSize);
        }
        let rules = &kernel.rules;
        let word = u64::from(kernel.machine.word_bytes);
        let align = calculate_alignment(kernel, spec);
        let red_zone = spec.flags.contains(CacheFlags::RED_ZONE);
        let store_user = spec.flags.contains(CacheFlags::STORE_USER);
        let keeps_request = store_user && spec.flags.contains(CacheFlags::KMALLOC);

        // Sums of a few u32: no overflow in u64.
        let mut size = round_up(u64::from(spec.object_size), kernel.machine.word_bytes);
        if red_zone && size == u64::from(spec.object_size) {
            size += word; // no padding that could serve as the zone
        }
        let inuse = size;

        let explicit = explicit_offset(kernel, spec)?;
        let rcu = spec.flags.contains(CacheFlags::TYPESAFE_BY_RCU);
        let outside = ((rcu || spec.has_ctor) && explicit.is_none())
            || spec.flags.contains(CacheFlags::POISON)
            || red_zone
                && (rules.red_zone_moves_small_freeptr && u64::from(spec.object_size) < word
                    || rules.red_zone_moves_kmalloc_freeptr && keeps_request);
        let freeptr_offset = if outside {
            size += word;
            size - word
        } else {
            u64::from(explicit.unwrap_or_else(|| inside_offset(kernel, spec.object_size)))
        };

        if store_user {
            size += 2 * u64::from(rules.track_bytes);
        }
        if keeps_request {
            size += u64::from(rules.orig_size_bytes);
        }
        let mut red_left_pad = 0;
        if red_zone {
            size += word;
            if rules.red_left_pad {
                red_left_pad = round_up(word, align);
                size += red_left_pad;
            }
        }
        let size = round_up(size, align);
        let too_large = |_| LayoutError::TooLarge { bytes: size };
        Ok(Self {
            size: u32::try_from(size).map_err(too_large)?,
            align,
            // All smaller than `size`, and so within u32 where it is.
            inuse: u32::try_from(inuse).map_err(too_large)?,
            freeptr_offset: u32::try_from(freeptr_offset).map_err(too_large)?,
            red_left_pad: u32::try_from(red_left_pad).map_err(too_large)?,
        })
    }
}

/// Returns the free pointer's place that the cache chose, if its kernel lets it choose.
fn explicit_offset(kernel: &Kernel, spec: &CacheSpec) -> Result<Option<u32>, LayoutError> {
    let Some(offset) = spec.freeptr_offset else {
        return Ok(None);
    };
    let rcu = spec.flags.contains(CacheFlags::TYPESAFE_BY_RCU);
    let may_choose = match kernel.rules.explicit_freeptr {
        ExplicitFreeptr::No => return Ok(None),
        ExplicitFreeptr::Rcu => rcu,
        ExplicitFreeptr::RcuOrConstructor => rcu || spec.has_ctor,
    };
    let aligned = offset.checked_rem(kernel.machine.word_bytes).unwrap_or(0) == 0;
    if may_choose && aligned && offset < spec.object_size { Ok(Some(offset)) } else { Err(LayoutError::FreeptrOffset { offset }) }
}

/// Returns where a free pointer inside an object of `object_size` bytes lies.
fn inside_offset(kernel: &Kernel, object_size: u32) -> u32 {
    let word = kernel.machine.word_bytes;
    let rounded_half = |bytes: u64| u32::try_from(round_up(bytes / 2, word)).unwrap_or(0);
    match kernel.rules.free_pointer {
        FreePointerPlace::Start => 0,
        FreePointerPlace::MiddleUp => match round_up(u64::from(object_size), word) {
            slot if slot > u64::from(word) => rounded_half(slot),
            _ => 0,
        },
        FreePointerPlace::MiddleDown => {
            let half = object_size / 2;
            half - half.checked_rem(word).unwrap_or(0)
        }
    }
}
