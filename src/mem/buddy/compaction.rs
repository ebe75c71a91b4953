//! Where compaction moves pages to: `isolate_freepages()` and `fast_isolate_freepages()`, `mm/compaction.c`, 5.1 to 6.18.
//!
//! A recording shows the frees of pages that were moved, not where they went to. What the recording shows as free later is no such place.

use super::zone::{MOVABLE, NONE, TARGET, Zone};

/// The free scanner of a zone.
#[derive(Debug, Clone, Default)]
pub(super) struct FreeScanner {
    /// Pageblocks that the scanner has passed, counted from the end of the zone.
    passed: usize,
    /// Free pages that were isolated and not used yet, the next one last.
    isolated: Vec<u32>,
}

/// Order that free lists are searched from: compaction is woken for orders up to the largest that is not costly.
const SEARCH_ORDER: u8 = 3;

/// Blocks of a list that the search looks at (`freelist_scan_limit()`).
const SCAN_LIMIT: usize = 32;

impl Zone {
    /// The next free page to move another one to at this moment. It is taken out of the free blocks.
    pub(super) fn scan_for_target(&mut self, now_ns: u64) -> Option<u32> {
        if self.free_scanner.isolated.is_empty() {
            let (head, order) = self.search_lists(now_ns).or_else(|| self.scan_pageblocks(now_ns))?;
            self.take_at(head, order);
            // Isolated pages are not free, whether or not they are used then.
            self.free_scanner.isolated.extend((head..head + (1 << order)).rev());
            self.mark_used(head, order, MOVABLE);
        }
        self.free_scanner.isolated.pop()
    }

    /// `fast_isolate_freepages()`: a block near the end of the zone, in its last quarter if there is one, in its upper half else.
    fn search_lists(&self, now_ns: u64) -> Option<(u32, u8)> {
        let frames = self.frames.len() as u32;
        let (quarter, half) = (frames - frames / 4, frames / 2);
        (0..=SEARCH_ORDER).rev().find_map(|order| {
            let mut at = self.lists[usize::from(order)][usize::from(MOVABLE)].tail;
            let mut best = None;
            for _ in 0..SCAN_LIMIT {
                if at == NONE {
                    break;
                }
                if at >= half && best.is_none_or(|best| at > best) && self.stays_free(at, order, now_ns) {
                    best = Some(at);
                    if at >= quarter {
                        break;
                    }
                }
                at = self.frames[at as usize].prev;
            }
            best.map(|head| (head, order))
        })
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

    /// True if the recording does not show a block as free after this moment.
    fn stays_free(&self, head: u32, order: u8, now_ns: u64) -> bool {
        (head..head + (1 << order)).all(|frame| self.last_free_ns.get(frame as usize).is_none_or(|&last| last <= now_ns))
    }
}
