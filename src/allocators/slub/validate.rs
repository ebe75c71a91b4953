//! The conservation laws of a cache.

use super::cache::Cache;
use super::counters::Counter;
use super::slab::{NO_OBJECT, Place, SlabId};
pub use crate::allocators::violation::Violation;
pub(super) use crate::allocators::violation::holds;

impl Cache {
    /// Checks every law. `live` is the number of objects that the caller holds, where it knows.
    ///
    /// * In every slab: objects on its freelist + objects in use = objects, and no object twice.
    /// * Every slab is in exactly one place, and every list holds what its place says.
    /// * Slabs on no list are full; slabs on a node list have a free object.
    /// * Slabs = seeded + `alloc_slab` - `free_slab` - uncounted discards.
    /// * Objects in use = live objects + free objects on CPUs' own freelists + free objects in sheaves.
    /// * The laws of sheaves, where the release has them.
    ///
    /// # Errors
    ///
    /// The first law that is broken.
    pub fn validate(&self, live: Option<u64>) -> Result<(), Violation> {
        let mut inuse = 0;
        for (id, slab) in self.slabs.iter() {
            inuse += u64::from(slab.inuse);
            self.check_freelist(id, slab.freelist, slab.free_objects())?;
            let has_free = slab.freelist != NO_OBJECT;
            match slab.place {
                Place::Full => holds("a slab on no list is full", !has_free, || format!("{id:?}"))?,
                Place::NodePartial => holds("a listed slab has a free object", has_free, || format!("{id:?}"))?,
                Place::Transit => holds("no slab is in transit between operations", false, || format!("{id:?}"))?,
                Place::Cpu(_) | Place::CpuPartial(_) => {}
            }
        }
        let own_free = self.check_cpus()?;
        self.check_nodes()?;
        let (made, freed) = (self.total(Counter::AllocSlab), self.total(Counter::FreeSlab));
        let expected = self.seeded_slabs + made - freed - self.uncounted_discards;
        holds("slabs = seeded + alloc_slab - free_slab - uncounted", self.slab_count() == expected, || {
            format!(
                "{} slabs, {} seeded, {made} allocated, {freed} freed, {} uncounted",
                self.slab_count(),
                self.seeded_slabs,
                self.uncounted_discards
            )
        })?;
        let parked = self.check_sheaves(inuse)?;
        let Some(live) = live else { return Ok(()) };
        holds("objects in use = live + free on cpus + in sheaves", inuse == live + own_free + parked, || {
            format!("{inuse} in use, {live} live, {own_free} on cpus, {parked} in sheaves")
        })
    }

    fn check_freelist(&self, id: SlabId, head: u16, expected: u16) -> Result<(), Violation> {
        let slab = &self.slabs[id];
        let mut seen = vec![false; usize::from(slab.objects)];
        let mut count = 0_u32;
        for index in self.slabs.chain(id, head) {
            let fresh = seen.get_mut(usize::from(index)).is_some_and(|seen| !std::mem::replace(seen, true));
            holds("a freelist holds each object of its slab once", fresh, || format!("{id:?}, object {index}"))?;
            count += 1;
        }
        holds("freelist + in use = objects", count == u32::from(expected), || {
            format!("{id:?}: {count} on the freelist, {expected} expected")
        })
    }

    /// Checks what CPUs hold; returns the free objects on their own freelists.
    fn check_cpus(&self) -> Result<u64, Violation> {
        let mut own_free = 0;
        let mut cpu_slabs = 0;
        let mut parked = 0;
        for (cpu, own) in (0..).zip(&self.cpus) {
            if own.slab.is_none() {
                holds("a CPU without a slab has no freelist", own.freelist == NO_OBJECT, || format!("CPU {cpu}"))?;
            } else {
                let place = self.slabs[own.slab].place;
                holds("a cpu slab knows its CPU", place == Place::Cpu(cpu), || format!("CPU {cpu}: {place:?}"))?;
                own_free += self.slabs.chain(own.slab, own.freelist).count() as u64;
                cpu_slabs += 1;
            }
            let listed: Vec<SlabId> = self.cpu_partial(cpu).collect();
            let placed = listed.iter().all(|&id| self.slabs[id].place == Place::CpuPartial(cpu) && self.slabs[id].freelist != NO_OBJECT);
            holds("a CPU partial list holds slabs with free objects that know it", placed, || format!("CPU {cpu}"))?;
            holds("a CPU partial list knows its length", listed.len() == own.partial_slabs as usize, || format!("CPU {cpu}"))?;
            parked += listed.len();
        }
        let places = |wanted: fn(Place) -> bool| self.slabs.iter().filter(|(_, slab)| wanted(slab.place)).count();
        holds("each cpu slab belongs to one CPU", places(|place| matches!(place, Place::Cpu(_))) == cpu_slabs, String::new)?;
        holds("each parked slab is on one list", places(|place| matches!(place, Place::CpuPartial(_))) == parked, String::new)?;
        Ok(own_free)
    }

    fn check_nodes(&self) -> Result<(), Violation> {
        for (number, node) in (0..).zip(&self.nodes) {
            node.check(&self.slabs).map_err(|detail| Violation { law: "lists are linked both ways", detail })?;
            let listed: Vec<SlabId> = node.iter(&self.slabs).collect();
            let own = |&id: &SlabId| self.slabs[id].place == Place::NodePartial && self.slabs[id].pages.node == number;
            holds("a node list holds slabs of its node", listed.iter().all(own), || format!("node {number}"))?;
            let placed = self.slabs.iter().filter(|(_, slab)| slab.place == Place::NodePartial && slab.pages.node == number).count();
            let counted = listed.len() == node.len() as usize && placed == listed.len();
            holds("nr_partial is the length of the list", counted, || {
                format!("node {number}: {} counted, {} listed, {placed} placed", node.len(), listed.len())
            })?;
        }
        Ok(())
    }
}
