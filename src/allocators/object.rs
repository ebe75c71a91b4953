//! Slabs and objects, as all models name them.

use crate::list::Id;

/// Index of an object in its slab.
pub type ObjectIndex = u16;

/// A slab of one cache; in SLOB, a page or a block of pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SlabId(u32);

impl SlabId {
    /// Stands for "no slab" in lists.
    pub(crate) const NONE: Self = Self(u32::MAX);

    /// The slab of a number.
    ///
    /// # Panics
    ///
    /// Beyond 2^32 - 2 slabs, which no trace can make.
    pub(crate) fn new(index: usize) -> Self {
        let number = u32::try_from(index).ok().filter(|&number| number != u32::MAX);
        Self(number.expect("a trace has fewer than 2^32 operations"))
    }

    #[inline]
    pub(crate) fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Number of the slab among the slabs of its cache; reused once the slab is gone.
    #[inline]
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

impl Id for SlabId {
    const NONE: Self = Self::NONE;
}

/// An object: a slab and a place in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Object {
    /// Its slab.
    pub slab: SlabId,
    /// Its place in the slab; in SLOB, the unit of the page that it starts at.
    pub index: ObjectIndex,
}
