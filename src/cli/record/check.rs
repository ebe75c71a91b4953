//! Reads a new capture back: what was recorded, and what was lost.

use std::fs;
use std::path::Path;

use slubreplay_parsers::AnyTrace;
use slubreplay_parsers::capture::Capture;

use crate::cli::failure::Failure;
use crate::cli::progress::Stage;

/// What a recording holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Recorded {
    pub(super) events: u64,
    /// Time from the first to the last of them.
    pub(super) span_ns: u64,
    /// Bytes of the trace on the disk.
    pub(super) bytes: u64,
    pub(super) lost_events: u64,
    /// Places where events were lost, nobody knows how many.
    pub(super) gaps: u64,
    pub(super) damages: u64,
}

/// Reads the trace of a capture from front to back, in bounded memory.
pub(super) fn read_back(out: &Path) -> Result<Recorded, Failure> {
    let path = Capture::open(out)?.trace;
    let trace = AnyTrace::open(&path)?;
    let stage = Stage::bytes("checking", trace.data_bytes());
    let tell = |bytes| stage.add(bytes);
    let mut source = trace.stream(&tell)?;
    let mut ends: Option<(u64, u64)> = None;
    loop {
        let batch = source.next_batch()?;
        let (Some(first), Some(last)) = (batch.first(), batch.last()) else { break };
        ends = Some((ends.map_or(first.time_ns, |(start, _)| start), last.time_ns));
    }
    let accounting = &source.facts().accounting;
    let (lost, gaps) = accounting.lost_events();
    Ok(Recorded {
        events: accounting.events.values().sum(),
        span_ns: ends.map_or(0, |(first, last)| last.saturating_sub(first)),
        bytes: disk_bytes(&path),
        // perf counts at the end what it has told of in between; tracefs counts what has left no gap.
        lost_events: lost.max(accounting.ring_overruns),
        gaps,
        damages: accounting.damage_count(),
    })
}

/// Bytes of a file, or of all files in a folder.
fn disk_bytes(path: &Path) -> u64 {
    let Ok(metadata) = fs::symlink_metadata(path) else { return 0 };
    if !metadata.is_dir() {
        return metadata.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| disk_bytes(&entry.path())).sum()
}
