//! Slabs: their free indices, and the lists of a node that they are on.
//!
//! Source: `slab_get_obj()`, `slab_put_obj()`, `cache_init_objs()`, `mm/slab.c`, Linux 6.1.

use crate::allocators::slots::Slots;
use crate::allocators::{Object, ObjectIndex, SlabId};
use crate::list::{Linked, Links};
use crate::mem::Pages;

/// The list of its node that a slab is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Listed {
    /// `slabs_partial`.
    Partial,
    /// `slabs_full`.
    Full,
    /// `slabs_free`: wholly free.
    Free,
    /// None: it is being moved.
    Nowhere,
}

/// Descriptor of a slab (`struct slab`).
#[derive(Debug, Clone)]
pub(super) struct Slab {
    pub(super) pages: Pages,
    /// Objects that are not free in the slab; those in arrays count.
    pub(super) active: u16,
    pub(super) listed: Listed,
    links: Links<SlabId>,
    /// Bytes from the start of the pages to the first object.
    pub(super) colour_offset: u32,
    /// The kmalloc object with the free indices of an off-slab cache, once it is there.
    pub(super) freelist: Option<Object>,
}

/// All slabs of a cache.
#[derive(Debug, Clone)]
pub(super) struct Table {
    slabs: Slots<Slab>,
    /// By slab: the stack of free indices; entries from `active` on are free.
    indices: Vec<ObjectIndex>,
    num: usize,
}

impl Table {
    pub(super) fn new(num: u16) -> Self {
        Self { slabs: Slots::default(), indices: Vec::new(), num: usize::from(num) }
    }

    /// A slab whose objects are all free, handed out in ascending order, on no list.
    pub(super) fn add(&mut self, pages: Pages, colour_offset: u32) -> SlabId {
        let slab = Slab { pages, active: 0, listed: Listed::Nowhere, links: Links::default(), colour_offset, freelist: None };
        let id = self.slabs.add(slab);
        self.indices.resize(self.slabs.numbers() * self.num, 0);
        for (entry, index) in self.row(id).iter_mut().zip(0..) {
            *entry = index;
        }
        id
    }

    fn row(&mut self, id: SlabId) -> &mut [ObjectIndex] {
        &mut self.indices[id.index() * self.num..][..self.num]
    }

    /// The free indices of a slab in the order in which they will be taken.
    pub(super) fn free_indices(&self, id: SlabId) -> &[ObjectIndex] {
        &self.indices[id.index() * self.num..][usize::from(self[id].active)..self.num]
    }

    /// Makes the free indices of a slab these ones; all others are in use.
    pub(super) fn set_free(&mut self, id: SlabId, free: &[ObjectIndex]) {
        let active = self.num - free.len();
        self.row(id)[active..].copy_from_slice(free);
        self[id].active = active as u16;
    }

    /// Takes the next free object (`slab_get_obj()`).
    #[inline]
    pub(super) fn get(&mut self, id: SlabId) -> Object {
        let slab = &mut self.slabs[id];
        let index = self.indices[id.index() * self.num + usize::from(slab.active)];
        slab.active += 1;
        Object { slab: id, index }
    }

    /// Puts an object back (`slab_put_obj()`).
    #[inline]
    pub(super) fn put(&mut self, object: Object) {
        let slab = &mut self.slabs[object.slab];
        slab.active -= 1;
        self.indices[object.slab.index() * self.num + usize::from(slab.active)] = object.index;
    }

    pub(super) fn is_full(&self, id: SlabId) -> bool {
        usize::from(self[id].active) == self.num
    }
}

/// The slots as they are; a slab comes by the table's own [`Table::add`].
impl std::ops::Deref for Table {
    type Target = Slots<Slab>;

    #[inline]
    fn deref(&self) -> &Slots<Slab> {
        &self.slabs
    }
}

impl std::ops::DerefMut for Table {
    #[inline]
    fn deref_mut(&mut self) -> &mut Slots<Slab> {
        &mut self.slabs
    }
}

impl Linked<SlabId> for Table {
    #[inline]
    fn links(&self, id: SlabId) -> &Links<SlabId> {
        &self[id].links
    }

    #[inline]
    fn links_mut(&mut self, id: SlabId) -> &mut Links<SlabId> {
        &mut self[id].links
    }
}
