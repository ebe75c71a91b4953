//! Prefilled sheaves, as the maple tree uses them: `kmem_cache_prefill_sheaf()` and what belongs to it.

use super::{Cache, Role, Sheaf};
use crate::allocators::slub::alloc::Caller;
use crate::allocators::slub::counters::Counter;
use crate::allocators::slub::slab::Object;
use crate::mem::PageSource;

/// A sheaf in the hands of a caller, to be given back by [`Cache::return_sheaf`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PrefilledSheaf(usize);

impl Cache {
    /// A sheaf with at least `count` objects. `None` for none, without memory, and before 7.0 in caches without sheaves.
    pub fn prefill(&mut self, cpu: u16, caller: Caller, count: usize, pages: &mut dyn PageSource) -> Option<PrefilledSheaf> {
        let capacity = self.sheaves.as_deref()?.capacity;
        if count == 0 {
            return None;
        }
        let sheaf = if count > capacity {
            self.prefill_oversize(cpu, caller, count, pages)?
        } else {
            self.prefill_normal(cpu, caller, count, pages)?
        };
        Some(PrefilledSheaf(self.sheaves().put_outside(sheaf, Role::Prefilled)))
    }

    fn prefill_oversize(&mut self, cpu: u16, caller: Caller, count: usize, pages: &mut dyn PageSource) -> Option<Sheaf> {
        let mut sheaf = self.new_sheaf(cpu, count, caller, pages)?;
        self.count(cpu, Counter::SheafPrefillOversize);
        if self.bulk_from_slabs(cpu, caller, count, &mut sheaf.objects, pages) {
            return Some(sheaf);
        }
        self.free_sheaf(cpu, sheaf, pages);
        None
    }

    fn prefill_normal(&mut self, cpu: u16, caller: Caller, count: usize, pages: &mut dyn PageSource) -> Option<Sheaf> {
        let found = if let Some(spare) = self.own_sheaves(cpu).spare.take() {
            self.count(cpu, Counter::SheafPrefillFast);
            Some(spare)
        } else {
            self.count(cpu, Counter::SheafPrefillSlow);
            let barn = self.barn(cpu);
            let found = barn.full.pop().or_else(|| barn.empty.pop());
            let filled = found.as_ref().is_some_and(|sheaf| !sheaf.is_empty());
            self.count(cpu, if filled { Counter::BarnGet } else { Counter::BarnGetFail });
            found
        };
        let mut sheaf = match found {
            Some(sheaf) => sheaf,
            None => self.new_sheaf(cpu, self.layout.sheaf_capacity as usize, caller, pages)?,
        };
        if sheaf.objects.len() < count && !self.top_up(cpu, caller, &mut sheaf, pages) {
            self.flush_sheaf(cpu, &mut sheaf, pages);
            self.free_sheaf(cpu, sheaf, pages);
            return None;
        }
        Some(sheaf)
    }

    /// `refill_sheaf()`: fills a sheaf of the cache's capacity as far as memory goes. A second attempt with emergency reserves, which
    /// the kernel makes for callers that may use them, would find no more in the model.
    fn top_up(&mut self, cpu: u16, caller: Caller, sheaf: &mut Sheaf, pages: &mut dyn PageSource) -> bool {
        let missing = sheaf.capacity - sheaf.objects.len();
        let got = self.refill_objects(cpu, caller, missing, &mut sheaf.objects, pages);
        self.add_count(cpu, Counter::SheafRefill, got);
        got == missing
    }

    /// Takes an object from a prefilled sheaf; `None` if it is empty (`kmem_cache_alloc_from_sheaf()`).
    ///
    /// # Panics
    ///
    /// If the sheaf is not of this cache, or was given back.
    pub fn take_from_sheaf(&mut self, sheaf: &PrefilledSheaf) -> Option<Object> {
        let sheaves = self.sheaves();
        let sheaf = &mut sheaves.outside[sheaf.0].as_mut().expect("a prefilled sheaf of this cache").sheaf;
        let object = sheaf.objects.pop()?;
        if sheaf.capacity == sheaves.capacity {
            sheaves.ledger.taken += 1;
        }
        Some(object)
    }

    /// Sees to it that a prefilled sheaf holds at least `count` objects (`kmem_cache_refill_sheaf()`). Without memory it is
    /// left as it was, or with more than before, and this is false.
    ///
    /// # Panics
    ///
    /// If the sheaf is not of this cache, or was given back.
    pub fn refill_sheaf(&mut self, cpu: u16, caller: Caller, held: &mut PrefilledSheaf, count: usize, pages: &mut dyn PageSource) -> bool {
        let outside = self.sheaves().outside[held.0].as_ref().expect("a prefilled sheaf of this cache");
        let (size, capacity) = (outside.sheaf.objects.len(), outside.sheaf.capacity);
        if size >= count {
            return true;
        }
        if capacity < count {
            let Some(larger) = self.prefill(cpu, caller, count, pages) else { return false };
            self.return_sheaf(cpu, caller, std::mem::replace(held, larger), pages);
            return true;
        }
        let mut outside = self.sheaves().take_outside(held.0);
        let filled = if capacity == self.sheaves().capacity {
            self.top_up(cpu, caller, &mut outside.sheaf, pages)
        } else {
            self.bulk_from_slabs(cpu, caller, capacity - size, &mut outside.sheaf.objects, pages)
        };
        self.sheaves().outside[held.0] = Some(outside);
        filled
    }

    /// Gives a prefilled sheaf back, with what is left in it (`kmem_cache_return_sheaf()`).
    ///
    /// # Panics
    ///
    /// If the sheaf is not of this cache, or was given back already.
    pub fn return_sheaf(&mut self, cpu: u16, caller: Caller, sheaf: PrefilledSheaf, pages: &mut dyn PageSource) {
        let mut sheaf = self.sheaves().take_outside(sheaf.0).sheaf;
        if sheaf.capacity != self.sheaves().capacity {
            self.flush_sheaf(cpu, &mut sheaf, pages);
            return self.free_sheaf(cpu, sheaf, pages);
        }
        let spare = &mut self.own_sheaves(cpu).spare;
        if spare.is_none() {
            *spare = Some(sheaf);
            return self.count(cpu, Counter::SheafReturnFast);
        }
        self.count(cpu, Counter::SheafReturnSlow);
        if self.barn_is_full(cpu) || !self.top_up(cpu, caller, &mut sheaf, pages) {
            self.flush_sheaf(cpu, &mut sheaf, pages);
            return self.free_sheaf(cpu, sheaf, pages);
        }
        self.barn(cpu).full.push(sheaf);
        self.count(cpu, Counter::BarnPut);
    }
}
