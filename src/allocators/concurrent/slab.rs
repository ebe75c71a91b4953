//! Descriptors of slabs, one for each page frame (`struct slab`, which overlays `struct page`).

use std::sync::atomic::Ordering::{self, Relaxed};

use super::word::Word;
use crate::sync::{AtomicU16, AtomicU32, AtomicU64, peek};

/// A slab, by its first frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlabId(u32);

impl SlabId {
    pub(super) const NONE: Self = Self(u32::MAX);

    #[inline(always)]
    pub(super) fn new(frame: u32) -> Self {
        Self(frame)
    }

    #[inline(always)]
    pub(super) fn is_none(self) -> bool {
        self == Self::NONE
    }

    pub(super) fn some(self) -> Option<Self> {
        if self.is_none() { None } else { Some(self) }
    }

    #[inline(always)]
    pub(super) fn index(self) -> usize {
        self.0 as usize
    }

    pub(super) fn raw(self) -> u32 {
        self.0
    }
}

/// No cache has this frame.
pub(super) const NO_OWNER: u32 = 0;

/// Descriptor of a frame. A cache line of its own, so that CPUs that free into neighbouring slabs do not meet.
///
/// Zeroes are a frame that no cache has.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Slab {
    word: AtomicU64,
    /// First frame of the slab that the frame belongs to.
    pub(super) head: AtomicU32,
    /// One more than the number of the cache. In the first frame of a slab only.
    pub(super) owner: AtomicU32,
    /// Neighbours on a node's list, under its lock, or the next below on a CPU partial list, which is the CPU's own.
    pub(super) next: AtomicU32,
    pub(super) prev: AtomicU32,
    /// On a node's list; changes under its lock.
    pub(super) listed: AtomicU32,
    pub(super) node: AtomicU16,
    pub(super) order: AtomicU16,
}

impl Slab {
    /// The word as it is now, to build the next one from. `Acquire` if the link of its head is followed before the exchange.
    #[inline]
    pub(super) fn peek(&self, ordering: Ordering) -> Word {
        Word::from_bits(peek(&self.word, ordering))
    }

    /// The word, looked at without an order: it decides nothing by itself.
    #[inline]
    pub(super) fn glance(&self) -> Word {
        Word::from_bits(self.word.load(Relaxed))
    }

    /// Sets the word of a slab that nobody else knows.
    pub(super) fn set(&self, word: Word) {
        // ORDERING: Relaxed. The slab is made known by a lock, or stays this CPU's until it frees its objects to others, which is
        // the user's synchronisation.
        self.word.store(word.bits(), Relaxed);
    }

    /// `slab_update_freelist()`: changes the word if it still is `old`, else says what it is, as [`Self::peek`] would with the ordering of
    /// a failure.
    #[inline]
    pub(super) fn exchange(&self, old: Word, new: Word, success: Ordering, failure: Ordering) -> Result<(), Word> {
        match self.word.compare_exchange(old.bits(), new.bits(), success, failure) {
            Ok(_) => Ok(()),
            Err(now) => Err(Word::from_bits(now)),
        }
    }

    /// The node that the slab is on.
    #[inline]
    pub(super) fn node(&self) -> u16 {
        // ORDERING: Relaxed. Written when the slab was made.
        self.node.load(Relaxed)
    }
}

#[cfg(not(slub_loom))]
const _: () = assert!(size_of::<Slab>() == 64, "a descriptor is as large as the kernel's");
