//! Pieces to a recording, as they come.

use std::collections::BTreeMap;

use super::TextTrace;
use super::chunk::Piece;
use super::join::Joining;
use super::pieces::JOBS_AT_A_TIME;
use super::pointers;
use crate::error::Problem;
use crate::event::Event;
use crate::recording::{CpuStream, Recording};
use crate::room::make_room;

/// Takes pieces in the order of the file.
pub(super) struct Assembly<'a> {
    trace: &'a TextTrace,
    /// The first pieces, until there are enough of them to find out what pointers are.
    first: Vec<Piece<'a>>,
    joining: Option<Joining<'a>>,
    /// Buffers of the first pieces.
    spare: Vec<Vec<Event>>,
    streams: BTreeMap<u16, Vec<Event>>,
    /// Bytes of text whose events were dealt out.
    done_bytes: usize,
}

impl<'a> Assembly<'a> {
    pub(super) fn new(trace: &'a TextTrace) -> Self {
        Self { trace, first: Vec::new(), joining: None, spare: Vec::new(), streams: BTreeMap::new(), done_bytes: 0 }
    }

    /// Takes a piece, and gives back an empty buffer.
    pub(super) fn take(&mut self, piece: Piece<'a>) -> Vec<Event> {
        if self.joining.is_some() {
            let events = self.add(piece);
            self.spare.push(events);
        } else {
            self.first.push(piece);
            if self.first.len() >= JOBS_AT_A_TIME {
                self.begin();
            }
        }
        self.spare.pop().unwrap_or_default()
    }

    /// Whether it was a trace at all; its events and what a reader of the report should know.
    pub(super) fn finish(mut self) -> Result<Recording, Problem> {
        if self.joining.is_none() {
            self.begin();
        }
        let mut joining = self.joining.unwrap_or_else(|| Joining::new(&self.trace.opening, pointers::Survey::default()));
        joining.recording.streams = self.streams.into_iter().map(|(cpu, events)| CpuStream { cpu, events }).collect();
        joining.finish()
    }

    fn begin(&mut self) {
        self.joining = Some(Joining::new(&self.trace.opening, pointers::survey(&self.first)));
        for piece in std::mem::take(&mut self.first) {
            let events = self.add(piece);
            self.spare.push(events);
        }
    }

    fn add(&mut self, mut piece: Piece<'a>) -> Vec<Event> {
        let Some(joining) = &mut self.joining else { return Vec::new() };
        self.done_bytes += piece.bytes;
        joining.count(&mut piece);
        let mut events = joining.take(piece);
        deal_out(&events, &mut self.streams, (self.done_bytes, self.trace.file.len()));
        events.clear();
        events
    }
}

/// Appends events to those of their CPUs. So many bytes of all were read by then.
fn deal_out(events: &[Event], streams: &mut BTreeMap<u16, Vec<Event>>, (done, all): (usize, usize)) {
    // Room is made for all of a piece's at once: a few events of so many bytes would promise little.
    let mut counts: BTreeMap<u16, usize> = BTreeMap::new();
    // A CPU's events mostly come several in a row.
    let runs = || events.chunk_by(|a, b| a.cpu == b.cpu).filter_map(|run| Some((run.first()?.cpu, run)));
    runs().for_each(|(cpu, run)| *counts.entry(cpu).or_default() += run.len());
    for (cpu, count) in counts {
        make_room(streams.entry(cpu).or_default(), count, done, all);
    }
    for (cpu, run) in runs() {
        streams.entry(cpu).or_default().extend_from_slice(run);
    }
}
