//! Exact replay: one operation after the other, in the order of the plan, on virtual CPUs.
//!
//! The same plan gives the same outcome bit for bit on every run and machine.

mod engine;
mod observe;
mod outcome;

pub use engine::{Engine, ReplayError, Setup};
pub use observe::{NoObserver, Observer, Timeline, TimelineSample};
pub use outcome::{CacheOutcome, CacheState, Outcome, PathCounts};
