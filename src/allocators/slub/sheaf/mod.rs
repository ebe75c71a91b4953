//! Sheaves and barns (6.18 to 7.3), and slabs as they are used behind them (7.0 to 7.3).
//!
//! A sheaf is an array of free objects, used as a stack. Each CPU has a main one, perhaps a spare, and perhaps one that collects
//! objects of kfree_rcu(); each node keeps full and empty ones in its barn. Objects in sheaves are in use for their slabs.
//!
//! | file | what it models |
//! |---|---|
//! | `alloc` | `alloc_from_pcs()`, `__pcs_replace_empty_main()` |
//! | `free` | `free_to_pcs()`, `__pcs_replace_full_main()` |
//! | `slabs` | one object or a list from and to slabs, without cpu slabs (7.x) |
//! | `refill` | `refill_objects()` (7.x), or the bulk allocator on cpu slabs (6.18, 6.19) |
//! | `bulk` | `kmem_cache_alloc_bulk()`, `kmem_cache_free_bulk()`, `kfree_bulk()`, detached lists |
//! | `rcu` | kfree_rcu() into sheaves |
//! | `prefill` | prefilled sheaves |
//! | `flush` | flushing, shrinking, destroying, CPUs going offline |
//! | `seed` | sheaves that exist at the start |
//! | `check` | the conservation laws |
//!
//! Operations come one after the other, so no lock is ever busy and no sheaf raced for.
//!
//! # Memory of sheaves
//!
//! The kernel takes a sheaf from kmalloc, in the middle of the operation that needs it, and the event of that comes first. A cache
//! does not reach into other caches: it notes what it needs as [`SheafRequest`]s, which the driver takes after each operation
//! ([`Cache::take_sheaf_requests`]) and carries out on the kmalloc cache. So nested operations come right after the one they belong to.
//! Where the kmalloc cache is the cache itself the operation is done in its place, as it changes what follows.
//!
//! A driver that replays the recorded kmalloc and kfree events of sheaves leaves all of this switched off, which is the default.

mod alloc;
mod bulk;
mod check;
mod flush;
mod free;
mod prefill;
mod rcu;
mod refill;
mod seed;
mod slabs;

#[cfg(test)]
mod tests;

pub(crate) use bulk::detach_by;
pub use prefill::PrefilledSheaf;
pub use rcu::{RcuFree, RcuSheaf};
pub use seed::SheafPlace;

use rustc_hash::FxHashMap;

use super::alloc::{AllocRequest, Caller};
use super::cache::{Cache, Topology};
use super::counters::Counter;
use super::generation::{Rules, SheafRules};
use super::sizing::{CacheFlags, CacheLayout};
use super::slab::{Object, SlabId};
use crate::mem::PageSource;

/// Full sheaves that a barn takes unless somebody changed it (`MAX_FULL_SHEAVES`).
pub(crate) const MAX_FULL: usize = 10;

/// Empty sheaves that a barn takes from RCU, likewise (`MAX_EMPTY_SHEAVES`).
pub(crate) const MAX_EMPTY: usize = 10;

/// Objects that go at once when a main sheaf is flushed or remote objects of a bulk free are (`PCS_BATCH_MAX`).
pub(crate) const BATCH: usize = 32;

/// An array of free objects (`struct slab_sheaf`), the top at the end.
#[derive(Debug, Clone)]
struct Sheaf {
    objects: Vec<Object>,
    capacity: usize,
    memory: Memory,
}

/// Where a sheaf's own memory is from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Memory {
    /// Nobody asked.
    Untracked,
    /// The driver was asked for it by this number.
    Requested(u32),
    /// An object of the cache itself.
    Own(Object),
}

impl Sheaf {
    fn empty(capacity: usize, memory: Memory) -> Self {
        Self { objects: Vec::with_capacity(capacity), capacity, memory }
    }

    fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    fn is_full(&self) -> bool {
        self.objects.len() >= self.capacity
    }
}

/// Sheaves of one CPU (`struct slub_percpu_sheaves`).
#[derive(Debug, Clone)]
struct CpuSheaves {
    main: Sheaf,
    spare: Option<Sheaf>,
    rcu_free: Option<Sheaf>,
}

/// Sheaves of one node (`struct node_barn`): stacks, the top at the end.
#[derive(Debug, Clone, Default)]
struct Barn {
    full: Vec<Sheaf>,
    empty: Vec<Sheaf>,
}

