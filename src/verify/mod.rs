//! Compares a replay with the kernel's own figures, cache by cache and counter by counter.
//!
//! Counters are compared as differences between the capture's two snapshots, gauges by their value at
//! the second. The recorder writes a marker before it reads each cache (`slubreplay-snap CACHE`, between
//! `begin` and `end`), so each cache is compared as it was at its own marker; where the trace shows
//! the reading of its attributes, each figure as it was when the kernel's was read.
//!
//! SLAB is compared with `/proc/slabinfo`, SLOB with the pages that it had in use (`slabinfo`).
//!
//! Without snapshots, what can be judged is slab agreement: whether objects come from the slabs that the kernel took
//! them from, by their addresses.

mod agreement;
mod compare;
mod explain;
mod marks;
mod slabinfo;
#[cfg(test)]
mod tests;
mod traced;

pub use agreement::{AgreementRow, AgreementTotal, Agreements, FirstDivergence, Obstacle, Slice};
pub use compare::{CacheVerdict, Row, Summary, Verification, compare};
pub use explain::{Divergences, Explainer, Explanation, KernelState, ReplaySlab, Step};
pub use marks::SnapshotMarks;
pub use slabinfo::{MANY_SLABS, SiblingMarks, SlabinfoRow, SlabinfoVerdict, slob_pages};
pub use traced::traced_between_snapshots;
