//! Per-CPU streams into one order.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::event::Event;
use crate::recording::CpuStream;

/// Iterator over the events of all CPUs by (time, CPU, position in the CPU's buffer).
///
/// The order is total and the same on every run. On equal stamps the lower CPU comes first, as in
/// `trace-cmd report`. A CPU's own order is never changed, even where its stamps run backwards
/// (damaged data): such an event is delivered as soon as its predecessor was.
#[derive(Debug)]
pub struct Merge<'a> {
    streams: Vec<&'a [Event]>,
    heads: BinaryHeap<Reverse<(u64, u16, usize)>>,
}

impl<'a> Merge<'a> {
    pub(crate) fn new(streams: &'a [CpuStream]) -> Self {
        let mut merge = Self { streams: Vec::with_capacity(streams.len()), heads: BinaryHeap::new() };
        for (index, stream) in streams.iter().enumerate() {
            if let Some(first) = stream.events.first() {
                merge.heads.push(Reverse((first.time_ns, stream.cpu, index)));
            }
            merge.streams.push(&stream.events);
        }
        merge
    }
}

impl<'a> Iterator for Merge<'a> {
    type Item = &'a Event;

    fn next(&mut self) -> Option<&'a Event> {
        let mut head = self.heads.peek_mut()?;
        let Reverse((_, cpu, index)) = *head;
        let stream = self.streams.get_mut(index)?;
        let (event, rest) = stream.split_first()?;
        *stream = rest;
        // Replacing the top in place sifts once where pop and push would sift twice.
        match rest.first() {
            Some(next) => *head = Reverse((next.time_ns, cpu, index)),
            None => drop(std::collections::binary_heap::PeekMut::pop(head)),
        }
        Some(event)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.streams.iter().map(|stream| stream.len()).sum();
        (left, Some(left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Body, Context, MarkId};

    fn stream(cpu: u16, marks: &[(u64, u32)]) -> CpuStream {
        let events = marks.iter().map(|&(time_ns, id)| Event { time_ns, body: Body::Mark(MarkId(id)), pid: 0, cpu, context: Context(0) });
        CpuStream { cpu, events: events.collect() }
    }

    #[test]
    fn equal_stamps_keep_cpu_then_buffer_order() {
        let streams = [stream(1, &[(5, 10), (5, 11), (9, 12)]), stream(0, &[(5, 0), (7, 1)])];
        let order: Vec<u32> = Merge::new(&streams)
            .map(|event| match event.body {
                Body::Mark(MarkId(id)) => id,
                _ => unreachable!(),
            })
            .collect();
        assert_eq!(order, [0, 10, 11, 1, 12]);
    }
}
