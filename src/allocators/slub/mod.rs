//! SLUB, as in `mm/slub.c`.
//!
//! | file | what it models |
//! |---|---|
//! | [`sizing`] | what is decided when a cache is created: layout, order, limits, kmalloc classes, merging |
//! | [`generation`] | what differs between releases at run time, as one table |
//! | [`cache`] | a cache: its slabs, CPUs and nodes |
//! | [`slab`] | slabs and the freelists in them |
//! | `node` | node partial lists |
//! | `alloc` | fast and slow path of allocation |
//! | `free` | fast and slow path of freeing |
//! | `cpu_partial` | CPU partial lists and their draining |
//! | `debug` | caches with debugging, and `SLUB_TINY`: one object at a time |
//! | `listed` | one object at a time from slabs that stay listed, as debug caches and 7.x take them |
//! | `deactivate` | taking a cpu slab away; flushing and shrinking |
//! | [`sheaf`] | sheaves and barns, and slabs as they are used behind them |
//! | [`counters`] | the counters of `CONFIG_SLUB_STATS` |
//! | [`gauges`] | the figures of sysfs |
//! | `model` | all caches of a kernel as one allocator |
//! | `seed` | building the state of a running system |
//! | `validate` | the conservation laws |
//! | `view` | looking at slabs, for explanations |
//!
//! This is the deterministic model: operations of all CPUs come one after the other, so no operation
//! ever loses a race.

mod alloc;
pub mod cache;
pub mod counters;
mod cpu_partial;
mod deactivate;
mod debug;
mod free;
pub mod gauges;
pub mod generation;
mod listed;
mod model;
mod node;
mod seed;
pub mod sheaf;
pub mod sizing;
pub mod slab;
mod validate;
mod view;

#[cfg(test)]
mod tests;

pub use alloc::{AllocRequest, Caller};
pub use cache::{Cache, CacheKind, Topology};
pub use counters::{Counter, CpuCounts};
pub(crate) use deactivate::SHRINK_PROMOTE_MAX;
#[cfg(not(slub_loom))]
pub(crate) use deactivate::flush_order;
pub use deactivate::flush_orders;
pub use gauges::Gauges;
pub use generation::{CpuPartial, Generation, RefillBy, Rules, SheafRules};
pub use model::Slub;
pub use seed::{Seed, SeedPlace};
pub use sheaf::{ParkedObjects, PrefilledSheaf, RcuFree, RcuSheaf, SheafPlace, SheafRequest, sheaf_bytes};
pub use slab::{Object, ObjectIndex, Place, SlabId};
pub use validate::Violation;
pub use view::SlabView;
