//! Allocation: `slab_alloc_node()`, `___slab_alloc()` and what they call, 2.6.38 to 6.17.

use super::cache::Cache;
use super::counters::Counter;
use super::generation::{CpuPartial, SlowpathCounted};
use super::node::End;
use super::sizing::REMOTE_NODE_DEFRAG_RATIO;
use super::slab::{NO_OBJECT, Object, ObjectIndex, Place, SlabId};
use crate::mem::{PageRequest, PageSource, Rights};

/// What a caller asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AllocRequest {
    /// CPU that allocates.
    pub cpu: u16,
    /// Node asked for, if any.
    pub node: Option<u16>,
    /// No other node will do (`__GFP_THISNODE`).
    pub this_node_only: bool,
    /// What the caller lets the allocator do.
    pub caller: Caller,
    /// No new sheaf may be made for this (the mark "no recursion"): it is the allocation of a sheaf of a kmalloc cache.
    pub no_sheaf: bool,
}

/// What a caller lets the allocator do, as far as sheaves ask.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Caller {
    /// `kmalloc_nolock()`: not even wait for a lock.
    NoLock,
    /// Neither reclaim nor wake kswapd: no reclaim bit in its gfp.
    NoReclaim,
    /// Wake kswapd, but not sleep (`GFP_NOWAIT`).
    Atomic,
    /// The same, and use part of the reserves (`GFP_ATOMIC`).
    High,
    /// Sleep.
    #[default]
    Blocking,
}

impl Caller {
    /// What the page allocator may do for it.
    pub(crate) fn rights(self) -> Rights {
        match self {
            Self::NoLock | Self::NoReclaim | Self::Atomic => Rights::NoWait,
            Self::High => Rights::Atomic,
            Self::Blocking => Rights::Reclaim,
        }
    }

    /// What it may do for a new slab: at the preferred order, then at the minimum order. `opportunistic` is an attempt on a node that
    /// was only asked for, made by `GFP_NOWAIT`. The reclaim bits are taken away only where there is a lower order to fall back to.
    pub(crate) fn rights_for_slab(self, opportunistic: bool, can_fall_back: bool) -> [Rights; 2] {
        let own = if opportunistic { self.rights().min(Rights::NoWait) } else { self.rights() };
        [if own == Rights::Reclaim && can_fall_back { Rights::AtOnce } else { own }, own]
    }
}

impl AllocRequest {
    /// A request without a node.
    #[must_use]
    pub fn on(cpu: u16) -> Self {
        Self { cpu, node: None, this_node_only: false, caller: Caller::Blocking, no_sheaf: false }
    }
}

