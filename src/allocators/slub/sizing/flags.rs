//! Flags of a cache.

use std::fmt;
use std::ops::{BitOr, BitOrAssign};

/// Creation flags of a cache: the `SLAB_*` flags that sizing, merging or naming look at.
///
/// The bits are this crate's own; only the names are the kernel's (`include/linux/slab.h`).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CacheFlags(u32);

macro_rules! cache_flags {
    ($($(#[$doc:meta])* $name:ident = $bit:expr;)*) => {
        impl CacheFlags {
            $($(#[$doc])* pub const $name: Self = Self(1 << $bit);)*
            const NAMES: &'static [(&'static str, Self)] = &[$((stringify!($name), Self::$name)),*];
        }
    };
}

cache_flags! {
    /// `SLAB_HWCACHE_ALIGN`: objects start on cache lines, or on an even fraction of one.
    HWCACHE_ALIGN = 0;
    /// `SLAB_CACHE_DMA`: slabs from the DMA zone.
    CACHE_DMA = 1;
    /// `SLAB_CACHE_DMA32`: slabs from the DMA32 zone.
    CACHE_DMA32 = 2;
    /// `SLAB_RECLAIM_ACCOUNT`: slabs count as reclaimable.
    RECLAIM_ACCOUNT = 3;
    /// `SLAB_ACCOUNT`: every object is charged to a memory cgroup.
    ACCOUNT = 4;
    /// `SLAB_TYPESAFE_BY_RCU`, up to 4.11 `SLAB_DESTROY_BY_RCU`: slabs are freed after a grace period.
    TYPESAFE_BY_RCU = 5;
    /// `SLAB_NOLEAKTRACE`: invisible to kmemleak.
    NOLEAKTRACE = 6;
    /// `SLAB_NO_MERGE` (6.5): never shared. Means nothing before.
    NO_MERGE = 7;
    /// `SLAB_KMALLOC`: one of the generic caches.
    KMALLOC = 8;
    /// `SLAB_NO_OBJ_EXT`: no vector of object extensions.
    NO_OBJ_EXT = 9;
    /// `SLAB_NO_SHEAVES` (7.2).
    NO_SHEAVES = 10;
    /// "May be accounted" (7.3): separates caches that may hold charged objects from those that may not.
    MAY_ACCOUNT = 11;
    /// `SLAB_CONSISTENCY_CHECKS`, `SLAB_DEBUG_FREE` up to 4.5; letter F of `slab_debug=`.
    CONSISTENCY_CHECKS = 12;
    /// `SLAB_RED_ZONE`; letter Z.
    RED_ZONE = 13;
    /// `SLAB_POISON`; letter P.
    POISON = 14;
    /// `SLAB_STORE_USER`; letter U.
    STORE_USER = 15;
    /// `SLAB_TRACE`; letter T.
    TRACE = 16;
    /// `SLAB_FAILSLAB`; letter A.
    FAILSLAB = 17;
    /// `SLAB_KASAN`.
    KASAN = 18;
    /// `SLAB_NOTRACK` (up to 4.14): no memory access checks by kmemcheck.
    NOTRACK = 19;
    /// Not a kernel flag: the reference count is negative, which keeps others from merging in.
    PINNED = 20;
}

impl CacheFlags {
    /// No flag.
    pub const NONE: Self = Self(0);
    /// Flags of the two caches that SLUB bootstraps with, `kmem_cache` and `kmem_cache_node`.
    pub const BOOT: Self = Self(Self::HWCACHE_ALIGN.0 | Self::NO_OBJ_EXT.0 | Self::NO_SHEAVES.0 | Self::PINNED.0);
    /// `SLAB_DEBUG_FLAGS`: any of them makes a debug cache, without per-cpu partial list and sheaves.
    pub const DEBUG: Self = Self(Self::METADATA.0 | Self::CONSISTENCY_CHECKS.0 | Self::TRACE.0);
    /// `DEBUG_METADATA_FLAGS`: the debug flags that make objects larger.
    pub const METADATA: Self = Self(Self::RED_ZONE.0 | Self::POISON.0 | Self::STORE_USER.0);

    /// Returns whether every flag of `other` is set.
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Returns whether any flag of `other` is set.
    pub const fn intersects(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    /// Returns the flags set in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the flags set in either.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns these flags without those of `other`.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Returns these flags if `condition` holds, else none.
    #[must_use]
    pub const fn when(self, condition: bool) -> Self {
        if condition { self } else { Self::NONE }
    }
}

impl BitOr for CacheFlags {
    type Output = Self;
    fn bitor(self, other: Self) -> Self {
        self.or(other)
    }
}

impl BitOrAssign for CacheFlags {
    fn bitor_assign(&mut self, other: Self) {
        *self = self.or(other);
    }
}

impl fmt::Debug for CacheFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CacheFlags(")?;
        let set = Self::NAMES.iter().filter(|(_, flag)| self.contains(*flag));
        for (at, (name, _)) in set.enumerate() {
            f.write_str(if at == 0 { "" } else { " | " })?;
            f.write_str(name)?;
        }
        f.write_str(")")
    }
}
