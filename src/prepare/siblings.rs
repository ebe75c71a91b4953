//! Caches of SLAB and SLOB kernels, and what the trace does not show of their heap at the start.

use slubreplay_parsers::capture::SlabSnapshot;

use super::caches::{PlannedCache, SizingDifference};
use super::identity::Identity;
use super::op::{Op, What};
use super::pairing::{NO_CACHE, Paired};
use super::seeding::PlannedSeed;
use super::{Plan, Recorded, Sibling};
use crate::allocators::AllocatorKind;
use crate::allocators::slab::{Geometry, SlabCacheSpec, SlabMachine, SlabSpec, Tunables};
use crate::allocators::slob::{Demand, RCU_FOOTER_BYTES, SlobCacheSpec};
use crate::allocators::slub::sizing::{CacheFlags, CacheLayout, Kernel, NodeLimits, kmalloc};
use crate::allocators::slub::{CacheKind, SeedPlace};

/// Row of the free space in pages that all caches share.
pub(super) const SLOB_FREE_SPACE: &str = "slob-free-space";

/// Alignments that may be told by addresses.
const MAX_ALIGN: u32 = 4096;

/// Objects from which on addresses tell an alignment: that so many lie on multiples of twice the alignment by chance is unlikely.
const ALIGN_WELL_OBSERVED: u32 = 16;

/// Lays a cache out for the recorded allocator, which is not SLUB; `None` if neither trace nor snapshot tells its sizes.
pub(super) fn plan(
    identity: &Identity,
    recorded: &Recorded,
    kernel: &Kernel,
    snapshot: Option<&SlabSnapshot>,
    differences: &mut Vec<SizingDifference>,
) -> Option<PlannedCache> {
    let (layout, made, sibling) = match recorded.allocator {
        AllocatorKind::Slob => slob(identity, kernel)?,
        _ => slab(identity, &recorded.slab, kernel, snapshot, differences)?,
    };
    Some(PlannedCache {
        name: identity.name.clone(),
        traced_as: identity.traced_as.clone(),
        aliases: Vec::new(),
        is_pseudo: identity.is_pseudo,
        kind: CacheKind::CpuSlab,
        layout,
        made,
        sibling,
    })
}

/// The row of the free space.
pub(crate) fn slob_free_space() -> PlannedCache {
    PlannedCache {
        name: SLOB_FREE_SPACE.to_owned(),
        traced_as: SLOB_FREE_SPACE.to_owned(),
        aliases: Vec::new(),
        is_pseudo: true,
        kind: CacheKind::CpuSlab,
        layout: layout(1, 1, 0, 1),
        made: SlabSpec::new(1, CacheFlags::NONE),
        sibling: Sibling::SlobFreeSpace,
    }
}

/// What tables show of a cache.
pub(crate) fn layout(object_size: u32, size: u32, order: u32, objects: u32) -> CacheLayout {
    CacheLayout {
        object_size,
        size,
        align: 8,
        inuse: object_size,
        freeptr_offset: 0,
        red_left_pad: 0,
        order,
        objects,
        min_order: order,
        min_objects: objects,
        min_partial: 0,
        cpu_partial: 0,
        cpu_partial_slabs: 0,
        sheaf_capacity: 0,
        nodes: NodeLimits::default(),
        flags: CacheFlags::NONE,
    }
}

/// What tables show of a cache of this geometry.
pub(crate) fn slab_layout(geometry: &Geometry) -> CacheLayout {
    CacheLayout { align: geometry.align, ..layout(geometry.object_size, geometry.size, geometry.gfporder, geometry.num) }
}

/// Creation flags that neither trace nor `/proc/slabinfo` shows, in the order in which they are tried: few first.
fn possible_specs(object_size: u32, stride: u32) -> impl Iterator<Item = SlabSpec> {
    let aligns = [(0, CacheFlags::NONE), (0, CacheFlags::HWCACHE_ALIGN), (1 << stride.trailing_zeros().min(6), CacheFlags::NONE)];
    let keeps = [CacheFlags::NONE, CacheFlags::TYPESAFE_BY_RCU];
    let reclaims = [CacheFlags::NONE, CacheFlags::RECLAIM_ACCOUNT];
    aligns.into_iter().flat_map(move |(align, line)| {
        keeps.into_iter().flat_map(move |keep| {
            reclaims.into_iter().map(move |reclaim| SlabSpec { align, ..SlabSpec::new(object_size, line | keep | reclaim) })
        })
    })
}

