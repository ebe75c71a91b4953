//! Lines to events a batch at a time.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

use super::TextTrace;
use super::chunk::Piece;
use super::join::Joining;
use super::pieces::Pieces;
use super::pointers;
use crate::error::TraceError;
use crate::event::Event;
use crate::recording::Recording;
use crate::stream::EventSource;

/// A trace in text that is read in batches.
pub(super) struct Stream<'a> {
    trace: &'a TextTrace,
    pieces: Pieces<'a>,
    /// The first batch, which was looked at to find out what pointers are.
    first: Option<Vec<Piece<'a>>>,
    joining: Joining<'a>,
    window: Window,
    /// Bytes of text whose events were handed out or wait to be.
    read_to: usize,
    is_done: bool,
}

impl<'a> Stream<'a> {
    pub(super) fn new(trace: &'a TextTrace, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        let mut pieces = Pieces::new(&trace.file, &trace.opening.reading, progress);
        let first = pieces.batch();
        let joining = Joining::new(&trace.opening, pointers::survey(&first));
        Self { trace, pieces, first: Some(first), joining, window: Window::default(), read_to: 0, is_done: false }
    }

    /// Reads on; false at the end.
    fn read(&mut self) -> bool {
        let batch = self.first.take().unwrap_or_else(|| self.pieces.batch());
        let is_more = !batch.is_empty();
        self.window.begin();
        for mut piece in batch {
            self.joining.count(&mut piece);
            self.window.push(self.joining.take(piece));
        }
        self.trace.file.release(self.read_to..self.pieces.position());
        self.read_to = self.pieces.position();
        is_more
    }
}

impl EventSource for Stream<'_> {
    fn next_batch(&mut self) -> Result<Vec<Event>, TraceError> {
        while !self.is_done {
            let is_more = self.read();
            self.trace.file.check()?;
            let settled = self.window.settled(!is_more);
            if !is_more {
                self.is_done = true;
                self.joining.conclude(self.window.highest_cpu, self.window.late).map_err(|error| error.at(self.trace.file.path()))?;
            }
            if !settled.is_empty() {
                return Ok(settled);
            }
        }
        Ok(Vec::new())
    }

    fn facts(&self) -> &Recording {
        &self.joining.recording
    }
}

/// Events of the last two batches, in queues of their CPUs. Lines are in order, or nearly.
#[derive(Debug, Default)]
struct Window {
    queues: BTreeMap<u16, VecDeque<(u64, Event)>>,
    /// Number of the batch that is being pushed.
    batch: u64,
    highest_cpu: Option<u16>,
    last_ns: u64,
    /// Events that should have been handed out before others that were.
    late: u64,
}

impl Window {
    fn begin(&mut self) {
        self.batch += 1;
    }

    fn push(&mut self, events: Vec<Event>) {
        for event in events {
            self.highest_cpu = self.highest_cpu.max(Some(event.cpu));
            let queue = self.queues.entry(event.cpu).or_default();
            // In its own CPU's order it comes as soon as its predecessor was handed out.
            self.late += u64::from(event.time_ns < self.last_ns && queue.is_empty());
            queue.push_back((self.batch, event));
        }
    }

    /// Takes all events, or those that come before any of the latest batch, by time, then CPU.
    fn settled(&mut self, is_last: bool) -> Vec<Event> {
        let mut settled = Vec::new();
        let head = |cpu: u16, queue: &VecDeque<(u64, Event)>| queue.front().map(|(batch, event)| Reverse((event.time_ns, cpu, *batch)));
        let mut heads: BinaryHeap<_> = self.queues.iter().filter_map(|(&cpu, queue)| head(cpu, queue)).collect();
        while let Some(Reverse((_, cpu, batch))) = heads.pop() {
            let Some(queue) = self.queues.get_mut(&cpu).filter(|_| is_last || batch < self.batch) else { break };
            settled.extend(queue.pop_front().map(|(_, event)| event));
            heads.extend(head(cpu, queue));
        }
        self.last_ns = settled.last().map_or(self.last_ns, |event| event.time_ns);
        settled
    }
}
