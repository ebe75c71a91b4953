//! Bulk allocation (`kmem_cache_alloc_bulk()`), one object of it at a time, and kfree_rcu() into sheaves (`__kfree_rcu_sheaf()`,
//! `rcu_free_sheaf()`).

use super::{CpuSheaves, SheafCache};
use crate::allocators::concurrent::memory::Address;
use crate::allocators::concurrent::path::{Path, Request};
use crate::allocators::concurrent::probe::Probe;
use crate::allocators::slub::{CacheKind, Counter};

impl SheafCache {
    /// What the CPU's sheaves and its barn have, without a refill (`alloc_from_pcs_bulk()`), else slabs.
    pub(super) fn one_of_bulk<P: Probe>(&self, own: &mut CpuSheaves, request: Request, probe: &mut P) -> Option<(Address, Path)> {
        if self.capacity > 0 && (!own.main.is_empty() || self.swap_in_spare(own) || self.swap_in_full(own, probe)) {
            let top = own.main.pop()?;
            probe.count(Counter::AllocFastpath, 1);
            return Some((top, Path::AllocFast));
        }
        if self.slabs.kind == CacheKind::Debug {
            probe.count(Counter::AllocSlowpath, 1);
            return self.slabs.alloc_listed(own.cpu, Request { node: None, ..request }, probe);
        }
        let mut objects = Vec::with_capacity(1);
        let (_, path) = self.refill_objects(own, 1, &mut objects, probe);
        let object = objects.pop()?;
        probe.count(Counter::AllocSlowpath, 1);
        Some((object, path))
    }

    /// Puts an object into the CPU's collecting sheaf, a full one of which goes to the barn at once; says by which path. `None` if no sheaf
    /// takes it.
    pub(super) fn give_to_rcu<P: Probe>(&self, own: &mut CpuSheaves, object: Address, probe: &mut P) -> Option<Path> {
        let memory = self.slabs.memory();
        if memory.slab(memory.slab_of(object)).node() != own.node {
            return None;
        }
        if self.capacity == 0 {
            probe.count(Counter::FreeRcuSheafFail, 1);
            return None;
        }
        let mut sheaf = match own.rcu_free.take() {
            Some(sheaf) => sheaf,
            None => {
                let spare = own.spare.take_if(|spare| spare.is_empty());
                spare.or_else(|| self.barn(own).get_empty(probe)).unwrap_or_else(|| self.new_empty(probe))
            }
        };
        let has_room = sheaf.push(object);
        debug_assert!(has_room, "a full sheaf does not stay here");
        probe.count(Counter::FreeRcuSheaf, 1);
        if !sheaf.is_full() {
            own.rcu_free = Some(sheaf);
            return Some(Path::FreeFast);
        }
        let barn = self.barn(own);
        let Err(mut sheaf) = barn.offer_full(sheaf, probe) else {
            probe.count(Counter::BarnPut, 1);
            return Some(Path::FreeBarn);
        };
        probe.count(Counter::BarnPutFail, 1);
        self.flush_sheaf(&mut sheaf, probe);
        if barn.offer_empty(sheaf, probe).is_err() {
            probe.count(Counter::SheafFree, 1);
        }
        Some(Path::FreeFlush)
    }
}
