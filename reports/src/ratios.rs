//! Figures that follow from those in [`crate::input`]: the tables, the text and the JSON report
//! all take them from here, so that they cannot disagree.

pub mod threads;

use crate::input::{AllocPaths, CacheFigures, CacheSeries, FreePaths, ReportInput, Timeline};

/// Returns `part / whole`, or 0 if there is no whole.
#[must_use]
pub fn share(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl AllocPaths {
    /// Returns all allocations.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.fastpath.saturating_add(self.slow())
    }

    /// Returns the allocations that the fast path did not serve.
    #[must_use]
    pub fn slow(&self) -> u64 {
        [self.refill, self.cpu_partial, self.node_partial, self.new_slab].into_iter().fold(0, u64::saturating_add)
    }
}

impl FreePaths {
    /// Returns all frees.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.fastpath.saturating_add(self.frozen).saturating_add(self.slowpath)
    }
}

impl CacheFigures {
    /// Returns the name to show to people: a merged cache goes by the name that the trace has for it.
    #[must_use]
    pub fn label(&self) -> &str {
        if self.traced_as.is_empty() { &self.name } else { &self.traced_as }
    }

    /// Returns the bytes that the objects live at the end occupy, padding included.
    #[must_use]
    pub fn live_bytes_end(&self) -> u64 {
        self.live_objects_end.saturating_mul(u64::from(self.stride_bytes))
    }

    /// Returns the bytes in slabs at the end that nobody asked for: free objects, padding, and
    /// what is left over behind the last object of each slab.
    #[must_use]
    pub fn wasted_bytes_end(&self) -> u64 {
        self.slab_bytes_end.saturating_sub(self.live_requested_bytes_end)
    }

    /// Returns [`wasted_bytes_end`](Self::wasted_bytes_end) as a share of the slab memory; 0
    /// without slabs.
    #[must_use]
    pub fn waste_ratio_end(&self) -> f64 {
        share(self.wasted_bytes_end(), self.slab_bytes_end)
    }

    /// Returns the part of [`wasted_bytes_end`](Self::wasted_bytes_end) inside of live objects:
    /// their padding and the rounding of requests up to the object size.
    #[must_use]
    pub fn rounding_bytes_end(&self) -> u64 {
        self.live_bytes_end().saturating_sub(self.live_requested_bytes_end)
    }

    /// Returns the part of [`wasted_bytes_end`](Self::wasted_bytes_end) outside of live objects.
    #[must_use]
    pub fn free_bytes_end(&self) -> u64 {
        self.slab_bytes_end.saturating_sub(self.live_bytes_end())
    }

    /// Returns the share of the bytes handed out, over all allocations, that nobody asked for;
    /// 0 without allocations.
    #[must_use]
    pub fn internal_waste_ratio(&self) -> f64 {
        // As floats: allocations times stride may exceed 64 bits.
        let handed_out_bytes = self.allocs as f64 * f64::from(self.stride_bytes);
        if handed_out_bytes == 0.0 {
            return 0.0;
        }
        (1.0 - self.requested_bytes_total as f64 / handed_out_bytes).clamp(0.0, 1.0)
    }

    /// Returns the share of the allocations that the fast path did not serve; 0 without
    /// allocations.
    #[must_use]
    pub fn slow_path_share(&self) -> f64 {
        share(self.alloc_paths.slow(), self.allocs)
    }
}

impl ReportInput {
    /// Returns the name to show to people for the cache of this name.
    #[must_use]
    pub fn label_of<'a>(&'a self, name: &'a str) -> &'a str {
        self.caches.iter().find(|cache| cache.name == name).map_or(name, CacheFigures::label)
    }

    /// Returns the name to show to people of the cache at `index`, the index that series use.
    #[must_use]
    pub fn cache_label(&self, index: usize) -> Option<&str> {
        self.caches.get(index).map(CacheFigures::label)
    }

    /// Returns the name of the cache at `index`, the index that counters and series use.
    #[must_use]
    pub fn cache_name(&self, index: usize) -> Option<&str> {
        self.caches.get(index).map(|cache| cache.name.as_str())
    }
}

