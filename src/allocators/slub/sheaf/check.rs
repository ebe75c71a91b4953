//! The conservation laws of sheaves (slub-paths.md 22.13).

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Cache, Memory, Role, Sheaf, Sheaves};
use crate::allocators::slub::counters::Counter;
use crate::allocators::slub::slab::{Object, SlabId};
use crate::allocators::slub::validate::{Violation, holds};

impl Sheaves {
    /// Every sheaf in existence.
    fn all(&self) -> impl Iterator<Item = &Sheaf> {
        let cpus = self.cpus.iter().flat_map(|own| own.iter());
        let barns = self.barns.iter().flat_map(|barn| barn.full.iter().chain(&barn.empty));
        cpus.chain(barns).chain(self.outside.iter().flatten().map(|outside| &outside.sheaf))
    }
}

impl Cache {
    /// Checks the laws of sheaves; returns the objects that are in use for their slabs because of sheaves: those in them, and those
    /// that they are made of.
    ///
    /// * No object is twice in sheaves, or in a sheaf and on a freelist.
    /// * Sheaves in barns are full or empty; no sheaf holds more than its capacity.
    /// * sheaf_alloc - sheaf_free = sheaves in existence, less those seeded.
    /// * sheaf_refill + objects freed to sheaves = objects allocated from sheaves + sheaf_flush + objects in sheaves.
    /// * 7.x: objects in use = alloc_slowpath + sheaf_refill - free_slowpath - sheaf_flush.
    pub(in crate::allocators::slub) fn check_sheaves(&self, inuse: u64) -> Result<u64, Violation> {
        let Some(sheaves) = &self.sheaves else { return Ok(0) };
        self.check_parked(sheaves)?;
        for (node, barn) in sheaves.barns.iter().enumerate() {
            let sorted = barn.full.iter().all(Sheaf::is_full) && barn.empty.iter().all(Sheaf::is_empty);
            holds("sheaves in barns are full or empty", sorted, || format!("node {node}"))?;
        }
        let fits = sheaves.all().all(|sheaf| sheaf.objects.len() <= sheaf.capacity);
        holds("a sheaf holds up to its capacity", fits, String::new)?;
        let ledger = &sheaves.ledger;
        let [made, freed] = [Counter::SheafAlloc, Counter::SheafFree].map(|counter| self.total(counter));
        let existing = if sheaves.capacity == 0 { sheaves.outside.iter().flatten().count() } else { sheaves.all().count() } as u64;
        holds("sheaf_alloc - sheaf_free = sheaves", made + ledger.seeded_sheaves + ledger.uncounted_sheaves == freed + existing, || {
            format!("{made} made, {freed} freed, {existing} exist, {ledger:?}")
        })?;
        let normal: u64 = sheaves.all().filter(|sheaf| sheaf.capacity == sheaves.capacity).map(|sheaf| sheaf.objects.len() as u64).sum();
        let [refilled, flushed] = [Counter::SheafRefill, Counter::SheafFlush].map(|counter| self.total(counter));
        let rules = &sheaves.rules;
        let into = refilled + self.total(rules.free_hit) + self.total(Counter::FreeRcuSheaf) + ledger.seeded_objects;
        let out = self.total(rules.alloc_hit) + flushed - ledger.oversize_flushed + ledger.taken;
        holds("objects into sheaves = objects out + objects in them", into == out + normal, || {
            format!("{into} in, {out} out, {normal} parked, {ledger:?}")
        })?;
        if !rules.cpu_slabs {
            let own = self.cpus.iter().all(|cpu| cpu.slab.is_none() && cpu.partial.is_none());
            holds("7.x has no cpu slabs", own, String::new)?;
            let [taken, returned] = [Counter::AllocSlowpath, Counter::FreeSlowpath].map(|counter| self.total(counter));
            let left = self.seeded_in_use + taken - ledger.failed + refilled;
            let back = returned + flushed + ledger.given_up;
            holds("objects in use = alloc_slowpath + sheaf_refill - free_slowpath - sheaf_flush", left == inuse + back, || {
                format!("{inuse} in use, {left} left slabs, {back} came back, {ledger:?}")
            })?;
        }
        let parked: u64 = sheaves.all().map(|sheaf| sheaf.objects.len() as u64).sum();
        let memory = sheaves.all().filter(|sheaf| matches!(sheaf.memory, Memory::Own(_))).count() as u64;
        Ok(parked + memory)
    }

    /// Objects in sheaves are in use in live slabs, once.
    fn check_parked(&self, sheaves: &Sheaves) -> Result<(), Violation> {
        let own = sheaves.all().filter_map(|sheaf| if let Memory::Own(object) = sheaf.memory { Some(object) } else { None });
        let objects: Vec<Object> = sheaves.all().flat_map(|sheaf| sheaf.objects.iter().copied()).chain(own).collect();
        let mut seen = FxHashSet::default();
        for &object in &objects {
            holds("no object is in two sheaves", seen.insert(object), || format!("{object:?}"))?;
        }
        let live: FxHashMap<SlabId, u16> = self.slabs.iter().map(|(id, slab)| (id, slab.objects)).collect();
        for &object in &objects {
            let exists = live.get(&object.slab).is_some_and(|&count| object.index < count);
            holds("objects in sheaves exist", exists, || format!("{object:?}"))?;
        }
        for (id, slab) in self.slabs.iter() {
            let free = self.slabs.chain(id, slab.freelist).find(|&index| seen.contains(&Object { slab: id, index }));
            holds("no object is in a sheaf and on a freelist", free.is_none(), || format!("{id:?}, {free:?}"))?;
        }
        for cpu in self.cpus.iter().filter(|cpu| !cpu.slab.is_none()) {
            let free = self.slabs.chain(cpu.slab, cpu.freelist).find(|&index| seen.contains(&Object { slab: cpu.slab, index }));
            holds("no object is in a sheaf and on a cpu's freelist", free.is_none(), || format!("{free:?}"))?;
        }
        let waiting = sheaves.outside.iter().flatten();
        let full = waiting.filter(|outside| matches!(outside.role, Role::RcuFull(_))).all(|outside| outside.sheaf.is_full());
        holds("only full sheaves wait to come into a barn", full, String::new)
    }
}
