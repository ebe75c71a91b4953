//! From the figures of one replay to tables, charts and a readable report.
//!
//! This crate knows no trace and no allocator: all it may know is in [`input`]. From there lead
//! [`tables`] (polars data frames), [`charts`] (SVG and PNG), [`text`] (for a terminal) and
//! [`json`]; [`export`] writes the tables and charts into a folder. [`pages`] does the same for order fallback.
//!
//! Everything here is a pure function of its input: the same figures give the same bytes.

#![forbid(unsafe_code)]

pub mod charts;
pub mod export;
pub mod format;
pub mod input;
pub mod json;
pub mod pages;
pub mod ratios;
pub mod tables;
pub mod text;

#[cfg(test)]
mod testdata;