/// Flags and geometry of a cache whose flags are not known, by what is known of its slabs.
fn geometry_of(machine: &SlabMachine, object_size: u32, is: impl Fn(&Geometry) -> bool, stride: u32) -> Option<(SlabSpec, Geometry)> {
    possible_specs(object_size, stride)
        .filter_map(|spec| Some((spec, Geometry::calculate(machine, &spec).ok()?)))
        .find(|(_, found)| is(found))
}

fn slab(
    identity: &Identity,
    machine: &SlabMachine,
    kernel: &Kernel,
    snapshot: Option<&SlabSnapshot>,
    differences: &mut Vec<SizingDifference>,
) -> Option<(CacheLayout, SlabSpec, Sibling)> {
    let reported = snapshot.and_then(|snapshot| snapshot.caches.get(&identity.name));
    let number = |name: &str| reported.and_then(|attributes| attributes.number(name)).and_then(|value| u32::try_from(value).ok());
    let class = kmalloc::class_in_name(kernel, &identity.name);
    let known_size = class.or(u32::try_from(identity.object_bytes).ok().filter(|&size| size > 0));
    let shown = number("slab_size").zip(number("objs_per_slab")).zip(number("pagesperslab")).map(|((size, num), pages)| (size, num, pages));
    let traced_stride = u32::try_from(identity.stride_bytes).ok()?;
    let calculated = |spec: SlabSpec| Some((spec, Geometry::calculate(machine, &spec).ok()?));
    let found = match (known_size, class) {
        (_, Some(class)) => calculated(SlabSpec::kmalloc(class, CacheFlags::NONE)),
        (Some(object_size), None) => {
            let stride = shown.map_or(traced_stride, |(size, _, _)| size);
            let is_shown = |geometry: &Geometry| match shown {
                Some(shown) => (geometry.size, geometry.num, 1 << geometry.gfporder) == shown,
                None => geometry.size == stride,
            };
            let plain = || calculated(SlabSpec::new(object_size, CacheFlags::NONE));
            geometry_of(machine, object_size, is_shown, stride).or_else(plain)
        }
        (None, None) => None,
    };
    let computed = found.map(|(_, geometry)| geometry);
    let geometry = match shown {
        Some((size, num, pages)) => {
            for (attribute, kernel, computed) in [
                ("objsize", size, computed.map(|geometry| geometry.size)),
                ("objperslab", num, computed.map(|geometry| geometry.num)),
                ("pagesperslab", pages, computed.map(|geometry| 1 << geometry.gfporder)),
            ] {
                if let Some(computed) = computed.filter(|&computed| computed != kernel) {
                    let (kernel, computed) = (u64::from(kernel), u64::from(computed));
                    differences.push(SizingDifference { cache: identity.name.clone(), attribute, kernel, computed });
                }
            }
            Geometry::reported(machine, computed, size, num, pages).or(computed)?
        }
        None => computed?,
    };
    let tunables = match (number("limit"), number("batchcount"), number("sharedfactor")) {
        (Some(limit), Some(batchcount), Some(shared)) => Tunables { limit, batchcount, shared }.accepted(),
        _ => None,
    };
    let tunables = tunables.unwrap_or_else(|| Tunables::of(machine, geometry.size));
    let made = found.map_or_else(|| SlabSpec::new(geometry.object_size, CacheFlags::NONE), |(spec, _)| spec);
    Some((slab_layout(&geometry), made, Sibling::Slab(SlabCacheSpec { geometry, tunables, is_early: false })))
}

