//! What the charts over time are drawn from, as JSON in the page.

use std::collections::HashMap;

use serde::Serialize;

use crate::input::analysis::{AnalysisInput, Course, Look, OCCUPANCY_BINS, OCCUPANCY_NAMES};
use crate::input::{CacheSeries, ReportInput};

/// Caches with charts of their own, those with most memory first; all are in the sums.
const MOST_CACHES: usize = 200;
/// Moments of a chart: as many as it has pixels for, and more with `--samples` would only make the page slow.
const MOST_MOMENTS: usize = 500;

/// Everything that is drawn.
#[derive(Debug, Serialize, PartialEq)]
pub(super) struct Data {
    /// Moments of `slabs` and `live`, in seconds since the first event.
    samples_s: Vec<f64>,
    /// Moments of `parts` and `occupancy`.
    looks_s: Vec<f64>,
    /// Moments of `allocs` and `moves`: the middles between looks.
    middles_s: Vec<f64>,
    /// What the parts of slab memory are called.
    part_names: [&'static str; PARTS],
    /// What the bins of occupancy are called.
    bin_names: [&'static str; OCCUPANCY_BINS],
    /// The sum of all caches, then the caches.
    caches: Vec<CacheData>,
    /// Caches that are in the sum alone.
    left_out: usize,
}

const PARTS: usize = 4;
const PART_NAMES: [&str; PARTS] = ["live objects", "held by CPUs", "free on nodes' lists", "left over in slabs"];

/// A cache, or all.
#[derive(Debug, Default, Serialize, PartialEq)]
struct CacheData {
    name: String,
    /// Bytes in slabs, by sample.
    slabs: Vec<u64>,
    /// Bytes of live objects, by sample.
    live: Vec<u64>,
    /// Bytes, by part and look.
    parts: Vec<Vec<u64>>,
    /// Slabs, by bin and look.
    occupancy: Vec<Vec<u64>>,
    /// Allocations a second.
    allocs: Vec<f64>,
    /// Slabs on and off nodes' lists a second.
    moves: Vec<f64>,
}

impl Data {
    /// True if there is anything to draw: a line needs two moments.
    pub(super) fn has_courses(&self) -> bool {
        self.samples_s.len() > 1 || self.looks_s.len() > 1
    }

    /// Returns the JSON in a form that can stand in a script element: no `<`, so that no name can end it.
    pub(super) fn to_script(&self) -> String {
        let json = serde_json::to_string(self).unwrap_or_default();
        json.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
    }
}

pub(super) fn data(input: &ReportInput, analysis: Option<&AnalysisInput>) -> Data {
    let samples = thinned(input.timeline.time_ns.len());
    let moments: &[u64] = analysis.map_or(&[], |analysis| &analysis.moments_ns);
    let mut all = CacheData { name: "All caches".to_owned(), ..CacheData::default() };
    let totals = input.timeline.totals();
    all.slabs = pick(&totals.slab_bytes, &samples);
    all.live = pick(&totals.live_bytes, &samples);
    let courses: &[Course] = analysis.map_or(&[], |analysis| &analysis.courses);
    if analysis.is_some() {
        add_looks(&mut all, courses.iter(), moments);
    }
    let mut caches = caches(input, courses, &samples, moments);
    let peak = |cache: &CacheData| cache.slabs.iter().copied().max().unwrap_or(0);
    // Stable, so that equal peaks stay in the order of creation.
    caches.sort_by_key(|cache| std::cmp::Reverse(peak(cache)));
    let left_out = caches.len().saturating_sub(MOST_CACHES);
    caches.truncate(MOST_CACHES);
    caches.insert(0, all);
    let times = pick(&input.timeline.time_ns, &samples);
    Data {
        samples_s: times.iter().copied().map(seconds).collect(),
        looks_s: moments.iter().copied().map(seconds).collect(),
        middles_s: moments.windows(2).map(|pair| seconds(pair[0].midpoint(pair[1]))).collect(),
        part_names: PART_NAMES,
        bin_names: OCCUPANCY_NAMES,
        caches,
        left_out,
    }
}

/// Microseconds are as much as a chart can show.
fn seconds(ns: u64) -> f64 {
    (ns / 1_000) as f64 / 1e6
}

/// The samples to draw: evenly spaced, the last one included.
fn thinned(count: usize) -> Vec<usize> {
    let step = count.div_ceil(MOST_MOMENTS).max(1);
    let mut kept: Vec<usize> = (0..count).step_by(step).collect();
    if let Some(last) = count.checked_sub(1).filter(|last| kept.last() != Some(last)) {
        kept.push(last);
    }
    kept
}

fn pick(values: &[u64], at: &[usize]) -> Vec<u64> {
    at.iter().map(|&at| values.get(at).copied().unwrap_or(0)).collect()
}

/// One entry per cache with a series or a course; both know it by its label, in the same order.
fn caches(input: &ReportInput, courses: &[Course], samples: &[usize], moments: &[u64]) -> Vec<CacheData> {
    let mut by_label: HashMap<&str, std::collections::VecDeque<&Course>> = HashMap::new();
    for course in courses {
        by_label.entry(&course.cache).or_default().push_back(course);
    }
    let cache = |series: &CacheSeries| {
        let figures = input.caches.get(series.cache)?;
        let name = if figures.traced_as.is_empty() { figures.name.clone() } else { format!("{} ({})", figures.traced_as, figures.name) };
        let mut cache =
            CacheData { name, slabs: pick(&series.slab_bytes, samples), live: pick(&series.live_bytes, samples), ..CacheData::default() };
        let course = by_label.get_mut(figures.label()).and_then(std::collections::VecDeque::pop_front);
        if let Some(course) = course {
            add_looks(&mut cache, std::iter::once(course), moments);
        }
        Some(cache)
    };
    input.timeline.caches.iter().filter_map(cache).collect()
}

/// Bytes of the parts of slab memory; they sum up to the bytes in slabs.
fn parts(course: &Course, look: &Look) -> [u64; PARTS] {
    let stride = u64::from(course.stride_bytes);
    let bytes = |objects: u64| objects.saturating_mul(stride);
    [bytes(look.live_objects), bytes(look.held()), bytes(look.free_on_nodes), look.slab_bytes.saturating_sub(bytes(look.objects))]
}

/// Fills in what the courses say, summed.
fn add_looks<'a>(cache: &mut CacheData, courses: impl Iterator<Item = &'a Course>, moments: &[u64]) {
    let spans: Vec<u64> = moments.windows(2).map(|pair| pair[1].saturating_sub(pair[0]).max(1)).collect();
    let (mut allocs, mut moves) = (vec![0_u64; spans.len()], vec![0_u64; spans.len()]);
    cache.parts = vec![vec![0; moments.len()]; PARTS];
    cache.occupancy = vec![vec![0; moments.len()]; OCCUPANCY_BINS];
    for course in courses {
        for (at, look) in course.looks.iter().enumerate().take(moments.len()) {
            for (row, bytes) in cache.parts.iter_mut().zip(parts(course, look)) {
                row[at] = row[at].saturating_add(bytes);
            }
            for (row, slabs) in cache.occupancy.iter_mut().zip(look.occupancy) {
                row[at] += u64::from(slabs);
            }
        }
        allocs.iter_mut().zip(&course.allocs_between).for_each(|(sum, count)| *sum = sum.saturating_add(*count));
        let moved = course.looks.windows(2).map(|pair| pair[1].node_moves.saturating_sub(pair[0].node_moves));
        moves.iter_mut().zip(moved).for_each(|(sum, count)| *sum = sum.saturating_add(count));
    }
    let rates = |counts: &[u64]| counts.iter().zip(&spans).map(|(count, ns)| rate(*count, *ns)).collect();
    cache.allocs = rates(&allocs);
    cache.moves = rates(&moves);
}

/// Per second, with one digit behind the point.
fn rate(count: u64, ns: u64) -> f64 {
    (count as f64 * 1e10 / ns as f64).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    fn analysis() -> AnalysisInput {
        let look = |slabs: u64, moves: u64| Look {
            slabs,
            slab_bytes: slabs * 4096,
            objects: slabs * 64,
            live_objects: 10,
            free_in_cpu_slabs: 4,
            free_on_nodes: slabs * 64 - 14,
            occupancy: [0, 0, u32::try_from(slabs).unwrap(), 0, 0, 0, 0, 0, 0, 0, 0, 0],
            node_moves: moves,
            ..Look::default()
        };
        let course = |cache: &str, stride| Course {
            cache: cache.to_owned(),
            stride_bytes: stride,
            looks: vec![look(1, 0), look(2, 5), look(1, 6)],
            allocs_between: vec![30, 0],
        };
        AnalysisInput {
            moments_ns: vec![0, 1_000_000_000, 3_000_000_000],
            courses: vec![course("kmalloc-64", 64), course("dentry", 60)],
            ..AnalysisInput::default()
        }
    }

    #[test]
    fn parts_sum_up_to_the_slabs() {
        let data = data(&testdata::small(), Some(&analysis()));
        let dentry = &data.caches[1];
        assert_eq!(dentry.name, "dentry", "the larger peak, 16384, first");
        // 1 slab: 10, 4 and 50 objects of 60 bytes; 4096 - 64 * 60 are left over.
        let first: Vec<u64> = dentry.parts.iter().map(|part| part[0]).collect();
        assert_eq!(first, [600, 240, 3000, 256]);
        let all = &data.caches[0];
        assert_eq!(all.parts.iter().map(|part| part[1]).sum::<u64>(), 2 * 8192);
        assert_eq!(all.occupancy[2], [2, 4, 2]);
    }

    #[test]
    fn rates_are_per_second_in_the_middle() {
        let data = data(&testdata::small(), Some(&analysis()));
        assert_eq!(data.middles_s, [0.5, 2.0]);
        assert_eq!(data.caches[1].allocs, [30.0, 0.0]);
        assert_eq!(data.caches[1].moves, [5.0, 0.5]); // 5 in 1 s, 1 in 2 s
        assert_eq!(data.caches[0].allocs, [60.0, 0.0]);
    }

    #[test]
    fn sums_are_those_of_the_timeline() {
        let data = data(&testdata::small(), None);
        assert_eq!(data.caches[0].slabs, [4096, 24576, 20480]);
        assert_eq!(data.caches.len(), 3, "all, and two with slabs");
        assert!(data.caches[0].parts.is_empty());
        assert!(data.has_courses());
    }

    #[test]
    fn long_courses_are_thinned_to_their_end() {
        assert_eq!(thinned(3), [0, 1, 2]);
        let kept = thinned(100_000);
        assert!(kept.len() <= MOST_MOMENTS + 1);
        assert_eq!(kept.last(), Some(&99_999));
        assert!(thinned(0).is_empty());
    }

    #[test]
    fn no_name_ends_the_script() {
        let mut input = testdata::small();
        input.caches[0].name = "</script><b>".to_owned();
        let script = data(&input, None).to_script();
        assert!(!script.contains('<'), "{script}");
        assert!(script.contains("\\u003c/script\\u003e\\u003cb\\u003e"));
    }
}
