//! Everything SLUB decides when a cache is created: layout, order, limits, names, merging.
//!
//! A [`Kernel`] (release, machine, build options, boot parameters) and a [`CacheSpec`] (the
//! arguments of `kmem_cache_create()`) give a [`CacheLayout`], the figures that `/sys/kernel/slab`
//! shows and that every later step of the allocator works with. The generic caches behind
//! `kmalloc()` come from [`kmalloc`], and [`merge`] says which caches share one.
//!
//! What differs between releases is in one table, [`SizingRules::of`]. Nothing here allocates
//! slabs, knows a trace or keeps state; every function gives the same answer to the same question.
//!
//! All sizes are in bytes. Arithmetic never wraps: a cache that cannot exist is a [`LayoutError`].

mod flags;
pub mod kmalloc;
mod layout;
mod limits;
mod machine;
pub mod merge;
mod order;
mod params;
mod release;
mod rules;

pub use flags::CacheFlags;
pub use layout::{CacheLayout, CacheSpec, LayoutError, NodeLimits, REMOTE_NODE_DEFRAG_RATIO};
pub use machine::{Build, Kernel, Machine};
pub use order::{calculate_order, min_objects};
pub use params::SlubParams;
pub use release::{KernelRelease, ReleaseError};
pub use rules::{
    CpuPartialUnit, ExplicitFreeptr, FreePointerPlace, KmallocAlign, KmallocOrder, OrderSearch, SheafPolicy, SizingRules, UsercopyWindow,
};

#[cfg(test)]
mod tests;
