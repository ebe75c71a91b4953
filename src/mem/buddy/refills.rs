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
    /// When it came, if that is known: the event of a page that was taken from blocks of another type tells.
    came_ns: Option<u64>,
    /// It goes back to the zone. Nothing but an allocation makes a refill, so it came with the one before.
    is_drain: bool,
}

impl Exit {
    /// It came with a refill after this moment.
    fn is_of_later(&self, now_ns: u64) -> bool {
        self.free_since_ns > now_ns || self.came_ns.is_some_and(|came_ns| came_ns > now_ns)
    }
}

/// Where it is known when one came, so it is of those before it that left after that moment: all of a refill comes at once.
fn spread(exits: &mut VecDeque<Exit>) {
    let mut known: Option<u64> = None;
    for exit in exits.iter_mut().rev() {
        if known.is_some_and(|came_ns| exit.time_ns < came_ns) {
            known = None;
        }
        known = exit.came_ns.or(known);
        exit.came_ns = known;
    }
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
    are_shown: bool,
    exits: FxHashMap<Key, VecDeque<Exit>>,
}

impl Refills {
    /// What the events of the `frames` page frames from `base` on show, those of slabs included. Blocks of orders up to `max_order` pass over
    /// lists.
    pub(super) fn follow(events: &[PageEvent], base: u64, frames: usize, max_order: u8) -> Self {
        let mut refills = Self { are_shown: true, ..Self::default() };
        // By first frame: the order of the block that was freed to a list.
        let mut freed: Vec<Option<u8>> = vec![None; frames];
        let mut free_since: Vec<u64> = vec![0; frames];
        // By first frame: when it was taken from blocks of another type, and for which list.
        let mut taken: Vec<Option<(u64, u16, u8, i8)>> = vec![None; frames];
        for event in events {
            let from = event.pfn.checked_sub(base).and_then(|from| usize::try_from(from).ok());
            let Some(from) = from.filter(|&from| from < frames) else { continue };
            let block = from..(from + (1 << event.order)).min(frames);
            let is_on_list = event.order <= max_order;
            let is_drain = event.kind == PageEventKind::Drain;
            match event.kind {
                PageEventKind::Free | PageEventKind::Migrate if is_on_list => freed[from] = Some(event.order),
                PageEventKind::Free | PageEventKind::Migrate => free_since[block].fill(event.time_ns),
                PageEventKind::Alloc | PageEventKind::Drain => {
                    if freed[from].take() != Some(event.order)
                        && is_on_list
                        && let Ok(of_type) = u8::try_from(event.migratetype)
                    {
                        let since = free_since[block.clone()].iter().max().copied().unwrap_or(0);
                        let own = (event.cpu, event.order, event.migratetype);
                        let came = taken[from].filter(|&(time_ns, cpu, order, of_type)| time_ns >= since && (cpu, order, of_type) == own);
                        let came_ns = came.map(|(time_ns, ..)| time_ns);
                        let exit = Exit { pfn: event.pfn, time_ns: event.time_ns, free_since_ns: since, came_ns, is_drain };
                        refills.exits.entry((event.cpu, event.order, of_type)).or_default().push_back(exit);
                    }
                    if is_drain {
                        free_since[block].fill(event.time_ns);
                    }
                }
                PageEventKind::Claim | PageEventKind::Steal => {
                    taken[from] = Some((event.time_ns, event.cpu, event.order, event.migratetype))
                }
                PageEventKind::Unseen => {}
            }
        }
        refills.exits.values_mut().for_each(spread);
        refills
    }

    /// True if there is a recording that may show refills.
    pub(super) fn are_shown(&self) -> bool {
        self.are_shown
    }

    /// True if the block that leaves the list now came with a refill: neither it nor what left before it is looked at again.
    pub(super) fn leaves(&mut self, list: Key, pfn: u64, now_ns: u64) -> bool {
        let Some(exits) = self.exits.get_mut(&list) else { return false };
        let so_far = exits.partition_point(|exit| exit.time_ns <= now_ns);
        let at = exits.range(..so_far).position(|exit| exit.pfn == pfn);
        exits.drain(..at.map_or(so_far, |at| at + 1));
        at.is_some()
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
            Some(exit) if exit.is_of_later(now_ns) || (is_full && !exit.is_drain && exit.came_ns.is_none()) => Next::NoMore,
            Some(&Exit { pfn, .. }) => {
                exits.pop_front();
                Next::Block(pfn)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::buddy::tests::event;

    const LIST: Key = (0, 0, 0);

    #[test]
    fn what_leaves_without_having_been_freed_came_with_a_refill() {
        use PageEventKind::{Alloc, Drain, Free};
        let events = [
            event(1, Alloc, 8, 0),
            event(2, Alloc, 9, 0),
            event(3, Free, 8, 0),
            // Freed to the list, so not of the refill.
            event(4, Alloc, 8, 0),
            event(5, Drain, 10, 0),
            event(6, Free, 16, 4),
            // Free since 6, so of a refill after that.
            event(7, Alloc, 17, 0),
        ];
        let mut refills = Refills::follow(&events, 0, 64, 3);
        assert!(refills.leaves(LIST, 8, 1));
        assert_eq!(refills.next(LIST, 1, false), Next::Block(9));
        // A refill of two blocks is full, but what goes back came with it.
        assert_eq!(refills.next(LIST, 1, true), Next::Block(10));
        assert_eq!(refills.next(LIST, 1, false), Next::NoMore);
        assert_eq!((refills.next(LIST, 7, true), refills.next(LIST, 7, false)), (Next::NoMore, Next::Block(17)));
        assert_eq!((refills.next(LIST, 7, false), refills.next((1, 0, 0), 7, false)), (Next::Unknown, Next::Unknown));
    }

    #[test]
    fn what_has_left_is_not_looked_at_again() {
        let events = [event(1, PageEventKind::Alloc, 8, 0), event(5, PageEventKind::Alloc, 9, 0), event(6, PageEventKind::Alloc, 10, 0)];
        let mut refills = Refills::follow(&events, 0, 64, 3);
        assert!(!refills.leaves(LIST, 9, 4), "it leaves later");
        assert!(!refills.leaves(LIST, 8, 5), "it has been passed");
        assert_eq!(refills.next(LIST, 5, false), Next::Block(10));
    }
}
