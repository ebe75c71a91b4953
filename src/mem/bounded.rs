//! Pages of a range of frames that exist.

use super::{PageRequest, PageSource, Pages};

/// A source of the frames `0..frames`, on whatever node is asked for.
///
/// Freed blocks are handed out again, last freed first; larger ones are split when there are none, and new frames are used only then.
/// Blocks are not merged again.
#[derive(Debug, Clone)]
pub struct BoundedPages {
    frames: u64,
    /// Frames that were ever used.
    used: u64,
    /// Freed blocks by order.
    free: Vec<Vec<u64>>,
}

/// Orders that there are, as in the kernel.
const ORDERS: usize = 11;

impl BoundedPages {
    /// A source of so many frames.
    #[must_use]
    pub fn new(frames: u64) -> Self {
        Self { frames, used: 0, free: vec![Vec::new(); ORDERS] }
    }

    /// A freed block of exactly this order, perhaps split off a larger one.
    fn reuse(&mut self, order: usize) -> Option<u64> {
        let from = (order..ORDERS).find(|&order| !self.free[order].is_empty())?;
        let pfn = self.free[from].pop()?;
        for order in order..from {
            self.free[order].push(pfn + (1 << order));
        }
        Some(pfn)
    }

    /// Frames that were never used, at the alignment of the order; what is skipped for that stays free for smaller blocks.
    fn fresh(&mut self, order: usize) -> Option<u64> {
        let start = self.used.next_multiple_of(1 << order);
        let end = start + (1 << order);
        if end > self.frames {
            return None;
        }
        while self.used < start {
            let skipped = self.used.trailing_zeros().min(ORDERS as u32 - 1);
            self.free[skipped as usize].push(self.used);
            self.used += 1 << skipped;
        }
        self.used = end;
        Some(start)
    }
}

impl PageSource for BoundedPages {
    fn alloc(&mut self, request: PageRequest) -> Option<Pages> {
        let order = usize::from(request.order);
        if order >= ORDERS {
            return None;
        }
        let pfn = self.reuse(order).or_else(|| self.fresh(order))?;
        Some(Pages { pfn, order: request.order, node: request.node })
    }

    fn free(&mut self, pages: Pages) {
        self.free[usize::from(pages.order)].push(pages.pfn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Rights;

    fn ask(source: &mut BoundedPages, order: u8) -> Option<u64> {
        let request = PageRequest { owner: 0, order, cpu: 0, node: 1, this_node_only: false, rights: Rights::AtOnce };
        source.alloc(request).map(|pages| pages.pfn)
    }

    #[test]
    fn blocks_are_aligned_and_what_was_skipped_is_used() {
        let mut source = BoundedPages::new(16);
        assert_eq!([ask(&mut source, 0), ask(&mut source, 3)], [Some(0), Some(8)]);
        // 1, 2-3 and 4-7 were skipped.
        assert_eq!([ask(&mut source, 2), ask(&mut source, 1), ask(&mut source, 0), ask(&mut source, 0)], [Some(4), Some(2), Some(1), None]);
    }

    #[test]
    fn larger_blocks_are_split_before_new_frames_are_used() {
        let mut source = BoundedPages::new(1 << 20);
        let block = ask(&mut source, 3).unwrap();
        source.free(Pages { pfn: block, order: 3, node: 1 });
        let singles: Vec<Option<u64>> = (0..9).map(|_| ask(&mut source, 0)).collect();
        let expected: Vec<Option<u64>> = (0..9).map(Some).collect();
        assert_eq!(singles, expected);
        assert_eq!(ask(&mut source, 11), None, "no such order");
    }
}
