//! A clock cheap enough to time single operations: the processor's cycle counter where it runs at a constant rate, else the system's
//! monotonic clock.

use std::sync::OnceLock;

use quanta::Clock;

static CLOCK: OnceLock<Clock> = OnceLock::new();

fn clock() -> &'static Clock {
    CLOCK.get_or_init(Clock::new)
}

/// Ticks since some moment.
#[inline]
#[must_use]
pub fn ticks() -> u64 {
    clock().raw()
}

/// Nanoseconds of so many ticks.
#[must_use]
pub fn nanoseconds(ticks: u64) -> u64 {
    clock().delta_as_nanos(0, ticks)
}

/// What reading the clock twice costs, in ticks: the least of many, as anything more was something else.
#[must_use]
pub fn cost_ticks() -> u64 {
    (0..10_000)
        .map(|_| {
            let start = ticks();
            ticks() - start
        })
        .min()
        .unwrap_or(0)
}
