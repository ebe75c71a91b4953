//! Allocation from sheaves: `alloc_from_pcs()` and `__pcs_replace_empty_main()`.

use super::Cache;
use crate::allocators::slub::alloc::{AllocRequest, Caller};
use crate::allocators::slub::counters::Counter;
use crate::allocators::slub::generation::RefillBy;
use crate::allocators::slub::slab::Object;
use crate::mem::PageSource;

impl RefillBy {
    /// True if an allocation by this caller may.
    pub(crate) fn allows(self, caller: Caller) -> bool {
        caller
            >= match self {
                Self::Blocking => Caller::Blocking,
                Self::Reclaiming => Caller::Atomic,
                Self::Spinning => Caller::NoReclaim,
            }
    }
}

impl Cache {
    /// Allocation in a cache that has sheaves, or is of 7.x.
    #[inline]
    pub(in crate::allocators::slub) fn alloc_by_sheaf(
        &mut self,
        request: AllocRequest,
        pages: &mut dyn PageSource,
    ) -> Option<(Object, bool)> {
        if request.node.is_none()
            && let Some(sheaves) = &mut self.sheaves
            && let Some(object) = sheaves.cpus[usize::from(request.cpu)].main.objects.pop()
        {
            self.cpus[usize::from(request.cpu)].counts.add(sheaves.rules.alloc_hit, 1);
            return Some((object, false));
        }
        self.alloc_by_sheaf_slow(request, pages)
    }

    #[cold]
    fn alloc_by_sheaf_slow(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<(Object, bool)> {
        let cpu = request.cpu;
        if request.node.is_some_and(|node| node != self.topology.node_of(cpu)) {
            // Before the capacity is looked at: so of 7.x caches without sheaves too.
            self.count_sheaf_mismatch(cpu);
        } else if let Some(served) = self.alloc_from_pcs(request, pages) {
            return Some(served);
        }
        let object = if self.has_cpu_slabs() {
            self.alloc_by_cpu_slab(request, pages).map(|(object, _)| object)
        } else {
            self.alloc_from_slabs(request, pages)
        };
        // The attempt at a refill may have moved slabs, however the object was found then.
        object.map(|object| (object, true))
    }

    /// An object from the CPU's main sheaf, which is replaced if it is empty.
    fn alloc_from_pcs(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<(Object, bool)> {
        let cpu = request.cpu;
        let refilled = self.own_sheaves(cpu).main.is_empty() && self.replace_empty_main(request, pages)?;
        let top = *self.own_sheaves(cpu).main.objects.last()?;
        if request.node.is_some_and(|node| self.slabs[top.slab].pages.node != node) {
            self.count_sheaf_mismatch(cpu);
            return None;
        }
        self.own_sheaves(cpu).main.objects.pop();
        let hit = self.sheaves().rules.alloc_hit;
        self.count(cpu, hit);
        Some((top, refilled))
    }

    /// In 6.18 and 6.19 only the slow path behind the sheaves counts a node that does not fit.
    fn count_sheaf_mismatch(&mut self, cpu: u16) {
        if !self.has_cpu_slabs() {
            self.count(cpu, Counter::AllocNodeMismatch);
        }
    }

    /// `__pcs_replace_empty_main()`: says whether slabs were touched, `None` if main stays empty.
    fn replace_empty_main(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<bool> {
        let cpu = request.cpu;
        if self.sheaves().capacity == 0 {
            return None;
        }
        if self.swap_in_spare(cpu) {
            return Some(false);
        }
        if self.swap_in_full(cpu) {
            return Some(false);
        }
        if !self.sheaves().rules.refill_by.allows(request.caller) {
            return None;
        }
        let parked = match self.own_sheaves(cpu).spare.take() {
            Some(spare) => Some(spare),
            None => self.barn(cpu).empty.pop(),
        };
        let mut sheaf = match parked {
            Some(sheaf) => sheaf,
            None if request.no_sheaf => return None,
            None => self.new_sheaf(cpu, self.layout.sheaf_capacity as usize, request.caller, pages)?,
        };
        let capacity = sheaf.capacity;
        let got = self.refill_objects(cpu, request.caller, capacity, &mut sheaf.objects, pages);
        self.add_count(cpu, Counter::SheafRefill, got);
        if got < capacity {
            self.flush_sheaf(cpu, &mut sheaf, pages);
            self.free_sheaf(cpu, sheaf, pages);
            return None;
        }
        let old_to_barn = self.sheaves().rules.old_main_to_barn;
        let own = self.own_sheaves(cpu);
        let old = std::mem::replace(&mut own.main, sheaf);
        debug_assert!(old.is_empty(), "nothing was freed to this CPU meanwhile");
        if old_to_barn || own.spare.is_some() {
            self.barn(cpu).empty.push(old);
        } else {
            own.spare = Some(old);
        }
        Some(true)
    }

    /// Exchanges an empty main for a spare with objects.
    pub(super) fn swap_in_spare(&mut self, cpu: u16) -> bool {
        let own = self.own_sheaves(cpu);
        let Some(spare) = own.spare.as_mut().filter(|spare| !spare.is_empty()) else { return false };
        std::mem::swap(&mut own.main, spare);
        true
    }

    /// Exchanges an empty main for a full sheaf of the barn (`barn_replace_empty_sheaf()`); the limit on empty ones is not looked at.
    pub(super) fn swap_in_full(&mut self, cpu: u16) -> bool {
        let Some(full) = self.barn(cpu).full.pop() else {
            self.count(cpu, Counter::BarnGetFail);
            return false;
        };
        let empty = std::mem::replace(&mut self.own_sheaves(cpu).main, full);
        self.barn(cpu).empty.push(empty);
        self.count(cpu, Counter::BarnGet);
        true
    }
}
