//! The free blocks at the start, as far as a recording shows them.
//!
//! A page whose first event is an allocation was free; one whose first event is a free was in use. What no event touches is told by the
//! number of free blocks that the kernel counted at some moment: the largest blocks are found first, where most of what is known to
//! have been free then lies, next to it where the longest untouched stretches are. The rest was in use all the time.

use std::ops::Range;

use super::later::Later;
use super::traffic::{PageEvent, PageEventKind};
use super::zone::{End, MAX_ORDER, MOVABLE, ORDERS, TYPES};
use super::{FreeBlocks, PageModel, PageSpec, ZoneKind, ZoneSpec};

/// Free blocks that a kernel counted in a zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Histogram {
    /// Node of the zone.
    pub node: u16,
    /// The zone.
    pub kind: ZoneKind,
    /// What it counted.
    pub free: FreeBlocks,
    /// Pages that were free or on CPUs' lists then; `None` if that is not known.
    pub pages: Option<u64>,
}

/// The page frames that are free at the start, and the types of pageblocks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Start {
    /// Free page frames, ascending.
    pub free: Vec<Range<u64>>,
    /// Pageblocks that are not movable: a frame in each, and the type.
    pub types: Vec<(u64, u8)>,
    /// Of the free page frames, those that no event shows.
    pub untouched: u64,
    /// Pages taken without an event, each just after it was last free for certain.
    pub unseen: Vec<PageEvent>,
    /// If compaction moved pages: by zone, what is seen of its frames later. What compaction moves to a frame is put there without an event, so
    /// that it can only go where the next one does not show the frame as free.
    pub later: Vec<Later>,
}

/// What is known of a page at a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    Nothing,
    Used,
    Free,
    /// On a CPU's list.
    Parked,
}

impl Start {
    /// Everything free, as on a machine that has just been switched on.
    #[must_use]
    pub fn fresh(spec: &PageSpec) -> Self {
        Self { free: spec.zones.iter().map(|zone| zone.start_pfn..zone.end_pfn).collect(), ..Self::default() }
    }

    /// What page events show, slabs' included. `counted` is what the kernel counted at the moment `at_ns`; without it, pages that no event
    /// touches count as free. A recording from boot begins with movable pageblocks only.
    #[must_use]
    pub fn recorded(spec: &PageSpec, events: &[PageEvent], counted: &[Histogram], at_ns: u64, from_boot: bool) -> Self {
        let mut start = Self::default();
        for zone in &spec.zones {
            let histogram = counted.iter().find(|counted| (counted.node, counted.kind) == (zone.node, zone.kind));
            start.zone(zone, events, histogram, at_ns);
        }
        if !from_boot {
            start.types = first_types(spec, events);
        }
        start.unseen.sort_by_key(|event| event.time_ns);
        start
    }

    fn zone(&mut self, zone: &ZoneSpec, events: &[PageEvent], counted: Option<&Histogram>, at_ns: u64) {
        let base = zone.start_pfn >> MAX_ORDER << MAX_ORDER;
        let mut pages = Pages::follow(zone, base, events, at_ns);
        let frames = pages.records.len();
        let was_free = match counted {
            Some(counted) => {
                let found = pages.find(counted);
                pages.taken_before(&found, counted);
                pages.taken_after(&found, at_ns);
                found
            }
            None => vec![true; frames],
        };
        let is_free = |frame: usize| match pages.records[frame].first {
            Known::Nothing => was_free[frame],
            // Taken without an event after the kernel counted, and freed with one.
            Known::Used if counted.is_some() && pages.records[frame].then == Known::Nothing => was_free[frame],
            known => known == Known::Free,
        };
        self.untouched += (0..frames).filter(|&frame| pages.records[frame].first == Known::Nothing && was_free[frame]).count() as u64;
        let mut frame = 0;
        while frame < frames {
            let from = frame;
            while frame < frames && is_free(frame) {
                frame += 1;
            }
            if frame > from {
                self.free.push(base + from as u64..base + frame as u64);
            }
            frame += 1;
        }
        self.unseen.append(&mut pages.unseen);
        let has_moves = events.iter().any(|event| event.kind == PageEventKind::Migrate);
        self.later.push(if has_moves { Later::of(events, base, frames) } else { Later::default() });
    }
}

