//! The kernel's own slabs, as far as addresses and page events show them.
//!
//! Objects lie in the direct map, so an address tells its page frame once the map's start is known
//! (it is random with KASLR). With page events in the trace, a page that was allocated before an object
//! in it was handed out is the start of a slab made during the trace; any other page belongs to a slab
//! from before.

use rustc_hash::{FxHashMap, FxHashSet};
use slubreplay_parsers::capture::NodeMemory;
use slubreplay_parsers::event::{Body, PageAlloc};
use slubreplay_parsers::recording::{Pointers, Recording};

/// One stay of pages in the slab allocator: from their allocation (or the start of the trace) to their
/// release (or the end).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    /// First page, as an address divided by the page size.
    pub(super) page: u64,
    /// Order of the block; 0 for a single page of a slab from before the trace.
    pub(super) order: u8,
    /// Allocated during the trace.
    pub(super) is_born: bool,
    /// The first object seen in it.
    pub(super) object: u32,
    /// Stride of its objects; 0 until an allocation tells it.
    pub(super) stride_bytes: u64,
    /// Number of the event that allocated its pages, if it is born.
    pub(super) event: u32,
}

impl Span {
    /// Places for objects in it; `None` if no allocation told their stride, or no slab has so many.
    pub(super) fn places(&self, page_shift: u32) -> Option<u64> {
        let places = (1_u64 << page_shift << self.order).checked_div(self.stride_bytes)?;
        (places <= MAX_OBJECTS).then_some(places)
    }
}

/// Most objects of a slab (`MAX_OBJS_PER_PAGE`).
const MAX_OBJECTS: u64 = 32_767;

/// Spans by page, following the page events of a trace.
#[derive(Debug, Default)]
pub(super) struct Spans {
    page_shift: u32,
    /// Page of an address minus its frame number; `None` if the trace does not tell.
    frame_to_page: Option<u64>,
    memory: Vec<NodeMemory>,
    /// What the trace has for addresses does not tell where objects were: they are all in one span, of which nothing is known.
    is_hashed: bool,
    pub(super) spans: Vec<Span>,
    /// The span that a page is in now.
    current: FxHashMap<u64, u32>,
    /// Blocks allocated during the trace that no object has been seen in yet, by first page: order, and number of the event.
    fresh: FxHashMap<u64, (u8, u32)>,
    /// Page events with an order that no page allocator has.
    pub(super) impossible_orders: u64,
}

/// Largest order of a slab that is looked for (`slab_max_order` is at most this).
const MAX_ORDER: u8 = 10;

impl Spans {
    pub(super) fn new(recording: &Recording, page_bytes: u32, memory: &[NodeMemory]) -> Self {
        let page_shift = page_bytes.trailing_zeros();
        let is_hashed = recording.info.pointers == Pointers::Hashed;
        let frame_to_page = if is_hashed { None } else { direct_map(recording, page_shift) };
        Self { page_shift, frame_to_page, memory: memory.to_vec(), is_hashed, ..Self::default() }
    }

    /// True if addresses are where objects were, rather than hashes that tell them apart.
    pub(super) fn has_addresses(&self) -> bool {
        !self.is_hashed
    }

    /// True if page events and addresses could be related.
    pub(super) fn knows_births(&self) -> bool {
        self.frame_to_page.is_some()
    }

    /// Takes note of pages that were allocated.
    pub(super) fn page_alloc(&mut self, event: PageAlloc, number: u32) {
        let (Some(to_page), Some(pfn)) = (self.frame_to_page, event.pfn) else { return };
        if event.order > MAX_ORDER {
            self.impossible_orders += 1;
            return;
        }
        let page = pfn.wrapping_add(to_page);
        self.forget(page, event.order);
        self.fresh.insert(page, (event.order, number));
    }

    /// Takes note of pages that were released. If they were a whole slab made during the trace, returns
    /// its span and its first address.
    pub(super) fn page_free(&mut self, pfn: u64, order: u8) -> Option<(u32, u64)> {
        let page = pfn.wrapping_add(self.frame_to_page?);
        if order > MAX_ORDER {
            self.impossible_orders += 1;
            return None;
        }
        let number = self.current.get(&page).copied();
        self.forget(page, order);
        let is_whole = |span: &Span| span.is_born && (span.page, span.order) == (page, order);
        let number = number.filter(|&span| is_whole(&self.spans[span as usize]))?;
        let start = page << self.page_shift;
        Some((number, start))
    }

    /// The span that starts at a page frame, or that the frame is in.
    pub(super) fn at_frame(&self, pfn: u64) -> Option<u32> {
        self.current.get(&pfn.wrapping_add(self.frame_to_page?)).copied()
    }

    /// The page frame of a page, if the two could be related.
    pub(super) fn frame_of(&self, page: u64) -> Option<u64> {
        Some(page.wrapping_sub(self.frame_to_page?))
    }

    fn forget(&mut self, page: u64, order: u8) {
        for page in page..page.saturating_add(1 << order) {
            self.current.remove(&page);
            self.fresh.remove(&page);
        }
    }

