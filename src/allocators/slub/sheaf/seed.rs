//! Sheaves that exist before the first operation.

use super::{Cache, Memory, Sheaf};
use crate::allocators::slub::slab::Object;

/// Where a seeded sheaf is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SheafPlace {
    /// The main sheaf of a CPU.
    Main(u16),
    /// Its spare.
    Spare(u16),
    /// The one that collects objects of kfree_rcu().
    RcuFree(u16),
    /// The barn of a node: full, or empty if it has no objects. On top of those seeded before it.
    Barn(u16),
}

impl Cache {
    /// Puts a sheaf in its place without counting anything, its objects from the bottom up. They are objects of seeded slabs that were
    /// not given as free. Says whether it was done: not if the cache has no sheaves, the place is taken or the objects do not fit it.
    pub fn seed_sheaf(&mut self, place: SheafPlace, objects: &[Object]) -> bool {
        let Some(sheaves) = self.sheaves.as_deref_mut().filter(|sheaves| sheaves.capacity >= objects.len().max(1)) else { return false };
        let mut sheaf = Sheaf::empty(sheaves.capacity, Memory::Untracked);
        sheaf.objects.extend_from_slice(objects);
        let mut made = 1;
        match place {
            SheafPlace::Main(cpu) => {
                let main = &mut sheaves.cpus[usize::from(cpu)].main;
                if !main.is_empty() {
                    return false;
                }
                main.objects = sheaf.objects;
                made = 0;
            }
            SheafPlace::Spare(cpu) => match &mut sheaves.cpus[usize::from(cpu)].spare {
                Some(_) => return false,
                spare => *spare = Some(sheaf),
            },
            SheafPlace::RcuFree(cpu) => match &mut sheaves.cpus[usize::from(cpu)].rcu_free {
                Some(_) => return false,
                // A full one would be with RCU already.
                _ if sheaf.is_full() => return false,
                rcu_free => *rcu_free = Some(sheaf),
            },
            SheafPlace::Barn(node) => {
                let barn = &mut sheaves.barns[usize::from(node)];
                if sheaf.is_empty() {
                    barn.empty.push(sheaf);
                } else if sheaf.is_full() {
                    barn.full.push(sheaf);
                } else {
                    return false;
                }
            }
        }
        sheaves.ledger.seeded_sheaves += made;
        sheaves.ledger.seeded_objects += objects.len() as u64;
        true
    }
}
