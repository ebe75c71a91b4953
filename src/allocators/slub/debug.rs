//! Caches with debugging, and all caches of `SLUB_TINY` builds: one object at a time, never by the fast path. From 6.1 on they have no
//! cpu slabs (`listed`).

use super::alloc::AllocRequest;
use super::cache::Cache;
use super::counters::Counter;
use super::generation::DebugPath;
use super::slab::{NO_OBJECT, Object};
use crate::mem::PageSource;

impl Cache {
    /// The slow path of a cache with debugging; the caller counts `alloc_slowpath`.
    pub(super) fn alloc_debug(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        match self.rules.debug {
            DebugPath::CpuSlab => self.alloc_debug_from_cpu_slab(request, pages),
            DebugPath::Deactivate => self.alloc_debug_and_deactivate(request, pages),
            DebugPath::Listed => self.alloc_listed(request, pages),
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
            None => self.new_slab(request, false, pages)?,
        };
        self.install(request.cpu, slab);
        Some(self.take_object(slab))
    }

    /// One object, and the slab with the rest goes back to its node at once (3.1 to 6.0).
    fn alloc_debug_and_deactivate(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        let slab = match self.get_partial(request) {
            Some(slab) => slab,
            None => self.new_slab(request, false, pages)?,
        };
        let head = self.take_freelist(slab);
        self.install(request.cpu, slab);
        self.cpus[usize::from(request.cpu)].freelist = self.slabs.link(slab, head);
        self.deactivate(request.cpu, pages);
        Some(Object { slab, index: head })
    }
}
