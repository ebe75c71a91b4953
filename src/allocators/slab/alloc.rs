//! Allocation: from the CPU's array, its refill, growth, and other nodes.
//!
//! Source: `____cache_alloc()`, `cache_alloc_refill()`, `cache_grow_begin()`, `cache_grow_end()`, `____cache_alloc_node()`,
//! `fallback_alloc()`, `__do_cache_alloc()`, `mm/slab.c`, Linux 6.1.

use super::cache::{FreelistRequest, SlabCache};
use super::counters::SlabCounter;
use super::table::Listed;
use crate::allocators::slub::{AllocRequest, Caller};
use crate::allocators::{Object, SlabId};
use crate::list::End;
use crate::mem::{PageRequest, PageSource, Rights};

/// What a page request may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    /// This node only, without reclaim and without waking anybody (`gfp_exact_node()`).
    ExactNode,
    /// What the caller lets it.
    AsCaller { this_node_only: bool, caller: Caller },
}

impl SlabCache {
    /// Allocates an object; true with it if slabs may have come or moved.
    #[inline]
    pub fn alloc(&mut self, request: AllocRequest, pages: &mut impl PageSource) -> Option<(Object, bool)> {
        let local = self.topology.node_of(request.cpu);
        if request.node.is_none_or(|node| node == local)
            && let Some(object) = self.alloc_hit(request.cpu)
        {
            return Some((object, false));
        }
        self.alloc_slow(request, pages).map(|object| (object, true))
    }

    /// `____cache_alloc()`, if the CPU's array has an object.
    #[inline]
    fn alloc_hit(&mut self, cpu: u16) -> Option<Object> {
        let array = &mut self.cpus[usize::from(cpu)];
        let object = array.entries.pop()?;
        array.touched = true;
        self.count(cpu, SlabCounter::AllocHit);
        Some(object)
    }

    /// `__do_cache_alloc()`, `slab_alloc_node()`. No task has a memory policy, as no trace shows one.
    #[cold]
    fn alloc_slow(&mut self, request: AllocRequest, pages: &mut impl PageSource) -> Option<Object> {
        let local = self.topology.node_of(request.cpu);
        let node = request.node.unwrap_or(local);
        let has_node = usize::from(node) < self.nodes.len();
        let local_object = if node == local { self.refill(request, pages) } else { None };
        let object = local_object
            .or_else(|| if has_node && self.numa { self.alloc_node(request.cpu, node, pages) } else { None })
            .or_else(|| if self.numa { self.fallback_alloc(request, pages) } else { None });
        self.note_maximum();
        object
    }

    /// `cache_alloc_refill()`: refills the CPU's empty array and takes the top object.
    fn refill(&mut self, request: AllocRequest, pages: &mut impl PageSource) -> Option<Object> {
        let AllocRequest { cpu, this_node_only, caller, .. } = request;
        self.count(cpu, SlabCounter::AllocMiss);
        let node = self.topology.node_of(cpu);
        let array = &self.cpus[usize::from(cpu)];
        // A cold array gets little.
        let batch = if array.touched { array.batchcount } else { array.batchcount.min(16) };
        let number = usize::from(node);
        let has_shared = self.nodes[number].shared.as_ref().is_some_and(|shared| !shared.entries.is_empty());
        if has_shared {
            if let Some(shared) = &mut self.nodes[number].shared {
                shared.transfer(&mut self.cpus[usize::from(cpu)], batch);
                shared.touched |= !self.rules.shared_touched_by_alien;
            }
            self.count(cpu, SlabCounter::SharedRefill);
        } else if self.nodes[number].free_objects > 0 || !self.rules.skips_empty_lists {
            self.refill_from_slabs(cpu, node, batch);
        }
        if self.cpus[usize::from(cpu)].entries.is_empty() {
            let attempt = if self.numa { Attempt::ExactNode } else { Attempt::AsCaller { this_node_only, caller } };
            let slab = self.grow(cpu, node, attempt, pages)?;
            self.take_batch(cpu, slab, batch);
            self.grow_end(cpu, slab);
            self.count(cpu, SlabCounter::GrowRefill);
        }
        let array = &mut self.cpus[usize::from(cpu)];
        let object = array.entries.pop()?;
        array.touched = true;
        Some(object)
    }

