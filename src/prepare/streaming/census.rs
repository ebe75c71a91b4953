//! The first time through a trace: what allocations there are, and which names their objects are freed under.

use std::collections::BTreeSet;

use rustc_hash::FxHashMap;
use slubreplay_parsers::TraceError;
use slubreplay_parsers::event::{Body, Event, FreeCall, NameId};
use slubreplay_parsers::recording::{CpuStream, Recording};
use slubreplay_parsers::stream::EventSource;

use super::{Kind, Kinds};
use crate::prepare::pairing::is_no_object;

/// What a trace holds, as far as that can be known without holding it.
#[derive(Debug)]
pub struct Census {
    /// The trace without its events; its streams tell which CPUs have any.
    pub facts: Recording,
    /// Time of the first and the last event.
    pub time_range_ns: (u64, u64),
    /// Events.
    pub events: u64,
    pub(super) kinds: Kinds,
    /// Objects of a kind that were freed under a name.
    pub(super) votes: FxHashMap<(u32, NameId), u64>,
}

/// Counts through a whole trace.
///
/// # Errors
///
/// If the trace can no longer be read.
pub fn take(source: &mut dyn EventSource) -> Result<Census, TraceError> {
    let mut counting = Counting::default();
    loop {
        let batch = source.next_batch()?;
        if batch.is_empty() {
            break;
        }
        batch.iter().for_each(|event| counting.event(event));
    }
    Ok(counting.finish(source.facts()))
}

#[derive(Debug, Default)]
struct Counting {
    kinds: Kinds,
    votes: FxHashMap<(u32, NameId), u64>,
    live: FxHashMap<u64, u32>,
    cpus: BTreeSet<u16>,
    time_range_ns: Option<(u64, u64)>,
    events: u64,
}

impl Counting {
    fn event(&mut self, event: &Event) {
        self.events += 1;
        self.cpus.insert(event.cpu);
        let (first, last) = self.time_range_ns.unwrap_or((event.time_ns, event.time_ns));
        self.time_range_ns = Some((first.min(event.time_ns), last.max(event.time_ns)));
        match event.body {
            Body::Alloc(alloc) if !is_no_object(alloc.ptr) => {
                let kind = self.kinds.number(Kind::of(&alloc));
                self.live.insert(alloc.ptr, kind);
            }
            Body::Free(free) if !is_no_object(free.ptr) => {
                let kind = self.live.remove(&free.ptr);
                if let (Some(kind), Some(name), FreeCall::KmemCacheFree) = (kind, free.name, free.call) {
                    *self.votes.entry((kind, name)).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    fn finish(self, facts: &Recording) -> Census {
        let mut facts = facts.clone();
        facts.streams = self.cpus.into_iter().map(|cpu| CpuStream { cpu, events: Vec::new() }).collect();
        Census { facts, time_range_ns: self.time_range_ns.unwrap_or_default(), events: self.events, kinds: self.kinds, votes: self.votes }
    }
}
