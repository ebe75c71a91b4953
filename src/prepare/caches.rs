//! The layout of each cache: computed, and checked against a snapshot.

use slubreplay_parsers::capture::{SlabSnapshot, snapshot::CacheAttributes};

use super::identity::Identity;
use crate::allocators::slab::{SlabCacheSpec, SlabSpec};
use crate::allocators::slob::SlobCacheSpec;
use crate::allocators::slub::CacheKind;
use crate::allocators::slub::sizing::{CacheFlags, CacheLayout, CacheSpec, Kernel, kmalloc};

/// A cache to replay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedCache {
    /// Directory in sysfs if there is a snapshot, else the name in the trace.
    pub name: String,
    /// Name that the trace has for it; the same as `name` unless the snapshot says that it is merged.
    pub traced_as: String,
    /// Names merged into it, as far as the snapshot tells.
    pub aliases: Vec<String>,
    /// True if it stands in for a cache whose name is not known.
    pub is_pseudo: bool,
    /// How it hands objects out.
    pub kind: CacheKind,
    /// Layout used for the replay: the kernel's own figures where a snapshot has them.
    pub layout: CacheLayout,
    /// How it was made, as far as that is known: for laying it out in another allocator.
    pub made: SlabSpec,
    /// What it is in an allocator beside SLUB.
    pub sibling: Sibling,
}

/// What a cache is in an allocator beside SLUB.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sibling {
    /// Nothing: the plan is for SLUB.
    #[default]
    None,
    /// A cache of SLAB.
    Slab(SlabCacheSpec),
    /// A cache of SLOB.
    Slob(SlobCacheSpec),
    /// Not a cache: free space in the pages of SLOB.
    SlobFreeSpace,
}

/// A figure of a layout that was computed otherwise than the kernel reported it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SizingDifference {
    /// Cache name.
    pub cache: String,
    /// sysfs attribute.
    pub attribute: &'static str,
    /// The kernel's value.
    pub kernel: u64,
    /// The computed value.
    pub computed: u64,
}

/// Largest slab order that page allocators have.
const MAX_ORDER: u32 = 10;

/// Most objects of a slab (`MAX_OBJS_PER_PAGE`).
const MAX_OBJECTS: u32 = 32_767;

/// Lays out one cache; `None` if neither trace nor snapshot tells its sizes.
pub(super) fn plan(
    identity: &Identity,
    kernel: &Kernel,
    snapshot: Option<&SlabSnapshot>,
    differences: &mut Vec<SizingDifference>,
) -> Option<PlannedCache> {
    let reported = snapshot.and_then(|snapshot| snapshot.caches.get(&identity.name));
    let number = |attribute: &str| reported.and_then(|attributes| attributes.number(attribute));
    let stride = number("slab_size").filter(|&stride| stride > 0).unwrap_or(identity.stride_bytes);
    let object_size =
        number("object_size").filter(|&size| size > 0).unwrap_or(if identity.object_bytes > 0 { identity.object_bytes } else { stride });
    let (stride, object_size) = (u32::try_from(stride).ok()?, u32::try_from(object_size).ok()?);
    let names = snapshot.into_iter().flat_map(|snapshot| snapshot.aliases_of(&identity.name)).chain([identity.traced_as.as_str()]);
    let spec = CacheSpec { sheaf_capacity: sheaf_argument(names), ..CacheSpec::new(object_size.min(stride), CacheFlags::NONE) };
    let computed = CacheLayout::from_stride(kernel, &spec, stride).ok().filter(|layout| layout.objects <= MAX_OBJECTS)?;
    let layout = reported.map_or(computed, |attributes| adjusted(computed, attributes, kernel, &identity.name, differences));
    let aliases = snapshot.map(|snapshot| snapshot.aliases_of(&identity.name).map(str::to_owned).collect()).unwrap_or_default();
    Some(PlannedCache {
        name: identity.name.clone(),
        traced_as: identity.traced_as.clone(),
        aliases,
        is_pseudo: identity.is_pseudo,
        kind: kind(&computed, reported, kernel),
        layout,
        made: made(&identity.name, &layout, reported, kernel),
        sibling: Sibling::None,
    })
}

impl PlannedCache {
    /// The same cache in another kernel: objects of the same size and distance, in slabs as `target` makes them. `None` if it makes
    /// none for such objects. sysfs figures of the recorded kernel count no longer.
    #[must_use]
    pub fn relaid(&self, recorded: &Kernel, target: &Kernel) -> Option<Self> {
        let names = self.aliases.iter().map(String::as_str).chain([self.traced_as.as_str()]);
        let object_size = self.layout.object_size.min(self.layout.size);
        let spec = CacheSpec { sheaf_capacity: sheaf_argument(names), ..CacheSpec::new(object_size, CacheFlags::NONE) };
        let layout = CacheLayout::from_stride(target, &spec, self.layout.size).ok().filter(|layout| layout.objects <= MAX_OBJECTS)?;
        let has_debug = self.kind == CacheKind::Debug && !recorded.build.slub_tiny;
        Some(Self { kind: kind_of(has_debug, &layout, target), layout, ..self.clone() })
    }

