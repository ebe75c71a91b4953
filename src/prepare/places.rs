//! Where the kernel had each object: its address, and the slab around it.

use rustc_hash::FxHashMap;

use super::caches::PlannedCache;
use super::op::Op;
use super::pairing::{NO_CACHE, Paired};

/// A slab of the kernel: one stay of its pages in the slab allocator, as far as page events tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KernelSlab(u32);

impl KernelSlab {
    /// Stands for a slab that is not known.
    const NONE: Self = Self(u32::MAX);

    /// Number of the slab; no two stays have the same.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// Addresses and slabs of objects, by their number in the plan.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct KernelPlaces {
    addresses: Vec<u64>,
    slabs: Vec<KernelSlab>,
    /// By slab: its first address.
    bases: Vec<u64>,
}

impl KernelPlaces {
    /// Address of an object; `None` for one that the trace does not speak of.
    #[must_use]
    pub fn address(&self, object: u32) -> Option<u64> {
        self.addresses.get(object as usize).copied()
    }

    /// The kernel's slab of an object, if it is known.
    #[must_use]
    pub fn slab(&self, object: u32) -> Option<KernelSlab> {
        self.slabs.get(object as usize).copied().filter(|&slab| slab != KernelSlab::NONE)
    }

    /// The places of some objects, numbered as they are listed. Their slabs are numbered anew, and `others` with them.
    pub(crate) fn of<'a>(&self, objects: &[u32], others: impl Iterator<Item = &'a mut KernelSlab>) -> Self {
        let mut numbers: FxHashMap<KernelSlab, KernelSlab> = FxHashMap::default();
        let mut bases = Vec::new();
        let mut renumber = |slab: KernelSlab| {
            *numbers.entry(slab).or_insert_with(|| {
                bases.push(self.bases[slab.index()]);
                KernelSlab(bases.len() as u32 - 1)
            })
        };
        others.for_each(|slab| *slab = renumber(*slab));
        let slabs = objects.iter().map(|&object| self.slab(object).map_or(KernelSlab::NONE, &mut renumber)).collect();
        let addresses = objects.iter().map(|&object| self.address(object).unwrap_or(0)).collect();
        Self { addresses, slabs, bases }
    }

    /// First address of a slab.
    #[must_use]
    pub fn base(&self, slab: KernelSlab) -> Option<u64> {
        self.bases.get(slab.index()).copied()
    }

    /// Number of slabs.
    #[must_use]
    pub fn slab_count(&self) -> usize {
        self.bases.len()
    }
}

/// Finds the slab of every object that `ops` speak of. Slabs from before the trace are told by their alignment.
pub(super) fn find(paired: &Paired, ops: &[Op], caches: &[PlannedCache], page_shift: u32) -> KernelPlaces {
    let mut bases: Vec<u64> = paired.spans.spans.iter().map(|span| span.page << page_shift).collect();
    let mut slabs = vec![KernelSlab::NONE; paired.objects.len()];
    let mut old: FxHashMap<(u16, u64), KernelSlab> = FxHashMap::default();
    for op in ops.iter().filter(|op| op.cache != NO_CACHE) {
        let (Some(object), Some(slab)) = (paired.objects.get(op.object as usize), slabs.get_mut(op.object as usize)) else { continue };
        if *slab != KernelSlab::NONE {
            continue;
        }
        if paired.spans.spans[object.span as usize].is_born {
            *slab = KernelSlab(object.span);
            continue;
        }
        let order = caches[usize::from(op.cache)].layout.order;
        let base = object.ptr >> (page_shift + order) << (page_shift + order);
        *slab = *old.entry((op.cache, base)).or_insert_with(|| {
            bases.push(base);
            KernelSlab(bases.len() as u32 - 1)
        });
    }
    KernelPlaces { addresses: paired.objects.iter().map(|object| object.ptr).collect(), slabs, bases }
}
