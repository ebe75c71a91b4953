//! Where slab memory is, over time: areas upon one another.

use plotters::prelude::{AreaSeries, DrawResult, DrawingBackend, RGBColor};

use crate::charts::page::{self, Page};
use crate::format::bytes;
use crate::input::analysis::{AnalysisInput, Course, Look};

const MIB: f64 = 1024.0 * 1024.0;

/// Colour, name and bytes of the parts, from the bottom.
type Part = (RGBColor, &'static str, fn(&Course, &Look) -> u64);

const PARTS: [Part; 4] = [
    (page::BLUE, "live objects", |course, look| look.live_objects * u64::from(course.stride_bytes)),
    (page::ORANGE, "held by CPUs", |course, look| look.held() * u64::from(course.stride_bytes)),
    (page::SKY, "free on nodes' lists", |course, look| look.free_on_nodes * u64::from(course.stride_bytes)),
    (page::PURPLE, "left over in slabs", |course, look| look.slab_bytes.saturating_sub(look.objects * u64::from(course.stride_bytes))),
];

pub(super) fn draw<DB>(root: &Page<DB>, input: &AnalysisInput) -> DrawResult<(), DB>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    page::header(root, &input.run, "Where slab memory is, all caches")?;
    let sums: Vec<Vec<u64>> = PARTS.iter().map(|(_, _, part)| sum(input, *part)).collect();
    let Some(seconds) = page::seconds(&input.moments_ns) else {
        return page::nothing(root, "the replay spans no time");
    };
    let stacked: Vec<Vec<f64>> = (1..=PARTS.len())
        .map(|count| (0..seconds.len()).map(|at| sums[..count].iter().map(|part| part[at] as f64 / MIB).sum()).collect())
        .collect();
    let highest = stacked.iter().flatten().copied().fold(0.0, f64::max);
    if highest == 0.0 {
        return page::nothing(root, "no memory in slabs at any moment");
    }
    let end = |part: &[u64]| bytes(part.last().copied().unwrap_or(0));
    let entries: Vec<(RGBColor, String)> =
        PARTS.iter().zip(&sums).map(|((color, name, _), part)| (*color, format!("{name}: {} at end", end(part)))).collect();
    page::legend_row(root, &entries)?;
    let (_, body) = root.split_vertically(page::BODY_TOP);
    let mut chart = page::time_axes(&body, &seconds, "memory (MiB)", highest, false)?;
    // Opaque, the highest first: what stays visible of each is its part.
    for ((color, ..), heights) in PARTS.iter().zip(&stacked).rev() {
        chart.draw_series(AreaSeries::new(seconds.iter().copied().zip(heights.iter().copied()), 0.0, *color))?;
    }
    Ok(())
}

fn sum(input: &AnalysisInput, part: fn(&Course, &Look) -> u64) -> Vec<u64> {
    let at = |moment: usize| {
        input.courses.iter().filter_map(|course| Some(part(course, course.looks.get(moment)?))).fold(0, u64::saturating_add)
    };
    (0..input.moments_ns.len()).map(at).collect()
}
