//! SLUB on real threads: the kernel's own lock-free protocol, over real memory.
//!
//! The deterministic model ([`super::slub`]) says what happened; this one shows what it costs. Threads play CPUs; what is a CPU's own
//! belongs to its thread and is changed by plain loads and stores; what CPUs share is changed as in the kernel: the slab word by
//! compare-and-exchange, node lists, barns and the page source under locks.
//!
//! | file | what it has |
//! |---|---|
//! | `memory` | the mapping, free pointers inside objects, descriptors by page frame; the only unsafe code |
//! | `word` | freelist head and counters of a slab, packed for one compare-and-exchange |
//! | `slab` | descriptors of slabs |
//! | `lock` | a lock that tells how long it was waited for |
//! | `node` | node partial lists |
//! | `heap` | memory and page source, shared by all caches |
//! | [`slabs`] | making, discarding, taking from and freeing to slabs: what all generations share |
//! | [`cpu_slab`] | 6.8 to 6.17: cpu slabs and CPU partial lists |
//! | [`sheaf`] | 7.x: sheaves and barns |
//! | [`model`] | what both offer to a driver |
//! | [`probe`] | what is counted on the way |
//! | [`path`] | requests, and the path that served them |
//! | `validate` | the conservation laws, when all threads are at rest |
//! | [`clock`] | ticks |
//! | `stress` | tests: many threads at random, and the laws afterwards |
//! | `interleavings` | tests: every order in which threads may come, by loom |

#[cfg(not(slub_loom))]
pub mod clock;
pub mod cpu_slab;
mod heap;
#[cfg(all(test, slub_loom))]
mod interleavings;
#[cfg_attr(slub_loom, path = "lock_loom.rs")]
mod lock;
mod memory;
pub mod model;
mod node;
pub mod path;
pub mod probe;
pub mod sheaf;
mod slab;
pub mod slabs;
#[cfg(all(test, not(slub_loom)))]
mod stress;
mod validate;
mod word;

pub use cpu_slab::CpuSlabCache;
pub use heap::Heap;
pub use memory::{Address, Memory};
pub use model::Model;
pub use path::{Object, Path, Request};
pub use probe::{Counts, LockCounts, LockSite, NoProbe, Probe};
pub use sheaf::SheafCache;
pub use slab::SlabId;
pub use slabs::{LayoutError, Slabs};
pub use validate::{gauges, validate};
