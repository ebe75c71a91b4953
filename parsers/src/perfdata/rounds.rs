//! Runs of records to events in order, a batch at a time.
//!
//! perf goes round the buffers of all CPUs and marks when it has been round. What it writes after the end of a round is
//! no older than the newest record of the round before, so that much can be handed out, in order of time.

use rayon::prelude::*;

use super::PerfData;
use super::data::{Decoded, Tally, decoder, info, note_cut, read_span, refuse_unknown, remark};
use super::spans::Spans;
use crate::error::TraceError;
use crate::event::Event;
use crate::joining::Joiner;
use crate::kmem::Decoder;
use crate::recording::Recording;
use crate::stream::EventSource;

/// A perf.data that is read in batches.
pub(super) struct Stream<'a> {
    perf: &'a PerfData,
    decoder: Decoder,
    spans: Spans<'a>,
    progress: &'a (dyn Fn(u64) + Sync),
    joiner: Joiner,
    facts: Recording,
    tally: Tally,
    /// Events that later ones may precede, each CPU's in the order of the file.
    waiting: Vec<Event>,
    horizon: Horizon,
    seen: Option<u16>,
    is_done: bool,
}

/// How far events are complete.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Horizon {
    /// Round of the records that were read last.
    round: u64,
    /// Newest event of all rounds up to the one before the last that was read whole, of that one, and of the present one.
    settled_ns: u64,
    last_ns: u64,
    present_ns: u64,
}

impl Horizon {
    /// Records of a round follow, the newest of them at `newest_ns`.
    fn pass(&mut self, round: u64, newest_ns: u64) {
        if round > self.round {
            // Rounds in between were empty.
            let is_next = round == self.round + 1;
            let present_ns = self.present_ns.max(self.last_ns);
            self.settled_ns = if is_next { self.last_ns } else { present_ns };
            (self.last_ns, self.round) = (present_ns, round);
        }
        self.present_ns = self.present_ns.max(newest_ns);
    }
}

impl<'a> Stream<'a> {
    pub(super) fn new(perf: &'a PerfData, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        let contents = &perf.contents;
        Self {
            perf,
            decoder: decoder(contents),
            spans: Spans::new(&perf.file, contents.data_start, perf.data_end(), contents.endian),
            progress,
            joiner: Joiner::default(),
            facts: Recording { info: info(contents, false, None), symbols: perf.symbols(), ..Recording::default() },
            tally: Tally::new(contents.events.all.len()),
            waiting: Vec::new(),
            horizon: Horizon::default(),
            seen: None,
            is_done: false,
        }
    }

    /// Reads the next runs of records; false if there are none.
    fn read(&mut self) -> bool {
        let batch = self.spans.batch();
        let contents = &self.perf.contents;
        let decoded: Vec<Decoded> = batch.par_iter().map(|span| read_span(contents, &self.decoder, span)).collect();
        for (span, part) in batch.iter().zip(decoded) {
            self.facts.accounting.absorb(part.accounting);
            self.facts.tasks.extend(part.tasks);
            self.tally.absorb(part.tally);
            let numbered = self.joiner.take(part.piece, &self.decoder, &mut self.facts);
            let newest_ns = numbered.events.iter().map(|event| event.time_ns).max().unwrap_or(0);
            self.seen = self.seen.max(numbered.events.iter().map(|event| event.cpu).max());
            self.waiting.extend(numbered.events.iter().map(|event| numbered.numbers.apply(*event)));
            self.horizon.pass(span.round, newest_ns);
            (self.progress)(span.file_bytes);
        }
        if let (Some(first), Some(last)) = (batch.first(), batch.last()) {
            self.perf.file.release(first.offset as usize..(last.offset + last.file_bytes) as usize);
        }
        self.joiner.so_far(&mut self.facts);
        !batch.is_empty()
    }

    /// Takes the events up to a time, in order: by time, then CPU, then their order in the file.
    fn take(&mut self, until_ns: u64) -> Vec<Event> {
        self.waiting.sort_by_key(|event| (event.time_ns, event.cpu));
        let taken = self.waiting.partition_point(|event| event.time_ns <= until_ns);
        let later = self.waiting.split_off(taken);
        std::mem::replace(&mut self.waiting, later)
    }

    fn finish(&mut self) -> Result<(), TraceError> {
        let contents = &self.perf.contents;
        let (spans, accounting) = (&mut self.spans, &mut self.facts.accounting);
        accounting.absorb(std::mem::take(&mut spans.accounting));
        note_cut(self.perf, accounting);
        refuse_unknown(self.perf, &self.tally)?;
        self.facts.info = info(contents, spans.is_compressed(), self.seen);
        remark(contents, &self.decoder, std::mem::take(&mut self.tally), accounting);
        std::mem::take(&mut self.joiner).finish(&mut self.facts);
        Ok(())
    }
}

impl EventSource for Stream<'_> {
    fn next_batch(&mut self) -> Result<Vec<Event>, TraceError> {
        while !self.is_done {
            let goes_on = self.read();
            self.perf.file.check()?;
            if !goes_on {
                self.is_done = true;
                self.finish()?;
                return Ok(self.take(u64::MAX));
            }
            // Of equal time, another CPU's may still come.
            let settled = self.take(self.horizon.settled_ns.saturating_sub(1));
            if !settled.is_empty() {
                return Ok(settled);
            }
        }
        Ok(Vec::new())
    }

    fn facts(&self) -> &Recording {
        &self.facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_settled_lags_two_rounds_behind() {
        let mut horizon = Horizon::default();
        horizon.pass(0, 100);
        assert_eq!(horizon.settled_ns, 0);
        horizon.pass(1, 250);
        // Round 0 is whole, but round 1 may bring what is older than its newest.
        assert_eq!(horizon.settled_ns, 0);
        horizon.pass(1, 200);
        horizon.pass(2, 300);
        assert_eq!(horizon.settled_ns, 100);
        horizon.pass(2, 310);
        horizon.pass(3, 320);
        assert_eq!(horizon.settled_ns, 250);
        // Two rounds later both before are whole.
        horizon.pass(5, 400);
        assert_eq!(horizon.settled_ns, 320);
    }
}
