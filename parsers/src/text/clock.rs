//! Times that keep the order of the lines.
//!
//! A trace in text is in order: whoever printed it had nanoseconds. Text mostly has microseconds, and about a fifth of all
//! events share theirs with another one; [`Recording::merged`](crate::recording::Recording::merged) would put those
//! of equal time in order of their CPUs, frees behind the allocations that they made room for. So events of one
//! microsecond get the nanoseconds 0, 1, 2, … of it in the order of their lines. Where more events share a stamp
//! than that leaves room for (clocks of jiffies, or that count), what follows is moved on with them.

use super::head::Unit;

/// Gives times to events in the order of their lines.
#[derive(Debug, Default)]
pub(super) struct Clock {
    last: Option<Tick>,
    /// By CPU.
    of_cpu: Vec<Option<Tick>>,
    /// Times that were moved beyond the next stamp.
    pub(super) moved_on: u64,
    /// Lines whose stamp is lower than that of the line before.
    pub(super) backwards: u64,
}

/// A stamp and the time that was made of it.
#[derive(Debug, Clone, Copy)]
struct Tick {
    stamp: u64,
    time: u64,
}

impl Clock {
    /// The time of an event in nanoseconds. Stamps of nanoseconds stay what they are.
    #[inline]
    pub(super) fn time(&mut self, stamp: u64, unit: Unit, cpu: u16) -> u64 {
        // Clocks of CPUs are not quite the same: a step back stays one, but for a CPU's own order.
        let is_back = self.last.is_some_and(|last| stamp < last.stamp);
        self.backwards += u64::from(is_back);
        if unit == Unit::Nanosecond {
            self.last = Some(Tick { stamp, time: stamp });
            return stamp;
        }
        let cpu = usize::from(cpu);
        if self.of_cpu.len() <= cpu {
            self.of_cpu.resize(cpu + 1, None);
        }
        let own = self.of_cpu.get(cpu).copied().flatten();
        let after = |tick: Tick| if tick.stamp <= stamp { tick.time.saturating_add(1) } else { 0 };
        let time = stamp.max(self.last.map_or(0, after)).max(own.map_or(0, after));
        self.moved_on += u64::from(unit == Unit::Microsecond && time - stamp >= 1000);
        let tick = Some(Tick { stamp, time });
        self.last = tick;
        self.of_cpu.get_mut(cpu).into_iter().for_each(|own| *own = tick);
        time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(unit: Unit, lines: &[(u64, u16)]) -> Vec<u64> {
        let mut clock = Clock::default();
        lines.iter().map(|&(stamp, cpu)| clock.time(stamp, unit, cpu)).collect()
    }

    #[test]
    fn events_of_one_microsecond_keep_the_order_of_lines() {
        let lines = [(5000, 1), (5000, 0), (5000, 1), (6000, 0), (6000, 0)];
        assert_eq!(times(Unit::Microsecond, &lines), [5000, 5001, 5002, 6000, 6001]);
        assert_eq!(times(Unit::Nanosecond, &lines), [5000, 5000, 5000, 6000, 6000]);
    }

    /// Jiffies: the next one begins before all events of the last one have a time.
    #[test]
    fn what_does_not_fit_moves_on_what_follows() {
        assert_eq!(times(Unit::Tick, &[(7, 0), (7, 1), (7, 0), (8, 1), (20, 0)]), [7, 8, 9, 10, 20]);
    }

    #[test]
    fn a_step_back_is_kept_but_not_within_a_cpu() {
        let lines = [(5000, 0), (5000, 0), (4000, 1), (5000, 0), (3000, 0)];
        assert_eq!(times(Unit::Microsecond, &lines), [5000, 5001, 4000, 5002, 3000]);
    }
}
