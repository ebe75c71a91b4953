//! Watermarks: `__setup_per_zone_wmarks()`, `boost_watermark()` and `__zone_watermark_ok()`, `mm/page_alloc.c`, 5.4 to 6.18.

use super::zone::{ORDERS, Zone};
use crate::mem::Rights;

/// Watermarks of a zone, in pages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// What only requests with rights to the reserves may go below.
    pub min: u64,
    /// What the first walk over the zones keeps.
    pub low: u64,
    /// What kswapd works towards.
    pub high: u64,
    /// What fragmentation adds to all of them (`watermark_boost`).
    pub boost: u64,
    /// Moment of the last rise of the boost; `None` until the clock has passed over one.
    pub(crate) boosted_at_ns: Option<u64>,
    /// The boost rose since the clock was last looked at.
    pub(crate) is_fresh: bool,
    /// Kept from requests whose highest zone is the one of that index (`lowmem_reserve`).
    pub reserve: Vec<u64>,
    /// Pages that the zone manages.
    pub managed: u64,
}

/// How long a boost lasts: it stands in for kswapd, which takes the boost away once it has balanced the node. No trace shows when.
const BOOST_LASTS_NS: u64 = 100_000_000;

/// `vm.watermark_boost_factor`, in ten-thousandths of the high mark.
const BOOST_FACTOR: u64 = 15_000;

/// Which mark a walk over the zones keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Mark {
    Low,
    Min,
}

impl Marks {
    /// The marks of a zone with `managed` pages of `lowmem` in all, by `min_free_kbytes` in pages.
    #[must_use]
    pub fn of(managed: u64, lowmem: u64, min_free_pages: u64) -> Self {
        let min = min_free_pages.saturating_mul(managed).checked_div(lowmem).unwrap_or(0);
        // `vm.watermark_scale_factor` is 10 ten-thousandths.
        let step = (min / 4).max(managed / 1000);
        Self { min, low: min + step, high: min + 2 * step, managed, ..Self::default() }
    }

    /// `boost_watermark()`: pages were taken from another type's pageblock.
    pub(super) fn boost(&mut self, pageblock_order: u8) {
        let pageblock = 1_u64 << pageblock_order;
        // A zone of a few pageblocks would be all boost.
        if pageblock * 4 > self.managed {
            return;
        }
        let most = self.high.saturating_mul(BOOST_FACTOR) / 10_000;
        if most == 0 {
            return;
        }
        self.boost = (self.boost + pageblock).min(most.max(pageblock));
        self.is_fresh = true;
    }

    /// Lets the boost go once it has lasted.
    pub(super) fn settle(&mut self, now_ns: u64) {
        if std::mem::take(&mut self.is_fresh) {
            self.boosted_at_ns = Some(now_ns);
        } else if self.boosted_at_ns.is_some_and(|since| now_ns.saturating_sub(since) > BOOST_LASTS_NS) {
            (self.boost, self.boosted_at_ns) = (0, None);
        }
    }
}

impl Zone {
    /// `__zone_watermark_ok()`: whether a request may take a block of `order` here. `highest` is the index of the highest zone that it
    /// may use. Blocks on CPUs' lists do not count, even those of the CPU that asks.
    pub(super) fn watermark_ok(&self, order: u8, mark: Mark, highest: usize, rights: Rights) -> bool {
        let marks = &self.marks;
        let mut min = marks.boost
            + match mark {
                Mark::Low => marks.low,
                Mark::Min => marks.min,
            };
        // GFP_ATOMIC may use five eighths of what is kept (ALLOC_MIN_RESERVE and ALLOC_NON_BLOCK); the first walk is for everybody.
        if mark == Mark::Min && rights == Rights::Atomic {
            min -= min / 2;
            min -= min / 4;
        }
        // A single page for GFP_ATOMIC may be had in spite of the boost.
        if order == 0 && mark == Mark::Min && rights == Rights::Atomic {
            min = min.min(marks.min);
        }
        let reserve = marks.reserve.get(highest).copied().unwrap_or(0);
        let usable = self.free as i64 - ((1_i64 << order) - 1);
        if usable <= min.saturating_add(reserve) as i64 {
            return false;
        }
        order == 0 || self.free_blocks[usize::from(order)..ORDERS].iter().any(|&blocks| blocks > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three zones of a live machine with 67,584 kB of `min_free_kbytes` (page-allocator literature: 16,896 pages).
    #[test]
    fn marks_of_a_live_machine() {
        let managed = [3840, 772_915, 2_359_296];
        let lowmem = managed.iter().sum();
        let marks = managed.map(|managed| Marks::of(managed, lowmem, 16_896)).map(|marks| (marks.min, marks.low, marks.high));
        assert_eq!(marks, [(20, 25, 30), (4164, 5205, 6246), (12_711, 15_888, 19_065)]);
    }

    #[test]
    fn a_boost_is_a_pageblock_up_to_one_and_a_half_times_the_high_mark() {
        let mut marks = Marks { high: 1033, managed: 124_800, ..Marks::default() };
        let boosts = [(); 4].map(|()| {
            marks.boost(9);
            marks.boost
        });
        assert_eq!(boosts, [512, 1024, 1536, 1033 * 3 / 2]);
        marks.settle(1000);
        marks.settle(1000 + BOOST_LASTS_NS);
        assert_eq!(marks.boost, 1549);
        marks.settle(1001 + BOOST_LASTS_NS);
        assert_eq!(marks.boost, 0);
        let mut small = Marks { high: 1033, managed: 2047, ..Marks::default() };
        small.boost(9);
        assert_eq!(small.boost, 0);
    }
}
