//! Allocation from sheaves: `alloc_from_pcs()` and `__pcs_replace_empty_main()`.

use super::{CpuSheaves, SheafCache};
use crate::allocators::concurrent::memory::Address;
use crate::allocators::concurrent::path::{Path, Request};
use crate::allocators::concurrent::probe::Probe;
use crate::allocators::slub::Counter;

impl SheafCache {
    #[cold]
    pub(super) fn alloc_slow<P: Probe>(&self, own: &mut CpuSheaves, mut request: Request, probe: &mut P) -> Option<(Address, Path)> {
        if request.node.is_some_and(|node| node != own.node) {
            // Before the capacity is looked at: so of caches without sheaves too.
            probe.count(Counter::AllocNodeMismatch, 1);
        } else if let Some(served) = self.alloc_from_pcs(own, request, probe) {
            return Some(served);
        }
        // `___slab_alloc()`. A node without memory counts as none asked for.
        probe.count(Counter::AllocSlowpath, 1);
        request.node = request.node.filter(|&node| node < self.slabs.topology.nodes());
        self.slabs.alloc_listed(own.cpu, request, probe)
    }

    /// An object from the CPU's main sheaf, which is replaced if it is empty.
    fn alloc_from_pcs<P: Probe>(&self, own: &mut CpuSheaves, request: Request, probe: &mut P) -> Option<(Address, Path)> {
        let path = if own.main.is_empty() { self.replace_empty_main(own, request, probe)? } else { Path::AllocFast };
        let top = *own.main.objects().last()?;
        let slab = self.slabs.memory().slab_of(top);
        if request.node.is_some_and(|node| self.slabs.memory().slab(slab).node() != node) {
            probe.count(Counter::AllocNodeMismatch, 1);
            return None;
        }
        own.main.pop();
        probe.count(Counter::AllocFastpath, 1);
        Some((top, path))
    }

    /// `__pcs_replace_empty_main()`: says by which path, `None` if main stays empty.
    fn replace_empty_main<P: Probe>(&self, own: &mut CpuSheaves, request: Request, probe: &mut P) -> Option<Path> {
        if self.capacity == 0 {
            return None;
        }
        if self.swap_in_spare(own) || self.swap_in_full(own, probe) {
            return Some(Path::AllocBarn);
        }
        if !self.sheaves.refill_by.allows(request.caller) {
            return None;
        }
        let parked = own.spare.take().or_else(|| self.barn(own).get_empty(probe));
        let mut sheaf = match parked {
            Some(sheaf) => sheaf,
            None if request.no_sheaf => return None,
            None => {
                probe.count(Counter::SheafAlloc, 1);
                self.empty_sheaf()
            }
        };
        let mut array = std::mem::take(&mut own.array);
        let (got, path) = self.refill_objects(own, self.capacity, &mut array, probe);
        sheaf.extend(&array);
        array.clear();
        own.array = array;
        probe.count(Counter::SheafRefill, got as u64);
        if got < self.capacity {
            self.flush_sheaf(&mut sheaf, probe);
            probe.count(Counter::SheafFree, 1);
            return None;
        }
        let old = std::mem::replace(&mut own.main, sheaf);
        if own.spare.is_some() {
            self.barn(own).put_empty(old, probe);
        } else {
            own.spare = Some(old);
        }
        Some(path)
    }

    /// Exchanges an empty main for a spare with objects.
    pub(super) fn swap_in_spare(&self, own: &mut CpuSheaves) -> bool {
        let Some(spare) = own.spare.as_mut().filter(|spare| !spare.is_empty()) else { return false };
        std::mem::swap(&mut own.main, spare);
        true
    }

    /// Exchanges an empty main for a full sheaf of the barn.
    pub(super) fn swap_in_full<P: Probe>(&self, own: &mut CpuSheaves, probe: &mut P) -> bool {
        let barn = &self.barns[usize::from(own.node)];
        let found = barn.replace_empty(&mut own.main, probe);
        probe.count(if found { Counter::BarnGet } else { Counter::BarnGetFail }, 1);
        found
    }
}
