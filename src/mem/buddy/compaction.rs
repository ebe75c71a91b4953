//! Where compaction moves pages to: `isolate_freepages()` and `fast_isolate_freepages()`, `mm/compaction.c`, 5.1 to 6.18.
//!
//! A recording shows the frees of pages that were moved, not where they went to. What the recording shows as free later is no such place.

use super::zone::{MOVABLE, TARGET, Zone};

/// The free scanner of a zone.
#[derive(Debug, Clone, Default)]
pub(super) struct FreeScanner {
    /// Pageblocks that the scanner has passed, counted from the end of the zone.
    passed: usize,
    /// Free pages that were isolated and not used yet, the next one last.
    isolated: Vec<u32>,
    /// Orders below the largest one searched for at which the last search succeeded (`search_order`).
    lower: u8,
    /// When a page was moved last.
    moved_ns: u64,
}

/// Blocks of a list that the search looks at: `freelist_scan_limit()` halved, and more in the first search of a run.
const SCAN_LIMIT: usize = 16;

/// After such a pause it is another run of compaction that moves pages.
const RUN_GAP_NS: u64 = 10_000_000;

impl Zone {
    /// The next free page to move another one, that at `source`, to at this moment. It is taken out of the free blocks.
    pub(super) fn scan_for_target(&mut self, source: u32, now_ns: u64) -> Option<u32> {
        let is_new_run = now_ns.saturating_sub(self.free_scanner.moved_ns) > RUN_GAP_NS;
        self.free_scanner.moved_ns = now_ns;
        if is_new_run {
            self.free_scanner.lower = 0;
        }
        if self.free_scanner.isolated.is_empty() {
            let found = self.search_lists(source, is_new_run, now_ns).or_else(|| self.scan_pageblocks(now_ns));
            let (head, order) = found?;
            self.take_at(head, order);
            // Isolated pages are not free, whether or not they are used then.
            self.free_scanner.isolated.extend((head..head + (1 << order)).rev());
            self.mark_used(head, order, MOVABLE);
        }
        self.free_scanner.isolated.pop()
    }

    /// `fast_isolate_freepages()`: a block in the last quarter of what lies between the two scanners if there is one, in the upper half of it
    /// else. Compaction that is woken because blocks of other types were taken wants a whole pageblock (`balance_pgdat()`): the search begins
    /// just below that order, then where it succeeded last, and goes round.
    fn search_lists(&mut self, source: u32, is_first: bool, now_ns: u64) -> Option<(u32, u8)> {
        let end = ((self.pageblocks.len() - self.free_scanner.passed.min(self.pageblocks.len())) as u32) << self.pageblock_order;
        let distance = end.saturating_sub(source);
        let start_of = |share: u32| (end - distance / share) >> self.pageblock_order << self.pageblock_order;
        let (quarter, half) = (start_of(4), start_of(2));
        let mut limit = if is_first { 1 << self.pageblock_order >> 1 } else { SCAN_LIMIT };
        let orders = self.pageblock_order;
        for round in 0..orders {
            let lower = (self.free_scanner.lower + round) % orders;
            let order = orders - 1 - lower;
            let mut best = None;
            let mut scanned = 0;
            for at in self.lists[usize::from(order)][usize::from(MOVABLE)].iter_back(&self.frames[..]) {
                if scanned >= limit {
                    break;
                }
                scanned += 1;
                if at >= half && best.is_none_or(|best| at > best) && self.stays_free(at, order, now_ns) {
                    best = Some(at);
                    if at >= quarter {
                        self.free_scanner.lower = lower;
                        break;
                    }
                    limit /= 2;
                }
            }
            if let Some(head) = best {
                return Some((head, order));
            }
            if scanned >= limit {
                limit = (limit / 2).max(1);
            }
        }
        None
    }

    /// `isolate_freepages()`: down from the last pageblock, and anew from there when it has come to the first. Blocks of a pageblock or
    /// more are left alone (`suitable_migration_target()`).
    fn scan_pageblocks(&mut self, now_ns: u64) -> Option<(u32, u8)> {
        let count = self.pageblocks.len();
        let passed = self.free_scanner.passed.min(count);
        let found = (passed..count).chain(0..passed).find_map(|passed| Some((passed, self.scan_pageblock(count - 1 - passed, now_ns)?)));
        self.free_scanner.passed = found.map_or(0, |(passed, _)| passed);
        found.map(|(_, block)| block)
    }

    fn scan_pageblock(&self, pageblock: usize, now_ns: u64) -> Option<(u32, u8)> {
        if self.pageblocks[pageblock] != MOVABLE {
            return None;
        }
        let (start, end) = self.pageblock((pageblock << self.pageblock_order) as u32);
        let mut at = start;
        while at < end {
            let order = self.free_order(at);
            if let Some(order) = order.filter(|&order| order < self.pageblock_order) {
                // Page by page, as a part of the block may be shown as free later.
                if let Some(page) = (at..at + (1 << order)).find(|&page| self.stays_free(page, 0, now_ns)) {
                    return Some((page, 0));
                }
            }
            at += 1 << order.unwrap_or(0);
        }
        None
    }

    /// Marks a page as the target of a move.
    pub(super) fn mark_target(&mut self, frame: u32) {
        self.mark_used(frame, 0, MOVABLE);
        self.frames[frame as usize].cpu = TARGET;
    }

    /// True if what was moved to a page is still there.
    pub(super) fn is_target(&self, frame: u32) -> bool {
        self.is_used(frame) && self.frames[frame as usize].cpu == TARGET
    }

    /// True if the recording does not show that a block is free until some later moment.
    fn stays_free(&self, head: u32, order: u8, now_ns: u64) -> bool {
        (head..head + (1 << order)).all(|frame| !self.later.shows_free(frame, now_ns))
    }
}
