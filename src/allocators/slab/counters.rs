//! Counters of a cache: those of `CONFIG_DEBUG_SLAB` under the kernel's names, and a few that show where the work goes.

/// A counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SlabCounter {
    /// Allocations from the CPU's array.
    AllocHit,
    /// Allocations that had to refill it first.
    AllocMiss,
    /// Frees into the CPU's array.
    FreeHit,
    /// Frees that had to flush it first.
    FreeMiss,
    /// Objects moved from slabs into a CPU's array.
    ListAllocs,
    /// Objects taken from a slab of a node that was asked for.
    NodeAllocs,
    /// Frees of objects of another node.
    RemoteFrees,
    /// Of these, those that found the array for that node full.
    AlienOverflow,
    /// Slabs made.
    Grown,
    /// Slabs destroyed by the reaper.
    Reaped,
    /// Refills from the node's shared array.
    SharedRefill,
    /// Refills that found objects in slabs.
    SlabRefill,
    /// Refills that made a slab.
    GrowRefill,
    /// Flushes into the node's shared array.
    SharedFlush,
    /// Objects put back into slabs.
    FreedToSlab,
    /// Slabs destroyed because the node had more free objects than its limit.
    Trimmed,
    /// Slabs moved from one list of a node to another.
    ListMoves,
}

impl SlabCounter {
    /// All of them, in the order of their values.
    pub const ALL: [Self; 17] = [
        Self::AllocHit,
        Self::AllocMiss,
        Self::FreeHit,
        Self::FreeMiss,
        Self::ListAllocs,
        Self::NodeAllocs,
        Self::RemoteFrees,
        Self::AlienOverflow,
        Self::Grown,
        Self::Reaped,
        Self::SharedRefill,
        Self::SlabRefill,
        Self::GrowRefill,
        Self::SharedFlush,
        Self::FreedToSlab,
        Self::Trimmed,
        Self::ListMoves,
    ];

    /// Name for tables: the kernel's, where it has one.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllocHit => "allochit",
            Self::AllocMiss => "allocmiss",
            Self::FreeHit => "freehit",
            Self::FreeMiss => "freemiss",
            Self::ListAllocs => "listallocs",
            Self::NodeAllocs => "nodeallocs",
            Self::RemoteFrees => "remotefrees",
            Self::AlienOverflow => "alienoverflow",
            Self::Grown => "grown",
            Self::Reaped => "reaped",
            Self::SharedRefill => "shared_refill",
            Self::SlabRefill => "slab_refill",
            Self::GrowRefill => "grow_refill",
            Self::SharedFlush => "shared_flush",
            Self::FreedToSlab => "freed_to_slab",
            Self::Trimmed => "trimmed",
            Self::ListMoves => "list_moves",
        }
    }
}

/// Counters of one CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SlabCounts([u64; SlabCounter::ALL.len()]);

impl SlabCounts {
    /// A counter.
    #[must_use]
    pub fn get(&self, counter: SlabCounter) -> u64 {
        self.0[counter as usize]
    }

    #[inline]
    pub(super) fn add(&mut self, counter: SlabCounter, count: u64) {
        self.0[counter as usize] += count;
    }
}
