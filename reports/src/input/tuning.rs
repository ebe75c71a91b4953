//! Configurations of a kernel, and what they came to.

use super::RunFacts;

/// Configurations that were tried on one load.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TuneFigures {
    /// The run as recorded.
    pub run: RunFacts,
    /// One for each configuration.
    pub points: Vec<TunePoint>,
}

/// One configuration.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TunePoint {
    /// What is set otherwise than recorded, such as `slab_max_order=1`.
    pub label: String,
    /// Slab memory, mean over time, in bytes.
    pub memory_bytes: f64,
    /// Slow allocations, moves on nodes' lists, and weighted order fallbacks.
    pub slow_work: u64,
    /// No other has less memory and less slow work.
    pub is_front: bool,
    /// It is the kernel as recorded.
    pub is_recorded: bool,
    /// It is what is recommended.
    pub is_recommended: bool,
}
