//! Pages that blocks of all sizes share, and the lists that they are on.
//!
//! Source: `slob_page_alloc()`, `slob_free()`, `struct slob_block`, `mm/slob.c`, Linux 6.1.

use crate::allocators::SlabId;
use crate::allocators::slots::Slots;
use crate::mem::Pages;

/// The three lists of pages with free space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SizeList {
    /// `free_slob_small`: for requests below 256 bytes.
    Small,
    /// `free_slob_medium`: below 1024 bytes.
    Medium,
    /// `free_slob_large`.
    Large,
}

/// `SLOB_BREAK1` and `SLOB_BREAK2`.
const BREAKS: [u32; 2] = [256, 1024];

impl SizeList {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Small, Self::Medium, Self::Large];

    /// The list for a total size in bytes.
    #[must_use]
    pub fn of(bytes: u32) -> Self {
        match bytes {
            bytes if bytes < BREAKS[0] => Self::Small,
            bytes if bytes < BREAKS[1] => Self::Medium,
            _ => Self::Large,
        }
    }
}

/// A run of units of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) start: u16,
    pub(super) units: u16,
}

impl Block {
    fn end(self) -> u16 {
        self.start + self.units
    }
}

/// A block in use, and what it is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Used {
    pub(super) block: Block,
    /// Bytes that were asked for, header included.
    pub(super) bytes: u32,
    pub(super) cache: u16,
}

/// How a block has to lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    /// Units of it.
    pub(super) units: u16,
    /// The byte `offset` of it has to be at a multiple of this; in bytes, 0 or 1 for anywhere.
    pub(super) align: u32,
    pub(super) offset: u32,
}

/// A page of blocks, or a block of whole pages.
#[derive(Debug, Clone)]
pub(super) struct Page {
    pub(super) pages: Pages,
    /// Free units, over all free blocks.
    pub(super) units: u16,
    /// Free blocks by address. The kernel keeps them as a list in the blocks themselves; one unit is enough for an entry.
    pub(super) free: Vec<Block>,
    /// Blocks in use by address; of a block of whole pages, the only one.
    pub(super) used: Vec<Used>,
    /// No free block is larger, in units.
    largest: u16,
    pub(super) list: Option<SizeList>,
    pub(super) next: SlabId,
    pub(super) prev: SlabId,
    pub(super) is_whole: bool,
}

impl Page {
    /// A page that is one free block.
    pub(super) fn empty(pages: Pages, units: u16) -> Self {
        let free = vec![Block { start: 0, units }];
        Self { pages, units, free, used: Vec::new(), largest: units, list: None, next: SlabId::NONE, prev: SlabId::NONE, is_whole: false }
    }

    /// Whole pages for one request.
    pub(super) fn whole(pages: Pages, bytes: u32, cache: u16) -> Self {
        let used = vec![Used { block: Block { start: 0, units: 0 }, bytes, cache }];
        Self { free: Vec::new(), used, units: 0, largest: 0, is_whole: true, ..Self::empty(pages, 0) }
    }

    /// Takes the first block by address that has room; its first unit, and the units that alignment left free in front of it.
    pub(super) fn take(&mut self, wanted: Wanted, unit_bytes: u32) -> Option<(u16, u16)> {
        if self.units < wanted.units || self.largest < wanted.units {
            return None;
        }
        let found = self.free.iter().enumerate().find_map(|(at, block)| {
            let start = aligned(block.start, wanted, unit_bytes)?;
            let gap = start - block.start;
            (u32::from(block.units) >= u32::from(wanted.units) + u32::from(gap)).then_some((at, start, gap))
        });
        let Some((at, start, gap)) = found else {
            self.largest = self.free.iter().map(|block| block.units).max().unwrap_or(0);
            return None;
        };
        let block = self.free[at];
        let behind = Block { start: start + wanted.units, units: block.units - gap - wanted.units };
        match (gap > 0, behind.units > 0) {
            (false, false) => drop(self.free.remove(at)),
            (false, true) => self.free[at] = behind,
            (true, false) => self.free[at].units = gap,
            (true, true) => {
                self.free[at].units = gap;
                self.free.insert(at + 1, behind);
            }
        }
        self.units -= wanted.units;
        Some((start, gap))
    }

