//! Slab agreement, cache by cache and over time: needs no snapshot, only addresses.

use std::fmt;

use crate::prepare::{Coverage, Plan};
use crate::replay::{CacheAgreement, Outcome, Timeline};

/// The agreement of one cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgreementRow {
    /// Number of the cache in the plan.
    pub number: usize,
    /// Its name.
    pub cache: String,
    /// What was compared.
    pub figures: CacheAgreement,
    /// How far the trace shows what happened to it.
    pub coverage: Coverage,
}

/// The agreement over several caches.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgreementTotal {
    /// Allocations whose slab in the kernel is known.
    pub compared: u64,
    /// Of these, those served from the slab that stands for the kernel's.
    pub agreed: u64,
    /// The first that was not.
    pub first_divergence: Option<FirstDivergence>,
}

impl AgreementTotal {
    /// Share that agrees, in percent; `None` if nothing could be compared.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        percent(self.agreed, self.compared)
    }
}

/// Where replay and kernel part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FirstDivergence {
    /// Position of the operation in the plan.
    pub operation: usize,
    /// Nanoseconds since the first event.
    pub time_ns: u64,
    /// Cache that it is of.
    pub cache: String,
}

/// The agreement within a part of the trace's time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slice {
    /// Start, in nanoseconds since the first event.
    pub from_ns: u64,
    /// End.
    pub to_ns: u64,
    /// Allocations compared in it.
    pub compared: u64,
    /// Of these, those that agree.
    pub agreed: u64,
}

impl Slice {
    /// Share that agrees, in percent; `None` if nothing could be compared.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        percent(self.agreed, self.compared)
    }
}

fn percent(agreed: u64, compared: u64) -> Option<f64> {
    (compared > 0).then(|| agreed as f64 * 100.0 / compared as f64)
}

/// Why agreement cannot be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Obstacle {
    /// No allocation has an address whose slab is known.
    NoAddresses,
    /// The addresses are not where the objects were.
    Hashed,
}

impl fmt::Display for Obstacle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoAddresses => "no allocation of the trace has an address whose slab is known",
            Self::Hashed => "the trace has hashes for pointers, which tell objects apart, but not where they were",
        })
    }
}

/// The slab agreement of a replay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Agreements {
    /// All caches of which something was compared, in the order of the plan.
    pub caches: Vec<AgreementRow>,
    start_ns: u64,
}

impl Agreements {
    /// Gathers what a replay of `plan` found.
    #[must_use]
    pub fn of(plan: &Plan, outcome: &Outcome) -> Self {
        let caches = plan.caches.iter().zip(&outcome.caches).enumerate();
        let caches = caches.filter(|(_, (_, outcome))| outcome.agreement.compared > 0).map(|(number, (planned, outcome))| AgreementRow {
            number,
            cache: planned.name.clone(),
            figures: outcome.agreement,
            coverage: Coverage::of(&plan.ledger, &planned.name),
        });
        Self { caches: caches.collect(), start_ns: plan.time_range_ns.0 }
    }

    /// The row of a cache.
    #[must_use]
    pub fn row(&self, cache: &str) -> Option<&AgreementRow> {
        self.caches.iter().find(|row| row.cache == cache)
    }

    /// Where a cache diverges first: the operation, and the time since the first event.
    #[must_use]
    pub fn first_of(&self, row: &AgreementRow) -> Option<FirstDivergence> {
        let (operation, time_ns) = row.figures.first_divergence?;
        Some(FirstDivergence { operation, time_ns: time_ns.saturating_sub(self.start_ns), cache: row.cache.clone() })
    }

    /// The figures over all caches that `include` wants.
    #[must_use]
    pub fn total(&self, include: impl Fn(&AgreementRow) -> bool) -> AgreementTotal {
        let mut total = AgreementTotal::default();
        for row in self.caches.iter().filter(|row| include(row)) {
            total.compared += row.figures.compared;
            total.agreed += row.figures.agreed;
            let firsts = total.first_divergence.take().into_iter().chain(self.first_of(row));
            total.first_divergence = firsts.min_by_key(|first| first.operation);
        }
        total
    }

    /// The agreement in `wanted` equal parts of the time that a timeline covers, over all caches that `include` wants. The
    /// moments of the timeline should divide into so many.
    #[must_use]
    pub fn slices(&self, timeline: &Timeline, wanted: usize, include: impl Fn(&AgreementRow) -> bool) -> Vec<Slice> {
        let rows: Vec<&AgreementRow> = self.caches.iter().filter(|row| include(row)).collect();
        let until = |sample: usize| {
            let samples = rows.iter().filter_map(|row| timeline.caches.get(row.number)?.get(sample));
            samples.fold((0, 0), |(compared, agreed), sample| (compared + sample.compared, agreed + sample.agreed))
        };
        let last = timeline.time_ns.len().saturating_sub(1);
        let mut slices = Vec::with_capacity(wanted);
        // What happens at the very first moment belongs to the first part.
        let (mut from_ns, mut before) = (0, (0, 0));
        for part in 1..=wanted {
            let sample = last * part / wanted;
            let Some(&to_ns) = timeline.time_ns.get(sample) else { break };
            let now = until(sample);
            slices.push(Slice { from_ns, to_ns, compared: now.0 - before.0, agreed: now.1 - before.1 });
            (from_ns, before) = (to_ns, now);
        }
        slices
    }