fn slob(identity: &Identity, kernel: &Kernel) -> Option<(CacheLayout, SlabSpec, Sibling)> {
    let stride = u32::try_from(identity.stride_bytes).ok()?;
    if kmalloc::is_cache_name(&identity.name) {
        let spec = SlobCacheSpec { demand: Demand::Kmalloc, is_typesafe_by_rcu: false };
        let class = kmalloc::class_in_name(kernel, &identity.name).unwrap_or(stride);
        return Some((layout(class, class, 0, 1), SlabSpec::kmalloc(class, CacheFlags::NONE), Sibling::Slob(spec)));
    }
    let object_size = u32::try_from(identity.object_bytes).ok()?;
    let size = stride.max(object_size);
    // The footer shows in what is allocated (6.1); nothing else makes an object larger by more than a unit.
    let is_typesafe_by_rcu = size >= object_size + RCU_FOOTER_BYTES;
    let spec = SlobCacheSpec { demand: Demand::Cache { size, align: 8 }, is_typesafe_by_rcu };
    let made = SlabSpec::new(object_size.max(1), CacheFlags::TYPESAFE_BY_RCU.when(is_typesafe_by_rcu));
    (size > 0).then_some((layout(object_size, size, 0, 1), made, Sibling::Slob(spec)))
}

impl PlannedCache {
    /// The same cache in a SLAB kernel, laid out by how it was made. `is_early` is asked by [`mark_early`] later.
    pub(crate) fn laid_for_slab(&self, machine: &SlabMachine) -> Option<Self> {
        let geometry = Geometry::calculate(machine, &self.made).ok()?;
        let spec = SlabCacheSpec { geometry, tunables: Tunables::of(machine, geometry.size), is_early: false };
        Some(Self { layout: slab_layout(&geometry), sibling: Sibling::Slab(spec), ..self.clone() })
    }

    /// The same cache in a SLOB kernel.
    pub(crate) fn laid_for_slob(&self, machine: &SlabMachine, unit_bytes: u32) -> Self {
        let made = &self.made;
        let is_typesafe_by_rcu = made.flags.contains(CacheFlags::TYPESAFE_BY_RCU);
        let footer = if is_typesafe_by_rcu { RCU_FOOTER_BYTES } else { 0 };
        let size = (made.object_size + footer).next_multiple_of(unit_bytes);
        let align = machine.alignment(made.object_size, made.align, made.flags);
        let demand = if kmalloc::is_cache_name(&self.name) { Demand::Kmalloc } else { Demand::Cache { size, align } };
        let layout = CacheLayout { align, ..layout(made.object_size, size, 0, 1) };
        Self { layout, sibling: Sibling::Slob(SlobCacheSpec { demand, is_typesafe_by_rcu }), ..self.clone() }
    }
}

/// SLOB caches are aligned as their addresses are: no event tells what was asked for.
pub(super) fn align_by_addresses(paired: &Paired, of_object: &[u16], caches: &mut [PlannedCache]) {
    let mut seen = vec![(0_u32, MAX_ALIGN.trailing_zeros()); caches.len()];
    for (object, &cache) in paired.objects.iter().zip(of_object) {
        if let Some((count, zeros)) = seen.get_mut(usize::from(cache)) {
            *count += 1;
            *zeros = (*zeros).min(object.ptr.trailing_zeros());
        }
    }
    for (cache, (count, zeros)) in caches.iter_mut().zip(seen) {
        if let Sibling::Slob(SlobCacheSpec { demand: Demand::Cache { align, .. }, .. }) = &mut cache.sibling
            && count >= ALIGN_WELL_OBSERVED
        {
            *align = 1 << zeros;
            (cache.layout.align, cache.made.align) = (*align, *align);
        }
    }
}

