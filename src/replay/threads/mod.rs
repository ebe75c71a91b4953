//! Replay on real threads: workers play the CPUs of the trace, each some of them, and use the same caches at the same time.
//!
//! | file | what it does |
//! |---|---|
//! | [`split`] | shares the plan's operations out to workers |
//! | `slots` | hands objects from the worker that allocates to the one that frees |
//! | `gate` | keeps workers close to each other in trace time; stops them |
//! | `worker` | the loop |
//! | `crew` | runs workers and puts together what they found |
//! | `models`, `other` | a replay by caches of a concurrent model; by another allocator |
//! | `setup` | how to replay, and why that may be impossible |
//! | [`target`] | what is driven: a concurrent model, or any other allocator |
//! | [`latency`] | how long operations take |
//! | [`outcome`] | what was found |
//!
//! What a worker does comes in the order of the plan; what several do, in whatever order it happens, but for two bounds: a free waits for its
//! allocation, and nobody is further ahead than the window. One worker alone does what the exact engine does.

mod crew;
mod gate;
pub mod latency;
mod models;
mod other;
pub mod outcome;
mod setup;
mod slots;
pub mod split;
pub mod target;
mod worker;

#[cfg(test)]
mod tests;

use std::sync::atomic::AtomicBool;

use crate::allocators::concurrent::{CpuSlabCache, Model, SheafCache};
use crate::allocators::slub::Rules;
use crate::prepare::Plan;
pub use latency::Latency;
pub use other::{Other, run_other};
pub use outcome::{MemoryFigures, ThreadsCache, ThreadsOutcome, WorkerFigures};
pub use setup::{DEFAULT_SAMPLE_EVERY, DEFAULT_WINDOW_NS, Pace, ThreadsError, ThreadsSetup, Touch};
pub use split::{Share, SharedOp, Shares};
pub use target::{Caches, Target};

/// Whether there is a concurrent model that follows these rules.
#[must_use]
pub fn has_model(rules: &Rules) -> bool {
    CpuSlabCache::models(rules) || SheafCache::models(rules)
}

/// Replays a plan on threads. `stop` ends it early; `progress` is told of the operations done, now and then.
///
/// The laws of all caches are checked afterwards.
///
/// # Errors
///
/// If there is no model for the rules, no memory, or a law is broken.
pub fn run(plan: &Plan, setup: &ThreadsSetup, stop: &AtomicBool, progress: &dyn Fn(u64)) -> Result<ThreadsOutcome, ThreadsError> {
    if CpuSlabCache::models(&setup.rules) {
        models::run::<CpuSlabCache>(plan, setup, stop, progress)
    } else if SheafCache::models(&setup.rules) {
        models::run::<SheafCache>(plan, setup, stop, progress)
    } else {
        Err(ThreadsError::NoModel { generation: setup.rules.generation.name() })
    }
}
