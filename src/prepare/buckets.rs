//! Tells bucket caches from the kmalloc caches of the same sizes.
//!
//! Some kmalloc callers have caches of their own (`kmem_buckets_create()`, 6.11), which no event shows. But
//! caches share no slab: where the objects of some call sites never lie in a slab with objects of others,
//! and the snapshot has a bucket cache of that size in use, these are its call sites.

use rustc_hash::FxHashMap;
use slubreplay_parsers::capture::SlabSnapshot;

use super::ledger::Entry;
use super::pairing::Paired;
use crate::allocators::slub::sizing::{Kernel, kmalloc};

/// Sets of bucket caches that kernels create, and the kmalloc type that their requests look like.
///
/// Source: `init_msg_buckets()`, `ipc/msgutil.c` (its cache is `SLAB_ACCOUNT`, and so are its requests), and
/// `init_user_buckets()`, `mm/util.c`, Linux 6.12.
const SETS: [(&str, kmalloc::Kind); 2] = [("msg_msg", kmalloc::Kind::Cgroup), ("memdup_user", kmalloc::Kind::Normal)];

/// A group of call sites has to have had this many objects before it is believed to be a cache.
const OBJECTS_NEEDED: u64 = 64;

/// Moves objects to the bucket caches they belong to. `number` gives the number of a cache by its name in
/// the snapshot.
pub(super) fn separate(
    paired: &Paired,
    kernel: &Kernel,
    snapshot: &SlabSnapshot,
    of_object: &mut [(u16, Option<Entry>)],
    number: &mut dyn FnMut(&str) -> u16,
) {
    for (set, kind) in SETS {
        for class in kmalloc::classes_by_index(kernel) {
            let bucket = kmalloc::bucket_name(kernel, set, class);
            let is_used = snapshot.caches.get(&bucket).and_then(|cache| cache.number("slabs")).is_some_and(|slabs| slabs > 0);
            if !is_used {
                continue;
            }
            let shared = number(&kmalloc::cache_name(kernel, kind, class));
            if let Some(keys) = apart(paired, of_object, shared) {
                let bucket = number(&bucket);
                for (object, identity) in paired.objects.iter().zip(of_object.iter_mut()) {
                    if identity.0 == shared && object.key.is_some_and(|key| keys[key as usize]) {
                        *identity = (bucket, Some(Entry::NamedBySlab));
                    }
                }
            }
        }
    }
}

/// Keys of the largest group that shares no slab with the rest of a cache, the largest group of all left
/// out: that is the cache itself.
fn apart(paired: &Paired, of_object: &[(u16, Option<Entry>)], cache: u16) -> Option<Vec<bool>> {
    let mut groups = Groups::new(paired.keys.len());
    let mut key_of_span: FxHashMap<u32, u32> = FxHashMap::default();
    let mut objects = vec![0_u64; paired.keys.len()];
    for (object, &(of, _)) in paired.objects.iter().zip(of_object) {
        if let (Some(key), true) = (object.key, of == cache) {
            objects[key as usize] += 1;
            groups.join(key, *key_of_span.entry(object.span).or_insert(key));
        }
    }
    let mut sizes: FxHashMap<u32, u64> = FxHashMap::default();
    for (key, count) in (0_u32..).zip(objects).filter(|(_, count)| *count > 0) {
        *sizes.entry(groups.root(key)).or_default() += count;
    }
    let mut sizes: Vec<(u64, u32)> = sizes.into_iter().map(|(root, count)| (count, root)).collect();
    sizes.sort_unstable_by(|a, b| b.cmp(a));
    // Which of the two largest is the bucket is open if they are the only ones: call sites decide. The
    // shared cache has many, a bucket one or two.
    let sites = |groups: &mut Groups, root: u32| (0..paired.keys.len() as u32).filter(|&key| groups.root(key) == root).count();
    let candidates: Vec<(u64, u32)> = sizes.into_iter().take(2).collect();
    let [(first_objects, first), (second_objects, second)] = candidates[..] else { return None };
    let (bucket_objects, bucket) =
        if sites(&mut groups, first) < sites(&mut groups, second) { (first_objects, first) } else { (second_objects, second) };
    (bucket_objects >= OBJECTS_NEEDED).then(|| (0..paired.keys.len() as u32).map(|key| groups.root(key) == bucket).collect())
}

/// Disjoint sets of keys.
pub(super) struct Groups {
    parent: Vec<u32>,
}

impl Groups {
    pub(super) fn new(count: usize) -> Self {
        Self { parent: (0..count as u32).collect() }
    }

    pub(super) fn root(&mut self, mut key: u32) -> u32 {
        while self.parent[key as usize] != key {
            let above = self.parent[self.parent[key as usize] as usize];
            self.parent[key as usize] = above;
            key = above;
        }
        key
    }

    pub(super) fn join(&mut self, a: u32, b: u32) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a as usize] = b;
    }
}
