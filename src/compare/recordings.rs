//! Recordings beside recordings: what one kernel, machine or setting did to a load that was run again.

use std::collections::{BTreeMap, BTreeSet};

use super::significance::{FALSE_DISCOVERIES, Summary, Test, significant, test};
use super::{Figures, Replayed};

/// A recording's replay by its own kernel.
#[derive(Debug, Clone)]
pub struct Run {
    /// Time between its first and its last event.
    pub seconds: f64,
    /// What it came to.
    pub replayed: Replayed,
}

/// What is compared of two recordings. Counts are by time or by operation, as no two recordings are equally long.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Measure {
    /// Allocations in a second.
    AllocRate,
    /// Frees in a second.
    FreeRate,
    /// [`Figures::slab_bytes_peak`].
    SlabBytesPeak,
    /// [`Figures::slab_bytes_mean`].
    SlabBytesMean,
    /// [`Figures::slab_bytes_end`].
    SlabBytesEnd,
    /// [`Figures::live_share_peak`].
    LiveSharePeak,
    /// [`Figures::live_share_end`].
    LiveShareEnd,
    /// [`Figures::fast_alloc_share`].
    FastAllocShare,
    /// [`Figures::fast_free_share`].
    FastFreeShare,
    /// [`Figures::node_moves`] in a thousand allocations and frees.
    NodeMoves,
    /// [`Figures::held_objects_end`].
    HeldObjectsEnd,
    /// [`Figures::held_objects_mean`].
    HeldObjectsMean,
}

impl Measure {
    /// All of them, in the order of tables.
    pub const ALL: [Self; 12] = [
        Self::AllocRate,
        Self::FreeRate,
        Self::SlabBytesPeak,
        Self::SlabBytesMean,
        Self::SlabBytesEnd,
        Self::LiveSharePeak,
        Self::LiveShareEnd,
        Self::FastAllocShare,
        Self::FastFreeShare,
        Self::NodeMoves,
        Self::HeldObjectsEnd,
        Self::HeldObjectsMean,
    ];

    /// Name in tables.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::AllocRate => "allocs_per_s",
            Self::FreeRate => "frees_per_s",
            Self::SlabBytesPeak => "slab_bytes_peak",
            Self::SlabBytesMean => "slab_bytes_mean",
            Self::SlabBytesEnd => "slab_bytes_end",
            Self::LiveSharePeak => "live_share_peak",
            Self::LiveShareEnd => "live_share_end",
            Self::FastAllocShare => "fast_alloc_share",
            Self::FastFreeShare => "fast_free_share",
            Self::NodeMoves => "node_moves_per_1000_ops",
            Self::HeldObjectsEnd => "held_objects_end",
            Self::HeldObjectsMean => "held_objects_mean",
        }
    }

    /// It is a share, from 0 to 1.
    #[must_use]
    pub fn is_share(self) -> bool {
        matches!(self, Self::LiveSharePeak | Self::LiveShareEnd | Self::FastAllocShare | Self::FastFreeShare)
    }

    /// Takes it; `None` if the recording does not say.
    fn of(self, figures: &Figures, seconds: f64) -> Option<f64> {
        let rate = |count: u64| (seconds > 0.0).then(|| count as f64 / seconds);
        let operations = figures.allocs + figures.frees;
        match self {
            Self::AllocRate => rate(figures.allocs),
            Self::FreeRate => rate(figures.frees),
            Self::SlabBytesPeak => Some(figures.slab_bytes_peak as f64),
            Self::SlabBytesMean => Some(figures.slab_bytes_mean),
            Self::SlabBytesEnd => Some(figures.slab_bytes_end as f64),
            Self::LiveSharePeak => figures.live_share_peak,
            Self::LiveShareEnd => figures.live_share_end,
            Self::FastAllocShare => figures.fast_alloc_share(),
            Self::FastFreeShare => figures.fast_free_share(),
            Self::NodeMoves => (operations > 0).then(|| 1000.0 * figures.node_moves as f64 / operations as f64),
            Self::HeldObjectsEnd => Some(figures.held_objects_end as f64),
            Self::HeldObjectsMean => Some(figures.held_objects_mean),
        }
    }
}

