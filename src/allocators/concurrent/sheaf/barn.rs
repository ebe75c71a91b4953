//! Barns: the full and empty sheaves of a node (`struct node_barn`).

use std::sync::atomic::Ordering::Relaxed;

use super::{Address, Sheaf};
use crate::allocators::concurrent::lock::{Held, Lock};
use crate::allocators::concurrent::probe::{LockSite, NoProbe, Probe};
use crate::allocators::slub::sheaf::{MAX_EMPTY, MAX_FULL};
use crate::sync::{AtomicU32, hint};

#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Barn {
    node: u16,
    stacks: Lock<Stacks>,
    /// Heights of the stacks, for looking at them without the lock (`nr_full`, `nr_empty`). They change under it.
    nr_full: AtomicU32,
    nr_empty: AtomicU32,
}

/// The top at the end.
#[derive(Debug, Default)]
struct Stacks {
    full: Vec<Sheaf>,
    empty: Vec<Sheaf>,
}

/// Why a full sheaf found no place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    /// The barn has enough full ones.
    TooManyFull,
    /// It has no empty one to give for it.
    NoEmpty,
}

impl Barn {
    pub(super) fn new(node: u16) -> Self {
        Self { node, stacks: Lock::new(Stacks::default()), nr_full: AtomicU32::new(0), nr_empty: AtomicU32::new(0) }
    }

    fn lock<P: Probe>(&self, probe: &mut P) -> Open<'_> {
        Open { barn: self, stacks: self.stacks.lock(LockSite::Barn(self.node), probe) }
    }

    fn has_full(&self) -> bool {
        hint(&self.nr_full) > 0
    }

    fn has_empty(&self) -> bool {
        hint(&self.nr_empty) > 0
    }

    /// `barn_replace_empty_sheaf()`: exchanges an empty sheaf for a full one. The limit on empty ones is not looked at.
    pub(super) fn replace_empty<P: Probe>(&self, sheaf: &mut Sheaf, probe: &mut P) -> bool {
        if !self.has_full() {
            return false;
        }
        let mut open = self.lock(probe);
        let Some(full) = open.stacks.full.pop() else { return false };
        open.stacks.empty.push(std::mem::replace(sheaf, full));
        true
    }

    /// `barn_replace_full_sheaf()`: exchanges a full sheaf for an empty one.
    pub(super) fn replace_full<P: Probe>(&self, sheaf: &mut Sheaf, probe: &mut P) -> Result<(), Refused> {
        if hint(&self.nr_full) as usize >= MAX_FULL {
            return Err(Refused::TooManyFull);
        }
        if !self.has_empty() {
            return Err(Refused::NoEmpty);
        }
        let mut open = self.lock(probe);
        if open.stacks.full.len() >= MAX_FULL {
            return Err(Refused::TooManyFull);
        }
        let empty = open.stacks.empty.pop().ok_or(Refused::NoEmpty)?;
        open.stacks.full.push(std::mem::replace(sheaf, empty));
        Ok(())
    }

    /// `barn_get_empty_sheaf()`.
    pub(super) fn get_empty<P: Probe>(&self, probe: &mut P) -> Option<Sheaf> {
        if !self.has_empty() {
            return None;
        }
        self.lock(probe).stacks.empty.pop()
    }

    /// `barn_put_empty_sheaf()`, whatever the limit.
    pub(super) fn put_empty<P: Probe>(&self, sheaf: Sheaf, probe: &mut P) {
        self.lock(probe).stacks.empty.push(sheaf);
    }

    /// `barn_put_full_sheaf()`, whatever the limit.
    pub(super) fn put_full<P: Probe>(&self, sheaf: Sheaf, probe: &mut P) {
        self.lock(probe).stacks.full.push(sheaf);
    }

    /// A full sheaf, if there is room.
    pub(super) fn offer_full<P: Probe>(&self, sheaf: Sheaf, probe: &mut P) -> Result<(), Sheaf> {
        if hint(&self.nr_full) as usize >= MAX_FULL {
            return Err(sheaf);
        }
        self.put_full(sheaf, probe);
        Ok(())
    }

    /// An empty sheaf, if there is room.
    pub(super) fn offer_empty<P: Probe>(&self, sheaf: Sheaf, probe: &mut P) -> Result<(), Sheaf> {
        if hint(&self.nr_empty) as usize >= MAX_EMPTY {
            return Err(sheaf);
        }
        self.put_empty(sheaf, probe);
        Ok(())
    }

    /// Takes everything out (`barn_shrink()`): full sheaves from the top, then empty ones.
    pub(super) fn empty_out<P: Probe>(&self, probe: &mut P) -> Vec<Sheaf> {
        let stacks = std::mem::take(&mut *self.lock(probe).stacks);
        stacks.full.into_iter().rev().chain(stacks.empty.into_iter().rev()).collect()
    }

    /// Adds a sheaf that exists from the start: empty or full.
    pub(super) fn seed(&self, sheaf: Sheaf) -> bool {
        if sheaf.is_empty() {
            self.put_empty(sheaf, &mut NoProbe);
        } else if sheaf.is_full() {
            self.put_full(sheaf, &mut NoProbe);
        } else {
            return false;
        }
        true
    }

    /// Objects in full sheaves.
    pub(super) fn objects<P: Probe>(&self, probe: &mut P) -> Vec<Address> {
        self.lock(probe).stacks.full.iter().flat_map(|sheaf| sheaf.objects().iter().copied()).collect()
    }
}

/// A barn, locked. Brings the heights up to date when it is let go.
#[derive(Debug)]
struct Open<'a> {
    barn: &'a Barn,
    stacks: Held<'a, Stacks>,
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        // ORDERING: Relaxed. They are hints.
        self.barn.nr_full.store(self.stacks.full.len() as u32, Relaxed);
        self.barn.nr_empty.store(self.stacks.empty.len() as u32, Relaxed);
    }
}
