//! Replays recorded slab allocations through models of the kernel's slab allocators.
//!
//! See ARCHITECTURE.md for the map. In short, data flows one way:
//! trace → [`slubreplay_parsers`] → [`prepare`] → [`replay`] (driving [`allocators`] on [`mem`]) →
//! [`analyze`], [`verify`], [`compare`] or a report.

#![deny(unsafe_code)]

pub mod allocators;
pub mod analyze;
#[cfg(not(slub_loom))]
pub mod bench;
#[cfg(feature = "cli")]
pub mod cli;
pub mod compare;
pub mod fallback;
mod list;
pub mod mem;
pub mod prepare;
pub mod refine;
pub mod replay;
pub mod setting;
mod sync;
pub mod tune;
pub mod verify;
pub mod whatif;