impl Cache {
    /// Allocates one object; also says whether the slow path was taken. `None` if there is no memory.
    #[inline]
    pub fn alloc(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<(Object, bool)> {
        if self.sheaves.is_some() { self.alloc_by_sheaf(request, pages) } else { self.alloc_by_cpu_slab(request, pages) }
    }

    /// Allocation without sheaves, or behind them in 6.18 and 6.19.
    #[inline]
    pub(super) fn alloc_by_cpu_slab(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<(Object, bool)> {
        let cpu = &mut self.cpus[usize::from(request.cpu)];
        let (slab, index) = (cpu.slab, cpu.freelist);
        if index != NO_OBJECT && request.node.is_none_or(|node| self.slabs[slab].pages.node == node) {
            cpu.freelist = self.slabs.link(slab, index);
            cpu.counts.add(Counter::AllocFastpath, 1);
            return Some((Object { slab, index }, false));
        }
        self.alloc_slow(request, pages).map(|object| (object, true))
    }

    /// One object of a bulk allocation out of cpu slabs. What is popped there was not counted up to 6.7, and slow steps not up
    /// to 5.4.
    pub(super) fn alloc_of_bulk(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        let cpu = &mut self.cpus[usize::from(request.cpu)];
        let (slab, index) = (cpu.slab, cpu.freelist);
        if index != NO_OBJECT {
            cpu.freelist = self.slabs.link(slab, index);
            cpu.counts.add(Counter::AllocFastpath, u64::from(self.rules.bulk_pops_counted));
            return Some(Object { slab, index });
        }
        if self.rules.bulk_slowpath_counted { self.alloc_slow(request, pages) } else { self.alloc_slow_uncounted(request, pages) }
    }

    /// `___slab_alloc()`.
    #[cold]
    fn alloc_slow(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        if self.rules.slowpath_counted == SlowpathCounted::Once {
            self.count(request.cpu, Counter::AllocSlowpath);
        }
        let object = self.alloc_slow_uncounted(request, pages)?;
        if self.rules.slowpath_counted == SlowpathCounted::AtSuccess {
            self.count(request.cpu, Counter::AllocSlowpath);
        }
        Some(object)
    }

    fn alloc_slow_uncounted(&mut self, mut request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        // In 7.x sheaves come first, for caches that use none too: they are of the CPU's node.
        if !self.rules.has_cpu_slabs() && request.node.is_some_and(|node| node != self.topology.node_of(request.cpu)) {
            self.count(request.cpu, Counter::AllocNodeMismatch);
        }
        // A node without memory counts as none asked for.
        request.node = request.node.filter(|&node| node < self.topology.nodes());
        if self.has_debug {
            return self.alloc_debug(request, pages);
        }
        loop {
            if !self.cpus[usize::from(request.cpu)].slab.is_none()
                && let Some(object) = self.alloc_from_cpu_slab(request, pages)
            {
                return Some(object);
            }
            // A frozen CPU partial slab becomes the cpu slab before anybody looks what it has.
            let frozen = if self.rules.cpu_partial_frozen { self.pop_cpu_partial(request.cpu) } else { None };
            let Some(slab) = frozen else { break };
            self.count(request.cpu, Counter::CpuPartialAlloc);
            self.install(request.cpu, slab);
        }
        let (slab, head) = self.next_slab(request, pages)?;
        Some(self.load(request.cpu, slab, head))
    }

    /// An object of the cpu slab, if it fits and has one; else the CPU has no cpu slab any more.
    fn alloc_from_cpu_slab(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<Object> {
        let slab = self.cpus[usize::from(request.cpu)].slab;
        if !self.fits(slab, request.node) {
            if self.rules.counts_node_mismatch {
                self.count(request.cpu, Counter::AllocNodeMismatch);
            }
            self.deactivate(request.cpu, pages);
            return None;
        }
        let head = self.refill(request.cpu, pages)?;
        Some(self.load(request.cpu, slab, head))
    }

    fn fits(&self, slab: SlabId, node: Option<u16>) -> bool {
        node.is_none_or(|node| self.slabs[slab].pages.node == node)
    }

    /// Takes the objects freed remotely into the cpu slab (`get_freelist()`). If there are none the slab
    /// is full: the CPU lets go of it.
    fn refill(&mut self, cpu: u16, pages: &mut dyn PageSource) -> Option<ObjectIndex> {
        let slab = self.cpus[usize::from(cpu)].slab;
        // Reached only with the own freelist empty or passed over for a node that fits after all.
        if self.cpus[usize::from(cpu)].freelist != NO_OBJECT {
            return Some(self.cpus[usize::from(cpu)].freelist);
        }
        if self.rules.slowpath_counted == SlowpathCounted::PerCpuSlab {
            self.count(cpu, Counter::AllocSlowpath);
        }
        if !self.rules.exhausted_is_bypassed {
            self.count(cpu, Counter::AllocRefill);
            if self.slabs[slab].freelist == NO_OBJECT {
                self.deactivate(cpu, pages);
                return None;
            }
            return Some(self.take_freelist(slab));
        }
        let head = self.take_freelist(slab);
        if head == NO_OBJECT {
            self.slabs[slab].place = Place::Full;
            self.cpus[usize::from(cpu)].slab = SlabId::NONE;
            self.count(cpu, Counter::DeactivateBypass);
            return None;
        }
        self.count(cpu, Counter::AllocRefill);
        Some(head)
    }

    /// Detaches a slab's whole freelist: from its point of view all objects are in use now.
    pub(super) fn take_freelist(&mut self, slab: SlabId) -> ObjectIndex {
        let slab = &mut self.slabs[slab];
        slab.inuse = slab.objects;
        std::mem::replace(&mut slab.freelist, NO_OBJECT)
    }

    /// Makes `head` the CPU's freelist and pops it.
    fn load(&mut self, cpu: u16, slab: SlabId, head: ObjectIndex) -> Object {
        self.cpus[usize::from(cpu)].freelist = self.slabs.link(slab, head);
        Object { slab, index: head }
    }

    /// A slab for a CPU without one, with its freelist: from the CPU partial list, a node partial list or
    /// the page allocator.
    fn next_slab(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<(SlabId, ObjectIndex)> {
        if let Some(found) = self.take_cpu_partial_slab(request, pages) {
            return Some(found);
        }
        if request.node.is_some() && !request.this_node_only && self.rules.requested_node_first {
            let strict = AllocRequest { this_node_only: true, ..request };
            if let Some(found) = self.take_listed_or_new(strict, true, pages) {
                return Some(found);
            }
        }
        self.take_listed_or_new(request, false, pages)
    }

    fn take_listed_or_new(
        &mut self,
        request: AllocRequest,
        opportunistic: bool,
        pages: &mut dyn PageSource,
    ) -> Option<(SlabId, ObjectIndex)> {
        if let Some(slab) = self.get_partial(request) {
            let head = self.take_freelist(slab);
            return Some((self.install(request.cpu, slab), head));
        }
        let slab = self.new_slab(request, opportunistic, pages)?;
        let head = self.take_freelist(slab);
        Some((self.install(request.cpu, slab), head))
    }

    pub(super) fn install(&mut self, cpu: u16, slab: SlabId) -> SlabId {
        self.slabs[slab].place = Place::Cpu(cpu);
        self.cpus[usize::from(cpu)].slab = slab;
        slab
    }

    /// Pops slabs off the CPU partial list until one fits the request; the others go to their nodes.
    fn take_cpu_partial_slab(&mut self, request: AllocRequest, pages: &mut dyn PageSource) -> Option<(SlabId, ObjectIndex)> {
        while let Some(slab) = self.pop_cpu_partial(request.cpu) {
            let fits = self.fits(slab, request.node);
            if fits || self.rules.misfit_counts_cpu_partial_alloc {
                self.count(request.cpu, Counter::CpuPartialAlloc);
            }
            if fits {
                let head = self.take_freelist(slab);
                return Some((self.install(request.cpu, slab), head));
            }
            self.put_partials(request.cpu, &[slab], pages);
        }
        None
    }

    /// `get_partial()`: which node's list to look at.
    pub(super) fn get_partial(&mut self, request: AllocRequest) -> Option<SlabId> {
        let local = self.topology.node_of(request.cpu);
        let found = self.get_partial_node(request.node.unwrap_or(local), request.cpu);
        let stop = if self.rules.requested_node_first { request.node.is_some() && request.this_node_only } else { request.node.is_some() };
        if found.is_some() || stop {
            return found;
        }
        let node = self.node_with_spare(request.cpu)?;
        self.get_partial_node(node, request.cpu)
    }

    /// `get_any_partial()`: the nearest node that has more listed than it has to keep.
    ///
    /// The kernel skips this in 23 of 1024 cases, by its cycle counter (`remote_node_defrag_ratio`); the
    /// model never does, unless that ratio was lowered.
    pub(super) fn node_with_spare(&self, cpu: u16) -> Option<u16> {
        if !self.looks_at_other_nodes(cpu) {
            return None;
        }
        self.topology.nearest_first(cpu).find(|&node| self.has_spare(node))
    }

    /// True if `remote_node_defrag_ratio` lets a CPU look at other nodes this time. In place of the kernel's cycle counter stands a
    /// scrambled count of what the CPU did in the cache, so that replays are repeatable.
    pub(super) fn looks_at_other_nodes(&self, cpu: u16) -> bool {
        let ratio = u64::from(self.layout.nodes.remote_node_defrag_ratio);
        if ratio >= u64::from(REMOTE_NODE_DEFRAG_RATIO) {
            return true;
        }
        let counts = &self.cpus[usize::from(cpu)].counts;
        let done =
            [Counter::AllocSlowpath, Counter::AllocSlab, Counter::SheafRefill, Counter::FreeSlowpath].map(|counter| counts.get(counter));
        let mut cycles = done.iter().sum::<u64>().wrapping_add(u64::from(cpu) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        cycles = (cycles ^ cycles >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        ratio > 0 && (cycles >> 54) <= ratio
    }

    /// A node has more listed than it has to keep.
    pub(super) fn has_spare(&self, node: u16) -> bool {
        self.nodes[usize::from(node)].len() > u64::from(self.layout.min_partial)
    }

    /// `get_partial_node()`: the first slab of the list, and some more for the CPU partial list.
    fn get_partial_node(&mut self, node: u16, cpu: u16) -> Option<SlabId> {
        let first = self.take_listed(node)?;
        self.count(cpu, Counter::AllocFromPartial);
        if self.has_cpu_partial {
            match self.rules.cpu_partial {
                CpuPartial::Absent => {}
                CpuPartial::Objects => self.park_objects(node, cpu, first),
                CpuPartial::Slabs => self.park_slabs(node, cpu),
            }
        }
        Some(first)
    }

    /// Takes the first slab off a node's list.
    fn take_listed(&mut self, node: u16) -> Option<SlabId> {
        let node = &mut self.nodes[usize::from(node)];
        let first = node.first()?;
        node.remove(&mut self.slabs, first);
        Some(first)
    }

    /// Moves slabs from a node's list to a CPU's, as many as half the limit and one. The last slab moved is the first to
    /// be used later: a CPU partial list is a stack.
    fn park_slabs(&mut self, node: u16, cpu: u16) {
        let limit = self.layout.cpu_partial_slabs;
        if limit == 0 && !self.rules.extra_slab_at_limit_zero {
            return;
        }
        for _ in 0..=limit / 2 {
            let Some(extra) = self.take_listed(node) else { break };
            self.push_cpu_partial(cpu, extra);
            self.count(cpu, Counter::CpuPartialNode);
        }
    }

    /// Moves slabs until more than half the limit of free objects is at hand, those of the new cpu slab included (3.6 to
    /// 5.15). 3.2 leaves that one out but counts what the CPU had already.
    fn park_objects(&mut self, node: u16, cpu: u16, first: SlabId) {
        let is_early = self.rules.early_cpu_partial;
        let mut available = if is_early { 0 } else { u32::from(self.slabs[first].free_objects()) };
        while available <= self.layout.cpu_partial / 2 {
            let Some(extra) = self.take_listed(node) else { break };
            available += u32::from(self.slabs[extra].free_objects());
            self.push_cpu_partial(cpu, extra);
            if is_early {
                available = self.cpus[usize::from(cpu)].partial_objects;
                self.count(cpu, Counter::CpuPartialFree);
            } else {
                self.count(cpu, Counter::CpuPartialNode);
            }
        }
    }

    /// `allocate_slab()`: the preferred order without effort, then the minimum order with all that the
    /// caller allows. All callers count `alloc_slab`. Attempts on a node that was only asked for are made by `GFP_NOWAIT`.
    pub(super) fn new_slab(&mut self, request: AllocRequest, opportunistic: bool, pages: &mut dyn PageSource) -> Option<SlabId> {
        let node = request.node.unwrap_or_else(|| self.topology.node_of(request.cpu));
        let this_node_only = request.node.is_some() && request.this_node_only;
        let cpu = request.cpu;
        let [first, own] = request.caller.rights_for_slab(opportunistic, self.layout.order > self.layout.min_order);
        let ask = |order: u32, rights| PageRequest { owner: self.owner, order: order as u8, cpu, node, this_node_only, rights };
        let (got, objects) = match pages.alloc(ask(self.layout.order, first)) {
            Some(got) => (got, self.layout.objects),
            None => {
                let got = pages.alloc(ask(self.layout.min_order, own))?;
                self.count(cpu, Counter::OrderFallback);
                (got, self.layout.min_objects)
            }
        };
        self.count(cpu, Counter::AllocSlab);
        Some(self.slabs.add(got, objects as u16))
    }

    /// Puts a slab on its node's partial list.
    pub(super) fn add_partial(&mut self, slab: SlabId, end: End) {
        let node = usize::from(self.slabs[slab].pages.node);
        self.nodes[node].add(&mut self.slabs, slab, end);
    }
}
