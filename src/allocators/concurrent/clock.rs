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

/// The same of fewer ticks than make many nanoseconds, or of a part of one: with fractions.
#[must_use]
pub fn fine_nanoseconds(ticks: f64) -> f64 {
    const MANY: u64 = 1 << 30;
    ticks * nanoseconds(MANY) as f64 / MANY as f64
}

/// What reading the clock twice costs, in nanoseconds: the least of many, as anything more was something else.
#[must_use]
pub fn cost_ns() -> f64 {
    let cost = || {
        let start = ticks();
        ticks() - start
    };
    fine_nanoseconds((0..10_000).map(|_| cost()).min().unwrap_or(0) as f64)
}
