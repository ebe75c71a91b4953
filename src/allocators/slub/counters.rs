//! The counters of `CONFIG_SLUB_STATS`.

/// A counter, by its name in sysfs (`enum stat_item`, `mm/slub.c`, 3.6 to 6.17).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Counter {
    /// Allocation from the CPU's own freelist.
    AllocFastpath,
    /// Allocation that entered the slow path.
    AllocSlowpath,
    /// Objects freed to the CPU's own freelist (objects since 6.8, calls before).
    FreeFastpath,
    /// Calls that freed to a slab.
    FreeSlowpath,
    /// Free into a slab that is some CPU's cpu slab.
    FreeFrozen,
    /// Slab added to a node partial list by a free or a drain.
    FreeAddPartial,
    /// Slab removed from a node partial list by its last free.
    FreeRemovePartial,
    /// Slab taken from a node partial list as cpu slab.
    AllocFromPartial,
    /// New slab.
    AllocSlab,
    /// Cpu slab refilled from objects freed remotely into it.
    AllocRefill,
    /// Cpu slab given up because it is not on the node asked for.
    AllocNodeMismatch,
    /// Slab given back to the page allocator.
    FreeSlab,
    /// Cpu slab flushed.
    CpuslabFlush,
    /// Cpu slab deactivated without a free object.
    DeactivateFull,
    /// Slab discarded because it was empty when its CPU gave it up.
    DeactivateEmpty,
    /// Cpu slab deactivated to the head of a node partial list.
    DeactivateToHead,
    /// Cpu slab deactivated to the tail of a node partial list.
    DeactivateToTail,
    /// Cpu slab deactivated that held remotely freed objects.
    DeactivateRemoteFrees,
    /// Exhausted cpu slab dropped without touching a list.
    DeactivateBypass,
    /// Slab of the minimum order after the preferred order failed.
    OrderFallback,
    /// Slab word changed by another CPU meanwhile.
    CmpxchgDoubleFail,
    /// Freelist changed by an interrupt or migration meanwhile.
    CmpxchgDoubleCpuFail,
    /// Slab of the CPU partial list became the cpu slab.
    CpuPartialAlloc,
    /// Slab put on a CPU partial list by a free.
    CpuPartialFree,
    /// Slab put on a CPU partial list from a node partial list.
    CpuPartialNode,
    /// CPU partial list drained to the node lists.
    CpuPartialDrain,
}

impl Counter {
    /// Number of counters.
    pub const COUNT: usize = 26;

    /// All counters, in the order of their values.
    pub const ALL: [Self; Self::COUNT] = [
        Self::AllocFastpath,
        Self::AllocSlowpath,
        Self::FreeFastpath,
        Self::FreeSlowpath,
        Self::FreeFrozen,
        Self::FreeAddPartial,
        Self::FreeRemovePartial,
        Self::AllocFromPartial,
        Self::AllocSlab,
        Self::AllocRefill,
        Self::AllocNodeMismatch,
        Self::FreeSlab,
        Self::CpuslabFlush,
        Self::DeactivateFull,
        Self::DeactivateEmpty,
        Self::DeactivateToHead,
        Self::DeactivateToTail,
        Self::DeactivateRemoteFrees,
        Self::DeactivateBypass,
        Self::OrderFallback,
        Self::CmpxchgDoubleFail,
        Self::CmpxchgDoubleCpuFail,
        Self::CpuPartialAlloc,
        Self::CpuPartialFree,
        Self::CpuPartialNode,
        Self::CpuPartialDrain,
    ];

    /// Name of the file in sysfs.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllocFastpath => "alloc_fastpath",
            Self::AllocSlowpath => "alloc_slowpath",
            Self::FreeFastpath => "free_fastpath",
            Self::FreeSlowpath => "free_slowpath",
            Self::FreeFrozen => "free_frozen",
            Self::FreeAddPartial => "free_add_partial",
            Self::FreeRemovePartial => "free_remove_partial",
            Self::AllocFromPartial => "alloc_from_partial",
            Self::AllocSlab => "alloc_slab",
            Self::AllocRefill => "alloc_refill",
            Self::AllocNodeMismatch => "alloc_node_mismatch",
            Self::FreeSlab => "free_slab",
            Self::CpuslabFlush => "cpuslab_flush",
            Self::DeactivateFull => "deactivate_full",
            Self::DeactivateEmpty => "deactivate_empty",
            Self::DeactivateToHead => "deactivate_to_head",
            Self::DeactivateToTail => "deactivate_to_tail",
            Self::DeactivateRemoteFrees => "deactivate_remote_frees",
            Self::DeactivateBypass => "deactivate_bypass",
            Self::OrderFallback => "order_fallback",
            Self::CmpxchgDoubleFail => "cmpxchg_double_fail",
            Self::CmpxchgDoubleCpuFail => "cmpxchg_double_cpu_fail",
            Self::CpuPartialAlloc => "cpu_partial_alloc",
            Self::CpuPartialFree => "cpu_partial_free",
            Self::CpuPartialNode => "cpu_partial_node",
            Self::CpuPartialDrain => "cpu_partial_drain",
        }
    }
}

/// Counters of one CPU.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CpuCounts([u64; Counter::COUNT]);

impl CpuCounts {
    /// Value of a counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    #[inline]
    pub(super) fn add(&mut self, counter: Counter, amount: u64) {
        self.0[counter as usize] += amount;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_the_order_of_the_values() {
        for (index, counter) in Counter::ALL.into_iter().enumerate() {
            assert_eq!(counter as usize, index, "{}", counter.name());
        }
    }
}
