//! A decoded trace, whatever format it came from.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::event::{Event, MarkId, NameId};
use crate::merge::Merge;
use crate::symbols::Kallsyms;

/// A decoded trace: one stream of events per CPU, and an account of what could not be used.
#[derive(Debug, Clone, Default)]
pub struct Recording {
    /// What the trace says of itself.
    pub info: Info,
    /// Events of each CPU in the order they were recorded, by rising CPU number.
    pub streams: Vec<CpuStream>,
    /// Cache names, by [`NameId`].
    pub names: Vec<String>,
    /// Texts of trace markers, by [`MarkId`].
    pub marks: Vec<String>,
    /// Symbols that stand for call sites in a trace in text: the call site `n`, from 1, is the symbol `n - 1` here. Greater
    /// ones are addresses.
    pub sites: Vec<String>,
    /// The kernel's symbols, to name call sites that are addresses, where the trace carries them.
    pub symbols: Kallsyms,
    /// Names of threads by number, where the trace has them: the last of each.
    pub tasks: BTreeMap<i32, String>,
    /// What was read, lost and skipped.
    pub accounting: Accounting,
}

impl Recording {
    /// All events in one order: by time, then CPU, then position in the CPU's buffer.
    #[must_use]
    pub fn merged(&self) -> Merge<'_> {
        Merge::new(&self.streams)
    }

    /// Number of typed events over all CPUs.
    #[must_use]
    pub fn event_count(&self) -> u64 {
        self.streams.iter().map(|stream| stream.events.len() as u64).sum()
    }

    /// The cache name behind an id.
    #[must_use]
    pub fn name(&self, id: NameId) -> &str {
        self.names.get(usize::from(id.0)).map_or("", String::as_str)
    }

    /// The symbol of a call site, where the trace has symbols in place of addresses.
    #[must_use]
    pub fn site(&self, call_site: u64) -> Option<&str> {
        let index = usize::try_from(call_site.checked_sub(1)?).ok()?;
        self.sites.get(index).map(String::as_str)
    }

    /// What a call site is called: as the trace in text has it, else by the kernel's symbols, else its address.
    #[must_use]
    pub fn site_name(&self, call_site: u64) -> String {
        if let Some(site) = self.site(call_site) {
            return site.to_owned();
        }
        let resolved = self.symbols.get().ok().and_then(|symbols| symbols.resolve(call_site));
        resolved.map_or_else(|| format!("{call_site:#x}"), |resolved| resolved.to_string())
    }

    /// The marker text behind an id.
    #[must_use]
    pub fn mark(&self, id: MarkId) -> &str {
        self.marks.get(id.0 as usize).map_or("", String::as_str)
    }
}

/// Events of one CPU.
#[derive(Debug, Clone, Default)]
pub struct CpuStream {
    /// CPU number.
    pub cpu: u16,
    /// Events in the order they were recorded.
    pub events: Vec<Event>,
}

/// What a trace says of itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Info {
    /// Format and version, such as `trace.dat v7 (zstd)` or `perf.data (zstd)`.
    pub format: String,
    /// Kernel release, such as `6.12.117`; empty if the trace does not say.
    pub kernel: String,
    /// CPUs of the machine, as far as the trace tells.
    pub cpus: u32,
    /// CPUs of each node, by node number; empty if the trace does not say.
    pub nodes: Vec<(u32, Vec<u32>)>,
    /// Name of the machine; empty if the trace does not say.
    pub hostname: String,
    /// Command line of the recorder; empty if the trace does not say.
    pub command: String,
    /// Trace clock; empty if unknown.
    pub clock: String,
    /// Bytes of a kernel `long`.
    pub long_bytes: u8,
    /// True if the trace was written on a big-endian machine.
    pub big_endian: bool,
    /// What the pointers in it are.
    pub pointers: Pointers,
    /// gfp flags are in the numbering of 5.4 and later, whatever the kernel: the trace has their names.
    pub gfp_by_name: bool,
    /// Buffer that was read; empty for the top one.
    pub buffer: String,
    /// Buffers with data that were not read, by name (empty for the top one).
    pub other_buffers: Vec<String>,
}

