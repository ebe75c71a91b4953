//! The conservation laws of the page allocator.

use super::PageModel;
use super::zone::{BlockList, MAX_ORDER, ORDERS, Zone};

/// A law that does not hold: a bug in the model.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("zone {zone}: {what}")]
pub struct BrokenPages {
    /// Number of the zone.
    pub zone: usize,
    /// What is wrong.
    pub what: String,
}

impl PageModel {
    /// Checks that every frame is in use, in one free block or in one block on a CPU's list; that free blocks are aligned, whole, counted,
    /// on one list, and that no two of them are buddies that should have been merged.
    ///
    /// # Errors
    ///
    /// The first law that is broken.
    pub fn validate(&self) -> Result<(), BrokenPages> {
        for (number, zone) in self.zones.iter().enumerate() {
            zone.check().map_err(|what| BrokenPages { zone: number, what })?;
        }
        Ok(())
    }

    /// Pages in use, free, and on CPUs' lists, over all zones.
    #[must_use]
    pub fn census(&self) -> (u64, u64, u64) {
        let frames: u64 = self.zones.iter().map(|zone| zone.frames.len() as u64).sum();
        let free = self.free_blocks().pages();
        (frames - free - self.parked(), free, self.parked())
    }
}

impl Zone {
    fn check(&self) -> Result<(), String> {
        let mut blocks = [0_u64; ORDERS];
        let (mut free, mut parked) = (0, 0);
        let mut frame = 0_u32;
        while (frame as usize) < self.frames.len() {
            if self.is_used(frame) {
                frame += 1;
                continue;
            }
            let (is_free, order) = match (self.free_order(frame), self.parked_order(frame)) {
                (Some(order), _) => (true, order),
                (_, Some(order)) => (false, order),
                _ => return Err(format!("frame {frame} is in no block and not in use")),
            };
            if order > MAX_ORDER || !frame.is_multiple_of(1 << order) {
                return Err(format!("the block at frame {frame} of order {order} is not aligned"));
            }
            let tails = frame + 1..frame + (1 << order);
            if let Some(tail) =
                tails.clone().find(|&tail| self.is_used(tail) || self.free_order(tail).or(self.parked_order(tail)).is_some())
            {
                return Err(format!("frame {tail} is in the block at frame {frame} of order {order} and not its own"));
            }
            if is_free {
                blocks[usize::from(order)] += 1;
                free += 1_u64 << order;
                self.check_buddy(frame, order)?;
            } else {
                parked += 1_u64 << order;
            }
            frame = tails.end;
        }
        if (blocks, free) != (self.free_blocks, self.free) {
            return Err(format!("{:?} free blocks counted, {blocks:?} there", self.free_blocks));
        }
        let counted: u64 = self.pcp.iter().map(|lists| lists.count).sum();
        if counted != parked {
            return Err(format!("{counted} pages counted on CPUs' lists, {parked} there"));
        }
        self.check_lists()
    }

    fn check_buddy(&self, frame: u32, order: u8) -> Result<(), String> {
        let buddy = frame ^ (1 << order);
        let is_there = order < MAX_ORDER && (buddy as usize) < self.frames.len() && self.is_free_block(buddy, order);
        let may_differ = order >= self.pageblock_order && self.type_of(frame) != self.type_of(buddy.min(self.frames.len() as u32 - 1));
        if is_there && !may_differ {
            Err(format!("the free blocks at frames {frame} and {buddy} of order {order} are not merged"))
        } else {
            Ok(())
        }
    }

    /// Walks all lists: what is on them is what is counted, linked both ways, and of their order and type.
    fn check_lists(&self) -> Result<(), String> {
        for (order, lists) in (0_u8..).zip(&self.lists) {
            let mut count = 0;
            for (of_type, list) in (0_u8..).zip(lists) {
                count += self.walk(list, |frame| self.free_order(frame) == Some(order) && self.frames[frame as usize].list == of_type)?;
            }
            if count != self.free_blocks[usize::from(order)] {
                return Err(format!("{count} blocks of order {order} on lists, {} counted", self.free_blocks[usize::from(order)]));
            }
        }
        for (cpu, lists) in (0_u16..).zip(&self.pcp) {
            let mut pages = 0;
            for (order, of_type, list) in lists.lists() {
                let is_own = |frame: u32| {
                    let record = &self.frames[frame as usize];
                    self.parked_order(frame) == Some(order) && (record.list, record.cpu) == (of_type, cpu)
                };
                pages += self.walk(list, is_own)? << order;
            }
            if pages != lists.count {
                return Err(format!("{pages} pages on the lists of CPU {cpu}, {} counted", lists.count));
            }
        }
        Ok(())
    }

    fn walk(&self, list: &BlockList, is_own: impl Fn(u32) -> bool) -> Result<u64, String> {
        list.check(&self.frames[..])?;
        match list.iter(&self.frames[..]).find(|&frame| !is_own(frame)) {
            Some(frame) => Err(format!("frame {frame} is on a list that it does not belong to")),
            None => Ok(list.len()),
        }
    }
}