/// What events tell of a page.
#[derive(Debug, Clone, Copy)]
struct Record {
    /// What it was at the start.
    first: Known,
    /// What it was when the kernel counted.
    then: Known,
    /// What it is now.
    now: Known,
    /// An allocation comes first after the kernel counted, or a return from a CPU's list, which shows that it was free.
    is_free_after: bool,
    has_event_after: bool,
    /// Its last event before the kernel counted, and its last event.
    then_ns: u64,
    last_ns: u64,
    /// CPU of its last event.
    cpu: u16,
    /// Pages moved by compaction before that.
    moved: u32,
}

impl Record {
    /// It seemed free when the kernel counted, but was in no block that the kernel had, and nobody allocated it afterwards.
    fn is_taken_before(&self, was_found: bool) -> bool {
        self.then == Known::Free && !was_found && !self.is_free_after && !self.has_event_after
    }
}

/// The pages of a zone, and what was taken without an event.
struct Pages {
    base: u64,
    records: Vec<Record>,
    unseen: Vec<PageEvent>,
}

impl Pages {
    fn follow(zone: &ZoneSpec, base: u64, events: &[PageEvent], at_ns: u64) -> Self {
        let frames = ((zone.end_pfn - base).next_multiple_of(1 << MAX_ORDER)) as usize;
        let untouched = Record {
            first: Known::Nothing,
            then: Known::Nothing,
            now: Known::Nothing,
            is_free_after: false,
            has_event_after: false,
            then_ns: 0,
            last_ns: 0,
            cpu: 0,
            moved: 0,
        };
        let mut pages = Self { base, records: vec![untouched; frames], unseen: Vec::new() };
        let has_drains = events.iter().any(|event| event.kind == PageEventKind::Drain);
        let mut moved = 0;
        for event in events.iter().filter(|event| (zone.start_pfn..zone.end_pfn).contains(&event.pfn)) {
            let from = (event.pfn - base) as usize;
            let to = (from + (1 << event.order.min(MAX_ORDER))).min(frames);
            let (before, after) = match event.kind {
                PageEventKind::Alloc => (Known::Free, Known::Used),
                PageEventKind::Free | PageEventKind::Migrate => {
                    moved += u32::from(event.kind == PageEventKind::Migrate);
                    (Known::Used, if has_drains && event.order <= 3 { Known::Parked } else { Known::Free })
                }
                PageEventKind::Drain => (Known::Free, Known::Free),
                PageEventKind::Claim | PageEventKind::Steal | PageEventKind::Unseen => continue,
            };
            for frame in from..to {
                pages.event(frame, event, (before, after), at_ns, moved);
            }
        }
        for frame in 0..frames {
            if !(zone.start_pfn..zone.end_pfn).contains(&(base + frame as u64)) {
                pages.records[frame] = Record { first: Known::Used, then: Known::Used, ..untouched };
            }
        }
        pages
    }

    fn event(&mut self, frame: usize, event: &PageEvent, (before, after): (Known, Known), at_ns: u64, moved: u32) {
        let record = self.records[frame];
        // Freed while free: somebody took it without an event, in bulk, if compaction did not put another page there.
        if before == Known::Used && matches!(record.now, Known::Free | Known::Parked) && record.moved == moved {
            self.unseen.push(unseen(self.base + frame as u64, &record, record.last_ns));
        }
        let record = &mut self.records[frame];
        if record.first == Known::Nothing {
            record.first = before;
        }
        if event.time_ns <= at_ns {
            (record.then, record.then_ns) = (after, event.time_ns);
        } else {
            // A page that is freed may have been taken without an event since, so that nothing is known of it.
            if record.then == Known::Nothing && before == Known::Free && record.first == Known::Free {
                record.then = before;
            }
            if !record.has_event_after {
                (record.has_event_after, record.is_free_after) = (true, before == Known::Free);
            }
        }
        (record.now, record.last_ns, record.cpu, record.moved) = (after, event.time_ns, event.cpu, moved);
    }

