//! The replayable form of a trace: compact operations on numbered objects.

use crate::allocators::slub::Caller;

/// One operation on one object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Op {
    /// Time in nanoseconds of the trace clock.
    pub time_ns: u64,
    /// Number of the object: every life of an address has its own.
    pub object: u32,
    /// Bytes asked for, of an allocation; larger requests than 4 GiB - 1 never reach a slab.
    pub requested_bytes: u32,
    /// Cache, as an index into [`super::Plan::caches`].
    pub cache: u16,
    /// CPU that does it.
    pub cpu: u16,
    /// What is done, and how it is known.
    pub what: What,
    /// Node asked for, of an allocation; -1 for none.
    pub node: i16,
}

/// What an operation does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct What(u16);

impl What {
    const FREE: u16 = 1;
    const IMPLIED: u16 = 2;
    const THIS_NODE_ONLY: u16 = 4;
    const LIST_GOES_ON: u16 = 8;
    /// Of a free.
    const BY_RCU: u16 = 16;
    /// Of an allocation.
    const IN_BULK: u16 = 16;
    const NO_SHEAF: u16 = 32;
    const ATOMIC: u16 = 64;
    const NO_RECLAIM: u16 = 128;
    /// The bits from here on: one more than the number of the order in which CPUs were flushed when the cache was shrunk.
    const SHRINK_SHIFT: u32 = 8;

    /// An allocation.
    pub const ALLOC: Self = Self(0);
    /// A free.
    pub const FREED: Self = Self(Self::FREE);

    /// True for a free.
    #[must_use]
    pub fn is_free(self) -> bool {
        self.0 & Self::FREE != 0
    }

    /// True if the trace does not show the operation: it was inferred.
    #[must_use]
    pub fn is_implied(self) -> bool {
        self.0 & Self::IMPLIED != 0
    }

    /// True if the allocation may use no other node (`__GFP_THISNODE`).
    #[must_use]
    pub fn is_this_node_only(self) -> bool {
        self.0 & Self::THIS_NODE_ONLY != 0
    }

    /// True if the next operation frees an object of the same slab in the same call.
    #[must_use]
    pub fn list_goes_on(self) -> bool {
        self.0 & Self::LIST_GOES_ON != 0
    }

    /// True for a free by kfree_rcu() into a sheaf.
    #[must_use]
    pub fn is_by_rcu(self) -> bool {
        self.0 & (Self::BY_RCU | Self::FREE) == Self::BY_RCU | Self::FREE
    }

    /// If the cache was shrunk just before (`kmem_cache_shrink()`), which no event shows: the number of the order in which CPUs were
    /// flushed ([`crate::allocators::slub::flush_orders`]).
    #[must_use]
    pub fn after_shrink(self) -> Option<u16> {
        (self.0 >> Self::SHRINK_SHIFT).checked_sub(1)
    }

    /// The same, after the cache was shrunk, with CPUs flushed in this order.
    #[must_use]
    pub(crate) fn shrunk_in_order(self, order: u16) -> Self {
        Self(self.0 & 0xff | (order.min(254) + 1) << Self::SHRINK_SHIFT)
    }

    /// True for an allocation as part of a bulk allocation, which the trace cannot show.
    #[must_use]
    pub fn is_in_bulk(self) -> bool {
        self.0 & (Self::IN_BULK | Self::FREE) == Self::IN_BULK
    }

    /// The same, in bulk.
    #[must_use]
    pub(crate) fn in_bulk(self) -> Self {
        Self(self.0 | Self::IN_BULK)
    }

    /// True if the allocation may not make a new sheaf: it is itself the memory of a sheaf of a kmalloc cache.
    #[must_use]
    pub fn makes_no_sheaf(self) -> bool {
        self.0 & Self::NO_SHEAF != 0
    }

    /// What the caller of an allocation lets the allocator do.
    #[must_use]
    pub fn caller(self) -> Caller {
        match self.0 & (Self::ATOMIC | Self::NO_RECLAIM) {
            0 => Caller::Blocking,
            Self::ATOMIC => Caller::Atomic,
            Self::NO_RECLAIM => Caller::NoReclaim,
            _ => Caller::High,
        }
    }

    /// The same, by such a caller.
    #[must_use]
    pub fn with_caller(self, caller: Caller) -> Self {
        match caller {
            Caller::Blocking => self,
            Caller::Atomic => Self(self.0 | Self::ATOMIC),
            Caller::High => Self(self.0 | Self::ATOMIC | Self::NO_RECLAIM),
            Caller::NoReclaim | Caller::NoLock => Self(self.0 | Self::NO_RECLAIM),
        }
    }

    /// The same, by kfree_rcu().
    #[must_use]
    pub(crate) fn by_rcu(self) -> Self {
        Self(self.0 | Self::BY_RCU)
    }

    /// The same, without a new sheaf.
    #[must_use]
    pub(crate) fn without_new_sheaf(self) -> Self {
        Self(self.0 | Self::NO_SHEAF)
    }

    /// The same, inferred.
    #[must_use]
    pub fn implied(self) -> Self {
        Self(self.0 | Self::IMPLIED)
    }

    /// The same, with the next operation in the same call.
    #[must_use]
    pub(crate) fn in_list(self) -> Self {
        Self(self.0 | Self::LIST_GOES_ON)
    }

    /// The same, as the last of its call.
    #[must_use]
    pub(crate) fn ending_list(self) -> Self {
        Self(self.0 & !Self::LIST_GOES_ON)
    }

    /// The same, for one node only.
    #[must_use]
    pub fn this_node_only(self) -> Self {
        Self(self.0 | Self::THIS_NODE_ONLY)
    }
}

const _: () = assert!(size_of::<Op>() <= 24, "a replay holds one of these per event");
