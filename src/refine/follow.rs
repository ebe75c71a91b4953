//! A replay of one cache that is compared with the kernel object by object.

use crate::allocators::slub::Object;
use crate::mem::RecordedPages;
use crate::prepare::{Op, Plan};
use crate::replay::{CacheState, Engine, Observer, Setup};

/// What counts as a divergence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Level {
    /// An object from another slab.
    Slab,
    /// Another object of the same slab, too.
    Object,
}

/// A replay with what was compared so far. A copy goes on by itself.
#[derive(Debug, Clone)]
pub(super) struct Follow<'a> {
    pub(super) replay: Engine<'a, RecordedPages>,
    /// Operations done.
    pub(super) position: usize,
    /// Operations that diverged since the last [`Self::forget`].
    pub(super) diverged: Vec<usize>,
    level: Level,
    /// By slab of the replay: its life, and the kernel's address that each of its objects stands for; 0 if it is not known.
    addresses: Vec<(u32, Vec<u64>)>,
    places: &'a Plan,
}

struct Slabs(bool);

impl Observer for Slabs {
    fn mark(&mut self, _: &str, _: &dyn Fn(usize) -> Option<CacheState>) {}
    fn progress(&mut self, _: u64) {}

    fn diverged(&mut self, _: usize) {
        self.0 = true;
    }
}

impl<'a> Follow<'a> {
    pub(super) fn new(plan: &'a Plan, setup: &'a Setup, level: Level) -> Self {
        let pages = RecordedPages::new(plan.recorded_slabs.iter().cloned());
        let replay = Engine::new(plan, setup, pages).copied_on_the_way();
        Self { replay, position: 0, diverged: Vec::new(), level, addresses: Vec::new(), places: plan }
    }

    /// Forgets the divergences that there were.
    pub(super) fn forget(&mut self) {
        self.diverged.clear();
    }

    /// Does the next operation of `ops`, or list of them.
    pub(super) fn advance(&mut self, ops: &[Op]) {
        let (at, op) = (self.position, ops[self.position]);
        let mut slabs = Slabs(false);
        self.position = self.replay.advance(ops, at, &mut slabs);
        let diverged = slabs.0 || self.level == Level::Object && !op.what.is_free() && self.is_another_object(&op);
        if diverged {
            self.diverged.push(at);
        }
    }

    /// Which object of the replay stands for which of the kernel's is learnt when it is first handed out; the order in a new
    /// slab may be random. Where the two part, they change roles: from then on the one is where the other was.
    fn is_another_object(&mut self, op: &Op) -> bool {
        let (Some(object), Some(address)) = (self.replay.object(op.object), self.places.kernel.address(op.object)) else { return false };
        let known = self.row(object);
        let index = usize::from(object.index);
        let stood_for = known[index];
        if stood_for == address {
            return false;
        }
        let other = known.iter().position(|&other| other == address);
        known[index] = address;
        if let Some(other) = other {
            known[other] = stood_for;
        }
        stood_for != 0 || other.is_some()
    }

    fn row(&mut self, object: Object) -> &mut Vec<u64> {
        let life = self.replay.cache(0).map_or(0, |cache| cache.slab_life(object.slab));
        let objects = self.places.caches[0].layout.objects as usize;
        let slab = object.slab.index();
        if self.addresses.len() <= slab {
            self.addresses.resize(slab + 1, (0, Vec::new()));
        }
        let (known_life, known) = &mut self.addresses[slab];
        if *known_life != life {
            *known_life = life;
            known.clear();
            known.resize(objects, 0);
        }
        known
    }
}
