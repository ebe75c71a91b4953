//! The conservation laws of a cache.

use super::array::ArrayCache;
use super::cache::{Node, SlabCache};
use super::counters::SlabCounter;
use super::table::Listed;
use crate::allocators::violation::{Violation, holds};
use crate::allocators::{Object, SlabId};

impl SlabCache {
    /// Checks every law. `live` is the number of objects that the caller holds, where it knows.
    ///
    /// * In every slab: free indices + `active` = objects, and no index twice.
    /// * Every slab is on the one list that its `active` puts it on: full at `num`, free at 0, else partial.
    /// * `free_objects` = sum of `num - active` over the node's slabs; `total_slabs` = length of its lists.
    /// * No array holds more than its limit; each holds objects of its own node, none of them free in its slab or in two arrays.
    /// * Objects out of slabs = live + in arrays.
    /// * Slabs = seeded + grown - reaped - trimmed - shrunk.
    ///
    /// # Errors
    ///
    /// The first law that is broken.
    pub fn validate(&self, live: Option<u64>) -> Result<(), Violation> {
        let num = self.spec.geometry.num as usize;
        let mut out: Vec<Vec<bool>> = Vec::new();
        for (id, slab) in self.slabs.iter() {
            let mut is_out = vec![true; num];
            for &index in self.slabs.free_indices(id) {
                let fresh = is_out.get_mut(usize::from(index)).is_some_and(|out| std::mem::replace(out, false));
                holds("a slab's stack holds each free index once", fresh, || format!("{id:?}, index {index}"))?;
            }
            let expected = match usize::from(slab.active) {
                0 => Listed::Free,
                active if active == num => Listed::Full,
                _ => Listed::Partial,
            };
            holds("a slab is on the list of its state", slab.listed == expected, || format!("{id:?}: {:?}", slab.listed))?;
            out.resize(id.index(), Vec::new());
            out.push(is_out);
        }
        for (number, node) in (0..).zip(&self.nodes) {
            self.check_node(number, node)?;
        }
        for (cpu, array) in (0..).zip(&self.cpus) {
            self.check_array(array, self.topology.node_of(cpu), &mut out)?;
        }
        for (number, node) in (0..).zip(&self.nodes) {
            node.shared.iter().try_for_each(|shared| self.check_array(shared, number, &mut out))?;
            let aliens = (0..).zip(&node.alien).filter_map(|(owner, alien)| Some((owner, alien.as_ref()?)));
            aliens.into_iter().try_for_each(|(owner, alien)| self.check_array(alien, owner, &mut out))?;
        }
        let total = |counter| self.total(counter);
        let gone = total(SlabCounter::Reaped) + total(SlabCounter::Trimmed) + self.uncounted_destroyed;
        let expected = self.seeded_slabs + total(SlabCounter::Grown) - gone;
        let count = self.slabs.count();
        holds("slabs = seeded + grown - destroyed", count == expected, || format!("{count} slabs, {expected} expected"))?;
        let Some(live) = live else { return Ok(()) };
        let (active, parked) = (self.active_objects(), self.parked());
        holds("objects out of slabs = live + in arrays", active == live + parked, || {
            format!("{active} out, {live} live, {parked} in arrays")
        })
    }

    fn check_node(&self, number: u16, node: &Node) -> Result<(), Violation> {
        let mut slabs = 0;
        let mut free_objects = 0;
        for (list, listed) in [(&node.partial, Listed::Partial), (&node.full, Listed::Full), (&node.free, Listed::Free)] {
            list.check(&self.slabs).map_err(|detail| Violation { law: "lists are linked both ways", detail })?;
            let on_list: Vec<SlabId> = list.iter(&self.slabs).collect();
            let own = |&id: &SlabId| self.slabs[id].listed == listed && self.slabs[id].pages.node == number;
            holds("a list holds slabs of its node that know it", on_list.iter().all(own), || format!("node {number}, {listed:?}"))?;
            holds("a list knows its length", on_list.len() as u64 == list.len(), || format!("node {number}, {listed:?}"))?;
            slabs += list.len();
            free_objects += on_list.iter().map(|&id| self.slabs.free_indices(id).len() as u64).sum::<u64>();
        }
        holds("total_slabs = slabs on the lists", slabs == node.total_slabs, || format!("node {number}: {slabs}, {}", node.total_slabs))?;
        let owned = self.slabs.iter().filter(|(_, slab)| slab.pages.node == number).count() as u64;
        holds("every slab is on a list of its node", owned == slabs, || format!("node {number}: {owned} slabs, {slabs} listed"))?;
        holds("free_objects = objects free in slabs", free_objects == node.free_objects, || {
            format!("node {number}: {free_objects} free, {} counted", node.free_objects)
        })
    }

    fn check_array(&self, array: &ArrayCache, node: u16, out: &mut [Vec<bool>]) -> Result<(), Violation> {
        holds("an array keeps its limit", array.avail() <= array.limit, || format!("{} of {}", array.avail(), array.limit))?;
        for &Object { slab, index } in &array.entries {
            let is_out = out.get_mut(slab.index()).and_then(|slab| slab.get_mut(usize::from(index)));
            let taken = is_out.is_some_and(|out| std::mem::replace(out, false));
            holds("an object in an array is out of its slab, and in no other array", taken, || format!("{slab:?}, index {index}"))?;
            holds("an array holds objects of its node", self.slabs[slab].pages.node == node, || format!("{slab:?}, node {node}"))?;
        }
        Ok(())
    }
}
