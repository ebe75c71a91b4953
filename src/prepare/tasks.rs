//! When the files beside a snapshot were read.
//!
//! A capture's `/proc` files are read just before its slab attributes, by one `cat` each that a shell starts one after the other; the reader of
//! the attributes comes next, and writes the markers. Reading leaves no mark, but the tasks do: their numbers follow each other.

use rustc_hash::FxHashMap;
use slubreplay_parsers::event::{Body, Event};

/// The first of them reads `buddyinfo`; `pagetypeinfo`, `zoneinfo` and `meminfo` follow.
const FILES: i32 = 4;

/// Longest pause between a task and the next one that the same shell starts.
const PAUSE_NS: u64 = 1_000_000_000;

/// What is seen of a task.
#[derive(Debug, Clone, Copy, Default)]
struct Seen {
    first_ns: u64,
    last_ns: u64,
    /// Its last allocation: what it did, it did before; then it exits, which only frees.
    last_alloc_ns: u64,
}

/// The tasks of a recording so far.
#[derive(Debug, Default)]
pub(super) struct Tasks {
    seen: Vec<Seen>,
    by_number: FxHashMap<i32, u32>,
    /// By CPU: the task that was seen last.
    current: Vec<(i32, u32)>,
}

impl Tasks {
    /// Takes note of who did something.
    pub(super) fn event(&mut self, event: &Event) {
        let cpu = usize::from(event.cpu);
        if self.current.len() <= cpu {
            self.current.resize(cpu + 1, (i32::MIN, 0));
        }
        if self.current[cpu].0 != event.pid {
            let number = *self.by_number.entry(event.pid).or_insert(self.seen.len() as u32);
            if number as usize == self.seen.len() {
                self.seen.push(Seen { first_ns: event.time_ns, ..Seen::default() });
            }
            self.current[cpu] = (event.pid, number);
        }
        let seen = &mut self.seen[self.current[cpu].1 as usize];
        seen.last_ns = event.time_ns;
        if matches!(event.body, Body::Alloc(_) | Body::PageAlloc(_)) {
            seen.last_alloc_ns = event.time_ns;
        }
    }

    /// When the first of the files was read that the tasks just before this one read, if there are such tasks.
    pub(super) fn files_read_before(&self, task: i32) -> Option<u64> {
        let seen = |number: i32| self.by_number.get(&number).map(|&at| self.seen[at as usize]);
        let mut next = seen(task)?;
        let mut earliest = next;
        for back in 1..=FILES {
            earliest = seen(task.checked_sub(back)?)?;
            if next.first_ns.abs_diff(earliest.last_ns) > PAUSE_NS {
                return None;
            }
            next = earliest;
        }
        Some(earliest.last_alloc_ns)
    }
}
