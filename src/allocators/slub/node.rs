//! Node partial lists.

use super::slab::{Place, SlabId, SlabTable};
use crate::list::List;

pub(super) use crate::list::End;

/// The partial list of one node (`struct kmem_cache_node`). What is on it has its place there.
#[derive(Debug, Clone, Default)]
pub(super) struct NodePartial {
    list: List<SlabId>,
}

impl NodePartial {
    /// Slabs on the list (`nr_partial`).
    pub(super) fn len(&self) -> u64 {
        self.list.len()
    }

    pub(super) fn first(&self) -> Option<SlabId> {
        self.list.head()
    }

    /// Slabs from the head.
    pub(super) fn iter<'a>(&self, slabs: &'a SlabTable) -> impl Iterator<Item = SlabId> + use<'a> {
        self.list.iter(slabs)
    }

    pub(super) fn add(&mut self, slabs: &mut SlabTable, id: SlabId, end: End) {
        slabs[id].place = Place::NodePartial;
        self.list.push(slabs, id, end);
    }

    pub(super) fn remove(&mut self, slabs: &mut SlabTable, id: SlabId) {
        slabs[id].place = Place::Transit;
        self.list.unlink(slabs, id);
    }

    /// Checks the links of the list.
    pub(super) fn check(&self, slabs: &SlabTable) -> Result<(), String> {
        self.list.check(slabs)
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
        let mut list = NodePartial::default();
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
