//! Order fallback: what a kernel's page allocator refused, and what a model of it refuses.
//!
//! | file | what it does |
//! |---|---|
//! | `machine` | zones, rules and free blocks at the start |
//! | `observed` | what really happened, from the trace alone, and from the snapshots |
//! | `predict` | replays with the page allocator modelled |
//! | `whatif` | the same with another `slab_max_order` |
//!
//! Three counts of the same thing stand side by side. *Kernel* is what its own counters grew by between the snapshots, *observed* what
//! page events show, *predicted* what the model did at the same requests without knowing either.

mod machine;
mod observed;
mod predict;
mod whatif;

pub use machine::{Memory, PageMachine, owners};
pub use observed::{CacheWindow, Observed, kernel_count, observed, windows};
pub use predict::{Prediction, Question, Tries, predict};
pub use whatif::{MaxOrder, other_max_orders};

/// One fallback at a moment of the trace clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FellBack {
    /// When.
    pub time_ns: u64,
    /// Number of the cache in the plan.
    pub cache: usize,
    /// The order got.
    pub order: u8,
}

/// The share of events, such as [`FellBack::time_ns`], that fall into each of `count` equal parts of a span.
#[must_use]
pub fn over_time(times_ns: impl Iterator<Item = u64>, span_ns: (u64, u64), count: usize) -> Vec<u64> {
    let mut parts = vec![0; count.max(1)];
    let length = u128::from(span_ns.1.saturating_sub(span_ns.0)) + 1;
    for time in times_ns {
        let part = u128::from(time.clamp(span_ns.0, span_ns.1.max(span_ns.0)) - span_ns.0) * parts.len() as u128 / length;
        parts[part as usize] += 1;
    }
    parts
}
