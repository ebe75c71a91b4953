//! A recording as text, as the kernel and perf print it; for tests and benchmarks, and independent of the reader.
//!
//! Events without a form here are left out: those that no slab allocator looks at.

use std::fmt::Write;

use slubreplay_parsers::event::{Alloc, AllocCall, Body, Event, Free, FreeCall};
use slubreplay_parsers::recording::Recording;

/// gfp flags as the kernel names them, single ones only (`include/linux/gfp_types.h`, 6.12).
const FLAGS: [(u32, &str); 14] = [
    (0x1, "GFP_DMA"),
    (0x4, "GFP_DMA32"),
    (0x10, "__GFP_RECLAIMABLE"),
    (0x20, "__GFP_HIGH"),
    (0x40, "__GFP_IO"),
    (0x80, "__GFP_FS"),
    (0x100, "__GFP_ZERO"),
    (0x400, "__GFP_DIRECT_RECLAIM"),
    (0x800, "__GFP_KSWAPD_RECLAIM"),
    (0x2000, "__GFP_NOWARN"),
    (0x1_0000, "__GFP_NORETRY"),
    (0x4_0000, "__GFP_COMP"),
    (0x20_0000, "__GFP_THISNODE"),
    (0x40_0000, "__GFP_ACCOUNT"),
];

const ACCOUNT: u32 = 0x40_0000;

fn flags(gfp: u32) -> String {
    // The kernel has names of their own for the most frequent ones.
    match gfp {
        0 => return "none".to_owned(),
        0xcc0 => return "GFP_KERNEL".to_owned(),
        0x40_0cc0 => return "GFP_KERNEL_ACCOUNT".to_owned(),
        _ => {}
    }
    let rest = FLAGS.iter().fold(gfp, |rest, (bit, _)| rest & !bit);
    let mut names: Vec<String> = FLAGS.iter().filter(|(bit, _)| gfp & bit != 0).map(|(_, name)| (*name).to_owned()).collect();
    if rest != 0 {
        names.push(format!("{rest:#x}"));
    }
    names.join("|")
}

/// Name and arguments of an event; `pointer` prints one.
fn arguments(event: &Event, recording: &Recording, pointer: &dyn Fn(u64) -> String) -> Option<(&'static str, String)> {
    let page = |pfn: u64| format!("page={} pfn={pfn:#x}", pointer(0xffff_ea00_0000_0000_u64.wrapping_add(pfn.wrapping_mul(64))));
    Some(match event.body {
        Body::Alloc(Alloc { call_site, ptr, bytes_req, bytes_alloc, gfp_flags, node, call, accounted, .. }) => {
            let name = if call == AllocCall::Kmalloc { "kmalloc" } else { "kmem_cache_alloc" };
            let (ptr, gfp) = (pointer(ptr), flags(gfp_flags));
            let accounted = accounted.unwrap_or(gfp_flags & ACCOUNT != 0);
            let sizes = format!("bytes_req={bytes_req} bytes_alloc={bytes_alloc}");
            (name, format!("call_site=f{call_site:x}+0x10/0x20 ptr={ptr} {sizes} gfp_flags={gfp} node={node} accounted={accounted}"))
        }
        Body::Free(Free { call_site, ptr, name, call }) => {
            let start = format!("call_site=f{call_site:x}+0x10/0x20 ptr={}", pointer(ptr));
            match (call, name) {
                (FreeCall::KmemCacheFree, Some(name)) => ("kmem_cache_free", format!("{start} name={}", recording.name(name))),
                (FreeCall::KmemCacheFree, None) => ("kmem_cache_free", start),
                (FreeCall::Kfree, _) => ("kfree", start),
            }
        }
        Body::PageAlloc(taken) => {
            let (pfn, gfp) = (taken.pfn.unwrap_or(u64::MAX), flags(taken.gfp_flags));
            let (order, kind) = (taken.order, taken.migratetype);
            ("mm_page_alloc", format!("{} order={order} migratetype={kind} gfp_flags={gfp}", page(pfn)))
        }
        Body::PageFree { pfn, order } => ("mm_page_free", format!("{} order={order}", page(pfn))),
        Body::Mark(mark) => ("tracing_mark_write", recording.mark(mark).trim_end().to_owned()),
        _ => return None,
    })
}

/// The kernel's `trace` file (`Documentation/trace/ftrace.rst`), pointers as `hash` makes them.
pub(crate) fn ftrace(recording: &Recording, hash: &dyn Fn(u64) -> u64) -> String {
    let mut text = String::from("# tracer: nop\n#\n");
    for event in recording.merged() {
        let Event { time_ns, pid, cpu, .. } = *event;
        let Some((name, arguments)) = arguments(event, recording, &|ptr| format!("{:016x}", hash(ptr))) else { continue };
        let (seconds, micros) = (time_ns / 1_000_000_000, time_ns / 1000 % 1_000_000);
        writeln!(text, "            task-{pid:<7} [{cpu:03}] ..... {seconds:>5}.{micros:06}: {name}: {arguments}").expect("written");
    }
    text
}

/// `perf script --ns`.
#[allow(dead_code, reason = "not all who share this want both")]
pub(crate) fn perf_script(recording: &Recording) -> String {
    let mut text = String::new();
    for event in recording.merged().filter(|event| !matches!(event.body, Body::Mark(_))) {
        let Event { time_ns, pid, cpu, .. } = *event;
        let pointer = |ptr: u64| if ptr == 0 { "(nil)".to_owned() } else { format!("{ptr:#x}") };
        let Some((name, arguments)) = arguments(event, recording, &pointer) else { continue };
        let (seconds, nanos) = (time_ns / 1_000_000_000, time_ns % 1_000_000_000);
        writeln!(text, "            task {pid:>7} [{cpu:03}] {seconds:>5}.{nanos:09}: {:>25}: {arguments}", format!("kmem:{name}"))
            .expect("written");
    }
    text
}
