//! Sheaves at the first event (7.x): how full they were, and with which objects.
//!
//! Each CPU pops objects off its main sheaf and pushes what it frees, without touching slabs. So of every allocation that the trace
//! did not see pushed before, the object was in the CPU's sheaves at the start, or it came with a refill since.
//!
//! How many objects a CPU held follows from its counters at a snapshot, since every one of them is an object in or out of its main
//! and spare sheaf (slub-paths.md 22): sheaf_refill + free_fastpath - alloc_fastpath - sheaf_flush + C * (barn_get - barn_put), C
//! being the capacity. The operations between the start and the snapshot are taken back. What comes in whole sheaves (refills, barn,
//! callbacks of kfree_rcu()) leaves the rest of a division by C as it is. Where the snapshot does not tell, the trace does: a CPU's
//! sheaves of the start are exhausted when it is handed out an object of a slab made since, or one that was freed elsewhere.
//!
//! Without a barn one of the two sheaves is always full or empty: so the number of objects tells what is in which.
//!
//! Which objects: those that the CPU is handed out as its sheaves of the start empty. What never shows is stood in for by places that
//! the trace does not use. What is free in slabs on the node's list is known too: total_objects - objects of the snapshot.

use std::collections::BTreeMap;

use rustc_hash::{FxHashMap, FxHashSet};
use slubreplay_parsers::capture::{SlabSnapshot, snapshot::CacheAttributes};
use slubreplay_parsers::recording::Recording;

use super::caches::PlannedCache;
use super::op::Op;
use super::pairing::{NO_CACHE, Paired};
use super::places::{KernelPlaces, KernelSlab};
use super::reads::SnapshotMark;
use super::seeding::PlannedSeed;
use crate::allocators::slub::sizing::CacheLayout;
use crate::allocators::slub::{Counter, ObjectIndex, SeedPlace, SheafPlace};

/// Most sheaves of a kind that a barn is thought to hold at the start.
const MAX_IN_BARN: usize = 10;

/// Largest capacity, and largest product of it and the CPUs, for which sheaves are rebuilt: figures beyond are of damaged files.
const MAX_CAPACITY: usize = 1 << 10;
const MAX_IN_MAINS: usize = 1 << 18;

/// Counters are below this.
const MAX_COUNT: u64 = 1 << 50;

/// A sheaf that exists at the start beside the empty main ones.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedSheaf {
    /// Cache, as an index into [`super::Plan::caches`].
    pub cache: u16,
    /// Where it is.
    pub place: SheafPlace,
    /// Its objects from the bottom up: slab, as an index into [`super::Plan::seeds`], and place in it, where it counts as in use.
    pub objects: Vec<(usize, ObjectIndex)>,
}

/// What the rebuilding has to know.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting<'a> {
    pub(super) page_shift: u32,
    pub(super) cpus: u16,
    /// There is one node, so that every free is to a sheaf.
    pub(super) one_node: bool,
    /// The trace began at boot.
    pub(super) is_boot: bool,
    /// A snapshot from near the start.
    pub(super) before: Option<&'a SlabSnapshot>,
}

