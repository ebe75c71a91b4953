//! Keeps the replay's state at the markers of the two snapshots.

use std::collections::BTreeMap;

use crate::prepare::PlannedCache;
use crate::replay::{CacheState, Observer};

pub(super) const PREFIX: &str = "slubreplay-snap ";

/// States of caches at their markers, in the first and the second snapshot.
#[derive(Debug, Default)]
pub struct SnapshotMarks<F> {
    numbers: BTreeMap<String, usize>,
    /// By snapshot, then cache number.
    states: [BTreeMap<usize, CacheState>; 2],
    begun: usize,
    /// States before the first operation.
    start: Vec<CacheState>,
    progress: F,
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

    /// The state of a cache at its marker in the first (`false`) or the second snapshot.
    #[must_use]
    pub fn state(&self, cache: usize, second: bool) -> Option<&CacheState> {
        self.states[usize::from(second)].get(&cache)
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
        match text.strip_prefix(PREFIX) {
            None | Some("end") => {}
            Some("begin") => self.begun += 1,
            Some(name) => {
                let (Some(&number), Some(states)) =
                    (self.numbers.get(name), self.begun.checked_sub(1).and_then(|index| self.states.get_mut(index)))
                else {
                    return;
                };
                if let Some(state) = state(number) {
                    states.insert(number, state);
                }
            }
        }
    }

    fn progress(&mut self, operations: u64) {
        (self.progress)(operations);
    }
}
