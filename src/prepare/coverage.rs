//! How much of what happened to a cache the trace shows.

use super::ledger::{Entry, Ledger};

/// Operations of a cache that the trace shows, and those that had to be inferred.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Coverage {
    /// Allocations and frees in the trace.
    pub traced: u64,
    /// Allocations and frees that the trace does not show. Those of contradicted frees are among them.
    pub implied: u64,
}

impl Coverage {
    /// A cache of which more than this share of the operations was inferred, in percent, counts as partly observed: what the
    /// replay makes of it depends on guesses.
    pub const PARTLY_ABOVE_PERCENT: u64 = 1;

    /// The coverage of a cache by its name.
    #[must_use]
    pub fn of(ledger: &Ledger, cache: &str) -> Self {
        let sum = |entries: [Entry; 2]| entries.into_iter().map(|entry| ledger.of(entry, cache)).sum();
        // Each contradicted free is one of the implied frees too.
        Self { traced: sum([Entry::AllocsObserved, Entry::FreesObserved]), implied: sum([Entry::ImpliedAllocs, Entry::ImpliedFrees]) }
    }

    /// All operations.
    #[must_use]
    pub fn operations(&self) -> u64 {
        self.traced + self.implied
    }

    /// Share of the operations that was inferred, in percent.
    #[must_use]
    pub fn implied_percent(&self) -> f64 {
        if self.operations() == 0 { 0.0 } else { self.implied as f64 * 100.0 / self.operations() as f64 }
    }

    /// The same in thousandths, rounded down.
    #[must_use]
    pub fn implied_permille(&self) -> u64 {
        self.implied.saturating_mul(1000).checked_div(self.operations()).unwrap_or(0)
    }

    /// True unless too much was inferred.
    #[must_use]
    pub fn is_observed(&self) -> bool {
        self.implied.saturating_mul(100) <= self.operations().saturating_mul(Self::PARTLY_ABOVE_PERCENT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partly_observed_is_more_than_one_percent() {
        let mut ledger = Ledger::default();
        ledger.add(Entry::AllocsObserved, "c", 60);
        ledger.add(Entry::FreesObserved, "c", 39);
        ledger.add(Entry::ImpliedFrees, "c", 1);
        ledger.add(Entry::ContradictedFrees, "c", 1);
        let coverage = Coverage::of(&ledger, "c");
        assert_eq!((coverage.operations(), coverage.implied_percent(), coverage.is_observed()), (100, 1.0, true));
        ledger.add(Entry::ImpliedAllocs, "c", 1);
        assert!(!Coverage::of(&ledger, "c").is_observed());
        assert!(Coverage::of(&ledger, "unused").is_observed());
        // 2 of 101.
        assert_eq!((Coverage::of(&ledger, "c").implied_permille(), Coverage::of(&ledger, "unused").implied_permille()), (19, 0));
    }
}