    /// Notes who uses a block that was taken.
    pub(super) fn note_used(&mut self, used: Used) {
        let at = self.used.partition_point(|other| other.block.start < used.block.start);
        self.used.insert(at, used);
    }

    /// Who uses the block that starts at a unit; forgets it.
    pub(super) fn forget_used(&mut self, start: u16) -> Option<Used> {
        let at = self.used.binary_search_by_key(&start, |used| used.block.start).ok()?;
        Some(self.used.remove(at))
    }

    /// Puts a block back among the free ones, merged with its neighbours.
    pub(super) fn put(&mut self, block: Block) {
        self.units += block.units;
        let at = self.free.partition_point(|other| other.start < block.start);
        let mut merged = block;
        if self.free.get(at).is_some_and(|next| next.start == block.end()) {
            merged.units += self.free.remove(at).units;
        }
        match at.checked_sub(1).and_then(|before| self.free.get_mut(before)).filter(|before| before.end() == block.start) {
            Some(before) => {
                before.units += merged.units;
                merged = *before;
            }
            None => self.free.insert(at, merged),
        }
        self.largest = self.largest.max(merged.units);
    }
}

/// The first unit from `start` on at which the block lies as wanted.
fn aligned(start: u16, wanted: Wanted, unit_bytes: u32) -> Option<u16> {
    if wanted.align <= 1 {
        return Some(start);
    }
    let first = u32::from(start) * unit_bytes + wanted.offset;
    let bytes = first.checked_next_multiple_of(wanted.align)? - wanted.offset;
    // Units divide every alignment of objects but 1, which was dealt with.
    u16::try_from(bytes.div_ceil(unit_bytes)).ok()
}

/// All pages, and the circular lists.
#[derive(Debug, Clone, Default)]
pub(super) struct PageTable {
    pages: Slots<Page>,
    /// By list: its front.
    fronts: [Option<SlabId>; 3],
    /// By list: its length.
    pub(super) lengths: [u64; 3],
}

impl PageTable {
    pub(super) fn front(&self, list: SizeList) -> Option<SlabId> {
        self.fronts[list as usize]
    }

    /// The last page of a list: circular lists lead from the front back to it.
    pub(super) fn back(&self, list: SizeList) -> Option<SlabId> {
        self.front(list).map(|front| self[front].prev)
    }

    /// The page after one in its circular list; `None` if that is the front again.
    pub(super) fn next(&self, list: SizeList, id: SlabId) -> Option<SlabId> {
        Some(self[id].next).filter(|&next| Some(next) != self.front(list))
    }

    /// Makes a listed page the front; the circular order stays.
    pub(super) fn rotate(&mut self, list: SizeList, id: SlabId) {
        self.fronts[list as usize] = Some(id);
    }

    pub(super) fn push_front(&mut self, list: SizeList, id: SlabId) {
        let (next, prev) = match self.front(list) {
            Some(front) => (front, self[front].prev),
            None => (id, id),
        };
        let page = &mut self[id];
        (page.list, page.next, page.prev) = (Some(list), next, prev);
        self[prev].next = id;
        self[next].prev = id;
        self.fronts[list as usize] = Some(id);
        self.lengths[list as usize] += 1;
    }

    pub(super) fn unlink(&mut self, id: SlabId) {
        let Some(list) = self[id].list.take() else { return };
        let (next, prev) = (self[id].next, self[id].prev);
        self[prev].next = next;
        self[next].prev = prev;
        self.lengths[list as usize] -= 1;
        if self.front(list) == Some(id) {
            self.fronts[list as usize] = Some(next).filter(|&next| next != id);
        }
    }

    /// Pages of a list from its front on.
    pub(super) fn listed(&self, list: SizeList) -> impl Iterator<Item = SlabId> {
        std::iter::successors(self.front(list), move |&id| self.next(list, id))
    }
}

impl std::ops::Deref for PageTable {
    type Target = Slots<Page>;

    #[inline]
    fn deref(&self) -> &Slots<Page> {
        &self.pages
    }
}

impl std::ops::DerefMut for PageTable {
    #[inline]
    fn deref_mut(&mut self) -> &mut Slots<Page> {
        &mut self.pages
    }
}
