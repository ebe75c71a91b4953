//! Everybody else's pages: allocations and frees that do not back slabs, replayed as a recording has them.
//!
//! What is recorded at a page frame goes there as long as the frame is free in the model: what reclaim, compaction and programs did
//! is inherited from the recording, and with unchanged slabs the free blocks are its own. Where a frame is taken, the model's lists
//! choose another one, which is remembered until the frees. How often that happens says how far a replay is from its recording.

use super::PageModel;
use super::zone::{MOVABLE, RECLAIMABLE, TYPES, UNMOVABLE};

/// A page event of a recording.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageEvent {
    /// Moment of the trace clock.
    pub time_ns: u64,
    /// First page frame.
    pub pfn: u64,
    /// CPU.
    pub cpu: u16,
    /// What happened.
    pub kind: PageEventKind,
    /// Order of the block.
    pub order: u8,
    /// Migrate type, as far as the event tells; else negative.
    pub migratetype: i8,
    /// The pages back a slab that the replay makes itself.
    pub is_slab: bool,
}

/// What a page event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PageEventKind {
    /// `mm_page_alloc`.
    Alloc,
    /// `mm_page_free`.
    Free,
    /// `mm_page_pcpu_drain`: of slabs' pages too.
    Drain,
    /// `mm_page_free` of a page that compaction has moved elsewhere.
    Migrate,
    /// `mm_page_alloc_extfrag`: a page of another type was taken, and the pageblock is of the type asked for now.
    Claim,
    /// The same, and the pageblock stays of its type.
    Steal,
    /// Not an event: a page was taken without one.
    Unseen,
}

/// The page events of a recording, in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    events: Vec<PageEvent>,
    has_drains: bool,
}

/// How far the traffic fitted the model.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TrafficCounts {
    /// Allocations at their recorded frame.
    pub placed: u64,
    /// Allocations elsewhere, because that frame was taken.
    pub displaced: u64,
    /// Allocations that found no pages at all.
    pub lost: u64,
    /// Frees.
    pub freed: u64,
    /// Frees of pages that were free already, or that no zone has.
    pub ignored_frees: u64,
    /// Returns from CPUs' lists that the model followed.
    pub drained: u64,
    /// Returns of pages that were on no list, for which another block of that list was returned.
    pub exchanged_drains: u64,
    /// Returns of pages that were on no list, when the CPU had no such block.
    pub ignored_drains: u64,
    /// Pageblocks that changed their type as recorded.
    pub claimed: u64,
    /// Pages moved by compaction.
    pub moved: u64,
    /// Of these, those that found no place to go to.
    pub moved_nowhere: u64,
    /// Pages taken without an event.
    pub unseen: u64,
    /// Of these, those that the model had in use already.
    pub ignored_unseen: u64,
}

/// How often CPUs look after their lists (`sysctl_stat_interval`, one second).
const VMSTAT_INTERVAL_NS: u64 = 1_000_000_000;

/// After so many rounds a limit is as low as it gets.
const MOST_TICKS: u64 = 100;

impl TrafficCounts {
    /// Share of the allocations that could not be placed as recorded.
    #[must_use]
    pub fn displaced_share(&self) -> Option<f64> {
        let all = self.placed + self.displaced + self.lost;
        (all > 0).then(|| (self.displaced + self.lost) as f64 / all as f64)
    }
}

impl Traffic {
    /// These events, in their order.
    #[must_use]
    pub fn new(events: Vec<PageEvent>) -> Self {
        let has_drains = events.iter().any(|event| event.kind == PageEventKind::Drain);
        Self { events, has_drains }
    }

    /// The same with what was taken without events, in the order of time.
    #[must_use]
    pub fn with(&self, unseen: &[PageEvent]) -> Self {
        let mut unseen = unseen.iter().copied().peekable();
        let mut events = Vec::with_capacity(self.events.len() + unseen.len());
        for event in &self.events {
            // What was taken unseen comes after all events of its moment.
            while let Some(taken) = unseen.next_if(|taken| taken.time_ns < event.time_ns) {
                events.push(taken);
            }
            events.push(*event);
        }
        events.extend(unseen);
        Self { events, has_drains: self.has_drains }
    }

    /// The events.
    #[must_use]
    pub fn events(&self) -> &[PageEvent] {
        &self.events
    }

