//! Something too simple to be wrong: a map from address to size over the events of a recording.
//!
//! It shares nothing with the preparation but the decoded events, and knows one kernel, 6.12 on x86-64.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use slubreplay_parsers::event::{Alloc, AllocCall, Body, Event, Free, FreeCall};
use slubreplay_parsers::recording::Recording;

use crate::support::Snapshot;

/// Two pages: more than that comes from the page allocator.
const LARGEST_CLASS: u64 = 8192;
const GFP_RECLAIMABLE: u32 = 0x10;
const GFP_ACCOUNT: u32 = 0x40_0000;
const ZERO_SIZE_PTR: u64 = 16;

/// Call site, object size and stride.
type Key = (u64, u64, u64);

/// Objects allocated with one key.
#[derive(Debug, Default)]
struct OfKey {
    allocs: u64,
    /// Directories that their frees named.
    freed_as: BTreeSet<String>,
}

/// What is known of a live address.
#[derive(Debug, Clone)]
struct Life {
    requested: u64,
    /// Cache of a kmalloc object.
    class: Option<String>,
    /// Of other objects.
    key: Option<Key>,
    is_large: bool,
    pid: i32,
    cpu: u16,
}

/// Counts of one cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Figures {
    pub(crate) allocs: u64,
    pub(crate) live: u64,
    pub(crate) live_requested: u64,
    /// Objects whose address was handed out again: their free was not traced.
    pub(crate) overlaid: u64,
    /// Frees that name another cache: the object was freed before, and another allocated, both unseen.
    pub(crate) contradicted: u64,
}

/// Counts over a whole recording.
#[derive(Debug, Default)]
pub(crate) struct Oracle {
    pub(crate) allocs: u64,
    pub(crate) requested: u64,
    pub(crate) failed: u64,
    pub(crate) null_frees: u64,
    pub(crate) large_allocs: u64,
    pub(crate) large_frees: u64,
    pub(crate) doubled: u64,
    /// Frees of objects seen allocated.
    pub(crate) frees: u64,
    /// Frees of addresses that are not live.
    pub(crate) unknown_frees: u64,
    /// Objects whose address was handed out again: their free was not traced.
    pub(crate) overlaid: u64,
    pub(crate) live: u64,
    pub(crate) live_requested: u64,
    /// By stride, allocations.
    pub(crate) by_stride: BTreeMap<u64, u64>,
    /// By kmalloc cache.
    pub(crate) kmalloc: BTreeMap<String, Figures>,
    /// Objects of named caches, by directory: those whose call site and sizes were freed under one name
    /// only, and frees of unknown addresses with a name.
    pub(crate) named: BTreeMap<String, u64>,
    /// Frees of kmalloc objects under the name of another cache, by that name's directory.
    pub(crate) contradicted: BTreeMap<String, u64>,
    map: HashMap<u64, Life>,
    keys: BTreeMap<Key, OfKey>,
}

impl Oracle {
    pub(crate) fn of(recording: &Recording, snapshot: &Snapshot) -> Self {
        let mut oracle = Self::default();
        let events: Vec<&Event> = recording.merged().collect();
        for tie in events.chunk_by(|a, b| a.time_ns == b.time_ns) {
            let mut left = tie.to_vec();
            while !left.is_empty() {
                // The first event of some CPU that fits what is live; if none does, simply the first.
                let is_next = |index: usize| left[..index].iter().all(|earlier| earlier.cpu != left[index].cpu);
                let fitting = (0..left.len()).find(|&index| is_next(index) && oracle.fits(left[index]));
                let event = left.remove(fitting.unwrap_or(0));
                match event.body {
                    Body::Alloc(alloc) => oracle.alloc(event, alloc),
                    Body::Free(free) => oracle.free(free, recording, snapshot),
                    _ => {}
                }
            }
        }
        oracle.sum_up();
        oracle
    }

    fn fits(&self, event: &Event) -> bool {
        match event.body {
            Body::Alloc(alloc) => !self.map.contains_key(&alloc.ptr),
            Body::Free(free) => free.ptr == 0 || free.ptr == ZERO_SIZE_PTR || self.map.contains_key(&free.ptr),
            _ => true,
        }
    }