/// A sheaf that is neither a CPU's nor a barn's.
#[derive(Debug, Clone)]
struct Outside {
    sheaf: Sheaf,
    role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    /// Full, waits for a grace period, then goes to the barn of this node.
    RcuFull(u16),
    /// Waits for a grace period, then is flushed and freed.
    RcuFlushed,
    /// Prefilled, in the hands of a caller.
    Prefilled,
}

/// What has to be known beside the kernel's counters for the laws to be checked.
#[derive(Debug, Clone, Copy, Default)]
struct Ledger {
    /// Sheaves that existed before the first operation.
    seeded_sheaves: u64,
    /// Objects in them.
    seeded_objects: u64,
    /// Oversize sheaves that are in existence uncounted.
    uncounted_sheaves: u64,
    /// Objects handed out from prefilled sheaves of normal capacity.
    taken: u64,
    /// Objects flushed from oversize sheaves.
    oversize_flushed: u64,
    /// Requests that counted `alloc_slowpath` and got nothing.
    failed: u64,
    /// Objects that went back to slabs without any counter.
    given_up: u64,
}

/// Who cares about the memory of sheaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum MemoryMode {
    /// Nobody: the driver replays the recorded events, or leaves them out.
    Ignored,
    /// The driver takes requests.
    Requested { word_bytes: u32, own: bool },
}

/// All sheaves of a cache. Caches of capacity 0 have them too in 7.x, with main sheaves that hold nothing.
#[derive(Debug, Clone)]
pub(super) struct Sheaves {
    rules: SheafRules,
    capacity: usize,
    /// Full and empty sheaves that a barn takes.
    barn_limits: [usize; 2],
    cpus: Vec<CpuSheaves>,
    barns: Vec<Barn>,
    /// By the number in [`RcuSheaf`] and [`PrefilledSheaf`].
    outside: Vec<Option<Outside>>,
    /// Sheaves that a flush handed to RCU, for the driver to fetch.
    flushed_to_rcu: Vec<RcuSheaf>,
    mode: MemoryMode,
    requests: Vec<SheafRequest>,
    next_request: u32,
    out_of_memory: bool,
    ledger: Ledger,
    /// Kept for its memory.
    grabbed: Vec<SlabId>,
}

/// What a cache needs from a kmalloc cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SheafRequest {
    /// Memory for a sheaf.
    Alloc {
        /// Number of the sheaf in its cache, never used again.
        sheaf: u32,
        /// Size to kmalloc().
        bytes: u32,
        /// The request to make of the kmalloc cache.
        request: AllocRequest,
    },
    /// A sheaf's memory is given back.
    Free {
        /// Number under which it was asked for.
        sheaf: u32,
        /// CPU that frees.
        cpu: u16,
    },
}

/// Free objects that are parked in sheaves.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ParkedObjects {
    /// By CPU, in its main, spare and rcu_free sheaf.
    pub cpus: Vec<u64>,
    /// By node, in its barn.
    pub barns: Vec<u64>,
    /// In sheaves that wait for a grace period.
    pub rcu: u64,
    /// In prefilled sheaves.
    pub prefilled: u64,
}

impl ParkedObjects {
    /// All of them.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.cpus.iter().sum::<u64>() + self.barns.iter().sum::<u64>() + self.rcu + self.prefilled
    }
}

impl Sheaves {
    /// The sheaves of a new cache: an empty main one per CPU. `None` if the release has none, or, before 7.0, the cache.
    pub(super) fn of(layout: &CacheLayout, rules: &Rules, topology: &Topology) -> Option<Box<Self>> {
        let rules = rules.sheaves?;
        let capacity = layout.sheaf_capacity as usize;
        if rules.cpu_slabs && capacity == 0 {
            return None;
        }
        let cpu = CpuSheaves { main: Sheaf::empty(capacity, Memory::Untracked), spare: None, rcu_free: None };
        let cpus: Vec<CpuSheaves> = (0..topology.cpus()).map(|_| cpu.clone()).collect();
        // With capacity 0 all CPUs share one dummy, which nobody allocates.
        let seeded_sheaves = if capacity == 0 { 0 } else { cpus.len() as u64 };
        Some(Box::new(Self {
            rules,
            capacity,
            barn_limits: [layout.nodes.max_full_sheaves, layout.nodes.max_empty_sheaves].map(|limit| limit as usize),
            cpus,
            barns: vec![Barn::default(); usize::from(topology.nodes())],
            outside: Vec::new(),
            flushed_to_rcu: Vec::new(),
            mode: MemoryMode::Ignored,
            requests: Vec::new(),
            next_request: 0,
            out_of_memory: false,
            ledger: Ledger { seeded_sheaves, ..Ledger::default() },
            grabbed: Vec::new(),
        }))
    }

