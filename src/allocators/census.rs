//! Slabs as analyses see them, whatever the allocator.

use super::SlabId;

/// A slab at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabFacts {
    /// Which slab.
    pub slab: SlabId,
    /// How many slabs have had its number, itself included.
    pub life: u32,
    /// Where it is.
    pub place: SlabPlace,
    /// Objects it is made of.
    pub objects: u16,
    /// Objects that are free in it, on its own freelist or that of the CPU that allocates from it.
    pub free: u16,
    /// Objects that are free but parked elsewhere: in sheaves, in SLAB's arrays.
    pub parked: u16,
    /// Order of its pages.
    pub order: u8,
    /// Its node.
    pub node: u16,
}

impl SlabFacts {
    /// Objects that somebody has.
    #[must_use]
    pub fn live(&self) -> u16 {
        self.objects.saturating_sub(self.free).saturating_sub(self.parked)
    }
}

/// Where a slab is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlabPlace {
    /// On no list that anything is allocated from: nothing in it is free.
    Full,
    /// The slab that a CPU allocates from.
    Cpu,
    /// On a CPU's partial list.
    CpuPartial,
    /// On a list of its node: `partial` of SLUB, `slabs_partial` and `slabs_free` of SLAB.
    Node,
}
