//! Reads kernel memory traces: bytes in, typed events out.
//!
//! | module | what it is for |
//! |---|---|
//! | [`event`] | the one vocabulary that every input format is turned into |
//! | [`recording`] | a decoded trace: events per CPU, names, marks, and what was lost |
//! | [`merge`] | per-CPU streams into one order |
//! | [`stream`] | the same one batch after the other, for traces larger than memory |
//! | [`tracedat`] | trace-cmd files, versions 6 and 7 |
//! | [`perfdata`] | perf files, from a file or a pipe, plain or compressed |
//! | [`text`] | text of the kernel's `trace` file, `trace-cmd report` and `perf script` |
//! | [`store`] | traces in columns: Parquet files |
//! | [`symbols`] | names of call sites, by the text of `/proc/kallsyms` |
//! | [`ringdump`] | directories of raw ring-buffer pages, as tracefs gives them |
//! | [`AnyTrace`] | a trace of any format, told by its first bytes; from a file or a pipe, packed or not |
//! | [`eventformat`] | the text that describes an event's fields |
//! | [`ring`] | the kernel's ring-buffer sub-buffers |
//! | [`kmem`] | a record's payload to an [`event::Event`], by the file's own formats |
//! | [`capture`] | a capture directory: a trace with the kernel's own figures |
//! | [`mapped`] | memory-mapped files that survive being truncated (the only unsafe code) |
//!
//! Nothing in a file is trusted: bad input is a [`TraceError`] with an offset, or a loss counted in
//! [`recording::Accounting`], never a panic.

#![deny(unsafe_code)]
#![deny(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used)]
#![cfg_attr(test, allow(clippy::indexing_slicing, clippy::unwrap_used, clippy::expect_used, reason = "tests may panic"))]

mod any;
mod blocks;
pub mod capture;
pub mod error;
pub mod event;
pub mod eventformat;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod inorder;
mod interner;
mod joining;
pub mod kmem;
pub mod mapped;
pub mod merge;
mod parse;
pub mod perfdata;
pub mod recording;
pub mod ring;
pub mod ringdump;
mod room;
mod source;
pub mod store;
pub mod stream;
mod subbuffers;
pub mod symbols;
mod tasks;
pub mod text;
pub mod tracedat;
mod words;

pub use any::AnyTrace;
pub use error::TraceError;
pub use source::STDIN;
