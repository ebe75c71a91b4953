//! Events one batch after the other, for traces larger than memory.
//!
//! [`AnyTrace::decode`](crate::AnyTrace::decode) holds all events of a trace at once and knows each CPU's own; a stream
//! holds a few batches and gives all CPUs' events in the order in which [`Recording::merged`] has them.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

use crate::error::TraceError;
use crate::event::Event;
use crate::recording::Recording;

/// A trace whose events come in batches.
pub trait EventSource {
    /// The next events in the order of [`Recording::merged`]; none if that was all.
    ///
    /// # Errors
    ///
    /// If the trace can no longer be read.
    fn next_batch(&mut self) -> Result<Vec<Event>, TraceError>;

    /// What the trace says of itself, names, marks, and what could not be used, as far as it has been read; without events.
    fn facts(&self) -> &Recording;
}

/// Events of several CPUs that wait to be put in order; every CPU's own come piece by piece.
#[derive(Debug, Default)]
pub(crate) struct Queues {
    cpus: Vec<Queue>,
}

#[derive(Debug)]
struct Queue {
    cpu: u16,
    events: VecDeque<Event>,
    /// There is nothing to come after these.
    is_last: bool,
}

impl Queues {
    /// Queues for these CPUs, by rising number.
    pub(crate) fn new(cpus: impl Iterator<Item = u16>) -> Self {
        Self { cpus: cpus.map(|cpu| Queue { cpu, events: VecDeque::new(), is_last: false }).collect() }
    }

    /// The places of CPUs that have no events but have some to come.
    pub(crate) fn starving(&self) -> Vec<usize> {
        let is_starving = |queue: &Queue| queue.events.is_empty() && !queue.is_last;
        self.cpus.iter().enumerate().filter(|(_, queue)| is_starving(queue)).map(|(place, _)| place).collect()
    }

    /// Adds events behind those of a CPU.
    pub(crate) fn push(&mut self, place: usize, events: impl Iterator<Item = Event>) {
        if let Some(queue) = self.cpus.get_mut(place) {
            queue.events.extend(events);
        }
    }

    /// No events of this CPU will come any more.
    pub(crate) fn close(&mut self, place: usize) {
        if let Some(queue) = self.cpus.get_mut(place) {
            queue.is_last = true;
        }
    }

    /// Takes all events that no event to come can precede, by time, then CPU, then their order in its queue.
    pub(crate) fn settled(&mut self) -> Vec<Event> {
        let mut settled = Vec::new();
        if !self.starving().is_empty() {
            return settled;
        }
        let head = |place: usize, queue: &Queue| queue.events.front().map(|event| Reverse((event.time_ns, queue.cpu, place)));
        let mut heads: BinaryHeap<_> = self.cpus.iter().enumerate().filter_map(|(place, queue)| head(place, queue)).collect();
        while let Some(Reverse((_, _, place))) = heads.pop() {
            let Some(queue) = self.cpus.get_mut(place) else { break };
            settled.extend(queue.events.pop_front());
            match head(place, queue) {
                Some(next) => heads.push(next),
                None if queue.is_last => {}
                None => break,
            }
        }
        settled
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Context, MarkId};

    fn event(time_ns: u64, cpu: u16) -> Event {
        Event { time_ns, body: Body::Mark(MarkId(0)), pid: 0, cpu, context: Context(0) }
    }

    fn stamps(events: &[Event]) -> Vec<(u64, u16)> {
        events.iter().map(|event| (event.time_ns, event.cpu)).collect()
    }

    #[test]
    fn nothing_is_settled_before_what_another_cpu_may_still_bring() {
        let mut queues = Queues::new([0, 3].into_iter());
        assert_eq!(queues.starving(), [0, 1]);
        queues.push(0, [event(5, 0), event(9, 0)].into_iter());
        assert_eq!(queues.settled(), []);
        queues.push(1, [event(5, 3), event(7, 3)].into_iter());
        // The 9 of CPU 0 has to wait: an 8 of CPU 3 may come.
        assert_eq!(stamps(&queues.settled()), [(5, 0), (5, 3), (7, 3)]);
        assert_eq!(queues.starving(), [1]);
        queues.push(1, [event(8, 3)].into_iter());
        queues.close(1);
        // CPU 0 may bring another 9.
        assert_eq!(stamps(&queues.settled()), [(8, 3), (9, 0)]);
        queues.close(0);
        assert!(queues.starving().is_empty() && queues.settled().is_empty());
    }
}
