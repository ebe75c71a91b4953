//! What becomes of objects: how long they live, who has them, what is never freed, what is freed on another CPU.
//!
//! All of it follows from the operations alone. Untraced operations are where preparation put them, so that lifetimes that end with
//! an inferred free are at most what is said here.

use hdrhistogram::Histogram;
use rustc_hash::FxHashMap;

use super::looks::Looks;
use crate::prepare::Plan;

/// Objects of a cache.
#[derive(Debug, Clone)]
pub struct CacheLives {
    /// Lifetimes of objects that were allocated and freed in the trace, in nanoseconds, to two digits.
    pub lifetimes: Histogram<u32>,
    /// Of these, those whose end was inferred.
    pub inferred: u64,
    /// Frees by another CPU than allocated the object.
    pub remote_frees: u64,
    /// Frees of objects whose CPU is known.
    pub known_frees: u64,
    /// Allocations between each look and the next.
    pub allocs_between: Vec<u64>,
    /// Objects that were allocated between a quarter and three quarters of the time of the trace.
    pub middle_allocs: u64,
    /// Of these, those live at the end.
    pub middle_live: u64,
    /// Objects live at the end of which the trace shows how many bytes were asked for.
    pub live: u64,
    /// These bytes.
    pub live_requested_bytes: u64,
}

impl Default for CacheLives {
    fn default() -> Self {
        Self {
            lifetimes: histogram(2),
            inferred: 0,
            remote_frees: 0,
            known_frees: 0,
            allocs_between: Vec::new(),
            middle_allocs: 0,
            middle_live: 0,
            live: 0,
            live_requested_bytes: 0,
        }
    }
}

/// Who has objects of a cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner<T> {
    /// Cache, as an index into [`Plan::caches`].
    pub cache: u16,
    /// Call site, as an index into [`Origins::sites`](crate::prepare::Origins::sites), or thread; `None` if it is not known.
    pub who: Option<T>,
}

/// Objects of an owner.
#[derive(Debug, Clone)]
pub struct OwnerLives {
    /// Allocations.
    pub allocs: u64,
    /// Bytes asked for, over all allocations.
    pub requested_bytes: u64,
    /// Objects freed.
    pub frees: u64,
    /// Of these, by another CPU than allocated them.
    pub remote_frees: u64,
    /// Objects allocated in the trace and live at its end.
    pub live: u64,
    /// Bytes asked for of these.
    pub live_requested_bytes: u64,
    /// When the oldest of them was allocated, in nanoseconds since the first event.
    pub oldest_ns: Option<u64>,
    /// Lifetimes of objects that were freed, in nanoseconds, to one digit.
    pub lifetimes: Histogram<u32>,
}

impl Default for OwnerLives {
    fn default() -> Self {
        Self {
            allocs: 0,
            requested_bytes: 0,
            frees: 0,
            remote_frees: 0,
            live: 0,
            live_requested_bytes: 0,
            oldest_ns: None,
            lifetimes: histogram(1),
        }
    }
}

/// Frees by the CPU that allocated the object, then the one that freed it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RemoteFrees {
    /// CPUs.
    pub cpus: usize,
    counts: Vec<u64>,
}

impl RemoteFrees {
    fn new(cpus: usize) -> Self {
        Self { cpus, counts: vec![0; cpus * cpus] }
    }

    /// Objects that one CPU allocated and another, or the same, freed.
    #[must_use]
    pub fn count(&self, allocated_by: usize, freed_by: usize) -> u64 {
        self.counts[allocated_by * self.cpus + freed_by]
    }
}

/// Objects of a whole trace.
#[derive(Debug, Clone, Default)]
pub struct Lives {
    /// By cache.
    pub caches: Vec<CacheLives>,
    /// By cache and call site, in this order.
    pub sites: Vec<(Owner<u32>, OwnerLives)>,
    /// By cache and thread, in this order.
    pub threads: Vec<(Owner<i32>, OwnerLives)>,
    /// Over all caches.
    pub remote_frees: RemoteFrees,
}

/// Grows as values come. Beyond 292 years nothing lives.
fn histogram(digits: u8) -> Histogram<u32> {
    let mut histogram = Histogram::new(digits).expect("digits from 0 to 5 are allowed");
    histogram.auto(true);
    histogram
}

fn lived(lifetimes: &mut Histogram<u32>, age_ns: u64) {
    // Saturating instead of failing would keep it from growing.
    lifetimes.record(age_ns).expect("a histogram that grows takes every number");
}

/// A live object.
#[derive(Debug, Clone, Copy)]
struct Born {
    time_ns: u64,
    requested_bytes: u32,
    cpu: u16,
    /// It was allocated in the trace.
    is_known: bool,
    is_live: bool,
    site: u32,
    thread: u32,
}