/// Rebuilds the sheaves, and corrects `seeds`: what is in a sheaf is not on a slab's freelist.
pub(super) fn rebuild(
    paired: &Paired,
    caches: &[PlannedCache],
    places: &KernelPlaces,
    recording: &Recording,
    setting: Setting<'_>,
    seeds: &mut Vec<PlannedSeed>,
) -> Vec<PlannedSheaf> {
    let setting = Setting { before: setting.before.filter(|_| !setting.is_boot), ..setting };
    let mut ops_of: Vec<Vec<usize>> = vec![Vec::new(); caches.len()];
    for (position, op) in paired.ops.iter().enumerate() {
        if op.cache != NO_CACHE && op.cpu < setting.cpus && (op.object as usize) < paired.objects.len() {
            ops_of[usize::from(op.cache)].push(position);
        }
    }
    let mut seeds_of: FxHashMap<u16, Vec<usize>> = FxHashMap::default();
    for (number, seed) in seeds.iter().enumerate() {
        seeds_of.entry(seed.cache).or_default().push(number);
    }
    let marks = snapshot_marks(paired, recording);
    let mut sheaves = Vec::new();
    for (number, (cache, ops)) in (0_u16..).zip(caches.iter().zip(&ops_of)) {
        let known = setting.before.and_then(|before| before.caches.get(&cache.name));
        let capacity = cache.layout.sheaf_capacity as usize;
        let is_sane = capacity <= MAX_CAPACITY && capacity * usize::from(setting.cpus) <= MAX_IN_MAINS;
        if capacity == 0 || !is_sane || ops.is_empty() {
            continue;
        }
        let own_seeds = seeds_of.remove(&number).unwrap_or_default();
        let of_slab = own_seeds.iter().filter_map(|&seed| Some((seeds[seed].slab?, seed))).collect();
        let mark = marks.get(cache.name.as_str()).copied();
        let until = mark.map_or(0, |mark| paired.marks[mark].ops);
        let read = |counter: Counter| {
            let line = known.and_then(|known| known.line(counter.name()));
            let read = paired.reads.iter().find(|read| Some(read.mark) == mark && Some(read.attribute) == line);
            read.map_or(until, |read| read.ops)
        };
        let (allocs_until, frees_until) = (read(Counter::AllocFastpath), read(Counter::FreeFastpath));
        let rebuilding =
            Rebuilding { paired, places, ops, layout: &cache.layout, known, until, allocs_until, frees_until, of_slab, setting };
        let held = rebuilding.held();
        let mut simulated = Simulated::new(&held, capacity);
        let window = rebuilding.bind(&mut simulated, seeds);
        let parked = simulated.bound.iter().flatten().copied().collect();
        let mut fill = Fill { cache: number, layout: &cache.layout, own: own_seeds, parked, seeds };
        if let Some(known) = known {
            fill.settle_lists(known, &window, capacity, ops.len() + 2 * capacity * usize::from(setting.cpus));
        }
        sheaves.extend(fill.sheaves(&held, &simulated.bound));
    }
    sheaves
}

/// By cache: the mark of its first snapshot.
fn snapshot_marks<'a>(paired: &Paired, recording: &'a Recording) -> FxHashMap<&'a str, usize> {
    let mut positions = FxHashMap::default();
    for (number, mark) in paired.marks.iter().enumerate() {
        match SnapshotMark::parse(recording.mark(mark.mark)) {
            Some(SnapshotMark::Cache(cache)) => {
                positions.entry(cache).or_insert(number);
            }
            Some(SnapshotMark::End) => break,
            _ => {}
        }
    }
    positions
}

/// Objects of one cache in sheaves at the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
struct Held {
    cpus: Vec<HeldByCpu>,
    /// Full sheaves in the barn.
    full: usize,
    /// Empty ones.
    empty: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct HeldByCpu {
    main: usize,
    spare: Option<usize>,
    rcu_free: usize,
}

/// What the trace tells of a CPU's sheaves.
#[derive(Debug, Clone, Copy, Default)]
struct Evidence {
    /// Objects that it was handed out from its sheaves of the start.
    stock: usize,
    /// Those sheaves were exhausted.
    is_exhausted: bool,
    /// And that was before the snapshot.
    is_exhausted_early: bool,
    /// Objects freed less those allocated, up to the snapshot.
    change: i64,
    lowest: i64,
    highest: i64,
}

impl Evidence {
    fn exhausted(&mut self, is_early: bool) {
        self.is_exhausted_early |= is_early && !self.is_exhausted;
        self.is_exhausted = true;
    }
}

/// What happened between the start and the snapshot, as far as slabs are concerned.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    refills: u64,
    born: u64,
}

struct Rebuilding<'a> {
    paired: &'a Paired,
    places: &'a KernelPlaces,
    /// Positions of the cache's operations.
    ops: &'a [usize],
    layout: &'a CacheLayout,
    known: Option<&'a CacheAttributes>,
    /// Operations before the snapshot.
    until: usize,
    /// Before its counters of allocations and frees were read.
    allocs_until: usize,
    frees_until: usize,
    of_slab: FxHashMap<KernelSlab, usize>,
    setting: Setting<'a>,
}

