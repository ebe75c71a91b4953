//! Giving back: the periodic reaper, draining, shrinking, tuning at run time, destroying a cache.
//!
//! Source: `cache_reap()`, `drain_array()`, `drain_freelist()`, `reap_alien()`, `drain_cpu_caches()`, `__kmem_cache_shrink()`,
//! `__kmem_cache_shutdown()`, `do_tune_cpucache()`, `mm/slab.c`, Linux 6.1.

use super::array::ArrayCache;
use super::cache::{REAP_NODE_NS, SlabCache, cpus_of, free_limit, shared_array};
use super::counters::SlabCounter;
use super::geometry::Tunables;
use crate::mem::PageSource;

impl SlabCache {
    /// What a CPU's pass of the reaper does for this cache. `reap_node` is the node whose objects are looked after this time.
    pub fn reap(&mut self, cpu: u16, reap_node: u16, now_ns: u64, pages: &mut impl PageSource) {
        let node = self.topology.node_of(cpu);
        let number = usize::from(node);
        let has_alien = |array: &Option<ArrayCache>| array.as_ref().is_some_and(|array| !array.entries.is_empty());
        if self.nodes[number].alien.get(usize::from(reap_node)).is_some_and(has_alien) {
            self.drain_alien(cpu, number, reap_node, pages);
        }
        self.scratch.clear();
        drain_array(&mut self.cpus[usize::from(cpu)], &mut self.scratch);
        self.free_drained(cpu, node, pages);
        // One CPU of the node does this, whoever comes first.
        if self.nodes[number].next_reap > now_ns {
            return;
        }
        self.nodes[number].next_reap = now_ns + REAP_NODE_NS;
        self.scratch.clear();
        if let Some(shared) = &mut self.nodes[number].shared {
            drain_array(shared, &mut self.scratch);
        }
        self.free_drained(cpu, node, pages);
        if std::mem::take(&mut self.nodes[number].free_touched) {
            return;
        }
        let fifth = self.nodes[number].free_limit.div_ceil(5 * u64::from(self.spec.geometry.num));
        let reaped = self.drain_freelist(cpu, number, fifth, pages);
        self.counts[usize::from(cpu)].add(SlabCounter::Reaped, reaped);
    }

    fn free_drained(&mut self, cpu: u16, node: u16, pages: &mut impl PageSource) {
        if !self.scratch.is_empty() {
            self.free_block(cpu, node, pages);
        }
    }

    /// Destroys up to `most` slabs from the tail of the free list; returns how many.
    fn drain_freelist(&mut self, cpu: u16, node: usize, most: u64, pages: &mut impl PageSource) -> u64 {
        let mut count = 0;
        while count < most
            && let Some(slab) = self.nodes[node].free.tail()
        {
            self.unlink(slab);
            self.destroy(cpu, slab, pages);
            count += 1;
        }
        count
    }

    /// `drain_cpu_caches()`: empties every CPU's array, then those for other nodes, then the shared ones.
    fn drain_cpu_caches(&mut self, by: u16, cpus: impl Iterator<Item = u16>, pages: &mut impl PageSource) {
        for cpu in cpus {
            self.scratch.clear();
            self.scratch.append(&mut self.cpus[usize::from(cpu)].entries);
            self.free_block(cpu, self.topology.node_of(cpu), pages);
        }
        for here in 0..self.nodes.len() {
            for owner in 0..self.topology.nodes() {
                self.drain_alien(by, here, owner, pages);
            }
        }
        for node in 0..self.topology.nodes() {
            self.drain_shared(by, node, pages);
        }
    }

    fn drain_shared(&mut self, by: u16, node: u16, pages: &mut impl PageSource) {
        self.scratch.clear();
        if let Some(shared) = &mut self.nodes[usize::from(node)].shared {
            self.scratch.append(&mut shared.entries);
        }
        self.free_block(by, node, pages);
    }

    /// `__kmem_cache_shrink()` by a CPU: true if objects are left.
    pub fn shrink(&mut self, by: u16, pages: &mut impl PageSource) -> bool {
        self.drain_cpu_caches(by, 0..self.topology.cpus(), pages);
        for node in 0..self.nodes.len() {
            self.uncounted_destroyed += self.drain_freelist(by, node, u64::MAX, pages);
        }
        self.nodes.iter().any(|node| node.partial.len() + node.full.len() > 0)
    }

    /// `kmem_cache_destroy()` of the last reference: shrinks; false if objects are left, so that the cache has to stay.
    pub fn shutdown(&mut self, by: u16, pages: &mut impl PageSource) -> bool {
        !self.shrink(by, pages)
    }

    /// `do_tune_cpucache()`: other sizes of the arrays, as by writing to `/proc/slabinfo`; false if they are not accepted.
    /// Arrays for objects of other nodes keep theirs.
    pub fn tune(&mut self, by: u16, tunables: Tunables, pages: &mut impl PageSource) -> bool {
        let Some(tunables) = tunables.accepted() else { return false };
        self.spec.tunables = tunables;
        for cpu in 0..self.topology.cpus() {
            let new = ArrayCache::new(tunables.limit, tunables.batchcount);
            let mut old = std::mem::replace(&mut self.cpus[usize::from(cpu)], new);
            self.scratch.clear();
            self.scratch.append(&mut old.entries);
            self.free_block(by, self.topology.node_of(cpu), pages);
        }
        // All CPUs are there by now.
        self.spec.is_early = false;
        for node in 0..self.topology.nodes() {
            self.nodes[usize::from(node)].free_limit = free_limit(&self.spec, cpus_of(&self.topology, node));
            self.drain_shared(by, node, pages);
            self.nodes[usize::from(node)].shared = shared_array(tunables);
        }
        true
    }
}

/// What the reaper takes from an array: nothing if something was taken from it since the last time.
fn drain_array(array: &mut ArrayCache, drained: &mut Vec<crate::allocators::Object>) {
    if array.entries.is_empty() || std::mem::take(&mut array.touched) {
        return;
    }
    let count = array.drain_count();
    drained.extend(array.entries.drain(..count));
}
