//! Emptying sheaves: flushing, shrinking, destroying, CPUs going offline.

use super::{Cache, Sheaf};
use crate::allocators::slub::counters::Counter;
use crate::allocators::slub::slab::SlabId;
use crate::mem::PageSource;

impl Cache {
    /// Moves all objects of a sheaf to slabs (`sheaf_flush_unused()`).
    pub(super) fn flush_sheaf(&mut self, cpu: u16, sheaf: &mut Sheaf, pages: &mut dyn PageSource) {
        let size = sheaf.objects.len();
        self.add_count(cpu, Counter::SheafFlush, size);
        let sheaves = self.sheaves();
        if sheaf.capacity != sheaves.capacity {
            sheaves.ledger.oversize_flushed += size as u64;
        }
        self.free_array(cpu, &mut sheaf.objects, pages);
    }

    fn flush_and_free(&mut self, cpu: u16, mut sheaf: Sheaf, pages: &mut dyn PageSource) {
        self.flush_sheaf(cpu, &mut sheaf, pages);
        self.free_sheaf(cpu, sheaf, pages);
    }

    /// Takes the sheaves of a CPU away, but for main, which is emptied (`pcs_flush_all()`).
    pub(in crate::allocators::slub) fn flush_cpu_sheaves(&mut self, cpu: u16, pages: &mut dyn PageSource) {
        if self.sheaves.is_none() {
            return;
        }
        let spare = self.own_sheaves(cpu).spare.take();
        self.flush_rcu_sheaf(cpu);
        if let Some(spare) = spare {
            self.flush_and_free(cpu, spare, pages);
        }
        self.flush_main(cpu, pages);
    }

    /// `barn_shrink()` of all nodes, by a CPU.
    pub(in crate::allocators::slub) fn shrink_barns(&mut self, cpu: u16, pages: &mut dyn PageSource) {
        for node in 0..self.sheaves.as_deref().map_or(0, |sheaves| sheaves.barns.len()) {
            let barn = std::mem::take(&mut self.sheaves().barns[node]);
            for sheaf in barn.full.into_iter().rev().chain(barn.empty.into_iter().rev()) {
                self.flush_and_free(cpu, sheaf, pages);
            }
        }
    }

    /// A CPU goes offline; `by` is the one that sees to it (`slub_cpu_dead()`, from 7.0 on `__pcs_flush_all_cpu()`).
    pub fn offline_cpu(&mut self, cpu: u16, by: u16, pages: &mut dyn PageSource) {
        if self.sheaves.is_some() {
            let main = &mut self.own_sheaves(cpu).main;
            let mut flushed = Sheaf { objects: std::mem::take(&mut main.objects), ..*main };
            self.flush_sheaf(by, &mut flushed, pages);
            // Its memory for objects stays with the main sheaf.
            self.own_sheaves(cpu).main.objects = flushed.objects;
            if let Some(spare) = self.own_sheaves(cpu).spare.take() {
                self.flush_and_free(by, spare, pages);
            }
            self.flush_rcu_sheaf(cpu);
        }
        self.flush_cpu(cpu, pages);
    }

    /// `kmem_cache_destroy()` of a cache that nobody shares: waits for RCU, flushes all CPUs and barns, discards empty slabs uncounted.
    /// True if nothing is left; then the main sheaves are gone too and the cache must not be used any more. Otherwise the kernel
    /// complains and leaks the cache. In 6.18 and 6.19 that can come from objects in barns: they are flushed after the CPUs, and the
    /// first free object of a full slab parks it on a CPU's partial list.
    pub fn destroy(&mut self, cpu: u16, pages: &mut dyn PageSource) -> bool {
        if self.sheaves.is_some() {
            for each in 0..self.topology.cpus() {
                self.flush_rcu_sheaf(each);
            }
            self.finish_rcu(cpu, pages);
        }
        for each in 0..self.topology.cpus() {
            self.flush_cpu(each, pages);
        }
        self.shrink_barns(cpu, pages);
        for node in 0..self.nodes.len() {
            let listed: Vec<SlabId> = self.nodes[node].iter(&self.slabs).collect();
            for slab in listed {
                if self.slabs[slab].inuse == 0 {
                    self.nodes[node].remove(&mut self.slabs, slab);
                    self.discard(slab, pages);
                    self.uncounted_discards += 1;
                }
            }
        }
        if self.slab_count() > 0 {
            return false;
        }
        let Some(capacity) = self.sheaves.as_deref().map(|sheaves| sheaves.capacity).filter(|&capacity| capacity > 0) else { return true };
        let mains = std::mem::take(&mut self.sheaves().cpus);
        for own in mains {
            debug_assert_eq!((own.main.objects.len(), own.main.capacity), (0, capacity));
            self.free_sheaf(cpu, own.main, pages);
        }
        true
    }
}
