//! A machine of a given size, fragmented to a degree.

use super::zone::{MAX_ORDER, ZoneKind};
use super::{Fallback, Marks, PageSpec, PcpRule, Start, ZoneSpec};

/// The order that fragmentation is measured for: the largest that SLUB asks for by default (`PAGE_ALLOC_COSTLY_ORDER`).
const COSTLY_ORDER: u8 = 3;

impl PageSpec {
    /// An x86-64 machine of that much memory, split evenly among nodes, with the watermarks that the kernel would compute:
    /// `calculate_min_free_kbytes()` and `setup_per_zone_lowmem_reserve()`.
    #[must_use]
    pub fn of_memory(pages: u64, nodes: u16, cpus: u16, page_bytes: u32, fallback: Fallback, pcp: PcpRule) -> Self {
        let page_bytes64 = u64::from(page_bytes);
        let limits =
            [(ZoneKind::Dma, (16 << 20) / page_bytes64), (ZoneKind::Dma32, (4 << 30) / page_bytes64), (ZoneKind::Normal, u64::MAX)];
        let nodes64 = u64::from(nodes.max(1));
        let mut zones = Vec::new();
        for node in 0..nodes64 {
            // Whole largest blocks, so that no block lies across a boundary.
            let edge = |node: u64| ((pages * node / nodes64) >> MAX_ORDER) << MAX_ORDER;
            let (from, to) = (edge(node).max(1), edge(node + 1));
            let mut start = from;
            for (kind, limit) in limits {
                let end = to.min(limit);
                if start < end {
                    let marks = Marks { managed: end - start, ..Marks::default() };
                    zones.push(ZoneSpec { node: node as u16, kind, start_pfn: start, end_pfn: end, marks });
                    start = end;
                }
            }
        }
        let lowmem: u64 = zones.iter().map(|zone| zone.marks.managed).sum();
        let min_free_kb = (16 * lowmem * (page_bytes64 >> 10)).isqrt().clamp(128, 262_144);
        let min_free_pages = min_free_kb / (page_bytes64 >> 10);
        for zone in &mut zones {
            zone.marks = Marks::of(zone.marks.managed, lowmem, min_free_pages);
        }
        let reserves: Vec<Vec<u64>> = zones.iter().map(|zone| reserve(zone, &zones)).collect();
        for (zone, reserve) in zones.iter_mut().zip(reserves) {
            zone.marks.reserve = reserve;
        }
        Self { zones, pageblock_order: 9, cpus, fallback, pcp, page_bytes }
    }
}

/// What a zone keeps from requests that could use a higher one of its node, by index of that zone.
fn reserve(zone: &ZoneSpec, all: &[ZoneSpec]) -> Vec<u64> {
    let ratio = if zone.kind == ZoneKind::Normal { 32 } else { 256 };
    let kinds = [ZoneKind::Dma, ZoneKind::Dma32, ZoneKind::Normal, ZoneKind::Movable];
    let above = |highest: ZoneKind| {
        let between = |other: &&ZoneSpec| other.node == zone.node && other.kind > zone.kind && other.kind <= highest;
        all.iter().filter(between).map(|other| other.marks.managed).sum::<u64>()
    };
    kinds.map(|highest| above(highest) / ratio).to_vec()
}

/// Fragments what is free at the start until `percent` of it is in blocks too small for an order-3 request: in as many groups of eight
/// pages as it takes, one page each is in use for good.
pub fn fragment(start: &mut Start, percent: u64, seed: u64) {
    let group = 1_u64 << COSTLY_ORDER;
    let mut groups: Vec<u64> =
        start.free.iter().flat_map(|range| (range.start.next_multiple_of(group)..range.end).step_by(group as usize)).collect();
    groups.retain(|&first| start.free.iter().any(|range| range.start <= first && first + group <= range.end));
    let free: u64 = start.free.iter().map(|range| range.end - range.start).sum();
    // Each page in use makes the seven others unusable: 7k of free - k pages.
    let pins = (percent.min(100) * free).div_ceil(100 * (group - 1) + percent.min(100)).min(groups.len() as u64) as usize;
    let mut random = fastrand::Rng::with_seed(seed);
    random.shuffle(&mut groups);
    let mut used: Vec<u64> = groups[..pins].iter().map(|first| first + random.u64(..group)).collect();
    used.sort_unstable();
    let mut used = used.into_iter().peekable();
    let mut free = Vec::with_capacity(start.free.len() + pins);
    for range in &start.free {
        let mut from = range.start;
        while let Some(page) = used.next_if(|&page| page < range.end) {
            if from < page {
                free.push(from..page);
            }
            from = page + 1;
        }
        if from < range.end {
            free.push(from..range.end);
        }
    }
    start.free = free;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::buddy::{PageModel, Traffic};

    #[test]
    fn a_machine_of_8_gib_has_the_kernels_zones_and_marks() {
        let spec = PageSpec::of_memory(2 << 20, 1, 4, 4096, Fallback::ClaimThenSteal, PcpRule::Auto);
        let zones: Vec<_> = spec.zones.iter().map(|zone| (zone.kind, zone.start_pfn, zone.end_pfn)).collect();
        assert_eq!(zones, [(ZoneKind::Dma, 1, 4096), (ZoneKind::Dma32, 4096, 1 << 20), (ZoneKind::Normal, 1 << 20, 2 << 20)]);
        // isqrt(16 * 2097151 * 4) = 11585 kB, 2896 pages, of which the Normal zone has half.
        assert_eq!((spec.zones[2].marks.min, spec.zones[1].marks.reserve[2]), (1448, (1 << 20) / 256));
    }

    #[test]
    fn aging_reaches_its_degree_and_no_more() {
        let spec = PageSpec::of_memory(1 << 16, 1, 1, 4096, Fallback::ClaimThenSteal, PcpRule::Auto);
        for percent in [0, 10, 50, 90, 100] {
            let mut start = Start::fresh(&spec);
            fragment(&mut start, percent, 1);
            let free = PageModel::new(&spec, &start, Vec::new(), Traffic::default()).free_blocks();
            let index = free.unusable_index(COSTLY_ORDER);
            assert!((percent * 10..=percent * 10 + 1).contains(&index), "{percent} %: {index}");
        }
    }
}