    fn request(&mut self, cpu: u16, capacity: usize, caller: Caller, no_sheaf: bool) -> Memory {
        let MemoryMode::Requested { word_bytes, .. } = self.mode else { return Memory::Untracked };
        let sheaf = self.next_request;
        self.next_request = self.next_request.wrapping_add(1);
        let bytes = sheaf_bytes(word_bytes, capacity as u32);
        self.requests.push(SheafRequest::Alloc { sheaf, bytes, request: AllocRequest { caller, no_sheaf, ..AllocRequest::on(cpu) } });
        Memory::Requested(sheaf)
    }

    fn put_outside(&mut self, sheaf: Sheaf, role: Role) -> usize {
        let outside = Some(Outside { sheaf, role });
        if let Some(number) = self.outside.iter().position(Option::is_none) {
            self.outside[number] = outside;
            return number;
        }
        self.outside.push(outside);
        self.outside.len() - 1
    }

    fn take_outside(&mut self, number: usize) -> Outside {
        self.outside[number].take().expect("a sheaf is given back once, to its cache")
    }
}

/// Bytes of a sheaf (`struct slab_sheaf`): list or RCU head and cache pointer, size and node in 4 bytes each, then the objects.
#[must_use]
pub fn sheaf_bytes(word_bytes: u32, capacity: u32) -> u32 {
    3 * word_bytes + 8 + word_bytes * capacity
}

impl Cache {
    /// Counts the creation of the cache by a CPU: a main sheaf for every CPU. A cache that is not said to be created in the course of
    /// the replay was there before.
    pub fn created_on(&mut self, cpu: u16) {
        let no_sheaf = self.is_kmalloc();
        let Some(sheaves) = self.sheaves.as_deref_mut().filter(|sheaves| sheaves.capacity > 0) else { return };
        for number in 0..sheaves.cpus.len() {
            let memory = sheaves.request(cpu, sheaves.capacity, Caller::Blocking, no_sheaf);
            sheaves.cpus[number].main.memory = memory;
        }
        let mains = sheaves.cpus.len() as u64;
        sheaves.ledger.seeded_sheaves -= mains;
        self.cpus[usize::from(cpu)].counts.add(Counter::SheafAlloc, mains);
    }

    /// Switches on the recording of requests for the memory of sheaves. `own` says that sheaves of the cache's capacity come from the
    /// cache itself.
    pub fn request_sheaf_memory(&mut self, word_bytes: u32, own: bool) {
        if let Some(sheaves) = &mut self.sheaves {
            sheaves.mode = MemoryMode::Requested { word_bytes, own };
        }
    }

    /// Says whether kmalloc() has memory for new sheaves; it has unless said otherwise.
    pub fn set_sheaf_memory(&mut self, available: bool) {
        if let Some(sheaves) = &mut self.sheaves {
            sheaves.out_of_memory = !available;
        }
    }

    /// The requests since the last call, in their order.
    #[inline]
    pub fn take_sheaf_requests(&mut self) -> Vec<SheafRequest> {
        match &mut self.sheaves {
            Some(sheaves) if !sheaves.requests.is_empty() => std::mem::take(&mut sheaves.requests),
            _ => Vec::new(),
        }
    }

    /// Size of kmalloc() for a sheaf of the cache's capacity; `None` without sheaves.
    #[must_use]
    pub fn sheaf_bytes(&self, word_bytes: u32) -> Option<u32> {
        let sheaves = self.sheaves.as_deref().filter(|sheaves| sheaves.capacity > 0)?;
        Some(sheaf_bytes(word_bytes, sheaves.capacity as u32))
    }

    /// Free objects parked in sheaves; they count as in use in the gauges.
    #[must_use]
    pub fn parked_objects(&self) -> ParkedObjects {
        let Some(sheaves) = &self.sheaves else { return ParkedObjects::default() };
        let sum = |sheaves: &mut dyn Iterator<Item = &Sheaf>| sheaves.map(|sheaf| sheaf.objects.len() as u64).sum::<u64>();
        let outside = |wanted: fn(Role) -> bool| {
            sum(&mut sheaves.outside.iter().flatten().filter(|outside| wanted(outside.role)).map(|outside| &outside.sheaf))
        };
        ParkedObjects {
            cpus: sheaves.cpus.iter().map(|own| sum(&mut own.iter())).collect(),
            barns: sheaves.barns.iter().map(|barn| sum(&mut barn.full.iter())).collect(),
            rcu: outside(|role| role != Role::Prefilled),
            prefilled: outside(|role| role == Role::Prefilled),
        }
    }

