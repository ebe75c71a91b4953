//! Caches with debugging, and all caches of `SLUB_TINY` builds: one object at a time, never by the fast path.

use super::alloc::AllocRequest;
use super::cache::Cache;
use super::counters::Counter;
use super::generation::DebugPath;
use super::node::End;
use super::slab::{NO_OBJECT, Object, Place, SlabId};
use crate::mem::PageSource;

impl Cache {
    /// The slow path of a cache with debugging; the caller counts `alloc_slowpath`.
    pub(super) fn alloc_debug(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        match self.rules.debug {
            DebugPath::CpuSlab => self.alloc_debug_from_cpu_slab(request, pages),
            DebugPath::Deactivate => self.alloc_debug_and_deactivate(request, pages),
            DebugPath::Listed => self.alloc_debug_listed(request, pages),
        }
    }

    /// Single objects of the cpu slab, whose freelist stays in the slab (2.6.38, 3.0).
    fn alloc_debug_from_cpu_slab(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        let slab = self.cpus[usize::from(request.cpu)].slab;
        if !slab.is_none() {
            if request.node.is_none_or(|node| self.slabs[slab].pages.node == node) {
                self.count(request.cpu, Counter::AllocRefill);
                if self.slabs[slab].freelist != NO_OBJECT {
                    return Some(self.take_object(slab));
                }
            }
            self.deactivate(request.cpu, pages);
        }
        let slab = match self.get_partial(request) {
            Some(slab) => slab,
            None => self.new_counted_slab(request, pages)?,
        };
        self.install(request.cpu, slab);
        Some(self.take_object(slab))
    }

    /// One object, and the slab with the rest goes back to its node at once (3.1 to 6.0).
    fn alloc_debug_and_deactivate(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        let slab = match self.get_partial(request) {
            Some(slab) => slab,
            None => self.new_counted_slab(request, pages)?,
        };
        let head = self.take_freelist(slab);
        self.install(request.cpu, slab);
        self.cpus[usize::from(request.cpu)].freelist = self.slabs.link(slab, head);
        self.deactivate(request.cpu, pages);
        Some(Object { slab, index: head })
    }

    /// One object of the first listed slab, which stays where it is (`alloc_single_from_partial()`, 6.1).
    fn alloc_debug_listed(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        let local = self.topology.node_of(request.cpu);
        let is_bound = request.node.is_some() && (request.this_node_only || !self.rules.requested_node_first);
        let wanted = request.node.unwrap_or(local);
        let others = (0..self.topology.nodes())
            .filter(|&node| !is_bound && node != wanted && self.nodes[usize::from(node)].len() > self.layout.min_partial);
        let found = std::iter::once(wanted).chain(others).find_map(|node| self.nodes[usize::from(node)].first());
        if let Some(slab) = found {
            let object = self.take_object(slab);
            if self.slabs[slab].freelist == NO_OBJECT {
                let node = usize::from(self.slabs[slab].pages.node);
                self.nodes[node].remove(&mut self.slabs, slab);
                self.slabs[slab].place = Place::Full;
            }
            return Some(object);
        }
        let slab = self.new_counted_slab(request, pages)?;
        let object = self.take_object(slab);
        if self.slabs[slab].freelist == NO_OBJECT {
            self.slabs[slab].place = Place::Full;
        } else {
            self.add_partial(slab, End::Head);
        }
        Some(object)
    }

    fn new_counted_slab(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<SlabId> {
        let slab = self.new_slab(request, false, pages)?;
        self.count(request.cpu, Counter::AllocSlab);
        Some(slab)
    }

    /// Takes the first object off a slab's own freelist.
    pub(super) fn take_object(&mut self, slab: SlabId) -> Object {
        let index = self.slabs[slab].freelist;
        let next = self.slabs.link(slab, index);
        let descriptor = &mut self.slabs[slab];
        descriptor.freelist = next;
        descriptor.inuse += 1;
        Object { slab, index }
    }
}
