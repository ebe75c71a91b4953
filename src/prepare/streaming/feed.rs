//! The second time through a trace: events to operations.

use std::collections::VecDeque;

use rustc_hash::FxHashMap;
use slubreplay_parsers::event::{Alloc, Body, Event, Free, FreeCall};

use super::Kind;
use super::catalog::{Catalog, Owner};
use crate::prepare::ledger::{Entry, Ledger};
use crate::prepare::op::{Op, What};
use crate::prepare::pairing::{FREE_TRACED_LATE_NS, NO_CACHE, is_no_object};
use crate::prepare::ties::{Taker, Ties};

/// Turns events into operations. Their objects have numbers that are used again once an object is freed, so that all
/// tables follow the live objects.
#[derive(Debug)]
pub struct Feed<'a> {
    taker: Pairing<'a>,
    ties: Ties,
}

impl<'a> Feed<'a> {
    /// Begins at the start of the trace that the catalog was made from.
    #[must_use]
    pub fn new(catalog: &'a Catalog) -> Self {
        let caches = catalog.plan.caches.len();
        let taker = Pairing {
            catalog,
            live: FxHashMap::default(),
            free_numbers: Vec::new(),
            next_number: 0,
            handed_out_again: HandedOutAgain::default(),
            ops: Vec::new(),
            counts: FxHashMap::default(),
            live_of_cache: vec![0; caches],
        };
        Self { taker, ties: Ties::default() }
    }

    /// The operations of some events, which come in order. Those of the last time come with the next batch.
    pub fn batch(&mut self, events: &[Event]) -> Vec<Op> {
        events.iter().for_each(|event| self.ties.push(event, &mut self.taker));
        std::mem::take(&mut self.taker.ops)
    }

    /// The operations that are left, and what was observed and inferred.
    #[must_use]
    pub fn finish(mut self) -> (Vec<Op>, Ledger) {
        self.ties.settle(&mut self.taker);
        let caches = &self.taker.catalog.plan.caches;
        let mut ledger = self.taker.catalog.plan.ledger.clone();
        let mut counts: Vec<_> = self.taker.counts.iter().collect();
        counts.sort_unstable();
        for (&(entry, cache), &count) in counts {
            ledger.add(entry, caches.get(usize::from(cache)).map_or("", |cache| &cache.name), count);
        }
        for (cache, &live) in caches.iter().zip(&self.taker.live_of_cache) {
            ledger.add(Entry::LiveAtEnd, &cache.name, live);
        }
        (self.taker.ops, ledger)
    }
}

#[derive(Debug)]
struct Pairing<'a> {
    catalog: &'a Catalog,
    live: FxHashMap<u64, Live>,
    free_numbers: Vec<u32>,
    next_number: u32,
    handed_out_again: HandedOutAgain,
    ops: Vec<Op>,
    counts: FxHashMap<(Entry, u16), u64>,
    live_of_cache: Vec<u64>,
}

/// What is at an address.
#[derive(Debug, Clone, Copy)]
enum Live {
    Object {
        number: u32,
        cache: u16,
    },
    /// An object of which nothing usable is known.
    Unplaced,
    /// Memory of a large kmalloc, and the thread and CPU whose event this was.
    Large {
        pid: i32,
        cpu: u16,
    },
}

/// Addresses that were handed out while live, for as long as the free may come late.
#[derive(Debug, Default)]
struct HandedOutAgain {
    by_address: FxHashMap<u64, Event>,
    /// In order of time.
    addresses: VecDeque<(u64, u64)>,
}

impl HandedOutAgain {
    fn add(&mut self, address: u64, by: &Event) {
        while let Some(&(time_ns, old)) = self.addresses.front()
            && time_ns.saturating_add(FREE_TRACED_LATE_NS) < by.time_ns
        {
            self.addresses.pop_front();
            if self.by_address.get(&old).is_some_and(|event| event.time_ns == time_ns) {
                self.by_address.remove(&old);
            }
        }
        self.by_address.insert(address, *by);
        self.addresses.push_back((by.time_ns, address));
    }

    /// True, once, if a free of the address at this event is the late one of the object that was there before.
    fn is_late(&mut self, address: u64, event: &Event) -> bool {
        let is_late = self.by_address.get(&address).is_some_and(|by| {
            (by.pid, by.context) != (event.pid, event.context) && event.time_ns.saturating_sub(by.time_ns) <= FREE_TRACED_LATE_NS
        });
        if is_late {
            self.by_address.remove(&address);
        }
        is_late
    }
}

