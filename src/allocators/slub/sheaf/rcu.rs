//! kfree_rcu() into sheaves: `__kfree_rcu_sheaf()` and `rcu_free_sheaf()`. Not on PREEMPT_RT.

use super::{Cache, Outside, Role};
use crate::allocators::slub::counters::Counter;
use crate::allocators::slub::slab::Object;
use crate::mem::PageSource;

/// A sheaf that waits for a grace period; then it goes back by [`Cache::rcu_sheaf_done`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RcuSheaf(usize);

/// What became of an object given to [`Cache::free_rcu`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RcuFree {
    /// It waits in the CPU's sheaf until that is full.
    Kept,
    /// It filled the sheaf, which waits for a grace period now.
    Full(RcuSheaf),
    /// It takes the way of batches of pointers, which end in `kfree_bulk()`.
    NotTaken,
}

impl Cache {
    /// kfree_rcu() of an object.
    pub fn free_rcu(&mut self, cpu: u16, object: Object, pages: &mut dyn PageSource) -> RcuFree {
        // In 7.x every cache is asked, those with debugging too, which have none.
        let capacity = match self.sheaves.as_deref() {
            Some(sheaves) => sheaves.capacity,
            None if self.rules.has_cpu_slabs() => return RcuFree::NotTaken,
            None => 0,
        };
        if !self.is_local(cpu, object) {
            return RcuFree::NotTaken;
        }
        if capacity == 0 || self.own_sheaves(cpu).rcu_free.is_none() && !self.provide_rcu_sheaf(cpu, pages) {
            self.count(cpu, Counter::FreeRcuSheafFail);
            return RcuFree::NotTaken;
        }
        let node = self.topology.node_of(cpu);
        let own = self.own_sheaves(cpu);
        let mut full = None;
        if let Some(sheaf) = &mut own.rcu_free {
            sheaf.objects.push(object);
            full = if sheaf.is_full() { own.rcu_free.take() } else { None };
        }
        self.count(cpu, Counter::FreeRcuSheaf);
        match full {
            Some(sheaf) => RcuFree::Full(RcuSheaf(self.sheaves().put_outside(sheaf, Role::RcuFull(node)))),
            None => RcuFree::Kept,
        }
    }

    /// An empty spare, else an empty sheaf of the barn, else a new one.
    fn provide_rcu_sheaf(&mut self, cpu: u16, pages: &mut dyn PageSource) -> bool {
        let spare = &mut self.own_sheaves(cpu).spare;
        let sheaf = if spare.as_ref().is_some_and(|spare| spare.is_empty()) { spare.take() } else { self.barn(cpu).empty.pop() };
        let sheaf = match sheaf {
            Some(sheaf) => Some(sheaf),
            None => self.new_sheaf(cpu, self.layout.sheaf_capacity as usize, self.free_caller(), pages),
        };
        let found = sheaf.is_some();
        self.own_sheaves(cpu).rcu_free = sheaf;
        found
    }

    /// The grace period of a sheaf is over; `cpu` runs the callback.
    ///
    /// # Panics
    ///
    /// If the sheaf is not of this cache, or was given back already.
    pub fn rcu_sheaf_done(&mut self, cpu: u16, sheaf: RcuSheaf, pages: &mut dyn PageSource) {
        let Outside { mut sheaf, role } = self.sheaves().take_outside(sheaf.0);
        let Role::RcuFull(node) = role else {
            self.flush_sheaf(cpu, &mut sheaf, pages);
            return self.free_sheaf(cpu, sheaf, pages);
        };
        let node = usize::from(node);
        let [max_full, max_empty] = self.sheaves().barn_limits;
        if self.sheaves().barns[node].full.len() < max_full {
            self.sheaves().barns[node].full.push(sheaf);
            return self.count(cpu, Counter::BarnPut);
        }
        self.count(cpu, Counter::BarnPutFail);
        self.flush_sheaf(cpu, &mut sheaf, pages);
        if self.sheaves().barns[node].empty.len() < max_empty {
            self.sheaves().barns[node].empty.push(sheaf);
        } else {
            self.free_sheaf(cpu, sheaf, pages);
        }
    }

    /// Hands a CPU's collecting sheaf to RCU as it is, as `kvfree_rcu_barrier()` does; it will be flushed and freed.
    pub fn detach_rcu_sheaf(&mut self, cpu: u16) -> Option<RcuSheaf> {
        self.sheaves.as_ref()?;
        let sheaf = self.own_sheaves(cpu).rcu_free.take()?;
        Some(RcuSheaf(self.sheaves().put_outside(sheaf, Role::RcuFlushed)))
    }

    /// Sheaves that flushing and shrinking handed to RCU since the last call.
    pub fn take_flushed_rcu_sheaves(&mut self) -> Vec<RcuSheaf> {
        self.sheaves.as_deref_mut().map(|sheaves| std::mem::take(&mut sheaves.flushed_to_rcu)).unwrap_or_default()
    }

    /// Detaches a CPU's collecting sheaf for the driver to fetch.
    pub(super) fn flush_rcu_sheaf(&mut self, cpu: u16) {
        if let Some(sheaf) = self.detach_rcu_sheaf(cpu) {
            self.sheaves().flushed_to_rcu.push(sheaf);
        }
    }

    /// Ends all grace periods.
    pub(super) fn finish_rcu(&mut self, cpu: u16, pages: &mut dyn PageSource) {
        self.sheaves().flushed_to_rcu.clear();
        for number in 0..self.sheaves().outside.len() {
            if self.sheaves().outside[number].as_ref().is_some_and(|outside| outside.role != Role::Prefilled) {
                self.rcu_sheaf_done(cpu, RcuSheaf(number), pages);
            }
        }
    }
}
