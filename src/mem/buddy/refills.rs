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

/// A block that left a list, as far as its event tells.
#[derive(Debug, Clone, Copy)]
struct Left {
    list: Key,
    /// Type that the event tells.
    of_type: u8,
    exit: Exit,
    /// One that went back before it from the same list: it lies just behind it, as refills put blocks on lists in ascending order and they go
    /// back in descending order; or both went back in one call, which empties a list before it turns to the next.
    neighbour: Option<u32>,
}

/// Two blocks that go back within this time do so in one call.
const CALL_NS: u64 = 20_000;

/// What was seen of frames and lists so far.
#[derive(Debug, Default)]
struct Seen {
    /// By first frame: the order of the block that was freed to a list.
    freed: Vec<Option<u8>>,
    /// By frame: since when it has been free.
    free_since: Vec<u64>,
    /// By first frame: when it was taken from blocks of another type, and for which list.
    taken: Vec<Option<(u64, Key)>>,
    left: Vec<Left>,
    /// By CPU and order: what went back last.
    returned: FxHashMap<(u16, u8), u32>,
}

impl Seen {
    fn event(&mut self, event: &PageEvent, block: std::ops::Range<usize>, is_on_list: bool) {
        let of_type = u8::try_from(event.migratetype).ok();
        match event.kind {
            PageEventKind::Free | PageEventKind::Migrate if is_on_list => self.freed[block.start] = Some(event.order),
            PageEventKind::Free | PageEventKind::Migrate => self.free_since[block].fill(event.time_ns),
            PageEventKind::Alloc | PageEventKind::Drain => {
                let is_drain = event.kind == PageEventKind::Drain;
                if self.freed[block.start].take() != Some(event.order)
                    && is_on_list
                    && let Some(of_type) = of_type
                {
                    self.leaves(event, block.clone(), of_type, is_drain);
                }
                if is_drain {
                    self.free_since[block].fill(event.time_ns);
                }
            }
            PageEventKind::Claim | PageEventKind::Steal => {
                self.taken[block.start] = of_type.map(|of_type| (event.time_ns, (event.cpu, event.order, of_type)));
            }
            PageEventKind::Unseen => {}
        }
    }

    fn leaves(&mut self, event: &PageEvent, block: std::ops::Range<usize>, of_type: u8, is_drain: bool) {
        let first = block.start;
        let free_since_ns = self.free_since[block].iter().max().copied().unwrap_or(0);
        // What goes back is told with the type of its pageblock, which need not be that of the list.
        let is_own = |(cpu, order, its_type): Key| (cpu, order) == (event.cpu, event.order) && (is_drain || its_type == of_type);
        let taken = self.taken[first].filter(|&(time_ns, list)| time_ns >= free_since_ns && is_own(list));
        let list = taken.map_or((event.cpu, event.order, of_type), |(_, list)| list);
        let came_ns = taken.map(|(time_ns, _)| time_ns);
        let exit = Exit { pfn: event.pfn, time_ns: event.time_ns, free_since_ns, came_ns, is_drain };
        let number = self.left.len() as u32;
        let before = if is_drain { self.returned.insert((event.cpu, event.order), number) } else { None };
        let neighbour = before.filter(|&before| {
            let Left { exit, of_type: its_type, .. } = self.left[before as usize];
            let is_adjacent = exit.pfn == event.pfn + (1 << event.order);
            is_adjacent || its_type == of_type && event.time_ns.abs_diff(exit.time_ns) <= CALL_NS
        });
        self.left.push(Left { list, of_type, exit, neighbour });
    }

    /// What left, with neighbours of what is known to have come to a list at some moment come there at the same moment.
    fn into_left(mut self) -> Vec<Left> {
        for number in (0..self.left.len()).rev() {
            let Left { list, exit, neighbour, .. } = self.left[number];
            if let (Some(neighbour), Some(came_ns)) = (neighbour, exit.came_ns) {
                let other = &mut self.left[neighbour as usize];
                if other.exit.came_ns.is_none() && other.exit.free_since_ns <= came_ns {
                    (other.list, other.exit.came_ns) = (list, Some(came_ns));
                }
            }
        }
        self.left
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
        let mut seen = Seen { freed: vec![None; frames], free_since: vec![0; frames], taken: vec![None; frames], ..Seen::default() };
        for event in events {
            let from = event.pfn.checked_sub(base).and_then(|from| usize::try_from(from).ok());
            if let Some(from) = from.filter(|&from| from < frames) {
                seen.event(event, from..(from + (1 << event.order)).min(frames), event.order <= max_order);
            }
        }
        let mut refills = Self { are_shown: true, ..Self::default() };
        for left in seen.into_left() {
            refills.exits.entry(left.list).or_default().push_back(left.exit);
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

    /// The event of a page taken from another type says when a refill was: what left after it and before that page came along, and what went back
    /// next to it was on the same list, whatever the type of its pageblock.
    #[test]
    fn pages_of_other_types_tell_when_and_for_which_list() {
        use PageEventKind::{Alloc, Drain, Steal};
        let typed = |migratetype, event: PageEvent| PageEvent { migratetype, ..event };
        let events = [
            event(1, Alloc, 8, 0),
            event(4, Steal, 20, 0),
            event(5, Alloc, 9, 0),
            event(6, Alloc, 20, 0),
            typed(2, event(7, Steal, 30, 0)),
            event(8, Drain, 32, 0),
            event(8, Drain, 31, 0),
            event(8, Drain, 30, 0),
        ];
        let mut refills = Refills::follow(&events, 0, 64, 3);
        assert!(refills.leaves(LIST, 8, 1));
        assert_eq!(refills.next(LIST, 1, false), Next::NoMore, "9 came at 4");
        // However small the refill was.
        assert_eq!([(); 2].map(|()| refills.next(LIST, 4, true)), [Next::Block(9), Next::Block(20)]);
        assert_eq!(refills.next(LIST, 6, false), Next::Unknown);
        let other = (0, 0, 2);
        assert_eq!(refills.next(other, 6, false), Next::NoMore);
        assert_eq!([(); 3].map(|()| refills.next(other, 7, true)), [Next::Block(32), Next::Block(31), Next::Block(30)]);
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
