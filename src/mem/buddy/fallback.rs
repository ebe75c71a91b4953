//! Taking pages of another migrate type: `__rmqueue_fallback()` up to 6.6, `__rmqueue_claim()` and `__rmqueue_steal()` of 6.12.

use super::zone::{End, MAX_ORDER, MOVABLE, RECLAIMABLE, UNMOVABLE, Zone};

/// How a kernel takes pages of another type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fallback {
    /// The largest foreign block is broken, and all free blocks around it move to the own lists (up to 6.6).
    Steal,
    /// A pageblock is claimed if it can be owned, else the smallest foreign block is taken (6.12 and later).
    ClaimThenSteal,
}

/// Which stage of a refill served last (`enum rmqueue_mode`, 6.12): a batch does not look again where there was nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Stage {
    #[default]
    Own,
    Steal,
}

/// Types to rob, in their order (`fallbacks[]`, 4.19 to 6.18).
fn victims(wanted: u8) -> [u8; 2] {
    match wanted {
        UNMOVABLE => [RECLAIMABLE, MOVABLE],
        MOVABLE => [RECLAIMABLE, UNMOVABLE],
        _ => [UNMOVABLE, MOVABLE],
    }
}

impl Zone {
    /// `__rmqueue()`: a block of the own type, else of another one. Fragmentation is avoided by taking nothing of another type but
    /// whole pageblocks (`ALLOC_NOFRAGMENT`).
    pub(super) fn take(&mut self, order: u8, wanted: u8, avoid: bool, rule: Fallback, stage: &mut Stage) -> Option<u32> {
        if *stage == Stage::Own {
            if let Some(frame) = self.take_smallest(order, wanted) {
                return Some(frame);
            }
            // 6.1.192 and 6.6 avoid only for requests below a pageblock.
            let least = if avoid && order < self.pageblock_order { self.pageblock_order } else { order };
            let taken = match rule {
                Fallback::Steal => self.steal_around(order, wanted, least),
                Fallback::ClaimThenSteal => self.claim(order, wanted, least),
            };
            if taken.is_some() || avoid || rule == Fallback::Steal {
                return taken;
            }
        }
        let taken = self.steal_smallest(order, wanted);
        if taken.is_some() {
            *stage = Stage::Steal;
        }
        taken
    }

    /// The first block of another type of exactly this order.
    fn foreign(&self, order: u8, wanted: u8) -> Option<u32> {
        victims(wanted).into_iter().find_map(|of_type| self.lists[usize::from(order)][usize::from(of_type)].head())
    }

    /// `can_steal_fallback()`, `should_try_claim_block()`: whether a request may make a pageblock its own.
    fn may_claim(&self, order: u8, wanted: u8) -> bool {
        order >= self.pageblock_order || order >= self.pageblock_order / 2 || wanted != MOVABLE
    }

    /// 6.1: `__rmqueue_fallback()` and `steal_suitable_fallback()`.
    fn steal_around(&mut self, order: u8, wanted: u8, least: u8) -> Option<u32> {
        let largest = (least..=MAX_ORDER).rev().find_map(|at| Some((at, self.foreign(at, wanted)?)))?;
        // A movable request that may not claim takes the smallest instead of the largest.
        let (at, frame) = if !self.may_claim(largest.0, wanted) && largest.0 > order {
            (order..=MAX_ORDER).find_map(|at| Some((at, self.foreign(at, wanted)?)))?
        } else {
            largest
        };
        if at >= self.pageblock_order {
            self.set_types(frame, at, wanted);
            self.remove(frame, at);
            self.insert(frame, at, wanted, End::Tail);
        } else {
            self.marks.boost(self.pageblock_order);
            if self.may_claim(at, wanted) {
                let (free, compatible) = self.share(frame, wanted);
                self.move_free(frame, wanted);
                if free + compatible >= 1 << self.pageblock_order >> 1 {
                    self.set_types(frame, self.pageblock_order, wanted);
                }
            } else {
                self.remove(frame, at);
                self.insert(frame, at, wanted, End::Tail);
            }
        }
        self.take_smallest(order, wanted)
    }

    /// 6.12: `__rmqueue_claim()` and `try_to_claim_block()`.
    fn claim(&mut self, order: u8, wanted: u8, least: u8) -> Option<u32> {
        for at in (least..=MAX_ORDER).rev() {
            let Some(frame) = self.foreign(at, wanted) else { continue };
            if !self.may_claim(at, wanted) {
                return None;
            }
            if at >= self.pageblock_order {
                self.remove(frame, at);
                self.set_types(frame, at, wanted);
                self.expand(frame, at, order, wanted);
                return Some(frame);
            }
            // The boost comes first, whether or not the claim succeeds.
            self.marks.boost(self.pageblock_order);
            let (free, compatible) = self.share(frame, wanted);
            if free + compatible >= 1 << self.pageblock_order >> 1 {
                self.move_free(frame, wanted);
                self.set_types(frame, self.pageblock_order, wanted);
                return self.take_smallest(order, wanted);
            }
        }
        None
    }

    /// 6.12: `__rmqueue_steal()`: the smallest foreign block; the rest of it stays with its own type.
    fn steal_smallest(&mut self, order: u8, wanted: u8) -> Option<u32> {
        let (at, frame) = (order..=MAX_ORDER).find_map(|at| Some((at, self.foreign(at, wanted)?)))?;
        let of_type = self.frames[frame as usize].list;
        self.remove(frame, at);
        self.expand(frame, at, order, of_type);
        Some(frame)
    }

    /// Free pages of a pageblock, and those in use that are of the wanted kind. Kernels look at what a page is; here counts as what
    /// it was asked for.
    fn share(&self, frame: u32, wanted: u8) -> (u32, u32) {
        let (start, end) = self.pageblock(frame);
        let (mut free, mut movable, mut others) = (0, 0, 0);
        let mut at = start;
        while at < end {
            if let Some(order) = self.free_order(at) {
                free += 1 << order;
                at += 1 << order;
                continue;
            }
            if self.is_used(at) && self.frames[at as usize].list == MOVABLE {
                movable += 1
            } else {
                others += 1
            }
            at += 1;
        }
        let compatible = match wanted {
            MOVABLE => movable,
            _ if self.type_of(frame) == MOVABLE => others,
            _ => 0,
        };
        (free, compatible)
    }
}
