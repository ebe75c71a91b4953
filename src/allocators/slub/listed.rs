//! One object at a time from slabs that stay on their node's list: caches with debugging from 6.1 on (`alloc_single_from_partial()`), all
//! caches of 7.x (`___slab_alloc()`).

use super::alloc::AllocRequest;
use super::cache::Cache;
use super::node::End;
use super::slab::{NO_OBJECT, Object, Place, SlabId};
use crate::mem::PageSource;

impl Cache {
    /// One object of a listed slab, or of a new one; of the node asked for at first.
    pub(super) fn alloc_listed(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        if request.node.is_some() && !request.this_node_only && self.rules.requested_node_first {
            let strict = AllocRequest { this_node_only: true, ..request };
            if let Some(object) = self.take_listed_object(strict, true, pages) {
                return Some(object);
            }
        }
        self.take_listed_object(request, false, pages)
    }

    /// The first object of the first slab of a node's list, where that slab stays unless it was its last, or of a new slab.
    fn take_listed_object(&mut self, request: AllocRequest, opportunistic: bool, pages: &mut dyn PageSource) -> Option<Object> {
        let is_bound = request.node.is_some() && (request.this_node_only || !self.rules.requested_node_first);
        let wanted = request.node.unwrap_or_else(|| self.topology.node_of(request.cpu));
        let listed = |node: u16| self.nodes[usize::from(node)].first();
        let elsewhere = || if is_bound { None } else { self.node_with_spare(request.cpu).and_then(listed) };
        if let Some(slab) = listed(wanted).or_else(elsewhere) {
            let object = self.take_object(slab);
            if self.slabs[slab].freelist == NO_OBJECT {
                let node = usize::from(self.slabs[slab].pages.node);
                self.nodes[node].remove(&mut self.slabs, slab);
                self.slabs[slab].place = Place::Full;
            }
            return Some(object);
        }
        let slab = self.new_slab(request, opportunistic, pages)?;
        let object = self.take_object(slab);
        self.list_new(slab);
        Some(object)
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

    /// What is left of a new slab goes to the head of its node's list.
    pub(super) fn list_new(&mut self, slab: SlabId) {
        if self.slabs[slab].freelist == NO_OBJECT {
            self.slabs[slab].place = Place::Full;
        } else {
            self.add_partial(slab, End::Head);
        }
    }
}