    /// The same cache in a SLUB kernel, recorded on another allocator: laid out by how it was made.
    #[must_use]
    pub fn laid_for_slub(&self, target: &Kernel) -> Option<Self> {
        let spec = CacheSpec {
            align: self.made.align,
            has_ctor: self.made.has_ctor,
            sheaf_capacity: sheaf_argument([self.name.as_str()].into_iter()),
            ..CacheSpec::new(self.made.object_size, self.made.flags)
        };
        let layout = CacheLayout::calculate(target, &spec).ok().filter(|layout| layout.objects <= MAX_OBJECTS)?;
        Some(Self { kind: kind_of(false, &layout, target), layout, sibling: Sibling::None, ..self.clone() })
    }
}

/// How a cache of SLUB was made: by its files in sysfs; else, of a kmalloc cache, by its class; of others, aligned to cache lines if their
/// stride is a multiple of one that their size is not.
fn made(name: &str, layout: &CacheLayout, reported: Option<&CacheAttributes>, kernel: &Kernel) -> SlabSpec {
    let object_size = layout.object_size.min(layout.size);
    if let Some(class) = kmalloc::class_in_name(kernel, name) {
        return SlabSpec::kmalloc(class, CacheFlags::NONE);
    }
    let line = kernel.machine.cache_line_bytes;
    let Some(attributes) = reported.filter(|attributes| attributes.get("hwcache_align").is_some()) else {
        let is_aligned = layout.size.is_multiple_of(line) && !object_size.is_multiple_of(line);
        return SlabSpec::new(object_size, CacheFlags::HWCACHE_ALIGN.when(is_aligned));
    };
    let is_set = |attribute: &str| attributes.number(attribute) == Some(1);
    let flags = CacheFlags::HWCACHE_ALIGN.when(is_set("hwcache_align"))
        | CacheFlags::RECLAIM_ACCOUNT.when(is_set("reclaim_account"))
        | CacheFlags::TYPESAFE_BY_RCU.when(is_set("destroy_by_rcu"));
    let align = attributes.number("align").and_then(|align| u32::try_from(align).ok()).filter(|align| align.is_power_of_two());
    let has_ctor = attributes.get("ctor").is_some_and(|ctor| !ctor.text.trim().is_empty());
    SlabSpec { align: align.unwrap_or(0).min(kernel.machine.page_bytes), has_ctor, ..SlabSpec::new(object_size, flags) }
}

/// The `sheaf_capacity` that a cache is created with; releases without sheaves ignore it.
///
/// Source: `maple_tree_init()`, `lib/maple_tree.c`, and `vma_state_init()`, `mm/vma_init.c`, Linux 6.18 (the latter not from 7.0 on,
/// where the computed capacity is larger anyway).
fn sheaf_argument<'a>(mut names: impl Iterator<Item = &'a str>) -> u32 {
    if names.any(|name| ["maple_node", "vm_area_struct"].contains(&name)) { 32 } else { 0 }
}

/// Files of sysfs that are 1 in caches with that kind of debugging (`SLAB_DEBUG_FLAGS`).
const DEBUG_ATTRIBUTES: [&str; 5] = ["sanity_checks", "red_zone", "poison", "store_user", "trace"];

fn kind(computed: &CacheLayout, reported: Option<&CacheAttributes>, kernel: &Kernel) -> CacheKind {
    let is_set = |attribute: &&str| reported.and_then(|attributes| attributes.number(attribute)) == Some(1);
    kind_of(DEBUG_ATTRIBUTES.iter().any(is_set), computed, kernel)
}

fn kind_of(has_debug: bool, computed: &CacheLayout, kernel: &Kernel) -> CacheKind {
    if kernel.build.slub_tiny || has_debug {
        CacheKind::Debug
    } else if computed.cpu_partial > 0 {
        CacheKind::CpuPartial
    } else {
        CacheKind::CpuSlab
    }
}

/// Compares a layout with the kernel's own figures, and takes those over.
fn adjusted(
    computed: CacheLayout,
    attributes: &CacheAttributes,
    kernel: &Kernel,
    name: &str,
    differences: &mut Vec<SizingDifference>,
) -> CacheLayout {
    let mut layout = computed;
    let mut check = |attribute: &'static str, field: &mut u32| {
        let Some(reported) = attributes.number(attribute) else { return };
        if reported != u64::from(*field) {
            differences.push(SizingDifference { cache: name.to_owned(), attribute, kernel: reported, computed: u64::from(*field) });
        }
        *field = u32::try_from(reported).unwrap_or(*field);
    };
    check("order", &mut layout.order);
    check("objs_per_slab", &mut layout.objects);
    check("min_partial", &mut layout.min_partial);
    check("cpu_partial", &mut layout.cpu_partial);
    check("sheaf_capacity", &mut layout.sheaf_capacity);
    // A sheaf is a kmalloc object: this is far beyond any.
    layout.sheaf_capacity = layout.sheaf_capacity.min(MAX_OBJECTS);
    // A damaged snapshot must not make slabs that cannot exist.
    let fits = layout.order <= MAX_ORDER
        && layout.order >= layout.min_order
        && (layout.min_objects..=MAX_OBJECTS).contains(&layout.objects)
        && u64::from(layout.objects) * u64::from(layout.size) <= kernel.machine.slab_bytes(layout.order);
    if !fits {
        (layout.order, layout.objects) = (computed.order, computed.objects);
    }
    if (layout.cpu_partial, layout.objects) != (computed.cpu_partial, computed.objects) {
        // Source: slub_set_cpu_partial(), which rounds up twice the objects over the objects per slab.
        layout.cpu_partial_slabs = layout.cpu_partial.saturating_mul(2).div_ceil(layout.objects);
    }
    layout
}