impl Rebuilding<'_> {
    fn capacity(&self) -> usize {
        self.layout.sheaf_capacity as usize
    }

    fn ops(&self) -> impl Iterator<Item = (usize, &Op)> {
        self.ops.iter().map(|&position| (position, &self.paired.ops[position]))
    }

    fn evidence(&self) -> Vec<Evidence> {
        let mut cpus = vec![Evidence::default(); usize::from(self.setting.cpus)];
        let mut stacks: Vec<Vec<u64>> = vec![Vec::new(); cpus.len()];
        // By address of a free object: the CPU that pushed it; `None` if that is not known.
        let mut pushed: FxHashMap<u64, Option<u16>> = FxHashMap::default();
        let mut used: FxHashSet<u64> = FxHashSet::default();
        for (position, op) in self.ops() {
            let cpu = &mut cpus[usize::from(op.cpu)];
            let stack = &mut stacks[usize::from(op.cpu)];
            let object = &self.paired.objects[op.object as usize];
            let is_new = used.insert(object.ptr);
            let is_by_rcu = op.what.is_by_rcu();
            let until = if op.what.is_free() { self.frees_until } else { self.allocs_until };
            if position < until && !is_by_rcu {
                cpu.change += if op.what.is_free() { 1 } else { -1 };
                (cpu.lowest, cpu.highest) = (cpu.lowest.min(cpu.change), cpu.highest.max(cpu.change));
            }
            if op.what.is_free() {
                let by = if is_by_rcu || op.what.is_implied() { None } else { Some(op.cpu) };
                pushed.insert(object.ptr, by);
                if by.is_some() {
                    stack.push(object.ptr);
                }
                continue;
            }
            match pushed.remove(&object.ptr) {
                Some(Some(by)) if by == op.cpu => while stack.pop().is_some_and(|top| top != object.ptr) {},
                Some(Some(_)) => cpu.exhausted(position < self.until),
                Some(None) => {}
                None if self.paired.spans.spans[object.span as usize].is_born => cpu.exhausted(position < self.until),
                None => cpu.stock += usize::from(is_new && !cpu.is_exhausted),
            }
        }
        cpus
    }

    /// How many objects were where.
    fn held(&self) -> Held {
        let evidence = self.evidence();
        let capacity = self.capacity();
        let total = |counter: Counter| self.known.and_then(|known| known.number(counter.name())).unwrap_or(0);
        let share = |counter: Counter, cpu: u16| {
            let value = self.known.and_then(|known| known.get(counter.name()));
            value.and_then(|value| value.cpus.get(&u32::from(cpu))).copied().unwrap_or(0)
        };
        let prefilled = [Counter::SheafPrefillFast, Counter::SheafPrefillSlow, Counter::SheafPrefillOversize].map(total) != [0; 3];
        let is_counted = self.known.is_some() && !prefilled && self.setting.one_node;
        // No callback of kfree_rcu() can have put a sheaf into the barn yet.
        let is_exact = is_counted && (0..self.setting.cpus).all(|cpu| share(Counter::FreeRcuSheaf, cpu) < capacity as u64);
        let cpus: Vec<HeldByCpu> = (0..)
            .zip(&evidence)
            .map(|(cpu, evidence)| {
                let balance = is_counted.then(|| {
                    let of = |counter| share(counter, cpu).min(MAX_COUNT) as i64;
                    of(Counter::SheafRefill) + of(Counter::FreeFastpath) - of(Counter::AllocFastpath) - of(Counter::SheafFlush)
                        + capacity as i64 * (of(Counter::BarnGet) - of(Counter::BarnPut))
                });
                let objects = objects_of(evidence, balance, is_exact, capacity);
                let (main, spare) = if objects > capacity { (objects - capacity, capacity) } else { (objects, 0) };
                let has_spare = spare > 0
                    || if self.known.is_some() { share(Counter::SheafRefill, cpu) > 0 } else { objects > 0 && !self.setting.is_boot };
                let rcu_free = share(Counter::FreeRcuSheaf, cpu) as usize % capacity;
                HeldByCpu { main, spare: has_spare.then_some(spare), rcu_free }
            })
            .collect();
        let full = (total(Counter::BarnPut).saturating_sub(total(Counter::BarnGet)) as usize).min(MAX_IN_BARN);
        let existing = total(Counter::SheafAlloc).saturating_sub(total(Counter::SheafFree)) as usize;
        let on_cpus: usize = cpus.iter().map(|cpu| 1 + usize::from(cpu.spare.is_some()) + usize::from(cpu.rcu_free > 0)).sum();
        let empty = existing.saturating_sub(on_cpus + full).min(MAX_IN_BARN);
        if !is_counted { Held { cpus, full: 0, empty: 0 } } else { Held { cpus, full, empty } }
    }

    /// Lets the operations run through sheaves that hold stand-ins for the objects of the start, to learn which they are.
    fn bind(&self, simulated: &mut Simulated, seeds: &mut [PlannedSeed]) -> Window {
        let mut window = Window::default();
        // By seed: what was taken from it by refills, in the order in which it was handed out: place and number of the refill.
        let mut refilled: BTreeMap<usize, Vec<(ObjectIndex, u64)>> = BTreeMap::new();
        let mut seen: FxHashSet<(usize, ObjectIndex)> = FxHashSet::default();
        let slab_mask = (1_u64 << (self.setting.page_shift + self.layout.order)) - 1;
        for (position, op) in self.ops() {
            let object = &self.paired.objects[op.object as usize];
            let in_window = position < self.until;
            if op.what.is_free() {
                simulated.free(op.cpu, op.what.is_by_rcu());
                continue;
            }
            let popped = simulated.alloc(op.cpu, op.what.makes_no_sheaf());
            if in_window {
                window.refills = simulated.refills;
            }
            // Of a new slab that a refill took from, an object may show much later.
            let is_of_window = in_window || matches!(popped, Some(Item::Refilled(refill)) if refill < window.refills);
            window.born += u64::from(is_of_window && self.paired.spans.is_first(object.span, op.object));
            let Some(&seed) = self.places.slab(op.object).and_then(|slab| self.of_slab.get(&slab)) else { continue };
            let place = ((object.ptr & slab_mask) / u64::from(self.layout.size)) as ObjectIndex;
            if !seen.insert((seed, place)) {
                continue;
            }
            let free = &mut seeds[seed].free;
            let Some(found) = free.iter().position(|&free| free == place) else { continue };
            match popped {
                Some(Item::Seeded(number)) => {
                    free.remove(found);
                    simulated.bound[number] = Some((seed, place));
                }
                Some(Item::Refilled(refill)) => {
                    refilled.entry(seed).or_default().push((place, refill));
                }
                Some(Item::Freed) | None => {}
            }
        }
        self.reorder(&refilled, simulated, seeds);
        window
    }

    /// A refill takes objects in the order of a freelist, and slabs in the order of the node's list, and the last one is handed out
    /// first. So what one refill took was free in the reverse order of its use.
    fn reorder(&self, refilled: &BTreeMap<usize, Vec<(ObjectIndex, u64)>>, simulated: &mut Simulated, seeds: &mut [PlannedSeed]) {
        for (&seed, taken) in refilled {
            let mut order = taken.clone();
            order.reverse();
            order.sort_by_key(|&(_, refill)| refill);
            let order: Vec<ObjectIndex> = order.into_iter().map(|(place, _)| place).collect();
            let free = &mut seeds[seed].free;
            let taken: FxHashSet<ObjectIndex> = order.iter().copied().collect();
            free.retain(|place| !taken.contains(place));
            free.splice(0..0, order);
        }
        let first = |seed: usize| refilled.get(&seed).and_then(|taken| taken.iter().map(|&(_, refill)| refill).min()).unwrap_or(u64::MAX);
        let mut numbers: Vec<usize> = self.of_slab.values().copied().collect();
        numbers.sort_unstable();
        let mut order: Vec<usize> = numbers.iter().rev().copied().collect();
        order.sort_by_key(|&seed| first(seed));
        // What no refill took keeps its order.
        let untaken = order.iter().position(|&seed| first(seed) == u64::MAX).unwrap_or(order.len());
        order[untaken..].reverse();
        let sorted: Vec<PlannedSeed> = order.iter().map(|&seed| seeds[seed].clone()).collect();
        let moved: FxHashMap<usize, usize> = order.into_iter().zip(numbers.iter().copied()).collect();
        for (number, seed) in numbers.into_iter().zip(sorted) {
            seeds[number] = seed;
        }
        for (seed, _) in simulated.bound.iter_mut().flatten() {
            *seed = moved[seed];
        }
    }
}