    fn alloc(&mut self, event: &Event, alloc: Alloc) {
        if alloc.ptr == 0 {
            self.failed += 1;
            return;
        }
        let is_kmalloc = alloc.call == AllocCall::Kmalloc;
        let is_large = is_kmalloc && alloc.bytes_alloc > LARGEST_CLASS;
        let life = Life {
            requested: alloc.bytes_req,
            class: (is_kmalloc && !is_large).then(|| class_name(alloc)),
            key: (!is_kmalloc).then_some((alloc.call_site, alloc.bytes_req, alloc.bytes_alloc)),
            is_large,
            pid: event.pid,
            cpu: event.cpu,
        };
        if !is_large {
            self.allocs += 1;
            self.requested += alloc.bytes_req;
            *self.by_stride.entry(alloc.bytes_alloc).or_default() += 1;
        }
        if let Some(class) = &life.class {
            self.kmalloc.entry(class.clone()).or_default().allocs += 1;
        }
        if let Some(key) = life.key {
            self.keys.entry(key).or_default().allocs += 1;
        }
        let earlier = self.map.insert(alloc.ptr, life);
        match earlier {
            Some(earlier) if earlier.is_large && is_large && (earlier.pid, earlier.cpu) == (event.pid, event.cpu) => self.doubled += 1,
            Some(earlier) if !earlier.is_large => {
                self.overlaid += 1;
                if let Some(class) = earlier.class {
                    self.kmalloc.entry(class).or_default().overlaid += 1;
                }
                self.large_allocs += u64::from(is_large);
            }
            _ => self.large_allocs += u64::from(is_large),
        }
    }

    fn free(&mut self, free: Free, recording: &Recording, snapshot: &Snapshot) {
        if free.ptr == 0 || free.ptr == ZERO_SIZE_PTR {
            self.null_frees += 1;
            return;
        }
        let name =
            free.name.filter(|_| free.call == FreeCall::KmemCacheFree).map(|name| snapshot.directory(recording.name(name)).to_owned());
        match self.map.remove(&free.ptr) {
            Some(life) if life.is_large => self.large_frees += 1,
            Some(life) => {
                self.frees += 1;
                if let (Some(class), Some(_)) = (&life.class, &name) {
                    self.kmalloc.entry(class.clone()).or_default().contradicted += 1;
                }
                match (life.key, name) {
                    (Some(key), Some(name)) => drop(self.keys.entry(key).or_default().freed_as.insert(name)),
                    (None, Some(name)) => *self.contradicted.entry(name).or_default() += 1,
                    (_, None) => {}
                }
            }
            None => {
                self.unknown_frees += 1;
                if let Some(name) = name {
                    *self.named.entry(name).or_default() += 1;
                }
            }
        }
    }

    fn sum_up(&mut self) {
        for life in self.map.values().filter(|life| !life.is_large) {
            self.live += 1;
            self.live_requested += life.requested;
            if let Some(class) = &life.class {
                let figures = self.kmalloc.entry(class.clone()).or_default();
                figures.live += 1;
                figures.live_requested += life.requested;
            }
        }
        for of_key in self.keys.values().filter(|of_key| of_key.freed_as.len() == 1) {
            for name in &of_key.freed_as {
                *self.named.entry(name.clone()).or_default() += of_key.allocs;
            }
        }
    }

    /// Call sites and sizes whose objects were freed under several names.
    pub(crate) fn ambiguous_keys(&self) -> usize {
        self.keys.values().filter(|of_key| of_key.freed_as.len() > 1).count()
    }
}

/// `kmalloc_type()` and the class names, Linux 6.12 without `CONFIG_ZONE_DMA`.
fn class_name(alloc: Alloc) -> String {
    let kind = match alloc.gfp_flags {
        gfp if gfp & GFP_RECLAIMABLE != 0 => "rcl-",
        gfp if gfp & GFP_ACCOUNT != 0 => "cg-",
        _ => "",
    };
    match alloc.bytes_alloc {
        bytes if bytes >= 1024 => format!("kmalloc-{kind}{}k", bytes / 1024),
        bytes => format!("kmalloc-{kind}{bytes}"),
    }
}
