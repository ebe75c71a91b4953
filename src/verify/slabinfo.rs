//! A replay by SLAB against `/proc/slabinfo`.

use slubreplay_parsers::capture::SlabinfoFile;

use crate::allocators::Detail;
use crate::prepare::{Plan, PlannedCache};
use crate::replay::{CacheState, Observer};

/// One column of one cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlabinfoRow {
    /// Cache.
    pub cache: String,
    /// Name as in the header of the file.
    pub column: &'static str,
    /// The kernel's figure.
    pub kernel: u64,
    /// The replay's.
    pub replay: u64,
}

/// The comparison of a whole file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlabinfoVerdict {
    /// All columns of all caches of the file.
    pub rows: Vec<SlabinfoRow>,
    /// Caches of the replay with slabs that the file does not have.
    pub unknown: Vec<String>,
    /// Caches of the file that the replay does not have.
    pub missing: Vec<String>,
}

/// Slabs from which on a cache counts in the share of caches that are exact.
pub const MANY_SLABS: u64 = 20;

impl SlabinfoVerdict {
    /// Compares states of the plan's caches with a file.
    #[must_use]
    pub fn of(plan: &Plan, states: &[CacheState], file: &SlabinfoFile) -> Self {
        let mut verdict = Self::default();
        for line in &file.lines {
            let Some(number) = plan.caches.iter().position(|cache| cache.name == line.name) else {
                verdict.missing.push(line.name.clone());
                continue;
            };
            let Some(Detail::Slab(slab)) = states.get(number).map(|state| &state.detail) else { continue };
            verdict.rows.extend(slab.info.named().into_iter().map(|(column, replay)| SlabinfoRow {
                cache: line.name.clone(),
                column,
                kernel: line.get(column),
                replay,
            }));
        }
        let has_slabs = |(_, state): &(&PlannedCache, &CacheState)| state.gauges.slabs > 0;
        let in_file = |name: &str| file.line(name).is_some();
        let states = plan.caches.iter().zip(states).filter(has_slabs);
        verdict.unknown = states.map(|(cache, _)| cache.name.clone()).filter(|name| !in_file(name)).collect();
        verdict
    }

    /// Sums of a column over all caches that `include` wants: the kernel's and the replay's.
    #[must_use]
    pub fn total(&self, column: &str, include: impl Fn(&str) -> bool) -> (u64, u64) {
        let rows = self.rows.iter().filter(|row| row.column == column && include(&row.cache));
        rows.fold((0, 0), |(kernel, replay), row| (kernel + row.kernel, replay + row.replay))
    }

    /// The rows of a cache, in the order of the file's header.
    pub fn of_cache<'a>(&'a self, cache: &'a str) -> impl Iterator<Item = &'a SlabinfoRow> {
        self.rows.iter().filter(move |row| row.cache == cache)
    }

    /// Names of the caches, in the order of the file.
    pub fn caches(&self) -> impl Iterator<Item = &str> {
        self.rows.iter().filter(|row| row.column == "active_objs").map(|row| row.cache.as_str())
    }

    /// Caches with at least [`MANY_SLABS`] in the kernel, and of these, those with exactly as many slabs in use and objects.
    #[must_use]
    pub fn exact(&self, include: impl Fn(&str) -> bool) -> (u64, u64) {
        let mut counts = (0, 0);
        for cache in self.caches().filter(|cache| include(cache)) {
            let get = |column| self.of_cache(cache).find(|row| row.column == column).map_or((0, 0), |row| (row.kernel, row.replay));
            if get("num_slabs").0 >= MANY_SLABS {
                let is_exact = ["active_slabs", "num_objs"].map(get).iter().all(|(kernel, replay)| kernel == replay);
                counts = (counts.0 + 1, counts.1 + u64::from(is_exact));
            }
        }
        counts
    }

    /// Summed distance of slabs in use and of objects, as a share of the kernel's, in percent.
    #[must_use]
    pub fn error_percent(&self, include: impl Fn(&str) -> bool) -> f64 {
        let counted = |row: &&SlabinfoRow| ["active_slabs", "num_objs"].contains(&row.column) && include(&row.cache);
        let (error, sum) =
            self.rows.iter().filter(counted).fold((0, 0), |(error, sum), row| (error + row.kernel.abs_diff(row.replay), sum + row.kernel));
        if sum == 0 { 0.0 } else { error as f64 * 100.0 / sum as f64 }
    }
}

/// Keeps the state of all caches when `/proc/slabinfo` was read, and where pages are compared.
#[derive(Debug)]
pub struct SiblingMarks<F> {
    caches: usize,
    /// States at `slubreplay-slabinfo before` and `after`.
    pub at: [Option<Vec<CacheState>>; 2],
    /// At positions where it paused: pages in use by SLOB.
    pub pages: Vec<(usize, u64)>,
    progress: F,
}

/// Pages in use by SLOB, by the states of all its rows.
#[must_use]
pub fn slob_pages<'a>(states: impl Iterator<Item = &'a CacheState>) -> u64 {
    let of = |state: &CacheState| match &state.detail {
        Detail::Slob(slob) => slob.whole_pages + slob.totals.shared_pages,
        Detail::Slub | Detail::Slab(_) => 0,
    };
    states.map(of).sum()
}

impl<F: FnMut(u64)> SiblingMarks<F> {
    /// Watches so many caches; `progress` is passed the operations done.
    pub fn new(caches: usize, progress: F) -> Self {
        Self { caches, at: [None, None], pages: Vec::new(), progress }
    }
}

impl<F: FnMut(u64)> Observer for SiblingMarks<F> {
    fn mark(&mut self, text: &str, state: &dyn Fn(usize) -> Option<CacheState>) {
        let which = match text.trim() {
            "slubreplay-slabinfo before" => 0,
            "slubreplay-slabinfo after" => 1,
            _ => return,
        };
        self.at[which] = Some((0..self.caches).filter_map(state).collect());
    }

    fn pause(&mut self, at: &crate::replay::Paused<'_>) {
        let states: Vec<CacheState> = (0..self.caches).filter_map(|cache| at.state(cache)).collect();
        self.pages.push((at.position, slob_pages(states.iter())));
    }

    fn progress(&mut self, operations: u64) {
        (self.progress)(operations);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(cache: &str, column: &'static str, kernel: u64, replay: u64) -> SlabinfoRow {
        SlabinfoRow { cache: cache.to_owned(), column, kernel, replay }
    }

    #[test]
    fn small_caches_count_in_the_sums_only() {
        let rows = |cache: &str, slabs: (u64, u64), objects: (u64, u64)| {
            [
                row(cache, "active_objs", objects.0, objects.1),
                row(cache, "num_objs", objects.0, objects.1),
                row(cache, "active_slabs", slabs.0, slabs.1),
                row(cache, "num_slabs", slabs.0, slabs.1),
            ]
        };
        let all = [rows("a", (20, 20), (40, 40)), rows("b", (30, 31), (60, 62)), rows("c", (1, 2), (5, 5))];
        let verdict = SlabinfoVerdict { rows: all.concat(), ..SlabinfoVerdict::default() };
        assert_eq!(verdict.exact(|_| true), (2, 1));
        assert_eq!(verdict.total("num_objs", |_| true), (105, 107));
        // Distances 1 + 2 + 1 of 51 slabs and 105 objects.
        assert_eq!(verdict.error_percent(|_| true), 4.0 * 100.0 / 156.0);
        assert_eq!(verdict.error_percent(|cache| cache == "a"), 0.0);
    }
}
