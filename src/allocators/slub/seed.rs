//! Building the state of a running system: slabs that exist before the first operation.

use super::cache::Cache;
use super::generation::DebugPath;
use super::node::End;
use super::slab::{NO_OBJECT, ObjectIndex, Place, SlabId};
use crate::mem::Pages;

/// A slab that exists from the start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// Its pages.
    pub pages: Pages,
    /// Free objects in the order in which they will be handed out.
    pub free: Vec<ObjectIndex>,
    /// Of a cpu slab: how many of the free objects are on the CPU's own freelist; the others are on the slab's. `None` for all.
    pub own: Option<usize>,
    /// Where the slab is.
    pub place: SeedPlace,
}

/// Where a seeded slab is. A slab without free objects is on no list, whatever is said here, unless it
/// is a cpu slab.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SeedPlace {
    /// The cpu slab of this CPU.
    Cpu(u16),
    /// On this CPU's partial list, on top of those seeded before it.
    CpuPartial(u16),
    /// At the tail of its node's partial list.
    NodePartial,
}

impl Cache {
    /// Adds a slab without counting anything. Objects not listed as free are in use.
    ///
    /// Free objects beyond the slab's size and repetitions are ignored. A second cpu slab of one CPU goes to the node's
    /// list instead, and so does a slab in a place that the release or the cache does not have.
    pub fn seed(&mut self, seed: &Seed) -> SlabId {
        let objects = if u32::from(seed.pages.order) == self.layout.order { self.layout.objects } else { self.layout.min_objects };
        let id = self.slabs.add(seed.pages, objects as u16);
        self.seeded_slabs += 1;
        let mut seen = vec![false; objects as usize];
        let free: Vec<ObjectIndex> = seed
            .free
            .iter()
            .copied()
            .filter(|&index| seen.get_mut(usize::from(index)).is_some_and(|seen| !std::mem::replace(seen, true)))
            .collect();
        let head = free.iter().rev().fold(NO_OBJECT, |next, &index| {
            self.slabs.set_link(id, index, next);
            index
        });
        let slab = &mut self.slabs[id];
        slab.inuse = slab.objects;
        slab.place = Place::Full;
        slab.freelist = NO_OBJECT;
        self.seeded_in_use += u64::from(slab.objects) - free.len() as u64;
        let has_cpu_slabs = self.has_cpu_slabs() && (!self.has_debug || self.rules.debug == DebugPath::CpuSlab);
        let place = match seed.place {
            SeedPlace::Cpu(_) if has_cpu_slabs => seed.place,
            SeedPlace::CpuPartial(_) if self.has_cpu_partial => seed.place,
            _ => SeedPlace::NodePartial,
        };
        let slab = &mut self.slabs[id];
        if let SeedPlace::Cpu(cpu) = place
            && self.cpus[usize::from(cpu)].slab.is_none()
        {
            slab.place = Place::Cpu(cpu);
            // The CPU's own freelist stays empty in a cache with debugging.
            let own = if self.has_debug { 0 } else { seed.own.unwrap_or(free.len()).min(free.len()) };
            let (own, remote) = free.split_at(own);
            slab.inuse -= remote.len() as u16;
            slab.freelist = remote.first().copied().unwrap_or(NO_OBJECT);
            if let Some(&last) = own.last() {
                self.slabs.set_link(id, last, NO_OBJECT);
            }
            let cpu = &mut self.cpus[usize::from(cpu)];
            (cpu.slab, cpu.freelist) = (id, own.first().copied().unwrap_or(NO_OBJECT));
            return id;
        }
        if head == NO_OBJECT {
            return id;
        }
        slab.inuse -= free.len() as u16;
        slab.freelist = head;
        match place {
            SeedPlace::CpuPartial(cpu) => self.push_cpu_partial(cpu, id),
            SeedPlace::Cpu(_) | SeedPlace::NodePartial => self.add_partial(id, End::Tail),
        }
        id
    }
}