    fn refill_from_slabs(&mut self, cpu: u16, node: u16, batch: u32) {
        let mut left = batch;
        while left > 0 {
            let Some(slab) = self.first_slab(node) else { break };
            left -= self.take_batch(cpu, slab, left);
            self.fixup_slab_list(cpu, slab);
        }
        let taken = batch - left;
        self.nodes[usize::from(node)].free_objects -= u64::from(taken);
        if taken > 0 {
            self.count(cpu, SlabCounter::SlabRefill);
        }
    }

    /// `alloc_block()`: moves up to `batch` objects of a slab onto the CPU's array, and says how many.
    fn take_batch(&mut self, cpu: u16, slab: SlabId, batch: u32) -> u32 {
        let mut taken = 0;
        while taken < batch && !self.slabs.is_full(slab) {
            let object = self.slabs.get(slab);
            self.cpus[usize::from(cpu)].entries.push(object);
            taken += 1;
        }
        self.counts[usize::from(cpu)].add(SlabCounter::ListAllocs, u64::from(taken));
        taken
    }

    /// `get_first_slab()`: the slab to take from, still on its list.
    fn first_slab(&mut self, node: u16) -> Option<SlabId> {
        let lists = &mut self.nodes[usize::from(node)];
        if let Some(slab) = lists.partial.head() {
            return Some(slab);
        }
        lists.free_touched = true;
        lists.free.head()
    }

    /// `cache_grow_begin()`: a new slab, on no list yet. No lower order is tried.
    fn grow(&mut self, cpu: u16, node: u16, attempt: Attempt, pages: &mut impl PageSource) -> Option<SlabId> {
        let order = self.spec.geometry.gfporder as u8;
        let (this_node_only, rights) = match attempt {
            Attempt::ExactNode => (true, Rights::AtOnce),
            Attempt::AsCaller { this_node_only, caller } => (this_node_only, caller.rights()),
        };
        let pages = pages.alloc(PageRequest { owner: self.owner, order, cpu, node, this_node_only, rights })?;
        let (colour, colour_off) = (self.spec.geometry.colour, self.spec.geometry.colour_off);
        let lists = &mut self.nodes[usize::from(pages.node)];
        let old = lists.colour_next;
        lists.colour_next = if old + 1 >= colour { 0 } else { old + 1 };
        let offset = if self.rules.first_colour_is_zero { old } else { lists.colour_next };
        let slab = self.slabs.add(pages, offset * colour_off);
        if self.is_off_slab() {
            self.freelists.push(FreelistRequest::Make { cpu, slab });
        }
        Some(slab)
    }

    /// `cache_grow_end()`: puts a new slab, of which objects may have been taken, on its list.
    fn grow_end(&mut self, cpu: u16, slab: SlabId) {
        let node = self.node_of_slab(slab);
        let active = self.slabs[slab].active;
        let lists = &mut self.nodes[node];
        lists.total_slabs += 1;
        lists.free_objects += u64::from(self.spec.geometry.num) - u64::from(active);
        self.count(cpu, SlabCounter::Grown);
        if active == 0 {
            self.link(slab, Listed::Free, End::Tail);
        } else {
            self.fixup_slab_list(cpu, slab);
        }
    }

    /// `____cache_alloc_node()` without its fallback: one object of a node, past all arrays.
    fn alloc_node(&mut self, cpu: u16, node: u16, pages: &mut impl PageSource) -> Option<Object> {
        if let Some(slab) = self.first_slab(node) {
            let object = self.slabs.get(slab);
            self.nodes[usize::from(node)].free_objects -= 1;
            self.fixup_slab_list(cpu, slab);
            self.count(cpu, SlabCounter::NodeAllocs);
            return Some(object);
        }
        let slab = self.grow(cpu, node, Attempt::ExactNode, pages)?;
        let object = self.slabs.get(slab);
        self.grow_end(cpu, slab);
        Some(object)
    }

    /// `fallback_alloc()`: from any node that has free objects, else by all means.
    fn fallback_alloc(&mut self, request: AllocRequest, pages: &mut impl PageSource) -> Option<Object> {
        if request.this_node_only {
            return None;
        }
        let cpu = request.cpu;
        for node in self.topology.nearest_first(cpu) {
            if self.nodes[usize::from(node)].free_objects > 0
                && let Some(object) = self.alloc_node(cpu, node, pages)
            {
                return Some(object);
            }
        }
        let local = self.topology.node_of(cpu);
        let slab = self.grow(cpu, local, Attempt::AsCaller { this_node_only: false, caller: request.caller }, pages)?;
        let node = self.slabs[slab].pages.node;
        self.grow_end(cpu, slab);
        self.alloc_node(cpu, node, pages)
    }
}
