//! The conservation laws.

use super::Slob;
use super::page::{Block, Page, SizeList};
use crate::allocators::SlabId;
use crate::allocators::violation::{Violation, holds};

impl Slob {
    /// Checks what concerns a cache, of which the caller has `live` objects; in the row of the free space, everything else:
    ///
    /// * Blocks in use and free blocks fill each shared page without gap or overlap, and no two free blocks are neighbours.
    /// * `units` of a page = units of its free blocks; a page is on a list if and only if it has free units, and none is wholly free.
    /// * Live objects + those that wait for a grace period = blocks in use + whole blocks.
    /// * Shared pages = made - freed.
    pub(super) fn check(&self, cache: usize, live: u64) -> Result<(), Violation> {
        if let Some(of_cache) = self.uses.get(cache) {
            return holds("live objects = allocated - freed", of_cache.live == live, || format!("{} live, {live} known", of_cache.live));
        }
        let mut counts = vec![0_u64; self.uses.len()];
        let mut bytes = vec![0_u64; self.uses.len()];
        let mut shared = 0;
        for (id, page) in self.pages.iter() {
            for used in &page.used {
                counts[usize::from(used.cache)] += 1;
                bytes[usize::from(used.cache)] += u64::from(used.block.units) * u64::from(self.setting.unit_bytes());
            }
            if page.is_whole {
                holds("whole pages are of one object", page.used.len() == 1 && page.list.is_none(), || format!("{id:?}"))?;
            } else {
                shared += 1;
                self.check_page(id, page)?;
            }
        }
        for (cache, of_cache) in self.uses.iter().enumerate() {
            let expected = of_cache.live + of_cache.waiting;
            holds("live + waiting = blocks in use", counts[cache] == expected, || format!("cache {cache}: {} in use", counts[cache]))?;
            holds("bytes of a cache = units of its blocks", bytes[cache] == of_cache.block_bytes, || format!("cache {cache}"))?;
        }
        for list in SizeList::ALL {
            let listed: Vec<SlabId> = self.pages.listed(list).collect();
            let own = listed.iter().all(|&id| self.pages[id].list == Some(list));
            holds("a list holds pages that know it", own, || format!("{list:?}"))?;
            let length = self.pages.lengths[list as usize];
            holds("a list knows its length", listed.len() as u64 == length, || format!("{list:?}: {} of {length}", listed.len()))?;
        }
        let listed = self.pages.iter().filter(|(_, page)| page.list.is_some()).count() as u64;
        holds("every listed page is on its list", listed == self.pages.lengths.iter().sum::<u64>(), || format!("{listed} pages"))?;
        let totals = &self.totals;
        let is_counted = shared == totals.shared_pages && shared == totals.pages_made - totals.pages_freed;
        holds("shared pages = made - freed", is_counted, || format!("{shared} pages, {totals:?}"))
    }

    fn check_page(&self, id: SlabId, page: &Page) -> Result<(), Violation> {
        let mut blocks: Vec<(Block, bool)> = page.used.iter().map(|used| (used.block, false)).collect();
        blocks.extend(page.free.iter().map(|&block| (block, true)));
        blocks.sort_unstable_by_key(|(block, _)| block.start);
        let mut at = 0;
        let mut was_free = false;
        for (block, is_free) in blocks {
            holds("blocks fill a page", block.start == at && block.units > 0, || format!("{id:?}: {block:?} at unit {at}"))?;
            holds("no two free blocks are neighbours", !(was_free && is_free), || format!("{id:?}: {block:?}"))?;
            (at, was_free) = (block.start + block.units, is_free);
        }
        holds("blocks fill a page", at == self.setting.page_units(), || format!("{id:?}: up to unit {at}"))?;
        let free: u16 = page.free.iter().map(|block| block.units).sum();
        holds("units = free units", free == page.units, || format!("{id:?}: {free}, {}", page.units))?;
        holds("a page is listed if it has free units", page.list.is_some() == (free > 0), || format!("{id:?}"))?;
        holds("no page is wholly free", !page.used.is_empty(), || format!("{id:?}"))
    }
}
