//! When the reaper of each CPU runs.
//!
//! Source: `start_cpu_timer()`, `cache_reap()`, `mm/slab.c`; `round_jiffies_common()`, `kernel/time/timer.c`, Linux 6.1.

use crate::allocators::Topology;

/// The delayed work of every CPU, `slab_reap_work`.
///
/// It is deferrable: an idle CPU is not woken for it. So a pass runs when its CPU does something after it is due.
#[derive(Debug, Clone)]
pub struct ReapTimer {
    tick_ns: u64,
    /// By CPU: when it is due; before its first operation a CPU has no work.
    due_ns: Vec<Option<u64>>,
    /// By CPU: the node whose objects it looks after next (`slab_reap_node`).
    reap_node: Vec<u16>,
    nodes: u16,
}

const SECOND_NS: u64 = 1_000_000_000;

/// `REAPTIMEOUT_AC`.
const PERIOD_NS: u64 = 2 * SECOND_NS;

impl ReapTimer {
    /// No CPU has done anything yet. `hz` is the frequency of the timer tick.
    #[must_use]
    pub fn new(topology: &Topology, hz: u64) -> Self {
        let nodes = topology.nodes();
        let next = |cpu| (topology.node_of(cpu) + 1) % nodes;
        Self {
            tick_ns: SECOND_NS / hz.clamp(1, SECOND_NS),
            due_ns: vec![None; usize::from(topology.cpus())],
            reap_node: (0..topology.cpus()).map(next).collect(),
            nodes,
        }
    }

    /// If a pass of `cpu` is due at `now_ns`: the node that it looks after. The next pass is put off from now.
    #[inline]
    pub fn due(&mut self, cpu: u16, now_ns: u64) -> Option<u16> {
        match self.due_ns[usize::from(cpu)] {
            Some(due) if now_ns < due => None,
            due => self.pass(cpu, now_ns, due.is_some()),
        }
    }

    #[cold]
    fn pass(&mut self, cpu: u16, now_ns: u64, is_due: bool) -> Option<u16> {
        let delay = if is_due { PERIOD_NS } else { SECOND_NS };
        let number = usize::from(cpu);
        self.due_ns[number] = Some(self.rounded(cpu, now_ns.saturating_add(delay)));
        if !is_due {
            return None;
        }
        let node = self.reap_node[number];
        self.reap_node[number] = (node + 1) % self.nodes;
        Some(node)
    }

    /// To a full second, three ticks later for each CPU; down in the first quarter of a second, else up.
    fn rounded(&self, cpu: u16, at_ns: u64) -> u64 {
        let skew = 3 * u64::from(cpu) * self.tick_ns;
        let skewed = at_ns + skew;
        let rest = skewed % SECOND_NS;
        let rounded = skewed - rest + if rest < SECOND_NS / 4 { 0 } else { SECOND_NS };
        rounded - skew.min(rounded)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    #[test]
    fn passes_are_at_full_seconds_and_wait_for_their_cpu() {
        let mut timer = ReapTimer::new(&Topology::new(vec![0, 1]), 250);
        // The first operation starts the work: one second, rounded up from 1.3 s to 2 s.
        assert_eq!(timer.due(0, 300 * MS), None);
        assert_eq!(timer.due(0, 1999 * MS), None);
        assert_eq!(timer.due(0, 2000 * MS), Some(1));
        // Two seconds from 2.0 s; the CPU is idle until 7.1 s. Then 9.1 s is rounded down.
        assert_eq!(timer.due(0, 3999 * MS), None);
        assert_eq!(timer.due(0, 7100 * MS), Some(0));
        assert_eq!(timer.due(0, 8999 * MS), None);
        assert_eq!(timer.due(0, 9000 * MS), Some(1));
        // CPU 1 is 3 ticks of 4 ms off the full second, and begins with the node after its own.
        assert_eq!(timer.due(1, 300 * MS), None);
        assert_eq!(timer.due(1, 1987 * MS), None);
        assert_eq!(timer.due(1, 1988 * MS), Some(0));
    }
}
