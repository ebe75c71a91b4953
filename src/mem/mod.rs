//! Where slabs get their pages.
//!
//! The allocator models ask a [`PageSource`] for blocks of pages and give them back; they know nothing
//! of what is behind it. [`UnlimitedPages`] never runs out and never fragments; [`BoundedPages`] has frames that exist;
//! [`RecordedPages`] refuses what the page allocator of a recording refused; [`buddy::PageModel`] is the page allocator itself, with
//! watermarks and fragmentation.

mod bounded;
pub mod buddy;
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
    /// What may be done to meet the request.
    pub rights: Rights,
}

/// What a request for pages lets the page allocator do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rights {
    /// Succeed at once or fail: no reclaim, no reserves, kswapd not woken. So is the first attempt at a cache's preferred order,
    /// if its caller may sleep (`allocate_slab()`).
    AtOnce,
    /// Not sleep (`GFP_NOWAIT`).
    NoWait,
    /// Not sleep, but use part of the reserves (`GFP_ATOMIC`).
    Atomic,
    /// Reclaim and wait.
    Reclaim,
}

/// Gives out blocks of pages.
pub trait PageSource {
    /// A block, or `None` if there is none to be had under the conditions of the request.
    fn alloc(&mut self, request: PageRequest) -> Option<Pages>;

    /// Takes a block back.
    fn free(&mut self, pages: Pages);

    /// The block of a slab that exists before the first operation: at page frame `pfn`, if that is known.
    fn seed(&mut self, request: PageRequest, _pfn: Option<u64>) -> Option<Pages> {
        self.alloc(request)
    }

    /// The next operation is at this moment, on this CPU.
    #[inline]
    fn advance(&mut self, _time_ns: u64, _cpu: u16) {}
}