/// Sums over all caches at the moments of a [`Timeline`]; every column is as long as `time_ns`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Moments, in nanoseconds since the first event.
    pub time_ns: Vec<u64>,
    /// Slabs.
    pub slabs: Vec<u64>,
    /// Bytes in slabs.
    pub slab_bytes: Vec<u64>,
    /// Live objects.
    pub live_objects: Vec<u64>,
    /// Bytes of live objects.
    pub live_bytes: Vec<u64>,
    /// Slabs on node partial lists.
    pub partial_slabs: Vec<u64>,
    /// Slabs on CPU partial lists.
    pub cpu_partial_slabs: Vec<u64>,
}

impl Timeline {
    /// Returns the sums over all caches. What a series lacks counts as 0.
    #[must_use]
    pub fn totals(&self) -> Totals {
        let sum = |column: fn(&CacheSeries) -> &Vec<u64>| {
            let mut sums = vec![0u64; self.time_ns.len()];
            for series in &self.caches {
                for (sum, value) in sums.iter_mut().zip(column(series)) {
                    *sum = sum.saturating_add(*value);
                }
            }
            sums
        };
        Totals {
            time_ns: self.time_ns.clone(),
            slabs: sum(|series| &series.slabs),
            slab_bytes: sum(|series| &series.slab_bytes),
            live_objects: sum(|series| &series.live_objects),
            live_bytes: sum(|series| &series.live_bytes),
            partial_slabs: sum(|series| &series.partial_slabs),
            cpu_partial_slabs: sum(|series| &series.cpu_partial_slabs),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache() -> CacheFigures {
        CacheFigures {
            stride_bytes: 64,
            allocs: 10,
            requested_bytes_total: 480,
            live_objects_end: 3,
            live_requested_bytes_end: 150,
            slab_bytes_end: 4096,
            alloc_paths: AllocPaths { fastpath: 6, refill: 1, cpu_partial: 1, node_partial: 1, new_slab: 1 },
            ..CacheFigures::default()
        }
    }

    #[test]
    fn waste_splits_into_rounding_and_free_space() {
        let cache = cache();
        assert_eq!(cache.live_bytes_end(), 192); // 3 * 64
        assert_eq!(cache.wasted_bytes_end(), 3946); // 4096 - 150
        assert_eq!(cache.rounding_bytes_end(), 42); // 192 - 150
        assert_eq!(cache.free_bytes_end(), 3904); // 4096 - 192; 42 + 3904 = 3946
        assert_eq!(cache.waste_ratio_end(), 3946.0 / 4096.0);
    }

    #[test]
    fn merged_caches_go_by_the_name_in_the_trace() {
        let merged = CacheFigures { name: ":0000192".to_owned(), traced_as: "dentry".to_owned(), ..CacheFigures::default() };
        assert_eq!(merged.label(), "dentry");
        let plain = CacheFigures { name: "kmalloc-64".to_owned(), ..CacheFigures::default() };
        assert_eq!(plain.label(), "kmalloc-64");
    }

    #[test]
    fn shares_are_of_all_allocations() {
        assert_eq!(cache().internal_waste_ratio(), 0.25); // 1 - 480 / (10 * 64)
        assert_eq!(cache().slow_path_share(), 0.4); // (1 + 1 + 1 + 1) / 10
        assert_eq!(cache().alloc_paths.total(), 10);
    }

    #[test]
    fn ratios_of_nothing_are_zero() {
        let empty = CacheFigures::default();
        assert_eq!(empty.waste_ratio_end(), 0.0);
        assert_eq!(empty.internal_waste_ratio(), 0.0);
        assert_eq!(empty.slow_path_share(), 0.0);
    }

    #[test]
    fn largest_values_do_not_overflow() {
        let cache = CacheFigures {
            stride_bytes: u32::MAX,
            allocs: u64::MAX,
            live_objects_end: u64::MAX,
            live_requested_bytes_end: u64::MAX,
            ..CacheFigures::default()
        };
        assert_eq!(cache.live_bytes_end(), u64::MAX);
        assert_eq!(cache.wasted_bytes_end(), 0);
        assert_eq!(cache.internal_waste_ratio(), 1.0);
    }

    #[test]
    fn totals_add_up_the_caches_at_each_moment() {
        let series = |slabs: &[u64]| CacheSeries { slabs: slabs.to_vec(), ..CacheSeries::default() };
        let timeline = Timeline { time_ns: vec![0, 5], caches: vec![series(&[1, 2]), series(&[10, 20])] };
        let totals = timeline.totals();
        assert_eq!(totals.time_ns, [0, 5]);
        assert_eq!(totals.slabs, [11, 22]);
        assert_eq!(totals.slab_bytes, [0, 0]);
    }
}
