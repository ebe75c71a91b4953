//! Freeing: into the CPU's array, its flush, objects of other nodes, and back into slabs.
//!
//! Source: `___cache_free()`, `cache_flusharray()`, `__cache_free_alien()`, `__drain_alien_cache()`, `free_block()`,
//! `slab_destroy()`, `mm/slab.c`, Linux 6.1.

use super::array::ArrayCache;
use super::cache::{FreelistRequest, SlabCache};
use super::counters::SlabCounter;
use super::table::Listed;
use crate::allocators::{Object, SlabId};
use crate::list::End;
use crate::mem::PageSource;

impl SlabCache {
    /// Frees an object on a CPU; true if slabs may have gone or moved.
    #[inline]
    pub fn free(&mut self, cpu: u16, object: Object, pages: &mut impl PageSource) -> bool {
        if self.nodes.len() > 1 && self.node_of_slab(object.slab) != usize::from(self.topology.node_of(cpu)) {
            self.free_alien(cpu, object, pages);
            return true;
        }
        let is_full = self.cpus[usize::from(cpu)].is_full();
        if is_full {
            self.count(cpu, SlabCounter::FreeMiss);
            self.flush(cpu, pages);
        } else {
            self.count(cpu, SlabCounter::FreeHit);
        }
        self.cpus[usize::from(cpu)].entries.push(object);
        is_full
    }

    /// `cache_flusharray()`: makes room in a full array. A shared array takes what fits, and then the slabs get nothing.
    #[cold]
    fn flush(&mut self, cpu: u16, pages: &mut impl PageSource) {
        let number = self.topology.node_of(cpu);
        let array = &mut self.cpus[usize::from(cpu)];
        let batch = array.batchcount.min(array.avail());
        if let Some(shared) = &mut self.nodes[usize::from(number)].shared
            && shared.room() > 0
        {
            let count = batch.min(shared.room()) as usize;
            shared.entries.extend(array.entries.drain(..count));
            self.count(cpu, SlabCounter::SharedFlush);
            return;
        }
        self.scratch.clear();
        self.scratch.extend(array.entries.drain(..batch as usize));
        self.free_block(cpu, number, pages);
        let freeable = self.nodes[usize::from(number)].free.len();
        self.maximum.freeable = self.maximum.freeable.max(freeable);
    }

    /// `__cache_free_alien()`: an object of another node than the CPU's.
    #[cold]
    fn free_alien(&mut self, cpu: u16, object: Object, pages: &mut impl PageSource) {
        self.count(cpu, SlabCounter::RemoteFrees);
        let here = usize::from(self.topology.node_of(cpu));
        let node = self.slabs[object.slab].pages.node;
        let owner = usize::from(node);
        let Some(is_full) = self.nodes[here].alien[owner].as_ref().map(ArrayCache::is_full) else {
            self.scratch.clear();
            self.scratch.push(object);
            self.free_block(cpu, node, pages);
            return;
        };
        if is_full {
            self.count(cpu, SlabCounter::AlienOverflow);
            self.drain_alien(cpu, here, node, pages);
        }
        if let Some(alien) = &mut self.nodes[here].alien[owner] {
            alien.entries.push(object);
        }
    }

    /// `__drain_alien_cache()`: empties the array of node `here` for the objects of `node`.
    pub(super) fn drain_alien(&mut self, cpu: u16, here: usize, node: u16, pages: &mut impl PageSource) {
        let owner = usize::from(node);
        let Some(mut alien) = self.nodes[here].alien[owner].take() else { return };
        if let Some(shared) = &mut self.nodes[owner].shared {
            let most = alien.avail();
            let moved = alien.transfer(shared, most);
            shared.touched |= self.rules.shared_touched_by_alien && moved > 0;
        }
        self.scratch.clear();
        self.scratch.append(&mut alien.entries);
        self.nodes[here].alien[owner] = Some(alien);
        self.free_block(cpu, node, pages);
    }

    /// `free_block()`: puts the objects in `scratch` back into their slabs, and destroys free slabs above the node's limit.
    pub(super) fn free_block(&mut self, cpu: u16, node: u16, pages: &mut impl PageSource) {
        let mut objects = std::mem::take(&mut self.scratch);
        let number = usize::from(node);
        if !self.rules.destroys_emptied_slab {
            self.nodes[number].free_objects += objects.len() as u64;
        }
        self.counts[usize::from(cpu)].add(SlabCounter::FreedToSlab, objects.len() as u64);
        for object in objects.drain(..) {
            let slab = object.slab;
            let before = self.slabs[slab].listed;
            self.unlink(slab);
            self.slabs.put(object);
            if self.rules.destroys_emptied_slab {
                self.nodes[number].free_objects += 1;
            }
            let is_empty = self.slabs[slab].active == 0;
            if is_empty && self.rules.destroys_emptied_slab && self.is_above_limit(number) {
                self.count(cpu, SlabCounter::Trimmed);
                self.destroy(cpu, slab, pages);
                continue;
            }
            let listed = if is_empty { Listed::Free } else { Listed::Partial };
            if before != listed {
                self.count(cpu, SlabCounter::ListMoves);
            }
            // To the tail of partial: its other objects get the longest time to be freed too.
            self.link(slab, listed, if is_empty { End::Head } else { End::Tail });
        }
        self.scratch = objects;
        while !self.rules.destroys_emptied_slab
            && self.is_above_limit(number)
            && let Some(slab) = self.nodes[number].free.tail()
        {
            self.unlink(slab);
            self.count(cpu, SlabCounter::Trimmed);
            self.destroy(cpu, slab, pages);
        }
    }

    fn is_above_limit(&self, node: usize) -> bool {
        self.nodes[node].free_objects > self.nodes[node].free_limit
    }

    /// `slab_destroy()` of a wholly free slab that is on no list. The pages of a cache whose objects stay typed until a grace period
    /// is over go back at once too: no trace tells when it ends.
    pub(super) fn destroy(&mut self, cpu: u16, slab: SlabId, pages: &mut impl PageSource) {
        let node = self.node_of_slab(slab);
        let slab = self.slabs.remove(slab);
        let lists = &mut self.nodes[node];
        lists.free_objects -= u64::from(self.spec.geometry.num);
        lists.total_slabs -= 1;
        pages.free(slab.pages);
        if let Some(object) = slab.freelist {
            self.freelists.push(FreelistRequest::Free { cpu, object });
        }
    }
}
