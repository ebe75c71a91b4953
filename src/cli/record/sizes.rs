//! From a short measurement to buffers, and to what a recording will cost. Nothing here touches the machine.

use super::args::Way;
use super::tracefs::stat;

/// Recorders empty the buffers many times a second; yet they can be kept from it for as long as this.
const SLACK_SECONDS: f64 = 2.0;
/// A workload may do so many times what the second before it did.
const BURST: f64 = 16.0;
const LEAST_KB: u64 = 8 << 10;
/// A buffer is allocated for every CPU.
const MOST_KB: u64 = 128 << 10;
/// All buffers together take at most so much of the memory.
const MEMORY_SHARE: u64 = 8;

/// What happened while nothing but the machine's usual work went on.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) seconds: f64,
    /// By CPU: events and bytes of them in the ring buffer.
    pub(super) cpus: Vec<(u64, u64)>,
}

impl Measured {
    /// From the `stats` text of each CPU. What was overwritten counts as large as what was not.
    pub(super) fn of_stats(seconds: f64, stats: &[String]) -> Self {
        let cpu = |stats: &String| {
            let (kept, bytes) = (stat(stats, "entries"), stat(stats, "bytes"));
            let events = kept + stat(stats, "overrun") + stat(stats, "dropped events");
            let mean = if kept > 0 { bytes as f64 / kept as f64 } else { 0.0 };
            (events, (events as f64 * mean) as u64)
        };
        Self { seconds, cpus: stats.iter().map(cpu).collect() }
    }

    pub(super) fn events_per_second(&self) -> f64 {
        self.cpus.iter().map(|(events, _)| *events as f64).sum::<f64>() / self.seconds
    }

    fn ring_bytes_per_second(&self) -> f64 {
        self.cpus.iter().map(|(_, bytes)| *bytes as f64).sum::<f64>() / self.seconds
    }

    /// Bytes per second on the disk.
    pub(super) fn bytes_per_second(&self, way: Way) -> f64 {
        self.ring_bytes_per_second() + self.events_per_second() * beside_bytes(way)
    }

    /// Share of the time of one CPU that recording takes, summed over all.
    pub(super) fn cpu_share(&self, way: Way) -> f64 {
        self.events_per_second() * event_ns(way) / 1e9
    }

    /// Size of each CPU's buffer in KiB.
    pub(super) fn buffer_kb(&self, way: Way, memory_kb: u64) -> u64 {
        let busiest = self.cpus.iter().map(|&(events, bytes)| bytes as f64 + events as f64 * beside_bytes(way)).fold(0.0, f64::max);
        let wanted = (busiest / self.seconds * SLACK_SECONDS * BURST / 1024.0) as u64;
        let affordable = (memory_kb / MEMORY_SHARE / self.cpus.len().max(1) as u64).max(64);
        let kb = wanted.clamp(LEAST_KB, MOST_KB).min(affordable);
        // perf takes powers of two only; for the others they do no harm.
        1 << kb.ilog2()
    }
}

/// Bytes of an event beside what the ring buffer of tracefs takes for it: perf's header and id, time, thread, CPU and period.
fn beside_bytes(way: Way) -> f64 {
    if way == Way::Perf { 68.0 } else { 0.0 }
}

/// What an event costs the CPU that it happens on, and the recorder, in nanoseconds: measured by `benches/record-overhead.sh`.
fn event_ns(way: Way) -> f64 {
    match way {
        Way::Tracefs => 400.0,
        Way::TraceCmd => 450.0,
        Way::Perf => 900.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATS: &str = "entries: 1000\noverrun: 3000\ncommit overrun: 0\nbytes: 48000\ndropped events: 0\nread events: 0\n";

    #[test]
    fn overwritten_events_count_as_much_as_those_that_are_left() {
        let measured = Measured::of_stats(2.0, &[STATS.to_owned(), String::new()]);
        assert_eq!(measured.cpus, [(4000, 4000 * 48), (0, 0)]);
        assert_eq!(measured.events_per_second(), 2000.0);
        assert_eq!(measured.bytes_per_second(Way::TraceCmd), 96_000.0);
        assert_eq!(measured.bytes_per_second(Way::Perf), 96_000.0 + 2000.0 * 68.0);
    }

    #[test]
    fn buffers_follow_the_busiest_cpu_within_what_memory_allows() {
        let busy = |bytes| Measured { seconds: 1.0, cpus: vec![(1000, bytes), (10, 10)] };
        // 1 MiB/s for 2 s, 16 times as much: 32 MiB.
        assert_eq!(busy(1 << 20).buffer_kb(Way::Tracefs, 64 << 20), 32 << 10);
        assert_eq!(busy(1).buffer_kb(Way::Tracefs, 64 << 20), LEAST_KB);
        assert_eq!(busy(1 << 40).buffer_kb(Way::Tracefs, 64 << 20), MOST_KB);
        // An eighth of 64 MiB for two CPUs.
        assert_eq!(busy(1 << 40).buffer_kb(Way::Tracefs, 64 << 10), 4 << 10);
        assert!(busy(3 << 20).buffer_kb(Way::Perf, 64 << 20).is_power_of_two());
    }
}
