//! Per-CPU page lists: `rmqueue_pcplist()`, `free_unref_page_commit()`, `nr_pcp_high()`, `nr_pcp_free()` and
//! `free_pcppages_bulk()`, `mm/page_alloc.c`.
//!
//! Blocks on them are free for nobody else: they neither merge nor count for watermarks, so that an order-3 request fails where
//! the CPU that asks has such blocks but the zone has none. The list of 2 MiB pages is left out: no slab uses that order.

use super::fallback::{Fallback, Stage};
use super::refills::Next;
use super::zone::{BlockList, End, RECLAIMABLE, TYPES, Zone};

/// How a kernel keeps per-CPU lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PcpRule {
    /// Single pages; one batch goes back at the limit (up to 5.13).
    Single,
    /// Orders 0 to 3, more going back with every time (5.14 to 6.6).
    Factor,
    /// The limit follows the load, and so does what is taken and given back (6.7 and later).
    Auto,
}

/// Largest order kept on the lists since 5.14 (`PAGE_ALLOC_COSTLY_ORDER`).
pub(super) const MAX_PCP_ORDER: u8 = 3;

/// Most that refills and returns grow by, as a power of two (`CONFIG_PCP_BATCH_SCALE_MAX`).
const BATCH_SCALE_MAX: u32 = 5;

/// The lists of one CPU in one zone (`struct per_cpu_pages`).
#[derive(Debug, Clone)]
pub(super) struct CpuLists {
    lists: [[BlockList; TYPES - 1]; MAX_PCP_ORDER as usize + 1],
    /// Pages on them.
    pub(super) count: u64,
    batch: u64,
    high: u64,
    high_min: u64,
    high_max: u64,
    alloc_factor: u32,
    free_factor: u32,
    free_count: u64,
    /// The last free was of a block of more than one page.
    freed_high_order: bool,
    /// Pages that the recording shows going back from the lists, and that the model has elsewhere.
    owed: u64,
}

impl CpuLists {
    /// The empty lists of a CPU, one of `cpus` of the node: `zone_batchsize()` and `zone_highsize()`.
    pub(super) fn new(managed: u64, low: u64, cpus: u64, rule: PcpRule, page_bytes: u64) -> Self {
        let size = ((managed / 1024).min((1 << 20) / page_bytes) / 4).max(1);
        let batch = (1_u64 << (size + size / 2).ilog2()).saturating_sub(1).max(1);
        let cpus = cpus.max(1);
        let (high_min, high_max) = match rule {
            PcpRule::Single => (6 * batch, 6 * batch),
            PcpRule::Factor => ((low / cpus).max(4 * batch), (low / cpus).max(4 * batch)),
            PcpRule::Auto => ((low / cpus).max(4 * batch), (managed / 8 / cpus).max(4 * batch)),
        };
        Self {
            lists: Default::default(),
            count: 0,
            batch,
            high: high_min,
            high_min,
            high_max,
            alloc_factor: 0,
            free_factor: 0,
            free_count: 0,
            freed_high_order: false,
            owed: 0,
        }
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (u64, u64, u64) {
        (self.batch, self.high_min, self.high_max)
    }

    /// The lists by order and type, for checks.
    pub(super) fn lists(&self) -> impl Iterator<Item = (u8, u8, &BlockList)> {
        (0..).zip(&self.lists).flat_map(|(order, lists)| (0..).zip(lists).map(move |(of_type, list)| (order, of_type, list)))
    }
}

/// What a zone's lists have to know of the kernel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) pcp: PcpRule,
    pub(super) fallback: Fallback,
    /// Blocks go back when the recording shows it, not by the rules.
    pub(super) drains_are_recorded: bool,
}

impl Rules {
    /// True if blocks of this order pass over the CPUs' lists.
    #[inline]
    pub(super) fn on_lists(self, order: u8) -> bool {
        order == 0 || (order <= MAX_PCP_ORDER && self.pcp > PcpRule::Single)
    }
}

impl Zone {
    fn list(&self, cpu: u16, order: u8, of_type: u8) -> &BlockList {
        &self.pcp[usize::from(cpu)].lists[usize::from(order)][usize::from(of_type)]
    }

    fn park(&mut self, frame: u32, order: u8, of_type: u8, cpu: u16, end: End) {
        self.mark_parked(frame, order, of_type, cpu);
        let lists = &mut self.pcp[usize::from(cpu)];
        lists.lists[usize::from(order)][usize::from(of_type)].push(&mut self.frames[..], frame, end);
        lists.count += 1 << order;
    }

