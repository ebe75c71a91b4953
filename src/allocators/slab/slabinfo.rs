//! The line of `/proc/slabinfo` of a cache.
//!
//! Source: `get_slabinfo()`, `mm/slab.c`, `cache_show()`, `mm/slab_common.c`, Linux 6.1.

use rustc_hash::FxHashMap;

use super::cache::SlabCache;
use super::counters::SlabCounts;
use crate::allocators::SlabId;
use crate::allocators::slub::Gauges;

/// The columns of `/proc/slabinfo`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slabinfo {
    /// Objects out of slabs. Those in arrays of any kind count, although nobody uses them.
    pub active_objs: u64,
    /// Objects in all slabs.
    pub num_objs: u64,
    /// The stride.
    pub objsize: u64,
    /// Objects of a slab.
    pub objperslab: u64,
    /// Pages of a slab.
    pub pagesperslab: u64,
    /// Limit of a CPU's array.
    pub limit: u64,
    /// Objects moved at once.
    pub batchcount: u64,
    /// Batches in a shared array.
    pub sharedfactor: u64,
    /// Slabs that are not wholly free.
    pub active_slabs: u64,
    /// All slabs.
    pub num_slabs: u64,
    /// Objects in shared arrays.
    pub sharedavail: u64,
}

impl Slabinfo {
    /// Names as in the header of the file, with the values.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u64); 11] {
        [
            ("active_objs", self.active_objs),
            ("num_objs", self.num_objs),
            ("objsize", self.objsize),
            ("objperslab", self.objperslab),
            ("pagesperslab", self.pagesperslab),
            ("limit", self.limit),
            ("batchcount", self.batchcount),
            ("sharedfactor", self.sharedfactor),
            ("active_slabs", self.active_slabs),
            ("num_slabs", self.num_slabs),
            ("sharedavail", self.sharedavail),
        ]
    }
}

/// Counters and gauges of a SLAB cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlabState {
    /// What `/proc/slabinfo` shows.
    pub info: Slabinfo,
    /// Counters by CPU.
    pub counts: Vec<SlabCounts>,
    /// Objects in arrays of CPUs, in shared arrays, and in arrays for other nodes: active, but used by nobody.
    pub parked: u64,
    /// `maxobjs`: most objects that were out of slabs.
    pub max_objects: u64,
    /// `maxfreeable`: most wholly free slabs of a node when objects were flushed.
    pub max_freeable: u64,
}

impl SlabCache {
    /// The line of `/proc/slabinfo`.
    #[must_use]
    pub fn slabinfo(&self) -> Slabinfo {
        let sum = |figure: fn(&super::cache::Node) -> u64| self.nodes.iter().map(figure).sum::<u64>();
        let (geometry, tunables) = (&self.spec.geometry, &self.spec.tunables);
        let num_slabs = sum(|node| node.total_slabs);
        Slabinfo {
            active_objs: self.active_objects(),
            num_objs: num_slabs * u64::from(geometry.num),
            objsize: u64::from(geometry.size),
            objperslab: u64::from(geometry.num),
            pagesperslab: 1 << geometry.gfporder,
            limit: u64::from(tunables.limit),
            batchcount: u64::from(tunables.batchcount),
            sharedfactor: u64::from(tunables.shared),
            active_slabs: num_slabs - sum(|node| node.free.len()),
            num_slabs,
            sharedavail: sum(|node| node.shared.as_ref().map_or(0, |shared| u64::from(shared.avail()))),
        }
    }

    /// Objects in arrays of any kind.
    #[must_use]
    pub fn parked(&self) -> u64 {
        let of_nodes = self.nodes.iter().flat_map(|node| node.shared.iter().chain(node.alien.iter().flatten()));
        self.cpus.iter().chain(of_nodes).map(|array| u64::from(array.avail())).sum()
    }

    /// The same, by slab.
    pub(super) fn parked_by_slab(&self) -> FxHashMap<SlabId, u16> {
        let mut parked = FxHashMap::default();
        let of_nodes = self.nodes.iter().flat_map(|node| node.shared.iter().chain(node.alien.iter().flatten()));
        for object in self.cpus.iter().chain(of_nodes).flat_map(|array| &array.entries) {
            *parked.entry(object.slab).or_default() += 1;
        }
        parked
    }

    /// Slabs with some objects in use and some free.
    #[must_use]
    pub fn partial_slabs(&self) -> u64 {
        self.nodes.iter().map(|node| node.partial.len()).sum()
    }

    /// All counters and gauges.
    #[must_use]
    pub fn slab_state(&self) -> SlabState {
        SlabState {
            info: self.slabinfo(),
            counts: self.counts.clone(),
            parked: self.parked(),
            max_objects: self.maximum.objects,
            max_freeable: self.maximum.freeable,
        }
    }

    /// What corresponds to SLUB's figures in sysfs: objects in arrays count as in use, as in `/proc/slabinfo`.
    #[must_use]
    pub fn gauges(&self) -> Gauges {
        let info = self.slabinfo();
        let partial = self.nodes.iter().flat_map(|node| node.partial.iter(&self.slabs));
        Gauges {
            slabs: info.num_slabs,
            total_objects: info.num_objs,
            objects: info.active_objs,
            objects_partial: partial.map(|slab| u64::from(self.slabs[slab].active)).sum(),
            partial: self.partial_slabs(),
            cpu_slabs: 0,
        }
    }
}
