//! Models of the kernel's slab allocators.
//!
//! They know nothing of traces: whoever drives them says which CPU does what, and gets counters and
//! gauges under the kernel's own names.

pub mod concurrent;
pub mod slub;
