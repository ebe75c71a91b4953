//! What an allocation and its free cost: the concurrent models beside allocators of programs, in one run.
//!
//! | file | what it has |
//! |---|---|
//! | [`patterns`] | what is allocated and freed, in which order and by whom |
//! | `exchange` | how threads meet and hand objects over, without allocating |
//! | [`allocators`] | names of allocators |
//! | `subject` | what a pattern asks of an allocator |
//! | `kmalloc` | a model behind `kmalloc()` and `kfree()` |
//! | `foreign` | allocators of programs, called through [`std::alloc::GlobalAlloc`]; the only unsafe code |
//! | `contest` | rounds: one allocator after the other, again and again |
//! | [`trace`] | the operations of a trace, by the workers of [`crate::replay::threads`] |
//! | [`stats`] | medians and minima |
//!
//! All allocators get the same: each is called, none is inlined into the loop; what they hand out is written to; rounds alternate, in an
//! order that changes from round to round, so that whatever disturbs the machine disturbs all. Nothing but the allocator allocates while
//! time runs.

pub mod allocators;
mod contest;
mod exchange;
mod foreign;
mod kmalloc;
pub mod patterns;
pub mod stats;
mod subject;
pub mod trace;

#[cfg(test)]
mod tests;

use std::time::Duration;

pub use allocators::Allocator;
pub use contest::run;
pub use patterns::Pattern;
pub use stats::Figure;

/// What to measure.
#[derive(Debug, Clone)]
pub struct Options {
    /// Patterns. One that does not go with a number of threads is left out there.
    pub patterns: Vec<Pattern>,
    /// Allocators, in the order in which they are shown.
    pub allocators: Vec<Allocator>,
    /// Numbers of threads.
    pub threads: Vec<usize>,
    /// Bytes of an object, 1 to [`MAX_BYTES`].
    pub size: u32,
    /// Rounds of each allocator.
    pub rounds: usize,
    /// How long a round should take.
    pub time: Duration,
}

/// Largest objects: what kmalloc takes from slabs, with pages of 4 KiB.
pub const MAX_BYTES: u32 = 8192;

/// Most threads: CPUs of the machine that a model plays.
pub const MAX_THREADS: usize = 64;

/// A measurement that could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BenchError {
    /// An allocator gave no memory.
    #[error("{allocator}: no memory for an object, in pattern {pattern}")]
    OutOfMemory {
        /// Its name.
        allocator: String,
        /// Name of the pattern.
        pattern: &'static str,
    },
    /// The system gives no address space for slabs.
    #[error("cannot map memory for slabs")]
    Memory(#[source] std::io::Error),
    /// The release makes no cache for objects of this size.
    #[error("{allocator}: no kmalloc cache for {size} bytes")]
    NoCache {
        /// Its name.
        allocator: String,
        /// Bytes of an object.
        size: u32,
    },
    /// The replay of a trace failed.
    #[error("{allocator}")]
    Replay {
        /// Its name.
        allocator: String,
        /// Why.
        #[source]
        source: crate::replay::threads::ThreadsError,
    },
}
