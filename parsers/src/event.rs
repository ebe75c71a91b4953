//! The one vocabulary of memory events, for every input format and kernel generation.
//!
//! Names and meanings follow `include/trace/events/kmem.h`. Events that older kernels split
//! (`kmalloc_node`, `kmem_cache_alloc_node`, up to 6.0) or renamed (`mm_page_free_direct`,
//! `mm_pagevec_free`, up to 3.2) are reduced to the current ones.

/// One event as the kernel recorded it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Event {
    /// Time in nanoseconds of the trace clock.
    pub time_ns: u64,
    /// What happened.
    pub body: Body,
    /// Thread that was running (`common_pid`), also in interrupts.
    pub pid: i32,
    /// CPU on which the event was recorded.
    pub cpu: u16,
    /// Context it was recorded in.
    pub context: Context,
}

/// The context bits of a record (`common_flags`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Context(pub u8);

impl Context {
    /// True inside a hardware interrupt.
    #[must_use]
    pub fn in_hardirq(self) -> bool {
        self.0 & 0x08 != 0
    }

    /// True inside a softirq; frees there typically come from RCU or networking.
    #[must_use]
    pub fn in_softirq(self) -> bool {
        self.0 & 0x10 != 0
    }
}

/// What an event says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Body {
    /// `kmalloc` or `kmem_cache_alloc`; recorded after the object was taken.
    Alloc(Alloc),
    /// `kfree` or `kmem_cache_free`.
    Free(Free),
    /// `mm_page_alloc`: pages were taken from the page allocator.
    PageAlloc(PageAlloc),
    /// `mm_page_free`: pages were given back.
    PageFree {
        /// First page frame.
        pfn: u64,
        /// Order of the block.
        order: u8,
    },
    /// `mm_page_free_batched`.
    PageFreeBatched {
        /// Page frame.
        pfn: u64,
    },
    /// `mm_page_pcpu_drain`: pages went from a CPU's list back to the buddy lists.
    PagePcpuDrain {
        /// First page frame.
        pfn: u64,
        /// Order of the block.
        order: u8,
        /// Migrate type of the list.
        migratetype: i16,
    },
    /// `mm_page_alloc_extfrag`: a request was served from another migrate type's block.
    PageExtFrag {
        /// First page frame.
        pfn: u64,
        /// Order asked for.
        alloc_order: u8,
        /// Order that was split.
        fallback_order: u8,
        /// Migrate type asked for; -1 if the event lacks it.
        alloc_migratetype: i16,
        /// The pageblock is of the type asked for now; false if the event does not say.
        change_ownership: bool,
    },
    /// `rcu_invoke_kfree_bulk_callback`: a batch of kfree_rcu() objects is freed; which is not said.
    RcuFreeBulk {
        /// Number of objects.
        count: u64,
    },
    /// A text written to `trace_marker`, or to an event that a program registered (`user_events`).
    Mark(MarkId),
}

/// An allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Alloc {
    /// Return address in the caller.
    pub call_site: u64,
    /// Object address; 0 if the allocation failed.
    pub ptr: u64,
    /// Bytes asked for (kmalloc), or the cache's object size.
    pub bytes_req: u64,
    /// Bytes of the slot that serves it.
    pub bytes_alloc: u64,
    /// gfp flags in the numbering of the kernel that recorded them.
    pub gfp_flags: u32,
    /// Node asked for; -1 for none. Not the node that was used.
    pub node: i32,
    /// Name of the cache, where the event carries it (`kmem_cache_alloc` since 6.18).
    pub name: Option<NameId>,
    /// Which function was traced.
    pub call: AllocCall,
    /// Charged to a memory cgroup, where the event says so (`kmem_cache_alloc` since 6.0).
    pub accounted: Option<bool>,
}

/// Function that an allocation event stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum AllocCall {
    /// `kmalloc()` and its relatives: the cache follows from size and flags.
    Kmalloc,
    /// `kmem_cache_alloc()`: the caller named a cache.
    KmemCacheAlloc,
}

/// A free.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Free {
    /// Return address in the caller.
    pub call_site: u64,
    /// Object address; `kfree` is recorded for 0 and `ZERO_SIZE_PTR` (16) too.
    pub ptr: u64,
    /// Name of the cache, where the event carries it (`kmem_cache_free` since 5.12).
    pub name: Option<NameId>,
    /// Which function was traced.
    pub call: FreeCall,
}

/// Function that a free event stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FreeCall {
    /// `kfree()`: takes objects of any cache.
    Kfree,
    /// `kmem_cache_free()`.
    KmemCacheFree,
}

/// Pages taken from the page allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageAlloc {
    /// First page frame; `None` if the allocation failed.
    pub pfn: Option<u64>,
    /// gfp flags in the numbering of the kernel that recorded them.
    pub gfp_flags: u32,
    /// Migrate type asked for.
    pub migratetype: i16,
    /// Order of the block.
    pub order: u8,
}

/// Index of a cache name in [`crate::recording::Recording::names`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u16);

/// Index of a text in [`crate::recording::Recording::marks`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MarkId(pub u32);

const _: () = assert!(size_of::<Event>() <= 72, "a decoded trace holds one of these per event");
