//! Taking cpu slabs away: `deactivate_slab()`, flushing and shrinking, 2.6.38 to 6.17.

use super::cache::Cache;
use super::counters::Counter;
use super::generation::Deactivation;
use super::node::End;
use super::slab::{NO_OBJECT, ObjectIndex, Place, SlabId};
use crate::mem::PageSource;

/// Slabs with up to this many free objects are sorted when a cache is shrunk (`SHRINK_PROMOTE_MAX`).
pub(crate) const SHRINK_PROMOTE_MAX: usize = 32;

/// Up to this many CPUs, every order in which they may be flushed has a number; beyond, only those that go round from some CPU.
const PERMUTED: u16 = 5;

/// In how many orders CPUs may be flushed, at most 255.
#[must_use]
pub fn flush_orders(cpus: u16) -> u16 {
    if cpus <= PERMUTED { (1..=cpus).product() } else { cpus.min(255) }
}

/// The CPUs in the order of a number.
pub(crate) fn flush_order(cpus: u16, order: u16) -> Vec<u16> {
    if cpus > PERMUTED {
        return (0..cpus).map(|cpu| (order % cpus + cpu) % cpus).collect();
    }
    let mut left: Vec<u16> = (0..cpus).collect();
    let mut order = order % flush_orders(cpus);
    (0..cpus)
        .rev()
        .map(|rest| {
            let ways = (1..=rest).product::<u16>();
            let next = left.remove(usize::from(order / ways));
            order %= ways;
            next
        })
        .collect()
}

impl Cache {
    /// `deactivate_slab()`: the CPU's freelist goes back to the slab, and the slab to its node.
    pub(super) fn deactivate(&mut self, cpu: u16, pages: &mut dyn PageSource) {
        let own = &mut self.cpus[usize::from(cpu)];
        let id = std::mem::replace(&mut own.slab, SlabId::NONE);
        let head = std::mem::replace(&mut own.freelist, NO_OBJECT);
        let has_remote_frees = self.slabs[id].freelist != NO_OBJECT;
        if has_remote_frees {
            self.count(cpu, Counter::DeactivateRemoteFrees);
        }
        let has_own_objects = head != NO_OBJECT;
        self.give_back(id, head);
        let slab = &mut self.slabs[id];
        slab.place = Place::Transit;
        let (is_empty, is_full) = (slab.inuse == 0, slab.freelist == NO_OBJECT);
        let own_objects_to_head = self.rules.deactivation == Deactivation::OwnObjectsToHead;
        if is_empty && self.has_enough_partial(id) {
            self.count(cpu, Counter::DeactivateEmpty);
            self.discard(id, pages);
            self.count(cpu, Counter::FreeSlab);
        } else if is_empty && own_objects_to_head {
            self.count(cpu, Counter::DeactivateEmpty);
            self.add_partial(id, End::Tail);
        } else if is_full {
            self.slabs[id].place = Place::Full;
            self.count(cpu, Counter::DeactivateFull);
        } else if if own_objects_to_head { has_own_objects } else { !has_remote_frees } {
            self.add_partial(id, End::Head);
            self.count(cpu, Counter::DeactivateToHead);
        } else {
            self.add_partial(id, End::Tail);
            self.count(cpu, Counter::DeactivateToTail);
        }
    }

    /// Puts a CPU's freelist in front of the slab's own.
    fn give_back(&mut self, id: SlabId, head: u16) {
        if head == NO_OBJECT {
            return;
        }
        if self.rules.deactivation != Deactivation::Spliced {
            let objects: Vec<ObjectIndex> = self.slabs.chain(id, head).collect();
            for index in &objects {
                let rest = std::mem::replace(&mut self.slabs[id].freelist, *index);
                self.slabs.set_link(id, *index, rest);
            }
            self.slabs[id].inuse -= objects.len() as u16;
            return;
        }
        let (mut last, mut count) = (head, 0);
        for index in self.slabs.chain(id, head) {
            (last, count) = (index, count + 1);
        }
        let slab = &mut self.slabs[id];
        slab.inuse -= count;
        let rest = std::mem::replace(&mut slab.freelist, head);
        self.slabs.set_link(id, last, rest);
    }

    /// Takes away what a CPU holds (`__flush_cpu_slab()`): cpu slab and CPU partial list.
    pub fn flush_cpu(&mut self, cpu: u16, pages: &mut dyn PageSource) {
        self.flush_cpu_sheaves(cpu, pages);
        if !self.cpus[usize::from(cpu)].slab.is_none() {
            self.deactivate(cpu, pages);
            self.count(cpu, Counter::CpuslabFlush);
        }
        let parked = self.take_cpu_partial(cpu);
        self.put_partials(cpu, &parked, pages);
    }

    /// `kmem_cache_shrink()`: flushes all CPUs, discards empty slabs and sorts the node lists, fullest
    /// slabs first. Discards are not counted, as in the kernel.
    pub fn shrink(&mut self, pages: &mut dyn PageSource) {
        self.shrink_in_order(0, 0, pages);
    }

    /// The same, with CPUs flushed in one of `flush_orders()`. The kernel flushes them at the same time (`flush_all()`, in work queues
    /// since 5.15): whose slab comes to the head of a node's list last is chance. `by` is the CPU that shrinks: it empties the barns.
    pub fn shrink_in_order(&mut self, by: u16, order: u16, pages: &mut dyn PageSource) {
        for cpu in flush_order(self.topology.cpus(), order) {
            self.flush_cpu(cpu, pages);
        }
        self.shrink_barns(by, pages);
        for node in 0..self.nodes.len() {
            self.shrink_node(node, pages);
        }
    }

    fn shrink_node(&mut self, node: usize, pages: &mut dyn PageSource) {
        let listed: Vec<SlabId> = self.nodes[node].iter(&self.slabs).collect();
        let sorted = if self.rules.shrink_sorts_all { self.layout.objects as usize } else { SHRINK_PROMOTE_MAX };
        let mut by_free: Vec<Vec<SlabId>> = vec![Vec::new(); sorted + 1];
        for id in listed {
            let slab = &self.slabs[id];
            let free = usize::from(slab.free_objects());
            if slab.inuse == 0 {
                self.nodes[node].remove(&mut self.slabs, id);
                self.discard(id, pages);
                self.uncounted_discards += 1;
            } else if let Some(bucket) = by_free.get_mut(free) {
                bucket.push(id);
            }
        }
        // Each is put in front: the fullest last, so that they end up first. Within a bucket the kernel
        // reverses the order by putting each in front of its bucket; the two reversals are one here.
        for id in by_free.into_iter().rev().flatten() {
            self.nodes[node].remove(&mut self.slabs, id);
            self.nodes[node].add(&mut self.slabs, id, End::Head);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn orders_are_all_permutations_of_few_cpus_and_rotations_of_many() {
        let orders: BTreeSet<Vec<u16>> = (0..flush_orders(4)).map(|order| flush_order(4, order)).collect();
        assert_eq!(orders.len(), 24);
        assert!(orders.iter().all(|order| order.iter().copied().collect::<BTreeSet<_>>().len() == 4));
        assert_eq!((flush_order(4, 0), flush_order(1, 7)), (vec![0, 1, 2, 3], vec![0]));
        assert_eq!((flush_orders(6), flush_order(6, 4), flush_orders(1000)), (6, vec![4, 5, 0, 1, 2, 3], 255));
    }
}
