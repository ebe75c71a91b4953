//! Freeing to sheaves: `free_to_pcs()` and `__pcs_replace_full_main()`.

use super::{BATCH, Cache, Sheaf};
use crate::allocators::slub::alloc::Caller;
use crate::allocators::slub::counters::Counter;
use crate::allocators::slub::slab::Object;
use crate::mem::PageSource;

impl Cache {
    /// Freeing in a cache that has sheaves, or is of 7.x; says whether slabs were touched.
    #[inline]
    pub(in crate::allocators::slub) fn free_by_sheaf(&mut self, cpu: u16, object: Object, pages: &mut dyn PageSource) -> bool {
        let local = self.is_local(cpu, object);
        if let Some(sheaves) = &mut self.sheaves
            && local
            && let main = &mut sheaves.cpus[usize::from(cpu)].main
            && !main.is_full()
        {
            main.objects.push(object);
            self.cpus[usize::from(cpu)].counts.add(sheaves.rules.free_hit, 1);
            return false;
        }
        self.free_by_sheaf_slow(cpu, object, local, pages)
    }

    #[cold]
    fn free_by_sheaf_slow(&mut self, cpu: u16, object: Object, local: bool, pages: &mut dyn PageSource) -> bool {
        if local && let Some(touched) = self.replace_full_main(cpu, pages) {
            let main = &mut self.own_sheaves(cpu).main;
            debug_assert!(!main.is_full(), "a replaced main sheaf has room");
            main.objects.push(object);
            let hit = self.sheaves().rules.free_hit;
            self.count(cpu, hit);
            return touched;
        }
        if self.has_cpu_slabs() {
            return self.free_by_cpu_slab(cpu, object, pages);
        }
        self.free_counted(cpu, object.slab, &[object.index], pages);
        true
    }

    /// `can_free_to_pcs()`: every node of the model has ordinary memory, so only the own one is local.
    #[inline]
    pub(super) fn is_local(&self, cpu: u16, object: Object) -> bool {
        self.slabs[object.slab].pages.node == self.topology.node_of(cpu)
    }

    /// `__pcs_replace_full_main()`: says whether slabs were touched, `None` if there is no room to be had.
    fn replace_full_main(&mut self, cpu: u16, pages: &mut dyn PageSource) -> Option<bool> {
        if self.sheaves().capacity == 0 {
            return None;
        }
        let capacity = self.sheaves().capacity;
        let own = self.own_sheaves(cpu);
        match &mut own.spare {
            None => match self.barn(cpu).empty.pop() {
                Some(empty) => {
                    let own = self.own_sheaves(cpu);
                    own.spare = Some(std::mem::replace(&mut own.main, empty));
                    return Some(false);
                }
                None => return Some(self.free_makes_sheaf(cpu, false, pages)),
            },
            Some(spare) if spare.objects.len() < capacity => {
                std::mem::swap(&mut own.main, spare);
                return Some(false);
            }
            Some(_) => {}
        }
        if self.barn_is_full(cpu) {
            self.count(cpu, Counter::BarnPutFail);
            // The spare filled up earlier than main, so it is the older of the two that goes.
            let own = self.own_sheaves(cpu);
            if let Some(mut flushed) = own.spare.take() {
                self.flush_sheaf(cpu, &mut flushed, pages);
                let own = self.own_sheaves(cpu);
                own.spare = Some(std::mem::replace(&mut own.main, flushed));
            }
            return Some(true);
        }
        if self.swap_in_empty(cpu) {
            return Some(false);
        }
        Some(self.free_makes_sheaf(cpu, true, pages))
    }

    /// Exchanges a full main for an empty sheaf of the barn (`barn_replace_full_sheaf()`, its second half).
    pub(super) fn swap_in_empty(&mut self, cpu: u16) -> bool {
        let Some(empty) = self.barn(cpu).empty.pop() else { return false };
        self.retire_main(cpu, empty);
        true
    }

    /// Puts the full main into the barn, and an empty sheaf in its place.
    fn retire_main(&mut self, cpu: u16, empty: Sheaf) {
        let full = std::mem::replace(&mut self.own_sheaves(cpu).main, empty);
        self.barn(cpu).full.push(full);
        self.count(cpu, Counter::BarnPut);
    }

    /// Makes room with a new sheaf (`__pcs_install_empty_sheaf()`), or without memory for one, by flushing main.
    fn free_makes_sheaf(&mut self, cpu: u16, put_failed: bool, pages: &mut dyn PageSource) -> bool {
        let Some(empty) = self.new_sheaf(cpu, self.layout.sheaf_capacity as usize, self.free_caller(), pages) else {
            if put_failed {
                self.count(cpu, Counter::BarnPutFail);
            }
            self.flush_main(cpu, pages);
            return true;
        };
        let own = self.own_sheaves(cpu);
        let Some(spare) = &mut own.spare else {
            own.spare = Some(std::mem::replace(&mut own.main, empty));
            return false;
        };
        // Not full any more: the sheaf's own memory was taken from here.
        if !own.main.is_full() {
            self.barn(cpu).empty.push(empty);
        } else if !spare.is_full() {
            std::mem::swap(&mut own.main, spare);
            self.barn(cpu).empty.push(empty);
        } else {
            self.retire_main(cpu, empty);
        }
        false
    }

    /// What the allocation of a sheaf for a free may do: `GFP_NOWAIT` up to 7.1, no reclaim at all later.
    pub(super) fn free_caller(&self) -> Caller {
        if self.sheaves.as_deref().is_some_and(|sheaves| sheaves.rules.free_wakes_kswapd) { Caller::Atomic } else { Caller::NoReclaim }
    }

    /// Flushes the main sheaf in batches from its top (`sheaf_flush_main()`); counted after each.
    pub(super) fn flush_main(&mut self, cpu: u16, pages: &mut dyn PageSource) {
        loop {
            let main = &mut self.own_sheaves(cpu).main.objects;
            let mut batch = main.split_off(main.len().saturating_sub(BATCH));
            if batch.is_empty() {
                return;
            }
            let size = batch.len();
            self.free_array(cpu, &mut batch, pages);
            self.add_count(cpu, Counter::SheafFlush, size);
        }
    }
}
