//! The heap at the first event, rebuilt from the addresses that the trace uses later.
//!
//! A slab that existed before the trace shows itself when an object in it is used. Per place in the slab
//! the first event tells its state at the start: an allocation means free, a free means live. Places
//! never used count as live. Free places were on the freelist in the order in which they were handed out.

use rustc_hash::FxHashMap;

use super::caches::PlannedCache;
use super::op::Op;
use super::pairing::{NO_CACHE, Paired};
use crate::allocators::slub::{ObjectIndex, SeedPlace};

/// A slab that exists at the start, with the objects of the trace that are live in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSeed {
    /// Cache, as an index into [`super::Plan::caches`].
    pub cache: u16,
    /// Free places in the order in which they will be handed out.
    pub free: Vec<ObjectIndex>,
    /// Where the slab is.
    pub place: SeedPlace,
    /// CPU that used it first.
    pub cpu: u16,
    /// Objects live at the start, by number, and their places.
    pub live: Vec<(u32, ObjectIndex)>,
}

/// What the rebuilding has to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) page_shift: u32,
    /// The trace began while only this CPU was running.
    pub(super) boot_cpu: Option<u16>,
}

#[derive(Debug)]
struct OldSlab {
    seed: PlannedSeed,
    used: Vec<bool>,
    first_alloc_cpu: Option<u16>,
}

/// Rebuilds the slabs. `ops` have their caches; seeds come in order of first use.
pub(super) fn rebuild(paired: &Paired, ops: &[Op], caches: &[PlannedCache], setting: Setting) -> Vec<PlannedSeed> {
    let mut slabs: Vec<OldSlab> = Vec::new();
    let mut by_base: FxHashMap<(u16, u64), usize> = FxHashMap::default();
    // CPUs that have allocated from a cache: their cpu slab of the start is known by then.
    let mut has_allocated: FxHashMap<(u16, u16), ()> = FxHashMap::default();
    for op in ops.iter().filter(|op| op.cache != NO_CACHE) {
        let Some(object) = paired.objects.get(op.object as usize) else { continue };
        let is_first_alloc = !op.what.is_free() && has_allocated.insert((op.cache, op.cpu), ()).is_none();
        if paired.spans.spans[object.span as usize].is_born {
            continue;
        }
        let layout = &caches[usize::from(op.cache)].layout;
        let slab_mask = (1_u64 << (setting.page_shift + layout.order)) - 1;
        let place = (object.ptr & slab_mask) / u64::from(layout.size);
        if place >= u64::from(layout.objects) {
            continue;
        }
        let slab = *by_base.entry((op.cache, object.ptr & !slab_mask)).or_insert_with(|| {
            let seed = PlannedSeed { cache: op.cache, free: Vec::new(), place: SeedPlace::NodePartial, cpu: op.cpu, live: Vec::new() };
            slabs.push(OldSlab { seed, used: vec![false; layout.objects as usize], first_alloc_cpu: None });
            slabs.len() - 1
        });
        let slab = &mut slabs[slab];
        if std::mem::replace(&mut slab.used[place as usize], true) {
            continue;
        }
        if op.what.is_free() {
            slab.seed.live.push((op.object, place as ObjectIndex));
            continue;
        }
        slab.seed.free.push(place as ObjectIndex);
        if slab.first_alloc_cpu.is_none() {
            slab.first_alloc_cpu = Some(op.cpu);
            // The slab that a CPU takes its first object from was its cpu slab, unless the CPU was not
            // running yet.
            if is_first_alloc && setting.boot_cpu.is_none_or(|boot| boot == op.cpu) {
                slab.seed.place = SeedPlace::Cpu(op.cpu);
            }
        }
    }
    slabs.into_iter().map(|slab| slab.seed).collect()
}
