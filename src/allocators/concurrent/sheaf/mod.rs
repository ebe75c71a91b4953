//! SLUB of 7.0 to 7.3: sheaves and barns in front of slabs.
//!
//! | file | what it models |
//! |---|---|
//! | `stack` | one sheaf |
//! | `barn` | full and empty sheaves of a node, under their lock |
//! | `alloc` | `alloc_from_pcs()`, `__pcs_replace_empty_main()` |
//! | `free` | `free_to_pcs()`, `__pcs_replace_full_main()`, flushing |
//! | `refill` | `refill_objects()` |
//! | `bulk` | bulk calls and kfree_rcu() |
//!
//! The kernel guards a CPU's sheaves by a trylock, as an interrupt may come in the middle of an operation. Here they belong to one thread.
//! The memory of sheaves is Rust's own: a recording has the kernel's kmalloc() calls for sheaves as operations of their own.

mod alloc;
mod barn;
mod bulk;
mod free;
mod refill;
mod stack;

use super::lock::Lock;
use super::memory::Address;
use super::model::{Model, Parked};
use super::path::{Object, Path, Request};
use super::probe::{LockSite, NoProbe, Probe};
use super::slab::SlabId;
use super::slabs::Slabs;
use crate::allocators::slub::{CacheKind, Counter, Generation, Rules, Seed, SheafPlace, SheafRules};
use barn::Barn;
use stack::Sheaf;

/// A cache of 7.x.
#[derive(Debug)]
pub struct SheafCache {
    slabs: Slabs,
    sheaves: SheafRules,
    /// Objects of a sheaf; 0 in caches that use none.
    capacity: usize,
    barns: Box<[Barn]>,
    /// Sheaves that flushing handed to RCU; their grace period is over when shrinking is.
    waiting: Lock<Vec<Sheaf>>,
}

/// What a CPU has (`struct slub_percpu_sheaves`).
#[derive(Debug)]
pub struct CpuSheaves {
    main: Sheaf,
    spare: Option<Sheaf>,
    rcu_free: Option<Sheaf>,
    cpu: u16,
    node: u16,
    /// Both kept for their memory.
    grabbed: Vec<SlabId>,
    array: Vec<Address>,
}

impl Model for SheafCache {
    type Cpu = CpuSheaves;

    fn models(rules: &Rules) -> bool {
        rules.generation == Generation::Sheaves
    }

    fn new(slabs: Slabs) -> Self {
        let sheaves = slabs.rules.sheaves.unwrap_or_else(|| unreachable!("rules of 7.x have sheaves"));
        let capacity = if slabs.kind == CacheKind::Debug { 0 } else { slabs.layout.sheaf_capacity as usize };
        let barns = (0..slabs.topology.nodes()).map(Barn::new).collect();
        Self { slabs, sheaves, capacity, barns, waiting: Lock::new(Vec::new()) }
    }

    fn slabs(&self) -> &Slabs {
        &self.slabs
    }

    fn cpu(&self, cpu: u16) -> CpuSheaves {
        let node = self.slabs.topology.node_of(cpu);
        CpuSheaves { main: self.empty_sheaf(), spare: None, rcu_free: None, cpu, node, grabbed: Vec::new(), array: Vec::new() }
    }

    #[inline(always)]
    fn alloc<P: Probe>(&self, own: &mut CpuSheaves, request: Request, probe: &mut P) -> Option<(Object, Path)> {
        if request.node.is_none()
            && let Some(top) = own.main.pop()
        {
            probe.count(Counter::AllocFastpath, 1);
            return Some((Object(top), Path::AllocFast));
        }
        let (object, path) = self.alloc_slow(own, request, probe)?;
        Some((Object(object), path))
    }

    #[inline(always)]
    fn free<P: Probe>(&self, own: &mut CpuSheaves, object: Object, probe: &mut P) -> Path {
        let slab = self.slabs.memory().slab_of(object.0);
        let is_local = self.slabs.memory().slab(slab).node() == own.node;
        if is_local && own.main.push(object.0) {
            probe.count(Counter::FreeFastpath, 1);
            return Path::FreeFast;
        }
        self.free_slow(own, object.0, slab, is_local, probe)
    }