    /// Takes a block off the list that it is on. Its frames are nobody's then.
    pub(super) fn unpark(&mut self, frame: u32, order: u8) {
        let record = self.frames[frame as usize];
        let lists = &mut self.pcp[usize::from(record.cpu)];
        lists.lists[usize::from(order)][usize::from(record.list)].unlink(&mut self.frames[..], frame);
        lists.count -= 1 << order;
        self.mark_moving(frame, order);
    }

    /// Moves a block from the list that it is on back to the free blocks.
    pub(super) fn drain(&mut self, frame: u32, order: u8) {
        self.unpark(frame, order);
        // 6.12 looks the type up now; before, it was looked up when the page was freed.
        let of_type = self.type_of(frame).min(TYPES as u8 - 1);
        self.free_block(frame, order, of_type);
    }

    /// `rmqueue_pcplist()`: a block from the CPU's list, which is refilled first if it is empty. With `wanted`, it is that very block,
    /// if it is free: the recorded kernel's list had it, so the model's gives back what it has in its stead.
    pub(super) fn take_by_list(&mut self, cpu: u16, order: u8, of_type: u8, wanted: Option<u32>, rules: Rules, now_ns: u64) -> Option<u32> {
        if let Some(frame) = wanted
            && self.parked_order(frame) == Some(order)
        {
            self.unpark(frame, order);
            self.taken(cpu, rules);
            return Some(frame);
        }
        let list = (cpu, order, of_type);
        let free = wanted.filter(|&frame| self.block_around(frame).is_some_and(|(_, larger)| larger >= order));
        // The recorded kernel refilled its list with it, if nobody had freed it there.
        let refilled_with = free.filter(|&frame| self.refills.leaves(list, self.pfn(frame), now_ns));
        if refilled_with.is_some() || self.list(cpu, order, of_type).is_empty() {
            self.refill(list, refilled_with, rules, now_ns);
        }
        let head = self.list(cpu, order, of_type).head();
        let taken = match wanted {
            Some(frame) if self.parked_order(frame) == Some(order) => Some(frame),
            Some(frame) if self.block_around(frame).is_some_and(|(_, larger)| larger >= order) => {
                if let Some(other) = self.refilled(cpu, order, of_type) {
                    self.drain(other, order);
                }
                self.take_at(frame, order);
                self.taken(cpu, rules);
                return Some(frame);
            }
            _ => head,
        };
        if let Some(frame) = taken {
            self.unpark(frame, order);
            self.taken(cpu, rules);
        }
        taken
    }

    /// Every allocation from a list makes returns smaller.
    fn taken(&mut self, cpu: u16, rules: Rules) {
        let lists = &mut self.pcp[usize::from(cpu)];
        match rules.pcp {
            PcpRule::Single => {}
            PcpRule::Factor => lists.free_factor >>= 1,
            PcpRule::Auto => lists.free_count >>= 1,
        }
    }

    /// `nr_pcp_alloc()` and `rmqueue_bulk()`: takes blocks from the zone, each put behind the one before. They are those that the recording
    /// shows, `first` before all, or else what the rules give.
    fn refill(&mut self, list: (u16, u8, u8), first: Option<u32>, rules: Rules, now_ns: u64) {
        let (cpu, order, of_type) = list;
        let mut left = self.refill_blocks(cpu, order, rules);
        let mut stage = Stage::default();
        let mut first = first;
        loop {
            let shown = match first.take() {
                Some(frame) => Some(frame),
                None => match self.refills.next(list, now_ns, left == 0) {
                    Next::Block(pfn) => self.place(pfn, order),
                    // The recorded kernel did not refill the list here: what the model gets is its own affair.
                    Next::NoMore if !self.list(cpu, order, of_type).is_empty() => break,
                    Next::NoMore | Next::Unknown => None,
                },
            };
            let shown = shown.filter(|&frame| self.take_at(frame, order));
            if shown.is_none() && left == 0 {
                break;
            }
            let by_rules = || self.take(order, of_type, false, rules.fallback, &mut stage);
            let Some(frame) = shown.or_else(by_rules) else { break };
            self.park(frame, order, of_type, cpu, End::Tail);
            self.mark_refilled(frame, shown.is_some());
            left = left.saturating_sub(1);
        }
    }

