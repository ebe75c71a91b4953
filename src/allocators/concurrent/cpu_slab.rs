//! SLUB of 6.8 to 6.17: cpu slabs and CPU partial lists (`struct kmem_cache_cpu`).
//!
//! The kernel's fast path is a compare-and-exchange on (freelist, tid) that fails if an interrupt or a migration came between. Here a CPU's
//! state belongs to one thread, and nothing interrupts it between two operations, so plain loads and stores do.

use std::sync::atomic::Ordering::{Acquire, Relaxed};

use super::memory::Address;
use super::model::{Model, Parked};
use super::node::{End, Partial};
use super::path::{Object, Path, Request};
use super::probe::Probe;
use super::slab::SlabId;
use super::slabs::{Effort, Freed, Slabs};
use crate::allocators::slub::{CacheKind, Counter, Generation, Rules, Seed, SeedPlace};

/// A cache of 6.8 to 6.17.
#[derive(Debug)]
pub struct CpuSlabCache {
    slabs: Slabs,
}

/// What a CPU allocates from.
#[derive(Debug)]
pub struct CpuSlab {
    /// Free objects of `slab` that only this CPU takes.
    freelist: Option<Address>,
    slab: SlabId,
    /// Top of the CPU partial list.
    partial: SlabId,
    partial_slabs: u32,
    cpu: u16,
}

impl Model for CpuSlabCache {
    type Cpu = CpuSlab;

    fn models(rules: &Rules) -> bool {
        rules.generation == Generation::DelayedFreezing
    }

    fn new(slabs: Slabs) -> Self {
        Self { slabs }
    }

    fn slabs(&self) -> &Slabs {
        &self.slabs
    }

    fn cpu(&self, cpu: u16) -> CpuSlab {
        CpuSlab { freelist: None, slab: SlabId::NONE, partial: SlabId::NONE, partial_slabs: 0, cpu }
    }

    #[inline(always)]
    fn alloc<P: Probe>(&self, own: &mut CpuSlab, request: Request, probe: &mut P) -> Option<(Object, Path)> {
        if let Some(first) = own.freelist
            && request.node.is_none_or(|node| self.slabs.memory().slab(own.slab).node() == node)
        {
            own.freelist = self.slabs.link(first);
            probe.count(Counter::AllocFastpath, 1);
            return Some((Object(first), Path::AllocFast));
        }
        let (object, path) = self.alloc_slow(own, request, probe)?;
        Some((Object(object), path))
    }

    #[inline(always)]
    fn free<P: Probe>(&self, own: &mut CpuSlab, object: Object, probe: &mut P) -> Path {
        let slab = self.slabs.memory().slab_of(object.0);
        if slab == own.slab {
            self.slabs.set_link(object.0, own.freelist);
            own.freelist = Some(object.0);
            probe.count(Counter::FreeFastpath, 1);
            return Path::FreeFast;
        }
        self.free_slow(own, slab, (object.0, object.0, 1), probe)
    }

    fn free_one_slab<P: Probe>(&self, own: &mut CpuSlab, objects: Vec<Object>, probe: &mut P) {
        let Some(first) = objects.first() else { return };
        let slab = self.slabs.memory().slab_of(first.0);
        let list: Vec<Address> = objects.into_iter().map(|object| object.0).collect();
        self.free_list(own, slab, &list, probe);
    }

    fn alloc_in_bulk<P: Probe>(&self, own: &mut CpuSlab, request: Request, probe: &mut P) -> Option<(Object, Path)> {
        // Of bulk allocations one object at a time is popped like any other, without a node (6.8 on: counted the same).
        self.alloc(own, Request { node: None, ..request }, probe)
    }

    fn free_rcu<P: Probe>(&self, own: &mut CpuSlab, object: Object, probe: &mut P) -> Path {
        // kfree_bulk() of an array of one.
        self.free(own, object, probe)
    }

    fn flush<P: Probe>(&self, own: &mut CpuSlab, probe: &mut P) {
        if !own.slab.is_none() {
            self.deactivate(own, probe);
            probe.count(Counter::CpuslabFlush, 1);
        }
        let parked = self.take_cpu_partial(own);
        self.put_partials(&parked, probe);
    }

    fn shrink_shared<P: Probe>(&self, probe: &mut P) {
        self.slabs.shrink_nodes(probe);
    }

