//! Atomics and locks: of the standard library, or of loom where interleavings are checked (`--cfg slub_loom`).
//!
//! The only file that names either.

#[cfg(slub_loom)]
pub(crate) use loom::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU16, AtomicU32, AtomicU64},
};
#[cfg(not(slub_loom))]
pub(crate) use std::sync::{
    Mutex, MutexGuard,
    atomic::{AtomicU16, AtomicU32, AtomicU64},
};

/// First look at a word that a compare-and-exchange will judge: a load, except that loom has to see an exchange. With a plain load
/// before it, loom 0.7 explores no order in which the exchange loses.
#[cfg(not(slub_loom))]
#[inline(always)]
pub(crate) fn peek(word: &AtomicU64) -> u64 {
    // ORDERING: Acquire. Who takes a single object off the list looks at the link of its head before the exchange; that link was
    // published by the Release of the push.
    word.load(std::sync::atomic::Ordering::Acquire)
}

/// The same, for loom.
#[cfg(slub_loom)]
pub(crate) fn peek(word: &AtomicU64) -> u64 {
    word.fetch_add(0, std::sync::atomic::Ordering::Acquire)
}
