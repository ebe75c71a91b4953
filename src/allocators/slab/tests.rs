//! Worked scenarios, computed by hand or taken from a model that was compared step by step with the code of 6.1.

mod geometry;
mod nodes;
mod random;
mod scenarios;

use super::*;
use crate::allocators::Topology;
use crate::allocators::slub::sizing::{CacheFlags, KernelRelease};
use crate::list::List;
use crate::mem::{PageRequest, Pages, UnlimitedPages};

const RELEASE: KernelRelease = KernelRelease::new(6, 1, 0);

fn request(cpu: u16) -> AllocRequest {
    AllocRequest { cpu, node: None, this_node_only: false, caller: Caller::Blocking, no_sheaf: false }
}

/// Pages that run out on some nodes: of each node, so many blocks.
#[derive(Debug, Clone, Default)]
struct Limited {
    pages: UnlimitedPages,
    /// By node: blocks that are left; a node that is not listed has no limit.
    left: Vec<u64>,
    /// Requests that were refused.
    refused: u64,
    freed: u64,
}

impl PageSource for Limited {
    fn alloc(&mut self, request: PageRequest) -> Option<Pages> {
        let nodes = if request.this_node_only { request.node..request.node + 1 } else { 0..self.left.len().max(1) as u16 };
        let has = |node: &u16| self.left.get(usize::from(*node)).is_none_or(|&left| left > 0);
        let preferred = std::iter::once(request.node).chain(nodes);
        let Some(node) = preferred.into_iter().find(has) else {
            self.refused += 1;
            return None;
        };
        if let Some(left) = self.left.get_mut(usize::from(node)) {
            *left -= 1;
        }
        self.pages.alloc(PageRequest { node, ..request })
    }

    fn free(&mut self, pages: Pages) {
        self.freed += 1;
        if let Some(left) = self.left.get_mut(usize::from(pages.node)) {
            *left += 1;
        }
        self.pages.free(pages);
    }
}

/// A cache that is looked at by the letters of its slabs, in the order of their creation.
#[derive(Debug)]
struct Bench {
    cache: SlabCache,
    pages: Limited,
    letters: Vec<(SlabId, u32)>,
    live: u64,
}

impl Bench {
    fn new(spec: SlabSpec, node_of_cpu: Vec<u16>) -> Self {
        Self::of(spec, node_of_cpu, RELEASE)
    }

    fn of(spec: SlabSpec, node_of_cpu: Vec<u16>, release: KernelRelease) -> Self {
        let topology = Topology::new(node_of_cpu);
        let machine = SlabMachine::x86_64(u32::from(topology.cpus()));
        let geometry = Geometry::calculate(&machine, &spec).expect("a geometry");
        let tunables = Tunables::of(&machine, geometry.size);
        let alien = topology.nodes() > 1;
        let setting = SlabSetting { rules: SlabRules::of(release), topology, numa: true, alien };
        let mut cache = SlabCache::new(0, SlabCacheSpec { geometry, tunables, is_early: false }, &setting, 0);
        cache.nodes.iter_mut().for_each(|node| node.next_reap = cache::REAP_NODE_NS);
        Self { cache, pages: Limited::default(), letters: Vec::new(), live: 0 }
    }

    fn name(&mut self, slab: SlabId) -> char {
        let life = (slab, self.cache.slabs.life(slab));
        let at = self.letters.iter().position(|known| *known == life).unwrap_or_else(|| {
            self.letters.push(life);
            self.letters.len() - 1
        });
        char::from(b'A' + at as u8)
    }

    fn alloc_on(&mut self, cpu: u16) -> Object {
        let (object, _) = self.cache.alloc(request(cpu), &mut self.pages).expect("pages");
        self.name(object.slab);
        self.live += 1;
        self.check();
        object
    }

    fn allocs(&mut self, cpu: u16, count: usize) -> Vec<Object> {
        (0..count).map(|_| self.alloc_on(cpu)).collect()
    }

    fn free_on(&mut self, cpu: u16, objects: &[Object]) {
        for &object in objects {
            self.cache.free(cpu, object, &mut self.pages);
            self.live -= 1;
            self.check();
        }
    }

    fn reap(&mut self, cpu: u16, node: u16, seconds: u64) {
        self.cache.reap(cpu, node, seconds * 1_000_000_000, &mut self.pages);
        self.check();
    }

    fn check(&self) {
        self.cache.validate(Some(self.live)).expect("the laws hold");
    }

    /// `A7 A6 …`
    fn names(&mut self, objects: &[Object]) -> String {
        let names: Vec<String> = objects.iter().map(|object| format!("{}{}", self.name(object.slab), object.index)).collect();
        names.join(" ")
    }

    /// `P[M:4 C:1] F[L] E[B A] fo=27` of a node.
    fn lists(&mut self, node: usize) -> String {
        let node = self.cache.nodes[node].clone();
        let slabs = |list: &List<SlabId>| list.iter(&self.cache.slabs).collect::<Vec<_>>();
        let (partial, full, free) = (slabs(&node.partial), slabs(&node.full), slabs(&node.free));
        let mut plain = |slabs: Vec<SlabId>| slabs.into_iter().map(|slab| self.name(slab).to_string()).collect::<Vec<_>>().join(" ");
        let (full, free) = (plain(full), plain(free));
        let partial: Vec<String> =
            partial.into_iter().map(|slab| format!("{}:{}", self.name(slab), self.cache.slabs[slab].active)).collect();
        format!("P[{}] F[{full}] E[{free}] fo={}", partial.join(" "), node.free_objects)
    }

    /// `50/1`: objects in a CPU's array, and whether it was touched.
    fn array(&self, cpu: usize) -> String {
        let array = &self.cache.cpus[cpu];
        format!("{}/{}", array.avail(), u8::from(array.touched))
    }

    fn shared(&self, node: usize) -> String {
        self.cache.nodes[node].shared.as_ref().map_or_else(String::new, |shared| format!("{}/{}", shared.avail(), u8::from(shared.touched)))
    }
}
