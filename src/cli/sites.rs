//! The busiest call sites of a trace, with their names.

use std::fmt::Write;

use rustc_hash::FxHashMap;
use serde_json::{Value, json};
use slubreplay_parsers::event::Body;
use slubreplay_parsers::recording::Recording;

/// Call sites by falling number of events.
#[derive(Debug)]
pub(super) struct Sites<'a> {
    recording: &'a Recording,
    busiest: Vec<(u64, Tally)>,
    /// How many there are in all.
    distinct: usize,
    /// Symbols are the user's, not the trace's.
    is_given: bool,
}

/// What came from one call site.
#[derive(Debug, Clone, Copy, Default)]
struct Tally {
    allocs: u64,
    frees: u64,
    requested_bytes: u64,
    allocated_bytes: u64,
}

impl Tally {
    fn events(self) -> u64 {
        self.allocs + self.frees
    }
}

impl<'a> Sites<'a> {
    pub(super) fn of(recording: &'a Recording, count: usize, is_given: bool) -> Self {
        let mut tallies: FxHashMap<u64, Tally> = FxHashMap::default();
        for event in recording.streams.iter().flat_map(|stream| &stream.events) {
            match event.body {
                Body::Alloc(alloc) => {
                    let tally = tallies.entry(alloc.call_site).or_default();
                    tally.allocs += 1;
                    tally.requested_bytes = tally.requested_bytes.saturating_add(alloc.bytes_req);
                    tally.allocated_bytes = tally.allocated_bytes.saturating_add(alloc.bytes_alloc);
                }
                Body::Free(free) => tallies.entry(free.call_site).or_default().frees += 1,
                _ => {}
            }
        }
        let distinct = tallies.len();
        let mut busiest: Vec<(u64, Tally)> = tallies.into_iter().collect();
        busiest.sort_unstable_by_key(|&(call_site, tally)| (std::cmp::Reverse(tally.events()), call_site));
        busiest.truncate(count);
        Self { recording, busiest, distinct, is_given }
    }

    /// Where names are from, or why there are none.
    fn source(&self) -> String {
        match self.recording.symbols.get() {
            _ if !self.recording.sites.is_empty() => "names are those of the trace".to_owned(),
            Ok(symbols) if self.is_given => format!("named by {} given kernel symbols", symbols.len()),
            Ok(symbols) => format!("named by the trace's {} kernel symbols", symbols.len()),
            Err(reason) => format!("{reason}; --kallsyms names them by a copy of /proc/kallsyms"),
        }
    }

    pub(super) fn as_text(&self) -> String {
        let mut text = format!("\ncall sites: {} of {}, {}\n", self.busiest.len(), self.distinct, self.source());
        let heads = ["events", "allocs", "frees", "bytes asked", "bytes used"];
        writeln!(text, "{:>12} {:>12} {:>12} {:>15} {:>15} site", heads[0], heads[1], heads[2], heads[3], heads[4]).unwrap_or_default();
        for &(call_site, tally) in &self.busiest {
            let Tally { allocs, frees, requested_bytes, allocated_bytes } = tally;
            let site = self.recording.site_name(call_site);
            writeln!(text, "{:>12} {allocs:>12} {frees:>12} {requested_bytes:>15} {allocated_bytes:>15} {site}", tally.events())
                .unwrap_or_default();
        }
        text
    }

    pub(super) fn as_json(&self) -> Value {
        let busiest: Vec<Value> = self.busiest.iter().map(|&(call_site, tally)| self.site(call_site, tally)).collect();
        json!({ "distinct": self.distinct, "symbols": self.source(), "busiest": busiest })
    }

    fn site(&self, call_site: u64, tally: Tally) -> Value {
        let symbol = self.recording.site(call_site);
        let resolved = self.recording.symbols.get().ok().and_then(|symbols| symbols.resolve(call_site)).filter(|_| symbol.is_none());
        json!({
            // In hexadecimal, as numbers above 2^53 are not safe in JSON.
            "address": symbol.is_none().then(|| format!("{call_site:#x}")),
            "symbol": symbol.map(str::to_owned).or_else(|| resolved.map(|resolved| resolved.to_string())),
            "module": resolved.and_then(|resolved| resolved.module),
            "events": tally.events(),
            "allocs": tally.allocs,
            "frees": tally.frees,
            "requested_bytes": tally.requested_bytes,
            "allocated_bytes": tally.allocated_bytes,
        })
    }
}
