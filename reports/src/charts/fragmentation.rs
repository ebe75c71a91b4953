//! How fragmented the free memory was, over time, and when caches fell back to lower orders.

use plotters::prelude::{Color, DrawResult, DrawingBackend, LineSeries, RGBColor};

use super::SIZE;
use super::page::{self, Page};
use crate::format::thousands;
use crate::input::pages::PageFigures;

/// Orders that SLUB asks for by default, with their colours.
const SHOWN: [(usize, RGBColor); 3] = [(1, page::SKY), (2, page::BLUE), (3, page::PURPLE)];

pub(crate) fn draw<DB: DrawingBackend>(root: &Page<DB>, figures: &PageFigures) -> DrawResult<(), DB> {
    page::header(root, &figures.run, "External fragmentation and order fallback")?;
    let times: Vec<u64> = figures.moments.iter().map(|moment| moment.time_ns).collect();
    let Some(seconds) = page::seconds(&times) else {
        return page::nothing(root, "the replay spans no time");
    };
    let mut legend: Vec<(RGBColor, String)> = SHOWN.iter().map(|(order, color)| (*color, format!("unusable for order {order}"))).collect();
    let counts = [(page::VERMILION, "observed", &figures.observed_ns), (page::GREEN, "predicted", &figures.predicted_ns)];
    legend.extend(counts.iter().map(|(color, name, times)| (*color, format!("{name}: {}", thousands(times.len() as u64)))));
    page::legend_row(root, &legend)?;
    let (_, body) = root.split_vertically(page::BODY_TOP);
    let (upper, lower) = body.split_vertically((SIZE.1 as i32 - page::BODY_TOP) * 11 / 20);
    let mut chart = page::time_axes(&upper, &seconds, "unusable free memory (%)", 98.0, true)?;
    for (order, color) in SHOWN {
        let shares = figures.moments.iter().map(|moment| moment.unusable[order] * 100.0);
        chart.draw_series(LineSeries::new(seconds.iter().copied().zip(shares), color.stroke_width(2)))?;
    }
    let most = counts.iter().map(|(_, _, times)| times.len()).max().unwrap_or(0).max(1);
    let mut chart = page::time_axes(&lower, &seconds, "fallbacks so far", most as f64, true)?;
    let last = seconds.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    // The observed ones broad and below, so that both show where they agree.
    for ((color, _, times), width) in counts.iter().zip([6, 2]) {
        chart.draw_series(LineSeries::new(steps(times, last), color.stroke_width(width)))?;
    }
    Ok(())
}

/// The course of a count that rises by one at each moment.
fn steps(times_ns: &[u64], last: f64) -> Vec<(f64, f64)> {
    let mut points = vec![(0.0, 0.0)];
    for (count, time) in times_ns.iter().enumerate() {
        let at = *time as f64 / 1e9;
        points.extend([(at, count as f64), (at, count as f64 + 1.0)]);
    }
    points.push((last, times_ns.len() as f64));
    points
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::charts::Picture;
    use crate::charts::pages::PagesChart;
    use crate::input::pages::FreeMoment;

    #[test]
    fn a_count_rises_by_one_at_each_moment() {
        let points = steps(&[1_000_000_000, 2_000_000_000], 3.0);
        assert_eq!(points, [(0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (2.0, 1.0), (2.0, 2.0), (3.0, 2.0)]);
    }

    #[test]
    fn the_legend_counts_and_nothing_is_said() {
        let mut figures = PageFigures { observed_ns: vec![5, 6, 7], ..PageFigures::default() };
        assert!(PagesChart::Fragmentation.to_svg(&figures).unwrap().contains("nothing to draw"));
        figures.moments = vec![FreeMoment::default(), FreeMoment { time_ns: 9, unusable: [1.0; 11], ..FreeMoment::default() }];
        let svg = PagesChart::Fragmentation.to_svg(&figures).unwrap();
        assert!(svg.contains("observed: 3") && svg.contains("unusable for order 3") && !svg.contains("nothing to draw"));
    }
}
