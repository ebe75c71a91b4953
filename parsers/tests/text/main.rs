//! Traces in text: of every kernel and tool, against the tools themselves, and damaged.

mod threads;
mod tools;
