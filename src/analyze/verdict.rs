//! What is wrong with a cache, if anything, and what shows it.
//!
//! Each rule gives the bytes that it is about; below 64 KiB a cache is fine whatever its shares, and of several findings the one
//! with the most bytes is told first. A suspected leak comes before all others, as it does not end.

use super::lives::CacheLives;
use super::looks::CacheLook;
use crate::prepare::PlannedCache;

/// Bytes below which nothing is worth a finding.
pub(super) const LEAST_BYTES: u64 = 64 << 10;

/// What a cache suffers from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Nothing.
    Fine,
    /// Objects become more and more, and those of the middle of the trace are mostly still there.
    Leak,
    /// Much of the slabs is free objects in slabs that others share with live ones.
    Sparse,
    /// Much of the slabs is free objects that only one CPU can have.
    Hoarded,
    /// Much of live objects is padding: the size class does not fit what is asked for.
    WastefulClass,
    /// Slabs of several pages, which the page allocator could not always give.
    HighOrder,
}

impl Kind {
    /// Name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Fine => "fine",
            Self::Leak => "leak?",
            Self::Sparse => "sparse",
            Self::Hoarded => "hoarded",
            Self::WastefulClass => "wasteful class",
            Self::HighOrder => "high-order",
        }
    }
}

/// What was found of a cache.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// The verdict.
    pub kind: Kind,
    /// Bytes that it is about; 0 if the cache is fine.
    pub bytes: u64,
    /// What shows it, in one sentence; what is true besides, after it.
    pub evidence: Vec<String>,
}

/// What a verdict goes by.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// The cache.
    pub planned: &'a PlannedCache,
    /// Its looks.
    pub looks: &'a [CacheLook],
    /// Its objects.
    pub lives: &'a CacheLives,
    /// Page size in bytes.
    pub page_bytes: u32,
}

/// Judges a cache by its state at the end, and by its course.
#[must_use]
pub fn verdict(seen: &Seen<'_>) -> Finding {
    let rules = [leak, sparse, hoarded, wasteful_class, high_order];
    let mut found: Vec<(Kind, u64, String)> =
        rules.iter().filter_map(|rule| rule(seen)).filter(|(_, bytes, _)| *bytes >= LEAST_BYTES).collect();
    found.sort_by_key(|&(kind, bytes, _)| (kind != Kind::Leak, std::cmp::Reverse(bytes)));
    let (kind, bytes) = found.first().map_or((Kind::Fine, 0), |&(kind, bytes, _)| (kind, bytes));
    Finding { kind, bytes, evidence: found.into_iter().map(|(_, _, evidence)| evidence).collect() }
}

type Found = Option<(Kind, u64, String)>;

fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 * 100.0 }
}

fn kib(bytes: u64) -> String {
    format!("{:.1} KiB", bytes as f64 / 1024.0)
}

/// Live objects rise from each quarter to the next, by a tenth at least over the last three, and at least half of what was allocated in the
/// middle half of the trace is still live.
fn leak(seen: &Seen<'_>) -> Found {
    let last = seen.looks.len().checked_sub(1)?;
    let quarters: Vec<u64> = (1..=4).map(|quarter| seen.looks[last * quarter / 4].live).collect();
    let rises = quarters.windows(2).all(|pair| pair[1] > pair[0]);
    let growth = quarters[3].saturating_sub(quarters[0]);
    let lives = seen.lives;
    if !rises || growth * 10 < quarters[0] || lives.middle_live * 2 < lives.middle_allocs || lives.middle_allocs < 16 {
        return None;
    }
    let bytes = growth * u64::from(seen.planned.layout.size);
    Some((
        Kind::Leak,
        bytes,
        format!(
            "live objects rose from quarter to quarter, {} to {} ({}); of {} allocated in the middle half of the trace, {:.0}% are still live",
            quarters[0],
            quarters[3],
            kib(bytes),
            lives.middle_allocs,
            percent(lives.middle_live, lives.middle_allocs)
        ),
    ))
}

/// At least 30 % of the slabs' bytes are free objects in slabs of the nodes' lists, or in others that are not full.
fn sparse(seen: &Seen<'_>) -> Found {
    let look = seen.looks.last()?;
    let stride = u64::from(seen.planned.layout.size);
    let bytes = (look.free_at[0] + look.free_at[3]) * stride;
    (percent(bytes, look.slab_bytes) >= 30.0).then(|| {
        let half: u32 = look.occupancy[1..=5].iter().sum();
        let evidence = format!(
            "{:.0}% of {} are free objects on nodes' lists; {half} of {} slabs are half full or less, {} empty",
            percent(bytes, look.slab_bytes),
            kib(look.slab_bytes),
            look.slabs,
            look.occupancy[0]
        );
        (Kind::Sparse, bytes, evidence)
    })
}

/// At least 30 % of the slabs' bytes are free objects in cpu slabs, on CPU partial lists, in sheaves or arrays.
fn hoarded(seen: &Seen<'_>) -> Found {
    let look = seen.looks.last()?;
    let bytes = look.held() * u64::from(seen.planned.layout.size);
    (percent(bytes, look.slab_bytes) >= 30.0).then(|| {
        let evidence = format!(
            "{:.0}% of {} are free objects that CPUs hold: {} in cpu slabs, {} on CPU partial lists, {} in sheaves or arrays",
            percent(bytes, look.slab_bytes),
            kib(look.slab_bytes),
            look.free_at[1],
            look.free_at[2],
            look.parked
        );
        (Kind::Hoarded, bytes, evidence)
    })
}

/// At least a quarter of the bytes of live objects was not asked for.
fn wasteful_class(seen: &Seen<'_>) -> Found {
    let stride = u64::from(seen.planned.layout.size);
    let (live, requested) = (seen.lives.live, seen.lives.live_requested_bytes);
    let live_bytes = live * stride;
    let bytes = live_bytes.saturating_sub(requested);
    (percent(bytes, live_bytes) >= 25.0).then(|| {
        let mean = requested as f64 / live.max(1) as f64;
        let evidence =
            format!("{:.0}% of live objects is padding: {mean:.0} bytes asked for in the mean, {stride} given", percent(bytes, live_bytes));
        (Kind::WastefulClass, bytes, evidence)
    })
}

/// Slabs of two pages and more of which at least one in a hundred had to be smaller.
fn high_order(seen: &Seen<'_>) -> Found {
    let look = seen.looks.last()?;
    let layout = &seen.planned.layout;
    let made = look.slabs.max(look.order_fallbacks);
    if layout.order == 0 || look.order_fallbacks == 0 || percent(look.order_fallbacks, made) < 1.0 {
        return None;
    }
    let bytes = look.order_fallbacks * (u64::from(seen.page_bytes) << layout.order);
    let evidence = format!("{} slabs of order {} were refused and made of order {}", look.order_fallbacks, layout.order, layout.min_order);
    Some((Kind::HighOrder, bytes, evidence))
}
