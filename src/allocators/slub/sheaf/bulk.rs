//! Bulk allocation and bulk freeing, and the detached lists that arrays of objects are freed by.

use super::{BATCH, Cache};
use crate::allocators::slub::alloc::Caller;
use crate::allocators::slub::counters::Counter;
use crate::allocators::slub::slab::{Object, ObjectIndex, SlabId};
use crate::mem::PageSource;

/// Pointers of other slabs met before a round of `build_detached_freelist()` ends.
const LOOKAHEAD: u32 = 3;

/// [`detach_by`], of objects that know their slab.
pub(super) fn detach(array: &mut Vec<Object>, list: &mut Vec<ObjectIndex>) -> Option<SlabId> {
    detach_by(array, list, |object| object.slab, |object| object.index)
}

/// Takes the objects of one slab off the end of an array (`build_detached_freelist()`), in the order in which they are found. The array
/// keeps the rest; pointers of other slabs may have moved in it. How objects are known to be of a slab, and what the list keeps of each,
/// is the caller's.
pub(crate) fn detach_by<T: Copy, S: PartialEq, I>(
    array: &mut Vec<T>,
    list: &mut Vec<I>,
    slab_of: impl Fn(T) -> S,
    item: impl Fn(T) -> I,
) -> Option<S> {
    list.clear();
    let mut same = array.len().checked_sub(1)?;
    let slab = slab_of(array[same]);
    list.push(item(array[same]));
    let mut look = LOOKAHEAD;
    for at in (0..same).rev() {
        if slab_of(array[at]) == slab {
            list.push(item(array[at]));
            same -= 1;
            array.swap(at, same);
        } else {
            look -= 1;
            if look == 0 {
                break;
            }
        }
    }
    array.truncate(same);
    Some(slab)
}

impl Cache {
    /// `kmem_cache_alloc_bulk()`: adds `count` objects to `into`, or none. No node can be asked for.
    ///
    /// Without sheaves objects come from cpu slabs, one by one; up to 6.7 those that the CPU has are not counted.
    pub fn alloc_bulk(&mut self, cpu: u16, caller: Caller, count: usize, into: &mut Vec<Object>, pages: &mut dyn PageSource) -> bool {
        let before = into.len();
        let missing = count - self.take_from_sheaves(cpu, count, into);
        if missing == 0 || self.bulk_from_slabs(cpu, caller, missing, into, pages) {
            return true;
        }
        let mut got = into.split_off(before);
        if let Some(sheaves) = &mut self.sheaves {
            sheaves.ledger.given_up += got.len() as u64;
        }
        self.free_array(cpu, &mut got, pages);
        false
    }

    /// `alloc_from_pcs_bulk()`: what the CPU's sheaves and its barn have, without a refill. Objects come in the order of the array, not
    /// from its top.
    fn take_from_sheaves(&mut self, cpu: u16, wanted: usize, into: &mut Vec<Object>) -> usize {
        if self.sheaves.as_deref().is_none_or(|sheaves| sheaves.capacity == 0) {
            return 0;
        }
        let mut missing = wanted;
        while missing > 0 {
            if self.own_sheaves(cpu).main.is_empty() && !self.swap_in_spare(cpu) && !self.swap_in_full(cpu) {
                break;
            }
            let main = &mut self.own_sheaves(cpu).main.objects;
            let batch = main.len().min(missing);
            into.extend(main.drain(main.len() - batch..));
            missing -= batch;
            let hit = self.sheaves().rules.alloc_hit;
            self.add_count(cpu, hit, batch);
        }
        wanted - missing
    }

    /// `__kmem_cache_alloc_bulk()`: all or nothing, past the sheaves.
    pub(super) fn bulk_from_slabs(
        &mut self,
        cpu: u16,
        caller: Caller,
        wanted: usize,
        into: &mut Vec<Object>,
        pages: &mut dyn PageSource,
    ) -> bool {
        if self.has_cpu_slabs() {
            return self.bulk_from_cpu_slabs(cpu, caller, wanted, into, pages);
        }
        let before = into.len();
        if self.refill_objects(cpu, caller, wanted, into, pages) == wanted {
            self.add_count(cpu, Counter::AllocSlowpath, wanted);
            return true;
        }
        let mut got = into.split_off(before);
        self.free_array(cpu, &mut got, pages);
        false
    }

