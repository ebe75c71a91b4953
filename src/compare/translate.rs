//! A plan in the terms of another allocator.
//!
//! Caches keep the objects that they had, but for kmalloc: which class serves a request is the allocator's own choice, and the plan has
//! the size that each call asked for.

use std::sync::Arc;

use rustc_hash::FxHashMap;

use super::retarget::Retargeted;
use crate::allocators::AllocatorKind;
use crate::allocators::slab::SlabSpec;
use crate::allocators::slub::ObjectIndex;
use crate::allocators::slub::sizing::kmalloc;
use crate::prepare::{Op, Plan, PlannedCache, Sibling, What, mark_early, slob_free_space};
use crate::setting::Setting;

/// Translates a plan.
///
/// Addresses and orders of the recorded kernel mean nothing to another one, and are left out. Nor do its slabs from before the trace:
/// their objects are allocated anew before the first operation.
pub(super) fn translate(plan: &Plan, recorded: &Setting, target: &Setting) -> Retargeted {
    let mut classes = Classes { target, recorded, caches: Vec::new(), by_name: FxHashMap::default() };
    let mut unlaid = Vec::new();
    let mut renumber = Vec::with_capacity(plan.caches.len());
    for (number, cache) in plan.caches.iter().enumerate() {
        // The classes of kmalloc that are used are added as they come.
        let is_class = kmalloc::is_cache_name(&cache.name) && target.allocator != recorded.allocator;
        let laid = if is_class || cache.sibling == Sibling::SlobFreeSpace { None } else { classes.add(cache) };
        if laid.is_none() && !is_class && cache.sibling != Sibling::SlobFreeSpace {
            unlaid.push(number);
        }
        renumber.push(laid);
    }
    let mut translation = Translation { plan, classes, renumber, of_object: FxHashMap::default(), ops: Vec::new(), lost: 0 };
    let objects = translation.start(target.topology.cpus());
    let initial = translation.ops.len();
    let mut positions = Vec::with_capacity(plan.ops.len() + 1);
    for op in &plan.ops {
        positions.push(translation.ops.len());
        translation.op(*op);
    }
    positions.push(translation.ops.len());
    let Translation { classes, ops, lost, .. } = translation;
    let mut caches = classes.caches;
    mark_early(&ops, &mut caches, true);
    if target.allocator == AllocatorKind::Slob {
        caches.push(slob_free_space());
    }
    let marks = plan.marks.iter().map(|(position, text)| (positions[(*position).min(plan.ops.len())], text.clone())).collect();
    let plan = Plan {
        recorded_slabs: vec![Vec::new(); caches.len()],
        caches,
        ops,
        objects,
        origins: Arc::clone(&plan.origins),
        marks,
        snapshots_ns: plan.snapshots_ns.clone(),
        traffic: plan.traffic.clone(),
        has_hashed_pointers: plan.has_hashed_pointers,
        has_frames: plan.has_frames,
        from_boot: plan.from_boot,
        has_index_arrays: plan.has_index_arrays,
        ledger: plan.ledger.clone(),
        time_range_ns: plan.time_range_ns,
        ..Plan::default()
    };
    Retargeted { plan, initial, restarted: Vec::new(), unlaid, lost }
}

struct Translation<'a> {
    plan: &'a Plan,
    classes: Classes<'a>,
    /// By recorded cache: the target's; `None` for kmalloc, where the size of each call tells.
    renumber: Vec<Option<u16>>,
    /// By object of kmalloc: its cache.
    of_object: FxHashMap<u32, Option<u16>>,
    ops: Vec<Op>,
    lost: u64,
}

impl Translation<'_> {
    /// Allocates the objects of slabs from before the trace, slab by slab; returns the number of objects that there are now.
    fn start(&mut self, cpus: u16) -> u32 {
        let plan = self.plan;
        let mut objects = plan.objects;
        for seed in &plan.seeds {
            let untouched = seed.untouched(plan.caches[usize::from(seed.cache)].layout.objects).map(|place| {
                objects += 1;
                (objects - 1, place)
            });
            let mut live: Vec<(u32, ObjectIndex)> = seed.live.iter().copied().chain(untouched).collect();
            live.sort_unstable_by_key(|&(_, place)| place);
            let cpu = seed.cpu.min(cpus - 1);
            let what = What::ALLOC.implied();
            for (object, _) in live {
                self.op(Op { time_ns: plan.time_range_ns.0, object, requested_bytes: 0, cache: seed.cache, cpu, what, node: -1 });
            }
        }
        objects
    }

    fn op(&mut self, op: Op) {
        let old = &self.plan.caches[usize::from(op.cache)];
        let cache = match self.renumber[usize::from(op.cache)] {
            Some(cache) => Some(cache),
            None if !kmalloc::is_cache_name(&old.name) => None,
            None if op.what.is_free() => self.of_object.remove(&op.object).flatten(),
            None => {
                let cache = self.classes.of_request(old, op.requested_bytes);
                self.of_object.insert(op.object, cache);
                cache
            }
        };
        match cache {
            Some(cache) => self.ops.push(Op { cache, requested_bytes: self.classes.asked(old, &op), ..op }),
            None => self.lost += 1,
        }
    }
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