    /// The recording shows when pages go back from CPUs' lists.
    #[must_use]
    pub fn has_drains(&self) -> bool {
        self.has_drains
    }

    pub(super) fn time_of(&self, event: usize) -> u64 {
        self.events.get(event).map_or(u64::MAX, |event| event.time_ns)
    }
}

/// The type that an event names, if it is one with lists.
fn listed_type(event: PageEvent) -> Option<u8> {
    u8::try_from(event.migratetype).ok().filter(|&of_type| usize::from(of_type) < TYPES)
}

impl PageModel {
    /// Replays the traffic up to and including this moment.
    #[cold]
    pub(super) fn pass_until(&mut self, time_ns: u64) {
        loop {
            let event_ns = self.traffic.time_of(self.next_event);
            let sample_ns = self.sample_at.last().copied().unwrap_or(u64::MAX);
            self.next_ns = event_ns.min(sample_ns);
            if self.next_ns > time_ns {
                break;
            }
            if sample_ns <= event_ns {
                self.sample_at.pop();
                self.keep_sample(sample_ns);
                continue;
            }
            self.now_ns = event_ns;
            let event = self.traffic.events[self.next_event];
            self.next_event += 1;
            self.pass(event);
        }
        // The end of the recording is no moment.
        let now_ns = if self.next_event < self.traffic.events.len() { time_ns } else { self.now_ns };
        let ticks = now_ns.saturating_sub(self.decayed_ns) / VMSTAT_INTERVAL_NS;
        if ticks > 0 {
            self.decayed_ns = now_ns;
        }
        for zone in &mut self.zones {
            zone.marks.settle(now_ns);
            (0..ticks.min(MOST_TICKS)).for_each(|_| zone.decay_lists(self.rules));
        }
    }

    #[inline]
    fn pass(&mut self, event: PageEvent) {
        if matches!(event.kind, PageEventKind::Free | PageEventKind::Migrate)
            && let Some((zone, frame)) = self.find(event.pfn, event.order)
        {
            self.zones[zone].recorded_as_freed(frame, event.order);
        }
        match event.kind {
            // The model makes its slabs itself.
            PageEventKind::Alloc if event.is_slab => self.now_recorded(event),
            _ if event.is_slab => {}
            PageEventKind::Alloc => {
                self.recorded_alloc(event);
                self.now_recorded(event);
            }
            PageEventKind::Free => self.recorded_free(event),
            PageEventKind::Drain => {
                self.recorded_drain(event);
                if let Some((zone, frame)) = self.find(event.pfn, event.order) {
                    self.zones[zone].recorded_as_drained(frame);
                }
            }
            PageEventKind::Migrate => {
                self.recorded_move(event);
                self.recorded_free(event);
            }
            // Shows what a list was refilled with.
            PageEventKind::Steal => {}
            PageEventKind::Unseen => {
                self.taken_unseen(event);
                self.now_recorded(event);
            }
            PageEventKind::Claim => {
                if let (Some((zone, frame)), Some(of_type)) = (self.find(event.pfn, 0), listed_type(event)) {
                    self.zones[zone].relabel(frame, of_type);
                    self.traffic_counts.claimed += 1;
                }
            }
        }
    }

    /// The recording has the pages of an event in use from now on.
    fn now_recorded(&mut self, event: PageEvent) {
        if let Some((zone, frame)) = self.find(event.pfn, event.order) {
            self.zones[zone].recorded_in_use(frame, event.order);
        }
    }

    fn recorded_alloc(&mut self, event: PageEvent) {
        // Requests for pages of other types, such as those of CMA, come from the movable ones.
        let of_type = u8::try_from(event.migratetype).ok().filter(|&of_type| of_type <= RECLAIMABLE).unwrap_or(MOVABLE);
        if let Some((zone, frame)) = self.gather(event.pfn, event.order)
            && let Some(taken) = self.take_block(zone, event.cpu, event.order, of_type, Some(frame))
        {
            self.zones[zone].mark_used(taken, event.order, of_type);
            self.traffic_counts.placed += 1;
            if !self.moved.is_empty() {
                for page in 0..1 << event.order {
                    self.moved.remove(&(event.pfn + page));
                }
            }
            return;
        }
        let Some((zone, frame)) = self.take_elsewhere(event, of_type) else {
            self.traffic_counts.lost += 1;
            return;
        };
        self.traffic_counts.displaced += 1;
        self.zones[zone].mark_used(frame, event.order, of_type);
        let pfn = self.zones[zone].pfn(frame);
        self.moved.extend((0..1 << event.order).map(|page| (event.pfn + page, pfn + page)));
    }

