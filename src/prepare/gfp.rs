//! gfp flags: which bits of a recording are which flag.
//!
//! Flags were renumbered several times, and a trace in text may have their names, which its reader turns into the numbers of
//! 5.4 and later whatever the kernel.

use slubreplay_parsers::recording::Info;

use super::since;
use crate::allocators::slub::Caller;
use crate::allocators::slub::sizing::KernelRelease;
use crate::allocators::slub::sizing::kmalloc::GfpBits;

/// Bits of the flags that a replay goes by. 0 where the release has no such flag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct GfpNumbers {
    reclaimable: u32,
    account: u32,
    this_node: u32,
    /// `__GFP_DIRECT_RECLAIM` and `__GFP_KSWAPD_RECLAIM`, where the release tells them apart.
    reclaim: Option<(u32, u32)>,
}

/// `__GFP_DMA`: the same in all releases.
const DMA: u32 = 0x1;

/// `__GFP_HIGH`: may use part of the reserves. The same in all releases.
const HIGH: u32 = 0x20;

impl GfpNumbers {
    /// The numbers in a recording of `release`.
    ///
    /// Source: `include/linux/gfp.h`, Linux 4.9, 4.19 and 5.4; those of 4.11 to 4.17 follow from flags that these kernels printed.
    pub(super) fn of(release: KernelRelease, recorded: &Info) -> Self {
        let old = Self { reclaimable: 0x10, account: 0x10_0000, this_node: 0x4_0000, reclaim: None };
        if recorded.gfp_by_name || release >= since(5, 4) {
            Self { reclaimable: 0x10, account: 0x40_0000, this_node: 0x20_0000, reclaim: Some((0x400, 0x800)) }
        } else if release >= since(4, 18) {
            Self { reclaim: Some((0x20_0000, 0x40_0000)), ..old }
        } else if release >= since(4, 11) {
            Self { reclaim: Some((0x40_0000, 0x100_0000)), ..old }
        } else if release >= since(4, 4) {
            Self { reclaim: Some((0x40_0000, 0x200_0000)), ..old }
        } else {
            Self { reclaimable: 0x8_0000, account: 0, ..old }
        }
    }

    /// Bits that choose the type of a kmalloc cache.
    pub(super) fn of_type(self) -> u32 {
        DMA | self.reclaimable | self.account
    }

    /// The flags that choose it.
    pub(super) fn type_of(self, gfp: u32) -> GfpBits {
        GfpBits { dma: gfp & DMA != 0, reclaimable: gfp & self.reclaimable != 0, account: self.asks_account(gfp) }
    }

    /// True of a request that is charged to a memory cgroup.
    pub(super) fn asks_account(self, gfp: u32) -> bool {
        gfp & self.account != 0
    }

    /// True of a request that only one node may serve.
    pub(super) fn is_this_node_only(self, gfp: u32) -> bool {
        gfp & self.this_node != 0
    }

    /// What the caller may do to get memory.
    pub(super) fn caller(self, gfp: u32) -> Caller {
        match self.reclaim {
            Some((direct, kswapd)) if gfp & direct == 0 => {
                if gfp & kswapd == 0 {
                    Caller::NoReclaim
                } else if gfp & HIGH != 0 {
                    Caller::High
                } else {
                    Caller::Atomic
                }
            }
            _ => Caller::Blocking,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a composite of the kernel, as its releases number it, lets its caller do.
    #[test]
    fn composites_of_every_numbering_are_understood() {
        let numbers = |major, minor| GfpNumbers::of(since(major, minor), &Info::default());
        for (numbers, kernel, atomic, nowait) in [
            (numbers(4, 9), 0x240_00c0, 0x208_0020, 0x200_0000),
            (numbers(4, 15), 0x140_00c0, 0x108_0020, 0x100_0000),
            (numbers(4, 19), 0x60_00c0, 0x48_0020, 0x40_0000),
            (numbers(5, 4), 0xcc0, 0xa20, 0x800),
            (numbers(6, 12), 0xcc0, 0x820, 0x2800),
        ] {
            let callers = [kernel, atomic, nowait, 0].map(|gfp| numbers.caller(gfp));
            assert_eq!(callers, [Caller::Blocking, Caller::High, Caller::Atomic, Caller::NoReclaim], "{numbers:x?}");
        }
        for (numbers, account) in [(numbers(4, 9), 0x250_00c0), (numbers(4, 19), 0x70_00c0), (numbers(5, 4), 0x40_0cc0)] {
            assert!(numbers.asks_account(account), "{numbers:x?}");
        }
    }

    #[test]
    fn names_have_the_numbers_of_later_kernels() {
        let by_name = Info { gfp_by_name: true, ..Info::default() };
        for release in [since(3, 10), since(4, 19)] {
            assert_eq!(GfpNumbers::of(release, &by_name), GfpNumbers::of(since(5, 4), &Info::default()));
            assert_ne!(GfpNumbers::of(release, &Info::default()), GfpNumbers::of(since(5, 4), &Info::default()));
        }
    }
}