    fn free_one_slab<P: Probe>(&self, _: &mut CpuSheaves, objects: Vec<Object>, probe: &mut P) {
        let Some(first) = objects.first() else { return };
        let slab = self.slabs.memory().slab_of(first.0);
        let list: Vec<Address> = objects.into_iter().map(|object| object.0).collect();
        self.free_counted(slab, &list, probe);
    }

    fn alloc_in_bulk<P: Probe>(&self, own: &mut CpuSheaves, request: Request, probe: &mut P) -> Option<(Object, Path)> {
        let (object, path) = self.one_of_bulk(own, request, probe)?;
        Some((Object(object), path))
    }

    fn free_rcu<P: Probe>(&self, own: &mut CpuSheaves, object: Object, probe: &mut P) -> Path {
        match self.give_to_rcu(own, object.0, probe) {
            Some(path) => path,
            // kfree_bulk() of an array of one: past the sheaves.
            None => self.free_counted(self.slabs.memory().slab_of(object.0), &[object.0], probe),
        }
    }

    fn flush<P: Probe>(&self, own: &mut CpuSheaves, probe: &mut P) {
        if let Some(sheaf) = own.rcu_free.take() {
            self.waiting.lock(LockSite::Barn(own.node), probe).push(sheaf);
        }
        if let Some(spare) = own.spare.take() {
            self.flush_and_free(spare, probe);
        }
        self.flush_main(own, probe);
    }

    fn shrink_shared<P: Probe>(&self, probe: &mut P) {
        for barn in &self.barns {
            for sheaf in barn.empty_out(probe) {
                self.flush_and_free(sheaf, probe);
            }
        }
        self.slabs.shrink_nodes(probe);
        let waiting = std::mem::take(&mut *self.waiting.lock(LockSite::Barn(0), probe));
        for sheaf in waiting {
            self.flush_and_free(sheaf, probe);
        }
    }

    fn seed(&self, _: &mut [&mut CpuSheaves], seed: &Seed) -> SlabId {
        let (slab, _) = self.slabs.adopt_seed(seed);
        self.slabs.list_seed(slab);
        slab
    }

    fn seed_sheaf(&self, cpus: &mut [&mut CpuSheaves], place: SheafPlace, objects: &[Address]) -> bool {
        if self.capacity < objects.len().max(1) {
            return false;
        }
        let mut sheaf = self.empty_sheaf();
        sheaf.extend(objects);
        let is_full = sheaf.is_full();
        match place {
            SheafPlace::Main(cpu) => {
                let main = &mut cpus[usize::from(cpu)].main;
                let is_free = main.is_empty();
                if is_free {
                    *main = sheaf;
                }
                is_free
            }
            SheafPlace::Spare(cpu) => put(&mut cpus[usize::from(cpu)].spare, sheaf),
            // A full one would be with RCU already.
            SheafPlace::RcuFree(cpu) => !is_full && put(&mut cpus[usize::from(cpu)].rcu_free, sheaf),
            SheafPlace::Barn(node) => self.barns[usize::from(node)].seed(sheaf),
        }
    }

    fn parked(&self, own: &CpuSheaves) -> Parked {
        let sheaves = [Some(&own.main), own.spare.as_ref(), own.rcu_free.as_ref()];
        Parked { sheaves: sheaves.into_iter().flatten().flat_map(|sheaf| sheaf.objects().iter().copied()).collect(), ..Parked::default() }
    }

    fn parked_shared(&self) -> Vec<Address> {
        let mut objects: Vec<Address> = self.barns.iter().flat_map(|barn| barn.objects(&mut NoProbe)).collect();
        objects.extend(self.waiting.lock(LockSite::Barn(0), &mut NoProbe).iter().flat_map(|sheaf| sheaf.objects()));
        objects
    }
}

fn put(place: &mut Option<Sheaf>, sheaf: Sheaf) -> bool {
    let is_free = place.is_none();
    if is_free {
        *place = Some(sheaf);
    }
    is_free
}

impl SheafCache {
    fn empty_sheaf(&self) -> Sheaf {
        Sheaf::new(self.capacity)
    }

    fn barn(&self, own: &CpuSheaves) -> &Barn {
        &self.barns[usize::from(own.node)]
    }
}
