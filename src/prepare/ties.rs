//! Events of equal time on several CPUs, in the order that fits the live objects.
//!
//! Each CPU's own order stays; among CPUs the lowest whose next event fits goes first.

use slubreplay_parsers::event::Event;

/// Takes events one by one and knows which objects are live.
pub(super) trait Taker {
    /// True if the event is possible now: an allocation at a free address, a free of a live object.
    fn fits(&self, event: &Event) -> bool;

    /// Takes the event.
    fn take(&mut self, event: &Event);

    /// An event goes before one of a lower CPU.
    fn reordered(&mut self);
}

/// Events of one time that wait until all of them are there.
#[derive(Debug, Default)]
pub(super) struct Ties {
    waiting: Vec<Event>,
}

impl Ties {
    /// Adds an event; they come by time, then CPU.
    #[inline]
    pub(super) fn push(&mut self, event: &Event, taker: &mut impl Taker) {
        if self.waiting.first().is_some_and(|first| first.time_ns != event.time_ns) {
            self.settle(taker);
        }
        self.waiting.push(*event);
    }

    /// Hands on what waits. To be called at the end, too.
    pub(super) fn settle(&mut self, taker: &mut impl Taker) {
        if let [event] = &self.waiting[..] {
            taker.take(event);
        } else {
            in_fitting_order(&self.waiting, taker);
        }
        self.waiting.clear();
    }
}

fn in_fitting_order(tie: &[Event], taker: &mut impl Taker) {
    let mut queues: Vec<&[Event]> = tie.chunk_by(|a, b| a.cpu == b.cpu).collect();
    while !queues.is_empty() {
        let chosen = queues.iter().position(|queue| queue.first().is_some_and(|event| taker.fits(event))).unwrap_or(0);
        if chosen > 0 {
            taker.reordered();
        }
        if let Some((event, rest)) = queues[chosen].split_first() {
            taker.take(event);
            queues[chosen] = rest;
        }
        queues.retain(|queue| !queue.is_empty());
    }
}
