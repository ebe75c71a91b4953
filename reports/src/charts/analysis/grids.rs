//! Occupancy over time, lifetimes by cache, frees by CPUs.

use std::collections::BTreeMap;

use plotters::prelude::{DrawResult, DrawingBackend};

use crate::charts::heat::{self, Grid};
use crate::charts::page::{self, Page};
use crate::format::{duration, percent, thousands};
use crate::input::analysis::{AnalysisInput, OCCUPANCY_BINS, OCCUPANCY_NAMES};
use crate::ratios::share;

/// Columns with labels of moments.
const TIME_LABELS: usize = 8;
/// Caches with a row of their own.
const CACHES: usize = 14;
/// CPUs with rows and columns of their own; beyond that neighbours share one.
const CPUS: u32 = 32;

pub(super) fn occupancy<DB: DrawingBackend>(root: &Page<DB>, input: &AnalysisInput) -> DrawResult<(), DB> {
    page::header(root, &input.run, "How full slabs are, all caches")?;
    let moments = input.moments_ns.len();
    let counts: Vec<[u64; OCCUPANCY_BINS]> = (0..moments)
        .map(|at| {
            let mut sums = [0_u64; OCCUPANCY_BINS];
            for look in input.courses.iter().filter_map(|course| course.looks.get(at)) {
                sums.iter_mut().zip(look.occupancy).for_each(|(sum, slabs)| *sum += u64::from(slabs));
            }
            sums
        })
        .collect();
    if counts.iter().flatten().all(|&slabs| slabs == 0) {
        return page::nothing(root, "no slabs, or an allocator whose slabs are of no cache");
    }
    let cell = |bin: usize, at: usize| {
        let all: u64 = counts[at].iter().sum();
        (counts[at][bin] > 0).then(|| share(counts[at][bin], all))
    };
    let every = moments.div_ceil(TIME_LABELS).max(1);
    let label = |at: usize| if at.is_multiple_of(every) { format!("{:.1} s", input.moments_ns[at] as f64 / 1e9) } else { String::new() };
    let grid = Grid {
        rows: (0..OCCUPANCY_BINS).rev().map(|bin| format!("{} %", OCCUPANCY_NAMES[bin])).collect(),
        columns: (0..moments).map(label).collect(),
        cells: (0..OCCUPANCY_BINS).rev().map(|bin| (0..moments).map(|at| cell(bin, at)).collect()).collect(),
        texts: Vec::new(),
        across: "time since the first event".to_owned(),
        down: "live objects of a slab".to_owned(),
        scale: ["few".to_owned(), "all slabs of the moment".to_owned()],
    };
    heat::draw(root, &grid)
}

pub(super) fn lifetimes<DB: DrawingBackend>(root: &Page<DB>, input: &AnalysisInput) -> DrawResult<(), DB> {
    let mut totals: BTreeMap<&str, u64> = BTreeMap::new();
    for bin in &input.lifetimes {
        *totals.entry(&bin.cache).or_default() += bin.objects;
    }
    let mut caches: Vec<(&str, u64)> = totals.into_iter().collect();
    caches.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    let what = "How long objects live";
    let title = if caches.len() > CACHES {
        format!("{what}: the {CACHES} caches with most frees of {}", thousands(caches.len() as u64))
    } else {
        what.to_owned()
    };
    page::header(root, &input.run, &title)?;
    caches.truncate(CACHES);
    let shown = |cache: &str| caches.iter().any(|(name, _)| *name == cache);
    let bins = || input.lifetimes.iter().filter(|bin| shown(&bin.cache)).map(|bin| bin.from_ns.max(1).ilog2());
    let (Some(first), Some(last)) = (bins().min(), bins().max()) else {
        return page::nothing(root, "nothing was allocated and freed");
    };
    let mut cells = vec![vec![None; (last - first + 1) as usize]; caches.len()];
    for bin in &input.lifetimes {
        if let Some(row) = caches.iter().position(|(name, _)| *name == bin.cache) {
            cells[row][(bin.from_ns.max(1).ilog2() - first) as usize] = Some(share(bin.objects, caches[row].1));
        }
    }
    let grid = Grid {
        rows: caches.iter().map(|(name, total)| format!("{name} ({})", thousands(*total))).collect(),
        columns: (first..=last).map(|bin| duration(1 << bin)).collect(),
        texts: cells
            .iter()
            .map(|row| {
                row.iter()
                    .map(|cell| cell.filter(|share| *share >= 0.01).map_or(String::new(), |share| format!("{:.0}", share * 100.0)))
                    .collect()
            })
            .collect(),
        cells,
        across: "lifetime, from; numbers are percent of the cache's freed objects".to_owned(),
        down: "cache (objects freed)".to_owned(),
        scale: ["few".to_owned(), "all of the cache's".to_owned()],
    };
    heat::draw(root, &grid)
}

pub(super) fn remote_frees<DB: DrawingBackend>(root: &Page<DB>, input: &AnalysisInput) -> DrawResult<(), DB> {
    let frees = |is_wanted: fn(u32, u32) -> bool| -> u64 {
        input.remote_frees.iter().filter(|pair| is_wanted(pair.allocated_by, pair.freed_by)).map(|pair| pair.frees).sum()
    };
    let (all, remote) = (frees(|_, _| true), frees(|one, other| one != other));
    let title = format!("Frees by CPU: {} on another CPU than allocated", percent(share(remote, all)));
    page::header(root, &input.run, &title)?;
    let Some(last) = input.remote_frees.iter().map(|pair| pair.allocated_by.max(pair.freed_by)).max() else {
        return page::nothing(root, "no free of an object whose allocation was seen");
    };
    let of_one = (last + 1).div_ceil(CPUS);
    let count = (last + 1).div_ceil(of_one) as usize;
    let mut sums = vec![vec![0_u64; count]; count];
    for pair in &input.remote_frees {
        sums[(pair.allocated_by / of_one) as usize][(pair.freed_by / of_one) as usize] += pair.frees;
    }
    let most = sums.iter().flatten().copied().max().unwrap_or(0).max(1);
    // By the square root, so that a hundredth can still be seen.
    let cell = |sum: u64| (sum > 0).then(|| share(sum, most).sqrt());
    let name = |at: usize| {
        let first = at as u32 * of_one;
        if of_one == 1 { format!("CPU {first}") } else { format!("CPUs {first}-{}", (first + of_one - 1).min(last)) }
    };
    let grid = Grid {
        rows: (0..count).map(name).collect(),
        columns: (0..count).map(name).collect(),
        cells: sums.iter().map(|row| row.iter().map(|&sum| cell(sum)).collect()).collect(),
        texts: sums.iter().map(|row| row.iter().map(|&sum| thousands(sum)).collect()).collect(),
        across: "freed by".to_owned(),
        down: "allocated by".to_owned(),
        scale: ["0".to_owned(), format!("{} objects (square root)", thousands(most))],
    };
    heat::draw(root, &grid)
}
