//! Charts of a replay, as SVG and as PNG from the same drawing code.

pub mod analysis;
mod axis;
mod bars;
mod contention;
mod font;
mod fragmentation;
mod heat;
mod latency_cdf;
mod lines;
mod page;
pub mod pages;
mod pareto;
mod partial_lists;
mod path_mix;
mod png;
mod slab_bytes;
pub mod threads;
pub mod tuning;

use std::error::Error;
use std::path::Path;

use plotters::coord::Shift;
use plotters::drawing::{DrawingArea, IntoDrawingArea};
use plotters::prelude::{DrawResult, DrawingBackend, SVGBackend};

use crate::input::ReportInput;

/// Width and height of every chart in pixels.
const SIZE: (u32, u32) = (1200, 675);

/// A chart of a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Chart {
    /// Memory in slabs and in live objects over time; the gap is external fragmentation.
    SlabBytes,
    /// How the busiest caches served their allocations.
    PathMix,
    /// Length of the node partial lists over time.
    PartialLists,
}

/// A chart that could not be drawn.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct ChartError(Box<dyn Error + Send + Sync>);

/// A chart of some input, as SVG and as PNG from the same drawing code.
pub trait Picture: Copy {
    /// What it is drawn from.
    type Input;

    /// Returns the file name without extension, such as `slab-bytes`.
    fn name(self) -> &'static str;

    /// Draws it on an empty page.
    ///
    /// # Errors
    ///
    /// Only if plotters fails.
    fn draw<DB>(self, root: &DrawingArea<DB, Shift>, input: &Self::Input) -> DrawResult<(), DB>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static;

    /// Returns the chart as an SVG document.
    ///
    /// # Errors
    ///
    /// Only if plotters fails, which no input should bring about.
    fn to_svg(self, input: &Self::Input) -> Result<String, ChartError> {
        let mut svg = String::new();
        paint(self, SVGBackend::with_string(&mut svg, SIZE), input)?;
        Ok(svg)
    }

    /// Writes the chart as a PNG image to `path`, whose name has to end in `.png`.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    fn write_png(self, input: &Self::Input, path: &Path) -> Result<(), ChartError> {
        paint(self, png::PngBackend::new(path, SIZE), input)
    }
}

fn paint<P: Picture, DB>(picture: P, backend: DB, input: &P::Input) -> Result<(), ChartError>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let root = backend.into_drawing_area();
    let painted = root.fill(&page::BACKGROUND).and_then(|()| picture.draw(&root, input)).and_then(|()| root.present());
    painted.map_err(|error| ChartError(error.into()))
}

impl Chart {
    /// All charts, in the order of their export.
    pub const ALL: [Chart; 3] = [Chart::SlabBytes, Chart::PathMix, Chart::PartialLists];
}

impl Picture for Chart {
    type Input = ReportInput;

    fn name(self) -> &'static str {
        match self {
            Chart::SlabBytes => "slab-bytes",
            Chart::PathMix => "path-mix",
            Chart::PartialLists => "partial-lists",
        }
    }

    fn draw<DB>(self, root: &DrawingArea<DB, Shift>, input: &ReportInput) -> DrawResult<(), DB>
    where
        DB: DrawingBackend,
        DB::ErrorType: 'static,
    {
        match self {
            Chart::SlabBytes => slab_bytes::draw(root, input),
            Chart::PathMix => path_mix::draw(root, input),
            Chart::PartialLists => partial_lists::draw(root, input),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    const NOTHING: &str = "nothing to draw";

    fn svgs(input: &ReportInput) -> Vec<String> {
        Chart::ALL.iter().map(|chart| chart.to_svg(input).expect("draws")).collect()
    }

    #[test]
    fn titles_name_the_run() {
        for svg in svgs(&testdata::small()) {
            assert!(!svg.contains(NOTHING));
            assert!(svg.contains("traces/small.dat"), "trace");
            assert!(svg.contains("Linux 6.12.117"), "kernel");
            assert!(svg.contains("SLUB 6.8-6.17"), "model");
            assert!(svg.ends_with("</svg>\n"));
        }
    }

    #[test]
    fn empty_input_gives_a_page_that_says_so() {
        for svg in svgs(&testdata::empty()) {
            assert!(svg.contains(NOTHING), "{svg}");
        }
    }

    #[test]
    fn one_moment_or_no_duration_has_no_course() {
        let mut one = testdata::small();
        one.timeline.time_ns.truncate(1);
        let mut instant = testdata::small();
        instant.timeline.time_ns = vec![7, 7, 7];
        for input in [one, instant] {
            assert!(Chart::SlabBytes.to_svg(&input).unwrap().contains(NOTHING));
            assert!(Chart::PartialLists.to_svg(&input).unwrap().contains(NOTHING));
        }
    }

    #[test]
    fn zeroes_are_nothing() {
        let mut input = testdata::small();
        for cache in &mut input.caches {
            cache.alloc_paths = Default::default();
        }
        for series in &mut input.timeline.caches {
            series.slab_bytes.fill(0);
            series.live_bytes.fill(0);
            series.partial_slabs.fill(0);
        }
        for svg in svgs(&input) {
            assert!(svg.contains(NOTHING));
        }
    }

    #[test]
    fn largest_values_and_longest_names_still_draw() {
        let mut input = testdata::small();
        input.run.trace = "/very/long/path".repeat(50);
        for value in [1_000_000_000_000, u64::MAX] {
            input.timeline.time_ns = vec![0, value / 2, value];
            for cache in &mut input.caches {
                cache.name = "x<&\u{1}\u{ffff}é".repeat(60);
                cache.alloc_paths.fastpath = value;
                cache.alloc_paths.new_slab = value;
            }
            for series in &mut input.timeline.caches {
                series.slab_bytes.fill(value);
                series.live_bytes.fill(value);
                series.partial_slabs.fill(value);
            }
            let dir = tempfile::tempdir().unwrap();
            for chart in Chart::ALL {
                let svg = chart.to_svg(&input).expect("draws");
                assert!(!svg.contains('\u{1}') && !svg.contains("NaN"));
                let path = dir.path().join("chart.png");
                chart.write_png(&input, &path).expect("draws");
            }
        }
    }

    #[test]
    fn series_of_unknown_caches_and_odd_lengths_do_not_panic() {
        let mut input = testdata::small();
        input.timeline.caches[0].cache = 99;
        input.timeline.caches[1].partial_slabs.truncate(2);
        input.timeline.caches[1].live_bytes.clear();
        assert_eq!(svgs(&input).len(), 3);
    }
}