/// One figure of both sides.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Difference {
    /// The figure.
    pub measure: Measure,
    /// Over the runs of the one side that have it.
    pub base: Option<Summary>,
    /// Over those of the other.
    pub against: Option<Summary>,
    /// Whether they differ, where both have two runs or more.
    pub test: Option<Test>,
    /// They do, by the test, with [`FALSE_DISCOVERIES`] among the figures of all caches together, or among those of single caches.
    pub is_significant: bool,
}

impl Difference {
    /// The other mean less the one.
    #[must_use]
    pub fn difference(&self) -> Option<f64> {
        Some(self.against?.mean - self.base?.mean)
    }

    /// That as a share of the one mean; `None` if it is 0.
    #[must_use]
    pub fn relative(&self) -> Option<f64> {
        let base = self.base?.mean;
        (base != 0.0).then_some(self.difference()? / base)
    }
}

/// A cache of both sides, or of one.
#[derive(Debug, Clone)]
pub struct Compared {
    /// Its name; `None` for all caches together.
    pub cache: Option<String>,
    /// By [`Measure::ALL`].
    pub differences: Vec<Difference>,
}

impl Compared {
    /// One of the figures.
    #[must_use]
    pub fn get(&self, measure: Measure) -> Option<&Difference> {
        self.differences.iter().find(|difference| difference.measure == measure)
    }

    /// Both sides have the cache.
    #[must_use]
    pub fn is_of_both(&self) -> bool {
        self.get(Measure::SlabBytesPeak).is_some_and(|difference| difference.base.is_some() && difference.against.is_some())
    }
}

/// Compares runs of two kinds: all caches together, then each that any run uses, by name. A run that does not have a cache that others of its
/// kind have counts as one that does not use it.
#[must_use]
pub fn compare_runs(base: &[Run], against: &[Run]) -> Vec<Compared> {
    let sides = [base, against].map(|runs| runs.iter().map(caches).collect::<Vec<_>>());
    let names: BTreeSet<&str> = sides.iter().flatten().flat_map(BTreeMap::keys).copied().collect();
    let total = [base, against].map(|runs| runs.iter().map(|run| (run.replayed.total, run.seconds)).collect::<Vec<_>>());
    let mut compared = vec![Compared { cache: None, differences: differences(&total) }];
    for name in names {
        let of = |runs: &[Run], caches: &[BTreeMap<&str, &Figures>]| -> Vec<(Figures, f64)> {
            if !caches.iter().any(|caches| caches.contains_key(name)) {
                return Vec::new();
            }
            let figures = |caches: &BTreeMap<&str, &Figures>| caches.get(name).map_or_else(Figures::default, |figures| **figures);
            caches.iter().map(figures).zip(runs.iter().map(|run| run.seconds)).collect()
        };
        let sides = [of(base, &sides[0]), of(against, &sides[1])];
        compared.push(Compared { cache: Some(name.to_owned()), differences: differences(&sides) });
    }
    // Totals are few and what is asked for first: they are a family of tests of their own, which hundreds of caches do not drown.
    let (total, caches) = compared.split_at_mut(1);
    mark_significant(total);
    mark_significant(caches);
    compared
}

/// Caches that a run uses, by name.
fn caches(run: &Run) -> BTreeMap<&str, &Figures> {
    let all = run.replayed.names.iter().map(String::as_str).zip(&run.replayed.caches);
    all.filter(|(_, figures)| figures.is_used()).collect()
}

fn differences([base, against]: &[Vec<(Figures, f64)>; 2]) -> Vec<Difference> {
    let each = |measure: Measure| {
        let summary = |runs: &[(Figures, f64)]| {
            let values: Vec<f64> = runs.iter().filter_map(|(figures, seconds)| measure.of(figures, *seconds)).collect();
            Summary::of(&values)
        };
        let (base, against) = (summary(base), summary(against));
        let test = base.zip(against).and_then(|(base, against)| test(&base, &against));
        Difference { measure, base, against, test, is_significant: false }
    };
    Measure::ALL.map(each).to_vec()
}

