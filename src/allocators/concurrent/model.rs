//! What a concurrent model of a generation offers its driver.

use super::memory::Address;
use super::path::{Object, Path, Request};
use super::probe::Probe;
use super::slab::SlabId;
use super::slabs::Slabs;
use crate::allocators::slub::{Rules, Seed, SheafPlace};

/// A cache that several threads use at the same time, each on behalf of CPUs of its own.
///
/// The cache is what CPUs share; what is one CPU's alone is a [`Model::Cpu`], which the thread that plays that CPU passes with each
/// operation. A CPU's state is for the cache that made it.
pub trait Model: Send + Sync + Sized + 'static {
    /// What a CPU has of a cache.
    type Cpu: Send + 'static;

    /// The model is one of these rules.
    fn models(rules: &Rules) -> bool;

    /// A cache without a slab.
    fn new(slabs: Slabs) -> Self;

    /// Its slabs.
    fn slabs(&self) -> &Slabs;

    /// A CPU that has nothing yet.
    fn cpu(&self, cpu: u16) -> Self::Cpu;

    /// Allocates an object; `None` if there is no memory.
    fn alloc<P: Probe>(&self, own: &mut Self::Cpu, request: Request, probe: &mut P) -> Option<(Object, Path)>;

    /// Frees an object of this cache.
    fn free<P: Probe>(&self, own: &mut Self::Cpu, object: Object, probe: &mut P) -> Path;

    /// Frees objects of this cache in as few calls as may be, one for each slab that they are in.
    fn free_list<P: Probe>(&self, own: &mut Self::Cpu, mut objects: Vec<Object>, probe: &mut P) {
        while let Some(first) = objects.first() {
            let slab = self.slabs().slab_of(first);
            let (same, others) = objects.into_iter().partition(|object| self.slabs().slab_of(object) == slab);
            self.free_one_slab(own, same, probe);
            objects = others;
        }
    }

    /// Frees objects of one slab in one call; the first becomes the head of its freelist.
    fn free_one_slab<P: Probe>(&self, own: &mut Self::Cpu, objects: Vec<Object>, probe: &mut P);

    /// Allocates an object as part of a bulk allocation (`kmem_cache_alloc_bulk()`).
    fn alloc_in_bulk<P: Probe>(&self, own: &mut Self::Cpu, request: Request, probe: &mut P) -> Option<(Object, Path)>;

    /// Frees an object by kfree_rcu(), whose grace period is over as soon as a batch is complete.
    fn free_rcu<P: Probe>(&self, own: &mut Self::Cpu, object: Object, probe: &mut P) -> Path;

    /// Gives back all that a CPU holds (`flush_all()`, on that CPU).
    fn flush<P: Probe>(&self, own: &mut Self::Cpu, probe: &mut P);

    /// Shrinks what CPUs share, after they were flushed (`kmem_cache_shrink()`).
    fn shrink_shared<P: Probe>(&self, probe: &mut P);

    /// Adds a slab that exists from the start, before any operation. Places that the release does not have are node lists.
    fn seed(&self, cpus: &mut [&mut Self::Cpu], seed: &Seed) -> SlabId;

    /// Adds a sheaf that exists from the start; says whether there is such a place, with room.
    fn seed_sheaf(&self, _cpus: &mut [&mut Self::Cpu], _place: SheafPlace, _objects: &[Address]) -> bool {
        false
    }

    /// What a CPU holds, for [`super::validate`].
    fn parked(&self, own: &Self::Cpu) -> Parked;

    /// Free objects in places that CPUs share but slabs do not know of (barns).
    fn parked_shared(&self) -> Vec<Address> {
        Vec::new()
    }
}

/// What a CPU holds of a cache.
#[derive(Debug, Default)]
pub struct Parked {
    pub(super) cpu_slab: Option<SlabId>,
    /// Objects of its own freelist.
    pub(super) free: Vec<Address>,
    /// Slabs of its partial list.
    pub(super) partial: Vec<SlabId>,
    /// Objects in its sheaves.
    pub(super) sheaves: Vec<Address>,
}
