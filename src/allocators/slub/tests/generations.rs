//! The paths of all generations, with figures worked out by hand from slub-paths.md: the scenarios of section 20, and what
//! changed in between.

use std::collections::BTreeMap;

use super::super::node::End;
use super::*;
use crate::mem::{PageRequest, PageSource, Pages};

mod debug;
mod frees;
mod limits;
mod lists;
mod nodes;
mod random;
mod scenarios;

use Counter::*;

/// 2.6.38 is the only one of 2.6.x that is told apart.
type Release = (u32, u32);

/// Those with the rules of 2.6.38; 3.1 goes half-way to 3.2.
const OLDEST: [Release; 2] = [(2, 6), (3, 0)];
const EARLY: Release = (3, 2);
const OBJECTS_LIMITED: [Release; 8] = [(3, 6), (3, 10), (3, 18), (3, 19), (4, 4), (5, 4), (5, 10), (5, 15)];
const SLABS_LIMITED_AND_FROZEN: [Release; 3] = [(5, 16), (6, 1), (6, 7)];
const UNFROZEN: [Release; 5] = [(6, 8), (6, 12), (6, 17), (6, 18), (6, 19)];

/// How a page source refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Refuse {
    Nothing,
    /// Orders above 0.
    HigherOrders,
    Everything,
    /// This node, to those who insist on it; others are served from node 0.
    Node(u16),
}

struct TestPages {
    inner: UnlimitedPages,
    refuse: Refuse,
}

impl PageSource for TestPages {
    fn alloc(&mut self, request: PageRequest) -> Option<Pages> {
        match self.refuse {
            Refuse::Everything => None,
            Refuse::HigherOrders if request.order > 0 => None,
            Refuse::Node(node) if request.node == node && request.this_node_only => None,
            Refuse::Node(node) if request.node == node => self.inner.alloc(PageRequest { node: 0, ..request }),
            _ => self.inner.alloc(request),
        }
    }

    fn free(&mut self, pages: Pages) {
        self.inner.free(pages);
    }
}

/// A cache with its page source; every step is followed by a check of the laws.
struct Rig {
    release: Release,
    cache: Cache,
    pages: TestPages,
    /// Totals at the last [`Self::mark`].
    before: BTreeMap<&'static str, u64>,
}

fn release_of((major, minor): Release) -> KernelRelease {
    KernelRelease::new(major, minor, if (major, minor) == (2, 6) { 38 } else { 0 })
}

/// Single pages of `objects` objects; 5 partial slabs are kept, and a CPU partial list holds 6 objects or 4 slabs.
fn plain_layout(objects: u32) -> CacheLayout {
    CacheLayout {
        order: 0,
        objects,
        min_order: 0,
        min_objects: objects,
        min_partial: 5,
        cpu_partial: 6,
        cpu_partial_slabs: 4,
        sheaf_capacity: 0,
        ..layout(64)
    }
}

impl Rig {
    fn new(release: Release, objects: u32, nodes: &[u16]) -> Self {
        Self::with(release, CacheKind::CpuPartial, nodes, plain_layout(objects))
    }

    fn with(release: Release, kind: CacheKind, nodes: &[u16], layout: CacheLayout) -> Self {
        let cache = Cache::new(0, layout, kind, Rules::of(release_of(release)), &Topology::new(nodes.to_vec()));
        let pages = TestPages { inner: UnlimitedPages::default(), refuse: Refuse::Nothing };
        Self { release, cache, pages, before: BTreeMap::new() }
    }

    #[track_caller]
    fn check(&self) {
        self.cache.validate(None).unwrap_or_else(|violation| panic!("{:?}: {violation}", self.release));
    }

    #[track_caller]
    fn ask(&mut self, request: AllocRequest) -> Object {
        let object = take(&mut self.cache, request, &mut self.pages);
        self.check();
        object
    }

    #[track_caller]
    fn take(&mut self, cpu: u16, count: usize) -> Vec<Object> {
        (0..count).map(|_| self.ask(AllocRequest::on(cpu))).collect()
    }

    #[track_caller]
    fn take_on_node(&mut self, cpu: u16, node: u16) -> Object {
        self.ask(AllocRequest { node: Some(node), ..AllocRequest::on(cpu) })
    }

    #[track_caller]
    fn free(&mut self, cpu: u16, objects: &[Object]) {
        for &object in objects {
            self.cache.free(cpu, object, &mut self.pages);
            self.check();
        }
    }

    #[track_caller]
    fn free_list(&mut self, cpu: u16, slab: SlabId, objects: &[ObjectIndex]) {
        self.cache.free_list(cpu, slab, objects, &mut self.pages);
        self.check();
    }

    #[track_caller]
    fn flush(&mut self, cpu: u16) {
        self.cache.flush_cpu(cpu, &mut self.pages);
        self.check();
    }

    /// Slabs with the given numbers of free objects, in this order from the head of the node's list.
    fn list_on(&mut self, node: u16, free: &[u16]) -> Vec<SlabId> {
        let order = self.cache.layout.order as u8;
        let request = PageRequest { owner: 0, order, cpu: 0, node, this_node_only: false, rights: crate::mem::Rights::Reclaim };
        let mut seed = |&free: &u16| {
            let pages = self.pages.alloc(request).unwrap();
            self.cache.seed(&Seed { pages, free: (0..free).collect(), own: None, place: SeedPlace::NodePartial })
        };
        free.iter().map(&mut seed).collect()
    }

    fn listed(&self, node: u16) -> Vec<SlabId> {
        self.cache.slabs_of_node(node).iter().map(|view| view.slab).collect()
    }

    /// The CPU partial list from its top.
    fn parked(&self, cpu: u16) -> Vec<SlabId> {
        self.cache.cpu_partial(cpu).collect()
    }

    fn freelist(&self, slab: SlabId) -> Vec<ObjectIndex> {
        self.cache.slabs.chain(slab, self.cache.slabs[slab].freelist).collect()
    }

    fn totals(&self) -> BTreeMap<&'static str, u64> {
        totals(&self.cache).into_iter().collect()
    }

    /// Counters from here on.
    fn mark(&mut self) {
        self.before = self.totals();
    }

    /// Checks all counters since the last mark: those not named are 0.
    #[track_caller]
    fn assert_counts(&self, expected: &[(Counter, u64)]) {
        let mut seen = self.totals();
        for (name, value) in &mut seen {
            *value -= self.before.get(name).copied().unwrap_or(0);
        }
        seen.retain(|_, value| *value > 0);
        let expected: BTreeMap<&str, u64> =
            expected.iter().filter(|(_, value)| *value > 0).map(|(counter, value)| (counter.name(), *value)).collect();
        assert_eq!(seen, expected, "{:?}", self.release);
    }
}

fn slabs_of(objects: &[Object]) -> Vec<SlabId> {
    let mut slabs: Vec<SlabId> = objects.iter().map(|object| object.slab).collect();
    slabs.dedup();
    slabs
}
