//! Sees every counted step of one CPU in one cache. Its CPU owns it, so it is never shared.

use crate::allocators::slub::{Counter, CpuCounts};

/// Which lock was taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockSite {
    /// `list_lock` of this node.
    List(u16),
    /// The lock of this node's barn.
    Barn(u16),
    /// The lock of the page allocator.
    Pages,
}

/// What is told of the steps of an operation. A type parameter: what a probe does not care about costs nothing.
pub trait Probe: Send {
    /// A counter went up.
    fn count(&mut self, counter: Counter, amount: u64);

    /// A lock was taken: at once, or after so many ticks of the clock.
    fn locked(&mut self, site: LockSite, waited_ticks: Option<u64>);

    /// The clock that waiting is measured by.
    fn ticks() -> u64;
}

/// Counts nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProbe;

impl Probe for NoProbe {
    #[inline(always)]
    fn count(&mut self, _: Counter, _: u64) {}
    #[inline(always)]
    fn locked(&mut self, _: LockSite, _: Option<u64>) {}
    #[inline(always)]
    fn ticks() -> u64 {
        0
    }
}

/// How often locks were taken, and how long that took.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LockCounts {
    /// Times that it was taken.
    pub taken: u64,
    /// Of these, how often somebody else had it.
    pub contended: u64,
    /// Time spent waiting for it, in ticks of the clock.
    pub waited_ticks: u64,
}

impl LockCounts {
    fn add(&mut self, waited_ticks: Option<u64>) {
        self.taken += 1;
        if let Some(ticks) = waited_ticks {
            self.contended += 1;
            self.waited_ticks += ticks;
        }
    }

    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            taken: self.taken + other.taken,
            contended: self.contended + other.contended,
            waited_ticks: self.waited_ticks + other.waited_ticks,
        }
    }
}

/// Counts everything.
#[derive(Debug, Clone, Default)]
pub struct Counts {
    /// Counters of `CONFIG_SLUB_STATS`.
    pub counters: CpuCounts,
    /// `list_lock`, by node.
    pub lists: Vec<LockCounts>,
    /// Locks of barns, by node.
    pub barns: Vec<LockCounts>,
    /// The lock of the page allocator.
    pub pages: LockCounts,
}

impl Counts {
    /// Nothing counted yet, on a machine of so many nodes.
    #[must_use]
    pub fn new(nodes: u16) -> Self {
        let locks = vec![LockCounts::default(); usize::from(nodes)];
        Self { lists: locks.clone(), barns: locks, ..Self::default() }
    }
}

impl Probe for Counts {
    #[inline(always)]
    fn count(&mut self, counter: Counter, amount: u64) {
        self.counters.add(counter, amount);
    }

    #[cold]
    fn locked(&mut self, site: LockSite, waited_ticks: Option<u64>) {
        match site {
            LockSite::List(node) => self.lists[usize::from(node)].add(waited_ticks),
            LockSite::Barn(node) => self.barns[usize::from(node)].add(waited_ticks),
            LockSite::Pages => self.pages.add(waited_ticks),
        }
    }

    #[cfg(not(slub_loom))]
    fn ticks() -> u64 {
        super::clock::ticks()
    }

    #[cfg(slub_loom)]
    fn ticks() -> u64 {
        0
    }
}
