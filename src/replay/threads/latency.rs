//! How long operations take, by path.

use hdrhistogram::Histogram;

use crate::allocators::concurrent::{Path, clock};

/// Durations of some operations, in ticks: a histogram for each path.
#[derive(Debug, Clone)]
pub struct Latency {
    paths: Vec<Histogram<u64>>,
}

/// Longest duration that is told from longer ones, in ticks: some 20 minutes.
const LONGEST: u64 = 1 << 42;

impl Default for Latency {
    fn default() -> Self {
        Self { paths: vec![empty(); Path::COUNT] }
    }
}

fn empty() -> Histogram<u64> {
    // Two digits: 1 % steps. More would cost cache misses while measuring.
    Histogram::new_with_bounds(1, LONGEST, 2).unwrap_or_else(|_| unreachable!("the bounds are valid"))
}

impl Latency {
    #[inline]
    pub(super) fn record(&mut self, path: Path, ticks: u64) {
        self.paths[path as usize].saturating_record(ticks.max(1));
    }

    pub(super) fn add(&mut self, other: &Self) {
        for (own, other) in self.paths.iter_mut().zip(&other.paths) {
            // Both have the same bounds.
            own.add(other).ok();
        }
    }

    /// Operations timed on a path.
    #[must_use]
    pub fn count(&self, path: Path) -> u64 {
        self.paths[path as usize].len()
    }

    /// The duration that a share of the operations on a path, 0 to 1, do not exceed, in nanoseconds; `None` if none was timed.
    #[must_use]
    pub fn quantile_ns(&self, path: Path, share: f64) -> Option<f64> {
        let histogram = &self.paths[path as usize];
        (!histogram.is_empty()).then(|| in_ns(histogram.value_at_quantile(share)))
    }

    /// The longest, in nanoseconds.
    #[must_use]
    pub fn max_ns(&self, path: Path) -> Option<f64> {
        let histogram = &self.paths[path as usize];
        (!histogram.is_empty()).then(|| in_ns(histogram.max()))
    }

    /// The mean, in nanoseconds.
    #[must_use]
    pub fn mean_ns(&self, path: Path) -> Option<f64> {
        let histogram = &self.paths[path as usize];
        (!histogram.is_empty()).then(|| clock::fine_nanoseconds(histogram.mean()))
    }

    /// The distribution on a path: (nanoseconds, share of the operations that take no longer), in ascending order, 0 to 1.
    #[must_use]
    pub fn distribution(&self, path: Path) -> Vec<(f64, f64)> {
        let histogram = &self.paths[path as usize];
        let total = histogram.len() as f64;
        let mut below = 0;
        let steps = histogram.iter_recorded().map(|step| {
            below += step.count_since_last_iteration();
            (in_ns(step.value_iterated_to()), below as f64 / total)
        });
        steps.collect()
    }
}

fn in_ns(ticks: u64) -> f64 {
    clock::fine_nanoseconds(ticks as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_distribution_are_of_the_same_operations() {
        let mut latency = Latency::default();
        for ticks in 1..=100 {
            latency.record(Path::FreeFast, ticks);
        }
        assert_eq!((latency.count(Path::FreeFast), latency.count(Path::AllocFast)), (100, 0));
        assert_eq!(latency.quantile_ns(Path::AllocFast, 0.5), None);
        let tick = in_ns(1);
        let median = latency.quantile_ns(Path::FreeFast, 0.5).unwrap();
        assert!((median / tick - 50.0).abs() < 2.0, "{median} ns, a tick is {tick} ns");
        let steps = latency.distribution(Path::FreeFast);
        assert_eq!(steps.last().unwrap().1, 1.0);
        assert!(steps.windows(2).all(|pair| pair[0] < pair[1]));
        let mut both = latency.clone();
        both.add(&latency);
        assert_eq!(both.count(Path::FreeFast), 200);
    }
}
