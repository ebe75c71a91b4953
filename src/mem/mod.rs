//! Where slabs get their pages.
//!
//! The allocator models ask a [`PageSource`] for blocks of pages and give them back; they know nothing
//! of what is behind it. [`UnlimitedPages`] never runs out and never fragments; [`BoundedPages`] has frames that exist;
//! [`RecordedPages`] refuses what the page allocator of a recording refused. A model of the page allocator, with watermarks and
//! fragmentation, implements the same trait.

mod bounded;
mod recorded;
mod unlimited;

pub use bounded::BoundedPages;
pub use recorded::{RecordedPages, RecordedSlab};
pub use unlimited::UnlimitedPages;

/// A block of 2^order pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pages {
    /// First page frame.
    pub pfn: u64,
    /// Order of the block.
    pub order: u8,
    /// Node it is on.
    pub node: u16,
}

/// What a slab allocator asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageRequest {
    /// Who asks: the number that the driver gave the cache.
    pub owner: u32,
    /// Order of the block.
    pub order: u8,
    /// CPU that asks.
    pub cpu: u16,
    /// Preferred node: the one that the caller asked for, else that of the CPU.
    pub node: u16,
    /// No other node will do (`__GFP_THISNODE`).
    pub this_node_only: bool,
    /// The request must succeed at once or fail: no reclaim, no reserves. So are the first attempt at a
    /// cache's preferred order (`allocate_slab()`), and both attempts on a node that was only asked for.
    pub opportunistic: bool,
}

/// Gives out blocks of pages.
pub trait PageSource {
    /// A block, or `None` if there is none to be had under the conditions of the request.
    fn alloc(&mut self, request: PageRequest) -> Option<Pages>;

    /// Takes a block back.
    fn free(&mut self, pages: Pages);
}
