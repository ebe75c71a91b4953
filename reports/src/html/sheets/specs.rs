//! Which tables the page has, and which of their columns.

use super::SheetSpec;
use super::Unit::{Bytes, Cache, Count, Number, Share, Text, Time};
use crate::input::ReportInput;
use crate::input::analysis::AnalysisInput;
use crate::tables::{self, Table, analysis};

/// What the analyses found.
pub(super) const FINDINGS: [SheetSpec<AnalysisInput>; 7] = [
    SheetSpec {
        table: Table { name: "verdicts", build: analysis::verdicts },
        title: "Verdicts",
        about: "What is wrong with each cache, if anything, and what shows it.",
        columns: &[("cache", "Cache", Text), ("verdict", "Verdict", Text), ("bytes", "Concerns", Bytes), ("evidence", "Evidence", Text)],
    },
    SheetSpec {
        table: Table { name: "pinning", build: analysis::pinning },
        title: "Pinning",
        about: "Call sites whose long-lived objects keep slabs that are mostly free: the free bytes, shared with others that do.",
        columns: &[
            ("call_site", "Call site", Text),
            ("cache", "Cache", Text),
            ("mean_bytes", "Pinned, mean", Bytes),
            ("peak_bytes", "Most", Bytes),
            ("end_bytes", "At the end", Bytes),
            ("end_objects", "Objects at the end", Count),
            ("end_age_ns", "Their mean age", Time),
        ],
    },
    SheetSpec {
        table: Table { name: "sites", build: analysis::sites },
        title: "Call sites",
        about: "Who allocates what, and what becomes of it. Lifetimes are those of freed objects.",
        columns: &OWNERS_BY_SITE,
    },
    SheetSpec {
        table: Table { name: "threads", build: analysis::threads },
        title: "Threads",
        about: "The same by thread. Interrupts count for the thread that they interrupt.",
        columns: &OWNERS_BY_THREAD,
    },
    SheetSpec {
        table: Table { name: "lifetimes", build: analysis::lifetimes },
        title: "Lifetimes",
        about: "How long objects live that were allocated and freed in the trace; spans double.",
        columns: &[
            ("cache", "Cache", Text),
            ("from_ns", "Lived at least", Time),
            ("below_ns", "Less than", Time),
            ("objects", "Objects", Count),
        ],
    },
    SheetSpec {
        table: Table { name: "callers", build: analysis::callers },
        title: "Callers",
        about: "What perf kmem --caller stat prints.",
        columns: &[
            ("call_site", "Call site", Text),
            ("total_alloc", "Given", Bytes),
            ("total_req", "Asked for", Bytes),
            ("frag", "Not asked for", Share),
            ("hit", "Allocations", Count),
            ("ping_pong", "Freed on another CPU", Count),
        ],
    },
    SheetSpec {
        table: Table { name: "remote-frees", build: analysis::remote_frees },
        title: "Frees by CPU",
        about: "Which CPU frees what which CPU allocated.",
        columns: &[("allocated_by", "Allocated by CPU", Number), ("freed_by", "Freed by CPU", Number), ("frees", "Objects", Count)],
    },
];

const OWNERS_BY_SITE: [super::Spec; 11] = owners("call_site", "Call site");
const OWNERS_BY_THREAD: [super::Spec; 11] = owners("thread", "Thread");

const fn owners(source: &'static str, head: &'static str) -> [super::Spec; 11] {
    [
        (source, head, Text),
        ("cache", "Cache", Text),
        ("allocs", "Allocations", Count),
        ("requested_bytes", "Asked for", Bytes),
        ("frees", "Frees", Count),
        ("remote_frees", "On another CPU", Count),
        ("live_objects", "Never freed", Count),
        ("live_requested_bytes", "Bytes of these", Bytes),
        ("oldest_ns", "Oldest, since start", Time),
        ("lifetime_p50_ns", "Lifetime, median", Time),
        ("lifetime_p99_ns", "Lifetime, 99 %", Time),
    ]
}

/// What was replayed.
pub(super) const REPLAY: [SheetSpec<ReportInput>; 5] = [
    SheetSpec {
        table: Table { name: "caches", build: tables::caches },
        title: "Caches",
        about: "Memory of each cache. Wasted is what nobody asked for: free objects, padding, and what is left over in slabs.",
        columns: &[
            ("name", "Cache", Cache),
            ("object_bytes", "Object", Bytes),
            ("stride_bytes", "Stride", Bytes),
            ("order", "Order", Number),
            ("objects_per_slab", "In a slab", Count),
            ("allocs", "Allocations", Count),
            ("frees", "Frees", Count),
            ("slab_bytes_peak", "Slabs, most", Bytes),
            ("slab_bytes_end", "Slabs at the end", Bytes),
            ("live_bytes_end", "Live at the end", Bytes),
            ("wasted_bytes_end", "Wasted at the end", Bytes),
            ("waste_ratio_end", "Of slabs", Share),
            ("internal_waste_ratio", "Rounding", Share),
            ("partial_slabs_peak", "Partial slabs, most", Count),
            ("slow_path_share", "Slow allocations", Share),
        ],
    },
    SheetSpec {
        table: Table { name: "paths", build: tables::paths },
        title: "Paths",
        about: "What served allocations, and where freed objects went.",
        columns: &[
            ("cache", "Cache", Cache),
            ("alloc_fastpath", "Allocated fast", Count),
            ("alloc_refill", "From remote frees", Count),
            ("alloc_cpu_partial", "From the CPU's list", Count),
            ("alloc_node_partial", "From a node's list", Count),
            ("alloc_new_slab", "From a new slab", Count),
            ("alloc_fastpath_share", "Fast", Share),
            ("free_fastpath", "Freed fast", Count),
            ("free_frozen", "To another CPU's slab", Count),
            ("free_slowpath", "To another slab", Count),
            ("free_fastpath_share", "Fast", Share),
        ],
    },
    SheetSpec {
        table: Table { name: "counters", build: tables::counters },
        title: "Counters",
        about: "The allocator's own statistics, by the names that they have in /sys/kernel/slab.",
        columns: &[("cache", "Cache", Cache), ("counter", "Counter", Text), ("cpu", "CPU", Number), ("value", "Value", Count)],
    },
    SheetSpec {
        table: Table { name: "ledger", build: tables::ledger },
        title: "Ledger",
        about: "What was observed and what was inferred, by cache.",
        columns: &[
            ("kind", "Kind", Text),
            ("class", "Class", Text),
            ("cache", "Cache", Cache),
            ("count", "Count", Count),
            ("meaning", "Meaning", Text),
        ],
    },
    SheetSpec {
        table: Table { name: "sizing", build: tables::sizing },
        title: "Sizing differences",
        about: "Layouts of caches that were computed otherwise than the kernel reports them.",
        columns: &[
            ("cache", "Cache", Cache),
            ("attribute", "Attribute", Text),
            ("kernel", "Kernel", Count),
            ("computed", "Computed", Count),
        ],
    },
];
