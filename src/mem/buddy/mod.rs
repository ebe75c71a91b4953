//! A model of the page allocator: nodes, zones, free blocks by order and migrate type, pageblocks with fallback, per-CPU lists,
//! watermarks. Follows `mm/page_alloc.c`, 5.4 to 6.18.
//!
//! | file | what it does |
//! |---|---|
//! | `zone` | frames and free blocks of a zone; splitting and merging |
//! | `fallback` | taking pages of another migrate type |
//! | `pcp` | per-CPU lists |
//! | `refills` | what they were refilled with, as a recording shows it |
//! | `compaction` | where pages go that compaction moved |
//! | `later` | what a recording shows of a frame after a moment |
//! | `marks` | watermarks and their boost |
//! | `request` | a slab's request: the walks over the zones |
//! | `traffic` | everybody else's pages, as a recording has them |
//! | `vacant` | where pages go whose recorded place is taken |
//! | `start` | the free blocks at the start |
//! | `aged` | or a machine of a given size, fragmented to a degree |
//! | `inject` | failures like those of `fail_page_alloc` |
//! | `index` | free blocks, and how fragmented they are |
//! | `validate` | the conservation laws |
//!
//! Left out: reclaim, kswapd, compaction and the OOM killer. A request without any right to reclaim, as is SLUB's first attempt, is
//! decided by the free blocks alone, so for it nothing is missing. Requests with that right that find nothing are met all the same and
//! counted. What reclaim freed in the recorded kernel is in the recording. CMA and memory hotplug are left out too, and the reserve for
//! atomic requests of more than one page.

mod aged;
mod compaction;
mod fallback;
mod index;
mod inject;
mod later;
mod marks;
mod pcp;
mod refills;
mod request;
mod start;
mod traffic;
mod vacant;
mod validate;
mod zone;

#[cfg(test)]
mod tests;

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

pub use aged::fragment;
pub use fallback::Fallback;
pub use index::FreeBlocks;
pub use inject::{FailPages, InvalidFailPages};
pub use marks::Marks;
pub use pcp::PcpRule;
pub use request::{Attempt, Refusal};
pub use start::{Histogram, Start};
pub use traffic::{PageEvent, PageEventKind, Traffic, TrafficCounts};
pub use validate::BrokenPages;
pub use zone::{MAX_ORDER, ORDERS, ZoneKind};

use self::inject::Injector;
use self::pcp::{CpuLists, Rules};
use self::refills::Refills;
use self::zone::Zone;
use super::{PageRequest, PageSource, Pages, RecordedSlab};

/// A zone to model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ZoneSpec {
    /// Node.
    pub node: u16,
    /// What requests may reach it.
    pub kind: ZoneKind,
    /// First page frame.
    pub start_pfn: u64,
    /// Frame after the last.
    pub end_pfn: u64,
    /// Watermarks.
    pub marks: Marks,
}

/// The machine and the kernel's rules.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSpec {
    /// Zones, by node, the lowest first.
    pub zones: Vec<ZoneSpec>,
    /// Order of a pageblock.
    pub pageblock_order: u8,
    /// CPUs.
    pub cpus: u16,
    /// How pages of other types are taken.
    pub fallback: Fallback,
    /// How CPUs keep lists.
    pub pcp: PcpRule,
    /// Page size.
    pub page_bytes: u32,
}

/// What the pages of a cache are asked for as.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnerPages {
    /// Its objects can be reclaimed (`SLAB_RECLAIM_ACCOUNT`).
    pub is_reclaimable: bool,
    /// Highest zone that it may use.
    pub highest: ZoneKind,
    /// Order that it asks for first.
    pub order: u8,
    /// Least order.
    pub min_order: u8,
}

/// How slabs are placed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Placement {
    /// Where the recorded kernel had them, as long as these pages are free: a run with unchanged parameters has the free blocks of the
    /// recording.
    #[default]
    Recorded,
    /// Where the model's own lists put them.
    ByRules,
}

