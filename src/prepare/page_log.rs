//! The events of the page allocator: which of them are of slabs that the replay makes itself, and which of pages that compaction moved.

use rustc_hash::{FxHashMap, FxHashSet};
use slubreplay_parsers::event::{Body, Event, PageAlloc};

use super::pages::Span;
use crate::mem::buddy::{MAX_ORDER, PageEvent, PageEventKind, Traffic};

/// Page events in their order, and what slabs they are of.
#[derive(Debug, Default)]
pub(super) struct PageLog {
    events: Vec<PageEvent>,
    /// Frees of pages that a span was in: numbers of event and span.
    frees: Vec<(u32, u32)>,
    /// By thread, CPU and context: order of an attempt that failed just before.
    failed: FxHashMap<(i32, u16, u8), u8>,
    /// By page frame, of single movable pages: the number of the event that freed it, once it is freed.
    movable: FxHashMap<u64, Option<u32>>,
    /// Frees of single movable pages that were not part of a batch.
    freed_singly: Vec<u32>,
    /// The recording has `mm_page_free_batched`.
    has_batched: bool,
    /// Allocations that the same thread made just after an attempt of the same order had failed.
    after_failure: FxHashSet<u32>,
}

/// `MIGRATE_RECLAIMABLE`, from 4.19 on.
const RECLAIMABLE: i8 = 2;
/// `MIGRATE_MOVABLE`, from 4.19 on.
const MOVABLE: i16 = 1;

impl PageLog {
    /// Takes note of an allocation; returns its number.
    pub(super) fn alloc(&mut self, event: &Event, page: PageAlloc) -> u32 {
        let number = self.events.len() as u32;
        let thread = (event.pid, event.cpu, event.context.0);
        let Some(pfn) = page.pfn else {
            self.failed.insert(thread, page.order);
            return number;
        };
        if !self.failed.is_empty() && self.failed.remove(&thread) == Some(page.order) {
            self.after_failure.insert(number);
        }
        let before =
            if page.order == 0 && page.migratetype == MOVABLE { self.movable.insert(pfn, None) } else { self.movable.remove(&pfn) };
        self.freed_singly.extend(before.flatten());
        self.push(event, PageEventKind::Alloc, pfn, page.order, page.migratetype)
    }

    /// Takes note of a free; returns its number.
    pub(super) fn free(&mut self, event: &Event, pfn: u64, order: u8) -> u32 {
        if let Some(freed) = self.movable.get_mut(&pfn) {
            freed.get_or_insert(self.events.len() as u32);
        }
        self.push(event, PageEventKind::Free, pfn, order, -1)
    }

    /// Takes note of pages that left a CPU's list, or of a pageblock that changed its type.
    pub(super) fn other(&mut self, event: &Event) {
        match event.body {
            Body::PagePcpuDrain { pfn, order, migratetype } => _ = self.push(event, PageEventKind::Drain, pfn, order, migratetype),
            Body::PageExtFrag { pfn, alloc_order, alloc_migratetype, change_ownership, .. } => {
                let kind = if change_ownership { PageEventKind::Claim } else { PageEventKind::Steal };
                self.push(event, kind, pfn, alloc_order, alloc_migratetype);
            }
            Body::PageFreeBatched { pfn } => {
                self.has_batched = true;
                self.movable.remove(&pfn);
            }
            _ => {}
        }
    }

    fn push(&mut self, event: &Event, kind: PageEventKind, pfn: u64, order: u8, migratetype: i16) -> u32 {
        let number = self.events.len() as u32;
        // No page allocator has such orders; the pages that they speak of are counted elsewhere.
        if order <= MAX_ORDER {
            let migratetype = i8::try_from(migratetype).unwrap_or(-1);
            self.events.push(PageEvent { time_ns: event.time_ns, pfn, cpu: event.cpu, kind, order, migratetype, is_slab: false });
        }
        number
    }

    /// That event frees pages that this span is in.
    pub(super) fn of_span(&mut self, event: u32, span: u32) {
        self.frees.push((event, span));
    }

    /// When an allocation was made, and whether its pages were asked for as reclaimable.
    pub(super) fn birth(&self, event: u32) -> (u64, bool) {
        self.events.get(event as usize).map_or((0, false), |event| (event.time_ns, event.migratetype == RECLAIMABLE))
    }

    /// Whether an attempt of the same order had just failed.
    pub(super) fn is_after_failure(&self, event: u32) -> bool {
        self.after_failure.contains(&event)
    }

    /// The events, with those marked that are of slabs of the replay: `is_slab` tells by span.
    pub(super) fn into_traffic(mut self, is_slab: &[bool], spans: &[Span]) -> Traffic {
        let births = spans.iter().zip(is_slab).filter(|(span, is_slab)| span.is_born && **is_slab).map(|(span, _)| span.event);
        let frees = self.frees.iter().filter(|(_, span)| is_slab.get(*span as usize) == Some(&true)).map(|&(event, _)| event);
        for event in births.chain(frees).collect::<Vec<u32>>() {
            if let Some(event) = self.events.get_mut(event as usize) {
                event.is_slab = true;
            }
        }
        for event in self.moved() {
            if let Some(event) = self.events.get_mut(event as usize) {
                event.kind = PageEventKind::Migrate;
            }
        }
        Traffic::new(self.events)
    }

    /// Pages that compaction moved. Movable pages are given up by the batch, when a process or a file goes, and each of a batch is traced a
    /// second time; what `putback_movable_pages()` and `migrate_folio_done()` give up is freed by itself.
    fn moved(&mut self) -> Vec<u32> {
        if !self.has_batched {
            return Vec::new();
        }
        let mut moved = std::mem::take(&mut self.freed_singly);
        moved.extend(self.movable.drain().filter_map(|(_, freed)| freed));
        moved
    }
}