    /// The node of an address, if the nodes' page frames are known.
    pub(super) fn node_of(&self, address: u64) -> Option<u16> {
        let pfn = (address >> self.page_shift).wrapping_sub(self.frame_to_page?);
        self.memory.iter().find(|memory| (memory.start_pfn..memory.end_pfn).contains(&pfn)).map(|memory| memory.node)
    }

    /// Number of slabs of an order that these spans are in, if addresses tell.
    pub(super) fn slabs<'a>(&self, spans: impl Iterator<Item = &'a u32>, order: u32) -> Option<u64> {
        if self.is_hashed {
            return None;
        }
        let heads: FxHashSet<u64> = spans.filter_map(|&span| Some(self.spans.get(span as usize)?.page >> order)).collect();
        Some(heads.len() as u64)
    }

    /// True if this is the first object seen in a slab made during the trace.
    pub(super) fn is_first(&self, span: u32, object: u32) -> bool {
        self.spans.get(span as usize).is_some_and(|span| span.is_born && span.object == object)
    }

    /// The span that an object is in.
    pub(super) fn of(&mut self, ptr: u64, object: u32) -> u32 {
        let page = if self.is_hashed { 0 } else { ptr >> self.page_shift };
        if let Some(&span) = self.current.get(&page) {
            return span;
        }
        let born = (0..=MAX_ORDER).find_map(|order| {
            let head = page >> order << order;
            // Blocks are aligned by frame, and the direct map by far more than a block.
            self.fresh.get(&head).filter(|(found, _)| *found >= order && page - head < 1 << found).map(|&found| (head, found))
        });
        let span = self.spans.len() as u32;
        match born {
            Some((head, (order, event))) => {
                self.spans.push(Span { page: head, order, is_born: true, object, stride_bytes: 0, event });
                self.fresh.remove(&head);
                self.current.extend((head..head.saturating_add(1 << order)).map(|page| (page, span)));
            }
            None => {
                self.spans.push(Span { page, order: 0, is_born: false, object, stride_bytes: 0, event: 0 });
                self.current.insert(page, span);
            }
        }
        span
    }
}

/// How many first pages of slabs have to agree on the start of the direct map.
const VOTES_NEEDED: u32 = 8;

/// The direct map starts at a multiple of this many bytes from frame 0: of 1 GiB on x86-64, of a
/// section (128 MiB or more) on arm64.
const MAP_ALIGN_BYTES: u64 = 128 << 20;

/// Finds the distance between frame numbers and pages of addresses: where a page is allocated and the
/// same thread's next event on that CPU is an allocation of an object, the object is often in that page.
/// Coincidences scatter, and few are aligned; the true distance repeats.
fn direct_map(recording: &Recording, page_shift: u32) -> Option<u64> {
    let mut votes: FxHashMap<u64, u32> = FxHashMap::default();
    for stream in &recording.streams {
        for pair in stream.events.windows(2) {
            if let [page, object] = pair
                && let (Body::PageAlloc(PageAlloc { pfn: Some(pfn), order, .. }), Body::Alloc(alloc)) = (page.body, object.body)
                && page.pid == object.pid
                && alloc.ptr != 0
            {
                let order = order.min(MAX_ORDER);
                let distance = (alloc.ptr >> page_shift >> order << order).wrapping_sub(pfn);
                if distance.is_multiple_of(MAP_ALIGN_BYTES >> page_shift) {
                    *votes.entry(distance).or_default() += 1;
                }
            }
        }
    }
    let all: u32 = votes.values().sum();
    let (distance, most) = votes.into_iter().max_by_key(|&(distance, count)| (count, distance))?;
    (most >= VOTES_NEEDED && most > all / 2).then_some(distance)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TO_PAGE: u64 = 0xf_f110_0000_0000;

    fn spans() -> Spans {
        Spans { page_shift: 12, frame_to_page: Some(TO_PAGE), ..Spans::default() }
    }

    fn page_alloc(spans: &mut Spans, pfn: u64, order: u8) {
        spans.page_alloc(PageAlloc { pfn: Some(pfn), gfp_flags: 0, migratetype: 0, order }, 0);
    }

    #[test]
    fn a_block_is_one_span_until_it_is_released() {
        let mut spans = spans();
        let address = |pfn: u64, offset: u64| ((TO_PAGE + pfn) << 12) + offset;
        let old = spans.of(address(8, 16), 0);
        assert_eq!(spans.spans[old as usize], Span { page: TO_PAGE + 8, order: 0, is_born: false, object: 0, stride_bytes: 0, event: 0 });
        page_alloc(&mut spans, 8, 2);
        let born = spans.of(address(11, 0), 1);
        assert_eq!(spans.spans[born as usize], Span { page: TO_PAGE + 8, order: 2, is_born: true, object: 1, stride_bytes: 0, event: 0 });
        assert_eq!(spans.of(address(9, 0), 2), born);
        let (gone, start) = spans.page_free(8, 2).unwrap();
        assert_eq!((gone, start), (born, address(8, 0)));
        assert_ne!(spans.of(address(9, 0), 2), born);
    }

    #[test]
    fn a_block_elsewhere_is_not_mistaken() {
        let mut spans = spans();
        page_alloc(&mut spans, 8, 1);
        let next = spans.of((TO_PAGE + 10) << 12, 0);
        assert!(!spans.spans[next as usize].is_born);
    }
}
