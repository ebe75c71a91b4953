//! Free blocks by order, and what they say of fragmentation: `unusable_free_index()` and `fragmentation_index()`, `mm/vmstat.c`.

use super::zone::ORDERS;

/// Free blocks by order, as in `/proc/buddyinfo`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FreeBlocks(pub [u64; ORDERS]);

impl FreeBlocks {
    /// Counts of a buddyinfo line; orders beyond those of the model are of its largest.
    #[must_use]
    pub fn counted(counts: &[u64]) -> Self {
        let mut blocks = Self::default();
        for (order, &count) in counts.iter().enumerate() {
            let largest = ORDERS - 1;
            let pieces = count.saturating_mul(1 << order.saturating_sub(largest).min(16));
            blocks.0[order.min(largest)] = blocks.0[order.min(largest)].saturating_add(pieces);
        }
        blocks
    }

    /// Free pages.
    #[must_use]
    pub fn pages(&self) -> u64 {
        self.0.iter().zip(0..).fold(0, |sum: u64, (&blocks, order)| sum.saturating_add(blocks.saturating_mul(1 << order)))
    }

    /// Both together.
    #[must_use]
    pub fn plus(&self, other: &Self) -> Self {
        Self(std::array::from_fn(|order| self.0[order] + other.0[order]))
    }

    /// Share of the free pages that is in blocks too small for an order, in thousandths: 0 if all can be used, 1000 if none. With no
    /// free page all count as unusable.
    #[must_use]
    pub fn unusable_index(&self, order: u8) -> u64 {
        let pages = self.pages();
        let usable: u64 = self.0.iter().zip(0_u8..).filter(|(_, at)| *at >= order).map(|(&blocks, at)| blocks << at).sum();
        // The kernel rounds the share of what cannot be used down.
        ((pages - usable) * 1000).checked_div(pages).unwrap_or(1000)
    }

    /// `fragmentation_index()` in thousandths: `None` (-1000 in the kernel) if there is a block of that order, else from 0, for lack of
    /// memory, to 1000, for fragmentation.
    #[must_use]
    pub fn fragmentation_index(&self, order: u8) -> Option<i64> {
        let blocks: u64 = self.0.iter().sum();
        if self.0[usize::from(order).min(ORDERS)..].iter().any(|&count| count > 0) {
            return None;
        }
        let wanted = 1_u64 << order;
        Some((1000 + self.pages() * 1000 / wanted).checked_div(blocks).map_or(0, |lack| 1000 - lack as i64))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indices_by_hand() {
        // 10 pages of order 0, 3 blocks of order 1, 1 of order 3: 24 pages.
        let blocks = FreeBlocks::counted(&[10, 3, 0, 1]);
        assert_eq!(blocks.pages(), 24);
        assert_eq!([0, 1, 2, 3, 4].map(|order| blocks.unusable_index(order)), [0, 416, 666, 666, 1000]);
        assert_eq!(blocks.fragmentation_index(3), None);
        // 1000 - (1000 + 24000 / 16) / 14 = 1000 - 178.
        assert_eq!(blocks.fragmentation_index(4), Some(822));
        assert_eq!(FreeBlocks::default().fragmentation_index(2), Some(0));
        assert_eq!(FreeBlocks::default().unusable_index(2), 1000);
    }
}
