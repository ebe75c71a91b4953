//! What was observed and what was inferred, with counts per cache.

use std::collections::BTreeMap;

/// A kind of statement about the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Entry {
    /// Allocations as traced.
    AllocsObserved,
    /// Frees as traced.
    FreesObserved,
    /// The allocation event names the cache.
    NamedAtAlloc,
    /// The free event of the same object names the cache.
    NamedAtFree,
    /// kmalloc: the cache follows from size class and flags.
    NamedByClass,
    /// Objects of the same call site and sizes all have this name.
    NamedByVote,
    /// Other objects in the same slab have this name.
    NamedBySlab,
    /// The snapshot has one cache of these sizes.
    NamedBySizes,
    /// No name could be found: a pseudo-cache of these sizes stands in.
    Unnamed,
    /// The address was handed out again, or its slab released, while its object was live: its free was not
    /// traced.
    ImpliedFrees,
    /// An object was freed that was never seen allocated, in a slab that was made during the trace; or must
    /// have been in use when a CPU had exhausted the slab.
    ImpliedAllocs,
    /// The free names another cache than the allocation: a free and an allocation in between were not traced.
    ContradictedFrees,
    /// Objects that were live before the trace began.
    BornBefore,
    /// Slabs that existed before the trace began, rebuilt from the addresses used.
    SeededSlabs,
    /// Slabs that existed before the trace began, of which nothing shows but figures of a snapshot.
    StandInSlabs,
    /// Free objects that were in sheaves when the trace began.
    SeededInSheaves,
    /// Objects never freed within the trace.
    LiveAtEnd,
    /// Events of equal time on several CPUs that were put in the order that fits the live objects.
    TiesReordered,
    /// Allocations of new slabs that were put before frees that came while they waited for pages.
    DecidedEarlier,
    /// Operations that took effect in another order than recorded, by what addresses show later.
    OrderSettled,
    /// Operations that another CPU did than recorded, by what addresses show later.
    DisplacedEvents,
    /// Times that a cache was shrunk, by what addresses show later.
    Shrunk,
    /// Allocations that failed.
    FailedAllocs,
    /// kfree() of NULL or of the zero-size pointer.
    NullFrees,
    /// kmalloc beyond the largest class: served by the page allocator.
    LargeAllocs,
    /// Frees of such memory.
    LargeFrees,
    /// Second events of one large kmalloc.
    DoubledEvents,
    /// Allocations from a cache whose sizes no trace and no snapshot tells.
    UnplacedAllocs,
    /// Frees of an address of whose cache nothing usable is known.
    UnknownFrees,
    /// Events that the recorder lost.
    LostEvents,
    /// Gaps in the recording with an unknown number of events.
    LossGaps,
    /// Records that could not be decoded.
    UnusableRecords,
}

/// How much trust an entry deserves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// The trace says so.
    Observed,
    /// It follows from other evidence.
    Inferred,
    /// It could not be used.
    Unusable,
}

impl Class {
    /// Word for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Observed => "observed",
            Self::Inferred => "inferred",
            Self::Unusable => "unusable",
        }
    }
}

