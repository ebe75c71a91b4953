//! Looking on while a replay runs.

use super::engine::Paused;
use crate::allocators::CacheState;

/// Is told of what happens during a replay.
pub trait Observer {
    /// The replay is about to start. `state` gives the state of a cache by its number.
    fn begin(&mut self, _state: &dyn Fn(usize) -> Option<CacheState>) {}

    /// A marker of the trace was reached. `state` gives the state of a cache by its number.
    fn mark(&mut self, text: &str, state: &dyn Fn(usize) -> Option<CacheState>);

    /// An attribute of the cache that the snapshot marker `mark` names was read: the one in this line of the cache.
    fn read(&mut self, _mark: &str, _attribute: usize, _state: &dyn Fn(usize) -> Option<CacheState>) {}

    /// The operation at one of [`super::Setup::pause_at`] is about to be done.
    fn pause(&mut self, _at: &Paused<'_>) {}

    /// An object came from another slab than the kernel's, by the operation at this position.
    fn diverged(&mut self, _position: usize) {}

    /// Operations done so far; called every few thousand.
    fn progress(&mut self, operations: u64);
}

/// Looks at nothing.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoObserver;

impl Observer for NoObserver {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}
    fn progress(&mut self, _: u64) {}
}

/// The state of all caches at evenly spaced moments.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timeline {
    /// Moments in nanoseconds since the first event.
    pub time_ns: Vec<u64>,
    /// By cache, then moment.
    pub caches: Vec<Vec<TimelineSample>>,
}

/// One cache at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct TimelineSample {
    /// Slabs.
    pub slabs: u64,
    /// Bytes in slabs.
    pub slab_bytes: u64,
    /// Live objects.
    pub live_objects: u64,
    /// Slabs on node partial lists.
    pub partial_slabs: u64,
    /// Slabs on CPU partial lists.
    pub cpu_partial_slabs: u64,
    /// Free objects in cpu slabs, on CPU partial lists and in sheaves.
    pub held_objects: u64,
    /// Allocations so far whose slab in the kernel is known.
    pub compared: u64,
    /// Of these, those served from the slab that stands for the kernel's.
    pub agreed: u64,
}