    /// Where the blocks were that the kernel counted. No more untouched pages are believed to have been free than the kernel had beyond
    /// what events show: memory that was allocated before the recording is untouched as well.
    fn find(&self, counted: &Histogram) -> Vec<bool> {
        let Some(pages) = counted.pages else { return find_blocks(&self.records, &counted.free, u64::MAX) };
        let beyond = pages.saturating_sub(self.known());
        // If fewer than half of the untouched pages can have been free, each of them is more likely to have been in use.
        let untouched = self.records.iter().filter(|record| record.first == Known::Nothing).count() as u64;
        find_blocks(&self.records, &counted.free, if beyond * 2 < untouched { 0 } else { beyond })
    }

    /// Pages that events show as free, or on CPUs' lists, when the kernel counted.
    fn known(&self) -> u64 {
        self.records.iter().filter(|record| matches!(record.then, Known::Free | Known::Parked)).count() as u64
    }

    /// Pages that were free when the kernel counted, and whose first event frees them, were taken without an event in between.
    fn taken_after(&mut self, found: &[bool], at_ns: u64) {
        for (frame, record) in self.records.iter().enumerate() {
            if found[frame] && record.first == Known::Used && record.then == Known::Nothing {
                self.unseen.push(unseen(self.base + frame as u64, record, at_ns));
            }
        }
    }

    /// Pages that seemed free when the kernel counted, but are in no block that it had, and that nobody allocated afterwards, were taken
    /// without an event before that, or were on a CPU's list: no more of them were taken than events show beyond the kernel's count.
    fn taken_before(&mut self, found: &[bool], counted: &Histogram) {
        let mut left = counted.pages.map_or(0, |pages| self.known().saturating_sub(pages));
        for (frame, record) in self.records.iter().enumerate() {
            if left > 0 && record.is_taken_before(found[frame]) {
                left -= 1;
                self.unseen.push(unseen(self.base + frame as u64, record, record.then_ns));
            }
        }
    }
}

fn unseen(pfn: u64, record: &Record, time_ns: u64) -> PageEvent {
    PageEvent { time_ns, pfn, cpu: record.cpu, kind: PageEventKind::Unseen, order: 0, migratetype: 0, is_slab: false }
}

/// Where as many free blocks of each order as were counted can have been, with no more untouched pages in them than `untouched`.
fn find_blocks(records: &[Record], counted: &FreeBlocks, mut untouched: u64) -> Vec<bool> {
    // By order, then block: pages known to have been free, if all can have been.
    let mut levels: Vec<Vec<Option<u32>>> = Vec::with_capacity(ORDERS);
    levels.push(
        records
            .iter()
            .map(|record| match record.then {
                Known::Free => Some(1),
                Known::Nothing => Some(0),
                Known::Used | Known::Parked => None,
            })
            .collect(),
    );
    for order in 1..ORDERS {
        let pairs = levels[order - 1].chunks_exact(2).map(|pair| Some(pair[0]? + pair[1]?)).collect();
        levels.push(pairs);
    }
    let stretch = stretches(records);
    let mut found = vec![false; records.len()];
    for order in (0..ORDERS).rev() {
        let mut candidates: Vec<(u32, u32, usize)> = levels[order]
            .iter()
            .enumerate()
            .filter_map(|(block, known)| Some(((*known)?, stretch[block << order], block)))
            .filter(|&(_, _, block)| !found[block << order])
            .collect();
        let mut wanted = counted.0[order];
        candidates.sort_unstable_by(|a, b| (b.0, b.1).cmp(&(a.0, a.1)).then(a.2.cmp(&b.2)));
        for &(known, _, block) in &candidates {
            let unknown = (1_u64 << order) - u64::from(known);
            if wanted == 0 {
                break;
            }
            if unknown <= untouched || unknown < u64::from(known) {
                (wanted, untouched) = (wanted - 1, untouched.saturating_sub(unknown));
                found[block << order..(block + 1) << order].fill(true);
            }
        }
    }
    found
}