    /// What keeps the agreement from being judged, if anything. A trace too short to tell hashes by itself may have them too: objects
    /// are aligned to a machine word (`calculate_alignment()`), hashes are as good as random.
    #[must_use]
    pub fn obstacle(&self, plan: &Plan, word_bytes: u32) -> Option<Obstacle> {
        if plan.has_hashed_pointers {
            return Some(Obstacle::Hashed);
        }
        if self.caches.is_empty() {
            return Some(Obstacle::NoAddresses);
        }
        let addresses = plan.ops.iter().filter(|op| !op.what.is_free()).filter_map(|op| plan.kernel.address(op.object));
        let (all, unaligned) = addresses.fold((0_u64, 0_u64), |(all, unaligned), address| {
            (all + 1, unaligned + u64::from(!address.is_multiple_of(u64::from(word_bytes.max(1)))))
        });
        (unaligned * 2 > all).then_some(Obstacle::Hashed)
    }
}

#[cfg(test)]
mod tests {
    use slubreplay_parsers::event::{Alloc, AllocCall, Body, Context, Event};
    use slubreplay_parsers::recording::{CpuStream, Recording};

    use super::*;
    use crate::allocators::slub::sizing::{Build, Kernel, KernelRelease, Machine};
    use crate::allocators::slub::{Rules, Topology};
    use crate::mem::UnlimitedPages;
    use crate::prepare::{Snapshots, prepare};
    use crate::replay::{Engine, NoObserver, Setup, TimelineSample};

    /// What keeps allocations at these addresses from being judged.
    fn obstacle(addresses: &[u64]) -> Option<Obstacle> {
        let release = KernelRelease::new(6, 12, 0);
        let alloc = |ptr| Alloc {
            call_site: 1,
            ptr,
            bytes_req: 64,
            bytes_alloc: 64,
            gfp_flags: 0xcc0,
            node: -1,
            name: None,
            call: AllocCall::Kmalloc,
            accounted: None,
        };
        let event = |(time_ns, &ptr)| Event { time_ns, body: Body::Alloc(alloc(ptr)), pid: 1, cpu: 0, context: Context(0) };
        let events = (1..).zip(addresses).map(event).collect();
        let recording = Recording { streams: vec![CpuStream { cpu: 0, events }], ..Recording::default() };
        let plan = prepare(&recording, &Kernel::new(release, Machine::x86_64(1), Build::default()), Snapshots::default());
        let setup = Setup {
            rules: Rules::of(release),
            topology: Topology::uniform(1),
            page_bytes: 4096,
            samples: 0,
            pause_at: Vec::new(),
            check_every: 0,
        };
        let (outcome, _) = Engine::new(&plan, &setup, UnlimitedPages::default()).run(&mut NoObserver).expect("replays");
        Agreements::of(&plan, &outcome).obstacle(&plan, 8)
    }

    #[test]
    fn hashed_and_absent_addresses_cannot_be_judged() {
        assert_eq!(obstacle(&[0xffff_8880_0000_1040, 0xffff_8880_0000_1080]), None);
        assert_eq!(obstacle(&[0x5f3a_91c7, 0x0c44_81e3, 0x77d0_1b28]), Some(Obstacle::Hashed));
        assert_eq!(obstacle(&[0, 0]), Some(Obstacle::NoAddresses));
        assert_eq!(obstacle(&[]), Some(Obstacle::NoAddresses));
    }

    fn row(number: usize, compared: u64, agreed: u64, first: Option<(usize, u64)>) -> AgreementRow {
        AgreementRow {
            number,
            cache: format!("cache-{number}"),
            figures: CacheAgreement { compared, agreed, first_divergence: first },
            coverage: Coverage::default(),
        }
    }

    #[test]
    fn totals_add_up_and_keep_the_earliest_divergence() {
        let agreements = Agreements { caches: vec![row(0, 10, 9, Some((7, 170))), row(1, 30, 27, Some((3, 130)))], start_ns: 100 };
        let total = agreements.total(|_| true);
        assert_eq!((total.compared, total.agreed, total.percent()), (40, 36, Some(90.0)));
        assert_eq!(total.first_divergence, Some(FirstDivergence { operation: 3, time_ns: 30, cache: "cache-1".to_owned() }));
        assert_eq!(agreements.total(|_| false).percent(), None);
    }

    #[test]
    fn slices_are_differences_of_what_was_counted_until_then() {
        let sample = |compared, agreed| TimelineSample { compared, agreed, ..TimelineSample::default() };
        let timeline = Timeline {
            time_ns: vec![0, 10, 20, 30, 40],
            caches: vec![vec![sample(1, 1), sample(2, 2), sample(4, 3), sample(4, 3), sample(6, 5)]],
        };
        let agreements = Agreements { caches: vec![row(0, 6, 5, None)], start_ns: 0 };
        let slices = agreements.slices(&timeline, 2, |_| true);
        let expected = [Slice { from_ns: 0, to_ns: 20, compared: 4, agreed: 3 }, Slice { from_ns: 20, to_ns: 40, compared: 2, agreed: 2 }];
        assert_eq!(slices, expected);
    }
}
