//! Allocations that nobody saw, by what a CPU leaves behind.
//!
//! A CPU turns to another slab only when the one that it was handing out of has no free object left
//! (`___slab_alloc()`: an exhausted cpu slab is let go, `deactivate_bypass`). So at that moment every object of
//! the slab is in use, and those that the trace has as free were taken unseen, in bulk, before it.
//!
//! A CPU may also give a slab up that still has free objects: when the cache is flushed, or another node is asked for.
//! What happens to a place later tells the two apart. If its next event is a free, or if nothing ever happens to it or
//! its slab again, it was taken. If it is handed out again or its slab is released, it may well have stayed free; then it
//! is believed to have been taken only in caches of which the trace proves that objects are taken and freed unseen.

use rustc_hash::{FxHashMap, FxHashSet};

use super::op::{Op, What};
use super::pairing::{NO_CACHE, ObjectInfo, Paired, Release};

/// Frees of objects never seen allocated that make a cache one whose objects are taken unseen.
const PROOFS_NEEDED: u32 = 8;

/// A free is recorded before it takes effect: one so short before the turn proves nothing.
const FREE_IN_FLIGHT_NS: u64 = 100_000;

/// Adds the allocations, with new objects whose caches are pushed to `of_object`. `page_shift` is log2 of the
/// page size.
pub(super) fn complete(paired: &mut Paired, of_object: &mut Vec<u16>, page_shift: u32) {
    let mut watch =
        Watch { page_shift, forecast: Forecast::of(paired, page_shift), slabs: FxHashMap::default(), current: FxHashMap::default() };
    let releases = std::mem::take(&mut paired.releases);
    let mut releases = releases.iter().peekable();
    paired.rewrite(|paired, position, mut op, ops| {
        while let Some(release) = releases.next_if(|release| release.ops <= position) {
            watch.release(release, of_object, ops);
        }
        if op.cache != NO_CACHE {
            watch.before(position, &mut op, paired, of_object, ops);
        }
        ops.push(op);
    });
}

fn unseen_caches(paired: &Paired) -> FxHashSet<u16> {
    let mut proofs: FxHashMap<u16, u32> = FxHashMap::default();
    for op in paired.ops.iter().filter(|op| op.what.is_free() && op.cache != NO_CACHE) {
        let object = &paired.objects[op.object as usize];
        if object.key.is_none() && paired.spans.spans[object.span as usize].is_born {
            *proofs.entry(op.cache).or_default() += 1;
        }
    }
    proofs.into_iter().filter(|(_, count)| *count >= PROOFS_NEEDED).map(|(cache, _)| cache).collect()
}

/// What happens to a place next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Freed,
    Allocated,
    /// Nothing, and its slab goes back.
    Released,
    /// Nothing within the trace.
    Nothing,
}

/// What the trace says later of each place.
#[derive(Debug)]
struct Forecast {
    /// By position of an operation: what happens to its place next.
    after: Vec<Fate>,
    /// By place: what happens to it first.
    first: FxHashMap<(u32, u32), Fate>,
    /// Slabs whose pages go back.
    released: FxHashSet<u32>,
    /// Caches of which objects are taken and freed unseen.
    unseen: FxHashSet<u16>,
    /// Caches that are asked for objects of a node on a machine with several: CPUs give up slabs that do not fit.
    bound: FxHashSet<u16>,
    /// By cache: where its last but one new slab was made.
    late_birth: FxHashMap<u16, usize>,
}

impl Forecast {
    fn of(paired: &Paired, page_shift: u32) -> Self {
        let released: FxHashSet<u32> = paired.releases.iter().map(|release| release.span).collect();
        let mut first = FxHashMap::default();
        let mut after = vec![Fate::Nothing; paired.ops.len()];
        for (position, op) in paired.ops.iter().enumerate().rev().filter(|(_, op)| op.cache != NO_CACHE) {
            let object = &paired.objects[op.object as usize];
            let Some(index) = index_in_slab(object, paired, page_shift) else { continue };
            let fate = if op.what.is_free() { Fate::Freed } else { Fate::Allocated };
            after[position] = first.insert((object.span, index), fate).unwrap_or_else(|| Self::end(&released, object.span));
        }
        let has_nodes = paired.ops.iter().any(|op| op.node > 0);
        let bound = paired.ops.iter().filter(|op| has_nodes && op.node >= 0).map(|op| op.cache).collect();
        let mut births: FxHashMap<u16, (usize, usize)> = FxHashMap::default();
        for (position, op) in paired.ops.iter().enumerate().filter(|(_, op)| op.cache != NO_CACHE && !op.what.is_free()) {
            if paired.spans.is_first(paired.objects[op.object as usize].span, op.object) {
                let (_, last) = births.get(&op.cache).copied().unwrap_or_default();
                births.insert(op.cache, (last, position));
            }
        }
        let late_birth = births.into_iter().map(|(cache, (last_but_one, _))| (cache, last_but_one)).collect();
        Self { after, first, released, unseen: unseen_caches(paired), bound, late_birth }
    }

    fn end(released: &FxHashSet<u32>, span: u32) -> Fate {
        if released.contains(&span) { Fate::Released } else { Fate::Nothing }
    }