    /// Free objects parked in sheaves, by slab.
    pub(super) fn parked_by_slab(&self) -> FxHashMap<SlabId, u16> {
        let mut parked = FxHashMap::default();
        let Some(sheaves) = &self.sheaves else { return parked };
        let of_cpus = sheaves.cpus.iter().flat_map(CpuSheaves::iter);
        let of_barns = sheaves.barns.iter().flat_map(|barn| &barn.full);
        let outside = sheaves.outside.iter().flatten().map(|outside| &outside.sheaf);
        for object in of_cpus.chain(of_barns).chain(outside).flat_map(|sheaf| &sheaf.objects) {
            *parked.entry(object.slab).or_default() += 1;
        }
        parked
    }

    /// CPUs have slabs of their own (up to 6.19).
    #[inline]
    pub(super) fn has_cpu_slabs(&self) -> bool {
        self.sheaves.as_deref().is_none_or(|sheaves| sheaves.rules.cpu_slabs)
    }

    fn is_kmalloc(&self) -> bool {
        self.layout.flags.contains(CacheFlags::KMALLOC)
    }

    /// The sheaves of a cache that is known to have them.
    fn sheaves(&mut self) -> &mut Sheaves {
        self.sheaves.as_deref_mut().expect("a path of caches with sheaves")
    }

    fn own_sheaves(&mut self, cpu: u16) -> &mut CpuSheaves {
        &mut self.sheaves().cpus[usize::from(cpu)]
    }

    fn barn(&mut self, cpu: u16) -> &mut Barn {
        let node = self.topology.node_of(cpu);
        &mut self.sheaves().barns[usize::from(node)]
    }

    /// The barn of a CPU's node takes no further full sheaf.
    fn barn_is_full(&mut self, cpu: u16) -> bool {
        let max_full = self.sheaves().barn_limits[0];
        self.barn(cpu).full.len() >= max_full
    }

    fn add_count(&mut self, cpu: u16, counter: Counter, amount: usize) {
        self.cpus[usize::from(cpu)].counts.add(counter, amount as u64);
    }

    /// `alloc_empty_sheaf()`, or an oversize one.
    fn new_sheaf(&mut self, cpu: u16, capacity: usize, caller: Caller, pages: &mut dyn PageSource) -> Option<Sheaf> {
        let no_sheaf = self.is_kmalloc();
        let sheaves = self.sheaves();
        if sheaves.out_of_memory {
            return None;
        }
        let normal = capacity == sheaves.capacity;
        let counted = normal || sheaves.rules.oversize_counted;
        let memory = match sheaves.mode {
            MemoryMode::Requested { own: true, .. } if normal => {
                // Such a cache is a kmalloc cache.
                Memory::Own(self.alloc(AllocRequest { caller, no_sheaf: true, ..AllocRequest::on(cpu) }, pages)?.0)
            }
            _ => sheaves.request(cpu, capacity, caller, no_sheaf),
        };
        if counted {
            self.count(cpu, Counter::SheafAlloc);
        } else {
            self.sheaves().ledger.uncounted_sheaves += 1;
        }
        Some(Sheaf::empty(capacity, memory))
    }

    /// `free_empty_sheaf()`.
    fn free_sheaf(&mut self, cpu: u16, sheaf: Sheaf, pages: &mut dyn PageSource) {
        debug_assert!(sheaf.is_empty(), "a sheaf is freed empty");
        match sheaf.memory {
            Memory::Untracked => {}
            Memory::Requested(number) => self.sheaves().requests.push(SheafRequest::Free { sheaf: number, cpu }),
            Memory::Own(object) => {
                self.free(cpu, object, pages);
            }
        }
        let sheaves = self.sheaves();
        if sheaf.capacity == sheaves.capacity || sheaves.rules.oversize_counted {
            self.count(cpu, Counter::SheafFree);
        } else {
            sheaves.ledger.uncounted_sheaves -= 1;
        }
    }
}

impl CpuSheaves {
    fn iter(&self) -> impl Iterator<Item = &Sheaf> {
        std::iter::once(&self.main).chain(&self.spare).chain(&self.rcu_free)
    }
}
