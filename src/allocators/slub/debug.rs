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
            None => self.new_counted_slab(request, false, pages)?,
        };
        self.install(request.cpu, slab);
        Some(self.take_object(slab))
    }

    /// One object, and the slab with the rest goes back to its node at once (3.1 to 6.0).
    fn alloc_debug_and_deactivate(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        let slab = match self.get_partial(request) {
            Some(slab) => slab,
            None => self.new_counted_slab(request, false, pages)?,
        };
        let head = self.take_freelist(slab);
        self.install(request.cpu, slab);
        self.cpus[usize::from(request.cpu)].freelist = self.slabs.link(slab, head);
        self.deactivate(request.cpu, pages);
        Some(Object { slab, index: head })
    }

    /// One object of a listed slab (`alloc_single_from_partial()`, 6.1), first of the node asked for, as `next_slab()` does.
    fn alloc_debug_listed(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        if request.node.is_some() && !request.this_node_only && self.rules.requested_node_first {
            let strict = AllocRequest { this_node_only: true, ..request };
            if let Some(object) = self.take_listed_object(strict, true, pages) {
                return Some(object);
            }
        }
        self.take_listed_object(request, false, pages)
    }

    /// The first object of the first slab of a node's list, where that slab stays, or of a new slab.
    fn take_listed_object(&mut self, request: AllocRequest, opportunistic: bool, pages: &mut dyn PageSource) -> Option<Object> {
        let is_bound = request.node.is_some() && (request.this_node_only || !self.rules.requested_node_first);
        let wanted = request.node.unwrap_or_else(|| self.topology.node_of(request.cpu));
        let listed = |node: u16| self.nodes[usize::from(node)].first();
        let elsewhere = || if is_bound { None } else { self.node_with_spare(request.cpu).and_then(listed) };
        let found = listed(wanted).or_else(elsewhere);
        if let Some(slab) = found {
            let object = self.take_object(slab);
            if self.slabs[slab].freelist == NO_OBJECT {
                let node = usize::from(self.slabs[slab].pages.node);
                self.nodes[node].remove(&mut self.slabs, slab);
                self.slabs[slab].place = Place::Full;
            }
            return Some(object);
        }
        let slab = self.new_counted_slab(request, opportunistic, pages)?;
        let object = self.take_object(slab);
        if self.slabs[slab].freelist == NO_OBJECT {
            self.slabs[slab].place = Place::Full;
        } else {
            self.add_partial(slab, End::Head);
        }
        Some(object)
    }

    fn new_counted_slab(&mut self, request: AllocRequest, opportunistic: bool, pages: &mut dyn PageSource) -> Option<SlabId> {
        let slab = self.new_slab(request, opportunistic, pages)?;
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
