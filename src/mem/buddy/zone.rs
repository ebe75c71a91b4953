//! One zone: a record per page frame, free blocks by order and migrate type, pageblocks.
//!
//! Follows `__free_one_page()`, `__rmqueue_smallest()` and `expand()`, `mm/page_alloc.c`, which are the same in effect from
//! 4.19 to 6.18. Law: every frame is in use, in exactly one free block, or in exactly one block on a CPU's list, and no two
//! free blocks are buddies that could be merged.

use super::compaction::FreeScanner;
use super::later::Later;
use super::marks::Marks;
use super::pcp::CpuLists;
use super::refills::Refills;
use super::vacant::Recorded;
use crate::list::{Linked, Links, List};

pub(super) use crate::list::End;

/// Largest order of a block (`MAX_PAGE_ORDER`).
pub const MAX_ORDER: u8 = 10;
/// Number of orders.
pub const ORDERS: usize = MAX_ORDER as usize + 1;

/// Migrate types that have lists: the three ordinary ones, and the reserve for atomic requests.
pub(super) const TYPES: usize = 4;
pub(super) const UNMOVABLE: u8 = 0;
pub(super) const MOVABLE: u8 = 1;
pub(super) const RECLAIMABLE: u8 = 2;

/// Instead of a CPU, of a page in use: compaction moved another page to it.
pub(super) const TARGET: u16 = u16::MAX;

/// What a frame is. `FREE`, `PARKED` and `SUPPOSED` carry the block's order in their low bits and stand at a block's first frame.
const USED: u8 = 0;
const TAIL: u8 = 0x10;
const FREE: u8 = 0x20;
/// On a CPU's list, because it was freed there.
const PARKED: u8 = 0x40;
/// On a CPU's list, because the recording shows that the list was refilled with it.
const SHOWN: u8 = 0x60;
/// On a CPU's list, because the rules refilled the list with it, not because the recording shows it there.
const SUPPOSED: u8 = 0x50;

#[derive(Debug, Clone, Copy)]
pub(super) struct Frame {
    /// Neighbours on the list that the block is on.
    links: Links<u32>,
    tag: u8,
    /// Type of the list; of a frame in use, the type that it was asked for as.
    pub(super) list: u8,
    /// CPU whose list the block is on.
    pub(super) cpu: u16,
}

/// A list of blocks.
pub(super) type BlockList = List<u32>;

impl Linked<u32> for [Frame] {
    #[inline]
    fn links(&self, frame: u32) -> &Links<u32> {
        &self[frame as usize].links
    }

    #[inline]
    fn links_mut(&mut self, frame: u32) -> &mut Links<u32> {
        &mut self[frame as usize].links
    }
}

/// Zones by what requests may reach them, lowest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ZoneKind {
    /// Below 16 MiB.
    Dma,
    /// Below 4 GiB.
    Dma32,
    /// The rest.
    Normal,
    /// For movable pages only.
    Movable,
}

impl ZoneKind {
    /// By its name in `/proc`; what is not known is taken for `Normal`.
    #[must_use]
    pub fn named(name: &str) -> Self {
        match name {
            "DMA" => Self::Dma,
            "DMA32" => Self::Dma32,
            "Movable" => Self::Movable,
            _ => Self::Normal,
        }
    }
}

/// A zone of the page allocator.
#[derive(Debug, Clone)]
pub(super) struct Zone {
    pub(super) kind: ZoneKind,
    pub(super) node: u16,
    /// Frame number of `frames[0]`: a multiple of the largest block.
    pub(super) base: u64,
    pub(super) frames: Vec<Frame>,
    /// Free blocks by order, then type.
    pub(super) lists: [[BlockList; TYPES]; ORDERS],
    /// Free blocks by order.
    pub(super) free_blocks: [u64; ORDERS],
    /// Pages in free blocks.
    pub(super) free: u64,
    pub(super) pageblock_order: u8,
    /// Type of each pageblock.
    pub(super) pageblocks: Vec<u8>,
    pub(super) marks: Marks,
    /// By CPU.
    pub(super) pcp: Vec<CpuLists>,
    /// Pageblocks and lists always agree (6.12 and later).
    pub(super) lists_follow_pageblocks: bool,
    pub(super) free_scanner: FreeScanner,
    /// What the recording has in use.
    pub(super) recorded: Recorded,
    /// What lists were refilled with, as far as a recording shows it.
    pub(super) refills: Refills,
    /// What the recording shows of frames later, if compaction moved pages.
    pub(super) later: Later,
}

