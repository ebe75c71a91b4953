//! Keeps the replay's state at the markers of the two snapshots.

use std::collections::BTreeMap;

use crate::prepare::{PlannedCache, SnapshotMark};
use crate::replay::{CacheState, Observer};

/// States of caches at their markers, and as their attributes were read, in the first and the second snapshot.
#[derive(Debug, Default)]
pub struct SnapshotMarks<F> {
    numbers: BTreeMap<String, usize>,
    /// By snapshot, then cache number.
    states: [BTreeMap<usize, Seen>; 2],
    begun: usize,
    /// States before the first operation.
    start: Vec<CacheState>,
    progress: F,
}

/// States of a cache from its marker on.
#[derive(Debug)]
struct Seen {
    /// With the line of the first attribute that was read in that state; at first the marker's own state.
    states: Vec<(usize, CacheState)>,
    has_reads: bool,
}

impl<F: FnMut(u64)> SnapshotMarks<F> {
    /// Watches for markers of these caches; `progress` is passed the operations done.
    pub fn new(caches: &[PlannedCache], progress: F) -> Self {
        let numbers = caches.iter().enumerate().map(|(number, cache)| (cache.name.clone(), number)).collect();
        Self { numbers, states: Default::default(), begun: 0, start: Vec::new(), progress }
    }

    /// Snapshots whose markers are in the trace.
    #[must_use]
    pub fn snapshots(&self) -> usize {
        self.begun
    }

    /// The state of a cache when the attribute in this line of it was read for the first (`false`) or the second
    /// snapshot; at its marker, if the trace does not show when that was.
    #[must_use]
    pub fn state(&self, cache: usize, second: bool, line: usize) -> Option<&CacheState> {
        let states = &self.states[usize::from(second)].get(&cache)?.states;
        states.iter().rfind(|(first, _)| *first <= line).map(|(_, state)| state)
    }

    /// True if the trace has the cache's marker for the first (`false`) or the second snapshot.
    #[must_use]
    pub fn has_mark(&self, cache: usize, second: bool) -> bool {
        self.states[usize::from(second)].contains_key(&cache)
    }

    /// True if the trace shows when each attribute of a cache was read.
    #[must_use]
    pub fn has_reads(&self, cache: usize, second: bool) -> bool {
        self.states[usize::from(second)].get(&cache).is_some_and(|seen| seen.has_reads)
    }

    /// The state of a cache before the first operation.
    #[must_use]
    pub fn start(&self, cache: usize) -> Option<&CacheState> {
        self.start.get(cache)
    }

    /// Number of a cache.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<usize> {
        self.numbers.get(name).copied()
    }
}

impl<F: FnMut(u64)> Observer for SnapshotMarks<F> {
    fn begin(&mut self, state: &dyn Fn(usize) -> Option<CacheState>) {
        self.start = (0..self.numbers.len()).map_while(state).collect();
    }

    fn mark(&mut self, text: &str, state: &dyn Fn(usize) -> Option<CacheState>) {
        match SnapshotMark::parse(text) {
            None | Some(SnapshotMark::End) => {}
            Some(SnapshotMark::Begin) => self.begun += 1,
            Some(SnapshotMark::Cache(name)) => {
                let (Some(&number), Some(states)) =
                    (self.numbers.get(name), self.begun.checked_sub(1).and_then(|index| self.states.get_mut(index)))
                else {
                    return;
                };
                if let Some(state) = state(number) {
                    states.insert(number, Seen { states: vec![(0, state)], has_reads: false });
                }
            }
        }
    }

    fn read(&mut self, mark: &str, attribute: usize, state: &dyn Fn(usize) -> Option<CacheState>) {
        let Some(SnapshotMark::Cache(name)) = SnapshotMark::parse(mark) else { return };
        let Some(&number) = self.numbers.get(name) else { return };
        let snapshot = self.begun.checked_sub(1).and_then(|index| self.states.get_mut(index));
        if let (Some(seen), Some(state)) = (snapshot.and_then(|states| states.get_mut(&number)), state(number)) {
            seen.has_reads = true;
            if seen.states.last().is_none_or(|(_, last)| *last != state) {
                seen.states.push((attribute, state));
            }
        }
    }

    fn progress(&mut self, operations: u64) {
        (self.progress)(operations);
    }
}
