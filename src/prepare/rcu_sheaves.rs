//! kfree_rcu() in kernels with sheaves: frees without any event.
//!
//! An object given to kfree_rcu() goes into a sheaf of the CPU. Once that is full and a grace period is over, the whole sheaf
//! goes to the barn, and some CPU takes it from there and hands its objects out, the last freed first (`__kfree_rcu_sheaf()`,
//! `rcu_free_sheaf()`, 6.18). So an object that is handed out while the trace has it live came out of such a sheaf, and so did
//! the ones that the same CPU hands out with it, up to a sheaf's capacity. Their frees go before the first of them, in reverse.
//! Which CPU freed them is not known: it is the one that hands them out again.

use rustc_hash::FxHashMap;

use super::caches::PlannedCache;
use super::op::{Op, What};
use super::pairing::{NO_CACHE, Paired};

/// A sheaf that was collected by kfree_rcu().
#[derive(Debug)]
struct Collected {
    /// Position of the allocation that its objects were first handed out by.
    start: usize,
    /// Positions of the frees, in the order in which the objects were handed out.
    frees: Vec<usize>,
}

/// Turns implied frees in caches with sheaves into frees by kfree_rcu(). `ops` have their caches.
pub(super) fn place(paired: &mut Paired, caches: &[PlannedCache]) {
    let mut sheaves = collected(paired, caches);
    if sheaves.is_empty() {
        return;
    }
    sheaves.sort_by_key(|sheaf| sheaf.start);
    let moved: FxHashMap<usize, Op> = sheaves.iter().flat_map(|sheaf| &sheaf.frees).map(|&free| (free, paired.ops[free])).collect();
    let mut sheaves = sheaves.into_iter().peekable();
    paired.rewrite(|_, position, op, ops| {
        while let Some(sheaf) = sheaves.next_if(|sheaf| sheaf.start == position) {
            let frees = sheaf.frees.iter().rev().map(|free| moved[free]);
            ops.extend(frees.map(|free| Op { time_ns: op.time_ns, what: free.what.by_rcu(), ..free }));
        }
        if !moved.contains_key(&position) {
            ops.push(op);
        }
    });
}

fn collected(paired: &Paired, caches: &[PlannedCache]) -> Vec<Collected> {
    let mut done = Vec::new();
    let mut open: FxHashMap<(u16, u16), Collected> = FxHashMap::default();
    let mut allocated_at = vec![0_usize; paired.objects.len()];
    let mut proof: Option<usize> = None;
    for (position, op) in paired.ops.iter().enumerate() {
        let proven = proof.take();
        if op.what == What::FREED.implied() {
            proof = Some(position);
            continue;
        }
        if op.what.is_free() || op.cache == NO_CACHE {
            continue;
        }
        allocated_at[op.object as usize] = position;
        let address = paired.objects[op.object as usize].ptr;
        let Some(free) = proven.filter(|&free| paired.objects[paired.ops[free].object as usize].ptr == address) else { continue };
        let capacity = caches[usize::from(op.cache)].layout.sheaf_capacity as usize;
        let freed = paired.ops[free];
        if capacity == 0 || freed.cache != op.cache {
            continue;
        }
        let key = (op.cache, op.cpu);
        // An object that was handed out since the sheaf came cannot have been in it.
        if open.get(&key).is_some_and(|sheaf| allocated_at[freed.object as usize] >= sheaf.start) {
            done.extend(open.remove(&key));
        }
        open.entry(key).or_insert_with(|| Collected { start: free, frees: Vec::new() }).frees.push(free);
        if open.get(&key).is_some_and(|sheaf| sheaf.frees.len() == capacity) {
            done.extend(open.remove(&key));
        }
    }
    done.extend(open.into_values());
    done
}