/// By page: how long the untouched stretch is that it is in.
fn stretches(records: &[Record]) -> Vec<u32> {
    let mut lengths = Vec::with_capacity(records.len());
    for stretch in records.chunk_by(|a, b| a.then == b.then) {
        let length = if stretch[0].then == Known::Nothing { stretch.len() as u32 } else { 0 };
        lengths.resize(lengths.len() + stretch.len(), length);
    }
    lengths
}

/// Types of pageblocks as the first event in each tells: returns from CPUs' lists name the pageblock's type, allocations the type
/// asked for.
fn first_types(spec: &PageSpec, events: &[PageEvent]) -> Vec<(u64, u8)> {
    let mut types = std::collections::BTreeMap::new();
    for kind in [PageEventKind::Drain, PageEventKind::Alloc] {
        for event in events.iter().filter(|event| event.kind == kind) {
            if let Ok(of_type) = u8::try_from(event.migratetype)
                && usize::from(of_type) < TYPES
            {
                types.entry(event.pfn >> spec.pageblock_order).or_insert((event.pfn, of_type));
            }
        }
    }
    types.into_values().filter(|&(_, of_type)| of_type != MOVABLE).collect()
}

impl PageModel {
    /// Puts the free blocks of the start on their lists, in ascending order, as booting does.
    pub(super) fn lay_out(&mut self, start: &Start) {
        for (zone, later) in self.zones.iter_mut().zip(&start.later) {
            zone.later.clone_from(later);
        }
        for &(pfn, of_type) in &start.types {
            if let Some((zone, frame)) = self.find(pfn, 0) {
                let order = self.zones[zone].pageblock_order;
                self.zones[zone].set_types(frame, order, of_type);
            }
        }
        for range in &start.free {
            let mut pfn = range.start;
            while pfn < range.end {
                let aligned = pfn.trailing_zeros().min(u32::from(MAX_ORDER)) as u8;
                let order = (0..=aligned).rev().find(|&order| pfn + (1 << order) <= range.end).unwrap_or(0);
                if let Some((zone, frame)) = self.find(pfn, order) {
                    let zone = &mut self.zones[zone];
                    zone.mark_moving(frame, order);
                    let of_type = zone.type_of(frame);
                    zone.insert(frame, order, of_type, End::Tail);
                }
                pfn += 1 << order;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::buddy::tests::{event, spec};

    #[test]
    fn first_events_tell_and_counts_fill_in() {
        use PageEventKind::{Alloc, Drain, Free};
        let spec = spec(2048);
        // 8 was free, 16..20 in use; both are free at the moment 10, 16..20 on a list until 5.
        let events = [event(1, Alloc, 8, 0), event(2, Free, 16, 2), event(3, Free, 8, 0), event(5, Drain, 16, 2), event(6, Drain, 8, 0)];
        let counted = |counts: &[u64]| [Histogram { node: 0, kind: ZoneKind::Dma32, free: FreeBlocks::counted(counts), pages: None }];
        // One block of four known pages, one of one known page: nothing else was free.
        let start = Start::recorded(&spec, &events, &counted(&[1, 0, 1]), 10, true);
        assert_eq!((start.free, start.untouched), (std::iter::once(8..9).collect(), 0));
        // A block of 1024 pages is where five are known to have been free, the others in the longest stretch that is left.
        let start = Start::recorded(&spec, &events, &counted(&[1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1]), 10, true);
        assert_eq!((start.free, start.untouched), (vec![0..16, 20..1033], 1024 - 5 + 9));
        // Not where a page was in use at that moment.
        let used = [&events[..], &[event(9, Alloc, 600, 0), event(11, Free, 600, 0)]].concat();
        let start = Start::recorded(&spec, &used, &counted(&[1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1]), 10, true);
        assert_eq!((start.free, start.untouched), (vec![8..9, 600..601, 1024..2048], 1024));
        // Without counts all that nothing is known of is free.
        let start = Start::recorded(&spec, &events, &[], 10, true);
        assert_eq!(start.free, [0..16, 20..2048]);
    }
}
