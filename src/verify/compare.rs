//! The comparison itself.

use slubreplay_parsers::capture::SlabSnapshot;
use slubreplay_parsers::capture::snapshot::CacheAttributes;

use super::marks::SnapshotMarks;
use crate::allocators::slub::{Counter, CpuCounts, Gauges};
use crate::replay::CacheState;

/// One figure of the kernel beside the replay's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Directory in sysfs.
    pub cache: String,
    /// Name of counter or gauge in sysfs.
    pub counter: &'static str,
    /// CPU, or `None` for the total.
    pub cpu: Option<u32>,
    /// The kernel's figure: after minus before for counters, value at the end for gauges.
    pub kernel: i64,
    /// The replay's.
    pub replay: i64,
    /// True for gauges.
    pub is_gauge: bool,
}

impl Row {
    /// Distance between the two.
    #[must_use]
    pub fn error(&self) -> u64 {
        self.kernel.abs_diff(self.replay)
    }
}

/// A cache's totals at a glance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheVerdict {
    /// Directory in sysfs.
    pub cache: String,
    /// Allocations and frees by the kernel's counters.
    pub operations: u64,
    /// Sum of the kernel's counters.
    pub kernel_sum: u64,
    /// Sum of the distances of all counters' totals, lost races left out.
    pub error_sum: u64,
    /// Counter with the largest distance, with that distance.
    pub worst: Option<(&'static str, u64)>,
    /// Sum of the distances of the gauges.
    pub gauge_error: u64,
    /// Slabs that hold no object of the trace: known from the first snapshot alone, and counted as full.
    pub untouched_slabs: u64,
    /// The kernel's counts of lost races, which a replay of one operation after the other cannot have.
    pub races: u64,
}

/// Everything that was compared.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verification {
    /// All figures, by cache, then counter, then CPU.
    pub rows: Vec<Row>,
    /// All caches that have counters.
    pub caches: Vec<CacheVerdict>,
    /// What the reader has to know of how the comparison was made.
    pub notes: Vec<String>,
}

/// The verification in a few figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Caches compared.
    pub caches: usize,
    /// Sum of the kernel's counters.
    pub kernel_sum: u64,
    /// Sum of the distances.
    pub error_sum: u64,
    /// Caches with at least [`Summary::BUSY`] operations.
    pub busy: usize,
    /// Those of them whose counters are all equal.
    pub busy_exact: usize,
    /// Lost races counted by the kernel.
    pub races: u64,
}

impl Summary {
    /// Operations from which on a cache counts as busy.
    pub const BUSY: u64 = 1000;

    /// Summed error as a share of the kernel's counts, in percent.
    #[must_use]
    pub fn error_percent(&self) -> f64 {
        if self.kernel_sum == 0 { 0.0 } else { self.error_sum as f64 * 100.0 / self.kernel_sum as f64 }
    }
}

impl Verification {
    /// The figures over all caches that `include` wants.
    #[must_use]
    pub fn summary(&self, include: impl Fn(&CacheVerdict) -> bool) -> Summary {
        let mut summary = Summary::default();
        for cache in self.caches.iter().filter(|cache| include(cache)) {
            summary.caches += 1;
            summary.kernel_sum = summary.kernel_sum.saturating_add(cache.kernel_sum);
            summary.error_sum = summary.error_sum.saturating_add(cache.error_sum);
            summary.races = summary.races.saturating_add(cache.races);
            if cache.operations >= Summary::BUSY {
                summary.busy += 1;
                summary.busy_exact += usize::from(cache.error_sum == 0);
            }
        }
        summary
    }
}

/// True for counters of lost races. They depend on what happened at the same instant on other CPUs,
/// within one operation; no trace shows that.
#[must_use]
pub(super) fn is_race(counter: &str) -> bool {
    counter == Counter::CmpxchgDoubleFail.name() || counter == Counter::CmpxchgDoubleCpuFail.name()
}

