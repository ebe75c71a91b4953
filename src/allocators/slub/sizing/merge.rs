//! Merging: when a new cache becomes another name of one that exists.

use super::layout::{calculate_alignment, round_up};
use super::{CacheFlags, CacheLayout, CacheSpec, Kernel, SheafPolicy};

/// What merging and naming need to know of a cache that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExistingCache {
    /// Bytes of the largest object of all caches merged here.
    pub object_size: u32,
    /// Offset of the first byte behind it.
    pub inuse: u32,
    /// Stride in bytes.
    pub size: u32,
    /// Flags of the first creator.
    pub flags: CacheFlags,
    /// A constructor.
    pub has_ctor: bool,
    /// Bytes that may be copied to user space, as recorded by the kernel.
    pub usersize: u32,
    /// Objects per sheaf, 0 without sheaves.
    pub sheaf_capacity: u32,
    /// Further names; `aliases` in sysfs.
    pub aliases: u32,
}

impl ExistingCache {
    /// Returns the cache that `kernel` made of `spec`.
    pub fn new(kernel: &Kernel, spec: &CacheSpec, layout: &CacheLayout) -> Self {
        Self {
            object_size: layout.object_size,
            inuse: layout.inuse,
            size: layout.size,
            // Flags that creation adds, and debug flags that the layout dropped.
            flags: (creation_flags(kernel, spec).without(CacheFlags::METADATA)) | layout.flags.and(CacheFlags::METADATA),
            has_ctor: spec.has_ctor,
            usersize: spec.usercopy(kernel).1,
            sheaf_capacity: layout.sheaf_capacity,
            aliases: 0,
        }
    }

    /// Takes in `spec` as one more name.
    ///
    /// Stride, alignment and limits stay those of the first creator.
    ///
    /// Source: `__kmem_cache_alias()`, `mm/slub.c`, Linux 2.6.38 … 7.3.
    pub fn absorb(&mut self, kernel: &Kernel, spec: &CacheSpec) {
        let inuse = round_up(u64::from(spec.object_size), kernel.machine.word_bytes);
        self.object_size = self.object_size.max(spec.object_size);
        self.inuse = self.inuse.max(u32::try_from(inuse).unwrap_or(u32::MAX));
        self.aliases = self.aliases.saturating_add(1);
    }

    /// Returns whether this cache stays alone.
    ///
    /// Source: `slab_unmergeable()`, `mm/slab_common.c`, Linux 2.6.38 … 7.3.
    pub fn is_unmergeable(&self, kernel: &Kernel) -> bool {
        let rules = &kernel.rules;
        let never = NEVER_MERGE | CacheFlags::NO_MERGE.when(rules.no_merge_flag);
        !kernel.params.merge
            || self.flags.intersects(never)
            || self.has_ctor
            || self.usersize != 0
            || rules.sheaves == SheafPolicy::OptIn && self.sheaf_capacity != 0
            || self.flags.contains(CacheFlags::PINNED)
    }

    /// Returns the name of the cache's directory in `/sys/kernel/slab`.
    ///
    /// A cache that could be shared is named for what is shared, and its own `name` is a link.
    ///
    /// Source: `create_unique_id()`, `mm/slub.c`, Linux 2.6.38 … 7.3.
    pub fn sysfs_name(&self, kernel: &Kernel, name: &str) -> String {
        if self.is_unmergeable(kernel) {
            return name.to_owned();
        }
        let has = |flag| self.flags.contains(flag);
        let letters: String = [
            ('d', has(CacheFlags::CACHE_DMA)),
            ('D', has(CacheFlags::CACHE_DMA32)),
            ('a', has(CacheFlags::RECLAIM_ACCOUNT)),
            ('F', has(CacheFlags::CONSISTENCY_CHECKS)),
            ('t', kernel.rules.notrack_letter && !has(CacheFlags::NOTRACK)),
            ('A', has(CacheFlags::ACCOUNT)),
        ]
        .iter()
        .filter_map(|(letter, set)| set.then_some(*letter))
        .collect();
        let dash = if letters.is_empty() { "" } else { "-" };
        format!(":{letters}{dash}{:07}", self.size)
    }
}

/// Returns the index in `existing` of the cache that `new` becomes a name of; `None` if it gets
/// a cache of its own.
///
/// `existing` holds all caches in order of creation, oldest first.
///
/// Source: `find_mergeable()`, `mm/slub.c`, from 3.18 `mm/slab_common.c`, Linux 2.6.38 … 7.3.
pub fn merge_candidate(kernel: &Kernel, existing: &[ExistingCache], new: &CacheSpec) -> Option<usize> {
    let flags = creation_flags(kernel, new);
    let never = NEVER_MERGE | CacheFlags::NO_MERGE.when(kernel.rules.no_merge_flag);
    let asks_for_sheaves = kernel.rules.sheaves != SheafPolicy::No && new.sheaf_capacity != 0;
    if !kernel.params.merge
        || new.object_size == 0
        || new.has_ctor
        || new.usercopy(kernel).1 != 0
        || asks_for_sheaves
        || flags.intersects(never)
    {
        return None;
    }

    let word = kernel.machine.word_bytes;
    let words = round_up(u64::from(new.object_size), word);
    let align = calculate_alignment(kernel, &CacheSpec { object_size: u32::try_from(words).ok()?, ..*new });
    let size = round_up(words, align);
    let fits = |cache: &ExistingCache| {
        let stride = u64::from(cache.size);
        let same = kernel.rules.merge_same;
        !cache.is_unmergeable(kernel)
            && size <= stride
            && flags.and(same) == cache.flags.and(same)
            && stride.checked_rem(u64::from(align)).unwrap_or(0) == 0
            && stride - size < u64::from(word)
    };
    if kernel.rules.merge_oldest_first { existing.iter().position(fits) } else { existing.iter().rposition(fits) }
}

/// `SLAB_NEVER_MERGE`, without the flag that not every release knows.
const NEVER_MERGE: CacheFlags = CacheFlags::METADATA
    .or(CacheFlags::TRACE)
    .or(CacheFlags::TYPESAFE_BY_RCU)
    .or(CacheFlags::NOLEAKTRACE)
    .or(CacheFlags::FAILSLAB)
    .or(CacheFlags::KASAN);

/// The flags asked for and those that creation adds.
fn creation_flags(kernel: &Kernel, spec: &CacheSpec) -> CacheFlags {
    let (rules, build) = (&kernel.rules, &kernel.build);
    // kmalloc caches are made by another function; their type says whether they have it.
    let may_account = rules.may_account && build.memcg && build.memcg_accounting && !spec.flags.contains(CacheFlags::KMALLOC);
    let no_merge = rules.sheaves == SheafPolicy::Every && spec.sheaf_capacity != 0;
    spec.flags | CacheFlags::MAY_ACCOUNT.when(may_account) | CacheFlags::NO_MERGE.when(no_merge)
}
