//! Looking at the slabs of a cache: for explanations, not for speed.

use super::cache::Cache;
use super::slab::{Place, SlabId};
use crate::allocators::{SlabFacts, SlabPlace};

/// A slab at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabView {
    /// Which slab.
    pub slab: SlabId,
    /// Where it is.
    pub place: Place,
    /// Objects it is made of.
    pub objects: u16,
    /// Objects on its own freelist; of a cpu slab, those freed by others.
    pub free: u16,
    /// Of a cpu slab: objects on its CPU's freelist.
    pub free_on_cpu: u16,
}

impl Cache {
    /// The cpu slab of a CPU, then its partial list from the top.
    #[must_use]
    pub fn slabs_of_cpu(&self, cpu: u16) -> Vec<SlabView> {
        let own = &self.cpus[usize::from(cpu)];
        let current = Some(own.slab).filter(|slab| !slab.is_none());
        current.into_iter().chain(self.cpu_partial(cpu)).map(|slab| self.view(slab)).collect()
    }

    /// The partial list of a node, from its head.
    #[must_use]
    pub fn slabs_of_node(&self, node: u16) -> Vec<SlabView> {
        self.nodes[usize::from(node)].iter(&self.slabs).map(|slab| self.view(slab)).collect()
    }

    /// One slab, if there is one with that number.
    #[must_use]
    pub fn slab_view(&self, slab: SlabId) -> Option<SlabView> {
        self.slab_life_at(slab.index()).map(|_| self.view(slab))
    }

    /// The slab with a number, if there is one now.
    #[must_use]
    pub fn slab_at(&self, index: usize) -> Option<SlabView> {
        self.slabs.at(index).map(|slab| self.view(slab))
    }

    /// Shows every slab, by number.
    pub(super) fn each_slab(&self, visit: &mut dyn FnMut(SlabFacts)) {
        let parked = self.parked_by_slab();
        for (id, slab) in self.slabs.iter() {
            let place = match slab.place {
                Place::Full | Place::Transit => SlabPlace::Full,
                Place::Cpu(_) => SlabPlace::Cpu,
                Place::CpuPartial(_) => SlabPlace::CpuPartial,
                Place::NodePartial => SlabPlace::Node,
            };
            let view = self.view(id);
            visit(SlabFacts {
                slab: id,
                life: self.slabs.life(id),
                place,
                objects: view.objects,
                free: view.free + view.free_on_cpu,
                parked: parked.get(&id).copied().unwrap_or(0),
                order: slab.pages.order,
                node: slab.pages.node,
            });
        }
    }

    fn view(&self, id: SlabId) -> SlabView {
        let slab = &self.slabs[id];
        let free_on_cpu = match slab.place {
            Place::Cpu(cpu) => self.slabs.chain(id, self.cpus[usize::from(cpu)].freelist).count() as u16,
            _ => 0,
        };
        SlabView { slab: id, place: slab.place, objects: slab.objects, free: slab.free_objects(), free_on_cpu }
    }
}
