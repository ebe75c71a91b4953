//! The counters of `CONFIG_SLUB_STATS`.

use super::sizing::KernelRelease;

/// A counter, by its name in sysfs (`enum stat_item`, `mm/slub.c`): the union over all releases. What a counter means changed in
/// places; [`Counter::of`] says which a release has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Counter {
    /// Allocation from the CPU's own freelist; from 7.0 on, from a sheaf.
    AllocFastpath,
    /// Allocation that entered the slow path.
    AllocSlowpath,
    /// Objects freed to the CPU's own freelist (objects since 6.8, calls before); from 7.0 on, to a sheaf.
    FreeFastpath,
    /// Calls that freed to a slab; objects from 7.0 on.
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
    /// Allocation from a sheaf (6.18, 6.19).
    AllocCpuSheaf,
    /// Object freed to a sheaf (6.18, 6.19).
    FreeCpuSheaf,
    /// Object given to the sheaf that waits for a grace period.
    FreeRcuSheaf,
    /// Object that such a sheaf could not take.
    FreeRcuSheafFail,
    /// Objects moved from sheaves to slabs.
    SheafFlush,
    /// Objects moved from slabs to sheaves.
    SheafRefill,
    /// New sheaf.
    SheafAlloc,
    /// Sheaf given back.
    SheafFree,
    /// Full sheaf taken from a barn.
    BarnGet,
    /// No full sheaf in the barn.
    BarnGetFail,
    /// Full sheaf put into a barn.
    BarnPut,
    /// Full sheaf that the barn did not take.
    BarnPutFail,
    /// Prefilled sheaf that was the spare.
    SheafPrefillFast,
    /// Prefilled sheaf from the barn, or a new one.
    SheafPrefillSlow,
    /// Prefilled sheaf for more objects than sheaves of the cache hold.
    SheafPrefillOversize,
    /// Prefilled sheaf that became the spare again.
    SheafReturnFast,
    /// Prefilled sheaf that went to the barn, or away.
    SheafReturnSlow,
}

impl Counter {
    /// Number of counters.
    pub const COUNT: usize = 43;

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
        Self::AllocCpuSheaf,
        Self::FreeCpuSheaf,
        Self::FreeRcuSheaf,
        Self::FreeRcuSheafFail,
        Self::SheafFlush,
        Self::SheafRefill,
        Self::SheafAlloc,
        Self::SheafFree,
        Self::BarnGet,
        Self::BarnGetFail,
        Self::BarnPut,
        Self::BarnPutFail,
        Self::SheafPrefillFast,
        Self::SheafPrefillSlow,
        Self::SheafPrefillOversize,
        Self::SheafReturnFast,
        Self::SheafReturnSlow,
    ];

    /// The 18 of 2.6.38 and 3.0.
    const OLDEST: [Self; 18] = [
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
        Self::FreeSlab,
        Self::CpuslabFlush,
        Self::DeactivateFull,
        Self::DeactivateEmpty,
        Self::DeactivateToHead,
        Self::DeactivateToTail,
        Self::DeactivateRemoteFrees,
        Self::OrderFallback,
    ];

    /// The 26 of 7.0 to 7.3: no cpu slabs any more.
    const WITHOUT_CPU_SLABS: [Self; 26] = [
        Self::AllocFastpath,
        Self::AllocSlowpath,
        Self::FreeFastpath,
        Self::FreeSlowpath,
        Self::FreeAddPartial,
        Self::FreeRemovePartial,
        Self::AllocSlab,
        Self::AllocNodeMismatch,
        Self::FreeSlab,
        Self::OrderFallback,
        Self::CmpxchgDoubleFail,
        Self::FreeRcuSheaf,
        Self::FreeRcuSheafFail,
        Self::SheafFlush,
        Self::SheafRefill,
        Self::SheafAlloc,
        Self::SheafFree,
        Self::BarnGet,
        Self::BarnGetFail,
        Self::BarnPut,
        Self::BarnPutFail,
        Self::SheafPrefillFast,
        Self::SheafPrefillSlow,
        Self::SheafPrefillOversize,
        Self::SheafReturnFast,
        Self::SheafReturnSlow,
    ];

    /// The counters that a release has in sysfs.
    #[must_use]
    pub fn of(release: KernelRelease) -> &'static [Self] {
        if release.since(7, 0) {
            &Self::WITHOUT_CPU_SLABS
        } else if release.since(6, 18) {
            &Self::ALL
        } else if release.since(3, 6) {
            &Self::ALL[..26]
        } else if release.since(3, 2) {
            &Self::ALL[..24]
        } else if release.since(3, 1) {
            &Self::ALL[..22]
        } else {
            &Self::OLDEST
        }
    }

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
            Self::AllocCpuSheaf => "alloc_cpu_sheaf",
            Self::FreeCpuSheaf => "free_cpu_sheaf",
            Self::FreeRcuSheaf => "free_rcu_sheaf",
            Self::FreeRcuSheafFail => "free_rcu_sheaf_fail",
            Self::SheafFlush => "sheaf_flush",
            Self::SheafRefill => "sheaf_refill",
            Self::SheafAlloc => "sheaf_alloc",
            Self::SheafFree => "sheaf_free",
            Self::BarnGet => "barn_get",
            Self::BarnGetFail => "barn_get_fail",
            Self::BarnPut => "barn_put",
            Self::BarnPutFail => "barn_put_fail",
            Self::SheafPrefillFast => "sheaf_prefill_fast",
            Self::SheafPrefillSlow => "sheaf_prefill_slow",
            Self::SheafPrefillOversize => "sheaf_prefill_oversize",
            Self::SheafReturnFast => "sheaf_return_fast",
            Self::SheafReturnSlow => "sheaf_return_slow",
        }
    }
}

/// Counters of one CPU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CpuCounts([u64; Counter::COUNT]);

impl Default for CpuCounts {
    fn default() -> Self {
        Self([0; Counter::COUNT])
    }
}

impl CpuCounts {
    /// Value of a counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0[counter as usize]
    }

    #[inline]
    pub(crate) fn add(&mut self, counter: Counter, amount: u64) {
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
    /// slub-paths.md 3, the totals and the names that come and go.
    #[test]
    fn each_release_has_its_own_set() {
        let of = |major, minor| Counter::of(KernelRelease::new(major, minor, 0));
        let sizes = [(2, 6), (3, 0), (3, 1), (3, 2), (3, 6), (5, 10), (6, 17), (6, 18), (6, 19), (7, 0), (7, 3)];
        assert_eq!(sizes.map(|(major, minor)| of(major, minor).len()), [18, 18, 22, 24, 26, 26, 26, 43, 43, 26, 26]);
        for (counter, from, to) in [
            (Counter::AllocNodeMismatch, (3, 1), (7, 3)),
            (Counter::DeactivateBypass, (3, 1), (6, 19)),
            (Counter::CmpxchgDoubleCpuFail, (3, 1), (6, 19)),
            (Counter::CpuPartialFree, (3, 2), (6, 19)),
            (Counter::CpuPartialDrain, (3, 6), (6, 19)),
            (Counter::AllocRefill, (2, 6), (6, 19)),
            (Counter::AllocFromPartial, (2, 6), (6, 19)),
            (Counter::AllocCpuSheaf, (6, 18), (6, 19)),
            (Counter::SheafReturnSlow, (6, 18), (7, 3)),
        ] {
            for at in sizes {
                assert_eq!(of(at.0, at.1).contains(&counter), (from..=to).contains(&at), "{} in {at:?}", counter.name());
            }
        }
    }
}
