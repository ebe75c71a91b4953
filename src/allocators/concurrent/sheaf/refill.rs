//! Objects in numbers from slabs: `refill_objects()`.

use super::{CpuSheaves, SheafCache};
use crate::allocators::concurrent::memory::Address;
use crate::allocators::concurrent::node::{End, Node};
use crate::allocators::concurrent::path::{Path, Request};
use crate::allocators::concurrent::probe::Probe;
use crate::allocators::concurrent::slab::SlabId;
use crate::allocators::concurrent::slabs::Effort;

impl SheafCache {
    /// Adds `wanted` objects to an array; returns how many there were to be had, and by what path.
    pub(super) fn refill_objects<P: Probe>(
        &self,
        own: &mut CpuSheaves,
        wanted: usize,
        into: &mut Vec<Address>,
        probe: &mut P,
    ) -> (usize, Path) {
        let local = &self.slabs.nodes[usize::from(own.node)];
        let mut missing = wanted - self.refill_from_node(own, local, wanted, into, probe);
        for node in self.slabs.with_spare(own.cpu) {
            if missing > 0 {
                missing -= self.refill_from_node(own, node, missing, into, probe);
            }
        }
        if missing == 0 {
            return (wanted, Path::AllocNodePartial);
        }
        while missing > 0 {
            let Some(slab) = self.slabs.new_slab(own.cpu, Request::default(), Effort::Full, probe) else { break };
            missing -= self.slabs.take_of_new(slab, missing, into, probe);
        }
        (wanted - missing, Path::AllocNewSlab)
    }

    /// `__refill_objects_node()`: grabs slabs off a node's list until they have what is wanted, then empties them.
    fn refill_from_node<P: Probe>(
        &self,
        own: &mut CpuSheaves,
        node: &Node,
        wanted: usize,
        into: &mut Vec<Address>,
        probe: &mut P,
    ) -> usize {
        if node.nr_partial() == 0 {
            return 0;
        }
        let mut grabbed = std::mem::take(&mut own.grabbed);
        let mut free = 0;
        let mut list = node.lock(self.slabs.memory(), probe);
        while free < wanted {
            let Some(slab) = list.take_first() else { break };
            free += usize::from(self.slabs.memory().slab(slab).glance().free());
            grabbed.push(slab);
        }
        drop(list);
        if self.sheaves.last_grabbed_first {
            grabbed.reverse();
        }
        let before = into.len();
        let mut used = 0;
        while into.len() < before + wanted
            && let Some(&slab) = grabbed.get(used)
        {
            self.empty_slab(slab, before + wanted, into, probe);
            used += 1;
        }
        self.put_back(node, &grabbed[used..], probe);
        grabbed.clear();
        own.grabbed = grabbed;
        into.len() - before
    }

    /// Takes a slab's freelist, which nobody else can take from, until the array has `full` objects. What is left goes to the tail of
    /// the node's list.
    fn empty_slab<P: Probe>(&self, slab: SlabId, full: usize, into: &mut Vec<Address>, probe: &mut P) {
        let mut next = self.slabs.take_freelist(slab, |_| false, probe);
        while let Some(object) = next.filter(|_| into.len() < full) {
            next = self.slabs.link(object);
            into.push(object);
        }
        if next.is_none() {
            return;
        }
        let surplus: Vec<Address> = self.slabs.chain(next).collect();
        if self.sheaves.surplus_freed || !self.slabs.put_surplus(slab, &surplus, probe) {
            // As a free does, with its counter: up to 7.1, and whenever somebody freed into the slab meanwhile.
            self.slabs.free_to_slab(slab, self.slabs.linked(&surplus), false, probe);
        }
    }

    /// Slabs that a refill grabbed and did not get to: to the head one by one, empty ones discarded, uncounted (7.0, 7.1); from 7.2 on
    /// to the tail as they are, which takes that a slab had gained objects since it was grabbed.
    fn put_back<P: Probe>(&self, node: &Node, slabs: &[SlabId], probe: &mut P) {
        if slabs.is_empty() {
            return;
        }
        let mut empty = Vec::new();
        let mut list = node.lock(self.slabs.memory(), probe);
        for &slab in slabs {
            if !self.sheaves.last_grabbed_first {
                list.add(slab, End::Tail);
            } else if self.slabs.memory().slab(slab).glance().inuse() == 0 && list.len() >= self.slabs.layout.min_partial {
                empty.push(slab);
            } else {
                list.add(slab, End::Head);
            }
        }
        drop(list);
        for slab in empty {
            self.slabs.discard_uncounted(slab, probe);
        }
    }
}