/// Marks the SLAB caches that were made before the second CPU was started: those used before it did anything. In a trace from mid-life
/// that cannot be seen; the kmalloc caches are.
pub(crate) fn mark_early(ops: &[Op], caches: &mut [PlannedCache], is_boot: bool) {
    let first_cpu = ops.first().map(|op| op.cpu);
    let alone = ops.iter().position(|op| Some(op.cpu) != first_cpu).unwrap_or(ops.len());
    let mut used = vec![false; caches.len()];
    for op in ops[..alone].iter().filter(|_| is_boot) {
        if let Some(used) = used.get_mut(usize::from(op.cache)) {
            *used = true;
        }
    }
    for (cache, used) in caches.iter_mut().zip(used) {
        if let Sibling::Slab(spec) = &mut cache.sibling {
            spec.is_early = used || kmalloc::is_cache_name(&cache.name);
        }
    }
}

/// Puts allocations of objects that are freed without one, in pages from before the trace, before the first operation. Pages of SLOB are
/// not of one cache, so they cannot be rebuilt slab by slab.
pub(super) fn allocate_at_start(paired: &mut Paired, of_object: &[u16]) {
    let Some(first) = paired.ops.first().copied() else { return };
    let is_old = |object: u32| {
        let info = &paired.objects[object as usize];
        info.key.is_none() && of_object[object as usize] != NO_CACHE && !paired.spans.spans[info.span as usize].is_born
    };
    let mut starts: Vec<Op> = Vec::new();
    for op in paired.ops.iter().filter(|op| op.what.is_free() && is_old(op.object)) {
        starts.push(Op { time_ns: first.time_ns, what: What::ALLOC.implied(), requested_bytes: 0, cpu: first.cpu, ..*op });
    }
    // Hashes have no order: then it is that of the frees.
    if paired.spans.has_addresses() {
        starts.sort_by_key(|op| paired.objects[op.object as usize].ptr);
    }
    let count = starts.len();
    paired.ops.splice(0..0, starts);
    paired.marks.iter_mut().for_each(|mark| mark.ops += count);
    paired.reads.iter_mut().for_each(|read| read.ops += count);
    paired.releases.iter_mut().for_each(|release| release.ops += count);
}

/// Slabs that a SLAB kernel had at the first snapshot, and that neither were made during the trace nor show in it: full ones.
///
/// `at` is the number of operations before the snapshot was read.
pub(super) fn stand_ins(
    paired: &Paired,
    caches: &[PlannedCache],
    seeds: &[PlannedSeed],
    before: &SlabSnapshot,
    at: usize,
) -> Vec<PlannedSeed> {
    let mut known = vec![0_u64; caches.len()];
    // By slab made before the snapshot: its cache.
    let mut made: Vec<Option<u16>> = vec![None; paired.spans.spans.len()];
    for op in &paired.ops[..at.min(paired.ops.len())] {
        let Some(object) = paired.objects.get(op.object as usize) else { continue };
        let span = object.span as usize;
        if paired.spans.spans[span].is_born
            && made[span].is_none()
            && let Some(known) = known.get_mut(usize::from(op.cache))
        {
            made[span] = Some(op.cache);
            *known += 1;
        }
    }
    for release in paired.releases.iter().filter(|release| release.ops <= at) {
        if let Some(cache) = made[release.span as usize].take() {
            known[usize::from(cache)] -= 1;
        }
    }
    for seed in seeds {
        known[usize::from(seed.cache)] += 1;
    }
    let mut added = Vec::new();
    for (number, cache) in (0..).zip(caches) {
        let reported = before.caches.get(&cache.name).and_then(|attributes| attributes.number("num_slabs")).unwrap_or(0);
        let missing = reported.saturating_sub(known[usize::from(number)]).min(MAX_STAND_INS);
        let seed = PlannedSeed {
            cache: number,
            free: Vec::new(),
            own: None,
            place: SeedPlace::NodePartial,
            slab: None,
            pfn: None,
            cpu: 0,
            node: None,
            live: Vec::new(),
        };
        added.extend(std::iter::repeat_n(seed, missing as usize));
    }
    added
}

