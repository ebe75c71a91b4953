//! Freeing: `do_slab_free()` and `__slab_free()`, 2.6.38 to 6.17.

use super::cache::Cache;
use super::counters::Counter;
use super::node::End;
use super::slab::{NO_OBJECT, Object, ObjectIndex, Place, SlabId};
use crate::mem::PageSource;

impl Cache {
    /// Frees one object on a CPU; says whether the slow path was taken.
    #[inline]
    pub fn free(&mut self, cpu: u16, object: Object, pages: &mut dyn PageSource) -> bool {
        if self.sheaves.is_some() { self.free_by_sheaf(cpu, object, pages) } else { self.free_by_cpu_slab(cpu, object, pages) }
    }

    /// Freeing without sheaves, or behind them in 6.18 and 6.19.
    #[inline]
    pub(super) fn free_by_cpu_slab(&mut self, cpu: u16, object: Object, pages: &mut dyn PageSource) -> bool {
        let own = &mut self.cpus[usize::from(cpu)];
        if own.slab == object.slab && !self.has_debug {
            let next = std::mem::replace(&mut own.freelist, object.index);
            own.counts.add(Counter::FreeFastpath, 1);
            self.slabs.set_link(object.slab, object.index, next);
            return false;
        }
        self.free_slow(cpu, object.slab, &[object.index], pages);
        true
    }

    /// Frees a detached list of objects of one slab in one call, as bulk freeing does. The first of
    /// `objects` becomes the head of the freelist.
    pub fn free_list(&mut self, cpu: u16, slab: SlabId, objects: &[ObjectIndex], pages: &mut dyn PageSource) {
        if objects.is_empty() {
            return;
        }
        // Of the release: a cache with debugging has no sheaves to ask, and counts objects all the same.
        if !self.rules.has_cpu_slabs() {
            return self.free_counted(cpu, slab, objects, pages);
        }
        if self.cpus[usize::from(cpu)].slab != slab || self.has_debug {
            self.free_slow(cpu, slab, objects, pages);
            return;
        }
        let head = self.splice(slab, objects, self.cpus[usize::from(cpu)].freelist);
        let own = &mut self.cpus[usize::from(cpu)];
        own.freelist = head;
        let counted = if self.rules.fastpath_counts_objects { objects.len() as u64 } else { 1 };
        own.counts.add(Counter::FreeFastpath, counted);
    }

    /// Links `objects` in order in front of `tail`; returns the new head.
    pub(super) fn splice(&mut self, slab: SlabId, objects: &[ObjectIndex], tail: ObjectIndex) -> ObjectIndex {
        objects.iter().rev().fold(tail, |next, &object| {
            self.slabs.set_link(slab, object, next);
            object
        })
    }

    /// `__slab_free()`.
    #[cold]
    fn free_slow(&mut self, cpu: u16, slab: SlabId, objects: &[ObjectIndex], pages: &mut dyn PageSource) {
        self.count(cpu, Counter::FreeSlowpath);
        let prior = self.slabs[slab].freelist;
        let head = self.splice(slab, objects, prior);
        let descriptor = &mut self.slabs[slab];
        descriptor.freelist = head;
        descriptor.inuse -= objects.len() as u16;
        let was_full = prior == NO_OBJECT;
        let is_empty = descriptor.inuse == 0;
        let place = descriptor.place;
        match place {
            Place::Cpu(_) => self.count(cpu, Counter::FreeFrozen),
            Place::CpuPartial(_) if self.rules.cpu_partial_frozen => self.count(cpu, Counter::FreeFrozen),
            _ if was_full && self.has_cpu_partial => {
                self.put_cpu_partial(cpu, slab, pages);
                self.count(cpu, Counter::CpuPartialFree);
            }
            _ if was_full => self.free_to_node(cpu, slab, is_empty, pages),
            Place::NodePartial if is_empty && self.discards_empty(slab) => {
                let node = usize::from(self.slabs[slab].pages.node);
                self.nodes[node].remove(&mut self.slabs, slab);
                self.count(cpu, Counter::FreeRemovePartial);
                self.count(cpu, Counter::FreeSlab);
                self.discard(slab, pages);
            }
            // On a node list it keeps its position; on a CPU partial list it stays until that is drained.
            _ => {}
        }
    }

    /// The first free into a full slab of a cache without CPU partial lists.
    fn free_to_node(&mut self, cpu: u16, slab: SlabId, is_empty: bool, pages: &mut dyn PageSource) {
        if is_empty && self.discards_empty(slab) {
            self.count(cpu, Counter::FreeSlab);
            self.discard(slab, pages);
        } else {
            self.add_partial(slab, End::Tail);
            self.count(cpu, Counter::FreeAddPartial);
        }
    }

    /// Gives a slab's pages back. Callers count.
    pub(super) fn discard(&mut self, slab: SlabId, pages: &mut dyn PageSource) {
        let freed = self.slabs.remove(slab);
        pages.free(freed);
    }
}
