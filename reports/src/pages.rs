//! Order fallback and fragmentation: figures, tables and their export.
//!
//! Like [`crate::input`], the figures depend on nothing; the command line fills them in.

use std::fs;
use std::path::{Path, PathBuf};

use polars::df;
use polars::prelude::{DataFrame, PolarsResult};
use serde::Serialize;

use crate::charts::fragmentation;
use crate::export::{ExportError, write_frame};
use crate::input::RunFacts;

/// Orders of blocks that are told apart.
pub const ORDERS: usize = 11;

/// All figures of a fallback report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PageFigures {
    /// What was traced, and how it was replayed.
    pub run: RunFacts,
    /// Caches with requests for slabs, in the order of the plan.
    pub caches: Vec<CacheFallbacks>,
    /// Free blocks at moments.
    pub moments: Vec<FreeMoment>,
    /// Fallbacks that page events show: moments in nanoseconds since the first event, rising.
    pub observed_ns: Vec<u64>,
    /// Fallbacks of the model.
    pub predicted_ns: Vec<u64>,
    /// Replays with other parameters.
    pub max_orders: Vec<MaxOrderFigures>,
}

/// One cache's fallbacks.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CacheFallbacks {
    /// Name.
    pub name: String,
    /// Preferred order, and the least.
    pub orders: (u32, u32),
    /// Objects in slabs of these orders.
    pub objects: (u32, u32),
    /// What the kernel counted, if it did.
    pub kernel: Option<u64>,
    /// What page events show, if they could be used.
    pub observed: Option<u64>,
    /// What the model did.
    pub predicted: u64,
    /// First attempts of the model.
    pub attempts: u64,
    /// Of these, above order 0.
    pub high_order_attempts: u64,
    /// Requests that failed at both orders.
    pub failures: u64,
    /// Memory of the smaller slabs beyond what their objects take in whole ones.
    pub overhead_bytes: i64,
}

/// Free blocks at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct FreeMoment {
    /// Nanoseconds since the first event.
    pub time_ns: u64,
    /// Free pages.
    pub free_pages: u64,
    /// Pages on CPUs' lists.
    pub cpu_list_pages: u64,
    /// Free blocks by order.
    pub blocks: [u64; ORDERS],
    /// Share of the free pages in blocks below an order, 0 to 1, by order.
    pub unusable: [f64; ORDERS],
}

/// A replay with another `slab_max_order`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct MaxOrderFigures {
    /// The parameter.
    pub max_order: u32,
    /// The recorded kernel has this one.
    pub is_recorded: bool,
    /// Caches with slabs of another order than recorded.
    pub caches_changed: u64,
    /// First attempts above order 0.
    pub high_order_attempts: u64,
    /// Fallbacks.
    pub fallbacks: u64,
    /// Requests that failed at both orders.
    pub failures: u64,
    /// Most bytes in slabs.
    pub slab_bytes_peak: u64,
    /// Bytes in slabs at the end.
    pub slab_bytes_end: u64,
}

/// Fallbacks by cache.
///
/// One row per cache of the input, in its order: `cache` (str), `order`, `min_order`, `objects`, `min_objects` (u32), `kernel`,
/// `observed` (u64, empty if there is no such count), `predicted`, `attempts`, `high_order_attempts`, `failures` (u64),
/// `overhead_bytes` (i64).
///
/// # Errors
///
/// None that an input could bring about.
pub fn fallbacks(figures: &PageFigures) -> PolarsResult<DataFrame> {
    let caches = &figures.caches;
    let number = |value: fn(&CacheFallbacks) -> u64| caches.iter().map(value).collect::<Vec<u64>>();
    let small = |value: fn(&CacheFallbacks) -> u32| caches.iter().map(value).collect::<Vec<u32>>();
    df!(
        "cache" => caches.iter().map(|cache| cache.name.as_str()).collect::<Vec<_>>(),
        "order" => small(|cache| cache.orders.0),
        "min_order" => small(|cache| cache.orders.1),
        "objects" => small(|cache| cache.objects.0),
        "min_objects" => small(|cache| cache.objects.1),
        "kernel" => caches.iter().map(|cache| cache.kernel).collect::<Vec<Option<u64>>>(),
        "observed" => caches.iter().map(|cache| cache.observed).collect::<Vec<Option<u64>>>(),
        "predicted" => number(|cache| cache.predicted),
        "attempts" => number(|cache| cache.attempts),
        "high_order_attempts" => number(|cache| cache.high_order_attempts),
        "failures" => number(|cache| cache.failures),
        "overhead_bytes" => caches.iter().map(|cache| cache.overhead_bytes).collect::<Vec<i64>>(),
    )
}