/// What happens on the way that is not a request's own result.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageCounts {
    /// Requests with a right to reclaim that found nothing and were met all the same.
    pub reclaimed: u64,
    /// Of these, those that no zone had a block for: their pages are nowhere in the model.
    pub invented: u64,
    /// Slabs placed where the recorded kernel had them.
    pub slabs_as_recorded: u64,
    /// Slabs placed by the rules.
    pub slabs_by_rules: u64,
    /// Frees of slabs whose pages are not in the model.
    pub foreign_frees: u64,
}

/// The state of the free blocks at a moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageSample {
    /// Moment of the trace clock.
    pub time_ns: u64,
    /// Free blocks of all zones together.
    pub free: FreeBlocks,
    /// Pages on CPUs' lists.
    pub parked: u64,
}

/// The page allocator, driven by slabs' requests and by recorded traffic.
#[derive(Debug, Clone)]
pub struct PageModel {
    zones: Vec<Zone>,
    rules: Rules,
    owners: Vec<OwnerPages>,
    traffic: Traffic,
    /// Position in the traffic.
    next_event: usize,
    /// Time of that event; beyond any time after the last.
    next_ns: u64,
    /// Where recorded pages are, if not where they were recorded.
    moved: FxHashMap<u64, u64>,
    /// Pages that compaction moved others to, and that were not freed since: zone and frame, in order.
    targets: VecDeque<(usize, u32)>,
    /// By owner: slabs of the recording that are not used up, the next one last.
    recorded: Vec<Vec<RecordedSlab>>,
    placement: Placement,
    injector: Option<Injector>,
    now_ns: u64,
    /// When CPUs' lists were last looked after.
    decayed_ns: u64,
    cpu: u16,
    attempts: Vec<Attempt>,
    counts: PageCounts,
    traffic_counts: TrafficCounts,
    /// Moments at which the free blocks are kept, the next one last.
    sample_at: Vec<u64>,
    samples: Vec<PageSample>,
    /// Frames handed out beyond all zones, for requests that had to be met.
    next_invented: u64,
}

impl PageModel {
    /// A model with these free blocks at the start.
    #[must_use]
    pub fn new(spec: &PageSpec, start: &Start, owners: Vec<OwnerPages>, traffic: Traffic) -> Self {
        let rules = Rules { pcp: spec.pcp, fallback: spec.fallback, drains_are_recorded: traffic.has_drains() };
        let page_bytes = u64::from(spec.page_bytes);
        let zones: Vec<Zone> = spec
            .zones
            .iter()
            .map(|zone| {
                let lists = CpuLists::new(zone.marks.managed, zone.marks.low, u64::from(spec.cpus), spec.pcp, page_bytes);
                let pcp = vec![lists; usize::from(spec.cpus.max(1))];
                let mut made = Zone::new(zone.kind, zone.node, zone.start_pfn..zone.end_pfn, spec.pageblock_order, zone.marks.clone(), pcp);
                made.lists_follow_pageblocks = spec.fallback == Fallback::ClaimThenSteal;
                made
            })
            .collect();
        let traffic_start = Some(traffic.time_of(0)).filter(|&time_ns| time_ns < u64::MAX).unwrap_or(0);
        let mut model = Self {
            next_ns: traffic.time_of(0),
            zones,
            rules,
            owners,
            traffic,
            next_event: 0,
            moved: FxHashMap::default(),
            targets: VecDeque::new(),
            recorded: Vec::new(),
            placement: Placement::default(),
            injector: None,
            now_ns: 0,
            decayed_ns: traffic_start,
            cpu: 0,
            attempts: Vec::new(),
            counts: PageCounts::default(),
            traffic_counts: TrafficCounts::default(),
            sample_at: Vec::new(),
            samples: Vec::new(),
            next_invented: 1 << 40,
        };
        model.lay_out(start);
        model
    }

