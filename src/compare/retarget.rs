//! A plan, laid out for another release.

use std::sync::Arc;

use super::translate;
use crate::allocators::AllocatorKind;
use crate::allocators::slub::{CacheKind, Generation, ObjectIndex, SeedPlace};
use crate::prepare::{KernelPlaces, Op, Plan, PlannedCache, PlannedSeed, PlannedSheaf, What};
use crate::setting::Setting;

/// A plan for a kernel other than the recorded one.
#[derive(Debug, Clone)]
pub struct Retargeted {
    /// The plan. It knows nothing of the recorded kernel's addresses and orders.
    pub plan: Plan,
    /// Operations before the recorded ones: allocations of objects from before the trace.
    pub initial: usize,
    /// Caches, by number, whose slabs from before the trace do not fit, and that start with those allocations.
    pub restarted: Vec<usize>,
    /// Caches, by number, that the kernel would not make, and that are laid out as recorded.
    pub unlaid: Vec<usize>,
    /// Operations left out, as the kernel serves such requests by whole pages.
    pub lost: u64,
}

/// Lays the plan `own` out for `target`.
///
/// Objects keep their sizes and caches. Slabs that exist at the start are kept where the target's slabs have as many objects.
/// Elsewhere they cannot be: the cache starts empty, and its objects are allocated before the first operation, slab by slab, each by
/// the CPU that used its slab first. The gaps between them are lost; what they make of slabs and lists is the target's.
#[must_use]
pub fn retarget(own: &Plan, recorded: &Setting, target: &Setting) -> Retargeted {
    if (recorded.allocator, target.allocator) != (AllocatorKind::Slub, AllocatorKind::Slub) {
        return translate::translate(own, recorded, target);
    }
    let mut unlaid = Vec::new();
    let caches: Vec<PlannedCache> = own
        .caches
        .iter()
        .enumerate()
        .map(|(number, cache)| {
            cache.relaid(&recorded.kernel, &target.kernel).unwrap_or_else(|| {
                unlaid.push(number);
                cache.clone()
            })
        })
        .collect();
    let Relaid { mut plan, initial, restarted } = relay(own, caches, target);
    let count = initial.len();
    plan.ops = [initial.as_slice(), &own.ops].concat();
    plan.marks.iter_mut().for_each(|(position, _)| *position += count);
    Retargeted { plan, initial: count, restarted, unlaid, lost: 0 }
}

/// A plan with other layouts.
#[derive(Debug, Clone)]
pub struct Relaid {
    /// The plan without operations: they are those that it had. It knows nothing of the recorded kernel's addresses and orders.
    pub plan: Plan,
    /// Operations before those: allocations of objects from before the trace.
    pub initial: Vec<Op>,
    /// Caches, by number, whose slabs from before the trace do not fit, and that start with those allocations.
    pub restarted: Vec<usize>,
}

/// Gives the caches of `plan` the layouts of `caches`, which `target` makes, in the same order.
#[must_use]
pub fn relay(plan: &Plan, caches: Vec<PlannedCache>, target: &Setting) -> Relaid {
    let fits: Vec<bool> = plan
        .caches
        .iter()
        .zip(&caches)
        .map(|(old, new)| (old.layout.order, old.layout.objects) == (new.layout.order, new.layout.objects))
        .collect();
    relay_fitting(plan, caches, target, &fits)
}

/// The plan as it is, but with some caches, by number, started anew as if their slabs did not fit: what other layouts of them are to be
/// compared with.
#[must_use]
pub(crate) fn restart(plan: &Plan, anew: &[usize], target: &Setting) -> Relaid {
    let fits: Vec<bool> = (0..plan.caches.len()).map(|cache| !anew.contains(&cache)).collect();
    relay_fitting(plan, plan.caches.clone(), target, &fits)
}