/// Pages that SLOB took during the trace and had not given back, after each operation at which that changes. Pages are known by the objects
/// in them.
pub(super) fn pages_taken(paired: &Paired) -> Vec<(usize, u64)> {
    let mut releases = paired.releases.iter().peekable();
    let mut is_counted = vec![false; paired.spans.spans.len()];
    let mut pages = 0_u64;
    let mut taken = Vec::new();
    for (position, op) in paired.ops.iter().enumerate() {
        let before = pages;
        while let Some(release) = releases.next_if(|release| release.ops <= position) {
            if std::mem::take(&mut is_counted[release.span as usize]) {
                pages -= 1 << paired.spans.spans[release.span as usize].order;
            }
        }
        if let Some(object) = paired.objects.get(op.object as usize).filter(|_| !op.what.is_free()) {
            let span = paired.spans.spans[object.span as usize];
            if span.is_born && !std::mem::replace(&mut is_counted[object.span as usize], true) {
                pages += 1 << span.order;
            }
        }
        if pages != before {
            taken.push((position, pages));
        }
    }
    taken
}

/// Moments of a recording at which pages in use are compared.
const PAGE_SAMPLES: usize = 200;

/// Adds the pages from before the trace: those that the first snapshot has beyond what was taken until then. They stay; what is in them
/// shows in no event, or in too few to tell how much is free.
pub(super) fn add_old_pages(plan: &mut Plan, taken: &[(usize, u64)], page_bytes: u32, slab_bytes: Option<u64>) {
    let at = |position: usize| taken[..taken.partition_point(|(ops, _)| *ops < position)].last().map_or(0, |&(_, pages)| pages);
    let mark = plan.marks.iter().find(|(_, text)| text.trim() == SLABINFO_BEFORE).map(|&(ops, _)| ops);
    let old = match (slab_bytes, mark) {
        (Some(bytes), Some(mark)) => (bytes / u64::from(page_bytes)).saturating_sub(at(mark)).min(MAX_STAND_INS),
        _ => 0,
    };
    let count = plan.ops.len();
    let samples = (1..=PAGE_SAMPLES).map(|sample| count * sample / PAGE_SAMPLES);
    plan.kernel_pages = if taken.is_empty() { Vec::new() } else { samples.map(|position| (position, at(position) + old)).collect() };
    if old == 0 {
        return;
    }
    let number = (plan.caches.len() - 1) as u16;
    let spec = SlobCacheSpec { demand: Demand::Cache { size: page_bytes, align: 8 }, is_typesafe_by_rcu: false };
    let row = PlannedCache {
        name: SLOB_OLD_PAGES.to_owned(),
        traced_as: SLOB_OLD_PAGES.to_owned(),
        layout: layout(page_bytes, page_bytes, 0, 1),
        made: SlabSpec::new(page_bytes, CacheFlags::NONE),
        sibling: Sibling::Slob(spec),
        ..slob_free_space()
    };
    plan.caches.insert(usize::from(number), row);
    let first = plan.ops.first().copied();
    let time_ns = first.map_or(0, |op| op.time_ns);
    let start = plan.objects;
    let ops = (start..start + old as u32).map(|object| Op {
        time_ns,
        object,
        requested_bytes: page_bytes,
        cache: number,
        cpu: first.map_or(0, |op| op.cpu),
        what: What::ALLOC.implied(),
        node: -1,
    });
    plan.ops.splice(0..0, ops);
    plan.objects += old as u32;
    let shift = old as usize;
    plan.marks.iter_mut().for_each(|(position, _)| *position += shift);
    plan.reads.iter_mut().for_each(|read| read.ops += shift);
    plan.kernel_pages.iter_mut().for_each(|(position, _)| *position += shift);
    plan.ledger.add(super::ledger::Entry::StandInSlabs, SLOB_OLD_PAGES, old);
}

/// Row of pages from before the trace.
const SLOB_OLD_PAGES: &str = "slob-old-pages";

/// How markers of a reading of `/proc/slabinfo`, and of what is read with it, begin.
pub(super) const SLABINFO: &str = "slubreplay-slabinfo ";

/// The first of them.
pub(super) const SLABINFO_BEFORE: &str = "slubreplay-slabinfo before";

/// A damaged snapshot must not ask for memory without bound.
const MAX_STAND_INS: u64 = 1 << 20;
