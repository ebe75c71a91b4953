//! From the figures of one replay to tables, charts and a readable report.
//!
//! This crate knows no trace and no allocator: all it may know is in [`input`]. From there lead
//! [`tables`] (polars data frames), [`charts`] (SVG and PNG), [`text`] (for a terminal), [`json`] and
//! [`html`] (one page with all of it); [`export`] writes tables, charts and page into a folder.
//!
//! Everything here is a pure function of its input: the same figures give the same bytes.

#![forbid(unsafe_code)]

pub mod charts;
pub mod export;
pub mod format;
pub mod html;
pub mod input;
pub mod json;
pub mod ratios;
pub mod tables;
pub mod text;

#[cfg(test)]
mod testdata;