    fn refill_blocks(&mut self, cpu: u16, order: u8, rules: Rules) -> u64 {
        let is_below_high = self.free < self.marks.high + self.marks.boost;
        let lists = &mut self.pcp[usize::from(cpu)];
        let mut pages = lists.batch;
        if rules.pcp == PcpRule::Auto && order == 0 {
            pages = lists.batch << lists.alloc_factor;
        }
        if rules.pcp == PcpRule::Auto && !is_below_high {
            // With a larger limit the zone would not have had to be asked.
            lists.high = (lists.high + pages).min(lists.high_max);
        }
        if rules.pcp == PcpRule::Auto && order == 0 {
            // The batch grows with every refill that no free came between.
            let most = lists.high.saturating_sub(lists.count + lists.batch).max(lists.batch);
            if pages <= most && lists.alloc_factor < BATCH_SCALE_MAX {
                lists.alloc_factor += 1;
            }
            pages = pages.min(most);
        }
        if order == 0 || lists.batch <= 1 { pages } else { (lists.batch >> order).max(2) }
    }

    /// `free_unref_page()`: puts a block on the CPU's list, and gives some back if there are too many. Its frames are in use.
    pub(super) fn free_to_list(&mut self, cpu: u16, frame: u32, order: u8, rules: Rules) {
        // What belongs to the reserve goes to the movable list.
        let own = self.type_of(frame);
        let of_type = if own > RECLAIMABLE { super::zone::MOVABLE } else { own };
        self.mark_moving(frame, order);
        self.park(frame, order, of_type, cpu, End::Head);
        let by_rules = self.too_many(cpu, order, rules);
        let back = if rules.drains_are_recorded { self.beyond_recorded(cpu) } else { by_rules };
        if back > 0 {
            self.return_pages(cpu, order, of_type, back);
        }
    }

    /// Where returns follow the recording, pages that it does not speak of would stay forever: no list grows beyond any limit.
    fn beyond_recorded(&self, cpu: u16) -> u64 {
        let lists = &self.pcp[usize::from(cpu)];
        if lists.count > 4 * (lists.high_max + lists.batch) { lists.batch } else { 0 }
    }

    /// Pages to give back after a free of this order.
    fn too_many(&mut self, cpu: u16, order: u8, rules: Rules) -> u64 {
        let is_below_high = self.free < self.marks.high + self.marks.boost;
        let lists = &mut self.pcp[usize::from(cpu)];
        let (batch, is_high_order) = (lists.batch, order > 0);
        match rules.pcp {
            PcpRule::Single => {
                if lists.count >= lists.high {
                    batch.min(lists.count)
                } else {
                    0
                }
            }
            PcpRule::Factor => {
                if is_high_order && lists.free_factor > 0 {
                    return lists.count;
                }
                if lists.count < lists.high {
                    return 0;
                }
                let most = lists.high.saturating_sub(batch).max(batch);
                let pages = (batch << lists.free_factor).clamp(batch, most);
                if batch << lists.free_factor < most && lists.free_factor < BATCH_SCALE_MAX {
                    lists.free_factor += 1;
                }
                pages.min(lists.count)
            }
            PcpRule::Auto => {
                lists.alloc_factor >>= 1;
                let is_burst = is_high_order && std::mem::replace(&mut lists.freed_high_order, is_high_order) && lists.free_count >= batch;
                lists.freed_high_order = is_high_order;
                if lists.free_count < batch << BATCH_SCALE_MAX {
                    lists.free_count += 1 << order;
                }
                if is_burst {
                    lists.high = lists.high.saturating_sub(batch << BATCH_SCALE_MAX).max(lists.high_min);
                    return lists.count.min(batch << BATCH_SCALE_MAX);
                }
                let limit = if is_below_high {
                    lists.high = lists.high.saturating_sub(lists.free_count.max(batch)).max(lists.high_min);
                    lists.count.max(lists.high_min)
                } else {
                    let limit = lists.high;
                    if lists.count >= limit && lists.high < lists.free_count + batch {
                        lists.high = (lists.free_count + batch).clamp(lists.high_min, lists.high_max);
                    }
                    limit
                };
                if lists.count < limit {
                    return 0;
                }
                lists.free_count.clamp(batch, limit.saturating_sub(batch).max(batch)).min(lists.count)
            }
        }
    }