impl Entry {
    /// Name, class and meaning for reports.
    #[must_use]
    pub fn describe(self) -> (&'static str, Class, &'static str) {
        use Class::{Inferred, Observed, Unusable};
        match self {
            Self::AllocsObserved => ("allocations", Observed, "Allocations as traced."),
            Self::FreesObserved => ("frees", Observed, "Frees as traced."),
            Self::NamedAtAlloc => ("cache named at allocation", Observed, "The allocation event names the cache."),
            Self::NamedAtFree => ("cache named at free", Observed, "The free event of the same object names the cache."),
            Self::NamedByClass => ("cache by kmalloc class", Observed, "The cache follows from size class and flags."),
            Self::NamedByVote => ("cache by call site", Inferred, "All named objects of this call site and these sizes are of this cache."),
            Self::NamedBySlab => ("cache by slab", Inferred, "All named objects in the same slab are of this cache."),
            Self::NamedBySizes => ("cache by sizes", Inferred, "The snapshot has just one cache of these sizes."),
            Self::Unnamed => ("cache unknown", Inferred, "No name could be found; a pseudo-cache of these sizes stands in."),
            Self::ImpliedFrees => {
                ("implied frees", Inferred, "The address was handed out again, or its slab released, while live: not traced.")
            }
            Self::ImpliedAllocs => {
                ("implied allocations", Inferred, "Freed without an allocation, or in use when a CPU had exhausted the slab: not traced.")
            }
            Self::ContradictedFrees => {
                ("contradicted frees", Inferred, "The free names another cache: a free and an allocation went untraced.")
            }
            Self::BornBefore => ("born before the trace", Inferred, "Objects that were live when the trace began."),
            Self::SeededSlabs => ("slabs from before the trace", Inferred, "Slabs rebuilt from the addresses that the trace uses in them."),
            Self::StandInSlabs => {
                ("slabs that stand in", Inferred, "Slabs for objects that were free when the trace began, and that it never uses.")
            }
            Self::SeededInSheaves => {
                ("in sheaves before the trace", Inferred, "Free objects in CPUs' sheaves and barns when the trace began.")
            }
            Self::LiveAtEnd => ("live at the end", Observed, "Objects not freed within the trace."),
            Self::TiesReordered => {
                ("ties reordered", Inferred, "Events of equal time on several CPUs, put in the order that fits the live objects.")
            }
            Self::DecidedEarlier => (
                "allocations decided earlier",
                Inferred,
                "Allocations that took a new slab, put before the frees that came on their CPU while they waited for its pages.",
            ),
            Self::OrderSettled => (
                "order settled by addresses",
                Inferred,
                "Operations of several CPUs on one slab at nearly the same time, put in the order that fits later addresses.",
            ),
            Self::DisplacedEvents => {
                ("events of another CPU", Inferred, "Operations that another CPU did than recorded, as later addresses show (preemption).")
            }
            Self::Shrunk => (
                "caches shrunk",
                Inferred,
                "Times that a cache was shrunk (kmem_cache_shrink), as later addresses show: every CPU lost its slabs.",
            ),
            Self::FailedAllocs => ("failed allocations", Observed, "Allocations that returned NULL."),
            Self::NullFrees => ("frees of NULL", Observed, "kfree() of NULL or of the zero-size pointer: no operation."),
            Self::LargeAllocs => ("large kmalloc", Observed, "Beyond the largest class: served by the page allocator, not replayed."),
            Self::LargeFrees => ("frees of large kmalloc", Observed, "Frees of memory from the page allocator, not replayed."),
            Self::DoubledEvents => ("doubled events", Observed, "The second event of one large kmalloc."),
            Self::UnplacedAllocs => {
                ("allocations without a layout", Unusable, "Neither trace nor snapshot tells usable sizes of the cache; not replayed.")
            }
            Self::UnknownFrees => {
                ("frees of unknown objects", Unusable, "The cache of the address, or its sizes, are not known; not replayed.")
            }
            Self::LostEvents => ("lost events", Unusable, "Events that the recorder lost."),
            Self::LossGaps => ("gaps of unknown size", Unusable, "Gaps in the recording with an unknown number of events."),
            Self::UnusableRecords => ("unusable records", Unusable, "Records that could not be decoded."),
        }
    }
}

/// Counts by entry and cache name; the empty name for what concerns no cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ledger(BTreeMap<(Entry, String), u64>);

impl Ledger {
    /// Adds to a count.
    pub fn add(&mut self, entry: Entry, cache: &str, count: u64) {
        if count > 0 {
            *self.0.entry((entry, cache.to_owned())).or_default() += count;
        }
    }

    /// All counts above zero, by entry, then cache.
    pub fn iter(&self) -> impl Iterator<Item = (Entry, &str, u64)> {
        self.0.iter().map(|((entry, cache), count)| (*entry, cache.as_str(), *count))
    }

    /// Sum of an entry over all caches.
    #[must_use]
    pub fn total(&self, entry: Entry) -> u64 {
        self.iter().filter(|(found, _, _)| *found == entry).map(|(_, _, count)| count).sum()
    }

    /// Count of an entry for one cache.
    #[must_use]
    pub fn of(&self, entry: Entry, cache: &str) -> u64 {
        self.0.get(&(entry, cache.to_owned())).copied().unwrap_or(0)
    }
}