/// How many objects a CPU had in main and spare sheaf at the start. `balance` is what its counters say of the snapshot, up to whole
/// sheaves unless it is exact.
fn objects_of(evidence: &Evidence, balance: Option<i64>, is_exact: bool, capacity: usize) -> usize {
    let Some(balance) = balance else {
        return if evidence.stock <= 2 * capacity { evidence.stock } else { evidence.stock % capacity };
    };
    let at_start = balance - evidence.change;
    let possible = 0..=2 * capacity as i64;
    let fits = possible.contains(&at_start) && at_start + evidence.lowest >= 0 && at_start + evidence.highest <= *possible.end();
    if is_exact && fits && !evidence.is_exhausted_early {
        return at_start as usize;
    }
    let rest = at_start.rem_euclid(capacity as i64) as usize;
    // Exhausted sheaves are seen to the last object, give or take what is not traced; of others some of the objects are.
    let doubtful = if evidence.is_exhausted { capacity / 2 } else { 0 };
    let more = usize::from(evidence.stock > rest + doubtful) + usize::from(evidence.stock > rest + capacity + doubtful);
    (rest + more * capacity).min(rest + (2 * capacity - rest) / capacity * capacity)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Item {
    /// An object of the start, by its number.
    Seeded(usize),
    /// One that came with a refill, by its number.
    Refilled(u64),
    /// One that was freed.
    Freed,
}

#[derive(Debug, Default)]
struct SimulatedCpu {
    main: Vec<Item>,
    spare: Option<Vec<Item>>,
    rcu_free: usize,
}

/// Sheaves of one cache, without slabs.
#[derive(Debug)]
struct Simulated {
    capacity: usize,
    cpus: Vec<SimulatedCpu>,
    full: Vec<Vec<Item>>,
    empty: usize,
    refills: u64,
    /// By number of an object of the start: seed and place.
    bound: Vec<Option<(usize, ObjectIndex)>>,
}

impl Simulated {
    /// Objects are numbered in the order of `Fill::sheaves`.
    fn new(held: &Held, capacity: usize) -> Self {
        let mut next = 0;
        let mut take = |count: usize| -> Vec<Item> {
            next += count;
            (next - count..next).map(Item::Seeded).collect()
        };
        let cpus = held
            .cpus
            .iter()
            .map(|cpu| SimulatedCpu { main: take(cpu.main), spare: cpu.spare.map(&mut take), rcu_free: cpu.rcu_free })
            .collect();
        let full = (0..held.full).map(|_| take(capacity)).collect();
        Self { capacity, cpus, full, empty: held.empty, refills: 0, bound: vec![None; next] }
    }

    fn alloc(&mut self, cpu: u16, no_sheaf: bool) -> Option<Item> {
        let own = &mut self.cpus[usize::from(cpu)];
        if own.main.is_empty() {
            if let Some(spare) = own.spare.as_mut().filter(|spare| !spare.is_empty()) {
                std::mem::swap(&mut own.main, spare);
            } else if let Some(full) = self.full.pop() {
                own.main = full;
                self.empty += 1;
            } else {
                // The sheaf to be refilled is the spare, one of the barn, or a new one; the old one takes the place of the spare.
                let has_spare = own.spare.is_some();
                if !has_spare && self.empty == 0 && no_sheaf {
                    return None;
                }
                self.empty -= usize::from(!has_spare && self.empty > 0);
                own.spare = Some(Vec::new());
                own.main = vec![Item::Refilled(self.refills); self.capacity];
                self.refills += 1;
            }
        }
        own.main.pop()
    }

    fn free(&mut self, cpu: u16, by_rcu: bool) {
        let own = &mut self.cpus[usize::from(cpu)];
        if by_rcu {
            own.rcu_free += 1;
            if own.rcu_free == self.capacity {
                own.rcu_free = 0;
                if self.full.len() < MAX_IN_BARN {
                    self.full.push(vec![Item::Freed; self.capacity]);
                }
            }
            return;
        }
        if own.main.len() >= self.capacity {
            match &mut own.spare {
                Some(spare) if spare.len() < self.capacity => std::mem::swap(&mut own.main, spare),
                Some(spare) if self.full.len() >= MAX_IN_BARN => {
                    // The spare is flushed.
                    *spare = std::mem::take(&mut own.main);
                }
                spare => {
                    self.empty = self.empty.saturating_sub(1);
                    let main = std::mem::take(&mut own.main);
                    if spare.is_some() {
                        self.full.push(main);
                    } else {
                        *spare = Some(main);
                    }
                }
            }
        }
        own.main.push(Item::Freed);
    }
}

/// Slabs of a cache that stand in for what never shows.
struct Fill<'a> {
    cache: u16,
    layout: &'a CacheLayout,
    /// The cache's seeds.
    own: Vec<usize>,
    /// Places whose objects are in sheaves.
    parked: FxHashSet<(usize, ObjectIndex)>,
    seeds: &'a mut Vec<PlannedSeed>,
}

