//! A plan in the terms of another allocator.
//!
//! Caches keep the objects that they had, but for kmalloc: which class serves a request is the allocator's own choice, and the plan has
//! the size that each call asked for.

use rustc_hash::FxHashMap;

use crate::allocators::AllocatorKind;
use crate::allocators::slab::SlabSpec;
use crate::allocators::slub::sizing::kmalloc;
use crate::prepare::{Op, Plan, PlannedCache, Sibling, mark_early, slob_free_space};
use crate::setting::Setting;

/// Translates a plan; returns it with the number of operations that the target serves by whole pages, and that are left out.
///
/// Addresses and orders of the recorded kernel mean nothing to another one, and are left out.
pub(super) fn translate(plan: &Plan, recorded: &Setting, target: &Setting) -> (Plan, u64) {
    let mut classes = Classes { target, recorded, caches: Vec::new(), by_name: FxHashMap::default() };
    let mut renumber = Vec::with_capacity(plan.caches.len());
    for cache in &plan.caches {
        let is_class = kmalloc::is_cache_name(&cache.name);
        renumber.push(match cache.sibling {
            // The classes that are used are added as they come.
            _ if is_class && target.allocator != recorded.allocator => None,
            Sibling::SlobFreeSpace => None,
            _ => classes.add(cache),
        });
    }
    let mut of_object: FxHashMap<u32, Option<u16>> = FxHashMap::default();
    let mut lost = 0;
    let mut ops = Vec::with_capacity(plan.ops.len());
    let mut positions = Vec::with_capacity(plan.ops.len() + 1);
    let mut seeds = plan.seeds.clone();
    for seed in &mut seeds {
        let old = usize::from(seed.cache);
        let is_class = kmalloc::is_cache_name(&plan.caches[old].name);
        let cache = renumber[old].or_else(|| if is_class { classes.of_request(&plan.caches[old], 0) } else { None });
        for (object, _) in &seed.live {
            of_object.insert(*object, cache);
        }
        seed.cache = cache.unwrap_or(u16::MAX);
    }
    seeds.retain(|seed| seed.cache != u16::MAX);
    for op in &plan.ops {
        positions.push(ops.len());
        let old = usize::from(op.cache);
        let cache = match renumber[old] {
            Some(cache) => Some(cache),
            None if !kmalloc::is_cache_name(&plan.caches[old].name) => None,
            None if op.what.is_free() => of_object.remove(&op.object).flatten(),
            None => {
                let cache = classes.of_request(&plan.caches[old], op.requested_bytes);
                of_object.insert(op.object, cache);
                cache
            }
        };
        match cache {
            Some(cache) => ops.push(Op { cache, requested_bytes: classes.asked(&plan.caches[old], op), ..*op }),
            None => lost += 1,
        }
    }
    positions.push(ops.len());
    let mut caches = classes.caches;
    if target.allocator == AllocatorKind::Slob {
        caches.push(slob_free_space());
    }
    mark_early(&ops, &mut caches, true);
    let marks = plan.marks.iter().map(|(position, text)| (positions[(*position).min(plan.ops.len())], text.clone())).collect();
    let recorded_slabs = vec![Vec::new(); caches.len()];
    let translated = Plan {
        caches,
        ops,
        objects: plan.objects,
        seeds,
        marks,
        recorded_slabs,
        ledger: plan.ledger.clone(),
        time_range_ns: plan.time_range_ns,
        ..Plan::default()
    };
    (translated, lost)
}

/// The caches of the target.
struct Classes<'a> {
    target: &'a Setting,
    recorded: &'a Setting,
    caches: Vec<PlannedCache>,
    by_name: FxHashMap<String, Option<u16>>,
}

impl Classes<'_> {
    /// Lays a cache out; `None` if the allocator would not make it.
    fn add(&mut self, cache: &PlannedCache) -> Option<u16> {
        let laid = match self.target.allocator {
            AllocatorKind::Slub => cache.laid_for_slub(&self.target.kernel),
            AllocatorKind::Slab if self.recorded.allocator == AllocatorKind::Slab => Some(cache.clone()),
            AllocatorKind::Slab => cache.laid_for_slab(&self.target.slab_machine()),
            AllocatorKind::Slob => Some(cache.laid_for_slob(&self.target.slab_machine(), self.target.slob_setting().unit_bytes())),
        };
        self.caches.push(laid?);
        u16::try_from(self.caches.len() - 1).ok()
    }

    /// The kmalloc cache for a request of so many bytes that `old` served; 0 bytes for a request that is not known.
    fn of_request(&mut self, old: &PlannedCache, bytes: u32) -> Option<u16> {
        let bytes = if bytes == 0 { old.made.object_size } else { bytes };
        let class = kmalloc::class_bytes(&self.target.kernel, u64::from(bytes))?;
        let name = kmalloc::with_class(&self.target.kernel, &old.name, class);
        if let Some(&known) = self.by_name.get(&name) {
            return known;
        }
        let made = SlabSpec::kmalloc(class, old.made.flags);
        let number = self.add(&PlannedCache { name: name.clone(), traced_as: name.clone(), made, ..old.clone() });
        self.by_name.insert(name, number);
        number
    }

    /// Bytes that an operation asks for: of an untraced kmalloc, those of its class.
    fn asked(&self, old: &PlannedCache, op: &Op) -> u32 {
        let is_unknown = op.requested_bytes == 0 && !op.what.is_free() && kmalloc::is_cache_name(&old.name);
        if is_unknown && self.target.allocator == AllocatorKind::Slob { old.made.object_size } else { op.requested_bytes }
    }
}
