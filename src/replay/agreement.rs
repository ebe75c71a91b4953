//! Slab agreement: whether the replay serves objects from the slabs that the kernel served them from.
//!
//! Page frames of the replay are not the kernel's. Which slab of the replay stands for which of the kernel's is
//! learnt from the first object that is handed out of it, and forgotten when either slab is gone.

use std::sync::Arc;

use crate::allocators::slub::{Cache, SlabView};
use crate::allocators::{Allocator, Object, SlabId};
use crate::prepare::{KernelPlaces, KernelSlab, Plan};

/// How far the replay of one cache agrees with the kernel's addresses.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheAgreement {
    /// Allocations whose slab in the kernel is known.
    pub compared: u64,
    /// Of these, those served from the slab that stands for the kernel's.
    pub agreed: u64,
    /// First operation, by position in the plan and time in nanoseconds, that was served from another slab.
    pub first_divergence: Option<(usize, u64)>,
}

impl CacheAgreement {
    /// Share of allocations served from the kernel's slab, in percent; `None` if there were none to compare.
    #[must_use]
    pub fn percent(&self) -> Option<f64> {
        (self.compared > 0).then(|| self.agreed as f64 * 100.0 / self.compared as f64)
    }
}

/// Follows a replay and compares slabs.
#[derive(Debug, Clone)]
pub(super) struct Agreement {
    caches: Vec<CacheAgreement>,
    /// By cache, then number of the replay's slab: its life, and the kernel's slab that it stands for.
    mapped: Vec<Vec<(u32, Option<KernelSlab>)>>,
    /// By slab of the kernel: the replay's slab that stands for it, with its life.
    stand_in: Vec<Option<(usize, u32)>>,
    /// By slab of the kernel: last operation that hands an object out of it.
    last_use: Arc<[u32]>,
}

impl Agreement {
    pub(super) fn new(plan: &Plan) -> Self {
        let mut last_use = vec![0; plan.kernel.slab_count()];
        // Most plans that are laid out for another kernel know no slabs of the recorded one.
        let ops = if last_use.is_empty() { &[] } else { plan.ops.as_slice() };
        for (position, op) in (0..).zip(ops) {
            if let (false, Some(slab)) = (op.what.is_free(), plan.kernel.slab(op.object)) {
                last_use[slab.index()] = position;
            }
        }
        Self {
            caches: vec![CacheAgreement::default(); plan.caches.len()],
            mapped: vec![Vec::new(); plan.caches.len()],
            stand_in: vec![None; plan.kernel.slab_count()],
            last_use: last_use.into(),
        }
    }

    /// A seeded slab stands for the kernel's slab of its objects.
    pub(super) fn seeded(&mut self, number: usize, model: &impl Allocator, object: Object, slab: KernelSlab) {
        self.map(number, model.slab_life(number, object.slab), object, slab);
    }

    /// Takes note of an allocation; true if it agrees, or cannot be compared.
    #[inline]
    pub(super) fn allocated(
        &mut self,
        at: (usize, u64),
        number: usize,
        model: &impl Allocator,
        object: Object,
        places: &KernelPlaces,
        id: u32,
    ) -> bool {
        let Some(slab) = places.slab(id) else { return true };
        let life = model.slab_life(number, object.slab);
        let agrees = match self.stands_for(number, object.slab, life) {
            Some(known) if known == slab => true,
            // Of a slab that the kernel will not use again nothing can be said any more.
            Some(known) if self.last_use[known.index()] as usize > at.0 => false,
            _ if self.has_stand_in(number, model, slab) => false,
            _ => {
                self.map(number, life, object, slab);
                true
            }
        };
        let counts = &mut self.caches[number];
        counts.compared += 1;
        counts.agreed += u64::from(agrees);
        if !agrees {
            counts.first_divergence.get_or_insert(at);
        }
        agrees
    }

    #[inline]
    fn stands_for(&self, number: usize, slab: SlabId, life: u32) -> Option<KernelSlab> {
        let &(known_life, kernel) = self.mapped[number].get(slab.index())?;
        kernel.filter(|_| life == known_life)
    }

    fn has_stand_in(&self, number: usize, model: &impl Allocator, kernel: KernelSlab) -> bool {
        let Some((index, life)) = self.stand_in[kernel.index()] else { return false };
        self.mapped[number].get(index) == Some(&(life, Some(kernel))) && model.slab_life_at(number, index) == Some(life)
    }

    /// The kernel's slab that the replay's slab of an object stands for.
    pub(super) fn kernel_slab(&self, number: usize, cache: &Cache, object: Object) -> Option<KernelSlab> {
        self.stands_for(number, object.slab, cache.slab_life(object.slab))
    }

    /// The replay's slab that stands for one of the kernel's.
    pub(super) fn stand_in(&self, number: usize, cache: &Cache, slab: KernelSlab) -> Option<SlabView> {
        let (index, life) = self.stand_in[slab.index()]?;
        let is_it = self.mapped[number].get(index) == Some(&(life, Some(slab))) && cache.slab_life_at(index) == Some(life);
        cache.slab_at(index).filter(|_| is_it)
    }

    fn map(&mut self, number: usize, life: u32, object: Object, slab: KernelSlab) {
        let index = object.slab.index();
        let mapped = &mut self.mapped[number];
        if mapped.len() <= index {
            mapped.resize(index + 1, (0, None));
        }
        mapped[index] = (life, Some(slab));
        self.stand_in[slab.index()] = Some((index, life));
    }

    pub(super) fn of_cache(&self, number: usize) -> CacheAgreement {
        self.caches[number]
    }
}
