//! Slabs: their free indices, and the lists of a node that they are on.
//!
//! Source: `slab_get_obj()`, `slab_put_obj()`, `cache_init_objs()`, `mm/slab.c`, Linux 6.1.

use crate::allocators::slots::Slots;
use crate::allocators::{Object, ObjectIndex, SlabId};
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
    next: SlabId,
    prev: SlabId,
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
        let slab =
            Slab { pages, active: 0, listed: Listed::Nowhere, next: SlabId::NONE, prev: SlabId::NONE, colour_offset, freelist: None };
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

/// A doubly linked list of slabs.
#[derive(Debug, Clone, Copy)]
pub(super) struct List {
    head: SlabId,
    tail: SlabId,
    len: u64,
}

impl Default for List {
    fn default() -> Self {
        Self { head: SlabId::NONE, tail: SlabId::NONE, len: 0 }
    }
}

impl List {
    pub(super) fn head(&self) -> Option<SlabId> {
        (!self.head.is_none()).then_some(self.head)
    }

    pub(super) fn tail(&self) -> Option<SlabId> {
        (!self.tail.is_none()).then_some(self.tail)
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn push_head(&mut self, slabs: &mut Table, id: SlabId) {
        let old = self.head;
        slabs[id].next = old;
        slabs[id].prev = SlabId::NONE;
        if old.is_none() {
            self.tail = id;
        } else {
            slabs[old].prev = id;
        }
        self.head = id;
        self.len += 1;
    }

    pub(super) fn push_tail(&mut self, slabs: &mut Table, id: SlabId) {
        let old = self.tail;
        slabs[id].prev = old;
        slabs[id].next = SlabId::NONE;
        if old.is_none() {
            self.head = id;
        } else {
            slabs[old].next = id;
        }
        self.tail = id;
        self.len += 1;
    }

    pub(super) fn unlink(&mut self, slabs: &mut Table, id: SlabId) {
        let (prev, next) = (slabs[id].prev, slabs[id].next);
        if prev.is_none() {
            self.head = next;
        } else {
            slabs[prev].next = next;
        }
        if next.is_none() {
            self.tail = prev;
        } else {
            slabs[next].prev = prev;
        }
        self.len -= 1;
    }

    pub(super) fn iter<'a>(&self, slabs: &'a Table) -> impl Iterator<Item = SlabId> + use<'a> {
        let some = |id: SlabId| (!id.is_none()).then_some(id);
        std::iter::successors(some(self.head), move |&id| some(slabs[id].next))
    }
}
