//! Node partial lists (`struct kmem_cache_node`).

use std::sync::atomic::Ordering::Relaxed;

use super::lock::{Held, Lock};
use super::memory::Memory;
use super::probe::{LockSite, Probe};
use super::slab::SlabId;
pub(super) use crate::list::End;
use crate::sync::{AtomicU32, AtomicU64, hint};

/// What a cache has on one node. Lines of its own, so that nodes do not meet.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Node {
    number: u16,
    list: Lock<List>,
    /// Length of the list, for looking at it without the lock (`nr_partial`). Changes under the lock.
    nr_partial: AtomicU32,
    /// Slabs in existence (`nr_slabs`).
    pub(super) slabs: AtomicU64,
    /// Objects in them (`total_objects`).
    pub(super) objects: AtomicU64,
    /// Slabs discarded without a counter.
    pub(super) uncounted_discards: AtomicU64,
}

#[derive(Debug)]
struct List {
    head: SlabId,
    tail: SlabId,
    len: u32,
}

impl Node {
    pub(super) fn new(number: u16) -> Self {
        Self {
            number,
            list: Lock::new(List { head: SlabId::NONE, tail: SlabId::NONE, len: 0 }),
            nr_partial: AtomicU32::new(0),
            slabs: AtomicU64::new(0),
            objects: AtomicU64::new(0),
            uncounted_discards: AtomicU64::new(0),
        }
    }

    /// Slabs on the list. Without the lock it is a hint.
    #[inline]
    pub(super) fn nr_partial(&self) -> u32 {
        hint(&self.nr_partial)
    }

    /// Takes the list's lock (`list_lock`).
    #[inline]
    pub(super) fn lock<'a, P: Probe>(&'a self, memory: &'a Memory, probe: &mut P) -> Partial<'a> {
        Partial { node: self, memory, list: self.list.lock(LockSite::List(self.number), probe) }
    }
}

/// A node's list, locked.
#[derive(Debug)]
pub(super) struct Partial<'a> {
    node: &'a Node,
    memory: &'a Memory,
    list: Held<'a, List>,
}

/// ORDERING: every field below changes under the lock only, which orders them. Relaxed.
impl Partial<'_> {
    pub(super) fn len(&self) -> u32 {
        self.list.len
    }

    fn set_len(&mut self, len: u32) {
        self.list.len = len;
        self.node.nr_partial.store(len, Relaxed);
    }

    pub(super) fn first(&self) -> Option<SlabId> {
        self.list.head.some()
    }

    /// The slab is on this list, not in the hands of a CPU.
    pub(super) fn has(&self, id: SlabId) -> bool {
        self.memory.slab(id).listed.load(Relaxed) != 0
    }

    /// Slabs from the head.
    pub(super) fn iter(&self) -> impl Iterator<Item = SlabId> {
        std::iter::successors(self.first(), |&id| SlabId::new(self.memory.slab(id).next.load(Relaxed)).some())
    }

    /// `add_partial()`.
    pub(super) fn add(&mut self, id: SlabId, end: End) {
        let neighbour = match end {
            End::Head => std::mem::replace(&mut self.list.head, id),
            End::Tail => std::mem::replace(&mut self.list.tail, id),
        };
        let (prev, next) = match end {
            End::Head => (SlabId::NONE, neighbour),
            End::Tail => (neighbour, SlabId::NONE),
        };
        let slab = self.memory.slab(id);
        slab.prev.store(prev.raw(), Relaxed);
        slab.next.store(next.raw(), Relaxed);
        slab.listed.store(1, Relaxed);
        if neighbour.is_none() {
            (self.list.head, self.list.tail) = (id, id);
        } else {
            let neighbour = self.memory.slab(neighbour);
            match end {
                End::Head => neighbour.prev.store(id.raw(), Relaxed),
                End::Tail => neighbour.next.store(id.raw(), Relaxed),
            }
        }
        self.set_len(self.len() + 1);
    }

    /// `remove_partial()`.
    pub(super) fn remove(&mut self, id: SlabId) {
        let slab = self.memory.slab(id);
        let (prev, next) = (SlabId::new(slab.prev.load(Relaxed)), SlabId::new(slab.next.load(Relaxed)));
        slab.listed.store(0, Relaxed);
        match prev.some() {
            None => self.list.head = next,
            Some(prev) => self.memory.slab(prev).next.store(next.raw(), Relaxed),
        }
        match next.some() {
            None => self.list.tail = prev,
            Some(next) => self.memory.slab(next).prev.store(prev.raw(), Relaxed),
        }
        self.set_len(self.len() - 1);
    }

    /// Takes the first slab off the list.
    pub(super) fn take_first(&mut self) -> Option<SlabId> {
        let first = self.first()?;
        self.remove(first);
        Some(first)
    }
}
