//! Slabs that existed before the first operation.

use super::cache::SlabCache;
use super::table::Listed;
use crate::allocators::slub::Seed;
use crate::allocators::{ObjectIndex, SlabId};
use crate::list::End;

impl SlabCache {
    /// Adds a slab; objects that are not listed as free are in use. Free objects beyond the slab's size and repetitions are ignored.
    /// What was in arrays cannot be told apart, and is free in its slab.
    pub fn seed(&mut self, seed: &Seed) -> SlabId {
        let mut seen = vec![false; self.spec.geometry.num as usize];
        let is_new = |index: &ObjectIndex| seen.get_mut(usize::from(*index)).is_some_and(|seen| !std::mem::replace(seen, true));
        let free: Vec<ObjectIndex> = seed.free.iter().copied().filter(is_new).collect();
        let slab = self.slabs.add(seed.pages, 0);
        self.slabs.set_free(slab, &free);
        self.seeded_slabs += 1;
        let node = &mut self.nodes[usize::from(seed.pages.node)];
        node.total_slabs += 1;
        node.free_objects += free.len() as u64;
        let listed = match free.len() {
            0 => Listed::Full,
            count if count == seen.len() => Listed::Free,
            _ => Listed::Partial,
        };
        self.link(slab, listed, End::Tail);
        self.note_maximum();
        slab
    }
}
