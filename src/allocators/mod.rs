//! Models of the kernel's slab allocators.
//!
//! They know nothing of traces: whoever drives them says which CPU does what, and gets counters and
//! gauges under the kernel's own names. [`Allocator`] is the set of verbs that all of them have.

mod census;
pub mod concurrent;
mod kind;
mod model;
mod object;
pub mod slab;
pub mod slob;
mod slots;
pub mod slub;
mod state;
mod topology;
mod violation;

pub use census::{SlabFacts, SlabPlace};
pub use kind::AllocatorKind;
pub use model::Allocator;
pub use object::{Object, ObjectIndex, SlabId};
pub use state::{Activity, CacheState, Detail, PathCounts};
pub use topology::Topology;
pub use violation::Violation;
