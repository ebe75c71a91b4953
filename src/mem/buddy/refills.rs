//! What CPUs' lists were refilled with: no event shows it, later ones do.
//!
//! A page that leaves a CPU's list, by an allocation or by going back to the zone, without having been freed to that list must have come
//! with a refill. A list is refilled only when it is empty, so what came with one refill leaves before anything of the next does: in the
//! order in which pages leave, each refill is a stretch.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;

use super::traffic::{PageEvent, PageEventKind};

/// A block that leaves a list without having been freed to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Exit {
    pub(super) pfn: u64,
    /// When it leaves.
    time_ns: u64,
    /// Since when it was free, or on that list.
    free_since_ns: u64,
    /// It goes back to the zone. Nothing but an allocation makes a refill, so it came with the one before.
    is_drain: bool,
}

/// What the recording shows of the next block of a refill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// This block.
    Block(u64),
    /// The refill was over.
    NoMore,
    /// Nothing: what came then had not left when the recording ended.
    Unknown,
}

/// A list: CPU, order, type.
type Key = (u16, u8, u8);

/// By list: the blocks that leave it without having been freed to it, in their order.
#[derive(Debug, Clone, Default)]
pub(super) struct Refills {
    exits: FxHashMap<Key, VecDeque<Exit>>,
}

impl Refills {
    /// What all events of a recording show, those of slabs included. Blocks of orders up to `max_order` pass over lists.
    pub(super) fn follow<'a>(events: impl Iterator<Item = &'a PageEvent>, max_order: u8) -> Self {
        let mut refills = Self::default();
        // Blocks that were freed to a list, by first frame: their order.
        let mut freed: FxHashMap<u64, u8> = FxHashMap::default();
        let mut free_since: FxHashMap<u64, u64> = FxHashMap::default();
        for event in events {
            let frames = event.pfn..event.pfn + (1 << event.order);
            let is_on_list = event.order <= max_order;
            let is_drain = event.kind == PageEventKind::Drain;
            match event.kind {
                PageEventKind::Free | PageEventKind::Migrate if is_on_list => _ = freed.insert(event.pfn, event.order),
                PageEventKind::Free | PageEventKind::Migrate => free_since.extend(frames.map(|frame| (frame, event.time_ns))),
                PageEventKind::Alloc | PageEventKind::Drain => {
                    if freed.remove(&event.pfn) != Some(event.order)
                        && is_on_list
                        && let Ok(of_type) = u8::try_from(event.migratetype)
                    {
                        let since = frames.clone().filter_map(|frame| free_since.get(&frame)).max().copied().unwrap_or(0);
                        let exit = Exit { pfn: event.pfn, time_ns: event.time_ns, free_since_ns: since, is_drain };
                        refills.exits.entry((event.cpu, event.order, of_type)).or_default().push_back(exit);
                    }
                    if is_drain {
                        free_since.extend(frames.map(|frame| (frame, event.time_ns)));
                    }
                }
                PageEventKind::Claim | PageEventKind::Unseen => {}
            }
        }
        refills
    }

    /// True if the block that leaves the list now came with a refill: neither it nor what left before it is looked at again.
    pub(super) fn leaves(&mut self, list: Key, pfn: u64, now_ns: u64) -> bool {
        let Some(exits) = self.exits.get_mut(&list) else { return false };
        let so_far = exits.iter().take_while(|exit| exit.time_ns <= now_ns);
        let at = so_far.enumerate().find(|(_, exit)| exit.pfn == pfn).map(|(at, _)| at);
        at.is_some_and(|at| exits.drain(..=at).count() > 0)
    }

    /// What came next with a refill at this moment. It is not looked at again. Once the refill `is_full`, only what nothing else can have
    /// brought is part of it.
    pub(super) fn next(&mut self, list: Key, now_ns: u64, is_full: bool) -> Next {
        let Some(exits) = self.exits.get_mut(&list) else { return Next::Unknown };
        while exits.front().is_some_and(|exit| exit.time_ns < now_ns) {
            exits.pop_front();
        }
        match exits.front() {
            None => Next::Unknown,
            Some(exit) if exit.free_since_ns > now_ns || (is_full && !exit.is_drain) => Next::NoMore,
            Some(&Exit { pfn, .. }) => {
                exits.pop_front();
                Next::Block(pfn)
            }
        }
    }
}
