//! Allocations that nobody saw, by what a CPU leaves behind.
//!
//! A CPU turns to another slab only when the one that it was handing out of has no free object left
//! (`___slab_alloc()`: an exhausted cpu slab is let go, `deactivate_bypass`). So at that moment every object of
//! the slab is in use, and those that the trace has as free were taken unseen, in bulk, before it.
//!
//! That holds for any cache. It is applied to those of which the trace proves that objects are taken unseen
//! (they are freed without having been allocated): elsewhere it could only find frees that were recorded
//! just before they took effect.

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
    let caches = unseen_caches(paired);
    if caches.is_empty() {
        return;
    }
    let mut watch = Watch { page_shift, slabs: FxHashMap::default(), current: FxHashMap::default() };
    let releases = std::mem::take(&mut paired.releases);
    let mut releases = releases.iter().peekable();
    paired.rewrite(|paired, position, mut op, ops| {
        while let Some(release) = releases.next_if(|release| release.ops <= position) {
            watch.release(release, of_object, ops);
        }
        if caches.contains(&op.cache) {
            watch.before(&mut op, paired, of_object, ops);
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

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Free since this time.
    Free(u64),
    /// In use by an object that the trace shows.
    Seen,
    /// In use by an object that was taken unseen.
    Unseen(u32),
}

struct Watch {
    page_shift: u32,
    /// By span: its places.
    slabs: FxHashMap<u32, Vec<Place>>,
    /// By cache and CPU: the span that it hands out of.
    current: FxHashMap<(u16, u16), u32>,
}

impl Watch {
    /// Takes note of an operation; adds to `ops` what must have come before it.
    fn before(&mut self, op: &mut Op, paired: &mut Paired, of_object: &mut Vec<u16>, ops: &mut Vec<Op>) {
        let object = paired.objects[op.object as usize];
        if !op.what.is_free() {
            let left = self.current.insert((op.cache, op.cpu), object.span).filter(|&left| left != object.span);
            if let Some(left) = left {
                self.exhaust(left, op, paired, of_object, ops);
            }
        }
        let Some(place) = self.place(&object, paired) else { return };
        match (*place, op.what.is_free()) {
            (Place::Unseen(unseen), true) => {
                // The object that was taken unseen is the one that is freed now.
                *place = Place::Free(op.time_ns);
                paired.objects[unseen as usize].freed_as = object.freed_as;
                op.object = unseen;
            }
            (Place::Unseen(unseen), false) => {
                *place = Place::Seen;
                ops.push(Op { object: unseen, what: What::FREED.implied(), ..*op });
            }
            (_, true) => *place = Place::Free(op.time_ns),
            (_, false) => *place = Place::Seen,
        }
    }

    /// The CPU of `op` has turned away from a slab: whatever is free in it was taken.
    fn exhaust(&mut self, span: u32, op: &Op, paired: &mut Paired, of_object: &mut Vec<u16>, ops: &mut Vec<Op>) {
        let Some(places) = self.slabs.get_mut(&span) else { return };
        let slab = paired.spans.spans[span as usize];
        for (index, place) in (0_u64..).zip(places) {
            let Place::Free(since) = *place else { continue };
            if since.saturating_add(FREE_IN_FLIGHT_NS) > op.time_ns {
                continue;
            }
            let object = paired.objects.len() as u32;
            let ptr = (slab.page << self.page_shift) + index * slab.stride_bytes;
            paired.objects.push(ObjectInfo { ptr, key: None, span, freed_as: None });
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
            Place::Free(_) | Place::Seen => None,
        }));
    }

    /// The place of an object in a slab made during the trace.
    fn place(&mut self, object: &ObjectInfo, paired: &Paired) -> Option<&mut Place> {
        let slab = paired.spans.spans[object.span as usize];
        let count = slab.places(self.page_shift).filter(|_| slab.is_born)?;
        let places = self.slabs.entry(object.span).or_insert_with(|| vec![Place::Free(0); count as usize]);
        let index = object.ptr.checked_sub(slab.page << self.page_shift)? / slab.stride_bytes;
        places.get_mut(usize::try_from(index).ok()?)
    }
}