/// `fits`, by cache: its slabs from before the trace are kept.
fn relay_fitting(plan: &Plan, caches: Vec<PlannedCache>, target: &Setting, fits: &[bool]) -> Relaid {
    let fits = |seed: &PlannedSeed| fits[usize::from(seed.cache)];
    let (planned, sheaves) = sheaves(plan, &caches, target, fits);
    let mut seeds = Vec::new();
    let mut numbers = vec![0; planned.len()];
    let mut restarted = Vec::new();
    let mut ops = Vec::new();
    let mut objects = plan.objects;
    for (number, seed) in planned.iter().enumerate() {
        let cache = usize::from(seed.cache);
        if fits(seed) {
            numbers[number] = seeds.len();
            seeds.push(PlannedSeed { place: place(seed.place, &caches[cache], target), slab: None, ..seed.clone() });
            continue;
        }
        restarted.push(cache);
        let untouched = seed.untouched(plan.caches[cache].layout.objects).map(|place| {
            objects += 1;
            (objects - 1, place)
        });
        let mut live: Vec<(u32, ObjectIndex)> = seed.live.iter().copied().chain(untouched).collect();
        live.sort_unstable_by_key(|&(_, place)| place);
        let cpu = seed.cpu.min(target.topology.cpus() - 1);
        ops.extend(live.into_iter().map(|(object, _)| Op {
            time_ns: plan.time_range_ns.0,
            object,
            requested_bytes: 0,
            cache: seed.cache,
            cpu,
            what: What::ALLOC.implied(),
            node: -1,
        }));
    }
    restarted.sort_unstable();
    restarted.dedup();
    let plan = Plan {
        caches,
        ops: Vec::new(),
        objects,
        kernel: KernelPlaces::default(),
        origins: Arc::clone(&plan.origins),
        seeds,
        sheaf_seeds: sheaves.into_iter().map(|sheaf| renumbered(sheaf, &numbers)).collect(),
        recorded_slabs: Vec::new(),
        traffic: plan.traffic.clone(),
        has_hashed_pointers: plan.has_hashed_pointers,
        has_frames: plan.has_frames,
        from_boot: plan.from_boot,
        has_index_arrays: plan.has_index_arrays,
        marks: plan.marks.clone(),
        snapshots_ns: plan.snapshots_ns.clone(),
        kernel_pages: Vec::new(),
        reads: Vec::new(),
        ledger: plan.ledger.clone(),
        sizing_differences: Vec::new(),
        time_range_ns: plan.time_range_ns,
    };
    Relaid { plan, initial: ops, restarted }
}

/// Slabs of the start, and the sheaves that the target has as well. What is in other sheaves is free in its slab.
fn sheaves(
    plan: &Plan,
    caches: &[PlannedCache],
    target: &Setting,
    fits: impl Fn(&PlannedSeed) -> bool,
) -> (Vec<PlannedSeed>, Vec<PlannedSheaf>) {
    let mut seeds = plan.seeds.clone();
    let mut kept = Vec::new();
    for sheaf in &plan.sheaf_seeds {
        let cache = usize::from(sheaf.cache);
        let is_same = target.rules.sheaves.is_some()
            && plan.caches[cache].layout.sheaf_capacity == caches[cache].layout.sheaf_capacity
            && sheaf.objects.iter().all(|&(seed, _)| fits(&plan.seeds[seed]));
        if is_same {
            kept.push(sheaf.clone());
            continue;
        }
        for &(seed, place) in &sheaf.objects {
            seeds[seed].free.push(place);
        }
    }
    (seeds, kept)
}

fn renumbered(mut sheaf: PlannedSheaf, numbers: &[usize]) -> PlannedSheaf {
    for (seed, _) in &mut sheaf.objects {
        *seed = numbers[*seed];
    }
    sheaf
}

/// Where a slab of the start is in a kernel that may lack such a place.
fn place(place: SeedPlace, cache: &PlannedCache, target: &Setting) -> SeedPlace {
    if target.allocator != AllocatorKind::Slub {
        return place;
    }
    let has_cpu_slabs = target.rules.has_cpu_slabs() && cache.kind != CacheKind::Debug;
    let has_cpu_partial = has_cpu_slabs && cache.kind == CacheKind::CpuPartial && target.rules.generation > Generation::NoCpuPartial;
    match place {
        SeedPlace::Cpu(_) if has_cpu_slabs => place,
        SeedPlace::CpuPartial(_) if has_cpu_partial => place,
        _ => SeedPlace::NodePartial,
    }
}
