//! Limits of a cache: partial slabs per node and per cpu, objects per sheaf.

use super::{CacheFlags, CpuPartialUnit, Kernel, SheafPolicy, kmalloc};

/// Returns `min_partial`: slabs that a node keeps although they are empty.
///
/// Source: `set_min_partial()` and its callers, `mm/slub.c`, Linux 2.6.38 … 7.3.
pub(super) fn min_partial(kernel: &Kernel, size: u32) -> u32 {
    if kernel.build.slub_tiny {
        return 0;
    }
    let log = size.checked_ilog2().unwrap_or(0);
    let wanted = if kernel.rules.halved_min_partial { log / 2 } else { log };
    wanted.clamp(5, 10)
}

/// Returns `cpu_partial`: free objects that a cpu's partial list should hold.
///
/// From 5.16 on only [`cpu_partial_slabs`] of it is used; sysfs still shows the objects.
///
/// Source: `set_cpu_partial()`, `mm/slub.c`, Linux 3.2 … 6.19.
pub(super) fn cpu_partial(kernel: &Kernel, size: u32, flags: CacheFlags) -> u32 {
    let build = &kernel.build;
    if !build.cpu_partial || build.slub_tiny || flags.intersects(CacheFlags::DEBUG) {
        return 0;
    }
    let step = size_step(kernel, size);
    match kernel.rules.cpu_partial {
        CpuPartialUnit::Gone => 0,
        CpuPartialUnit::Objects => [2, 6, 13, 30][step],
        CpuPartialUnit::Slabs => [6, 24, 52, 120][step],
    }
}

/// Returns the same in slabs that are half full on average; 0 where objects are counted.
///
/// Source: `slub_set_cpu_partial()`, `mm/slub.c`, Linux 5.16 … 6.19.
pub(super) fn cpu_partial_slabs(kernel: &Kernel, cpu_partial: u32, objects: u32) -> u32 {
    match kernel.rules.cpu_partial {
        CpuPartialUnit::Slabs if objects > 0 => cpu_partial.saturating_mul(2).div_ceil(objects),
        _ => 0,
    }
}

/// Returns `sheaf_capacity`: objects per sheaf, 0 for a cache without sheaves.
///
/// `wanted` is the argument of `kmem_cache_create()`. kmalloc caches get theirs late in boot; the
/// figure is the final one.
///
/// Source: `calculate_sheaf_capacity()`, `mm/slub.c`, Linux 7.0 … 7.3; 6.18 takes the argument.
pub(super) fn sheaf_capacity(kernel: &Kernel, size: u32, flags: CacheFlags, wanted: u32) -> u32 {
    if kernel.build.slub_tiny || flags.intersects(CacheFlags::DEBUG) {
        return 0;
    }
    match kernel.rules.sheaves {
        SheafPolicy::No => 0,
        SheafPolicy::OptIn => wanted,
        SheafPolicy::Every if flags.intersects(kernel.rules.no_sheaf_flags) => 0,
        SheafPolicy::Every => {
            let objects = [4, 12, 26, 60][size_step(kernel, size)];
            fill_bucket(kernel, objects).max(wanted)
        }
    }
}

/// Returns how many object pointers fit in the kmalloc object that a sheaf of `objects` needs.
fn fill_bucket(kernel: &Kernel, objects: u32) -> u32 {
    let word = kernel.machine.word_bytes;
    // List or rcu head, cache pointer; then the sheaf's size and node, 4 bytes each.
    let header = word.saturating_mul(3).saturating_add(8);
    let bytes = word.saturating_mul(objects).saturating_add(header);
    kmalloc::class_bytes(kernel, u64::from(bytes)).and_then(|bucket| bucket.saturating_sub(header).checked_div(word)).unwrap_or(objects)
}

/// Large objects count for more: 0 from a page on, then 1, 2 and, below 256 bytes, 3.
fn size_step(kernel: &Kernel, size: u32) -> usize {
    match size {
        _ if size >= kernel.machine.page_bytes => 0,
        1024.. => 1,
        256.. => 2,
        _ => 3,
    }
}
