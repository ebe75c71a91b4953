//! Slabs behind sheaves in 7.x: `___slab_alloc()` one object at a time, `__slab_free()` without cpu slabs.

use super::Cache;
use crate::allocators::slub::alloc::AllocRequest;
use crate::allocators::slub::counters::Counter;
use crate::allocators::slub::node::End;
use crate::allocators::slub::slab::{NO_OBJECT, Object, ObjectIndex, SlabId};
use crate::mem::PageSource;

impl Cache {
    /// One object from slabs (`___slab_alloc()`); counted once, however it goes.
    pub(super) fn alloc_from_slabs(&mut self, mut request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        self.count(request.cpu, Counter::AllocSlowpath);
        // A node without memory counts as none asked for.
        request.node = request.node.filter(|&node| node < self.topology.nodes());
        let object = self.alloc_listed(request, pages);
        if object.is_none() {
            self.sheaves().ledger.failed += 1;
        }
        object
    }

    /// Frees a list of one slab as a caller does, with `free_slowpath`. The first becomes the head of the freelist.
    pub(in crate::allocators::slub) fn free_counted(
        &mut self,
        cpu: u16,
        slab: SlabId,
        objects: &[ObjectIndex],
        pages: &mut dyn PageSource,
    ) {
        self.free_to_slab(cpu, slab, objects, pages);
        self.add_count(cpu, Counter::FreeSlowpath, objects.len());
    }

    /// `__slab_free()` of 7.x.
    pub(super) fn free_to_slab(&mut self, cpu: u16, slab: SlabId, objects: &[ObjectIndex], pages: &mut dyn PageSource) {
        let prior = self.slabs[slab].freelist;
        let head = self.splice(slab, objects, prior);
        let descriptor = &mut self.slabs[slab];
        descriptor.freelist = head;
        descriptor.inuse -= objects.len() as u16;
        let is_empty = descriptor.inuse == 0;
        let was_full = prior == NO_OBJECT;
        if !was_full && !is_empty {
            return;
        }
        if is_empty && self.has_enough_partial(slab) {
            if !was_full {
                let node = usize::from(self.slabs[slab].pages.node);
                self.nodes[node].remove(&mut self.slabs, slab);
                self.count(cpu, Counter::FreeRemovePartial);
            }
            self.count(cpu, Counter::FreeSlab);
            self.discard(slab, pages);
        } else if was_full {
            self.add_partial(slab, End::Tail);
            self.count(cpu, Counter::FreeAddPartial);
        }
    }
}