    /// A block in place of the recorded one, which is taken.
    fn take_elsewhere(&mut self, event: PageEvent, of_type: u8) -> Option<(usize, u32)> {
        if let Some((zone, frame)) = self.vacant(event.order) {
            return Some((zone, self.take_block(zone, event.cpu, event.order, of_type, Some(frame))?));
        }
        let recorded = self.find(event.pfn, 0).map(|(zone, _)| zone);
        let mut zones = recorded.into_iter().chain((0..self.zones.len()).rev());
        zones.find_map(|zone| Some((zone, self.take_block(zone, event.cpu, event.order, of_type, None)?)))
    }

    /// Where a recorded block is in the model.
    fn now_at(&self, event: PageEvent) -> Option<(usize, u32)> {
        let pfn = if self.moved.is_empty() { event.pfn } else { self.moved.get(&event.pfn).copied().unwrap_or(event.pfn) };
        self.find(pfn, event.order)
    }

    fn recorded_free(&mut self, event: PageEvent) {
        let found = self.now_at(event).filter(|&(zone, frame)| {
            let mut frames = frame..frame + (1 << event.order);
            frames.all(|frame| self.zones[zone].is_used(frame))
        });
        let Some((zone, frame)) = found else {
            // A page that is free here and not there: compaction had moved another one to it.
            while self.targets.front().is_some_and(|&(zone, frame)| !self.zones[zone].is_target(frame)) {
                self.targets.pop_front();
            }
            match if event.order == 0 { self.targets.pop_front() } else { None } {
                Some((zone, frame)) => self.give_back(zone, frame, 0, event.cpu),
                None => self.traffic_counts.ignored_frees += 1,
            }
            return;
        };
        self.traffic_counts.freed += 1;
        self.give_back(zone, frame, event.order, event.cpu);
    }

    /// A page that compaction moves needs a free one to go to. Where it was found does not show.
    fn recorded_move(&mut self, event: PageEvent) {
        self.traffic_counts.moved += 1;
        // It stays in its zone.
        if let Some((number, source)) = self.find(event.pfn, 0)
            && let Some(frame) = self.zones[number].scan_for_target(source, self.now_ns)
        {
            self.zones[number].mark_target(frame);
            self.targets.push_back((number, frame));
            return;
        }
        self.traffic_counts.moved_nowhere += 1;
    }

    /// A page that was taken without an event, as a bulk request does (`alloc_pages_bulk()`).
    fn taken_unseen(&mut self, event: PageEvent) {
        match self.gather(event.pfn, 0) {
            Some((zone, frame)) => {
                self.traffic_counts.unseen += 1;
                // `gather()` leaves a block that is on a list as it is.
                if self.zones[zone].parked_order(frame) == Some(0) {
                    self.zones[zone].unpark(frame, 0);
                } else {
                    self.zones[zone].take_at(frame, 0);
                }
                self.zones[zone].mark_used(frame, 0, UNMOVABLE);
            }
            None => self.traffic_counts.ignored_unseen += 1,
        }
    }

    fn recorded_drain(&mut self, event: PageEvent) {
        let found = self.now_at(event).filter(|&(zone, frame)| self.zones[zone].parked_order(frame) == Some(event.order));
        let Some((zone, frame)) = found else {
            // What is free already has nothing to go back from; what is in use has others in its stead.
            let used = self.find(event.pfn, event.order).filter(|&(zone, frame)| self.zones[zone].is_used(frame));
            match used {
                Some((zone, _)) => self.traffic_counts.exchanged_drains += self.zones[zone].drain_others(event.cpu, 1 << event.order),
                None => self.traffic_counts.ignored_drains += 1,
            }
            return;
        };
        self.traffic_counts.drained += 1;
        // The event names the pageblock's type.
        if let Some(of_type) = listed_type(event) {
            self.zones[zone].relabel(frame, of_type);
        }
        self.zones[zone].drain(frame, event.order);
    }
}
