//! Finds the moments of snapshots in recordings without the recorder's markers, as perf makes them.
//!
//! Reading `/sys/kernel/slab` allocates, so a recording that was going on meanwhile shows it: some thread allocates from some
//! call sites exactly once per file, and a snapshot says how many files there were. The reading may have been rehearsed once,
//! so that it disturbs less; then its second round counts. Where such a thread is found, the markers that a recorder would have written
//! are put into the recording.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;
use slubreplay_parsers::capture::SlabSnapshot;
use slubreplay_parsers::event::{Body, Event, MarkId};
use slubreplay_parsers::recording::Recording;

use super::Snapshots;
use super::reads::SnapshotMark;

/// Rounds that a snapshot may have been read in.
const MAX_ROUNDS: usize = 2;

/// Puts markers into a recording that has none, if it shows who read the snapshots. Returns whether it did.
pub fn mark_snapshots(recording: &mut Recording, snapshots: Snapshots<'_>) -> bool {
    if recording.marks.iter().any(|mark| SnapshotMark::parse(mark).is_some()) {
        return false;
    }
    let readings = find(recording, snapshots);
    let mut marks: Vec<(Place, String)> = Vec::new();
    for reading in &readings {
        let firings = firings(recording, reading.thread, reading.site);
        let (Some(first), Some(last)) = (firings.get(reading.start), firings.get(reading.start + reading.lines() - 1)) else {
            return false;
        };
        marks.push((*first, "slubreplay-snap begin".to_owned()));
        let mut line = reading.start;
        for (name, lines) in &reading.caches {
            marks.push((firings[line], format!("slubreplay-snap {name}")));
            line += lines;
        }
        marks.push((Place { index: last.index + 1, ..*last }, "slubreplay-snap end".to_owned()));
    }
    insert(recording, &marks, &readings);
    !readings.is_empty()
}

/// A snapshot and who read it.
#[derive(Debug)]
struct Reading {
    thread: i32,
    /// A call site of the thread that allocates once per file.
    site: u64,
    /// Its allocation for the first file.
    start: usize,
    /// Caches in the order in which they were read, with their files.
    caches: Vec<(String, usize)>,
}

impl Reading {
    fn lines(&self) -> usize {
        self.caches.iter().map(|(_, lines)| lines).sum()
    }
}

/// An event of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    time_ns: u64,
    stream: usize,
    index: usize,
    thread: i32,
}

fn find(recording: &Recording, snapshots: Snapshots<'_>) -> Vec<Reading> {
    let read_order = |snapshot: &SlabSnapshot| {
        let mut caches: Vec<_> = snapshot.caches.iter().collect();
        caches.sort_by_key(|(_, attributes)| attributes.position());
        caches.into_iter().map(|(name, attributes)| (name.clone(), attributes.lines())).collect::<Vec<_>>()
    };
    let read: Vec<Vec<(String, usize)>> = [snapshots.before, snapshots.after].into_iter().flatten().map(read_order).collect();
    let lines: Vec<usize> = read.iter().map(|caches| caches.iter().map(|(_, lines)| lines).sum()).collect();
    if lines.is_empty() || lines.contains(&0) {
        return Vec::new();
    }
    // By thread: its call sites with the time of their first allocation and how often they allocate.
    let mut threads: BTreeMap<i32, FxHashMap<u64, (u64, usize)>> = BTreeMap::new();
    for event in recording.streams.iter().flat_map(|stream| &stream.events).filter(|event| !is_in_interrupt(event)) {
        if let Body::Alloc(alloc) = event.body {
            let (first, count) = threads.entry(event.pid).or_default().entry(alloc.call_site).or_insert((event.time_ns, 0));
            *first = event.time_ns.min(*first);
            *count += 1;
        }
    }
    // The outermost of the sites that fit: the first to allocate.
    let reader = |lines: usize| {
        let mut found = Vec::new();
        for (&thread, sites) in &threads {
            let fits = |count: usize| (1..=MAX_ROUNDS).find(|rounds| rounds * lines == count);
            let sites = sites.iter().filter_map(|(&site, &(first, count))| Some((first, site, fits(count)?)));
            found.extend(sites.min().map(|(first, site, rounds)| (first, thread, site, rounds)));
        }
        found.sort_unstable();
        found
    };
    let reading = |caches: &[(String, usize)], (_, thread, site, _): (u64, i32, u64, usize), start| Reading {
        thread,
        site,
        start,
        caches: caches.to_vec(),
    };
    match (&read[..], &lines[..]) {
        ([before, after], &[files_before, files_after]) => {
            let (first, last) = (reader(files_before).first().copied(), reader(files_after).last().copied());
            if let (Some(first), Some(last)) = (first, last)
                && first.1 != last.1
            {
                return vec![reading(before, first, (first.3 - 1) * files_before), reading(after, last, (last.3 - 1) * files_after)];
            }
            // One thread read both.
            let Some(&both) = reader(files_before + files_after).first() else { return Vec::new() };
            let rounds = both.3;
            vec![
                reading(before, both, (rounds - 1) * files_before),
                reading(after, both, rounds * files_before + (rounds - 1) * files_after),
            ]
        }
        ([only], &[files]) => reader(files).first().map(|&found| reading(only, found, (found.3 - 1) * files)).into_iter().collect(),
        _ => Vec::new(),
    }
}

fn is_in_interrupt(event: &Event) -> bool {
    event.context.in_hardirq() || event.context.in_softirq()
}

/// Allocations of a thread by a call site, in their order.
fn firings(recording: &Recording, thread: i32, site: u64) -> Vec<Place> {
    let mut places = Vec::new();
    for (stream, events) in recording.streams.iter().enumerate() {
        for (index, event) in events.events.iter().enumerate() {
            if event.pid == thread && !is_in_interrupt(event) && matches!(event.body, Body::Alloc(alloc) if alloc.call_site == site) {
                places.push(Place { time_ns: event.time_ns, stream, index, thread });
            }
        }
    }
    places.sort_by_key(|place| (place.time_ns, place.stream, place.index));
    places
}

/// Puts marks before the events at their places.
fn insert(recording: &mut Recording, marks: &[(Place, String)], readings: &[Reading]) {
    if readings.is_empty() {
        return;
    }
    let mut by_stream: Vec<Vec<(Place, MarkId)>> = vec![Vec::new(); recording.streams.len()];
    for (place, text) in marks {
        by_stream[place.stream].push((*place, MarkId(recording.marks.len() as u32)));
        recording.marks.push(text.clone());
    }
    for (stream, marks) in recording.streams.iter_mut().zip(by_stream) {
        let cpu = stream.cpu;
        let mut marks = marks.into_iter().peekable();
        let mut events = Vec::with_capacity(stream.events.len() + marks.len());
        let mark = |(place, mark): (Place, MarkId)| Event {
            time_ns: place.time_ns,
            body: Body::Mark(mark),
            pid: place.thread,
            cpu,
            context: Default::default(),
        };
        for (index, event) in stream.events.drain(..).enumerate() {
            while let Some(found) = marks.next_if(|(place, _)| place.index <= index) {
                events.push(mark(found));
            }
            events.push(event);
        }
        events.extend(marks.map(mark));
        stream.events = events;
    }
}