    fn seed(&self, cpus: &mut [&mut CpuSlab], seed: &Seed) -> SlabId {
        let (slab, free) = self.slabs.adopt_seed(seed);
        match seed.place {
            SeedPlace::Cpu(cpu) if !self.has_debug() && cpus[usize::from(cpu)].slab.is_none() => {
                let (own, remote) = free.split_at(seed.own.unwrap_or(free.len()).min(free.len()));
                if let Some(&last) = own.last() {
                    self.slabs.set_link(last, None);
                }
                let descriptor = self.slabs.memory().slab(slab);
                let taken = descriptor.glance().taken().frozen(true);
                let head = remote.first().map(|&head| self.slabs.memory().offset(slab, head));
                descriptor.set(head.map_or(taken, |head| taken.pushed(head, remote.len() as u16)));
                let state = &mut *cpus[usize::from(cpu)];
                (state.slab, state.freelist) = (slab, own.first().copied());
            }
            SeedPlace::CpuPartial(cpu) if self.has_cpu_partial() && !free.is_empty() => self.push_cpu_partial(cpus[usize::from(cpu)], slab),
            _ => self.slabs.list_seed(slab),
        }
        slab
    }

    fn parked(&self, own: &CpuSlab) -> Parked {
        let partial = self.cpu_partial(own).collect();
        Parked { cpu_slab: own.slab.some(), free: self.slabs.chain(own.freelist).collect(), partial, sheaves: Vec::new() }
    }
}

impl CpuSlabCache {
    /// `kmem_cache_has_cpu_partial()`.
    fn has_cpu_partial(&self) -> bool {
        self.slabs.kind == CacheKind::CpuPartial
    }

    /// Objects are taken one at a time, from listed slabs.
    fn has_debug(&self) -> bool {
        self.slabs.kind == CacheKind::Debug
    }

    /// `___slab_alloc()`.
    #[cold]
    fn alloc_slow<P: Probe>(&self, own: &mut CpuSlab, mut request: Request, probe: &mut P) -> Option<(Address, Path)> {
        probe.count(Counter::AllocSlowpath, 1);
        // A node without memory counts as none asked for.
        request.node = request.node.filter(|&node| node < self.slabs.topology.nodes());
        if self.has_debug() {
            return self.slabs.alloc_listed(own.cpu, request, probe);
        }
        if !own.slab.is_none()
            && let Some(object) = self.alloc_from_cpu_slab(own, request, probe)
        {
            return Some((object, Path::AllocRefill));
        }
        if let Some(first) = self.take_cpu_partial_slab(own, request, probe) {
            return Some((self.load(own, first), Path::AllocCpuPartial));
        }
        if request.node.is_some() && !request.this_node_only && self.slabs.rules.requested_node_first {
            let strict = Request { this_node_only: true, ..request };
            if let Some(found) = self.take_listed_or_new(own, strict, Effort::Opportunistic, probe) {
                return Some(found);
            }
        }
        self.take_listed_or_new(own, request, Effort::Full, probe)
    }

    fn fits(&self, slab: SlabId, request: Request) -> bool {
        request.node.is_none_or(|node| self.slabs.memory().slab(slab).node() == node)
    }

    /// An object of the cpu slab, if it fits and has one; else the CPU has no cpu slab any more.
    fn alloc_from_cpu_slab<P: Probe>(&self, own: &mut CpuSlab, request: Request, probe: &mut P) -> Option<Address> {
        if !self.fits(own.slab, request) {
            probe.count(Counter::AllocNodeMismatch, 1);
            self.deactivate(own, probe);
            return None;
        }
        // A node was asked for that does not exist: the CPU's own objects will do.
        if let Some(first) = own.freelist {
            return Some(self.load(own, first));
        }
        // Taking an empty freelist leaves the slab full and unfrozen, in nobody's hands.
        let Some(first) = self.slabs.take_freelist(own.slab, |has_objects| has_objects, probe) else {
            own.slab = SlabId::NONE;
            probe.count(Counter::DeactivateBypass, 1);
            return None;
        };
        probe.count(Counter::AllocRefill, 1);
        Some(self.load(own, first))
    }

    /// Makes the list from `first` on the CPU's freelist, and pops it.
    fn load(&self, own: &mut CpuSlab, first: Address) -> Address {
        own.freelist = self.slabs.link(first);
        first
    }

    /// Makes a slab, which nobody else can take from, the cpu slab; returns the first of its objects (`freeze_slab()`).
    fn install<P: Probe>(&self, own: &mut CpuSlab, slab: SlabId, probe: &mut P) -> Option<Address> {
        own.slab = slab;
        self.slabs.take_freelist(slab, |_| true, probe)
    }

