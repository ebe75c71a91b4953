//! When each attribute of a cache was read for a snapshot.
//!
//! The recorder writes a marker before it reads a cache, then opens, reads and closes one file after the other. That
//! allocates too, so a cache that serves it changes while it is being read. The trace shows these operations: a call site
//! of the recorder's thread that allocates exactly once per file in nearly all caches belongs to the reading of a file.
//! Opening and reading nest, so of several such sites the last to allocate before any of their objects is freed is the
//! one closest to the value. What else the thread allocates before it frees anything is for producing the value: the
//! attribute is read after that.

use std::collections::BTreeMap;

use slubreplay_parsers::event::{Body, Event, MarkId};
use slubreplay_parsers::recording::Recording;

use super::Snapshots;

/// When one attribute of one cache was read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Read {
    /// Operations before it.
    pub ops: usize,
    /// Index of the cache's marker in [`super::Plan::marks`].
    pub mark: usize,
    /// Number of the attribute: the cache's first line in the snapshot is 0.
    pub attribute: usize,
}

/// What the recorder writes into the trace when it reads `/sys/kernel/slab`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SnapshotMark<'a> {
    /// A snapshot begins.
    Begin,
    /// The attributes of this cache are read next.
    Cache(&'a str),
    /// The snapshot is over.
    End,
}

impl<'a> SnapshotMark<'a> {
    /// Understands a marker's text; `None` for markers of others.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        text.strip_prefix("slubreplay-snap ").map(|what| match what {
            "begin" => Self::Begin,
            "end" => Self::End,
            cache => Self::Cache(cache),
        })
    }
}

/// What the recorder's thread did between the marker of a cache and the next one.
#[derive(Debug)]
pub(super) struct Window {
    /// Number of the marker.
    mark: usize,
    text: MarkId,
    is_second: bool,
    pid: i32,
    steps: Vec<Step>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Alloc {
        site: u64,
        ptr: u64,
        /// Operations up to and including it.
        ops: usize,
    },
    Free {
        ptr: u64,
    },
}

impl Step {
    fn is_by(self, wanted: u64) -> bool {
        matches!(self, Self::Alloc { site, .. } if site == wanted)
    }
}

/// Collects windows.
#[derive(Debug)]
pub(super) struct Watch<'a> {
    recording: &'a Recording,
    windows: Vec<Window>,
    is_open: bool,
    marks: usize,
    begun: usize,
}

impl<'a> Watch<'a> {
    pub(super) fn new(recording: &'a Recording) -> Self {
        Self { recording, windows: Vec::new(), is_open: false, marks: 0, begun: 0 }
    }

    pub(super) fn mark(&mut self, event: &Event, text: MarkId) {
        let mark = self.marks;
        self.marks += 1;
        match SnapshotMark::parse(self.recording.mark(text)) {
            None => return,
            Some(SnapshotMark::Begin) => {
                self.begun += 1;
                self.is_open = false;
            }
            Some(SnapshotMark::End) => self.is_open = false,
            Some(SnapshotMark::Cache(_)) => self.is_open = matches!(self.begun, 1 | 2),
        }
        if self.is_open {
            self.windows.push(Window { mark, text, is_second: self.begun == 2, pid: event.pid, steps: Vec::new() });
        }
    }

    /// Takes note of an event after which there are `ops` operations.
    pub(super) fn event(&mut self, event: &Event, ops: usize) {
        let Some(window) = self.windows.last_mut().filter(|window| self.is_open && window.pid == event.pid) else { return };
        if event.context.in_hardirq() || event.context.in_softirq() {
            return;
        }
        match event.body {
            Body::Alloc(alloc) => window.steps.push(Step::Alloc { site: alloc.call_site, ptr: alloc.ptr, ops }),
            Body::Free(free) => window.steps.push(Step::Free { ptr: free.ptr }),
            _ => {}
        }
    }

    pub(super) fn into_windows(self) -> Vec<Window> {
        self.windows
    }
}

/// The reads, in the order of marks, then attributes: none at all if no call site shows them, and none of caches in
/// which it did not allocate once per attribute.
pub(super) fn find(windows: &[Window], recording: &Recording, snapshots: Snapshots<'_>) -> Vec<Read> {
    let attributes = |window: &Window| {
        let snapshot = if window.is_second { snapshots.after } else { snapshots.before };
        let Some(SnapshotMark::Cache(cache)) = SnapshotMark::parse(recording.mark(window.text)) else { return None };
        Some(snapshot?.caches.get(cache)?.lines())
    };
    let windows: Vec<(&Window, usize)> = windows.iter().filter_map(|window| Some((window, attributes(window)?))).collect();
    let Some(site) = closest(&sites(&windows), &windows) else { return Vec::new() };
    let matching = windows.into_iter().filter(|(window, lines)| window.count(site) == *lines);
    matching.flat_map(|(window, _)| window.reads(site)).collect()
}