    /// `kmem_cache_free_bulk()` of objects of this cache.
    pub fn free_bulk(&mut self, cpu: u16, objects: &[Object], pages: &mut dyn PageSource) {
        let Some(sheaves) = self.sheaves.as_deref().filter(|sheaves| sheaves.capacity > 0) else {
            return self.kfree_bulk(cpu, objects, pages);
        };
        let mut local = objects.to_vec();
        let mut remote = Vec::new();
        if sheaves.rules.remote_last {
            let mut found = 0;
            for at in 0..local.len() {
                if !self.is_local(cpu, local[at]) {
                    local.swap(at, found);
                    found += 1;
                }
            }
            remote.extend(local.drain(..found));
        } else {
            let mut at = 0;
            while let Some(&object) = local.get(at) {
                if self.is_local(cpu, object) {
                    at += 1;
                    continue;
                }
                // The last one takes its place, and its turn. The kernel's leak when the 32nd remote object is also the last to be
                // looked at (up to 7.1) is not imitated.
                remote.push(local.swap_remove(at));
                if remote.len() == BATCH {
                    self.free_past_sheaves(cpu, &mut remote, pages);
                }
            }
        }
        let stored = self.store_in_sheaves(cpu, &local);
        let mut rest = local.split_off(stored);
        self.free_past_sheaves(cpu, &mut rest, pages);
        self.free_past_sheaves(cpu, &mut remote, pages);
    }

    /// The part of `free_to_pcs_bulk()` that fills sheaves: no sheaf is made and none flushed. Returns how many objects found room.
    fn store_in_sheaves(&mut self, cpu: u16, objects: &[Object]) -> usize {
        let mut stored = 0;
        while stored < objects.len() {
            if self.own_sheaves(cpu).main.is_full() && !self.bulk_makes_room(cpu) {
                break;
            }
            let main = &mut self.own_sheaves(cpu).main;
            let batch = (main.capacity - main.objects.len()).min(objects.len() - stored);
            main.objects.extend_from_slice(&objects[stored..stored + batch]);
            stored += batch;
            let hit = self.sheaves().rules.free_hit;
            self.add_count(cpu, hit, batch);
        }
        stored
    }

    fn bulk_makes_room(&mut self, cpu: u16) -> bool {
        let own = self.own_sheaves(cpu);
        match &mut own.spare {
            None => {
                let Some(empty) = self.barn(cpu).empty.pop() else { return false };
                let own = self.own_sheaves(cpu);
                own.spare = Some(std::mem::replace(&mut own.main, empty));
                true
            }
            Some(spare) if !spare.is_full() => {
                std::mem::swap(&mut own.main, spare);
                true
            }
            Some(_) => {
                if !self.barn_is_full(cpu) && self.swap_in_empty(cpu) {
                    return true;
                }
                self.count(cpu, Counter::BarnPutFail);
                false
            }
        }
    }

    /// The fallback of a bulk free: lists to slabs, counted all at once in 7.x.
    fn free_past_sheaves(&mut self, cpu: u16, objects: &mut Vec<Object>, pages: &mut dyn PageSource) {
        let count = objects.len();
        self.free_array(cpu, objects, pages);
        if !self.has_cpu_slabs() {
            self.add_count(cpu, Counter::FreeSlowpath, count);
        }
    }

    /// `kfree_bulk()` of objects of this cache, or `kmem_cache_free_bulk()` without sheaves: detached lists straight to slabs, each
    /// counted. An array of objects of several caches has to be cut by the caller, as pointers of other caches count for the look-ahead.
    pub fn kfree_bulk(&mut self, cpu: u16, objects: &[Object], pages: &mut dyn PageSource) {
        let mut array = objects.to_vec();
        let mut list = Vec::new();
        while let Some(slab) = detach(&mut array, &mut list) {
            // slab_free_freelist_hook() turns the list round: what was found first comes to its head.
            self.free_list(cpu, slab, &list, pages);
        }
    }

    /// Frees an object on behalf of the allocator itself, as after a failed memcg charge: not counted in 7.x.
    pub fn free_aborted(&mut self, cpu: u16, object: Object, pages: &mut dyn PageSource) {
        if self.has_cpu_slabs() {
            self.free_by_cpu_slab(cpu, object, pages);
        } else {
            self.free_to_slab(cpu, object.slab, &[object.index], pages);
            self.sheaves().ledger.given_up += 1;
        }
    }

    /// `__kmem_cache_free_bulk()`: lists to slabs without hooks, so each in the order in which it was built, what was found last at its
    /// head. `free_slowpath` is the caller's.
    pub(super) fn free_array(&mut self, cpu: u16, objects: &mut Vec<Object>, pages: &mut dyn PageSource) {
        let reverses = self.sheaves.as_deref().is_some_and(|sheaves| sheaves.rules.flush_reverses);
        let mut list = Vec::new();
        while let Some(slab) = detach(objects, &mut list) {
            if !reverses {
                list.reverse();
            }
            if self.has_cpu_slabs() {
                self.free_list(cpu, slab, &list, pages);
            } else {
                self.free_to_slab(cpu, slab, &list, pages);
            }
        }
    }
}
