//! Events one batch after the other, for traces larger than memory.
//!
//! [`AnyTrace::decode`](crate::AnyTrace::decode) holds all events of a trace at once and knows each CPU's own; a stream
//! holds a few batches and gives all CPUs' events in the order in which [`Recording::merged`] has them.

use crate::error::TraceError;
use crate::event::Event;
use crate::recording::Recording;

/// A trace whose events come in batches.
pub trait EventSource {
    /// The next events in the order of [`Recording::merged`]; none if that was all.
    ///
    /// # Errors
    ///
    /// If the trace can no longer be read.
    fn next_batch(&mut self) -> Result<Vec<Event>, TraceError>;

    /// What the trace says of itself, names, marks, and what could not be used, as far as it has been read; without events.
    fn facts(&self) -> &Recording;
}
