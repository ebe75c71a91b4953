//! Figures that follow from those of a replay on threads.

use super::share;
use crate::input::threads::{LockFigures, ThreadsCache, ThreadsFacts, ThreadsInput, WorkerFigures};

/// A compared figure in one cache, or over all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compared {
    /// By the exact replay.
    pub exact: u64,
    /// On threads.
    pub threads: u64,
}

impl Compared {
    /// What threads counted more.
    #[must_use]
    pub fn difference(self) -> i128 {
        i128::from(self.threads) - i128::from(self.exact)
    }
}

impl LockFigures {
    /// The sum of some.
    #[must_use]
    pub fn sum(locks: &[Self]) -> Self {
        locks.iter().fold(Self::default(), |sum, lock| sum.plus(*lock))
    }

    /// The sum of two.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            taken: self.taken.saturating_add(other.taken),
            contended: self.contended.saturating_add(other.contended),
            waited_ns: self.waited_ns.saturating_add(other.waited_ns),
        }
    }

    /// Share of the times taken at which somebody else had it, 0 to 1.
    #[must_use]
    pub fn contended_share(self) -> f64 {
        share(self.contended, self.taken)
    }
}

impl ThreadsCache {
    /// Locks of lists and barns, which are the cache's own, over all CPUs.
    #[must_use]
    pub fn own_locks(&self) -> LockFigures {
        LockFigures::sum(&self.list_locks).plus(LockFigures::sum(&self.barn_locks))
    }

    /// The same of one CPU.
    #[must_use]
    pub fn own_locks_of_cpu(&self, cpu: usize) -> LockFigures {
        let of = |locks: &[LockFigures]| locks.get(cpu).copied().unwrap_or_default();
        of(&self.list_locks).plus(of(&self.barn_locks))
    }

    /// A compared figure; 0 where it has none.
    #[must_use]
    pub fn compared(&self, figure: usize) -> Compared {
        let of = |values: &[u64]| values.get(figure).copied().unwrap_or(0);
        Compared { exact: of(&self.exact), threads: of(&self.threads) }
    }

    /// Sum of all differences, whatever their sign.
    #[must_use]
    pub fn deviation(&self, figures: usize) -> u128 {
        (0..figures).map(|figure| self.compared(figure).difference().unsigned_abs()).sum()
    }
}

impl ThreadsFacts {
    /// Operations a second, of all workers together.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        rate(self.operations, self.elapsed_ns)
    }
}

impl WorkerFigures {
    /// Operations a second, waiting included.
    #[must_use]
    pub fn per_second(&self) -> f64 {
        rate(self.operations, self.elapsed_ns)
    }
}

fn rate(operations: u64, elapsed_ns: u64) -> f64 {
    if elapsed_ns == 0 { 0.0 } else { operations as f64 * 1e9 / elapsed_ns as f64 }
}

impl ThreadsInput {
    /// A compared figure over all caches.
    #[must_use]
    pub fn compared(&self, figure: usize) -> Compared {
        let all = self.caches.iter().map(|cache| cache.compared(figure));
        all.fold(Compared { exact: 0, threads: 0 }, |sum, one| Compared {
            exact: sum.exact.saturating_add(one.exact),
            threads: sum.threads.saturating_add(one.threads),
        })
    }

    /// The number of a compared figure.
    #[must_use]
    pub fn figure(&self, name: &str) -> Option<usize> {
        self.figures.iter().position(|figure| figure.name == name)
    }

    /// True if a figure may differ in this run: by nature, with several workers, or because not everything was done.
    #[must_use]
    pub fn may_differ(&self, figure: usize) -> bool {
        let by_nature = self.figures.get(figure).is_some_and(|figure| figure.why.is_some());
        self.facts.is_stopped || by_nature && self.workers.len() > 1
    }

    /// Caches and figures that differ although they must not.
    #[must_use]
    pub fn violations(&self) -> Vec<(usize, usize)> {
        let strict: Vec<usize> = (0..self.figures.len()).filter(|&figure| !self.may_differ(figure)).collect();
        let of_cache = |(number, cache): (usize, &ThreadsCache)| {
            let differing = strict.iter().copied().filter(|&figure| cache.compared(figure).difference() != 0);
            differing.map(|figure| (number, figure)).collect::<Vec<_>>()
        };
        self.caches.iter().enumerate().flat_map(of_cache).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata::threads::small;

    #[test]
    fn locks_add_up() {
        let input = small();
        // Lists 60 + 20, barns 10 + 0; contended 6 + 1 + 3; waited 900 + 100 + 500.
        let locks = input.caches[0].own_locks();
        assert_eq!((locks.taken, locks.contended, locks.waited_ns), (90, 10, 1500));
        assert_eq!(input.caches[0].own_locks_of_cpu(1), LockFigures { taken: 20, contended: 1, waited_ns: 100 });
        assert_eq!(input.caches[0].own_locks_of_cpu(99), LockFigures::default());
        assert_eq!(LockFigures::default().contended_share(), 0.0);
    }

    #[test]
    fn rates_are_of_the_elapsed_time() {
        let input = small();
        assert_eq!(input.facts.per_second(), 240e6); // 240 in 1 us
        assert_eq!(input.workers[1].per_second(), 125e6); // 100 in 800 ns
        assert_eq!(WorkerFigures::default().per_second(), 0.0);
    }

    #[test]
    fn several_workers_may_differ_by_nature_only() {
        let mut input = small();
        assert_eq!(input.compared(1), Compared { exact: 120, threads: 110 });
        assert_eq!(input.caches[0].deviation(3), 20, "10 fewer fast, 10 more slow");
        assert!(input.violations().is_empty());
        input.workers.truncate(1);
        assert_eq!(input.violations(), [(0, 1), (0, 2)], "one worker has nobody to race");
        input.facts.is_stopped = true;
        assert!(input.violations().is_empty(), "a part cannot equal the whole");
        let mut input = small();
        input.caches[1].threads[0] += 1;
        assert_eq!(input.violations(), [(1, 0)]);
    }
}
