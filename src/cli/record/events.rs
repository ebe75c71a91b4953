//! Which events are recorded.

use std::path::Path;

/// Allocations and frees of objects. The `_node` ones are gone since 6.1.
const SLAB: [&str; 6] =
    ["kmem/kmalloc", "kmem/kmalloc_node", "kmem/kfree", "kmem/kmem_cache_alloc", "kmem/kmem_cache_alloc_node", "kmem/kmem_cache_free"];

/// Pages, and batches of kfree_rcu().
const PAGES: [&str; 6] = [
    "kmem/mm_page_alloc",
    "kmem/mm_page_free",
    "kmem/mm_page_free_batched",
    "kmem/mm_page_pcpu_drain",
    "kmem/mm_page_alloc_extfrag",
    "rcu/rcu_invoke_kfree_bulk_callback",
];

/// The wanted events that this kernel has, as `system/event`.
pub(super) fn available(tracefs: &Path, with_pages: bool) -> Vec<&'static str> {
    let pages = if with_pages { &PAGES[..] } else { &[] };
    let exists = |event: &&&str| tracefs.join("events").join(event).join("enable").exists();
    SLAB.iter().chain(pages).filter(exists).copied().collect()
}

/// Whether these are enough for a replay: something is allocated, and freed.
pub(super) fn suffice(events: &[&str]) -> bool {
    events.contains(&"kmem/kmem_cache_alloc") && events.contains(&"kmem/kmem_cache_free")
}

/// As trace-cmd and perf spell them: `system:event`.
pub(super) fn spelled(event: &str) -> String {
    event.replace('/', ":")
}