/// Compares every cache of the snapshots that has counters.
///
/// Each figure is compared with the replay as it was when the kernel's was read, or else at the cache's marker.
/// Without the markers of both snapshots, the states at start and end of the replay are used. Without a first
/// snapshot, the kernel's counters since boot are compared with the replay's since its start.
#[must_use]
pub fn compare<F: FnMut(u64)>(
    before: Option<&SlabSnapshot>,
    after: &SlabSnapshot,
    marks: &SnapshotMarks<F>,
    end: &dyn Fn(usize) -> CacheState,
    cpus: u16,
) -> Verification {
    let mut verification = Verification::default();
    let has_marks = marks.snapshots() >= 2;
    if !has_marks {
        let note = "the trace lacks the markers of the two snapshots: compared with the replay at start and end of the trace";
        verification.notes.push(note.to_owned());
    }
    if before.is_none() {
        let note = "there is no first snapshot: counters since boot are compared with those since the start of the trace";
        verification.notes.push(note.to_owned());
    }
    let mut unmarked = 0;
    let mut unread = 0;
    let mut cleared = 0;
    for (name, attributes) in &after.caches {
        if attributes.get(Counter::AllocFastpath.name()).is_none() {
            continue;
        }
        let number = marks.number(name);
        let earlier = before.and_then(|before| before.caches.get(name));
        let pair = Pair {
            earlier,
            later: attributes,
            marks,
            marked: number.filter(|_| has_marks),
            has_first: before.is_some(),
            start: number.and_then(|number| marks.start(number)).filter(|_| before.is_some()).cloned().unwrap_or_default(),
            end: number.map(end).unwrap_or_default(),
        };
        unmarked += u32::from(pair.marked.is_some_and(|number| !marks.has_mark(number, true)));
        unread += u32::from(pair.is_unread());
        cleared += cleared_counters(earlier, attributes);
        let from = verification.rows.len();
        counter_rows(name, &pair, cpus, &mut verification.rows);
        let untouched = earlier.map_or(0, |earlier| untouched_slabs(earlier, &pair.first("slabs").gauges));
        gauge_rows(name, &pair, untouched, &mut verification.rows);
        let verdict = CacheVerdict { untouched_slabs: untouched, ..verdict(name, &verification.rows[from..]) };
        verification.caches.push(verdict);
    }
    if unmarked > 0 {
        verification.notes.push(format!("{unmarked} caches have no marker of their own and are compared at the end of the trace"));
    }
    if unread > 0 {
        let note = format!("the trace does not show when the attributes of {unread} caches were read: they are compared at their markers");
        verification.notes.push(note);
    }
    if cleared > 0 {
        verification.notes.push(format!("{cleared} counters were cleared between the snapshots: their values since then are compared"));
    }
    verification
}

/// The two snapshots of one cache, with the replay's states at the same moments.
struct Pair<'a, F> {
    earlier: Option<&'a CacheAttributes>,
    later: &'a CacheAttributes,
    marks: &'a SnapshotMarks<F>,
    /// Number of the cache, if the trace has the markers of both snapshots.
    marked: Option<usize>,
    /// Whether there is a first snapshot, of this cache or others.
    has_first: bool,
    /// In place of the first, and the second, for want of markers.
    start: CacheState,
    end: CacheState,
}

impl<F: FnMut(u64)> Pair<'_, F> {
    /// State when this attribute was read for the first snapshot.
    fn first(&self, attribute: &str) -> &CacheState {
        let line = self.earlier.and_then(|earlier| earlier.line(attribute)).unwrap_or(0);
        let number = self.marked.filter(|_| self.has_first);
        number.and_then(|number| self.marks.state(number, false, line)).unwrap_or(&self.start)
    }

    /// State when this attribute was read for the second snapshot.
    fn second(&self, attribute: &str) -> &CacheState {
        let line = self.later.line(attribute).unwrap_or(0);
        self.marked.and_then(|number| self.marks.state(number, true, line)).unwrap_or(&self.end)
    }

    /// True if the trace has a marker of the cache, but does not show when its attributes were read.
    fn is_unread(&self) -> bool {
        self.marked.is_some_and(|number| {
            let is_unread = |second| self.marks.has_mark(number, second) && !self.marks.has_reads(number, second);
            is_unread(true) || (self.earlier.is_some() && is_unread(false))
        })
    }
}

/// Counters that are lower at the second snapshot without having wrapped: somebody wrote 0 to them.
fn cleared_counters(earlier: Option<&CacheAttributes>, later: &CacheAttributes) -> u32 {
    let number =
        |attributes: Option<&CacheAttributes>, counter: Counter| attributes.and_then(|attributes| attributes.number(counter.name()));
    let is_cleared = |counter: &Counter| {
        let (before, after) = (number(earlier, *counter).unwrap_or(0), number(Some(later), *counter).unwrap_or(0));
        after < before && before < WRAP_NEAR
    };
    Counter::ALL.iter().filter(|counter| is_cleared(counter)).count() as u32
}

