//! What a replay tells beyond its counters: where memory is lost, who holds it, and what becomes of objects.
//!
//! | file | what it answers |
//! |---|---|
//! | `looks` | how full slabs are, where free objects are parked, how long slabs stay on lists: at evenly spaced moments |
//! | `lives` | how long objects live, who allocates and frees how much, what is never freed, what is freed on another CPU |
//! | `pinning` | whose long-lived objects keep slabs that are mostly free |
//! | `verdict` | what is wrong with a cache, if anything |
//! | [`callers`] | the table of `perf kmem stat`, from the events themselves |
//!
//! `lives` needs the plan alone; `looks` and `pinning` look at a replay that stands still ([`Paused`]).

pub mod callers;
mod lives;
mod looks;
mod pinning;
#[cfg(test)]
mod tests;
mod verdict;

pub use lives::{CacheLives, Lives, Owner, OwnerLives, RemoteFrees};
pub use looks::{CacheLook, Looks, OCCUPANCY_BINS, PLACES};
pub use pinning::{Pin, PinnedBytes};
pub use verdict::{Finding, Kind, verdict};

use crate::allocators::slub::Rules;
use crate::prepare::Plan;
use crate::replay::{CacheState, Observer, Paused};
use looks::Watch;
use pinning::Pinning;

/// Everything that the analyses of one replay found.
#[derive(Debug, Clone, Default)]
pub struct Analysis {
    /// Moments that were looked at, in nanoseconds since the first event.
    pub moments_ns: Vec<u64>,
    /// By cache, then moment.
    pub looks: Vec<Vec<CacheLook>>,
    /// Objects by cache, call site and thread.
    pub lives: Lives,
    /// Who pins slabs, the most bytes in the mean first.
    pub pins: Vec<Pin>,
    /// By cache.
    pub findings: Vec<Finding>,
}

/// Looks on while a replay runs.
pub struct Analyst<'a> {
    plan: &'a Plan,
    looks: &'a Looks,
    watch: Watch<'a>,
    pinning: Pinning<'a>,
    page_bytes: u32,
}

impl<'a> Analyst<'a> {
    /// For a replay of `plan` by these rules that pauses at the positions of `looks`.
    #[must_use]
    pub fn new(plan: &'a Plan, rules: &'a Rules, page_bytes: u32, looks: &'a Looks) -> Self {
        Self { plan, looks, watch: Watch::new(plan, rules, page_bytes), pinning: Pinning::new(plan, looks), page_bytes }
    }

    /// The findings, when the replay is done.
    #[must_use]
    pub fn finish(self) -> Analysis {
        let lives = Lives::of(self.plan, self.looks);
        let looks = self.watch.into_looks();
        let pins = self.pinning.into_pins();
        let findings = self
            .plan
            .caches
            .iter()
            .enumerate()
            .map(|(cache, planned)| {
                let seen = verdict::Seen { planned, looks: &looks[cache], lives: &lives.caches[cache], page_bytes: self.page_bytes };
                verdict(&seen)
            })
            .collect();
        Analysis { moments_ns: self.looks.moments_ns.clone(), looks, lives, pins, findings }
    }
}

impl Observer for Analyst<'_> {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}

    fn pause(&mut self, at: &Paused<'_>) {
        let moment = self.watch.count();
        let Some(&moment_ns) = self.looks.moments_ns.get(moment) else { return };
        self.watch.look(at, moment_ns);
        self.pinning.look(at, moment);
    }

    fn progress(&mut self, _: u64) {}
}
