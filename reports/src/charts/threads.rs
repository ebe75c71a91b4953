//! Charts of a replay on threads.

use plotters::prelude::{DrawResult, DrawingBackend};

use super::page::Page;
use super::{Picture, contention, latency_cdf};
use crate::input::threads::ThreadsInput;

/// A chart of a replay on threads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ThreadsChart {
    /// How long operations took, by path.
    LatencyCdf,
    /// How often CPUs found the locks of caches taken.
    Contention,
}

impl ThreadsChart {
    /// All charts, in the order of their export.
    pub const ALL: [ThreadsChart; 2] = [ThreadsChart::LatencyCdf, ThreadsChart::Contention];
}

impl Picture for ThreadsChart {
    type Input = ThreadsInput;

    fn name(self) -> &'static str {
        match self {
            ThreadsChart::LatencyCdf => "latency-cdf",
            ThreadsChart::Contention => "contention",
        }
    }

    fn draw<DB>(self, root: &Page<DB>, input: &ThreadsInput) -> DrawResult<(), DB>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        match self {
            ThreadsChart::LatencyCdf => latency_cdf::draw(root, input),
            ThreadsChart::Contention => contention::draw(root, input),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::threads::LockFigures;
    use crate::testdata::threads::small;

    #[test]
    fn titles_name_the_run_and_paths_that_occurred() {
        for chart in ThreadsChart::ALL {
            let svg = chart.to_svg(&small()).unwrap();
            assert!(svg.contains("traces/small.dat") && svg.contains("Linux 6.12.117"), "{chart:?}");
            assert!(!svg.contains("nothing to draw"));
        }
        let svg = ThreadsChart::LatencyCdf.to_svg(&small()).unwrap();
        assert!(svg.contains("alloc new slab") && !svg.contains("free node list"));
        let svg = ThreadsChart::Contention.to_svg(&small()).unwrap();
        assert!(svg.contains("kmalloc-64") && !svg.contains("dentry"), "took no lock of its own");
    }

    #[test]
    fn empty_input_gives_a_page_that_says_so() {
        for chart in ThreadsChart::ALL {
            assert!(chart.to_svg(&ThreadsInput::default()).unwrap().contains("nothing to draw"));
        }
    }

    #[test]
    fn odd_figures_still_draw() {
        let mut input = small();
        input.run.trace = "/very/long/path".repeat(50);
        let busy = LockFigures { taken: u64::MAX, contended: u64::MAX, waited_ns: u64::MAX };
        for _ in 0..21 {
            let mut cache = input.caches[0].clone();
            cache.label = "x<&\u{1}é".repeat(20);
            cache.list_locks = vec![busy; 100];
            input.caches.push(cache);
        }
        for path in &mut input.latency {
            path.timed = 1;
            path.distribution = vec![(0.0, 0.5), (1e300, 1.0)];
            path.quantiles_ns = [Some(1e300); 5];
        }
        let dir = tempfile::tempdir().unwrap();
        for chart in ThreadsChart::ALL {
            let svg = chart.to_svg(&input).unwrap();
            assert!(!svg.contains('\u{1}') && !svg.contains("NaN"));
            chart.write_png(&input, &dir.path().join("chart.png")).unwrap();
        }
    }
}