/// Share of the caches in which a call site has to allocate once per attribute, in percent.
const MATCHING_PERCENT: usize = 90;

/// Call sites that allocate once per attribute.
fn sites(windows: &[(&Window, usize)]) -> Vec<u64> {
    let mut matches: BTreeMap<u64, usize> = BTreeMap::new();
    for (window, lines) in windows {
        for (site, _) in window.counts().into_iter().filter(|(_, count)| count == lines) {
            *matches.entry(site).or_default() += 1;
        }
    }
    let is_enough = |count: usize| count * 100 >= windows.len() * MATCHING_PERCENT;
    matches.into_iter().filter(|&(_, count)| is_enough(count)).map(|(site, _)| site).collect()
}

/// The one of these call sites that is innermost in most windows.
fn closest(sites: &[u64], windows: &[(&Window, usize)]) -> Option<u64> {
    let mut votes: BTreeMap<u64, usize> = BTreeMap::new();
    for site in windows.iter().filter_map(|(window, _)| window.innermost(sites)) {
        *votes.entry(site).or_default() += 1;
    }
    votes.into_iter().max_by_key(|&(_, count)| count).map(|(site, _)| site)
}

impl Window {
    fn counts(&self) -> BTreeMap<u64, usize> {
        let mut counts = BTreeMap::new();
        for step in &self.steps {
            if let Step::Alloc { site, .. } = step {
                *counts.entry(*site).or_default() += 1;
            }
        }
        counts
    }

    fn count(&self, site: u64) -> usize {
        self.steps.iter().filter(|step| step.is_by(site)).count()
    }

    /// The last of these call sites to allocate before the first object of any of them is freed.
    fn innermost(&self, sites: &[u64]) -> Option<u64> {
        let mut live = Vec::new();
        let mut last = None;
        for step in &self.steps {
            match *step {
                Step::Alloc { site, ptr, .. } if sites.contains(&site) => {
                    live.push(ptr);
                    last = Some(site);
                }
                Step::Free { ptr } if live.contains(&ptr) => break,
                _ => {}
            }
        }
        last
    }

    /// One read for each allocation by `site`: after whatever follows it before the thread frees anything.
    fn reads(&self, site: u64) -> Vec<Read> {
        let mut reads: Vec<Read> = Vec::new();
        let mut is_reading = false;
        for step in &self.steps {
            match *step {
                Step::Alloc { ops, .. } if step.is_by(site) => {
                    reads.push(Read { ops, mark: self.mark, attribute: reads.len() });
                    is_reading = true;
                }
                Step::Alloc { ops, .. } if is_reading => {
                    if let Some(read) = reads.last_mut() {
                        read.ops = ops;
                    }
                }
                Step::Alloc { .. } => {}
                Step::Free { .. } => is_reading = false,
            }
        }
        reads
    }
}

/// Positions among operations that move along when the operations are rewritten.
pub(super) struct Positions<'a>(std::iter::Peekable<std::vec::IntoIter<&'a mut usize>>);

impl<'a> Positions<'a> {
    pub(super) fn new(positions: impl Iterator<Item = &'a mut usize>) -> Self {
        let mut positions: Vec<_> = positions.collect();
        positions.sort();
        Self(positions.into_iter().peekable())
    }

    /// The operation at `from` is about to go to `to`.
    pub(super) fn pass(&mut self, from: usize, to: usize) {
        while let Some(position) = self.0.next_if(|position| **position <= from) {
            *position = to;
        }
    }

