//! Atomics: of the standard library, or of loom where interleavings are checked (`--cfg slub_loom`).
//!
//! Names them for all but the lock and the memory of the concurrent model, which loom needs in another form.

use std::sync::atomic::Ordering;

#[cfg(slub_loom)]
pub(crate) use loom::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};
#[cfg(not(slub_loom))]
pub(crate) use std::sync::atomic::{AtomicU16, AtomicU32, AtomicU64};

/// First look at a word that a compare-and-exchange will judge: a load, except that loom has to see an exchange. With a plain load
/// before it, loom 0.7 explores no order in which the exchange loses.
#[cfg(not(slub_loom))]
#[inline(always)]
pub(crate) fn peek(word: &AtomicU64, ordering: Ordering) -> u64 {
    word.load(ordering)
}

/// The same, for loom.
#[cfg(slub_loom)]
pub(crate) fn peek(word: &AtomicU64, ordering: Ordering) -> u64 {
    word.fetch_add(0, ordering)
}

/// Looks at a number without a lock that it changes under: a hint. As above, loom has to see an exchange.
#[cfg(not(slub_loom))]
#[inline(always)]
pub(crate) fn hint(number: &AtomicU32) -> u32 {
    // ORDERING: Relaxed. Whatever is made of a hint is decided again under the lock.
    number.load(Ordering::Relaxed)
}

/// The same, for loom.
#[cfg(slub_loom)]
pub(crate) fn hint(number: &AtomicU32) -> u32 {
    number.fetch_add(0, Ordering::Relaxed)
}
