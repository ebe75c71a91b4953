//! Exact replay: one operation after the other, in the order of the plan, on virtual CPUs.
//!
//! The same plan gives the same outcome bit for bit on every run and machine.

mod agreement;
mod engine;
mod objects;
mod observe;
mod outcome;
#[cfg(not(slub_loom))]
pub mod threads;

pub use crate::allocators::{CacheState, PathCounts};
pub use agreement::CacheAgreement;
pub use engine::{Engine, Paused, ReplayError, Setup};
pub use observe::{NoObserver, Observer, Timeline, TimelineSample};
pub use outcome::{CacheOutcome, Outcome};
