//! Carries out which object goes to which cache.

use super::assign::{Moves, NewCache};
use super::kind::WhatIfError;
use crate::allocators::slub::ObjectIndex;
use crate::allocators::slub::sizing::{CacheFlags, CacheLayout, CacheSpec};
use crate::prepare::{KernelPlaces, Op, Plan, PlannedCache, What};
use crate::setting::Setting;

pub(super) fn regroup(plan: &mut Plan, setting: &Setting, moves: Moves) -> Result<(), WhatIfError> {
    let first = plan.caches.len();
    u16::try_from(first + moves.caches.len()).map_err(|_| WhatIfError::TooManyCaches)?;
    for new in &moves.caches {
        let cache = made(new, &plan.caches[usize::from(new.from)], setting)?;
        plan.caches.push(cache);
    }
    let cache_of = |object: u32, own: u16| {
        moves.of_object.get(object as usize).copied().flatten().map_or(own, |number| (first + usize::from(number)) as u16)
    };
    for op in &mut plan.ops {
        op.cache = cache_of(op.object, op.cache);
    }
    // A detached list is of one cache.
    for at in 1..plan.ops.len() {
        if plan.ops[at - 1].what.list_goes_on() && plan.ops[at - 1].cache != plan.ops[at].cache {
            plan.ops[at - 1].what = plan.ops[at - 1].what.ending_list();
        }
    }
    let mut is_changed = vec![false; plan.caches.len()];
    moves.caches.iter().for_each(|new| is_changed[usize::from(new.from)] = true);
    let initial = restart(plan, &is_changed, cache_of);
    plan.marks.iter_mut().for_each(|(position, _)| *position += initial.len());
    plan.ops.splice(0..0, initial);
    plan.recorded_slabs.resize(plan.caches.len(), Vec::new());
    for (slabs, is_changed) in plan.recorded_slabs.iter_mut().zip(&is_changed) {
        if *is_changed {
            slabs.clear();
        }
    }
    // Addresses, and when attributes were read, are of the caches as they were.
    plan.kernel = KernelPlaces::default();
    plan.seeds.iter_mut().for_each(|seed| seed.slab = None);
    plan.reads.clear();
    plan.sizing_differences.clear();
    Ok(())
}

fn made(new: &NewCache, old: &PlannedCache, setting: &Setting) -> Result<PlannedCache, WhatIfError> {
    let mut cache =
        PlannedCache { name: new.name.clone(), traced_as: new.name.clone(), aliases: Vec::new(), is_pseudo: false, ..old.clone() };
    if let Some(bytes) = new.object_bytes {
        let spec = CacheSpec::new(bytes, CacheFlags::NONE);
        cache.layout = CacheLayout::calculate(&setting.kernel, &spec).map_err(|_| WhatIfError::Unlaid(new.name.clone()))?;
    }
    Ok(cache)
}

/// Takes the slabs of changed caches from the heap at the start; returns the allocations that stand for their objects.
fn restart(plan: &mut Plan, is_changed: &[bool], cache_of: impl Fn(u32, u16) -> u16) -> Vec<Op> {
    let mut ops = Vec::new();
    let mut numbers = vec![usize::MAX; plan.seeds.len()];
    let mut kept = Vec::new();
    let in_sheaves: Vec<(usize, ObjectIndex)> = plan.sheaf_seeds.iter().flat_map(|sheaf| sheaf.objects.iter().copied()).collect();
    for (number, seed) in std::mem::take(&mut plan.seeds).into_iter().enumerate() {
        let cache = usize::from(seed.cache);
        if !is_changed[cache] {
            numbers[number] = kept.len();
            kept.push(seed);
            continue;
        }
        let parked = |place: &ObjectIndex| in_sheaves.contains(&(number, *place));
        let untouched: Vec<(u32, ObjectIndex)> = seed
            .untouched(plan.caches[cache].layout.objects)
            .filter(|place| !parked(place))
            .map(|place| {
                plan.objects += 1;
                (plan.objects - 1, place)
            })
            .collect();
        let mut live: Vec<(u32, ObjectIndex)> = seed.live.iter().copied().chain(untouched).collect();
        live.sort_unstable_by_key(|&(_, place)| place);
        ops.extend(live.into_iter().map(|(object, _)| Op {
            time_ns: plan.time_range_ns.0,
            object,
            requested_bytes: 0,
            cache: cache_of(object, seed.cache),
            cpu: seed.cpu,
            what: What::ALLOC.implied(),
            node: -1,
        }));
    }
    plan.seeds = kept;
    plan.sheaf_seeds.retain(|sheaf| !is_changed[usize::from(sheaf.cache)]);
    for sheaf in &mut plan.sheaf_seeds {
        sheaf.objects.iter_mut().for_each(|(seed, _)| *seed = numbers[*seed]);
    }
    ops
}
