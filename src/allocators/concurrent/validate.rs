//! The conservation laws, when no thread is in an operation; and the figures of sysfs, computed the same way.

use std::collections::HashSet;
use std::sync::atomic::Ordering::Relaxed;

use super::memory::Address;
use super::model::{Model, Parked};
use super::slab::{NO_OWNER, SlabId};
use super::slabs::Slabs;
use crate::allocators::slub::Gauges;
use crate::allocators::violation::{Violation, holds};

/// Checks every law of a cache whose CPUs are all given. `live` is the number of objects in users' hands; those of seeded slabs that
/// nobody speaks of count.
///
/// * A freelist holds each object of its slab at most once, and objects on it + objects in use = objects.
/// * A slab is in exactly one place: a CPU's cpu slab, one CPU partial list, its node's list, or, full, nowhere.
/// * A cpu slab is frozen, no other is. A listed slab has a free object and is marked as listed, no other is.
/// * `nr_partial`, `nr_slabs` and `total_objects` are what lists and slabs add up to.
/// * No object is in two places: freelists, CPUs' own freelists, sheaves.
/// * Objects in use = live + free on CPUs' own freelists + in sheaves.
///
/// # Errors
///
/// The first law that is broken.
pub fn validate<'a, M: Model>(cache: &M, cpus: impl IntoIterator<Item = &'a M::Cpu>, live: u64) -> Result<(), Violation> {
    let slabs = cache.slabs();
    let parked: Vec<Parked> = cpus.into_iter().map(|own| cache.parked(own)).collect();
    let mut places: HashSet<SlabId> = HashSet::new();
    let mut free: HashSet<Address> = HashSet::new();
    for own in &parked {
        for &slab in own.partial.iter().chain(&own.cpu_slab) {
            holds("a slab is in one place", places.insert(slab), || format!("{slab:?} of a CPU"))?;
        }
    }
    for node in &slabs.nodes {
        let list = node.lock(slabs.memory(), &mut super::probe::NoProbe);
        let listed: Vec<SlabId> = list.iter().take(slabs.memory().frames() + 1).collect();
        holds("nr_partial is the length of the list", listed.len() == list.len() as usize, || {
            format!("{} listed, {} counted", listed.len(), list.len())
        })?;
        for slab in listed {
            holds("a slab is in one place", places.insert(slab), || format!("{slab:?} on a node's list"))?;
            let known = list.has(slab) && std::ptr::eq(slabs.node_of(slab), node) && !slabs.memory().slab(slab).glance().is_frozen();
            holds("a listed slab is marked as listed, unfrozen and of its node", known, || format!("{slab:?}"))?;
            holds("a listed slab has a free object", slabs.memory().slab(slab).glance().free() > 0, || format!("{slab:?}"))?;
        }
    }
    let (mut count, mut objects, mut inuse) = (0, 0, 0);
    for slab in slabs.all() {
        let descriptor = slabs.memory().slab(slab);
        let word = descriptor.glance();
        count += 1;
        objects += u64::from(word.objects());
        inuse += u64::from(word.inuse());
        let is_cpu_slab = parked.iter().any(|own| own.cpu_slab == Some(slab));
        holds("a cpu slab is frozen, no other slab is", word.is_frozen() == is_cpu_slab, || format!("{slab:?}: {word:?}"))?;
        let is_placed = places.remove(&slab);
        holds("a slab on no list is full", is_placed || word.head().is_none(), || format!("{slab:?}: {word:?}"))?;
        let mut length = 0;
        for object in slabs.chain(slabs.place(slab, word.head())).take(usize::from(word.objects()) + 1) {
            length += 1;
            let is_new = free.insert(object) && slabs.memory().slab_of(object) == slab;
            holds("a freelist holds objects of its slab, each once", is_new, || format!("{slab:?}: {object:?}"))?;
        }
        holds("freelist + in use = objects", length == word.free(), || format!("{slab:?}: {word:?}, {length} on the freelist"))?;
    }
    holds("lists hold slabs that exist", places.is_empty(), || format!("{places:?}"))?;
    let counted = (slabs.nr_slabs(), slabs.total_objects());
    holds("nr_slabs and total_objects add up", counted == (count, objects), || format!("{counted:?}, {count} slabs of {objects} objects"))?;
    let mut held = 0;
    let shared = cache.parked_shared();
    for &object in parked.iter().flat_map(|own| own.free.iter().chain(&own.sheaves)).chain(&shared) {
        held += 1;
        let owner = slabs.memory().slab(slabs.memory().slab_of(object)).owner.load(Relaxed);
        holds("no object is in two places, nor of another cache", free.insert(object) && slabs.is_owner(owner), || format!("{object:?}"))?;
    }
    holds("objects in use = live + held by CPUs", inuse == live + held, || format!("{inuse} in use, {live} live, {held} held"))
}

/// The figures of sysfs of a cache whose CPUs are all given.
pub fn gauges<'a, M: Model>(cache: &M, cpus: impl IntoIterator<Item = &'a M::Cpu>) -> Gauges {
    let slabs = cache.slabs();
    let mut gauges = Gauges { slabs: slabs.nr_slabs(), total_objects: slabs.total_objects(), ..Gauges::default() };
    for own in cpus {
        let parked = cache.parked(own);
        gauges.cpu_slabs += parked.partial.len() as u64 + u64::from(parked.cpu_slab.is_some());
    }
    let mut free = 0;
    for node in &slabs.nodes {
        let list = node.lock(slabs.memory(), &mut super::probe::NoProbe);
        for slab in list.iter() {
            let word = slabs.memory().slab(slab).glance();
            gauges.partial += 1;
            gauges.objects_partial += u64::from(word.inuse());
            free += u64::from(word.free());
        }
    }
    gauges.objects = gauges.total_objects - free;
    gauges
}

impl Slabs {
    /// Slabs of the cache, by their first frames.
    fn all(&self) -> impl Iterator<Item = SlabId> {
        let frames = (0..self.heap.top() as u32).map(SlabId::new);
        frames.filter(|&frame| self.is_owner(self.memory().slab(frame).owner.load(Relaxed)))
    }

    /// Slabs in existence.
    pub fn nr_slabs(&self) -> u64 {
        self.nodes.iter().map(|node| node.slabs.load(Relaxed)).sum()
    }

    /// Objects in them.
    pub fn total_objects(&self) -> u64 {
        self.nodes.iter().map(|node| node.objects.load(Relaxed)).sum()
    }

    /// Slabs that shrinking discarded without a counter.
    pub fn uncounted_discards(&self) -> u64 {
        self.nodes.iter().map(|node| node.uncounted_discards.load(Relaxed)).sum()
    }

    fn is_owner(&self, owner: u32) -> bool {
        owner != NO_OWNER && owner == self.number()
    }
}
