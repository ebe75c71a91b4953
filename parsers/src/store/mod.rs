//! Traces in columns: Parquet files, to be kept, shared and queried.
//!
//! | file | what it is for |
//! |---|---|
//! | `schema` | the columns, and what each means |
//! | `rows` | events as columns |
//! | `events` | columns as events |
//! | `metadata` | what is known of the whole trace, as key-value metadata |
//! | `seal` | checksums over row groups and footer |
//! | `write` | events to a file, a batch at a time |
//! | `convert` | a trace of any format to a file |
//! | `read` | a file to events, at once or a batch at a time |
//! | `column` | one column chunk to values |
//!
//! # Format, version 1
//!
//! One row is one event. Rows are in the order of [`Recording::merged`](crate::recording::Recording::merged) in row groups of at most
//! 131,072, so that a trace can be read in memory that does not grow with it. Any Parquet tool can read the table; numbers of 64 bits are
//! unsigned, but for `pid`, `node` and `migratetype` all are.
//!
//! | column | type | of which events | meaning |
//! |---|---|---|---|
//! | `time_ns` | u64 | all | time in nanoseconds of the trace clock |
//! | `cpu` | u16 | all | CPU on which the event was recorded |
//! | `pid` | i32 | all | thread that was running |
//! | `context` | u8 | all | `common_flags`: 0x08 in a hardware interrupt, 0x10 in a softirq |
//! | `event` | string | all | `kmalloc`, `kmem_cache_alloc`, `kfree`, `kmem_cache_free`, `mm_page_alloc`, `mm_page_free`, `mm_page_free_batched`, `mm_page_pcpu_drain`, `mm_page_alloc_extfrag`, `rcu_invoke_kfree_bulk_callback`, `mark` |
//! | `call_site` | u64 | allocations, frees | address in the caller; below 16,777,216 the number, from 1, of a symbol in `sites` of the metadata |
//! | `site` | string, or null | allocations, frees | the same as a symbol, where it is known; not read back |
//! | `ptr` | u64 | allocations, frees | address of the object |
//! | `bytes_req`, `bytes_alloc` | u64 | allocations | bytes asked for; bytes of the slot |
//! | `gfp_flags` | u32 | allocations, `mm_page_alloc` | flags in the numbering of the kernel |
//! | `node` | i32 | allocations | node asked for; -1 for none |
//! | `cache` | string, or null | allocations, frees | name of the cache, where the event has it |
//! | `accounted` | bool, or null | allocations | charged to a memory cgroup, where the event says so |
//! | `pfn` | u64, or null | page events | first page frame; null if the allocation failed |
//! | `order` | u8 | page events but `mm_page_free_batched` | order of the block; of `mm_page_alloc_extfrag` that asked for |
//! | `migratetype` | i16 | `mm_page_alloc`, `mm_page_pcpu_drain`, `mm_page_alloc_extfrag` | migrate type, or that asked for |
//! | `fallback_order` | u8 | `mm_page_alloc_extfrag` | order that was split |
//! | `change_ownership` | bool | `mm_page_alloc_extfrag` | the pageblock is of the type asked for now |
//! | `count` | u64 | `rcu_invoke_kfree_bulk_callback` | objects in the batch |
//! | `mark` | string | `mark` | text of a trace marker |
//! | `mark_id` | u32 | `mark` | its number |
//!
//! Key-value metadata:
//!
//! | key | value |
//! |---|---|
//! | `slubreplay.version` | `1`; another version is refused |
//! | `slubreplay.recording` | JSON: `info` (what the trace says of itself), `accounting` (what was read, lost and damaged), `names` of caches in the order of their numbers, `sites` (symbols for call sites), `unused_marks`, `symbols` (of the kernel, those that call sites are in), `tasks` (names of threads) |
//! | `slubreplay.groups` | JSON: for each row group the offset of its end in the file and the CRC-32 of its bytes; the first begins at byte 4, each other where the last ends, the footer behind the last |
//! | `slubreplay.seal` | CRC-32 of the footer with these 8 digits as `00000000`, in hexadecimal |
//!
//! Checksums are verified before anything is decoded, so damage is told with its place and is never taken for events. What another
//! program writes has none and is refused: such a file is for that program's own use.

mod column;
mod convert;
mod events;
mod metadata;
mod read;
mod rows;
mod schema;
mod seal;
mod write;

#[cfg(test)]
mod tests;

pub use convert::{Converted, convert};
pub use read::{Store, is_store};
pub use write::StoreWriter;