fn counter_rows<F: FnMut(u64)>(name: &str, pair: &Pair<'_, F>, cpus: u16, rows: &mut Vec<Row>) {
    for counter in Counter::ALL {
        let Some(after) = pair.later.get(counter.name()) else { continue };
        let before = pair.earlier.and_then(|attributes| attributes.get(counter.name()));
        let row = |cpu, kernel, replay| Row { cache: name.to_owned(), counter: counter.name(), cpu, kernel, replay, is_gauge: false };
        let kernel = difference(after.total.unwrap_or(0), before.and_then(|value| value.total).unwrap_or(0));
        let states = (pair.first(counter.name()), pair.second(counter.name()));
        let replay = states.1.total(counter) as i64 - states.0.total(counter) as i64;
        rows.push(row(None, kernel, replay));
        for cpu in 0..cpus {
            let share = |value: Option<&slubreplay_parsers::capture::snapshot::Value>| {
                value.and_then(|value| value.cpus.get(&u32::from(cpu))).copied().unwrap_or(0)
            };
            let count = |state: &CacheState| state.counts.get(usize::from(cpu)).map_or(0, |counts: &CpuCounts| counts.get(counter)) as i64;
            rows.push(row(Some(u32::from(cpu)), difference(share(Some(after)), share(before)), count(states.1) - count(states.0)));
        }
    }
}

/// A counter below this cannot have wrapped between two snapshots.
const WRAP_NEAR: u64 = 1 << 31;

/// The kernel's counters are 32 bits wide and wrap. A total is a sum of such, so it may seem to shrink. A
/// counter that shrank without being near the limit was cleared.
fn difference(after: u64, before: u64) -> i64 {
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    if after >= before {
        signed(after - before)
    } else if before >= WRAP_NEAR {
        signed((after + (1 << 32)).saturating_sub(before))
    } else {
        signed(after)
    }
}

/// Slabs that the kernel had at the first snapshot beyond those of the replay. No object in them is ever used
/// by the trace, so they are full of objects from before it.
fn untouched_slabs(earlier: &CacheAttributes, replay: &Gauges) -> u64 {
    earlier.number("slabs").unwrap_or(0).saturating_sub(replay.slabs)
}

fn with_untouched(replay: Gauges, untouched: u64, attributes: &CacheAttributes) -> Gauges {
    let objects = untouched.saturating_mul(attributes.number("objs_per_slab").unwrap_or(0));
    Gauges {
        slabs: replay.slabs.saturating_add(untouched),
        total_objects: replay.total_objects.saturating_add(objects),
        objects: replay.objects.saturating_add(objects),
        ..replay
    }
}

fn gauge_rows<F: FnMut(u64)>(name: &str, pair: &Pair<'_, F>, untouched: u64, rows: &mut Vec<Row>) {
    for (position, (gauge, _)) in Gauges::default().named().into_iter().enumerate() {
        let (_, value) = with_untouched(pair.second(gauge).gauges, untouched, pair.later).named()[position];
        if let Some(kernel) = pair.later.number(gauge) {
            rows.push(Row {
                cache: name.to_owned(),
                counter: gauge,
                cpu: None,
                kernel: kernel as i64,
                replay: value as i64,
                is_gauge: true,
            });
        }
    }
}

fn verdict(name: &str, rows: &[Row]) -> CacheVerdict {
    let totals = || rows.iter().filter(|row| row.cpu.is_none() && !row.is_gauge);
    let counters = || totals().filter(|row| !is_race(row.counter));
    let kernel = |wanted: &[Counter]| {
        let rows = totals().filter(|row| wanted.iter().any(|counter| counter.name() == row.counter));
        rows.map(|row| row.kernel.unsigned_abs()).fold(0, u64::saturating_add)
    };
    CacheVerdict {
        cache: name.to_owned(),
        operations: kernel(&[Counter::AllocFastpath, Counter::AllocSlowpath, Counter::FreeFastpath, Counter::FreeSlowpath]),
        kernel_sum: counters().map(|row| row.kernel.unsigned_abs()).fold(0, u64::saturating_add),
        error_sum: counters().map(Row::error).fold(0, u64::saturating_add),
        worst: counters().map(|row| (row.counter, row.error())).filter(|(_, error)| *error > 0).max_by_key(|&(_, error)| error),
        gauge_error: rows.iter().filter(|row| row.is_gauge).map(Row::error).fold(0, u64::saturating_add),
        untouched_slabs: 0,
        races: totals().filter(|row| is_race(row.counter)).map(|row| row.kernel.unsigned_abs()).fold(0, u64::saturating_add),
    }
}
