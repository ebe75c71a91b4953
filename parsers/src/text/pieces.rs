//! A file's chunks of whole lines, some at a time on all threads.

use std::ops::Range;

use memchr::memchr;
use rayon::prelude::*;

use super::chunk::{self, Piece, Reading};
use crate::event::Event;
use crate::mapped::MappedFile;

/// Bytes of text that make a job: enough work for a thread, little enough to share out evenly.
const JOB_BYTES: usize = 1 << 20;
/// Jobs that are read at once. What is found out from a trace's beginning is found in as many.
pub(super) const JOBS_AT_A_TIME: usize = 16;

/// Reads the lines of a file.
pub(super) struct Pieces<'a> {
    file: &'a MappedFile,
    reading: &'a Reading,
    progress: &'a (dyn Fn(u64) + Sync),
    at: usize,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(file: &'a MappedFile, reading: &'a Reading, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        Self { file, reading, progress, at: 0 }
    }

    /// Bytes that have been dealt with.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// The next pieces in file order; none if that was all.
    pub(super) fn batch(&mut self) -> Vec<Piece<'a>> {
        let mut ranges = Vec::new();
        while ranges.len() < JOBS_AT_A_TIME && self.at < self.file.len() {
            let end = end_of_job(self.file, self.at);
            ranges.push(self.at..end);
            self.at = end;
        }
        ranges.into_par_iter().map(|range| self.read(range, Vec::new())).collect()
    }

    /// The lines of every job.
    pub(super) fn ranges(&self) -> Vec<Range<usize>> {
        let next = |range: &Range<usize>| {
            let start = range.end;
            (start < self.file.len()).then(|| start..end_of_job(self.file, start))
        };
        std::iter::successors(next(&(0..0)), next).collect()
    }

    /// Reads the lines of a job. `events` is an empty buffer for its events.
    pub(super) fn read(&self, range: Range<usize>, events: Vec<Event>) -> Piece<'a> {
        let bytes = range.len() as u64;
        self.file.populate(range.clone());
        let piece = chunk::read(self.file, range, self.reading, events);
        (self.progress)(bytes);
        piece
    }
}

/// The end of the line that is a job's last.
fn end_of_job(file: &[u8], start: usize) -> usize {
    let about = start.saturating_add(JOB_BYTES);
    let rest = file.get(about..).unwrap_or_default();
    memchr(b'\n', rest).map_or(file.len(), |newline| about + newline + 1)
}