impl Zone {
    /// A zone with all of its frames in use and all pageblocks movable, as they are at boot.
    pub(super) fn new(
        kind: ZoneKind,
        node: u16,
        span: std::ops::Range<u64>,
        pageblock_order: u8,
        marks: Marks,
        pcp: Vec<CpuLists>,
    ) -> Self {
        let base = span.start >> MAX_ORDER << MAX_ORDER;
        let frames = (span.end - base).next_multiple_of(1 << MAX_ORDER);
        let used = Frame { links: Links::default(), tag: USED, list: UNMOVABLE, cpu: 0 };
        Self {
            kind,
            node,
            base,
            frames: vec![used; frames as usize],
            lists: [[BlockList::default(); TYPES]; ORDERS],
            free_blocks: [0; ORDERS],
            free: 0,
            pageblock_order,
            pageblocks: vec![MOVABLE; (frames >> pageblock_order) as usize],
            marks,
            pcp,
            lists_follow_pageblocks: true,
            free_scanner: FreeScanner::default(),
            recorded: Recorded::default(),
            refills: Refills::default(),
            later: Later::default(),
        }
    }

    /// The place of a block of the zone; `None` if it is elsewhere, or not aligned.
    #[inline]
    pub(super) fn place(&self, pfn: u64, order: u8) -> Option<u32> {
        let place = pfn.checked_sub(self.base)?;
        let fits = place < self.frames.len() as u64 && pfn.is_multiple_of(1 << order);
        fits.then_some(place as u32)
    }

    pub(super) fn pfn(&self, frame: u32) -> u64 {
        self.base + u64::from(frame)
    }

    #[inline]
    pub(super) fn type_of(&self, frame: u32) -> u8 {
        self.pageblocks[frame as usize >> self.pageblock_order]
    }

    #[inline]
    pub(super) fn is_used(&self, frame: u32) -> bool {
        self.frames[frame as usize].tag == USED
    }

    /// True if a free block of exactly this order starts here.
    #[inline]
    pub(super) fn is_free_block(&self, frame: u32, order: u8) -> bool {
        self.frames[frame as usize].tag == FREE | order
    }

    /// The order of the free block that starts here.
    pub(super) fn free_order(&self, frame: u32) -> Option<u8> {
        let tag = self.frames[frame as usize].tag;
        (tag & 0xf0 == FREE).then_some(tag & 0xf)
    }

    /// The order of the block on a CPU's list that starts here.
    pub(super) fn parked_order(&self, frame: u32) -> Option<u8> {
        let tag = self.frames[frame as usize].tag;
        (tag & 0xc0 == PARKED).then_some(tag & 0xf)
    }

    /// True if a block is on a CPU's list because it was freed there.
    pub(super) fn was_freed(&self, frame: u32) -> bool {
        self.frames[frame as usize].tag & 0xf0 == PARKED
    }

    /// True if a block is on a CPU's list only because the rules refilled it so.
    pub(super) fn is_supposed(&self, frame: u32) -> bool {
        self.frames[frame as usize].tag & 0xf0 == SUPPOSED
    }

    /// Takes note that the block came onto a CPU's list with a refill, because the recording shows it or only because the rules say so.
    pub(super) fn mark_refilled(&mut self, frame: u32, is_shown: bool) {
        let tag = &mut self.frames[frame as usize].tag;
        *tag = if is_shown { SHOWN } else { SUPPOSED } | *tag & 0xf;
    }

    /// Puts a free block on a list.
    pub(super) fn insert(&mut self, frame: u32, order: u8, of_type: u8, end: End) {
        self.frames[frame as usize].tag = FREE | order;
        self.frames[frame as usize].list = of_type;
        self.lists[usize::from(order)][usize::from(of_type)].push(&mut self.frames[..], frame, end);
        self.free_blocks[usize::from(order)] += 1;
        self.free += 1 << order;
    }

    /// Takes a free block off its list. Its frames are nobody's until they are used or inserted again.
    pub(super) fn remove(&mut self, frame: u32, order: u8) {
        let of_type = self.frames[frame as usize].list;
        self.lists[usize::from(order)][usize::from(of_type)].unlink(&mut self.frames[..], frame);
        self.frames[frame as usize].tag = TAIL;
        self.free_blocks[usize::from(order)] -= 1;
        self.free -= 1 << order;
    }

    /// Marks a block as in use, asked for as `of_type`.
    #[inline]
    pub(super) fn mark_used(&mut self, frame: u32, order: u8, of_type: u8) {
        for frame in &mut self.frames[frame as usize..frame as usize + (1 << order)] {
            frame.tag = USED;
            frame.list = of_type;
            frame.cpu = 0;
        }
    }

    /// Marks a block as on the list of a CPU.
    #[inline]
    pub(super) fn mark_parked(&mut self, frame: u32, order: u8, of_type: u8, cpu: u16) {
        let first = &mut self.frames[frame as usize];
        (first.tag, first.list, first.cpu) = (PARKED | order, of_type, cpu);
    }

    /// Marks a block as nobody's: it is on its way between lists.
    #[inline]
    pub(super) fn mark_moving(&mut self, frame: u32, order: u8) {
        for frame in &mut self.frames[frame as usize..frame as usize + (1 << order)] {
            frame.tag = TAIL;
        }
    }

