//! Allocation and freeing of blocks, and of whole pages.
//!
//! Source: `slob_alloc()`, `slob_free()`, `__do_kmalloc_node()`, `kfree()`, `slob_alloc_node()`, `__kmem_cache_create()`,
//! `mm/slob.c`, Linux 6.1.

use super::page::{Block, Page, SizeList, Used, Wanted};
use super::{Demand, Slob};
use crate::allocators::slub::AllocRequest;
use crate::allocators::{Object, SlabId};
use crate::mem::{PageRequest, PageSource};

/// What a request comes down to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// A block of a shared page: its bytes in total, of them a header, and how it has to lie.
    Block { bytes: u32, header: u32, align: u32 },
    /// Whole pages.
    Pages { bytes: u32 },
}

impl Slob {
    /// Size and alignment of a request.
    fn form(&self, cache: usize, requested_bytes: u32) -> Form {
        match self.demands[cache] {
            Demand::Kmalloc => {
                let header = self.setting.min_align;
                if requested_bytes >= self.setting.page_bytes - header {
                    return Form::Pages { bytes: requested_bytes };
                }
                let bytes = requested_bytes.max(1);
                let natural = self.setting.rules.natural_alignment && bytes.is_power_of_two();
                Form::Block { bytes: bytes + header, header, align: if natural { header.max(bytes) } else { header } }
            }
            Demand::Cache { size, align } => {
                if size < self.setting.page_bytes {
                    Form::Block { bytes: size, header: 0, align }
                } else {
                    Form::Pages { bytes: size }
                }
            }
        }
    }

    pub(super) fn take(
        &mut self,
        cache: usize,
        request: AllocRequest,
        requested_bytes: u32,
        pages: &mut impl PageSource,
    ) -> Option<Object> {
        match self.form(cache, requested_bytes) {
            Form::Pages { bytes } => {
                let order = bytes.div_ceil(self.setting.page_bytes).next_power_of_two().trailing_zeros();
                let block = self.ask(cache as u32, request, u8::try_from(order).ok()?, pages)?;
                let slab = self.pages.add(Page::whole(block, bytes, cache as u16));
                let use_of = &mut self.uses[cache];
                use_of.whole_blocks += 1;
                use_of.whole_pages += 1 << order;
                Some(Object { slab, index: 0 })
            }
            Form::Block { bytes, header, align } => {
                // Up to 4.19 it is the header that is aligned.
                let offset = if self.setting.rules.natural_alignment { header } else { 0 };
                let units = u16::try_from(bytes.div_ceil(self.setting.unit_bytes())).ok()?;
                let (slab, start) = self.alloc_block(request, bytes, Wanted { units, align, offset }, pages)?;
                let block = Block { start, units };
                self.pages[slab].note_used(Used { block, bytes, cache: cache as u16 });
                self.uses[cache].block_bytes += u64::from(units) * u64::from(self.setting.unit_bytes());
                self.uses[cache].header_bytes += u64::from(header);
                Some(Object { slab, index: start })
            }
        }
    }

    /// Owner of pages that are shared: the row of the free space.
    fn ask(&self, owner: u32, request: AllocRequest, order: u8, pages: &mut impl PageSource) -> Option<crate::mem::Pages> {
        let node = request.node.unwrap_or_else(|| self.setting.topology.node_of(request.cpu));
        let this_node_only = request.this_node_only;
        pages.alloc(PageRequest { owner, order, cpu: request.cpu, node, this_node_only, rights: request.caller.rights() })
    }

    /// `slob_alloc()`: the first page from the front of the list that has room, else a new one.
    fn alloc_block(&mut self, request: AllocRequest, bytes: u32, wanted: Wanted, pages: &mut impl PageSource) -> Option<(SlabId, u16)> {
        let list = SizeList::of(bytes);
        let unit_bytes = self.setting.unit_bytes();
        let mut at = self.pages.front(list);
        let mut before = None;
        while let Some(id) = at {
            self.totals.visited += 1;
            let page = &mut self.pages[id];
            if request.node.is_none_or(|node| page.pages.node == node)
                && let Some((start, gap)) = page.take(wanted, unit_bytes)
            {
                self.totals.gap_units += u64::from(gap);
                if page.units == 0 {
                    self.pages.unlink(id);
                    self.totals.list_moves += 1;
                }
                self.rotate(list, id, before);
                return Some((id, start));
            }
            before = Some(id);
            at = self.pages.next(list, id);
        }
        let block = self.ask(self.free_space_row() as u32, request, 0, pages)?;
        let id = self.pages.add(Page::empty(block, self.setting.page_units()));
        self.totals.shared_pages += 1;
        self.totals.pages_made += 1;
        self.totals.list_moves += 1;
        self.pages.push_front(list, id);
        let (start, gap) = self.pages[id].take(wanted, unit_bytes)?;
        self.totals.gap_units += u64::from(gap);
        if self.pages[id].units == 0 {
            self.pages.unlink(id);
            self.totals.list_moves += 1;
        }
        Some((id, start))
    }

    /// Lets the next search begin at the page that served this one, as long as it has free space.
    fn rotate(&mut self, list: SizeList, id: SlabId, before: Option<SlabId>) {
        if !self.setting.rules.rotates_past_full {
            if self.pages[id].list == Some(list) {
                self.pages.rotate(list, id);
            }
            return;
        }
        // Up to 5.0 (seen in 4.19): whatever comes after the page before it, unless that one is the last.
        let Some(before) = before else { return };
        if self.pages.back(list) != Some(before)
            && let Some(next) = self.pages.next(list, before)
        {
            self.pages.rotate(list, next);
        }
    }

    /// Frees an object whose cache is known; false if the replay has no such block.
    pub(super) fn give_back(&mut self, object: Object, pages: &mut impl PageSource) {
        let id = object.slab;
        let Some(used) = self.pages[id].forget_used(object.index) else { return };
        let cache = usize::from(used.cache);
        if self.pages[id].is_whole {
            let block = self.pages.remove(id).pages;
            let use_of = &mut self.uses[cache];
            use_of.whole_blocks -= 1;
            use_of.whole_pages -= 1 << block.order;
            pages.free(block);
            return;
        }
        self.uses[cache].block_bytes -= u64::from(used.block.units) * u64::from(self.setting.unit_bytes());
        if self.demands[cache] == Demand::Kmalloc {
            self.uses[cache].header_bytes -= u64::from(self.setting.min_align);
        }
        if u32::from(self.pages[id].units) + u32::from(used.block.units) == u32::from(self.setting.page_units()) {
            if self.pages[id].list.is_some() {
                self.pages.unlink(id);
                self.totals.list_moves += 1;
            }
            let block = self.pages.remove(id).pages;
            self.totals.shared_pages -= 1;
            self.totals.pages_freed += 1;
            pages.free(block);
            return;
        }
        let was_full = self.pages[id].units == 0;
        self.pages[id].put(used.block);
        if was_full {
            // By the size of this block, not by the list that the page came from.
            self.pages.push_front(SizeList::of(used.bytes), id);
            self.totals.list_moves += 1;
        }
    }
}
