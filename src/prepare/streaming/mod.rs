//! Preparation of traces that are larger than memory: twice through the events, with a state that follows live objects.
//!
//! | file | what it does |
//! |---|---|
//! | [`census`] | first time through: what allocations there are, and which cache names their objects are freed under |
//! | [`catalog`] | from that, the caches, laid out |
//! | [`feed`] | second time through: events to operations, on object numbers that are used again |
//!
//! What needs the whole trace at once is not done: slabs from before the trace, untraced operations placed by addresses,
//! orders as recorded. An object whose free was not traced is freed when its address is handed out again, one whose
//! allocation was not is allocated just before its free.

pub mod catalog;
pub mod census;
pub mod feed;
#[cfg(test)]
mod tests;

use rustc_hash::FxHashMap;
use slubreplay_parsers::event::{Alloc, AllocCall, NameId};

/// What an allocation event tells of its cache, whatever the kernel. Objects with equal kinds are of one cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    call: AllocCall,
    call_site: u64,
    /// Of `kmem_cache_alloc` only: the cache's object size.
    object_bytes: u64,
    stride_bytes: u64,
    /// Flags of kmalloc only: some of them choose a cache.
    gfp: u32,
    accounted: Option<bool>,
    name: Option<NameId>,
}

impl Kind {
    fn of(alloc: &Alloc) -> Self {
        let is_kmalloc = alloc.call == AllocCall::Kmalloc;
        Self {
            call: alloc.call,
            // kmalloc's cache follows from size and flags.
            call_site: if is_kmalloc { 0 } else { alloc.call_site },
            object_bytes: if is_kmalloc { 0 } else { alloc.bytes_req },
            stride_bytes: alloc.bytes_alloc,
            gfp: if is_kmalloc { alloc.gfp_flags } else { 0 },
            accounted: alloc.accounted.filter(|_| !is_kmalloc),
            name: alloc.name,
        }
    }
}

/// Kinds by number of first appearance.
#[derive(Debug, Clone, Default)]
struct Kinds {
    all: Vec<Kind>,
    numbers: FxHashMap<Kind, u32>,
}

impl Kinds {
    fn number(&mut self, kind: Kind) -> u32 {
        let all = &mut self.all;
        *self.numbers.entry(kind).or_insert_with(|| {
            all.push(kind);
            all.len() as u32 - 1
        })
    }

    fn find(&self, kind: &Kind) -> Option<u32> {
        self.numbers.get(kind).copied()
    }
}
