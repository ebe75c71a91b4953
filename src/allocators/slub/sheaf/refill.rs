//! Objects in numbers from slabs: `refill_objects()` of 7.x, the bulk allocator on cpu slabs of 6.18 and 6.19.

use super::Cache;
use crate::allocators::slub::alloc::{AllocRequest, Caller};
use crate::allocators::slub::node::End;
use crate::allocators::slub::slab::{NO_OBJECT, Object, ObjectIndex, Place, SlabId};
use crate::mem::PageSource;

impl Cache {
    /// Adds `wanted` objects to an array; returns how many there were to be had. The lowest index is the first off a freelist.
    pub(super) fn refill_objects(
        &mut self,
        cpu: u16,
        caller: Caller,
        wanted: usize,
        into: &mut Vec<Object>,
        pages: &mut dyn PageSource,
    ) -> usize {
        if self.has_cpu_slabs() {
            return if self.bulk_from_cpu_slabs(cpu, caller, wanted, into, pages) { wanted } else { 0 };
        }
        let local = self.topology.node_of(cpu);
        let mut missing = wanted - self.refill_from_node(cpu, local, wanted, into, pages);
        let looks = missing > 0 && self.looks_at_other_nodes(cpu);
        for node in self.topology.nearest_first(cpu) {
            if looks && missing > 0 && self.has_spare(node) {
                missing -= self.refill_from_node(cpu, node, missing, into, pages);
            }
        }
        while missing > 0 {
            let Some(slab) = self.new_slab(AllocRequest { caller, ..AllocRequest::on(cpu) }, false, pages) else { break };
            missing -= self.take_up_to(slab, missing, into);
            self.list_new(slab);
        }
        wanted - missing
    }

    /// `__kmem_cache_alloc_bulk()` of 6.8 to 6.19: all or nothing, from what the CPU has.
    pub(super) fn bulk_from_cpu_slabs(
        &mut self,
        cpu: u16,
        caller: Caller,
        wanted: usize,
        into: &mut Vec<Object>,
        pages: &mut dyn PageSource,
    ) -> bool {
        let before = into.len();
        while into.len() < before + wanted {
            let Some(object) = self.alloc_of_bulk(AllocRequest { caller, ..AllocRequest::on(cpu) }, pages) else {
                let mut got = into.split_off(before);
                self.free_array(cpu, &mut got, pages);
                return false;
            };
            into.push(object);
        }
        true
    }

    /// Takes objects off a slab's freelist, in its order; returns how many.
    fn take_up_to(&mut self, slab: SlabId, wanted: usize, into: &mut Vec<Object>) -> usize {
        let before = into.len();
        let mut index = self.slabs[slab].freelist;
        while index != NO_OBJECT && into.len() < before + wanted {
            into.push(Object { slab, index });
            index = self.slabs.link(slab, index);
        }
        let taken = into.len() - before;
        let descriptor = &mut self.slabs[slab];
        descriptor.freelist = index;
        descriptor.inuse += taken as u16;
        taken
    }

    /// `__refill_objects_node()`: grabs slabs off a node's list until they have what is wanted, then empties them.
    fn refill_from_node(&mut self, cpu: u16, node: u16, wanted: usize, into: &mut Vec<Object>, pages: &mut dyn PageSource) -> usize {
        let mut grabbed = std::mem::take(&mut self.sheaves().grabbed);
        let mut free = 0;
        while free < wanted {
            let Some(slab) = self.nodes[usize::from(node)].first() else { break };
            self.nodes[usize::from(node)].remove(&mut self.slabs, slab);
            free += usize::from(self.slabs[slab].free_objects());
            grabbed.push(slab);
        }
        if self.sheaves().rules.last_grabbed_first {
            grabbed.reverse();
        }
        let mut taken = 0;
        let mut used = 0;
        while taken < wanted
            && let Some(&slab) = grabbed.get(used)
        {
            taken += self.take_up_to(slab, wanted - taken, into);
            used += 1;
            self.place_surplus(cpu, slab, pages);
        }
        debug_assert!(used == grabbed.len() || self.sheaves().rules.last_grabbed_first, "in list order only the last one has a surplus");
        for &slab in &grabbed[used..] {
            if self.slabs[slab].inuse == 0 && self.has_enough_partial(slab) {
                self.discard(slab, pages);
                self.uncounted_discards += 1;
            } else {
                self.add_partial(slab, End::Head);
            }
        }
        grabbed.clear();
        self.sheaves().grabbed = grabbed;
        taken
    }

    /// What a refill leaves of a slab goes to the tail of its node's list: by the free path up to 7.1, with its counter.
    fn place_surplus(&mut self, cpu: u16, slab: SlabId, pages: &mut dyn PageSource) {
        if self.slabs[slab].freelist == NO_OBJECT {
            self.slabs[slab].place = Place::Full;
        } else if self.sheaves().rules.surplus_freed {
            let head = self.take_freelist(slab);
            let surplus: Vec<ObjectIndex> = self.slabs.chain(slab, head).collect();
            self.free_to_slab(cpu, slab, &surplus, pages);
        } else {
            self.add_partial(slab, End::Tail);
        }
    }
}
