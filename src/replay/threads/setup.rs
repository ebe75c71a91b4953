//! How to replay on threads, and why that may be impossible.

use std::io;

use crate::allocators::concurrent::LayoutError;
use crate::allocators::slub::{Rules, Topology, Violation};

/// How to replay on threads.
#[derive(Debug, Clone)]
pub struct ThreadsSetup {
    /// Rules of the kernel release.
    pub rules: Rules,
    /// CPUs and nodes.
    pub topology: Topology,
    /// Page size in bytes.
    pub page_bytes: u32,
    /// Most workers.
    pub workers: usize,
    /// Cores to pin workers to, in turn; none to leave that to the system.
    pub cores: Vec<usize>,
    /// How far workers may be from each other in trace time, in nanoseconds.
    pub window_ns: u64,
    /// When operations are done.
    pub pace: Pace,
    /// Mean distance of timed operations; 0 for none.
    pub sample_every: u32,
    /// What is done with new objects.
    pub touch: Touch,
    /// Count what the kernel counts, and locks. Without, the outcome has no counters.
    pub counts: bool,
    /// Bytes of memory for slabs that the system gives before the start. With as much as will be used, what is measured is the allocator
    /// alone.
    pub ready_bytes: u64,
}

/// When operations are done.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub enum Pace {
    /// As soon as possible.
    #[default]
    Asap,
    /// When they were recorded, so many times as fast.
    Recorded {
        /// 1 for the speed of the recording.
        speed: f64,
    },
}

/// What is done with a new object, as its user would.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Touch {
    /// Nothing: only the allocator touches objects.
    #[default]
    Nothing,
    /// Its first cache line is written to.
    FirstLine,
    /// All that was asked for is.
    All,
}

/// How far workers may be from each other if nothing else is said, in nanoseconds; ARCHITECTURE.md has the measurements.
pub const DEFAULT_WINDOW_NS: u64 = 10_000_000;

/// Mean distance of timed operations if nothing else is said.
pub const DEFAULT_SAMPLE_EVERY: u32 = 64;

/// A replay on threads that could not be done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ThreadsError {
    /// No concurrent model follows these rules.
    #[error("no concurrent model of {generation}: there are those of SLUB 6.8-6.17 and SLUB 7.x")]
    NoModel {
        /// Name of the generation.
        generation: &'static str,
    },
    /// A cache cannot be laid out here.
    #[error("cache {cache}: {source}")]
    Layout {
        /// Its name.
        cache: String,
        /// Why.
        source: LayoutError,
    },
    /// The system gives no memory.
    #[error("cannot map memory for slabs")]
    Memory(#[source] io::Error),
    /// A conservation law does not hold afterwards: a bug in the model.
    #[error("cache {cache}, after the replay: {violation}")]
    Broken {
        /// Cache name.
        cache: String,
        /// The law.
        #[source]
        violation: Violation,
    },
}
