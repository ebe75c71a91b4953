//! The figures of sysfs that are computed from a cache's state.

use super::cache::{Cache, CpuSlab};

/// State of a cache as its sysfs files show it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Gauges {
    /// Slabs in existence.
    pub slabs: u64,
    /// Objects in all slabs.
    pub total_objects: u64,
    /// Objects that are not free on a node partial list. Free objects in cpu slabs and on CPU partial
    /// lists count as objects in use.
    pub objects: u64,
    /// Objects in use in slabs on node partial lists.
    pub objects_partial: u64,
    /// Slabs on node partial lists.
    pub partial: u64,
    /// Cpu slabs and slabs on CPU partial lists.
    pub cpu_slabs: u64,
}

impl Gauges {
    /// Names in sysfs with their values.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 6] {
        [
            ("slabs", self.slabs),
            ("total_objects", self.total_objects),
            ("objects", self.objects),
            ("objects_partial", self.objects_partial),
            ("partial", self.partial),
            ("cpu_slabs", self.cpu_slabs),
        ]
    }
}

impl Cache {
    /// The figures of sysfs.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let mut gauges =
            Gauges { slabs: self.slabs.count(), cpu_slabs: self.cpu_slab_count() + self.cpu_partial_count(), ..Gauges::default() };
        gauges.total_objects = self.slabs.iter().map(|(_, slab)| u64::from(slab.objects)).sum();
        let mut free = 0;
        for id in self.nodes.iter().flat_map(|node| node.iter(&self.slabs)) {
            let slab = &self.slabs[id];
            gauges.partial += 1;
            gauges.objects_partial += u64::from(slab.inuse);
            free += u64::from(slab.free_objects());
        }
        gauges.objects = gauges.total_objects - free;
        gauges
    }

    /// Slabs in existence.
    #[must_use]
    pub fn slab_count(&self) -> u64 {
        self.slabs.count()
    }

    /// Bytes of pages in slabs, for a page of `page_bytes`.
    #[must_use]
    pub fn slab_bytes(&self, page_bytes: u32) -> u64 {
        self.slabs.pages() * u64::from(page_bytes)
    }

    /// Slabs on node partial lists.
    #[must_use]
    pub fn partial_count(&self) -> u64 {
        self.nodes.iter().map(|node| node.len()).sum()
    }

    /// Free objects in the layers in front of the nodes' lists: in cpu slabs, freed there by others or not, in slabs on CPU
    /// partial lists, and in sheaves. What sysfs counts as in use although it is free.
    #[must_use]
    pub fn held_objects(&self) -> u64 {
        let of_cpu = |cpu: &CpuSlab| {
            let own = self.slabs.chain(cpu.slab, cpu.freelist).count() as u64;
            own + if cpu.slab.is_none() { 0 } else { u64::from(self.slabs[cpu.slab].free_objects()) }
        };
        let parked = (0..self.topology.cpus()).flat_map(|cpu| self.cpu_partial(cpu)).map(|slab| u64::from(self.slabs[slab].free_objects()));
        self.cpus.iter().map(of_cpu).sum::<u64>() + parked.sum::<u64>() + self.parked_objects().total()
    }

    /// CPUs that have a cpu slab.
    #[must_use]
    pub fn cpu_slab_count(&self) -> u64 {
        self.cpus.iter().filter(|cpu| !cpu.slab.is_none()).count() as u64
    }

    /// Slabs on CPU partial lists.
    #[must_use]
    pub fn cpu_partial_count(&self) -> u64 {
        self.cpus.iter().map(|cpu| u64::from(cpu.partial_slabs)).sum()
    }
}
