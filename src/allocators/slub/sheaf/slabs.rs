//! Slabs behind sheaves in 7.x: `___slab_alloc()` one object at a time, `__slab_free()` without cpu slabs.

use super::Cache;
use crate::allocators::slub::alloc::AllocRequest;
use crate::allocators::slub::counters::Counter;
use crate::allocators::slub::node::End;
use crate::allocators::slub::slab::{NO_OBJECT, Object, ObjectIndex, Place, SlabId};
use crate::mem::PageSource;

impl Cache {
    /// One object from slabs (`___slab_alloc()`); counted once, however it goes.
    pub(super) fn alloc_from_slabs(&mut self, mut request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        self.count(request.cpu, Counter::AllocSlowpath);
        // A node without memory counts as none asked for.
        request.node = request.node.filter(|&node| node < self.topology.nodes());
        let mut object = None;
        if request.node.is_some() && !request.this_node_only {
            object = self.alloc_single(AllocRequest { this_node_only: true, ..request }, true, pages);
        }
        let object = object.or_else(|| self.alloc_single(request, false, pages));
        if object.is_none() {
            self.sheaves().ledger.failed += 1;
        }
        object
    }

    /// One pass of it: the node's partial list, other nodes' if they may serve, a new slab.
    fn alloc_single(&mut self, request: AllocRequest, opportunistic: bool, pages: &mut dyn PageSource) -> Option<Object> {
        let local = self.topology.node_of(request.cpu);
        if let Some(object) = self.take_from_node(request.node.unwrap_or(local)) {
            return Some(object);
        }
        if request.node.is_none() || !request.this_node_only {
            for position in 0..self.topology.nodes() {
                let node = nearer_first(local, position);
                if self.may_raid(node)
                    && let Some(object) = self.take_from_node(node)
                {
                    return Some(object);
                }
            }
        }
        let slab = self.new_slab(request, opportunistic, pages)?;
        self.count(request.cpu, Counter::AllocSlab);
        let object = self.take_first(slab);
        self.place_new(slab);
        Some(object)
    }

    /// `get_from_partial_node()`: the first object of the first slab; the slab keeps its place unless that was its last.
    fn take_from_node(&mut self, node: u16) -> Option<Object> {
        let slab = self.nodes[usize::from(node)].first()?;
        let object = self.take_first(slab);
        if self.slabs[slab].freelist == NO_OBJECT {
            self.nodes[usize::from(node)].remove(&mut self.slabs, slab);
            self.slabs[slab].place = Place::Full;
        }
        Some(object)
    }

    fn take_first(&mut self, slab: SlabId) -> Object {
        let index = self.slabs[slab].freelist;
        let next = self.slabs.link(slab, index);
        let descriptor = &mut self.slabs[slab];
        descriptor.freelist = next;
        descriptor.inuse += 1;
        Object { slab, index }
    }

    /// What is left of a new slab goes to the head of its node's list.
    pub(super) fn place_new(&mut self, slab: SlabId) {
        if self.slabs[slab].freelist == NO_OBJECT {
            self.slabs[slab].place = Place::Full;
        } else {
            self.add_partial(slab, End::Head);
        }
    }

    /// Other nodes give away only what they need not keep (`get_any_partial()`).
    pub(super) fn may_raid(&self, node: u16) -> bool {
        self.nodes[usize::from(node)].len() > self.layout.min_partial
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

/// The node that comes `position`-th from a local one: itself, then by number, which stands for distance.
pub(super) fn nearer_first(local: u16, position: u16) -> u16 {
    match position {
        0 => local,
        _ if position <= local => position - 1,
        _ => position,
    }
}