    /// `__free_one_page()`: merges a block with its free buddies and puts the whole on a list. Its frames are nobody's or in use.
    pub(super) fn free_block(&mut self, mut frame: u32, mut order: u8, of_type: u8) {
        self.mark_moving(frame, order);
        while order < MAX_ORDER {
            let buddy = frame ^ (1 << order);
            if buddy as usize >= self.frames.len() || !self.is_free_block(buddy, order) {
                break;
            }
            if order >= self.pageblock_order {
                let (own, other) = (self.type_of(frame), self.type_of(buddy));
                if own != other && (own > RECLAIMABLE || other > RECLAIMABLE) {
                    break;
                }
                if self.lists_follow_pageblocks && own != other {
                    self.set_types(buddy, order, of_type);
                }
            }
            self.remove(buddy, order);
            frame &= buddy;
            order += 1;
        }
        let end = if self.will_merge(frame, order) { End::Tail } else { End::Head };
        self.insert(frame, order, of_type, end);
    }

    /// `buddy_merge_likely()`: the block that this one and its buddy would make has a free buddy.
    fn will_merge(&self, frame: u32, order: u8) -> bool {
        if order >= MAX_ORDER - 1 {
            return false;
        }
        let buddy = frame ^ (1 << order);
        let other = (frame & buddy) ^ (2 << order);
        (other as usize) < self.frames.len() && self.is_free_block(other, order + 1)
    }

    /// `expand()`: cuts a block that is on no list down to its lowest piece of order `to`; the others go on the lists of `of_type`.
    pub(super) fn expand(&mut self, frame: u32, from: u8, to: u8, of_type: u8) {
        for order in (to..from).rev() {
            self.insert(frame + (1 << order), order, of_type, End::Head);
        }
    }

    /// `__rmqueue_smallest()`: a block of that order and type, cut off the smallest that there is.
    pub(super) fn take_smallest(&mut self, order: u8, of_type: u8) -> Option<u32> {
        let head = |larger: u8| self.lists[usize::from(larger)][usize::from(of_type)].head();
        let (frame, found) = (order..=MAX_ORDER).find_map(|larger| Some((head(larger)?, larger)))?;
        self.remove(frame, found);
        self.expand(frame, found, order, of_type);
        Some(frame)
    }

    /// The free block that a frame is in, and its order.
    pub(super) fn block_around(&self, frame: u32) -> Option<(u32, u8)> {
        (0..=MAX_ORDER).map(|order| (frame >> order << order, order)).find(|&(head, order)| self.is_free_block(head, order))
    }

    /// The block on a CPU's list that a frame is in, and its order.
    pub(super) fn parked_around(&self, frame: u32) -> Option<(u32, u8)> {
        let mut block = (0..=MAX_ORDER).map(|order| (frame >> order << order, order));
        block.find(|&(head, order)| self.parked_order(head) == Some(order))
    }

    /// Takes exactly this block out of the free block that it is in. The rest stays on lists of the type it was on.
    pub(super) fn take_at(&mut self, frame: u32, order: u8) -> bool {
        let Some((mut head, mut larger)) = self.block_around(frame).filter(|&(_, larger)| larger >= order) else { return false };
        let of_type = self.frames[head as usize].list;
        self.remove(head, larger);
        while larger > order {
            larger -= 1;
            let upper = head + (1 << larger);
            let other = if frame < upper { upper } else { std::mem::replace(&mut head, upper) };
            self.insert(other, larger, of_type, End::Head);
        }
        true
    }

    /// Sets the type of all pageblocks of a block.
    pub(super) fn set_types(&mut self, frame: u32, order: u8, of_type: u8) {
        let first = frame as usize >> self.pageblock_order;
        let count = 1_usize << order.saturating_sub(self.pageblock_order);
        self.pageblocks[first..first + count].fill(of_type);
    }

    /// First frame of the pageblock that a frame is in, and the frame after its last.
    pub(super) fn pageblock(&self, frame: u32) -> (u32, u32) {
        let start = frame >> self.pageblock_order << self.pageblock_order;
        (start, start + (1 << self.pageblock_order))
    }

    /// Moves all free blocks of a pageblock to the tails of the lists of a type, in ascending order.
    pub(super) fn move_free(&mut self, frame: u32, of_type: u8) {
        let (start, end) = self.pageblock(frame);
        let mut at = start;
        while at < end {
            let Some(order) = self.free_order(at) else {
                at += 1;
                continue;
            };
            self.remove(at, order);
            self.insert(at, order, of_type, End::Tail);
            at += 1 << order;
        }
    }

    /// The pageblock is of that type now, as the recording shows; its free blocks move along.
    pub(super) fn relabel(&mut self, frame: u32, of_type: u8) {
        let at = frame as usize >> self.pageblock_order;
        if self.pageblocks.get(at).is_some_and(|&now| now != of_type) {
            self.pageblocks[at] = of_type;
            if let Some((head, order)) = self.block_around(frame).filter(|&(_, order)| order > self.pageblock_order) {
                self.remove(head, order);
                self.insert(head, order, of_type, End::Tail);
            } else {
                self.move_free(frame, of_type);
            }
        }
    }
}