    /// Slabs go where the recorded kernel had them: by owner, its slabs in their order.
    #[must_use]
    pub fn placing(mut self, placement: Placement, slabs: impl IntoIterator<Item = Vec<RecordedSlab>>) -> Self {
        self.placement = placement;
        self.recorded = slabs.into_iter().map(|slabs| slabs.into_iter().rev().collect()).collect();
        self
    }

    /// CPUs' lists are refilled with what these events show, of slabs and others: those of the whole recording.
    #[must_use]
    pub fn refilling(mut self, events: &[PageEvent]) -> Self {
        let max_order = if self.rules.pcp > PcpRule::Single { pcp::MAX_PCP_ORDER } else { 0 };
        for zone in &mut self.zones {
            zone.refills = Refills::follow(events, zone.base, zone.frames.len(), max_order);
            zone.begin_recorded();
        }
        self
    }

    /// Slabs' requests fail like this, too.
    #[must_use]
    pub fn failing(mut self, fail: Option<FailPages>) -> Self {
        self.injector = fail.map(Injector::new);
        self
    }

    /// Keeps the free blocks at these moments of the trace clock.
    #[must_use]
    pub fn sampling(mut self, mut moments: Vec<u64>) -> Self {
        moments.sort_unstable_by(|a, b| b.cmp(a));
        self.sample_at = moments;
        self
    }

    /// The requests for slabs, in their order.
    #[must_use]
    pub fn attempts(&self) -> &[Attempt] {
        &self.attempts
    }

    /// The free blocks at the moments that were asked for, as far as they are reached.
    #[must_use]
    pub fn samples(&self) -> &[PageSample] {
        &self.samples
    }

    /// What happened beside the requests.
    #[must_use]
    pub fn counts(&self) -> PageCounts {
        self.counts
    }

    /// How far the recorded traffic fitted.
    #[must_use]
    pub fn traffic_counts(&self) -> TrafficCounts {
        self.traffic_counts
    }

    /// Free blocks of all zones, now.
    #[must_use]
    pub fn free_blocks(&self) -> FreeBlocks {
        self.zones.iter().fold(FreeBlocks::default(), |sum, zone| sum.plus(&FreeBlocks(zone.free_blocks)))
    }

    /// Free blocks of each zone, with its node, now.
    pub fn zones(&self) -> impl Iterator<Item = (u16, ZoneKind, FreeBlocks)> {
        self.zones.iter().map(|zone| (zone.node, zone.kind, FreeBlocks(zone.free_blocks)))
    }

    /// Pages on CPUs' lists, now.
    #[must_use]
    pub fn parked(&self) -> u64 {
        self.zones.iter().flat_map(|zone| &zone.pcp).map(|lists| lists.count).sum()
    }

    /// Lets the rest of the traffic pass, to the end of the recording.
    pub fn finish(&mut self) {
        self.pass_until(u64::MAX - 1);
        while let Some(time_ns) = self.sample_at.pop() {
            self.keep_sample(time_ns);
        }
    }

    fn keep_sample(&mut self, time_ns: u64) {
        self.samples.push(PageSample { time_ns, free: self.free_blocks(), parked: self.parked() });
    }
}

impl PageSource for PageModel {
    fn alloc(&mut self, request: PageRequest) -> Option<Pages> {
        self.slab_request(request)
    }

    fn free(&mut self, pages: Pages) {
        self.slab_free(pages);
    }

    fn seed(&mut self, request: PageRequest, pfn: Option<u64>) -> Option<Pages> {
        Some(self.seeded(request, pfn))
    }

    #[inline]
    fn advance(&mut self, time_ns: u64, cpu: u16) {
        self.cpu = cpu;
        if time_ns >= self.next_ns {
            self.pass_until(time_ns);
        }
        self.now_ns = time_ns;
    }
}
