//! Requests and the paths that served them.

use std::ptr::NonNull;

use super::memory::Address;
use crate::allocators::slub::Caller;

/// An object in use. Whoever holds it may use its memory; the allocator takes it back by value, so that nothing is freed twice.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Object(pub(super) Address);

impl Object {
    /// Its address, to hand it to another thread; goes back by [`Self::from_raw`], once.
    #[inline]
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        self.0.into_raw()
    }

    /// The object that [`Self::into_raw`] gave.
    #[inline]
    pub(crate) fn from_raw(raw: NonNull<u8>) -> Self {
        Self(Address::from_raw(raw))
    }
}

/// What an allocation asks for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Request {
    /// Node, if any.
    pub node: Option<u16>,
    /// No other node will do (`__GFP_THISNODE`).
    pub this_node_only: bool,
    /// What the caller lets the allocator do.
    pub caller: Caller,
    /// No new sheaf may be made for this.
    pub no_sheaf: bool,
}

/// The path that served an operation: the dearest step that it took.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Path {
    /// Allocation from the CPU's own freelist, or its sheaf.
    AllocFast,
    /// Allocation after the cpu slab was refilled with what others had freed into it.
    AllocRefill,
    /// Allocation after a slab of the CPU partial list became the cpu slab.
    AllocCpuPartial,
    /// Allocation after the spare or a sheaf of the barn became the main sheaf.
    AllocBarn,
    /// Allocation for which a node's list was asked: for a cpu slab, for objects to refill a sheaf, or for the object itself.
    AllocNodePartial,
    /// Allocation for which a new slab was made.
    AllocNewSlab,
    /// Free to the CPU's own freelist, or its sheaf.
    FreeFast,
    /// Free into a slab that is not the CPU's own: one exchange.
    FreeRemote,
    /// Free that put a slab on the CPU partial list, perhaps draining it.
    FreeCpuPartial,
    /// Free for which the spare, a sheaf of the barn or a new one became the main sheaf.
    FreeBarn,
    /// Free that took a node's list lock: a slab came to its list, or left it.
    FreeNode,
    /// Free for which a sheaf was flushed to slabs.
    FreeFlush,
}

impl Path {
    /// Number of paths.
    pub const COUNT: usize = 12;

    /// All of them, in the order of their values.
    pub const ALL: [Self; Self::COUNT] = [
        Self::AllocFast,
        Self::AllocRefill,
        Self::AllocCpuPartial,
        Self::AllocBarn,
        Self::AllocNodePartial,
        Self::AllocNewSlab,
        Self::FreeFast,
        Self::FreeRemote,
        Self::FreeCpuPartial,
        Self::FreeBarn,
        Self::FreeNode,
        Self::FreeFlush,
    ];

    /// Name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllocFast => "alloc fast",
            Self::AllocRefill => "alloc refill",
            Self::AllocCpuPartial => "alloc cpu partial",
            Self::AllocBarn => "alloc barn",
            Self::AllocNodePartial => "alloc node partial",
            Self::AllocNewSlab => "alloc new slab",
            Self::FreeFast => "free fast",
            Self::FreeRemote => "free remote",
            Self::FreeCpuPartial => "free cpu partial",
            Self::FreeBarn => "free barn",
            Self::FreeNode => "free node list",
            Self::FreeFlush => "free flush",
        }
    }
}