    /// All operations were passed; there are `to` now.
    pub(super) fn end(self, to: usize) {
        self.0.for_each(|position| *position = to);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{MAP, Script, kernel, parse};
    use super::super::{Plan, Snapshots, prepare};
    use super::*;
    use crate::allocators::slub::sizing::{Build, KernelRelease};

    /// Call sites of the recorder: the directory and every file; every file; its buffer; some values.
    const OPEN: u64 = 0x10;
    const FILE: u64 = 0x11;
    const BUFFER: u64 = 0x12;
    const VALUE: u64 = 0x13;

    /// Reads a cache's directory, then so many files. The first file's value takes an allocation of its own.
    fn read(script: &mut Script, cache: usize, files: usize) {
        let at = |object: u64| MAP + object * 0x1000;
        script.mark(&format!("slubreplay-snap c{cache}")).alloc(OPEN, at(0), 64, 64).free(at(0), "open");
        for file in 0..files {
            script.alloc(OPEN, at(0), 64, 64).alloc(FILE, at(1), 128, 128).alloc(BUFFER, at(2), 256, 256);
            if file == 0 {
                script.alloc(VALUE, at(3), 16, 16).free(at(3), "value");
            }
            script.free(at(2), "buffer").free(at(1), "file").free(at(0), "open");
        }
    }

    /// Ten caches with two attributes, of which the last one's reading shows `last` files.
    fn plan(last: usize, insert: impl Fn(&mut Script)) -> Plan {
        let mut script = Script::default();
        script.mark("slubreplay-snap begin").mark("slubreplay-snap end").mark("slubreplay-snap begin");
        for cache in 0..10 {
            insert(&mut script);
            read(&mut script, cache, if cache == 9 { last } else { 2 });
        }
        script.mark("slubreplay-snap end");
        let snapshot: String = (0..10).map(|cache| format!("alias,@alias,c{cache}\nc{cache},aliases,1\nc{cache},slabs,0\n")).collect();
        let snapshots = Snapshots { after: Some(&parse(&snapshot)), ..Snapshots::default() };
        prepare(&script.recording(), &kernel(KernelRelease::new(6, 12, 0), Build::default()), snapshots)
    }

    #[test]
    fn an_attribute_is_read_after_what_is_allocated_for_it() {
        let plan = plan(2, |_| {});
        assert_eq!(plan.reads.len(), 20);
        // The directory: 2 operations. The first file: 4 allocations, 4 frees; the second: 3 allocations.
        assert_eq!(plan.reads[..2], [Read { ops: 6, mark: 3, attribute: 0 }, Read { ops: 13, mark: 3, attribute: 1 }]);
        // 16 operations a cache.
        assert_eq!(plan.reads[19], Read { ops: 9 * 16 + 13, mark: 12, attribute: 1 });
        assert_eq!(plan.marks[12], (9 * 16, "slubreplay-snap c9".to_owned()));
    }

    #[test]
    fn reads_move_along_with_the_operations() {
        // The same address is handed out again before each cache: its free was not traced, and is inserted.
        let plan = plan(2, |script| {
            script.alloc(1, MAP + 0x10_000, 64, 64);
        });
        let first = |cache: usize| plan.reads[cache * 2].ops - plan.marks[cache + 3].0;
        assert_eq!((0..10).map(first).collect::<Vec<_>>(), [6; 10]);
        assert_eq!(plan.marks[4].0 - plan.marks[3].0, 16 + 2);
    }

    #[test]
    fn operations_of_other_threads_and_interrupts_count_as_operations_only() {
        let plan = plan(2, |script| {
            script.on(1).alloc(BUFFER, MAP + 0x10_000, 64, 64).free(MAP + 0x10_000, "other").on(0);
        });
        assert_eq!(plan.reads.len(), 20);
        assert_eq!(plan.reads[0].ops, 2 + 6);
    }

    #[test]
    fn a_cache_whose_files_do_not_match_has_its_marker_alone() {
        for files in [1, 3] {
            let plan = plan(files, |_| {});
            assert_eq!(plan.reads.len(), 18, "nine of ten match");
            assert!(plan.reads.iter().all(|read| plan.marks[read.mark].1 != "slubreplay-snap c9"));
        }
    }

    #[test]
    fn without_a_call_site_that_fits_nothing_is_known() {
        let mut script = Script::default();
        script.mark("slubreplay-snap begin").mark("slubreplay-snap end").mark("slubreplay-snap begin");
        read(&mut script, 0, 2);
        read(&mut script, 1, 3);
        let snapshot = parse("c0,aliases,1\nc0,slabs,0\nc1,aliases,1\nc1,slabs,0\n");
        let snapshots = Snapshots { after: Some(&snapshot), ..Snapshots::default() };
        let kernel = kernel(KernelRelease::new(6, 12, 0), Build::default());
        assert_eq!(prepare(&script.recording(), &kernel, snapshots).reads, []);
        // Nor without the snapshot.
        assert_eq!(prepare(&script.recording(), &kernel, Snapshots::default()).reads, []);
    }

    #[test]
    fn what_is_allocated_after_the_buffer_is_gone_is_not_taken_for_reading() {
        let mut script = Script::default();
        script.mark("slubreplay-snap begin").mark("slubreplay-snap c0");
        for _ in 0..2 {
            script.alloc(BUFFER, MAP, 64, 64).free(MAP, "buffer").alloc(VALUE, MAP + 0x1000, 64, 64).free(MAP + 0x1000, "written");
        }
        script.mark("slubreplay-snap end");
        let snapshot = parse("c0,aliases,1\nc0,slabs,0\n");
        let snapshots = Snapshots { before: Some(&snapshot), ..Snapshots::default() };
        let plan = prepare(&script.recording(), &kernel(KernelRelease::new(6, 12, 0), Build::default()), snapshots);
        assert_eq!(plan.reads.iter().map(|read| read.ops).collect::<Vec<_>>(), [1, 5]);
    }
}
