//! The table of `perf kmem --caller stat`, from the events themselves: nothing is paired, inferred or left out.
//!
//! Rules are those of `tools/perf/builtin-kmem.c` (6.1): every `kmalloc` and `kmem_cache_alloc` counts, failed and large ones too. A free on
//! another CPU than that of the latest allocation of the address counts as *ping-pong* for who made that allocation.

use rustc_hash::FxHashMap;
use slubreplay_parsers::event::Body;
use slubreplay_parsers::recording::Recording;

/// Allocations of a call site.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Caller {
    /// Return address in the caller, or what [`Recording::site`] takes.
    pub call_site: u64,
    /// Allocations (`Hit`).
    pub hits: u64,
    /// Sum of `bytes_req`.
    pub requested_bytes: u64,
    /// Sum of `bytes_alloc`.
    pub allocated_bytes: u64,
    /// Frees on another CPU (`Ping-pong`).
    pub ping_pong: u64,
}

impl Caller {
    /// Share of the bytes given that was not asked for (`Frag`), 0 to 1.
    #[must_use]
    pub fn fragmentation(&self) -> f64 {
        if self.allocated_bytes == 0 {
            return 0.0;
        }
        self.allocated_bytes.saturating_sub(self.requested_bytes) as f64 / self.allocated_bytes as f64
    }
}

/// All call sites that allocate, those with most bytes given first.
#[must_use]
pub fn callers(recording: &Recording) -> Vec<Caller> {
    let mut callers: Vec<Caller> = Vec::new();
    let mut numbers: FxHashMap<u64, usize> = FxHashMap::default();
    // By address: who allocated there last, and on which CPU; no CPU once that was freed.
    let mut last: FxHashMap<u64, (usize, Option<u16>)> = FxHashMap::default();
    for event in recording.merged() {
        match event.body {
            Body::Alloc(alloc) => {
                let number = *numbers.entry(alloc.call_site).or_insert_with(|| {
                    callers.push(Caller { call_site: alloc.call_site, ..Caller::default() });
                    callers.len() - 1
                });
                let caller = &mut callers[number];
                caller.hits += 1;
                caller.requested_bytes += alloc.bytes_req;
                caller.allocated_bytes += alloc.bytes_alloc;
                last.insert(alloc.ptr, (number, Some(event.cpu)));
            }
            Body::Free(free) => {
                if let Some((number, cpu)) = last.get_mut(&free.ptr) {
                    // perf marks a freed address with a CPU that there is not: the next free of it counts again.
                    callers[*number].ping_pong += u64::from(*cpu != Some(event.cpu));
                    *cpu = None;
                }
            }
            _ => {}
        }
    }
    callers.sort_by(|a, b| b.allocated_bytes.cmp(&a.allocated_bytes).then(a.call_site.cmp(&b.call_site)));
    callers
}
