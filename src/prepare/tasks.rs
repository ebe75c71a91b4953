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
    /// The task that was seen for the first time last.
    newest: Option<i32>,
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
                self.newest = Some(event.pid);
            }
            self.current[cpu] = (event.pid, number);
        }
        let seen = &mut self.seen[self.current[cpu].1 as usize];
        seen.last_ns = event.time_ns;
        if matches!(event.body, Body::Alloc(_) | Body::PageAlloc(_)) {
            seen.last_alloc_ns = event.time_ns;
        }
    }

    /// When the first of the files was read that the tasks before a marker read, if there are such tasks. Whoever writes it is the task after
    /// them or, where there are no slab attributes, the shell, which has had `slabinfo` read since.
    pub(super) fn files_read_before(&self, writer: i32) -> Option<u64> {
        let newest = self.newest?;
        let first = if writer == newest { writer.checked_sub(FILES)? } else { newest.checked_sub(FILES)? };
        let tasks: Option<Vec<Seen>> = (first..=newest).map(|task| Some(self.seen[*self.by_number.get(&task)? as usize])).collect();
        let tasks = tasks?;
        let follow_each_other = |pair: &[Seen]| pair[0].last_ns.abs_diff(pair[1].first_ns) <= PAUSE_NS;
        tasks.windows(2).all(follow_each_other).then(|| tasks[0].last_alloc_ns)
    }
}

#[cfg(test)]
mod tests {
    use slubreplay_parsers::event::{Context, PageAlloc};

    use super::*;

    fn tasks(steps: &[(i32, u64, bool)]) -> Tasks {
        let mut tasks = Tasks::default();
        for &(pid, time_ns, allocates) in steps {
            let page = PageAlloc { pfn: Some(1), gfp_flags: 0, migratetype: 0, order: 0 };
            let body = if allocates { Body::PageAlloc(page) } else { Body::PageFree { pfn: 1, order: 0 } };
            tasks.event(&Event { time_ns, body, pid, cpu: 0, context: Context(0) });
        }
        tasks
    }

    const FOUR: [(i32, u64, bool); 6] = [(7, 10, true), (7, 11, true), (7, 12, false), (8, 20, true), (9, 30, true), (10, 40, true)];

    #[test]
    fn the_first_of_four_read_it_before_it_went() {
        let by_the_next = [&FOUR[..], &[(11, 50, true)]].concat();
        assert_eq!(tasks(&by_the_next).files_read_before(11), Some(11));
        // The shell, number 1, had slabinfo read by number 11.
        let by_the_shell = [&[(1, 1, true)], &by_the_next[..], &[(1, 60, true)]].concat();
        assert_eq!(tasks(&by_the_shell).files_read_before(1), Some(11));
    }

    #[test]
    fn without_such_tasks_nothing_is_known() {
        assert_eq!(tasks(&[]).files_read_before(3), None);
        assert_eq!(tasks(&FOUR[4..]).files_read_before(10), None);
        let paused = [&FOUR[..], &[(11, 50 + PAUSE_NS, true)]].concat();
        assert_eq!(tasks(&paused).files_read_before(11), None);
    }
}
