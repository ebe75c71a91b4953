//! Slabs and the freelists inside them.
//!
//! A slab's free objects form a singly linked list, as in the kernel. The link of object `i` is entry `i`
//! of the slab's row in one table per cache, instead of a word inside the object. The row has room for
//! the objects of the preferred order.

pub use crate::allocators::{Object, ObjectIndex, SlabId};
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
    pub(super) next: SlabId,
    pub(super) prev: SlabId,
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
    slabs: Vec<Option<Slab>>,
    /// By number: how many slabs have had it.
    lives: Vec<u32>,
    unused: Vec<SlabId>,
    /// One row of links per slab.
    links: Vec<ObjectIndex>,
    row: usize,
    count: usize,
    /// Pages in all slabs.
    pages: u64,
}

impl SlabTable {
    pub(super) fn new(objects_per_slab: u16) -> Self {
        Self {
            slabs: Vec::new(),
            lives: Vec::new(),
            unused: Vec::new(),
            links: Vec::new(),
            row: usize::from(objects_per_slab),
            count: 0,
            pages: 0,
        }
    }

    /// How many slabs have had this number, the present one included.
    #[inline]
    pub(super) fn life(&self, id: SlabId) -> u32 {
        self.lives[id.index()]
    }

    pub(super) fn at(&self, index: usize) -> Option<SlabId> {
        self.slabs.get(index)?.as_ref()?;
        Some(SlabId::new(index))
    }

    pub(super) fn life_at(&self, index: usize) -> Option<u32> {
        self.slabs.get(index)?.as_ref()?;
        self.lives.get(index).copied()
    }

    /// Number of slabs in existence (`nr_slabs`, over all nodes).
    pub(super) fn count(&self) -> usize {
        self.count
    }

    /// Pages in all slabs.
    pub(super) fn pages(&self) -> u64 {
        self.pages
    }

    /// All slabs, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SlabId, &Slab)> {
        self.slabs.iter().enumerate().filter_map(|(index, slab)| Some((SlabId::new(index), slab.as_ref()?)))
    }

    /// Adds a slab whose objects are all free, linked in ascending order.
    pub(super) fn add(&mut self, pages: Pages, objects: u16) -> SlabId {
        let slab = Slab {
            freelist: if objects == 0 { NO_OBJECT } else { 0 },
            inuse: 0,
            objects,
            place: Place::Transit,
            pages,
            parked_free: 0,
            next: SlabId::NONE,
            prev: SlabId::NONE,
        };
        let id = match self.unused.pop() {
            Some(id) => {
                self.slabs[id.index()] = Some(slab);
                self.lives[id.index()] += 1;
                id
            }
            None => {
                let id = SlabId::new(self.slabs.len());
                self.slabs.push(Some(slab));
                self.lives.push(1);
                self.links.resize(self.links.len() + self.row, NO_OBJECT);
                id
            }
        };
        self.count += 1;
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
        let slab = self.slabs[id.index()].take().expect("a slab is discarded once");
        self.unused.push(id);
        self.count -= 1;
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

impl std::ops::Index<SlabId> for SlabTable {
    type Output = Slab;

    #[inline]
    fn index(&self, id: SlabId) -> &Slab {
        self.slabs[id.index()].as_ref().expect("lists hold live slabs only")
    }
}

impl std::ops::IndexMut<SlabId> for SlabTable {
    #[inline]
    fn index_mut(&mut self, id: SlabId) -> &mut Slab {
        self.slabs[id.index()].as_mut().expect("lists hold live slabs only")
    }
}
