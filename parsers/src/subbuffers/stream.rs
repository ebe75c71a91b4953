//! Per-CPU data to events a batch at a time: some jobs of every CPU are held, not the whole trace.

use std::collections::VecDeque;

use rayon::prelude::*;

use super::Container;
use super::decode::{Decoded, Reader, Spare};
use super::span::Span;
use crate::error::TraceError;
use crate::event::Event;
use crate::joining::Joiner;
use crate::recording::{Accounting, Recording};
use crate::stream::{EventSource, Queues};

/// Jobs of one CPU that are decoded at a time: about 128 KiB in the file.
const JOBS_AT_A_TIME: usize = 2;

/// A container that is read in batches.
pub(crate) struct Stream<'a, C> {
    reader: Reader<'a, C>,
    /// By CPU: the jobs to come.
    jobs: Vec<VecDeque<Vec<Span<'a>>>>,
    queues: Queues,
    joiner: Joiner,
    facts: Recording,
    /// Highest CPU with an event.
    seen: Option<u16>,
    is_done: bool,
}

impl<'a, C: Container<'a>> Stream<'a, C> {
    pub(crate) fn new(container: C, progress: &'a (dyn Fn(u64) + Sync)) -> Self {
        let reader = Reader::new(container, progress);
        let mut accounting = Accounting::default();
        let spans = reader.container.spans(&mut accounting);
        let mut cpus: Vec<u16> = Vec::new();
        let mut jobs: Vec<VecDeque<Vec<Span<'a>>>> = Vec::new();
        for job in spans.jobs() {
            let cpu = job.first().map_or(0, |span| span.cpu);
            if cpus.last() != Some(&cpu) {
                cpus.push(cpu);
                jobs.push(VecDeque::new());
            }
            jobs.last_mut().into_iter().for_each(|jobs| jobs.push_back(job.to_vec()));
        }
        let facts = Recording {
            accounting,
            info: reader.container.info(None),
            symbols: reader.container.symbols(),
            tasks: reader.container.blocks().tasks.clone(),
            ..Recording::default()
        };
        let queues = Queues::new(cpus.into_iter());
        Self { reader, jobs, queues, joiner: Joiner::default(), facts, seen: None, is_done: false }
    }

    /// Decodes the next jobs of CPUs that have no events left, on all threads.
    fn feed(&mut self, starving: &[usize]) {
        let taken: Vec<(usize, Vec<Span<'a>>)> = starving
            .iter()
            .flat_map(|&place| {
                let jobs = self.jobs.get_mut(place);
                jobs.into_iter()
                    .flat_map(|jobs| jobs.drain(..JOBS_AT_A_TIME.min(jobs.len())))
                    .map(move |job| (place, job))
                    .collect::<Vec<_>>()
            })
            .collect();
        let decoded: Vec<Decoded> = taken.par_iter().map(|(_, job)| self.reader.decode(job, Spare::default())).collect();
        for ((place, job), part) in taken.iter().zip(decoded) {
            self.facts.accounting.absorb(part.accounting);
            if !part.piece.events.is_empty() {
                self.seen = self.seen.max(Some(part.cpu));
            }
            let numbered = self.joiner.take(part.piece, &self.reader.decoder, &mut self.facts);
            self.queues.push(*place, numbered.events.iter().map(|event| numbered.numbers.apply(*event)));
            self.reader.container.release(job);
        }
        for &place in starving {
            if self.jobs.get(place).is_none_or(VecDeque::is_empty) {
                self.queues.close(place);
            }
        }
        self.joiner.so_far(&mut self.facts);
    }
}

impl<'a, C: Container<'a>> EventSource for Stream<'a, C> {
    fn next_batch(&mut self) -> Result<Vec<Event>, TraceError> {
        loop {
            let starving = self.queues.starving();
            if !starving.is_empty() {
                self.feed(&starving);
            }
            let settled = self.queues.settled();
            self.reader.container.check()?;
            if !settled.is_empty() || self.is_done {
                return Ok(settled);
            }
            if self.queues.starving().is_empty() {
                self.is_done = true;
                self.facts.info = self.reader.container.info(self.seen);
                self.reader.remark(&mut self.facts.accounting);
                std::mem::take(&mut self.joiner).finish(&mut self.facts);
            }
        }
    }

    fn facts(&self) -> &Recording {
        &self.facts
    }
}
