//! What differs between releases at run time.

use crate::allocators::slub::sizing::KernelRelease;

/// The rules of a release. Everything else is the same from 2.6.32 to 6.7, the last release with SLAB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlabRules {
    /// A slab that becomes wholly free while the node has more free objects than its limit is destroyed itself, rather than the one
    /// that has been free for longest (`free_block()`).
    pub destroys_emptied_slab: bool,
    /// The first slab starts at colour 0 (`cache_grow()`), rather than at 1.
    pub first_colour_is_zero: bool,
    /// A refill that finds neither free objects nor a shared array goes on to grow without looking at the lists, so that
    /// `free_touched` stays as it is (`cache_alloc_refill()`).
    pub skips_empty_lists: bool,
    /// The shared array counts as touched when objects of other nodes come into it, rather than when it is a source.
    pub shared_touched_by_alien: bool,
}

impl SlabRules {
    /// The rules of a release.
    ///
    /// Verified against the source of 2.6.32 on one side, and of 4.19, 5.4, 5.15, 6.1 and 6.6 on the other. The change is taken to be in
    /// 4.6, which reworked all of it.
    #[must_use]
    pub fn of(release: KernelRelease) -> Self {
        let is_old = !release.since(4, 6);
        Self { destroys_emptied_slab: is_old, first_colour_is_zero: is_old, skips_empty_lists: !is_old, shared_touched_by_alien: is_old }
    }

    /// Name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        if self.destroys_emptied_slab { "SLAB up to 4.5" } else { "SLAB 4.6-6.7" }
    }
}