/// Free blocks over time, in long form.
///
/// One row per moment and order: `time_ns` (u64), `order` (u32), `free_blocks` (u64), `unusable_share` (f64: share of the free pages in
/// blocks below the order), `free_pages`, `cpu_list_pages` (u64: of the moment).
///
/// # Errors
///
/// None that an input could bring about.
pub fn free_blocks(figures: &PageFigures) -> PolarsResult<DataFrame> {
    let rows: Vec<(&FreeMoment, usize)> = figures.moments.iter().flat_map(|moment| (0..ORDERS).map(move |order| (moment, order))).collect();
    let of_moment = |value: fn(&FreeMoment) -> u64| rows.iter().map(|(moment, _)| value(moment)).collect::<Vec<u64>>();
    df!(
        "time_ns" => of_moment(|moment| moment.time_ns),
        "order" => rows.iter().map(|(_, order)| *order as u32).collect::<Vec<u32>>(),
        "free_blocks" => rows.iter().map(|(moment, order)| moment.blocks[*order]).collect::<Vec<u64>>(),
        "unusable_share" => rows.iter().map(|(moment, order)| moment.unusable[*order]).collect::<Vec<f64>>(),
        "free_pages" => of_moment(|moment| moment.free_pages),
        "cpu_list_pages" => of_moment(|moment| moment.cpu_list_pages),
    )
}

/// Replays with other parameters, one row each, with the fields of [`MaxOrderFigures`].
///
/// # Errors
///
/// None that an input could bring about.
pub fn max_orders(figures: &PageFigures) -> PolarsResult<DataFrame> {
    let number = |value: fn(&MaxOrderFigures) -> u64| figures.max_orders.iter().map(value).collect::<Vec<u64>>();
    df!(
        "slab_max_order" => figures.max_orders.iter().map(|other| other.max_order).collect::<Vec<u32>>(),
        "is_recorded" => figures.max_orders.iter().map(|other| other.is_recorded).collect::<Vec<bool>>(),
        "caches_changed" => number(|other| other.caches_changed),
        "high_order_attempts" => number(|other| other.high_order_attempts),
        "fallbacks" => number(|other| other.fallbacks),
        "failures" => number(|other| other.failures),
        "slab_bytes_peak" => number(|other| other.slab_bytes_peak),
        "slab_bytes_end" => number(|other| other.slab_bytes_end),
    )
}

/// A table of these figures.
type Build = fn(&PageFigures) -> PolarsResult<DataFrame>;

/// The tables, by file name without extension.
pub const TABLES: [(&str, Build); 3] = [("fallback-caches", fallbacks), ("free-blocks", free_blocks), ("slab-max-order", max_orders)];

/// File name of the chart, without extension.
pub const CHART: &str = "fragmentation";

/// Writes the tables as CSV and the chart as SVG and PNG into `dir`, which is created. Returns the paths written.
///
/// # Errors
///
/// If the folder or a file cannot be written.
pub fn write_all(figures: &PageFigures, dir: &Path) -> Result<Vec<PathBuf>, ExportError> {
    fs::create_dir_all(dir).map_err(|source| ExportError::Folder { path: dir.to_owned(), source })?;
    let mut written = Vec::new();
    for (name, build) in TABLES {
        let path = dir.join(format!("{name}.csv"));
        write_frame(build(figures), &path)?;
        written.push(path);
    }
    let svg = dir.join(format!("{CHART}.svg"));
    let text = fragmentation::to_svg(figures).map_err(|source| ExportError::Chart { path: svg.clone(), source })?;
    fs::write(&svg, text).map_err(|source| ExportError::File { path: svg.clone(), source })?;
    let png = dir.join(format!("{CHART}.png"));
    fs::File::create(&png).map_err(|source| ExportError::File { path: png.clone(), source })?;
    fragmentation::write_png(figures, &png).map_err(|source| ExportError::Chart { path: png.clone(), source })?;
    written.extend([svg, png]);
    Ok(written)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn figures() -> PageFigures {
        let moment = |time_ns, pages| FreeMoment { time_ns, free_pages: pages, blocks: [pages; ORDERS], ..FreeMoment::default() };
        let cache = CacheFallbacks {
            name: "a,b".to_owned(),
            orders: (2, 0),
            objects: (16, 4),
            kernel: None,
            observed: Some(3),
            predicted: 2,
            ..CacheFallbacks::default()
        };
        PageFigures {
            caches: vec![cache],
            moments: vec![moment(0, 7), moment(2_000_000_000, 5)],
            predicted_ns: vec![1, 9],
            ..PageFigures::default()
        }
    }

    #[test]
    fn tables_have_their_rows_with_and_without_figures() {
        for figures in [PageFigures::default(), figures()] {
            let rows = TABLES.map(|(_, build)| build(&figures).unwrap().height());
            assert_eq!(rows, [figures.caches.len(), figures.moments.len() * ORDERS, 0]);
        }
    }

    #[test]
    fn files_are_written_and_say_what_they_hold() {
        let dir = tempfile::tempdir().unwrap();
        let written = write_all(&figures(), dir.path()).unwrap();
        let names: Vec<_> = written.iter().filter_map(|path| path.file_name()?.to_str()).collect();
        assert_eq!(names, ["fallback-caches.csv", "free-blocks.csv", "slab-max-order.csv", "fragmentation.svg", "fragmentation.png"]);
        let text = fs::read_to_string(&written[0]).unwrap();
        let header =
            "cache,order,min_order,objects,min_objects,kernel,observed,predicted,attempts,high_order_attempts,failures,overhead_bytes\n";
        assert_eq!(text, format!("{header}\"a,b\",2,0,16,4,,3,2,0,0,0,0\n"));
    }
}