    fn take_listed_or_new<P: Probe>(&self, own: &mut CpuSlab, request: Request, effort: Effort, probe: &mut P) -> Option<(Address, Path)> {
        let (slab, path) = match self.get_partial(own, request, probe) {
            Some(slab) => (slab, Path::AllocNodePartial),
            None => (self.slabs.new_slab(own.cpu, request, effort, probe)?, Path::AllocNewSlab),
        };
        let first = self.install(own, slab, probe)?;
        Some((self.load(own, first), path))
    }

    /// `get_partial()`: the first slab of a list, and some more for the CPU partial list.
    fn get_partial<P: Probe>(&self, own: &mut CpuSlab, request: Request, probe: &mut P) -> Option<SlabId> {
        for node in self.slabs.lists(own.cpu, request) {
            let mut list = node.lock(self.slabs.memory(), probe);
            let Some(first) = list.take_first() else { continue };
            probe.count(Counter::AllocFromPartial, 1);
            if self.has_cpu_partial() {
                self.park_slabs(own, &mut list, probe);
            }
            return Some(first);
        }
        None
    }

    /// Moves slabs from a node's list to the CPU's, as many as half the limit and one.
    fn park_slabs<P: Probe>(&self, own: &mut CpuSlab, list: &mut Partial<'_>, probe: &mut P) {
        let limit = self.slabs.layout.cpu_partial_slabs;
        if limit == 0 && !self.slabs.rules.extra_slab_at_limit_zero {
            return;
        }
        for _ in 0..=limit / 2 {
            let Some(extra) = list.take_first() else { break };
            self.push_cpu_partial(own, extra);
            probe.count(Counter::CpuPartialNode, 1);
        }
    }

    /// Pops slabs off the CPU partial list until one fits; the others go to their nodes. The first object of the one that became the cpu slab.
    fn take_cpu_partial_slab<P: Probe>(&self, own: &mut CpuSlab, request: Request, probe: &mut P) -> Option<Address> {
        while let Some(slab) = self.pop_cpu_partial(own) {
            let fits = self.fits(slab, request);
            if fits || self.slabs.rules.misfit_counts_cpu_partial_alloc {
                probe.count(Counter::CpuPartialAlloc, 1);
            }
            if fits {
                return self.install(own, slab, probe);
            }
            self.put_partials(&[slab], probe);
        }
        None
    }

    /// `__slab_free()` and what comes of it.
    #[cold]
    fn free_slow<P: Probe>(&self, own: &mut CpuSlab, slab: SlabId, objects: (Address, Address, u16), probe: &mut P) -> Path {
        probe.count(Counter::FreeSlowpath, 1);
        let freed = self.slabs.free_to_slab(slab, objects, self.has_cpu_partial(), probe);
        match freed {
            Freed::Frozen => probe.count(Counter::FreeFrozen, 1),
            Freed::Taken => {
                self.put_cpu_partial(own, slab, probe);
                probe.count(Counter::CpuPartialFree, 1);
            }
            Freed::Pushed | Freed::Moved => {}
        }
        freed.path()
    }

    /// A detached list of one slab, its head first.
    fn free_list<P: Probe>(&self, own: &mut CpuSlab, slab: SlabId, list: &[Address], probe: &mut P) {
        let (head, tail, count) = self.slabs.linked(list);
        if slab == own.slab {
            self.slabs.set_link(tail, own.freelist);
            own.freelist = Some(head);
            probe.count(Counter::FreeFastpath, u64::from(count));
        } else {
            self.free_slow(own, slab, (head, tail, count), probe);
        }
    }

    /// `put_cpu_partial()` of a free: a list at its limit is drained whole.
    fn put_cpu_partial<P: Probe>(&self, own: &mut CpuSlab, slab: SlabId, probe: &mut P) {
        let is_full = !own.partial.is_none() && own.partial_slabs >= self.slabs.layout.cpu_partial_slabs;
        let drained = if is_full { self.take_cpu_partial(own) } else { Vec::new() };
        self.push_cpu_partial(own, slab);
        if !drained.is_empty() {
            self.put_partials(&drained, probe);
            probe.count(Counter::CpuPartialDrain, 1);
        }
    }

    // ORDERING, of the three below: Relaxed. A slab on a CPU partial list is linked by its CPU alone.

