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
use crate::allocators::slub::{Counter, ObjectIndex, Rules, SeedPlace};

/// A slab that exists at the start, with the objects of the trace that are live in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSeed {
    /// Cache, as an index into [`super::Plan::caches`].
    pub cache: u16,
    /// Free places in the order in which they will be handed out.
    pub free: Vec<ObjectIndex>,
    /// Of a cpu slab: how many of them were on the CPU's own freelist; the others, freed by other CPUs, were on the slab's. `None`
    /// if the trace does not tell: then all count as the CPU's own.
    pub own: Option<usize>,
    /// Where the slab is.
    pub place: SeedPlace,
    /// The slab in the kernel.
    pub slab: Option<KernelSlab>,
    /// Its first page frame, if it is known.
    pub pfn: Option<u64>,
    /// CPU that used it first.
    pub cpu: u16,
    /// Its node, if addresses tell; else that of the CPU.
    pub node: Option<u16>,
    /// Objects live at the start, by number, and their places.
    pub live: Vec<(u32, ObjectIndex)>,
}

impl PlannedSeed {
    /// Places that are in use without the trace ever speaking of their objects, in a slab of `objects`.
    pub(crate) fn untouched(&self, objects: u32) -> impl Iterator<Item = ObjectIndex> {
        let mut touched = vec![false; objects as usize];
        for &place in self.free.iter().chain(self.live.iter().map(|(_, place)| place)) {
            if let Some(touched) = touched.get_mut(usize::from(place)) {
                *touched = true;
            }
        }
        (0..).zip(touched).filter(|(_, touched)| !touched).map(|(place, _)| place)
    }
}

/// What the rebuilding has to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) page_shift: u32,
    /// The trace began while only this CPU was running.
    pub(super) boot_cpu: Option<u16>,
    pub(super) rules: Rules,
}

#[derive(Debug)]
struct OldSlab {
    seed: PlannedSeed,
    used: Vec<bool>,
    /// By place: the CPU that freed it last, within the trace.
    freed_by: Vec<Option<u16>>,
    first_alloc_cpu: Option<u16>,
    /// The CPU whose slab it was has turned to another one.
    is_left: bool,
}

impl OldSlab {
    /// A CPU takes what others freed into its slab only when its own freelist is exhausted, the last freed first
    /// (`get_freelist()`). So where, after others, it first hands out an object that another CPU freed within the trace, all objects that it had
    /// on its own freelist at the start are used up, and those that come later had been on the slab's.
    fn allocated(&mut self, place: usize, cpu: u16) {
        if self.seed.place == SeedPlace::Cpu(cpu)
            && !self.is_left
            && self.seed.own.is_none()
            && !self.seed.free.is_empty()
            && self.freed_by[place].is_some_and(|freed_by| freed_by != cpu)
        {
            self.seed.own = Some(self.seed.free.len());
        }
    }
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
    // The slab from before the trace that a CPU allocates from.
    let mut current: FxHashMap<(u16, u16), usize> = FxHashMap::default();
    for op in ops.iter().filter(|op| op.cache != NO_CACHE) {
        let Some(object) = paired.objects.get(op.object as usize) else { continue };
        let is_first_alloc = !op.what.is_free() && has_allocated.insert((op.cache, op.cpu));
        let left = if op.what.is_free() { None } else { current.remove(&(op.cache, op.cpu)) };
        if let Some(left) = left {
            slabs[left].is_left = true;
        }
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
                own: None,
                place: SeedPlace::NodePartial,
                slab: places.slab(op.object),
                pfn: None,
                cpu: op.cpu,
                node: paired.spans.node_of(object.ptr),
                live: Vec::new(),
            };
            let places = layout.objects as usize;
            let (used, freed_by) = (vec![false; places], vec![None; places]);
            slabs.push(OldSlab { seed, used, freed_by, first_alloc_cpu: None, is_left: false });
            slabs.len() - 1
        });
        if !op.what.is_free() {
            current.insert((op.cache, op.cpu), slab);
        }
        let same = left == Some(slab);
        let slab = &mut slabs[slab];
        if same {
            slab.is_left = false;
        }
        let place_freed_by = &mut slab.freed_by[place as usize];
        if op.what.is_free() {
            *place_freed_by = Some(op.cpu);
        } else {
            slab.allocated(place as usize, op.cpu);
        }
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
    park(slabs, caches, before.filter(|_| setting.boot_cpu.is_none()), setting.rules)
}

/// Puts slabs on CPU partial lists as far as the snapshot says that there were any.
fn park(slabs: Vec<OldSlab>, caches: &[PlannedCache], before: Option<&SlabSnapshot>, rules: Rules) -> Vec<PlannedSeed> {
    let mut on_cpus = Vec::new();
    let mut seeds = Vec::new();
    let mut parked: FxHashMap<(u16, u16), u64> = FxHashMap::default();
    for OldSlab { mut seed, first_alloc_cpu, is_left, .. } in slabs {
        // Only a slab that its CPU left was exhausted; of another the last free objects are not known.
        if let (Some(before), SeedPlace::Cpu(cpu), None, 2..) = (before, seed.place, seed.own, seed.free.len())
            && is_left
            && mostly_refilled(before, &caches[usize::from(seed.cache)].name, cpu, rules)
        {
            seed.own = Some(seed.free.len() - 1);
        }
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

/// Whether most of a CPU's exhausted cpu slabs, up to a snapshot, turned out to have been freed into by others: the CPU
/// refilled from them (`alloc_refill`) rather than dropped them (`deactivate_bypass`). Then so will the one that it has at the
/// start of the trace, if addresses do not tell.
fn mostly_refilled(snapshot: &SlabSnapshot, cache: &str, cpu: u16, rules: Rules) -> bool {
    let Some(attributes) = snapshot.caches.get(cache) else { return false };
    let count = |counter: Counter| attributes.get(counter.name()).and_then(|value| value.cpus.get(&u32::from(cpu))).copied().unwrap_or(0);
    // Up to 6.7 taking a slab off the CPU partial list counts a refill as well.
    let taken = if rules.cpu_partial_frozen { count(Counter::CpuPartialAlloc) } else { 0 };
    let refilled = count(Counter::AllocRefill).saturating_sub(taken);
    refilled > count(Counter::DeactivateBypass)
}

/// Slabs on a CPU's partial list at a snapshot: `slabs_cpu_partial` lists ` C<cpu>=<objects>(<slabs>)`.
fn parked_slabs(snapshot: &SlabSnapshot, cache: &str, cpu: u16) -> u64 {
    let value = snapshot.caches.get(cache).and_then(|attributes| attributes.get("slabs_cpu_partial"));
    let prefix = format!("C{cpu}=");
    let share = value.and_then(|value| value.text.split_whitespace().find_map(|word| word.strip_prefix(&prefix)));
    share.and_then(|share| share.split_once('(')?.1.strip_suffix(')')?.parse().ok()).unwrap_or(0)
}
