//! Where the recorded kernel has pages in use and the model has not.
//!
//! The model may have something else where the recording has an allocation. Whatever it is, its own recorded place is one that the kernel has
//! in use and the model has not: an allocation that goes there leaves the free pages the same as the kernel's. Anywhere else it would take what
//! the recording has for the next one, which would then have to go elsewhere, too.

use std::collections::VecDeque;

use super::PageModel;
use super::zone::{ORDERS, Zone};

/// What a zone has in use by the recording.
#[derive(Debug, Clone, Default)]
pub(super) struct Recorded {
    /// By frame; empty if nothing is known.
    used: Vec<bool>,
    /// By frame: a block that was freed to a CPU's list begins there.
    freed: Vec<bool>,
    /// By order: blocks that may be vacant, the longest first.
    vacant: [VecDeque<u32>; ORDERS],
}

impl Zone {
    /// What is in use now is so in the recording, too.
    pub(super) fn begin_recorded(&mut self) {
        self.recorded.used = (0..self.frames.len() as u32).map(|frame| self.is_used(frame)).collect();
        self.recorded.freed = vec![false; self.frames.len()];
    }

    fn has_recorded(&self, frame: u32, order: u8) -> bool {
        let frames = frame as usize..frame as usize + (1 << order);
        self.recorded.used.get(frames).is_some_and(|used| used.iter().all(|&used| used))
    }

    fn is_vacant(&self, frame: u32, order: u8) -> bool {
        self.has_recorded(frame, order) && !(frame..frame + (1 << order)).any(|frame| self.is_used(frame))
    }

    fn set_recorded(&mut self, frame: u32, order: u8, is_used: bool) {
        if let Some(used) = self.recorded.used.get_mut(frame as usize..frame as usize + (1 << order)) {
            used.fill(is_used);
        }
    }

    /// The recording has a block in use from now on.
    pub(super) fn recorded_in_use(&mut self, frame: u32, order: u8) {
        self.set_recorded(frame, order, true);
        self.recorded_as_drained(frame);
        self.perhaps_vacant(frame, order);
    }

    /// The recording has it no longer in use.
    pub(super) fn recorded_as_freed(&mut self, frame: u32, order: u8) {
        self.set_recorded(frame, order, false);
        if let Some(freed) = self.recorded.freed.get_mut(frame as usize) {
            *freed = true;
        }
    }

    /// The recording has it no longer on a CPU's list, if it had.
    pub(super) fn recorded_as_drained(&mut self, frame: u32) {
        if let Some(freed) = self.recorded.freed.get_mut(frame as usize) {
            *freed = false;
        }
    }

    /// True if the recording has a block there that was freed to a CPU's list.
    pub(super) fn is_recorded_as_freed(&self, frame: u32) -> bool {
        self.recorded.freed.get(frame as usize).is_some_and(|&freed| freed)
    }

    /// The block may be vacant from now on.
    pub(super) fn perhaps_vacant(&mut self, frame: u32, order: u8) {
        if self.is_vacant(frame, order) {
            self.recorded.vacant[usize::from(order)].push_back(frame);
        }
    }

    fn next_vacant(&mut self, order: u8) -> Option<u32> {
        loop {
            let frame = self.recorded.vacant[usize::from(order)].pop_front()?;
            if self.is_vacant(frame, order) {
                return Some(frame);
            }
        }
    }
}

impl PageModel {
    /// A vacant block, ready to be taken as a whole.
    pub(super) fn vacant(&mut self, order: u8) -> Option<(usize, u32)> {
        for zone in (0..self.zones.len()).rev() {
            while let Some(frame) = self.zones[zone].next_vacant(order) {
                let pfn = self.zones[zone].pfn(frame);
                if let Some(found) = self.gather(pfn, order) {
                    return Some(found);
                }
            }
        }
        None
    }
}
