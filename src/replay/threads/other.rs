//! Replay by an allocator that is no model.

use std::ptr::NonNull;
use std::sync::atomic::AtomicBool;

use super::crew::drive;
use super::outcome::ThreadsOutcome;
use super::setup::ThreadsSetup;
use super::slots::{Handed, Slots};
use super::split::Shares;
use super::target::Target;
use crate::prepare::Plan;

/// An allocator that is no model: it has no slabs from before the trace and no caches.
pub trait Other: Target<Own = ()> {
    /// An object of so many bytes.
    fn make(&self, bytes: u32) -> Option<NonNull<u8>>;

    /// Takes back an object of so many bytes.
    fn take_back(&self, object: NonNull<u8>, bytes: u32);
}

/// Replays a plan on threads by another allocator. What is live at the start is allocated before time runs, what is live at the end freed
/// after.
pub fn run_other<T: Other>(plan: &Plan, setup: &ThreadsSetup, target: &T, stop: &AtomicBool) -> ThreadsOutcome {
    let shares = Shares::of(plan, setup.topology.cpus(), setup.workers);
    let slots = Slots::new(shares.slots);
    // By slot: its last tenant, and the bytes of that.
    let mut last = vec![(0_u32, 0_u32); shares.slots as usize];
    for (seed, live) in plan.seeds.iter().zip(&shares.seeded) {
        let bytes = plan.caches[usize::from(seed.cache)].layout.object_size;
        for &slot in live {
            slots.put(slot, 0, target.make(bytes).map_or(Handed::Failed, Handed::Object));
            last[slot as usize].1 = bytes;
        }
    }
    for shared in shares.workers.iter().flat_map(|share| &share.ops).filter(|shared| !shared.op.what.is_free()) {
        let last = &mut last[shared.op.object as usize];
        if shared.tenant >= last.0 {
            *last = (shared.tenant, shared.op.requested_bytes);
        }
    }
    let mut owned = vec![(); shares.workers.len()];
    let outcome = drive(target, &shares, &mut owned, &slots, setup, stop, &|_| {});
    for (slot, (tenant, bytes)) in (0..).zip(last) {
        if let Some(Handed::Object(object)) = slots.take(slot, tenant) {
            target.take_back(object, bytes);
        }
    }
    outcome
}