impl Pairing<'_> {
    fn alloc(&mut self, event: &Event, alloc: &Alloc) {
        if is_no_object(alloc.ptr) {
            return self.count(Entry::FailedAllocs, NO_CACHE);
        }
        let catalog = self.catalog;
        let owner = catalog.kinds.find(&Kind::of(alloc)).and_then(|kind| catalog.of_kind.get(kind as usize));
        let old = self.live.get(&alloc.ptr).copied();
        if let Some(Live::Object { number, cache }) = old {
            self.free_object(event, number, cache, What::FREED.implied());
            self.count(Entry::ImpliedFrees, cache);
            if catalog.setting.free_traced_after {
                self.handed_out_again.add(alloc.ptr, event);
            }
        }
        let now = match owner {
            Some(Owner::Pages) => {
                // Since 6.12 one run-time sized large kmalloc is traced twice, by two functions.
                let is_again = matches!(old, Some(Live::Large { pid, cpu }) if (pid, cpu) == (event.pid, event.cpu));
                self.count(if is_again { Entry::DoubledEvents } else { Entry::LargeAllocs }, NO_CACHE);
                Live::Large { pid: event.pid, cpu: event.cpu }
            }
            Some(&Owner::Cache(cache, how)) if cache != NO_CACHE => {
                self.count(Entry::AllocsObserved, cache);
                self.count(how, cache);
                let gfp = catalog.setting.gfp;
                let what = if gfp.is_this_node_only(alloc.gfp_flags) { What::ALLOC.this_node_only() } else { What::ALLOC };
                let number = self.new_object(cache);
                self.ops.push(Op {
                    time_ns: event.time_ns,
                    object: number,
                    requested_bytes: u32::try_from(alloc.bytes_req).unwrap_or(u32::MAX),
                    cache,
                    cpu: event.cpu,
                    what: what.with_caller(gfp.caller(alloc.gfp_flags)),
                    node: i16::try_from(alloc.node).unwrap_or(-1),
                });
                Live::Object { number, cache }
            }
            _ => {
                self.count(Entry::UnplacedAllocs, NO_CACHE);
                Live::Unplaced
            }
        };
        self.live.insert(alloc.ptr, now);
    }

    fn free(&mut self, event: &Event, free: &Free) {
        if is_no_object(free.ptr) {
            return self.count(Entry::NullFrees, NO_CACHE);
        }
        if free.call == FreeCall::KmemCacheFree && self.handed_out_again.is_late(free.ptr, event) {
            return;
        }
        let named = free.name.filter(|_| free.call == FreeCall::KmemCacheFree);
        let named = named.and_then(|name| self.catalog.of_name.get(&name).copied()).filter(|&cache| cache != NO_CACHE);
        match (self.live.remove(&free.ptr), named) {
            (Some(Live::Object { number, cache }), Some(named)) if self.contradicts(cache, named) => {
                self.count(Entry::ContradictedFrees, cache);
                self.count(Entry::ImpliedFrees, cache);
                self.free_object(event, number, cache, What::FREED.implied());
                self.unseen_object(event, named);
            }
            (Some(Live::Object { number, cache }), _) => {
                self.count(Entry::FreesObserved, cache);
                self.free_object(event, number, cache, What::FREED);
            }
            (Some(Live::Large { .. }), _) => self.count(Entry::LargeFrees, NO_CACHE),
            (Some(Live::Unplaced) | None, Some(named)) => self.unseen_object(event, named),
            (Some(Live::Unplaced) | None, None) => self.count(Entry::UnknownFrees, NO_CACHE),
        }
    }

    /// An object of one cache cannot have become one of another size.
    fn contradicts(&self, cache: u16, named: u16) -> bool {
        let size = |cache: u16| self.catalog.plan.caches.get(usize::from(cache)).map(|cache| cache.layout.size);
        cache != named && size(cache) != size(named)
    }

    /// An object that was not seen allocated is freed.
    fn unseen_object(&mut self, event: &Event, cache: u16) {
        self.count(Entry::ImpliedAllocs, cache);
        self.count(Entry::FreesObserved, cache);
        let number = self.new_object(cache);
        self.push(event, number, cache, What::ALLOC.implied());
        self.free_object(event, number, cache, What::FREED);
    }

    fn new_object(&mut self, cache: u16) -> u32 {
        self.live_of_cache[usize::from(cache)] += 1;
        self.free_numbers.pop().unwrap_or_else(|| {
            self.next_number += 1;
            self.next_number - 1
        })
    }

    fn free_object(&mut self, event: &Event, number: u32, cache: u16, what: What) {
        self.push(event, number, cache, what);
        self.live_of_cache[usize::from(cache)] -= 1;
        self.free_numbers.push(number);
    }

    fn push(&mut self, event: &Event, object: u32, cache: u16, what: What) {
        self.ops.push(Op { time_ns: event.time_ns, object, requested_bytes: 0, cache, cpu: event.cpu, what, node: -1 });
    }

    fn count(&mut self, entry: Entry, cache: u16) {
        *self.counts.entry((entry, cache)).or_default() += 1;
    }
}

impl Taker for Pairing<'_> {
    fn fits(&self, event: &Event) -> bool {
        match event.body {
            Body::Alloc(alloc) => !self.live.contains_key(&alloc.ptr),
            Body::Free(free) => is_no_object(free.ptr) || self.live.contains_key(&free.ptr),
            _ => true,
        }
    }

    fn take(&mut self, event: &Event) {
        match &event.body {
            Body::Alloc(alloc) => self.alloc(event, alloc),
            Body::Free(free) => self.free(event, free),
            _ => {}
        }
    }

    fn reordered(&mut self) {
        self.count(Entry::TiesReordered, NO_CACHE);
    }
}
