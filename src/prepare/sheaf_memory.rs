//! Which kmalloc events are the memory of sheaves.
//!
//! The kernel takes a sheaf from kmalloc in the middle of the operation that needs it, and that shows as an event of its own
//! (`alloc_empty_sheaf()`). A sheaf for a kmalloc cache carries a mark that no event shows: its own cache may make no further
//! sheaf for it. A call site that asks for nothing but sizes of sheaves is the allocator; the event next to it on the same CPU
//! is the operation that the sheaf is for.

use rustc_hash::{FxHashMap, FxHashSet};
use slubreplay_parsers::event::AllocCall;

use super::caches::PlannedCache;
use super::op::Op;
use super::pairing::{NO_CACHE, Paired};
use crate::allocators::slub::sheaf_bytes;
use crate::allocators::slub::sizing::kmalloc;

/// Different sizes that a call site has to have asked for to be believed to be the allocator.
const SIZES_NEEDED: usize = 2;

/// Marks the allocations of sheaves of kmalloc caches. `ops` have their caches.
pub(super) fn mark(paired: &mut Paired, caches: &[PlannedCache], word_bytes: u32) {
    let capacity_of_bytes: FxHashMap<u32, u32> = caches
        .iter()
        .map(|cache| cache.layout.sheaf_capacity)
        .filter(|&capacity| capacity > 0)
        .map(|capacity| (sheaf_bytes(word_bytes, capacity), capacity))
        .collect();
    let sites = sites(paired, &capacity_of_bytes);
    if sites.is_empty() {
        return;
    }
    let is_sheaf = |op: &Op| site(paired, op).is_some_and(|site| sites.contains(&site));
    let is_for = |op: &Op, bytes: u32| {
        let capacity = caches.get(usize::from(op.cache)).map(|cache| cache.layout.sheaf_capacity);
        capacity == capacity_of_bytes.get(&bytes).copied() && kmalloc::is_cache_name(&caches[usize::from(op.cache)].name)
    };
    let mut marked = Vec::new();
    // By CPU: a sheaf whose operation has not been seen yet, and the operation before it.
    let mut waiting: FxHashMap<u16, usize> = FxHashMap::default();
    let mut last: FxHashMap<u16, Op> = FxHashMap::default();
    for (position, op) in paired.ops.iter().enumerate().filter(|(_, op)| op.cache != NO_CACHE) {
        if let Some(sheaf) = waiting.remove(&op.cpu)
            && !op.what.is_free()
            && is_for(op, paired.ops[sheaf].requested_bytes)
        {
            marked.push(sheaf);
        }
        if is_sheaf(op) {
            // A free is traced before it needs a sheaf.
            if last.get(&op.cpu).is_some_and(|before| before.what.is_free() && is_for(before, op.requested_bytes)) {
                marked.push(position);
            } else {
                waiting.insert(op.cpu, position);
            }
        }
        last.insert(op.cpu, *op);
    }
    for position in marked {
        paired.ops[position].what = paired.ops[position].what.without_new_sheaf();
    }
}

fn site(paired: &Paired, op: &Op) -> Option<u64> {
    let key = &paired.keys[paired.objects.get(op.object as usize)?.key? as usize];
    (key.call == AllocCall::Kmalloc && !op.what.is_free()).then_some(key.call_site)
}

/// Call sites that ask for sizes of sheaves only.
fn sites(paired: &Paired, capacity_of_bytes: &FxHashMap<u32, u32>) -> FxHashSet<u64> {
    let mut sizes: FxHashMap<u64, FxHashSet<u32>> = FxHashMap::default();
    for op in &paired.ops {
        if let Some(site) = site(paired, op) {
            sizes.entry(site).or_default().insert(op.requested_bytes);
        }
    }
    let is_allocator =
        |sizes: &FxHashSet<u32>| sizes.len() >= SIZES_NEEDED && sizes.iter().all(|bytes| capacity_of_bytes.contains_key(bytes));
    sizes.into_iter().filter(|(_, sizes)| is_allocator(sizes)).map(|(site, _)| site).collect()
}
