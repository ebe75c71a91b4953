//! Whose long-lived objects keep slabs that are mostly free.
//!
//! A slab is *sparse* if less than half of its objects are live, but some are, and no CPU allocates from it. Its pages cannot go back as long
//! as one object is live. Objects that were live at the look before already count as long-lived; they share what is not live in their slab
//! evenly: that is what they pin. Objects from before the trace that it never speaks of are long-lived, of an unknown call site.

use std::collections::BTreeMap;

use super::looks::Looks;
use crate::allocators::SlabPlace;
use crate::prepare::Plan;
use crate::replay::Paused;

/// Bytes pinned by the objects of a call site, in one cache.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct PinnedBytes {
    /// At the last look.
    pub end: f64,
    /// At the look with the most.
    pub peak: f64,
    /// In the mean over all looks.
    pub mean: f64,
    /// Objects that do it, at the last look.
    pub objects_end: u64,
    /// Sum of their ages at the last look, in nanoseconds; since the first event for those from before the trace.
    pub age_ns: u64,
}

/// What a call site pins in a cache.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pin {
    /// Cache, as an index into [`Plan::caches`].
    pub cache: u16,
    /// Call site, as an index into [`Origins::sites`](crate::prepare::Origins::sites); `None` if it is not known.
    pub site: Option<u32>,
    /// How much.
    pub bytes: PinnedBytes,
}

/// Objects of one slab that matter.
#[derive(Debug, Clone, Copy, Default)]
struct Sparse {
    /// Bytes that are not live; 0 if the slab is not sparse.
    idle_bytes: u64,
    live: u16,
    known: u16,
    old: u16,
}

impl Sparse {
    /// Objects from before the trace of which nothing is known.
    fn unknown(&self) -> u16 {
        self.live.saturating_sub(self.known)
    }

    /// What each long-lived object pins.
    fn share(&self) -> Option<f64> {
        let holders = self.old + self.unknown();
        (self.idle_bytes > 0 && holders > 0).then(|| self.idle_bytes as f64 / f64::from(holders))
    }
}

pub(super) struct Pinning<'a> {
    plan: &'a Plan,
    looks: &'a Looks,
    /// By object: its cache, and when it was allocated (the first event, if that was not seen).
    cache_of: Vec<u16>,
    born_ns: Vec<u64>,
    pins: BTreeMap<(u16, Option<u32>), PinnedBytes>,
}

impl<'a> Pinning<'a> {
    pub(super) fn new(plan: &'a Plan, looks: &'a Looks) -> Self {
        let objects = plan.objects as usize;
        let mut pinning =
            Self { plan, looks, cache_of: vec![u16::MAX; objects], born_ns: vec![plan.time_range_ns.0; objects], pins: BTreeMap::new() };
        for op in &plan.ops {
            let object = op.object as usize;
            pinning.cache_of[object] = op.cache;
            if !op.what.is_free() {
                pinning.born_ns[object] = op.time_ns;
            }
        }
        for seed in &plan.seeds {
            for &(object, _) in &seed.live {
                if let Some(cache) = pinning.cache_of.get_mut(object as usize) {
                    *cache = seed.cache;
                }
            }
        }
        pinning
    }

    pub(super) fn look(&mut self, at: &Paused<'_>, moment: usize) {
        let Some(before) = moment.checked_sub(1) else { return };
        let start = self.plan.time_range_ns.0;
        let [before_ns, now_ns] = [before, moment].map(|moment| start.saturating_add(self.looks.moments_ns[moment]));
        let mut slabs = self.sparse_slabs(at);
        let is_old = |object: u32, born: &[u64]| born.get(object as usize).is_some_and(|&born| born <= before_ns);
        at.each_live(|object, place, _| {
            if let Some(slab) = Self::slab(&mut slabs, &self.cache_of, object, place.slab.index()) {
                slab.known += 1;
                slab.old += u16::from(is_old(object, &self.born_ns));
            }
        });
        let mut found: BTreeMap<(u16, Option<u32>), PinnedBytes> = BTreeMap::new();
        let mut add = |cache: u16, site: Option<u32>, bytes: f64, objects: u64, age_ns: u64| {
            let pin = found.entry((cache, site)).or_default();
            pin.end += bytes;
            pin.objects_end += objects;
            pin.age_ns = pin.age_ns.saturating_add(age_ns);
        };
        at.each_live(|object, place, _| {
            if let Some(slab) = Self::slab(&mut slabs, &self.cache_of, object, place.slab.index())
                && is_old(object, &self.born_ns)
                && let Some(share) = slab.share()
            {
                let number = object as usize;
                let age_ns = now_ns.saturating_sub(self.born_ns[number]);
                add(self.cache_of[number], self.plan.origins.of(object).site, share, 1, age_ns);
            }
        });
        for (cache, slabs) in (0..).zip(&slabs) {
            for slab in slabs.iter().filter(|slab| slab.unknown() > 0) {
                let unknown = slab.unknown();
                let share = slab.share().unwrap_or(0.0);
                let age_ns = (now_ns - start).saturating_mul(u64::from(unknown));
                if share > 0.0 {
                    add(cache, None, share * f64::from(unknown), u64::from(unknown), age_ns);
                }
            }
        }
        self.enter(found);
    }

    /// By cache, then number of the slab.
    fn sparse_slabs(&self, at: &Paused<'_>) -> Vec<Vec<Sparse>> {
        let mut slabs: Vec<Vec<Sparse>> = vec![Vec::new(); self.plan.caches.len()];
        for (cache, (slabs, planned)) in slabs.iter_mut().zip(&self.plan.caches).enumerate() {
            at.each_slab(cache, |slab| {
                let live = slab.live();
                if live == 0 || slab.place == SlabPlace::Cpu || 2 * u32::from(live) >= u32::from(slab.objects) {
                    return;
                }
                let number = slab.slab.index();
                if slabs.len() <= number {
                    slabs.resize(number + 1, Sparse::default());
                }
                let idle_bytes = u64::from(slab.objects - live) * u64::from(planned.layout.size);
                slabs[number] = Sparse { idle_bytes, live, ..Sparse::default() };
            });
        }
        slabs
    }

    fn slab<'s>(slabs: &'s mut [Vec<Sparse>], cache_of: &[u16], object: u32, slab: usize) -> Option<&'s mut Sparse> {
        let cache = usize::from(*cache_of.get(object as usize)?);
        slabs.get_mut(cache)?.get_mut(slab).filter(|slab| slab.idle_bytes > 0)
    }

    /// Takes over what was found at a look. `mean` is a sum until the end.
    fn enter(&mut self, found: BTreeMap<(u16, Option<u32>), PinnedBytes>) {
        for pin in self.pins.values_mut() {
            (pin.end, pin.objects_end, pin.age_ns) = (0.0, 0, 0);
        }
        for (key, now) in found {
            let pin = self.pins.entry(key).or_default();
            pin.end = now.end;
            pin.peak = pin.peak.max(now.end);
            pin.mean += now.end;
            (pin.objects_end, pin.age_ns) = (now.objects_end, now.age_ns);
        }
    }

    pub(super) fn into_pins(self) -> Vec<Pin> {
        let looks = self.looks.moments_ns.len().max(1) as f64;
        let mut pins: Vec<Pin> = self
            .pins
            .into_iter()
            .map(|((cache, site), bytes)| Pin { cache, site, bytes: PinnedBytes { mean: bytes.mean / looks, ..bytes } })
            .collect();
        pins.sort_by(|a, b| b.bytes.mean.total_cmp(&a.bytes.mean).then((a.cache, a.site).cmp(&(b.cache, b.site))));
        pins
    }
}
