//! CPU partial lists: `put_cpu_partial()` and `__put_partials()` (`unfreeze_partials()`), 3.2 to 6.17.

use super::cache::Cache;
use super::counters::Counter;
use super::generation::CpuPartial;
use super::node::End;
use super::slab::{Place, SlabId};
use crate::mem::PageSource;

impl Cache {
    /// Puts a slab on a CPU's list by a free. If the list has reached its limit it is drained whole, and
    /// the slab starts a new one.
    pub(super) fn put_cpu_partial(&mut self, cpu: u16, slab: SlabId, pages: &mut dyn PageSource) {
        let drained = if self.cpu_partial_is_full(cpu) { self.take_cpu_partial(cpu) } else { Vec::new() };
        self.push_cpu_partial(cpu, slab);
        if !drained.is_empty() {
            self.put_partials(cpu, &drained, pages);
            if !self.rules.early_cpu_partial {
                self.count(cpu, Counter::CpuPartialDrain);
            }
        }
        if self.layout.cpu_partial == 0 && self.rules.parks_nothing_at_limit_zero {
            let parked = self.take_cpu_partial(cpu);
            self.put_partials(cpu, &parked, pages);
        }
    }

    fn cpu_partial_is_full(&self, cpu: u16) -> bool {
        let own = &self.cpus[usize::from(cpu)];
        !own.partial.is_none()
            && match self.rules.cpu_partial {
                CpuPartial::Absent => false,
                CpuPartial::Objects => own.partial_objects > self.layout.cpu_partial,
                CpuPartial::Slabs => own.partial_slabs >= self.layout.cpu_partial_slabs,
            }
    }

    /// Puts a slab on top of a CPU's list.
    pub(super) fn push_cpu_partial(&mut self, cpu: u16, slab: SlabId) {
        let own = &mut self.cpus[usize::from(cpu)];
        let below = std::mem::replace(&mut own.partial, slab);
        own.partial_slabs += 1;
        let descriptor = &mut self.slabs[slab];
        descriptor.parked_free = descriptor.free_objects();
        own.partial_objects += u32::from(descriptor.parked_free);
        descriptor.links.next = below;
        descriptor.place = Place::CpuPartial(cpu);
    }

    /// Takes the slab on top of a CPU's list.
    pub(super) fn pop_cpu_partial(&mut self, cpu: u16) -> Option<SlabId> {
        let own = &mut self.cpus[usize::from(cpu)];
        let top = own.partial;
        if top.is_none() {
            return None;
        }
        let descriptor = &mut self.slabs[top];
        own.partial = std::mem::replace(&mut descriptor.links.next, SlabId::NONE);
        own.partial_slabs -= 1;
        own.partial_objects -= u32::from(descriptor.parked_free);
        descriptor.place = Place::Transit;
        Some(top)
    }

    /// Takes a CPU's whole list, from its top.
    pub(super) fn take_cpu_partial(&mut self, cpu: u16) -> Vec<SlabId> {
        std::iter::from_fn(|| self.pop_cpu_partial(cpu)).collect()
    }

    /// Slabs of a CPU's list, from its top.
    pub(super) fn cpu_partial(&self, cpu: u16) -> impl Iterator<Item = SlabId> {
        let top = self.cpus[usize::from(cpu)].partial;
        let next = |&id: &SlabId| Some(self.slabs[id].links.next).filter(|next| !next.is_none());
        std::iter::successors(Some(top).filter(|top| !top.is_none()), next)
    }

    /// `__put_partials()`: gives slabs to their nodes' lists; empty ones that a node need not keep are
    /// discarded, last set aside first, once all others are on their lists.
    pub(super) fn put_partials(&mut self, cpu: u16, slabs: &[SlabId], pages: &mut dyn PageSource) {
        let mut set_aside = Vec::new();
        let mut has_locked = false;
        for &slab in slabs {
            let is_unwanted = self.has_enough_partial(slab) || self.rules.early_cpu_partial && !has_locked;
            if self.slabs[slab].inuse == 0 && is_unwanted {
                set_aside.push(slab);
                continue;
            }
            has_locked = true;
            self.add_partial(slab, End::Tail);
            if !self.rules.early_cpu_partial {
                self.count(cpu, Counter::FreeAddPartial);
            }
        }
        for slab in set_aside.into_iter().rev() {
            self.count(cpu, Counter::DeactivateEmpty);
            self.discard(slab, pages);
            self.count(cpu, Counter::FreeSlab);
        }
    }
}