/// All figures of these are one family of tests.
fn mark_significant(compared: &mut [Compared]) {
    let mut tested: Vec<&mut Difference> =
        compared.iter_mut().flat_map(|compared| &mut compared.differences).filter(|difference| difference.test.is_some()).collect();
    let p_values: Vec<f64> = tested.iter().filter_map(|difference| Some(difference.test?.p_value)).collect();
    for (difference, is_significant) in tested.iter_mut().zip(significant(&p_values, FALSE_DISCOVERIES)) {
        difference.is_significant = is_significant;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::slub::Topology;
    use crate::allocators::slub::sizing::{Build, Kernel, KernelRelease, Machine};
    use crate::setting::Setting;

    /// A run of two seconds with caches of these mean bytes, each with 100 allocations of which 90 are fast.
    fn run(caches: &[(&str, u64)]) -> Run {
        let kernel = Kernel::new(KernelRelease::new(6, 12, 0), Machine::x86_64(4), Build::default());
        let of = |bytes: u64| Figures {
            allocs: 100,
            frees: 0,
            fast_allocs: 90,
            slab_bytes_peak: bytes,
            slab_bytes_mean: bytes as f64,
            ..Figures::default()
        };
        let replayed = Replayed {
            setting: Setting::slub(kernel, Topology::uniform(4)),
            is_recorded: true,
            notes: Vec::new(),
            total: of(caches.iter().map(|cache| cache.1).sum()),
            names: caches.iter().map(|cache| cache.0.to_owned()).collect(),
            caches: caches.iter().map(|cache| of(cache.1)).collect(),
            slabs: vec![(0, 1); caches.len()],
        };
        Run { seconds: 2.0, replayed }
    }

    fn get(compared: &[Compared], cache: Option<&str>, measure: Measure) -> Difference {
        let compared = compared.iter().find(|compared| compared.cache.as_deref() == cache).expect("a cache");
        *compared.get(measure).expect("every figure")
    }

    #[test]
    fn two_recordings_are_compared_by_time_and_operation() {
        let compared = compare_runs(&[run(&[("a", 4096)])], &[run(&[("a", 6144)])]);
        let bytes = get(&compared, Some("a"), Measure::SlabBytesMean);
        assert_eq!((bytes.difference(), bytes.relative()), (Some(2048.0), Some(0.5)));
        assert_eq!((bytes.test, bytes.is_significant), (None, false), "one run each says nothing about chance");
        let mean = |measure| get(&compared, Some("a"), measure).base.map(|side| side.mean);
        assert_eq!(mean(Measure::AllocRate), Some(50.0), "100 in two seconds");
        assert_eq!(mean(Measure::FastAllocShare), Some(0.9));
        assert_eq!(mean(Measure::FastFreeShare), None, "no share of no frees");
        assert_eq!(mean(Measure::NodeMoves), Some(0.0));
    }

    #[test]
    fn a_cache_of_one_side_is_not_compared_and_one_missing_from_a_run_was_not_used_there() {
        let base = [run(&[("a", 4096), ("b", 8192)]), run(&[("a", 4096)])];
        let compared = compare_runs(&base, &[run(&[("a", 4096), ("c", 512)])]);
        let names: Vec<Option<&str>> = compared.iter().map(|compared| compared.cache.as_deref()).collect();
        assert_eq!(names, [None, Some("a"), Some("b"), Some("c")]);
        let b = get(&compared, Some("b"), Measure::SlabBytesMean);
        assert_eq!((b.base.map(|side| (side.runs, side.mean)), b.against), (Some((2, 4096.0)), None));
        assert_eq!(compared.iter().map(Compared::is_of_both).collect::<Vec<_>>(), [true, true, false, false]);
    }

    #[test]
    fn what_spreads_less_than_it_differs_is_significant() {
        let side = |noisy: [u64; 4], steady: [u64; 4]| -> Vec<Run> {
            noisy.into_iter().zip(steady).map(|(noisy, steady)| run(&[("noisy", noisy), ("steady", steady)])).collect()
        };
        let base = side([1000, 9000, 3000, 7000], [4000, 4010, 4020, 4030]);
        let against = side([2000, 9500, 3500, 7500], [5000, 5010, 5020, 5030]);
        let compared = compare_runs(&base, &against);
        assert!(get(&compared, Some("steady"), Measure::SlabBytesMean).is_significant);
        assert!(!get(&compared, Some("noisy"), Measure::SlabBytesMean).is_significant);
        let same = get(&compared, Some("noisy"), Measure::AllocRate);
        assert_eq!((same.test.map(|test| test.p_value), same.is_significant), (Some(1.0), false));
    }
}