const UNBORN: Born = Born { time_ns: 0, requested_bytes: 0, cpu: 0, is_known: false, is_live: false, site: 0, thread: 0 };

/// Numbers owners and keeps what they have.
struct Owners<T> {
    numbers: FxHashMap<Owner<T>, u32>,
    all: Vec<(Owner<T>, OwnerLives)>,
}

impl<T: Copy + Ord + std::hash::Hash> Owners<T> {
    fn new() -> Self {
        Self { numbers: FxHashMap::default(), all: Vec::new() }
    }

    fn number(&mut self, owner: Owner<T>) -> u32 {
        *self.numbers.entry(owner).or_insert_with(|| {
            self.all.push((owner, OwnerLives::default()));
            self.all.len() as u32 - 1
        })
    }

    fn of(&mut self, number: u32) -> &mut OwnerLives {
        &mut self.all[number as usize].1
    }

    fn sorted(mut self) -> Vec<(Owner<T>, OwnerLives)> {
        self.all.sort_by_key(|(owner, _)| *owner);
        self.all
    }
}

impl Lives {
    /// Follows all objects of a plan. Allocations of objects from before the trace, which come first in a plan for another kernel, count as
    /// such.
    #[must_use]
    pub fn of(plan: &Plan, looks: &Looks) -> Self {
        let cpus = plan.ops.iter().map(|op| usize::from(op.cpu) + 1).max().unwrap_or(0);
        let mut lives = Self {
            caches: vec![
                CacheLives { allocs_between: vec![0; looks.positions.len().saturating_sub(1)], ..CacheLives::default() };
                plan.caches.len()
            ],
            remote_frees: RemoteFrees::new(cpus),
            ..Self::default()
        };
        let (mut sites, mut threads) = (Owners::new(), Owners::new());
        let (start, end) = plan.time_range_ns;
        let quarter = end.saturating_sub(start) / 4;
        let middle = start + quarter..end - quarter;
        let mut born = vec![UNBORN; plan.objects as usize];
        let mut look = 0;
        for (position, op) in plan.ops.iter().enumerate() {
            while looks.positions.get(look + 1).is_some_and(|&next| next <= position) {
                look += 1;
            }
            let cache = &mut lives.caches[usize::from(op.cache)];
            let object = &mut born[op.object as usize];
            if !op.what.is_free() {
                let origin = plan.origins.of(op.object);
                let site = sites.number(Owner { cache: op.cache, who: origin.site });
                let thread = threads.number(Owner { cache: op.cache, who: origin.pid });
                *object = Born {
                    time_ns: op.time_ns,
                    requested_bytes: op.requested_bytes,
                    cpu: op.cpu,
                    is_known: true,
                    is_live: true,
                    site,
                    thread,
                };
                for owner in [sites.of(site), threads.of(thread)] {
                    owner.allocs += 1;
                    owner.requested_bytes += u64::from(op.requested_bytes);
                }
                if let Some(count) = cache.allocs_between.get_mut(look) {
                    *count += 1;
                }
                cache.middle_allocs += u64::from(middle.contains(&op.time_ns));
                continue;
            }
            let was = *object;
            object.is_live = false;
            if !was.is_known || !was.is_live {
                continue;
            }
            let age_ns = op.time_ns.saturating_sub(was.time_ns).max(1);
            let is_remote = was.cpu != op.cpu;
            lived(&mut cache.lifetimes, age_ns);
            cache.inferred += u64::from(op.what.is_implied());
            cache.known_frees += 1;
            cache.remote_frees += u64::from(is_remote);
            lives.remote_frees.counts[usize::from(was.cpu) * cpus + usize::from(op.cpu)] += 1;
            for owner in [sites.of(was.site), threads.of(was.thread)] {
                owner.frees += 1;
                owner.remote_frees += u64::from(is_remote);
                lived(&mut owner.lifetimes, age_ns);
            }
        }
        for was in born.iter().filter(|was| was.is_known && was.is_live) {
            for owner in [sites.of(was.site), threads.of(was.thread)] {
                owner.live += 1;
                owner.live_requested_bytes += u64::from(was.requested_bytes);
                let age = was.time_ns.saturating_sub(start);
                owner.oldest_ns = Some(owner.oldest_ns.map_or(age, |oldest| oldest.min(age)));
            }
            let cache = &mut lives.caches[usize::from(sites.all[was.site as usize].0.cache)];
            cache.middle_live += u64::from(middle.contains(&was.time_ns));
            cache.live += u64::from(was.requested_bytes > 0);
            cache.live_requested_bytes += u64::from(was.requested_bytes);
        }
        (lives.sites, lives.threads) = (sites.sorted(), threads.sorted());
        lives
    }
}
