//! Node partial lists.

use super::slab::{Place, SlabId, SlabTable};

/// The partial list of one node (`struct kmem_cache_node`).
#[derive(Debug, Clone)]
pub(super) struct NodePartial {
    head: SlabId,
    tail: SlabId,
    nr_partial: u32,
}

/// Which end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Head,
    Tail,
}

impl NodePartial {
    pub(super) fn new() -> Self {
        Self { head: SlabId::NONE, tail: SlabId::NONE, nr_partial: 0 }
    }

    /// Slabs on the list.
    pub(super) fn len(&self) -> u32 {
        self.nr_partial
    }

    pub(super) fn first(&self) -> Option<SlabId> {
        Some(self.head).filter(|head| !head.is_none())
    }

    /// Slabs from the head.
    pub(super) fn iter<'a>(&self, slabs: &'a SlabTable) -> impl Iterator<Item = SlabId> + use<'a> {
        std::iter::successors(self.first(), |&id| Some(slabs[id].next).filter(|next| !next.is_none()))
    }

    pub(super) fn add(&mut self, slabs: &mut SlabTable, id: SlabId, end: End) {
        let neighbour = match end {
            End::Head => std::mem::replace(&mut self.head, id),
            End::Tail => std::mem::replace(&mut self.tail, id),
        };
        let slab = &mut slabs[id];
        slab.place = Place::NodePartial;
        (slab.prev, slab.next) = match end {
            End::Head => (SlabId::NONE, neighbour),
            End::Tail => (neighbour, SlabId::NONE),
        };
        if neighbour.is_none() {
            (self.head, self.tail) = (id, id);
        } else {
            match end {
                End::Head => slabs[neighbour].prev = id,
                End::Tail => slabs[neighbour].next = id,
            }
        }
        self.nr_partial += 1;
    }

    pub(super) fn remove(&mut self, slabs: &mut SlabTable, id: SlabId) {
        let slab = &mut slabs[id];
        let (prev, next) = (slab.prev, slab.next);
        slab.place = Place::Transit;
        (slab.prev, slab.next) = (SlabId::NONE, SlabId::NONE);
        if prev.is_none() {
            self.head = next
        } else {
            slabs[prev].next = next
        }
        if next.is_none() {
            self.tail = prev
        } else {
            slabs[next].prev = prev
        }
        self.nr_partial -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Pages;

    #[test]
    fn order_from_both_ends_and_removal_from_the_middle() {
        let mut slabs = SlabTable::new(1);
        let ids: Vec<SlabId> = (0..3).map(|pfn| slabs.add(Pages { pfn, order: 0, node: 0 }, 1)).collect();
        let mut list = NodePartial::new();
        list.add(&mut slabs, ids[0], End::Tail);
        list.add(&mut slabs, ids[1], End::Tail);
        list.add(&mut slabs, ids[2], End::Head);
        assert_eq!(list.iter(&slabs).collect::<Vec<_>>(), [ids[2], ids[0], ids[1]]);
        list.remove(&mut slabs, ids[0]);
        assert_eq!(list.iter(&slabs).collect::<Vec<_>>(), [ids[2], ids[1]]);
        list.remove(&mut slabs, ids[1]);
        list.remove(&mut slabs, ids[2]);
        assert_eq!((list.first(), list.len()), (None, 0));
    }
}