/// What a trace has for pointers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pointers {
    /// Addresses.
    Real,
    /// Keyed hashes of addresses, as the kernel prints them since 4.15: objects can be told apart, but not where they were.
    Hashed,
    /// There are too few to tell.
    #[default]
    Unknown,
}

/// What was read from a trace, and what could not be used.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Accounting {
    /// Records by event name, as the kernel spells it.
    pub events: BTreeMap<String, u64>,
    /// Records whose event number no format description explains, by number; samples of perf.data
    /// whose id no event has, by id.
    pub unknown_ids: BTreeMap<u32, u64>,
    /// Records of a known event that were too short for their fields, by event name.
    pub short_records: BTreeMap<String, u64>,
    /// Fields that an event's format lacks, as `event.field`.
    pub absent_fields: Vec<String>,
    /// Places where the recorder lost events.
    pub losses: Vec<Loss>,
    /// Totals of the ring buffer's own statistics, where the trace has them: for perf.data the samples
    /// that perf counted as lost at the end, which the places in `losses` mostly are part of.
    pub ring_overruns: u64,
    /// Sub-buffers that were read; runs of records, of about 256 KiB, for perf.data.
    pub sub_buffers: u64,
    /// Pieces of data that were damaged, with their reason; the rest of each piece was skipped.
    pub damages: Vec<Damage>,
    /// Damages beyond the number that is kept in `damages`.
    pub damages_beyond: u64,
    /// Remarks that the reader of a report should see.
    pub remarks: Vec<String>,
}

/// How many damages are kept with their place; the rest is counted.
const DAMAGES_KEPT: usize = 100;

impl Accounting {
    /// Events known to be lost, and the number of places where their number is unknown.
    #[must_use]
    pub fn lost_events(&self) -> (u64, u64) {
        let known = self.losses.iter().filter_map(|loss| loss.count).fold(0, u64::saturating_add);
        let unknown = self.losses.iter().filter(|loss| loss.count.is_none()).count();
        (known, unknown as u64)
    }

    /// Number of damaged pieces.
    #[must_use]
    pub fn damage_count(&self) -> u64 {
        self.damages.len() as u64 + self.damages_beyond
    }

    pub(crate) fn damaged(&mut self, damage: Damage) {
        if self.damages.len() < DAMAGES_KEPT {
            self.damages.push(damage);
        } else {
            self.damages_beyond += 1;
        }
    }

    /// Adds another piece's account to this one.
    pub(crate) fn absorb(&mut self, other: Accounting) {
        for (name, count) in other.events {
            *self.events.entry(name).or_default() += count;
        }
        for (id, count) in other.unknown_ids {
            *self.unknown_ids.entry(id).or_default() += count;
        }
        for (name, count) in other.short_records {
            *self.short_records.entry(name).or_default() += count;
        }
        self.losses.extend(other.losses);
        self.sub_buffers += other.sub_buffers;
        self.damages_beyond += other.damages_beyond;
        for damage in other.damages {
            self.damaged(damage);
        }
        self.remarks.extend(other.remarks);
    }
}

/// Events that a CPU's ring buffer lost just before a moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Loss {
    /// CPU whose events were lost.
    pub cpu: u16,
    /// Time at which the first sub-buffer after the gap begins, in nanoseconds; for perf.data when the
    /// loss was noticed, or throttling began.
    pub time_ns: u64,
    /// How many, if the buffer says so.
    pub count: Option<u64>,
}

/// A damaged piece of a trace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Damage {
    /// CPU whose data is concerned; 0 where the data of all CPUs is one piece (perf.data).
    pub cpu: u16,
    /// Offset in the file of the piece.
    pub byte: u64,
    /// What was expected.
    pub reason: String,
}
