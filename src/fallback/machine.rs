//! The page allocator to model: from a capture's zones, or of a memory size that the user names, or from the trace alone.

use slubreplay_parsers::capture::{PageSnapshot, SlabSnapshot, ZonePages};

use crate::allocators::slub::sizing::KernelRelease;
use crate::mem::buddy::{
    Fallback, FreeBlocks, Histogram, MAX_ORDER, Marks, OwnerPages, PageSpec, PcpRule, Start, ZoneKind, ZoneSpec, fragment,
};
use crate::prepare::Plan;
use crate::setting::Setting;

/// What the user says of the memory.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Memory {
    /// Bytes; `None` leaves it to the recording.
    pub bytes: Option<u64>,
    /// How much of the free memory is in blocks too small for an order-3 request, in percent.
    pub aged_percent: u64,
    /// Of the places of what is in use then.
    pub seed: u64,
}

/// Zones, rules and free blocks at the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageMachine {
    /// Zones and rules.
    pub spec: PageSpec,
    /// Free blocks.
    pub start: Start,
    /// What the reader should know.
    pub notes: Vec<String>,
}

/// How the release takes pages of other types. 6.12 has the claim; that its first updates have it too is not certain.
fn fallback_of(release: KernelRelease) -> Fallback {
    if release.since(6, 12) { Fallback::ClaimThenSteal } else { Fallback::Steal }
}

fn pcp_of(release: KernelRelease) -> PcpRule {
    match release {
        _ if release.since(6, 7) => PcpRule::Auto,
        _ if release.since(5, 14) => PcpRule::Factor,
        _ => PcpRule::Single,
    }
}

impl PageMachine {
    /// Resolves it for a plan. `counted` are the page allocator's figures near the start of the recording.
    #[must_use]
    pub fn resolve(plan: &Plan, setting: &Setting, counted: Option<&PageSnapshot>, memory: Memory) -> Self {
        let mut notes = Vec::new();
        let release = setting.kernel.release;
        let (fallback, pcp) = (fallback_of(release), pcp_of(release));
        let (cpus, page_bytes) = (setting.topology.cpus(), setting.kernel.machine.page_bytes);
        if let Some(bytes) = memory.bytes {
            let pages = bytes / u64::from(page_bytes);
            let spec = PageSpec::of_memory(pages, setting.topology.nodes(), cpus, page_bytes, fallback, pcp);
            let mut start = Start::fresh(&spec);
            fragment(&mut start, memory.aged_percent, memory.seed);
            notes.push(
                "memory as asked for, free at the start but for its ageing; recorded pages go elsewhere where it has none".to_owned(),
            );
            return Self { spec, start, notes };
        }
        let zones = match counted {
            Some(counted) => counted.zones.iter().map(zone_spec).collect(),
            None => {
                notes.push("no zoneinfo: one zone as far as the trace reaches, without watermarks".to_owned());
                vec![zone_of_trace(plan)]
            }
        };
        let pageblock_order =
            counted.and_then(|counted| counted.pageblock_order).filter(|order| (1..=MAX_ORDER).contains(order)).unwrap_or(9);
        let spec = PageSpec { zones, pageblock_order, cpus, fallback, pcp, page_bytes };
        let histograms: Vec<Histogram> = counted.iter().flat_map(|counted| &counted.zones).filter_map(histogram).collect();
        if histograms.is_empty() {
            notes.push("no buddyinfo: memory that the trace does not touch counts as free".to_owned());
        }
        let at_ns = plan.snapshots_ns.first().copied().unwrap_or(plan.time_range_ns.0);
        let mut start = Start::recorded(&spec, plan.traffic.events(), &histograms, at_ns, plan.from_boot);
        fragment(&mut start, memory.aged_percent, memory.seed);
        Self { spec, start, notes }
    }
}

fn zone_spec(zone: &ZonePages) -> ZoneSpec {
    let without_boost = |mark: u64| mark.saturating_sub(zone.boost);
    let marks = Marks {
        min: without_boost(zone.min),
        low: without_boost(zone.low),
        high: without_boost(zone.high),
        reserve: by_kind(&zone.protection),
        managed: zone.managed,
        ..Marks::default()
    };
    // More than a machine can have is damage; what is beyond is left out.
    const MOST_PAGES: u64 = 1 << 30;
    let (start_pfn, spanned) = (zone.start_pfn.min(1 << 40), zone.spanned.min(MOST_PAGES));
    ZoneSpec { node: zone.node, kind: ZoneKind::named(&zone.name), start_pfn, end_pfn: start_pfn + spanned, marks }
}

/// The lowmem reserve by the model's zones. Files have one number for each zone that the kernel is built with, of which DMA32, Normal and
/// Movable are the last three, and a device zone behind them, if there is one, never asks.
fn by_kind(protection: &[u64]) -> Vec<u64> {
    let with_dma = |row: &[u64]| [&[0], row].concat();
    match protection.len() {
        0..=3 => with_dma(protection),
        _ => protection.to_vec(),
    }
}

fn histogram(zone: &ZonePages) -> Option<Histogram> {
    let free = FreeBlocks::counted(&zone.free_blocks);
    // buddyinfo and zoneinfo are read one after the other; the blocks are those of the first, the sum that of the second.
    let pages = zone.free + zone.pagesets.iter().fold(0, |sum: u64, set| sum.saturating_add(set.count));
    (!zone.free_blocks.is_empty()).then(|| Histogram { node: zone.node, kind: ZoneKind::named(&zone.name), free, pages: Some(pages) })
}

/// A zone that has all frames that the trace speaks of.
fn zone_of_trace(plan: &Plan) -> ZoneSpec {
    // 1 TiB of 4 KiB pages: a frame beyond that is taken for damage.
    const MOST_FRAMES: u64 = 1 << 28;
    let frames = plan.traffic.events().iter().map(|event| event.pfn + 1).filter(|&end| end <= MOST_FRAMES).max().unwrap_or(1);
    let end_pfn = frames.next_multiple_of(1 << MAX_ORDER);
    ZoneSpec { node: 0, kind: ZoneKind::Normal, start_pfn: 1, end_pfn, marks: Marks { managed: end_pfn - 1, ..Marks::default() } }
}

/// The moment of a marker with so many operations before it.
pub(super) fn mark_ns(plan: &Plan, ops: usize) -> u64 {
    plan.ops.get(ops).map_or(plan.time_range_ns.1, |op| op.time_ns)
}

/// What each cache asks for pages as: the recorded slabs say it of those that made any, a snapshot of the others.
#[must_use]
pub fn owners(plan: &Plan, snapshot: Option<&SlabSnapshot>) -> Vec<OwnerPages> {
    let slabs = |cache: usize| plan.recorded_slabs.get(cache).map(Vec::as_slice).unwrap_or_default();
    let of_cache = |(number, cache): (usize, &crate::prepare::PlannedCache)| {
        let attributes = snapshot.and_then(|snapshot| snapshot.caches.get(&cache.name));
        let says = |attribute: &str| attributes.and_then(|attributes| attributes.number(attribute)) == Some(1);
        let is_reclaimable = slabs(number).iter().any(|slab| slab.is_reclaimable) || says("reclaim_account");
        let highest = if says("cache_dma") { ZoneKind::Dma } else { ZoneKind::Normal };
        OwnerPages { is_reclaimable, highest, order: cache.layout.order as u8, min_order: cache.layout.min_order as u8 }
    };
    plan.caches.iter().enumerate().map(of_cache).collect()
}