    fn push_cpu_partial(&self, own: &mut CpuSlab, slab: SlabId) {
        self.slabs.memory().slab(slab).next.store(own.partial.raw(), Relaxed);
        own.partial = slab;
        own.partial_slabs += 1;
    }

    fn pop_cpu_partial(&self, own: &mut CpuSlab) -> Option<SlabId> {
        let top = own.partial.some()?;
        own.partial = SlabId::new(self.slabs.memory().slab(top).next.load(Relaxed));
        own.partial_slabs -= 1;
        Some(top)
    }

    fn cpu_partial(&self, own: &CpuSlab) -> impl Iterator<Item = SlabId> {
        std::iter::successors(own.partial.some(), |&slab| SlabId::new(self.slabs.memory().slab(slab).next.load(Relaxed)).some())
    }

    fn take_cpu_partial(&self, own: &mut CpuSlab) -> Vec<SlabId> {
        std::iter::from_fn(|| self.pop_cpu_partial(own)).collect()
    }

    /// `__put_partials()`: gives slabs to their nodes' lists, under one lock while the node stays the same; empty ones that a node need
    /// not keep are discarded, the last first, once all others are on their lists.
    fn put_partials<P: Probe>(&self, slabs: &[SlabId], probe: &mut P) {
        let mut empty = Vec::new();
        let mut locked: Option<(u16, Partial<'_>)> = None;
        for &slab in slabs {
            let descriptor = self.slabs.memory().slab(slab);
            let node = descriptor.node();
            let list = match &mut locked {
                Some((number, list)) if *number == node => list,
                other => {
                    // The lock of one node is given back before that of another is taken.
                    *other = None;
                    &mut other.insert((node, self.slabs.lock_node_of(slab, probe))).1
                }
            };
            // ORDERING: Relaxed. Whoever freed the last object had the lock, which orders us after that and after all frees before.
            if descriptor.glance().inuse() == 0 && list.len() >= self.slabs.layout.min_partial {
                empty.push(slab);
                continue;
            }
            list.add(slab, End::Tail);
            probe.count(Counter::FreeAddPartial, 1);
        }
        drop(locked);
        for slab in empty.into_iter().rev() {
            probe.count(Counter::DeactivateEmpty, 1);
            self.slabs.discard(slab, probe);
            probe.count(Counter::FreeSlab, 1);
        }
    }

    /// `deactivate_slab()`: the CPU's freelist goes back to the slab, and the slab to its node.
    fn deactivate<P: Probe>(&self, own: &mut CpuSlab, probe: &mut P) {
        let slab = std::mem::replace(&mut own.slab, SlabId::NONE);
        let objects: Vec<Address> = self.slabs.chain(own.freelist.take()).collect();
        let descriptor = self.slabs.memory().slab(slab);
        let mut old = descriptor.peek(Relaxed);
        let has_remote_frees = old.head().is_some();
        if has_remote_frees {
            probe.count(Counter::DeactivateRemoteFrees, 1);
        }
        let new = loop {
            let mut new = old.frozen(false);
            if let (Some(&head), Some(&tail)) = (objects.first(), objects.last()) {
                self.slabs.set_link(tail, self.slabs.place(slab, old.head()));
                new = new.pushed(self.slabs.memory().offset(slab, head), objects.len() as u16);
            }
            // ORDERING: Acquire, as the slab may be discarded (`free_to_slab`). The links need no Release: who takes the objects takes the slab
            // off its list before, and the lock orders that.
            match descriptor.exchange(old, new, Acquire, Relaxed) {
                Ok(()) => break new,
                Err(now) => {
                    probe.count(Counter::CmpxchgDoubleFail, 1);
                    old = now;
                }
            }
        };
        // Until it is listed, others' frees leave the slab where it is; only a full one becomes theirs.
        if new.inuse() == 0 && self.slabs.node_of(slab).nr_partial() >= self.slabs.layout.min_partial {
            probe.count(Counter::DeactivateEmpty, 1);
            self.slabs.discard(slab, probe);
            probe.count(Counter::FreeSlab, 1);
        } else if new.head().is_none() {
            probe.count(Counter::DeactivateFull, 1);
        } else {
            let (end, counter) =
                if has_remote_frees { (End::Tail, Counter::DeactivateToTail) } else { (End::Head, Counter::DeactivateToHead) };
            self.slabs.lock_node_of(slab, probe).add(slab, end);
            probe.count(counter, 1);
        }
    }
}
