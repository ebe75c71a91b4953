//! The heap at the first event, rebuilt from the addresses that the trace uses later.
//!
//! A slab that existed before the trace shows itself when an object in it is used. Per place in the slab
//! the first event tells its state at the start: an allocation means free, a free means live. Places
//! never used count as live. Free places were on the freelist in the order in which they were handed out.

use rustc_hash::{FxHashMap, FxHashSet};
use slubreplay_parsers::capture::SlabSnapshot;

use super::caches::PlannedCache;
use super::op::Op;
use super::pairing::{NO_CACHE, Paired};
use super::places::{KernelPlaces, KernelSlab};
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
    /// The slab in the kernel.
    pub slab: Option<KernelSlab>,
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

/// Rebuilds the slabs. `ops` have their caches.
///
/// A snapshot from near the start tells how many slabs each CPU had on its partial list: those are the first
/// that the CPU used after its cpu slab. Without it, all others count as on the node's list.
pub(super) fn rebuild(
    paired: &Paired,
    ops: &[Op],
    caches: &[PlannedCache],
    places: &KernelPlaces,
    before: Option<&SlabSnapshot>,
    setting: Setting,
) -> Vec<PlannedSeed> {
    let mut slabs: Vec<OldSlab> = Vec::new();
    let mut by_base: FxHashMap<(u16, u64), usize> = FxHashMap::default();
    // CPUs that have allocated from a cache: their cpu slab of the start is known by then.
    let mut has_allocated: FxHashSet<(u16, u16)> = FxHashSet::default();
    for op in ops.iter().filter(|op| op.cache != NO_CACHE) {
        let Some(object) = paired.objects.get(op.object as usize) else { continue };
        let is_first_alloc = !op.what.is_free() && has_allocated.insert((op.cache, op.cpu));
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
            let seed = PlannedSeed {
                cache: op.cache,
                free: Vec::new(),
                place: SeedPlace::NodePartial,
                slab: places.slab(op.object),
                cpu: op.cpu,
                live: Vec::new(),
            };
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
    park(slabs, caches, before.filter(|_| setting.boot_cpu.is_none()))
}

/// Puts slabs on CPU partial lists as far as the snapshot says that there were any.
fn park(slabs: Vec<OldSlab>, caches: &[PlannedCache], before: Option<&SlabSnapshot>) -> Vec<PlannedSeed> {
    let mut on_cpus = Vec::new();
    let mut seeds = Vec::new();
    let mut parked: FxHashMap<(u16, u16), u64> = FxHashMap::default();
    for OldSlab { mut seed, first_alloc_cpu, .. } in slabs {
        let (Some(before), Some(cpu), SeedPlace::NodePartial) = (before, first_alloc_cpu, seed.place) else {
            seeds.push(seed);
            continue;
        };
        let left = parked.entry((seed.cache, cpu)).or_insert_with(|| parked_slabs(before, &caches[usize::from(seed.cache)].name, cpu));
        if *left == 0 {
            seeds.push(seed);
            continue;
        }
        *left -= 1;
        seed.place = SeedPlace::CpuPartial(cpu);
        on_cpus.push(seed);
    }
    // A CPU partial list is a stack: what is used first was put there last.
    seeds.extend(on_cpus.into_iter().rev());
    seeds
}

/// Slabs on a CPU's partial list at a snapshot: `slabs_cpu_partial` lists ` C<cpu>=<objects>(<slabs>)`.
fn parked_slabs(snapshot: &SlabSnapshot, cache: &str, cpu: u16) -> u64 {
    let value = snapshot.caches.get(cache).and_then(|attributes| attributes.get("slabs_cpu_partial"));
    let prefix = format!("C{cpu}=");
    let share = value.and_then(|value| value.text.split_whitespace().find_map(|word| word.strip_prefix(&prefix)));
    share.and_then(|share| share.split_once('(')?.1.strip_suffix(')')?.parse().ok()).unwrap_or(0)
}
