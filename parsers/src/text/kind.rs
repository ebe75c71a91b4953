//! The events that are of use, by the names that kernels have given them.

/// An event whose arguments are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Kmalloc,
    KmallocNode,
    CacheAlloc,
    CacheAllocNode,
    Kfree,
    CacheFree,
    PageAlloc,
    PageFree,
    PageFreeDirect,
    PageFreeBatched,
    PagevecFree,
    PagePcpuDrain,
    PageExtFrag,
    RcuFreeBulk,
    /// A text written to `trace_marker`, as the kernel prints it, without the event's name.
    Marker,
    /// The same as trace-cmd prints it.
    Print,
}

/// Number of [`Kind`]s.
pub(super) const KINDS: usize = Kind::Print as usize + 1;

/// Their names in an [`Accounting`](crate::recording::Accounting); both spellings of a marker are one event.
pub(super) const LABELS: [&str; KINDS] = [
    "kmalloc",
    "kmalloc_node",
    "kmem_cache_alloc",
    "kmem_cache_alloc_node",
    "kfree",
    "kmem_cache_free",
    "mm_page_alloc",
    "mm_page_free",
    "mm_page_free_direct",
    "mm_page_free_batched",
    "mm_pagevec_free",
    "mm_page_pcpu_drain",
    "mm_page_alloc_extfrag",
    "rcu_invoke_kfree_bulk_callback",
    "print",
    "print",
];

impl Kind {
    /// The kind of an event of this name, where a line has no system.
    #[inline]
    pub(super) fn of(name: &[u8]) -> Option<Self> {
        Some(match name {
            b"kfree" => Self::Kfree,
            b"kmalloc" => Self::Kmalloc,
            b"kmem_cache_free" => Self::CacheFree,
            b"kmem_cache_alloc" => Self::CacheAlloc,
            b"mm_page_alloc" => Self::PageAlloc,
            b"mm_page_free" => Self::PageFree,
            b"mm_page_free_batched" => Self::PageFreeBatched,
            b"mm_page_pcpu_drain" => Self::PagePcpuDrain,
            b"mm_page_alloc_extfrag" => Self::PageExtFrag,
            b"rcu_invoke_kfree_bulk_callback" => Self::RcuFreeBulk,
            b"tracing_mark_write" => Self::Marker,
            b"print" => Self::Print,
            b"kmalloc_node" => Self::KmallocNode,
            b"kmem_cache_alloc_node" => Self::CacheAllocNode,
            b"mm_page_free_direct" => Self::PageFreeDirect,
            b"mm_pagevec_free" => Self::PagevecFree,
            _ => return None,
        })
    }

    /// The kind of an event of a system, where a line has one.
    #[inline]
    pub(super) fn of_system(system: &[u8], name: &[u8]) -> Option<Self> {
        match (system, Self::of(name)?) {
            (b"kmem", Self::RcuFreeBulk | Self::Marker | Self::Print) => None,
            (b"kmem", kind) => Some(kind),
            (b"rcu", Self::RcuFreeBulk) => Some(Self::RcuFreeBulk),
            (b"ftrace", Self::Print) => Some(Self::Print),
            _ => None,
        }
    }

    /// True of events of objects or pages, without which a trace is of no use.
    pub(super) fn is_memory(self) -> bool {
        !matches!(self, Self::Marker | Self::Print)
    }

    /// True of events that give an object back.
    #[inline]
    pub(super) fn is_free(self) -> bool {
        matches!(self, Self::Kfree | Self::CacheFree)
    }

    /// True of events that take an object.
    #[inline]
    pub(super) fn is_alloc(self) -> bool {
        matches!(self, Self::Kmalloc | Self::KmallocNode | Self::CacheAlloc | Self::CacheAllocNode)
    }
}
