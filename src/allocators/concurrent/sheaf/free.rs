//! Freeing to sheaves: `free_to_pcs()` and `__pcs_replace_full_main()`; flushing them to slabs.

use super::barn::Refused;
use super::{CpuSheaves, Sheaf, SheafCache};
use crate::allocators::concurrent::memory::Address;
use crate::allocators::concurrent::path::Path;
use crate::allocators::concurrent::probe::Probe;
use crate::allocators::concurrent::slab::SlabId;
use crate::allocators::slub::Counter;
use crate::allocators::slub::sheaf::BATCH;

impl SheafCache {
    #[cold]
    pub(super) fn free_slow<P: Probe>(&self, own: &mut CpuSheaves, object: Address, slab: SlabId, is_local: bool, probe: &mut P) -> Path {
        if is_local && let Some(path) = self.replace_full_main(own, probe) {
            let has_room = own.main.push(object);
            debug_assert!(has_room, "a replaced main sheaf has room");
            probe.count(Counter::FreeFastpath, 1);
            return path;
        }
        self.free_counted(slab, &[object], probe)
    }

    /// Frees a list of one slab as a caller does, with `free_slowpath`. The first becomes the head of the freelist.
    pub(super) fn free_counted<P: Probe>(&self, slab: SlabId, list: &[Address], probe: &mut P) -> Path {
        let freed = self.slabs.free_to_slab(slab, self.slabs.linked(list), false, probe);
        probe.count(Counter::FreeSlowpath, list.len() as u64);
        freed.path()
    }

    /// `__pcs_replace_full_main()`: says by which path, `None` if there is no room to be had.
    fn replace_full_main<P: Probe>(&self, own: &mut CpuSheaves, probe: &mut P) -> Option<Path> {
        if self.capacity == 0 {
            return None;
        }
        let Some(spare) = &mut own.spare else {
            let empty = self.barn(own).get_empty(probe).unwrap_or_else(|| self.new_empty(probe));
            own.spare = Some(std::mem::replace(&mut own.main, empty));
            return Some(Path::FreeBarn);
        };
        if !spare.is_full() {
            std::mem::swap(&mut own.main, spare);
            return Some(Path::FreeBarn);
        }
        let barn = &self.barns[usize::from(own.node)];
        match barn.replace_full(&mut own.main, probe) {
            Ok(()) => {
                probe.count(Counter::BarnPut, 1);
                Some(Path::FreeBarn)
            }
            Err(Refused::TooManyFull) => {
                probe.count(Counter::BarnPutFail, 1);
                // The spare filled up earlier than main, so it is the older of the two that goes.
                let mut flushed = own.spare.take()?;
                self.flush_sheaf(&mut flushed, probe);
                own.spare = Some(std::mem::replace(&mut own.main, flushed));
                Some(Path::FreeFlush)
            }
            Err(Refused::NoEmpty) => {
                let full = std::mem::replace(&mut own.main, self.new_empty(probe));
                barn.put_full(full, probe);
                probe.count(Counter::BarnPut, 1);
                Some(Path::FreeBarn)
            }
        }
    }

    pub(super) fn new_empty<P: Probe>(&self, probe: &mut P) -> Sheaf {
        probe.count(Counter::SheafAlloc, 1);
        self.empty_sheaf()
    }

    /// Moves all objects of a sheaf to slabs (`sheaf_flush_unused()`).
    pub(super) fn flush_sheaf<P: Probe>(&self, sheaf: &mut Sheaf, probe: &mut P) {
        let mut array = Vec::with_capacity(self.capacity);
        sheaf.take_top(self.capacity, &mut array);
        probe.count(Counter::SheafFlush, array.len() as u64);
        self.flush_array(&mut array, probe);
    }

    pub(super) fn flush_and_free<P: Probe>(&self, mut sheaf: Sheaf, probe: &mut P) {
        self.flush_sheaf(&mut sheaf, probe);
        probe.count(Counter::SheafFree, 1);
    }

    /// Flushes the main sheaf in batches from its top (`sheaf_flush_main()`).
    pub(super) fn flush_main<P: Probe>(&self, own: &mut CpuSheaves, probe: &mut P) {
        while !own.main.is_empty() {
            let mut batch = Vec::with_capacity(BATCH);
            own.main.take_top(BATCH, &mut batch);
            let size = batch.len() as u64;
            self.flush_array(&mut batch, probe);
            probe.count(Counter::SheafFlush, size);
        }
    }

    pub(super) fn flush_array<P: Probe>(&self, array: &mut Vec<Address>, probe: &mut P) {
        self.slabs.free_array(array, probe, |slabs, slab, list, probe| {
            slabs.free_to_slab(slab, slabs.linked(list), false, probe);
        });
    }
}