    /// What happens first to a place of a new slab.
    fn first(&self, span: u32, index: u32) -> Fate {
        self.first.get(&(span, index)).copied().unwrap_or_else(|| Self::end(&self.released, span))
    }

    /// True if a free place of a slab that a CPU has turned away from was taken.
    ///
    /// A slab that its CPU gave up with free objects is on a list, and no new slab is made before those are used up.
    fn was_taken(&self, cache: u16, fate: Fate, position: usize) -> bool {
        self.unseen.contains(&cache)
            || match fate {
                Fate::Freed => true,
                Fate::Nothing => !self.bound.contains(&cache) || self.late_birth.get(&cache).is_some_and(|&birth| birth > position),
                Fate::Allocated | Fate::Released => false,
            }
    }
}

/// Number of a place in a slab made during the trace.
fn index_in_slab(object: &ObjectInfo, paired: &Paired, page_shift: u32) -> Option<u32> {
    let slab = paired.spans.spans[object.span as usize];
    let count = slab.places(page_shift).filter(|_| slab.is_born)?;
    let index = object.ptr.checked_sub(slab.page << page_shift)? / slab.stride_bytes;
    u32::try_from(index).ok().filter(|&index| u64::from(index) < count)
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Free since this time.
    Free(u64, Fate),
    /// In use by an object that the trace shows.
    Seen,
    /// In use by an object that was taken unseen.
    Unseen(u32),
}

struct Watch {
    page_shift: u32,
    forecast: Forecast,
    /// By span: its places.
    slabs: FxHashMap<u32, Vec<Place>>,
    /// By cache and CPU: the span that it hands out of.
    current: FxHashMap<(u16, u16), u32>,
}

impl Watch {
    /// Takes note of an operation; adds to `ops` what must have come before it.
    fn before(&mut self, position: usize, op: &mut Op, paired: &mut Paired, of_object: &mut Vec<u16>, ops: &mut Vec<Op>) {
        let object = paired.objects[op.object as usize];
        if !op.what.is_free() {
            let left = self.current.insert((op.cache, op.cpu), object.span).filter(|&left| left != object.span);
            if let Some(left) = left {
                self.exhaust(position, left, op, paired, of_object, ops);
            }
        }
        let fate = self.forecast.after[position];
        let Some(place) = self.place(&object, paired) else { return };
        match (*place, op.what.is_free()) {
            (Place::Unseen(unseen), true) => {
                // The object that was taken unseen is the one that is freed now.
                *place = Place::Free(op.time_ns, fate);
                paired.objects[unseen as usize].freed_as = object.freed_as;
                op.object = unseen;
            }
            (Place::Unseen(unseen), false) => {
                *place = Place::Seen;
                ops.push(Op { object: unseen, what: What::FREED.implied(), ..*op });
            }
            (_, true) => *place = Place::Free(op.time_ns, fate),
            (_, false) => *place = Place::Seen,
        }
    }

    /// The CPU of `op` has turned away from a slab: whatever is free in it was taken.
    fn exhaust(&mut self, position: usize, span: u32, op: &Op, paired: &mut Paired, of_object: &mut Vec<u16>, ops: &mut Vec<Op>) {
        let Some(places) = self.slabs.get_mut(&span) else { return };
        let slab = paired.spans.spans[span as usize];
        for (index, place) in (0_u64..).zip(places) {
            let Place::Free(since, fate) = *place else { continue };
            if !self.forecast.was_taken(op.cache, fate, position) || since.saturating_add(FREE_IN_FLIGHT_NS) > op.time_ns {
                continue;
            }
            let object = paired.objects.len() as u32;
            let ptr = (slab.page << self.page_shift) + index * slab.stride_bytes;
            paired.objects.push(ObjectInfo { ptr, key: None, span, freed_as: None, pid: None });
            of_object.push(op.cache);
            ops.push(Op { object, what: What::ALLOC.implied(), requested_bytes: 0, node: -1, ..*op });
            *place = Place::Unseen(object);
        }
    }

    /// The pages of a slab went back: what was taken from it unseen was freed unseen.
    fn release(&mut self, release: &Release, of_object: &[u16], ops: &mut Vec<Op>) {
        let Some(places) = self.slabs.remove(&release.span) else { return };
        ops.extend(places.into_iter().filter_map(|place| match place {
            Place::Unseen(object) => Some(Op {
                time_ns: release.time_ns,
                object,
                requested_bytes: 0,
                cache: of_object[object as usize],
                cpu: release.cpu,
                what: What::FREED.implied(),
                node: -1,
            }),
            Place::Free(..) | Place::Seen => None,
        }));
    }

    /// The place of an object in a slab made during the trace.
    fn place(&mut self, object: &ObjectInfo, paired: &Paired) -> Option<&mut Place> {
        let index = index_in_slab(object, paired, self.page_shift)?;
        let forecast = &self.forecast;
        let places = self.slabs.entry(object.span).or_insert_with(|| {
            let count = paired.spans.spans[object.span as usize].places(self.page_shift).unwrap_or(0) as u32;
            (0..count).map(|index| Place::Free(0, forecast.first(object.span, index))).collect()
        });
        places.get_mut(index as usize)
    }
}
