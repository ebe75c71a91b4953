//! A slab's request: `get_page_from_freelist()` and as much of `__alloc_pages_slowpath()` as needs no reclaim.

use super::marks::Mark;
use super::zone::{RECLAIMABLE, UNMOVABLE, ZoneKind};
use super::{OwnerPages, PageModel, Placement};
use crate::mem::{PageRequest, Pages, RecordedSlab, Rights};

/// One request for the pages of a slab, and what became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Attempt {
    /// Moment of the operation that needed the slab.
    pub time_ns: u64,
    /// Number of the cache.
    pub owner: u32,
    /// Order asked for.
    pub order: u8,
    /// Why there were no pages; `None` if there were.
    pub refusal: Option<Refusal>,
}

/// Why a request was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Refusal {
    /// No zone has a free block of that order or a larger one.
    NoBlock,
    /// There are such blocks, but taking one would leave less than the watermark.
    Watermark,
    /// It was made to fail.
    Injected,
}

/// What is assumed of pages that nothing is known of: those of caches that the plan lays out without flags.
const PLAIN: OwnerPages = OwnerPages { is_reclaimable: false, highest: ZoneKind::Normal, order: 0, min_order: 0 };

impl PageModel {
    /// A block for a slab, or `None`.
    pub(super) fn slab_request(&mut self, request: PageRequest) -> Option<Pages> {
        let owner = self.owners.get(request.owner as usize).copied().unwrap_or(PLAIN);
        let of_type = if owner.is_reclaimable { RECLAIMABLE } else { UNMOVABLE };
        // `should_fail_alloc_page()` comes before any list is looked at.
        let fails = self.injector.as_mut().is_some_and(|injector| injector.should_fail(request.order, request.rights));
        let zone = if fails { Err(Refusal::Injected) } else { self.choose_zone(request, owner.highest) };
        let attempt = |refusal| Attempt { time_ns: self.now_ns, owner: request.owner, order: request.order, refusal };
        let attempt = attempt(zone.err().filter(|_| request.rights != Rights::Reclaim || fails));
        self.attempts.push(attempt);
        if attempt.refusal.is_some() {
            return None;
        }
        let zone = zone.ok().or_else(|| self.reclaim(request, owner.highest));
        let slab = self.next_recorded(request);
        let wanted = slab.and_then(|(_, slab)| slab.pfn).filter(|_| self.placement == Placement::Recorded);
        let taken = zone.and_then(|zone| self.take_for_slab(zone, request, of_type, wanted));
        if let Some((index, _)) = slab {
            self.recorded[request.owner as usize].remove(index);
        }
        Some(taken.unwrap_or_else(|| self.invent(request)))
    }

    /// As far as direct reclaim goes without freeing anything: the lists of all CPUs are drained (`__alloc_pages_direct_reclaim()`). If
    /// that does not help, what reclaim would have freed is taken for enough.
    fn reclaim(&mut self, request: PageRequest, highest: ZoneKind) -> Option<usize> {
        self.counts.reclaimed += 1;
        for zone in &mut self.zones {
            (0..zone.pcp.len() as u16).for_each(|cpu| zone.drain_all(cpu));
        }
        let zone = self.choose_zone(request, highest).ok();
        zone.or_else(|| self.zones_of(request.node, highest, request.this_node_only).next())
    }

    /// The recorded slab that a request stands for, with its number among those that are left.
    fn next_recorded(&self, request: PageRequest) -> Option<(usize, RecordedSlab)> {
        let slabs = self.recorded.get(request.owner as usize)?;
        let index = RecordedSlab::next_of(slabs, request.cpu)?;
        Some((index, slabs[index]))
    }

    /// Takes a block of a zone, or at `wanted` if that is free and large enough.
    fn take_for_slab(&mut self, zone: usize, request: PageRequest, of_type: u8, wanted: Option<u64>) -> Option<Pages> {
        let order = request.order;
        let at = wanted.and_then(|pfn| self.gather(pfn, order)).or_else(|| wanted.and_then(|_| self.vacant(order)));
        let (zone, frame) = at.map_or((zone, None), |(zone, frame)| (zone, Some(frame)));
        let taken = self.take_block(zone, request.cpu, order, of_type, frame)?;
        let of_zone = &mut self.zones[zone];
        of_zone.mark_used(taken, order, of_type);
        let is_as_recorded = frame == Some(taken) && wanted == Some(of_zone.pfn(taken));
        self.counts.slabs_as_recorded += u64::from(is_as_recorded);
        self.counts.slabs_by_rules += u64::from(!is_as_recorded);
        Some(Pages { pfn: of_zone.pfn(taken), order, node: of_zone.node })
    }