    /// `free_pcppages_bulk()`: the oldest first, from the list just freed to on.
    fn return_pages(&mut self, cpu: u16, order: u8, of_type: u8, pages: u64) {
        const TYPES_ON_LISTS: usize = TYPES - 1;
        let mut at = usize::from(order) * TYPES_ON_LISTS + usize::from(of_type);
        let mut left = pages.min(self.pcp[usize::from(cpu)].count) as i64;
        while left > 0 {
            let (order, of_type) = ((at / TYPES_ON_LISTS) as u8, (at % TYPES_ON_LISTS) as u8);
            while left > 0
                && let Some(tail) = self.list(cpu, order, of_type).tail()
            {
                self.drain(tail, order);
                left -= 1 << order;
            }
            at = (at + 1) % (TYPES_ON_LISTS * (usize::from(MAX_PCP_ORDER) + 1));
        }
    }

    /// `decay_pcp_high()`: about every second the limits come down by an eighth, and what is beyond them goes back.
    pub(super) fn decay_lists(&mut self, rules: Rules) {
        if rules.pcp != PcpRule::Auto {
            return;
        }
        for cpu in 0..self.pcp.len() as u16 {
            let lists = &mut self.pcp[usize::from(cpu)];
            let close = lists.count.saturating_sub(lists.batch << BATCH_SCALE_MAX);
            lists.high = (lists.high - (lists.high >> 3)).max(close).max(lists.high_min);
            let beyond = lists.count.saturating_sub(lists.high);
            if beyond > 0 && !rules.drains_are_recorded {
                self.return_pages(cpu, 0, 0, beyond);
            }
        }
    }

    /// The block that came last with a refill by the rules and is still on the list. Refills are appended to an empty list, and what is freed is
    /// put in front, so it is the last one.
    fn refilled(&self, cpu: u16, order: u8, of_type: u8) -> Option<u32> {
        self.list(cpu, order, of_type).tail().filter(|&tail| self.is_supposed(tail))
    }

    /// So many pages went back from the CPU's lists that the model has in use: others go back in their stead, once there are as many as in a block
    /// that the recording does not have on the list. Returns the number of blocks.
    pub(super) fn drain_others(&mut self, cpu: u16, pages: u64) -> u64 {
        let Some(lists) = self.pcp.get_mut(usize::from(cpu)) else { return 0 };
        lists.owed += pages;
        let mut drained = 0;
        for order in 0..=MAX_PCP_ORDER {
            for of_type in 0..TYPES as u8 - 1 {
                while self.pcp[usize::from(cpu)].owed >= 1 << order
                    && let Some(frame) = self.unexpected(cpu, order, of_type)
                {
                    self.drain(frame, order);
                    self.pcp[usize::from(cpu)].owed -= 1 << order;
                    drained += 1;
                }
            }
        }
        drained
    }

    /// A block that the recording does not show on a list, near the end that blocks go back from.
    fn unexpected(&self, cpu: u16, order: u8, of_type: u8) -> Option<u32> {
        const NEAR: usize = 16;
        let blocks = self.list(cpu, order, of_type).iter_back(&self.frames[..]);
        let is_unexpected = |frame: &u32| {
            !self.refills.are_shown() || self.is_supposed(*frame) || self.was_freed(*frame) && !self.is_recorded_as_freed(*frame)
        };
        blocks.take(NEAR).find(is_unexpected)
    }

    /// Gives everything on a CPU's lists back (`drain_pages_zone()`).
    pub(super) fn drain_all(&mut self, cpu: u16) {
        let count = self.pcp[usize::from(cpu)].count;
        self.return_pages(cpu, 0, 0, count);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A live machine's Normal zone: 2,359,296 pages, low mark 15,888, two CPUs.
    #[test]
    fn sizes_of_a_live_machine() {
        let lists = |rule| CpuLists::new(2_359_296, 15_888, 2, rule, 4096).sizes();
        assert_eq!(lists(PcpRule::Auto), (63, 7944, 147_456));
        assert_eq!(lists(PcpRule::Factor), (63, 7944, 7944));
        assert_eq!(lists(PcpRule::Single), (63, 378, 378));
        // 512 MiB, four CPUs: /proc/zoneinfo says batch 31.
        assert_eq!(CpuLists::new(124_800, 861, 4, PcpRule::Auto, 4096).sizes(), (31, 215, 3900));
    }
}
