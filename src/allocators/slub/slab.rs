//! Slabs and the freelists inside them.
//!
//! A slab's free objects form a singly linked list, as in the kernel. The link of object `i` is entry `i`
//! of the slab's row in one table per cache, instead of a word inside the object. The row has room for
//! the objects of the preferred order.

use crate::allocators::slots::Slots;
pub use crate::allocators::{Object, ObjectIndex, SlabId};
use crate::list::{Linked, Links};
use crate::mem::Pages;

/// End of a freelist. No slab has so many objects (the kernel's limit is 32,767).
pub(super) const NO_OBJECT: ObjectIndex = u16::MAX;

/// Where a slab is. The model keeps what the kernel has to derive, so that it can be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// No free object in it; on no list.
    Full,
    /// The slab that this CPU allocates from (`frozen`).
    Cpu(u16),
    /// On this CPU's partial list.
    CpuPartial(u16),
    /// On the partial list of its node.
    NodePartial,
    /// Held by the code path that moves it.
    Transit,
}

/// Descriptor of a slab (`struct slab`).
#[derive(Debug, Clone)]
pub(super) struct Slab {
    /// Head of the freelist; remote frees only, while it is a cpu slab.
    pub(super) freelist: ObjectIndex,
    /// Objects handed out; those on a CPU's own freelist count.
    pub(super) inuse: u16,
    /// Objects it is made of.
    pub(super) objects: u16,
    pub(super) place: Place,
    pub(super) pages: Pages,
    /// Free objects when the slab was put on a CPU partial list.
    pub(super) parked_free: u16,
    /// Neighbours on a node partial list, or the next below on a CPU partial list.
    pub(super) links: Links<SlabId>,
}

impl Slab {
    /// Free objects on the slab's own freelist.
    pub(super) fn free_objects(&self) -> u16 {
        self.objects - self.inuse
    }
}

/// All slabs of a cache.
#[derive(Debug, Clone)]
pub(super) struct SlabTable {
    slabs: Slots<Slab>,
    /// One row of links per slab.
    links: Vec<ObjectIndex>,
    row: usize,
    /// Pages in all slabs.
    pages: u64,
}

impl SlabTable {
    pub(super) fn new(objects_per_slab: u16) -> Self {
        Self { slabs: Slots::default(), links: Vec::new(), row: usize::from(objects_per_slab), pages: 0 }
    }

    /// Pages in all slabs.
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    /// Adds a slab whose objects are all free, linked in ascending order.
    pub(super) fn add(&mut self, pages: Pages, objects: u16) -> SlabId {
        let id = self.slabs.add(Slab {
            freelist: if objects == 0 { NO_OBJECT } else { 0 },
            inuse: 0,
            objects,
            place: Place::Transit,
            pages,
            parked_free: 0,
            links: Links::default(),
        });
        self.links.resize(self.slabs.numbers() * self.row, NO_OBJECT);
        self.pages += 1 << pages.order;
        let row = &mut self.links[id.index() * self.row..][..usize::from(objects)];
        for (index, link) in row.iter_mut().enumerate() {
            *link = index as u16 + 1;
        }
        if let Some(last) = row.last_mut() {
            *last = NO_OBJECT;
        }
        id
    }

    /// Removes a slab; its pages go back to the caller.
    pub(super) fn remove(&mut self, id: SlabId) -> Pages {
        let slab = self.slabs.remove(id);
        self.pages -= 1 << slab.pages.order;
        slab.pages
    }

    /// The object behind `index` on whatever freelist it is on.
    #[inline]
    pub(super) fn link(&self, id: SlabId, index: ObjectIndex) -> ObjectIndex {
        self.links[id.index() * self.row + usize::from(index)]
    }

    #[inline]
    pub(super) fn set_link(&mut self, id: SlabId, index: ObjectIndex, next: ObjectIndex) {
        self.links[id.index() * self.row + usize::from(index)] = next;
    }

    /// Objects of the freelist that starts at `head`, in order.
    pub(super) fn chain(&self, id: SlabId, head: ObjectIndex) -> impl Iterator<Item = ObjectIndex> {
        let object = |index| Some(index).filter(|&index| index != NO_OBJECT);
        std::iter::successors(object(head), move |&index| object(self.link(id, index)))
    }
}

/// The slots as they are; a slab comes and goes by the table's own [`SlabTable::add`] and [`SlabTable::remove`].
impl std::ops::Deref for SlabTable {
    type Target = Slots<Slab>;

    #[inline]
    fn deref(&self) -> &Slots<Slab> {
        &self.slabs
    }
}

impl std::ops::DerefMut for SlabTable {
    #[inline]
    fn deref_mut(&mut self) -> &mut Slots<Slab> {
        &mut self.slabs
    }
}

impl Linked<SlabId> for SlabTable {
    #[inline]
    fn links(&self, id: SlabId) -> &Links<SlabId> {
        &self[id].links
    }

    #[inline]
    fn links_mut(&mut self, id: SlabId) -> &mut Links<SlabId> {
        &mut self[id].links
    }
}