    /// A block by way of the CPU's list or, for orders that have none, from the zone: it is `wanted` if that is given and free.
    pub(super) fn take_block(&mut self, zone: usize, cpu: u16, order: u8, of_type: u8, wanted: Option<u32>) -> Option<u32> {
        let (rules, now_ns, zone) = (self.rules, self.now_ns, &mut self.zones[zone]);
        let cpu = cpu.min(zone.pcp.len() as u16 - 1);
        if rules.on_lists(order) {
            return zone.take_by_list(cpu, order, of_type, wanted, rules, now_ns);
        }
        match wanted {
            Some(frame) if zone.take_at(frame, order) => Some(frame),
            _ => zone.take(order, of_type, false, rules.fallback, &mut Default::default()),
        }
    }

    /// Makes the frames of a block ready to be taken as one: parts of it that are on CPUs' lists go back to the free blocks. `None`
    /// if one is in use.
    pub(super) fn gather(&mut self, pfn: u64, order: u8) -> Option<(usize, u32)> {
        let (number, frame) = self.find(pfn, order)?;
        let zone = &mut self.zones[number];
        if zone.parked_order(frame) == Some(order) {
            return Some((number, frame));
        }
        let frames = frame..frame + (1 << order);
        if frames.clone().any(|frame| zone.is_used(frame)) {
            return None;
        }
        for frame in frames {
            if let Some((head, parked)) = zone.parked_around(frame) {
                zone.drain(head, parked);
            }
        }
        zone.block_around(frame).is_some_and(|(_, larger)| larger >= order).then_some((number, frame))
    }

    /// The zone that has a block, and its place there.
    pub(super) fn find(&self, pfn: u64, order: u8) -> Option<(usize, u32)> {
        let mut zones = self.zones.iter().enumerate();
        zones.find_map(|(number, zone)| Some((number, zone.place(pfn, order)?)))
    }

    /// The zone that serves a request: the first walk keeps the low marks, the second the minimum less what the rights allow.
    fn choose_zone(&self, request: PageRequest, highest: ZoneKind) -> Result<usize, Refusal> {
        let walk = |mark| {
            let mut zones = self.zones_of(request.node, highest, request.this_node_only);
            zones.find(|&zone| self.zones[zone].watermark_ok(request.order, mark, highest as usize, request.rights))
        };
        walk(Mark::Low).or_else(|| walk(Mark::Min)).ok_or_else(|| {
            let orders = usize::from(request.order)..;
            let mut zones = self.zones_of(request.node, highest, request.this_node_only);
            if zones.any(|zone| self.zones[zone].free_blocks[orders.clone()].iter().any(|&blocks| blocks > 0)) {
                Refusal::Watermark
            } else {
                Refusal::NoBlock
            }
        })
    }

    /// The zonelist: the node's own zones from the highest on, then those of other nodes, nearest number first.
    fn zones_of(&self, node: u16, highest: ZoneKind, this_node_only: bool) -> impl Iterator<Item = usize> {
        let own = self.zones.iter().enumerate().rev().filter(move |(_, zone)| zone.node == node);
        let others = self.zones.iter().enumerate().rev().filter(move |(_, zone)| zone.node != node && !this_node_only);
        own.chain(others).filter(move |(_, zone)| zone.kind <= highest).map(|(number, _)| number)
    }

    /// Pages that the model has not: the kernel would have reclaimed some.
    fn invent(&mut self, request: PageRequest) -> Pages {
        self.counts.invented += 1;
        let pfn = self.next_invented.next_multiple_of(1 << request.order);
        self.next_invented = pfn + (1 << request.order);
        Pages { pfn, order: request.order, node: request.node }
    }

    /// Pages of a slab from before the trace: in use from the start.
    pub(super) fn seeded(&mut self, request: PageRequest, pfn: Option<u64>) -> Pages {
        let at = pfn.and_then(|pfn| self.find(pfn, request.order));
        match at {
            Some((number, frame)) => Pages { pfn: self.zones[number].pfn(frame), order: request.order, node: self.zones[number].node },
            None => self.invent(request),
        }
    }

    /// Takes back the pages of a slab.
    pub(super) fn slab_free(&mut self, pages: Pages) {
        let found = self.find(pages.pfn, pages.order).filter(|&(zone, frame)| {
            let mut frames = frame..frame + (1 << pages.order);
            frames.all(|frame| self.zones[zone].is_used(frame))
        });
        match found {
            Some((zone, frame)) => self.give_back(zone, frame, pages.order, self.cpu),
            None => self.counts.foreign_frees += 1,
        }
    }

    /// A block in use goes to the CPU's list or, if it is too large, to the free blocks.
    pub(super) fn give_back(&mut self, zone: usize, frame: u32, order: u8, cpu: u16) {
        let (rules, zone) = (self.rules, &mut self.zones[zone]);
        let cpu = cpu.min(zone.pcp.len() as u16 - 1);
        if rules.on_lists(order) {
            zone.free_to_list(cpu, frame, order, rules);
        } else {
            let of_type = zone.type_of(frame).min(super::zone::TYPES as u8 - 1);
            zone.free_block(frame, order, of_type);
        }
        zone.perhaps_vacant(frame, order);
    }
}