impl Fill<'_> {
    /// Makes as much free in slabs on the node's list as the snapshot says that there was.
    fn settle_lists(&mut self, known: &CacheAttributes, window: &Window, capacity: usize, most: usize) {
        let number = |attribute: &str| known.number(attribute);
        let (Some(all), Some(used)) = (number("total_objects"), number("objects")) else { return };
        let taken = window.refills * capacity as u64;
        let free = (all.saturating_sub(used).min(MAX_COUNT) + taken).saturating_sub(window.born * u64::from(self.layout.objects)) as usize;
        let mut surplus = self.own.iter().map(|&seed| self.seeds[seed].free.len()).sum::<usize>().saturating_sub(free);
        for &seed in self.own.iter().rev() {
            let listed = &mut self.seeds[seed].free;
            let dropped = surplus.min(listed.len());
            listed.truncate(listed.len() - dropped);
            surplus -= dropped;
        }
        let shown: Vec<usize> = self.own.iter().map(|&seed| self.seeds[seed].free.len()).collect();
        // More than the trace ever allocates makes no difference.
        let mut missing = free.saturating_sub(shown.iter().sum()).min(most);
        let listed = number("partial").unwrap_or(0) as usize;
        let mut unseen = listed.saturating_sub(shown.iter().filter(|&&free| free > 0).count()).min(missing);
        let all_seen = self.own.len() as u64 >= number("slabs").unwrap_or(u64::MAX);
        if unseen == 0 || all_seen {
            for seed in self.own.clone().into_iter().rev() {
                if self.seeds[seed].free.is_empty() != (unseen > 0) {
                    continue;
                }
                let places = self.untouched(seed, missing);
                missing -= places.len();
                self.seeds[seed].free.extend(places);
            }
        }
        while missing > 0 {
            let share = missing.div_ceil(unseen.max(1)).min(self.layout.objects as usize);
            let seed = self.new_slab();
            self.seeds[seed].free.extend((0..).take(share));
            missing -= share;
            unseen = unseen.saturating_sub(1);
        }
    }

    fn new_slab(&mut self) -> usize {
        let place = SeedPlace::NodePartial;
        self.seeds.push(PlannedSeed {
            cache: self.cache,
            free: Vec::new(),
            own: None,
            place,
            slab: None,
            pfn: None,
            cpu: 0,
            node: None,
            live: Vec::new(),
        });
        self.own.push(self.seeds.len() - 1);
        self.seeds.len() - 1
    }

    /// Up to `wanted` places of a slab that nothing speaks of.
    fn untouched(&self, seed: usize, wanted: usize) -> Vec<ObjectIndex> {
        self.seeds[seed].untouched(self.layout.objects).filter(|&place| !self.parked.contains(&(seed, place))).take(wanted).collect()
    }

    fn sheaves(&mut self, held: &Held, bound: &[Option<(usize, ObjectIndex)>]) -> Vec<PlannedSheaf> {
        let in_rcu: usize = held.cpus.iter().map(|cpu| cpu.rcu_free).sum();
        let mut missing = bound.len() - self.parked.len() + in_rcu;
        let mut spare_places = Vec::new();
        let mut next = 0;
        while missing > 0 {
            let seed = if let Some(&seed) = self.own.get(next) { seed } else { self.new_slab() };
            next += 1;
            let places = self.untouched(seed, missing);
            missing -= places.len();
            spare_places.extend(places.into_iter().map(|place| (seed, place)));
        }
        let mut spare_places = spare_places.into_iter();
        let mut bound = bound.iter().copied();
        let mut take = |count: usize| -> Vec<(usize, ObjectIndex)> {
            bound.by_ref().take(count).filter_map(|place| place.or_else(|| spare_places.next())).collect()
        };
        let mut sheaves = Vec::new();
        let mut add = |place: SheafPlace, objects: Vec<(usize, ObjectIndex)>| {
            sheaves.push(PlannedSheaf { cache: self.cache, place, objects });
        };
        for (cpu, of_cpu) in (0..).zip(&held.cpus) {
            if of_cpu.main > 0 {
                add(SheafPlace::Main(cpu), take(of_cpu.main));
            }
            if let Some(spare) = of_cpu.spare {
                add(SheafPlace::Spare(cpu), take(spare));
            }
        }
        for _ in 0..held.full {
            add(SheafPlace::Barn(0), take(self.layout.sheaf_capacity as usize));
        }
        for _ in 0..held.empty {
            add(SheafPlace::Barn(0), Vec::new());
        }
        for (cpu, of_cpu) in (0..).zip(&held.cpus).filter(|(_, of_cpu)| of_cpu.rcu_free > 0) {
            add(SheafPlace::RcuFree(cpu), spare_places.by_ref().take(of_cpu.rcu_free).collect());
        }
        sheaves
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::slub::sizing::{Build, KernelRelease};
    use crate::allocators::slub::{Rules, Topology};
    use crate::mem::UnlimitedPages;
    use crate::prepare::tests::{MAP, Script, kernel, parse};
    use crate::prepare::{Plan, Snapshots, prepare};
    use crate::replay::{Engine, NoObserver, Setup};

    /// Sheaves of 12 objects; 16 objects in a slab of 4 pages.
    const BYTES: u64 = 1024;
    const LAYOUT: &str = "c,object_size,1024\nc,slab_size,1024\nc,order,2\nc,objs_per_slab,16\nc,sheaf_capacity,12\n";

    fn place(pfn: u64, place: u64) -> u64 {
        MAP + pfn * 4096 + place * BYTES
    }

    fn plan(script: &Script, before: Option<&str>, after: &str) -> Plan {
        let kernel = kernel(KernelRelease::new(7, 2, 0), Build::default());
        let (before, after) = (before.map(parse), parse(&format!("{LAYOUT}{after}")));
        let plan =
            prepare(&script.recording(), &kernel, Snapshots { before: before.as_ref(), after: Some(&after), ..Snapshots::default() });
        let topology = Topology::uniform(4);
        let rules = Rules::of(kernel.release);
        let setup = Setup { rules, topology, page_bytes: 4096, samples: 0, pause_at: vec![], check_every: 1 };
        Engine::new(&plan, &setup, UnlimitedPages::default()).run(&mut NoObserver).expect("the laws of the allocator hold");
        plan
    }

    fn of_c(plan: &Plan) -> (Vec<&PlannedSeed>, Vec<(SheafPlace, Vec<ObjectIndex>)>) {
        let number = plan.caches.iter().position(|cache| cache.name == "c").expect("the cache is planned");
        let own = |cache: u16| usize::from(cache) == number;
        let places = |sheaf: &PlannedSheaf| sheaf.objects.iter().map(|&(_, place)| place).collect();
        let sheaves = plan.sheaf_seeds.iter().filter(|sheaf| own(sheaf.cache)).map(|sheaf| (sheaf.place, places(sheaf))).collect();
        (plan.seeds.iter().filter(|seed| own(seed.cache)).collect(), sheaves)
    }

    #[test]
    fn counters_tell_how_full_a_sheaf_was() {
        let mut script = Script::with_page_events();
        for number in [5, 4, 3] {
            script.alloc(1, place(64, number), BYTES, BYTES);
        }
        script.mark("slubreplay-snap begin").mark("slubreplay-snap c").mark("slubreplay-snap end").free(place(64, 3), "c");
        let before = format!(
            "{LAYOUT}c,sheaf_refill,12 C0=12\nc,alloc_fastpath,10 C0=10\nc,free_fastpath,1 C0=1\nc,sheaf_alloc,6 C0=6\n\
             c,total_objects,16\nc,objects,12\nc,partial,1\nc,slabs,1\n"
        );
        let plan = plan(&script, Some(&before), "");
        // 12 + 1 - 10 at the snapshot, and 3 were handed out before it. Of 4 mains and 1 spare, 6 sheaves exist.
        let (seeds, sheaves) = of_c(&plan);
        let expected = [(SheafPlace::Main(0), vec![7, 8, 9, 3, 4, 5]), (SheafPlace::Spare(0), vec![]), (SheafPlace::Barn(0), vec![])];
        assert_eq!(sheaves, expected);
        // 16 - 12 are free in the one slab.
        assert_eq!(seeds.len(), 1);
        assert_eq!(seeds[0].free, [0, 1, 2, 6]);
        assert_eq!(plan.ledger.of(crate::prepare::ledger::Entry::SeededInSheaves, "c"), 6);
    }

    #[test]
    fn a_new_slab_tells_that_a_sheaf_was_exhausted() {
        let mut script = Script::with_page_events();
        script.on(1).alloc(1, place(64, 9), BYTES, BYTES).alloc(1, place(64, 8), BYTES, BYTES);
        script.page_alloc(68, 2).alloc(1, place(68, 3), BYTES, BYTES).free(place(68, 3), "c");
        let plan = plan(&script, None, "");
        let (seeds, sheaves) = of_c(&plan);
        assert_eq!(sheaves, [(SheafPlace::Main(1), vec![8, 9]), (SheafPlace::Spare(1), vec![])]);
        assert!(seeds.iter().all(|seed| seed.free.is_empty()));
    }

    #[test]
    fn what_a_refill_took_was_free_in_reverse() {
        let mut script = Script::with_page_events();
        // The refill took 3 objects of each of two slabs from before, and 6 of a new one, which are handed out first.
        script.on(2).page_alloc(68, 2);
        for (pfn, number) in [(68, 5), (68, 4), (68, 3), (68, 2), (68, 1), (68, 0), (72, 9), (72, 8), (72, 7), (64, 6), (64, 5), (64, 4)] {
            script.alloc(1, place(pfn, number), BYTES, BYTES);
        }
        script.free(place(64, 4), "c");
        let plan = plan(&script, None, "");
        let (seeds, sheaves) = of_c(&plan);
        assert_eq!(sheaves, []);
        let free: Vec<&[ObjectIndex]> = seeds.iter().map(|seed| seed.free.as_slice()).collect();
        assert_eq!(free, [[4, 5, 6], [7, 8, 9]]);
    }

    #[test]
    fn whole_sheaves_leave_the_rest() {
        let evidence = Evidence { stock: 2, change: -3, lowest: -3, ..Evidence::default() };
        assert_eq!(objects_of(&evidence, Some(3), true, 12), 6);
        // A callback of kfree_rcu() put a sheaf into the barn: 5 - 12 are counted.
        let evidence = Evidence { stock: 2, ..Evidence::default() };
        assert_eq!(objects_of(&evidence, Some(-7), false, 12), 5);
        assert_eq!(objects_of(&Evidence { stock: 9, ..evidence }, Some(-7), false, 12), 17);
        // A refill since the start: 12 at the snapshot, and none were handed out that had been there.
        let exhausted = Evidence { is_exhausted: true, is_exhausted_early: true, ..Evidence::default() };
        assert_eq!(objects_of(&exhausted, Some(12), true, 12), 0);
        assert_eq!(objects_of(&Evidence { stock: 24, ..exhausted }, Some(12), true, 12), 24);
        // Without a snapshot there is what was handed out: two sheaves at most.
        assert_eq!(objects_of(&Evidence { stock: 20, ..evidence }, None, false, 12), 20);
        assert_eq!(objects_of(&Evidence { stock: 30, ..evidence }, None, false, 12), 6);
    }
}
