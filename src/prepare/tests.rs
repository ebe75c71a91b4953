//! Preparation of recordings made by hand. Every ledger count is what the events of the test say.

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use slubreplay_parsers::capture::{Capture, SlabSnapshot};
use slubreplay_parsers::event::{Alloc, AllocCall, Body, Context, Event, Free, FreeCall, MarkId, NameId, PageAlloc};
use slubreplay_parsers::recording::{CpuStream, Info, Loss, Pointers, Recording};

use super::ledger::Entry::{self, *};
use super::{Op, Plan, PlannedSeed, Snapshots, What, prepare};
use crate::allocators::slub::sizing::{Build, Kernel, KernelRelease, Machine};
use crate::allocators::slub::{Caller, SeedPlace};

/// Somewhere in the direct map of x86-64: frame 0 is at this address.
pub(crate) const MAP: u64 = 0xffff_8880_0000_0000;
pub(crate) const PAGE: u64 = 4096;
const GFP_KERNEL: u32 = 0xcc0;

/// A recording in the making. Each event comes 10 ns after the one before, on the CPU chosen last.
#[derive(Debug, Clone, Default)]
pub(crate) struct Script {
    time_ns: u64,
    cpu: u16,
    streams: BTreeMap<u16, Vec<Event>>,
    names: Vec<String>,
    marks: Vec<String>,
    losses: Vec<Loss>,
    pub(crate) info: Info,
}

impl Script {
    /// A recording whose first events relate addresses to page frames 8 to 15: eight pages are allocated,
    /// and an object of the cache `first` in each of them.
    pub(crate) fn with_page_events() -> Self {
        let mut script = Self::default();
        for pfn in 8..16 {
            script.page_alloc(pfn, 0).alloc(0x77, MAP + pfn * PAGE, 4096, 4096);
        }
        script.free(MAP + 8 * PAGE, "first");
        script
    }

    pub(crate) fn on(&mut self, cpu: u16) -> &mut Self {
        self.cpu = cpu;
        self
    }

    /// The next event carries the same time as the last one.
    pub(crate) fn tie(&mut self) -> &mut Self {
        self.time_ns -= 10;
        self
    }

    pub(crate) fn push(&mut self, body: Body) -> &mut Self {
        self.time_ns += 10;
        let event = Event { time_ns: self.time_ns, body, pid: 100 + i32::from(self.cpu), cpu: self.cpu, context: Context(0) };
        self.streams.entry(self.cpu).or_default().push(event);
        self
    }

    fn name(&mut self, name: &str) -> NameId {
        let position = self.names.iter().position(|known| known == name).unwrap_or_else(|| {
            self.names.push(name.to_owned());
            self.names.len() - 1
        });
        NameId(position as u16)
    }

    /// `kmem_cache_alloc` by a call site, of a cache with this object size and stride.
    pub(crate) fn alloc(&mut self, call_site: u64, ptr: u64, object: u64, stride: u64) -> &mut Self {
        self.push(Body::Alloc(Alloc { call_site, bytes_req: object, bytes_alloc: stride, ..allocation(ptr, AllocCall::KmemCacheAlloc) }))
    }

    pub(crate) fn kmalloc(&mut self, ptr: u64, requested: u64, allocated: u64, gfp_flags: u32) -> &mut Self {
        self.push(Body::Alloc(Alloc { bytes_req: requested, bytes_alloc: allocated, gfp_flags, ..allocation(ptr, AllocCall::Kmalloc) }))
    }

    pub(crate) fn free(&mut self, ptr: u64, name: &str) -> &mut Self {
        let name = Some(self.name(name));
        self.push(Body::Free(Free { call_site: 1, ptr, name, call: FreeCall::KmemCacheFree }))
    }

    pub(crate) fn kfree(&mut self, ptr: u64) -> &mut Self {
        self.push(Body::Free(Free { call_site: 1, ptr, name: None, call: FreeCall::Kfree }))
    }

    pub(crate) fn page_alloc(&mut self, pfn: u64, order: u8) -> &mut Self {
        self.push(Body::PageAlloc(PageAlloc { pfn: Some(pfn), gfp_flags: GFP_KERNEL, migratetype: 0, order }))
    }

    pub(crate) fn mark(&mut self, text: &str) -> &mut Self {
        self.marks.push(text.to_owned());
        self.push(Body::Mark(MarkId(self.marks.len() as u32 - 1)))
    }

    /// The same events as a kernel prints them that hashes pointers: every address by a number of 32 bits of its own.
    pub(crate) fn hashed(&self) -> Self {
        let hash = |ptr: &mut u64| {
            if *ptr > 16 {
                // Addresses here differ in the lower 32 bits, and multiplying by an odd number keeps them apart.
                *ptr = u64::from((*ptr as u32).wrapping_mul(0x9e37_79b1) ^ 0x5bd1_e995);
            }
        };
        let mut script = self.clone();
        script.info.pointers = Pointers::Hashed;
        for event in script.streams.values_mut().flatten() {
            match &mut event.body {
                Body::Alloc(alloc) => hash(&mut alloc.ptr),
                Body::Free(free) => hash(&mut free.ptr),
                _ => {}
            }
        }
        script
    }

    pub(crate) fn recording(&self) -> Recording {
        let streams = self.streams.iter().map(|(&cpu, events)| CpuStream { cpu, events: events.clone() }).collect();
        let mut recording =
            Recording { streams, names: self.names.clone(), marks: self.marks.clone(), info: self.info.clone(), ..Recording::default() };
        recording.accounting.losses = self.losses.clone();
        recording
    }

    pub(crate) fn plan(&self) -> Plan {
        prepare(&self.recording(), &kernel(KernelRelease::new(6, 12, 0), Build::default()), Snapshots::default())
    }

    fn plan_with(&self, snapshot: &str) -> Plan {
        prepare(
            &self.recording(),
            &kernel(KernelRelease::new(6, 12, 0), Build::default()),
            Snapshots { after: Some(&parse(snapshot)), before: None, ..Snapshots::default() },
        )
    }
}

fn allocation(ptr: u64, call: AllocCall) -> Alloc {
    Alloc { call_site: 1, ptr, bytes_req: 0, bytes_alloc: 0, gfp_flags: GFP_KERNEL, node: -1, name: None, call, accounted: None }
}

pub(crate) fn kernel(release: KernelRelease, build: Build) -> Kernel {
    Kernel::new(release, Machine::x86_64(4), build)
}

/// A snapshot as it is read from a capture.
pub(crate) fn parse(snapshot: &str) -> SlabSnapshot {
    let dir = tempfile::tempdir().expect("a folder");
    std::fs::write(dir.path().join("trace.dat"), "").expect("written");
    std::fs::write(dir.path().join("slab.after"), snapshot).expect("written");
    Capture::open(dir.path()).expect("a capture").after.expect("a snapshot")
}

impl Plan {
    /// The ledger, as far as it speaks of these entries.
    fn counts(&self, entries: &[Entry]) -> Vec<(Entry, &str, u64)> {
        self.ledger.iter().filter(|(entry, _, _)| entries.contains(entry)).collect()
    }

    /// Operations on a cache as (object, what), in order.
    fn steps(&self, cache: &str) -> Vec<(u32, What)> {
        let number = self.caches.iter().position(|planned| planned.name == cache).expect("the cache is planned");
        self.ops.iter().filter(|op| usize::from(op.cache) == number).map(|op| (op.object, op.what)).collect()
    }

    fn names(&self) -> Vec<&str> {
        self.caches.iter().map(|cache| cache.name.as_str()).collect()
    }
}

/// Ways in which an object can come by its cache.
const NAMING: [Entry; 7] = [NamedAtAlloc, NamedAtFree, NamedByClass, NamedByVote, NamedBySlab, NamedBySizes, Unnamed];

#[test]
fn an_operation_takes_at_most_24_bytes() {
    assert!(size_of::<Op>() <= 24, "{}", size_of::<Op>());
}

#[test]
fn nothing_gives_an_empty_plan() {
    let plan = Script::default().plan();
    assert!(plan.caches.is_empty() && plan.ops.is_empty() && plan.seeds.is_empty());
    assert_eq!(plan.ledger.iter().count(), 0);
}

#[test]
fn the_free_names_the_cache() {
    let plan = Script::default().alloc(1, MAP, 40, 64).free(MAP, "anon_vma").plan();
    assert_eq!(plan.names(), ["anon_vma"]);
    let cache = &plan.caches[0];
    assert_eq!((cache.layout.object_size, cache.layout.size, cache.layout.objects, cache.is_pseudo), (40, 64, 64, false));
    assert_eq!(plan.steps("anon_vma"), [(0, What::ALLOC), (0, What::FREED)]);
    assert_eq!(plan.counts(&NAMING), [(NamedAtFree, "anon_vma", 1)]);
    assert_eq!(plan.counts(&[AllocsObserved, FreesObserved]), [(AllocsObserved, "anon_vma", 1), (FreesObserved, "anon_vma", 1)]);
    assert_eq!(plan.counts(&[LiveAtEnd, Unnamed, ImpliedFrees, ImpliedAllocs]), []);
    assert_eq!(plan.time_range_ns, (10, 20));
}

#[test]
fn the_allocation_itself_may_name_the_cache() {
    let mut script = Script::default();
    let name = Some(script.name("dentry"));
    script.push(Body::Alloc(Alloc { bytes_req: 192, bytes_alloc: 192, name, ..allocation(MAP, AllocCall::KmemCacheAlloc) }));
    let plan = script.plan();
    assert_eq!(plan.counts(&NAMING), [(NamedAtAlloc, "dentry", 1)]);
    assert_eq!(plan.counts(&[LiveAtEnd]), [(LiveAtEnd, "dentry", 1)]);
}

/// A copy of a cache for one memory cgroup, as up to 5.8, counts as the cache.
#[test]
fn a_cgroups_copy_is_its_cache() {
    let recording = Script::default().alloc(1, MAP, 192, 192).free(MAP, "dentry(123:session)").recording();
    // Such copies ended with 5.9; later a name may hold what it likes.
    let named = |minor| prepare(&recording, &kernel(KernelRelease::new(5, minor, 0), Build::default()), Snapshots::default());
    assert_eq!(named(4).names(), ["dentry"]);
    assert_eq!(named(10).names(), ["dentry(123:session)"]);
}

/// Objects of one call site and sizes, each in a page of its own, freed as `a` and as `b`; then one more
/// that stays.
fn election(a: u64, b: u64) -> Script {
    let mut script = Script::default();
    for number in 0..a + b {
        script.alloc(1, MAP + number * PAGE, 192, 192).free(MAP + number * PAGE, if number < a { "a" } else { "b" });
    }
    script.alloc(1, MAP + (a + b) * PAGE, 192, 192);
    script
}

#[test]
fn what_95_of_100_objects_are_the_others_are_too() {
    let plan = election(20, 0).plan();
    assert_eq!(plan.counts(&NAMING), [(NamedAtFree, "a", 20), (NamedByVote, "a", 1)]);
    // 95 %: the one that stays is the last object.
    let plan = election(19, 1).plan();
    assert_eq!(plan.steps("a").last(), Some(&(20, What::ALLOC)));
    assert_eq!(plan.counts(&[Unnamed]), []);
    // 94.7 %.
    let plan = election(18, 1).plan();
    assert_eq!(plan.counts(&NAMING), [(NamedAtFree, "a", 18), (NamedAtFree, "b", 1), (Unnamed, "unknown-192/192", 1)]);
}

/// Sizes do not contradict: the object's own free is better evidence than the vote.
#[test]
fn an_outvoted_object_keeps_the_name_of_its_own_free() {
    let plan = election(39, 1).plan();
    assert_eq!(plan.counts(&NAMING), [(NamedAtFree, "a", 39), (NamedAtFree, "b", 1), (NamedByVote, "a", 1)]);
    assert_eq!(plan.counts(&[ContradictedFrees]), []);
    assert_eq!(plan.steps("b"), [(39, What::ALLOC), (39, What::FREED)]);
}

#[test]
fn keys_differ_by_call_site_and_sizes() {
    let mut script = Script::default();
    script.alloc(1, MAP, 192, 192).free(MAP, "a");
    script.alloc(2, MAP + PAGE, 192, 192).alloc(1, MAP + 2 * PAGE, 184, 192).alloc(1, MAP + 3 * PAGE, 192, 256);
    let plan = script.plan();
    let unnamed = [(Unnamed, "unknown-184/192", 1), (Unnamed, "unknown-192/192", 1), (Unnamed, "unknown-192/256", 1)];
    assert_eq!(plan.counts(&[NamedByVote, Unnamed]), unnamed);
    assert!(plan.caches.iter().all(|cache| cache.is_pseudo == cache.name.starts_with("unknown-")));
}

#[test]
fn objects_of_one_slab_are_of_one_cache() {
    let mut script = Script::default();
    script.alloc(1, MAP, 64, 64).free(MAP, "a").alloc(2, MAP + 64, 64, 64);
    // Two names in one page tell nothing.
    script.alloc(3, MAP + PAGE, 64, 64).free(MAP + PAGE, "b");
    script.alloc(4, MAP + PAGE + 64, 64, 64).free(MAP + PAGE + 64, "c").alloc(5, MAP + PAGE + 128, 64, 64);
    let plan = script.plan();
    assert_eq!(plan.counts(&[NamedBySlab, Unnamed]), [(NamedBySlab, "a", 1), (Unnamed, "unknown-64/64", 1)]);
}

#[test]
fn one_cache_of_these_sizes_in_the_snapshot_is_it() {
    let mut script = Script::default();
    script.alloc(1, MAP, 100, 104);
    let only = "ext,object_size,100\next,slab_size,104\nother,object_size,96\nother,slab_size,104\n";
    assert_eq!(script.plan_with(only).counts(&NAMING), [(NamedBySizes, "ext", 1)]);
    let two = format!("{only}twin,object_size,100\ntwin,slab_size,104\n");
    let plan = script.plan_with(&two);
    assert_eq!(plan.counts(&NAMING), [(Unnamed, "unknown-100/104", 1)]);
    assert!(plan.caches.iter().any(|cache| cache.name == "unknown-100/104" && cache.is_pseudo));
    // A merged cache shows the largest object size of its names.
    let merged = ":0000104,object_size,104\n:0000104,slab_size,104\n";
    assert_eq!(script.plan_with(merged).counts(&NAMING), [(NamedBySizes, ":0000104", 1)]);
}

#[test]
fn caches_of_the_snapshot_are_planned_even_if_unused() {
    let plan = Script::default().plan_with("idle,object_size,100\nidle,slab_size,104\nidle,order,0\nidle,objs_per_slab,39\n");
    assert_eq!(plan.names(), ["idle"]);
    assert_eq!((plan.caches[0].layout.order, plan.caches[0].layout.objects), (0, 39)); // 4096 / 104
    assert_eq!(plan.sizing_differences, []);
}

#[test]
fn layouts_that_differ_from_the_snapshot_are_told() {
    // 4096 / 104 gives 39 objects in a page; this kernel says that it uses two pages.
    let plan = Script::default().plan_with("odd,object_size,100\nodd,slab_size,104\nodd,order,1\nodd,objs_per_slab,78\n");
    let told: Vec<_> = plan.sizing_differences.iter().map(|told| (told.attribute, told.kernel, told.computed)).collect();
    assert_eq!(told, [("order", 1, 0), ("objs_per_slab", 78, 39)]);
    assert_eq!((plan.caches[0].layout.order, plan.caches[0].layout.objects), (1, 78), "the kernel is right");
}

#[test]
fn kmalloc_goes_by_class_and_flags() {
    const RECLAIMABLE: u32 = 0x10;
    const ACCOUNT: u32 = 0x40_0000;
    const DMA: u32 = 0x1;
    let kernel_6_12 = kernel(KernelRelease::new(6, 12, 0), Build::default());
    let without_memcg = kernel(KernelRelease::new(6, 12, 0), Build { memcg: false, ..Build::default() });
    let without_dma = kernel(KernelRelease::new(6, 12, 0), Build { zone_dma: false, ..Build::default() });
    let kernel_5_10 = kernel(KernelRelease::new(5, 10, 0), Build::default());
    let cases = [
        (&kernel_6_12, 64, GFP_KERNEL, "kmalloc-64"),
        (&kernel_6_12, 96, GFP_KERNEL, "kmalloc-96"),
        (&kernel_6_12, 1024, GFP_KERNEL, "kmalloc-1k"),
        (&kernel_6_12, 8192, GFP_KERNEL, "kmalloc-8k"),
        (&kernel_6_12, 64, GFP_KERNEL | ACCOUNT, "kmalloc-cg-64"),
        (&kernel_6_12, 64, GFP_KERNEL | RECLAIMABLE, "kmalloc-rcl-64"),
        (&kernel_6_12, 64, GFP_KERNEL | RECLAIMABLE | ACCOUNT, "kmalloc-rcl-64"),
        (&kernel_6_12, 64, GFP_KERNEL | DMA | RECLAIMABLE | ACCOUNT, "dma-kmalloc-64"),
        (&without_dma, 64, GFP_KERNEL | DMA | ACCOUNT, "kmalloc-cg-64"),
        (&without_memcg, 64, GFP_KERNEL | ACCOUNT, "kmalloc-64"),
        (&kernel_5_10, 64, GFP_KERNEL | ACCOUNT, "kmalloc-64"),
        // A slot larger than its class: debugging was on. The next lower class it is.
        (&kernel_6_12, 80, GFP_KERNEL, "kmalloc-64"),
    ];
    for (kernel, allocated, gfp, expected) in cases {
        let plan = prepare(&Script::default().kmalloc(MAP, 8, allocated, gfp).recording(), kernel, Snapshots::default());
        assert_eq!(plan.names(), [expected], "{allocated} bytes, gfp {gfp:#x}, {}", kernel.release);
        assert_eq!(plan.counts(&NAMING), [(NamedByClass, expected, 1)]);
        assert_eq!(plan.ops[0].requested_bytes, 8);
    }
}

#[test]
fn merged_names_are_one_cache() {
    let snapshot = ":A-0000064,object_size,64\n:A-0000064,slab_size,64\nkmalloc-cg-64,@alias,:A-0000064\nio,@alias,:A-0000064\n";
    let mut script = Script::default();
    script.kmalloc(MAP, 50, 64, GFP_KERNEL | 0x40_0000).alloc(1, MAP + 64, 56, 64).free(MAP + 64, "io").kfree(MAP);
    let plan = script.plan_with(snapshot);
    assert_eq!(plan.names(), [":A-0000064"]);
    assert_eq!(plan.caches[0].aliases, ["io", "kmalloc-cg-64"]);
    assert_eq!(plan.counts(&NAMING), [(NamedAtFree, ":A-0000064", 1), (NamedByClass, ":A-0000064", 1)]);
}

#[test]
fn large_kmalloc_is_counted_and_not_replayed() {
    let mut script = Script::default();
    // Up to two pages there are classes; a run-time sized request beyond is traced twice since 6.12.
    script.kmalloc(MAP, 8192, 8192, GFP_KERNEL);
    script.kmalloc(MAP + 0x1_0000, 8193, 16_384, GFP_KERNEL).kmalloc(MAP + 0x1_0000, 8193, 16_384, GFP_KERNEL).kfree(MAP + 0x1_0000);
    script.kmalloc(MAP + 0x1_0000, 16_384, 16_384, GFP_KERNEL).kfree(MAP + 0x1_0000);
    let plan = script.plan();
    assert_eq!(plan.names(), ["kmalloc-8k"]);
    assert_eq!(plan.ops.len(), 1);
    let entries = [LargeAllocs, LargeFrees, DoubledEvents, UnknownFrees, ImpliedFrees];
    assert_eq!(plan.counts(&entries), [(LargeAllocs, "", 2), (LargeFrees, "", 2), (DoubledEvents, "", 1)]);
}

#[test]
fn two_events_on_two_cpus_are_two_large_allocations() {
    let mut script = Script::default();
    script.on(0).kmalloc(MAP, 9000, 16_384, GFP_KERNEL).on(1).kmalloc(MAP, 9000, 16_384, GFP_KERNEL);
    assert_eq!(script.plan().counts(&[LargeAllocs, DoubledEvents]), [(LargeAllocs, "", 2)]);
}

#[test]
fn an_address_may_change_between_slabs_and_pages() {
    let mut script = Script::default();
    script.kmalloc(MAP, 64, 64, GFP_KERNEL).kmalloc(MAP, 9000, 16_384, GFP_KERNEL).kmalloc(MAP, 64, 64, GFP_KERNEL);
    let plan = script.plan();
    assert_eq!(plan.counts(&[ImpliedFrees, LargeAllocs]), [(ImpliedFrees, "kmalloc-64", 1), (LargeAllocs, "", 1)]);
    assert_eq!(plan.steps("kmalloc-64"), [(0, What::ALLOC), (0, What::FREED.implied()), (1, What::ALLOC)]);
}

#[test]
fn freeing_nothing_is_no_operation() {
    // NULL, and ZERO_SIZE_PTR, which kmalloc(0) returns without an event.
    let plan = Script::default().kfree(0).kfree(16).kfree(0).plan();
    assert_eq!(plan.ledger.iter().collect::<Vec<_>>(), [(NullFrees, "", 3)]);
    assert!(plan.ops.is_empty());
}

#[test]
fn error_pointers_count_as_null() {
    let plan = Script::default().kfree((-12_i64).cast_unsigned()).plan();
    assert_eq!(plan.ledger.iter().collect::<Vec<_>>(), [(NullFrees, "", 1)]);
}

#[test]
fn failed_allocations_are_counted() {
    let plan = Script::default().kmalloc(0, 64, 64, GFP_KERNEL).alloc(1, 0, 64, 64).plan();
    assert_eq!(plan.ledger.iter().collect::<Vec<_>>(), [(FailedAllocs, "", 2)]);
    assert!(plan.ops.is_empty());
}

#[test]
fn an_address_handed_out_again_was_freed_unseen() {
    let mut script = Script::default();
    script.on(0).kmalloc(MAP, 72, 96, GFP_KERNEL).on(1).kmalloc(MAP, 80, 96, GFP_KERNEL).kfree(MAP);
    let plan = script.plan();
    let expected = [(0, What::ALLOC), (0, What::FREED.implied()), (1, What::ALLOC), (1, What::FREED)];
    assert_eq!(plan.steps("kmalloc-96"), expected);
    // Immediately before the allocation that proves it.
    assert_eq!((plan.ops[1].time_ns, plan.ops[1].cpu), (20, 1));
    assert_eq!(
        plan.counts(&[AllocsObserved, FreesObserved, ImpliedFrees, LiveAtEnd]),
        [(AllocsObserved, "kmalloc-96", 2), (FreesObserved, "kmalloc-96", 1), (ImpliedFrees, "kmalloc-96", 1)]
    );
}

/// A CPU takes all free objects of a slab at once, so what it hands out of it was free by then.
#[test]
fn untraced_frees_stand_where_the_cpu_took_the_slab() {
    let mut script = Script::default();
    let other = MAP + 16 * PAGE;
    for ptr in [MAP, MAP + 96, other, MAP + 192, MAP + 96, MAP] {
        script.kmalloc(ptr, 72, 96, GFP_KERNEL);
    }
    let plan = script.plan();
    // Objects 0 and 1 were freed before the CPU turned back to their slab with object 3, in one call.
    let steps: Vec<_> = plan.ops.iter().map(|op| (op.object, op.what.is_free(), op.what.is_implied(), op.what.list_goes_on())).collect();
    let alloc = |object| (object, false, false, false);
    let frees = [(1, true, true, true), (0, true, true, false)];
    assert_eq!(steps, [alloc(0), alloc(1), alloc(2), frees[0], frees[1], alloc(3), alloc(4), alloc(5)]);
    assert_eq!(plan.counts(&[ImpliedFrees, LiveAtEnd]), [(ImpliedFrees, "kmalloc-96", 2), (LiveAtEnd, "kmalloc-96", 4)]);
}

/// Pages go back when the last object of their slab is free.
#[test]
fn objects_in_a_released_slab_were_freed_unseen() {
    let mut script = Script::with_page_events();
    let slab = MAP + 64 * PAGE;
    script.page_alloc(64, 0).kmalloc(slab, 72, 96, GFP_KERNEL).kmalloc(slab + 96, 72, 96, GFP_KERNEL).kmalloc(
        slab + 192,
        72,
        96,
        GFP_KERNEL,
    );
    script.kfree(slab + 96).push(Body::PageFree { pfn: 64, order: 0 });
    // Taken by something else than a slab, and later by a slab again.
    script.page_alloc(64, 0).alloc(1, slab, 4096, 4096).free(slab, "first");
    let plan = script.plan();
    assert_eq!(plan.counts(&[ImpliedFrees, ImpliedAllocs]), [(ImpliedFrees, "kmalloc-96", 2)]);
    assert_eq!(plan.ledger.of(LiveAtEnd, "kmalloc-96"), 0);
}

#[test]
fn an_object_of_a_new_slab_was_allocated_unseen() {
    let mut script = Script::with_page_events();
    // A slab of the trace: its second object can only have been handed out since.
    let slab = MAP + 64 * PAGE;
    script.page_alloc(64, 0).alloc(1, slab, 256, 256).free(slab, "maple_node").free(slab + 256, "maple_node");
    let plan = script.plan();
    let entries = [ImpliedAllocs, BornBefore, SeededSlabs, UnknownFrees];
    assert_eq!(plan.counts(&entries), [(ImpliedAllocs, "maple_node", 1)]);
    let steps = plan.steps("maple_node");
    // It was handed out in the tenure that the trace shows, beside the first object.
    assert_eq!(
        steps.iter().map(|step| step.1).collect::<Vec<_>>(),
        [What::ALLOC, What::ALLOC.implied().in_bulk(), What::FREED, What::FREED]
    );
    assert_eq!(steps[1].0, steps[3].0);
    assert!(plan.seeds.is_empty());
}

#[test]
fn objects_of_a_slab_that_was_handed_out_unseen_came_in_bulk() {
    let mut script = Script::with_page_events();
    let slab = MAP + 64 * PAGE;
    script.alloc(1, MAP + 70 * PAGE, 256, 256).free(MAP + 70 * PAGE, "maple_node");
    script.page_alloc(64, 0).free(slab + 256, "maple_node").free(slab + 512, "maple_node");
    let plan = script.plan();
    let last: Vec<What> = plan.steps("maple_node").iter().skip(2).map(|step| step.1).collect();
    let unseen = What::ALLOC.implied().in_bulk();
    assert_eq!(last, [unseen, unseen, What::FREED, What::FREED]);
    assert_eq!(plan.counts(&[ImpliedAllocs]), [(ImpliedAllocs, "maple_node", 2)]);
}

/// A snapshot from near the start tells which slabs were parked on a CPU; without it they count as listed.
#[test]
fn slabs_parked_at_the_start_are_those_used_first() {
    let mut script = Script::with_page_events();
    // Of four old slabs the CPU takes one object each: its cpu slab, then three others.
    for page in 64..68 {
        script.alloc(1, MAP + page * PAGE, 256, 256).free(MAP + page * PAGE, "filp");
    }
    let places = |before: Option<&str>| -> Vec<SeedPlace> {
        let before = before.map(parse);
        let snapshots = Snapshots { before: before.as_ref(), after: None, ..Snapshots::default() };
        let plan = prepare(&script.recording(), &kernel(KernelRelease::new(6, 12, 0), Build::default()), snapshots);
        plan.seeds.iter().map(|seed| seed.place).collect()
    };
    let figures = "filp,object_size,256\nfilp,slab_size,256\nfilp,slabs_cpu_partial,16(2) C0=16(2)\n";
    use SeedPlace::{Cpu, CpuPartial, NodePartial};
    assert_eq!(places(Some(figures)), [Cpu(0), NodePartial, CpuPartial(0), CpuPartial(0)]);
    assert_eq!(places(None), [Cpu(0), NodePartial, NodePartial, NodePartial]);
}

/// A cache whose objects are taken unseen, and a slab of 16 that its CPU exhausts.
fn exhausted_slab(script: &mut Script, slab: u64) {
    for unseen in 0..8 {
        script.page_alloc(90 + unseen, 0).free(MAP + (90 + unseen) * PAGE, "maple_node");
    }
    script.page_alloc(64, 0);
    for place in (0..16).filter(|place| place % 4 != 3) {
        script.alloc(1, slab + 256 * place, 256, 256);
    }
    // More than 0.1 ms later the CPU turns to another slab.
    script.time_ns += 1_000_000;
    script.page_alloc(65, 0).alloc(1, MAP + 65 * PAGE, 256, 256);
}

#[test]
fn what_is_free_in_an_exhausted_slab_was_taken_unseen() {
    let mut script = Script::with_page_events();
    let slab = MAP + 64 * PAGE;
    exhausted_slab(&mut script, slab);
    // One of the four comes to light by its free, one by being handed out again, two by the slab's release.
    script.free(slab + 256 * 3, "maple_node").on(1).alloc(1, slab + 256 * 7, 256, 256).push(Body::PageFree { pfn: 64, order: 0 });
    script.kmalloc(MAP + 80 * PAGE, 72, 96, GFP_KERNEL);
    let plan = script.plan();
    // Eight that prove the cache, and the four.
    assert_eq!(plan.ledger.of(ImpliedAllocs, "maple_node"), 12);
    // The one handed out again; at the release its successor, the twelve of the beginning, and the two.
    assert_eq!(plan.ledger.of(ImpliedFrees, "maple_node"), 1 + 1 + 12 + 2);
    assert_eq!(plan.ledger.of(FreesObserved, "maple_node"), 8 + 1);
    let mut live = std::collections::BTreeSet::new();
    for (object, what) in plan.steps("maple_node") {
        assert!(if what.is_free() { live.remove(&object) } else { live.insert(object) }, "object {object} lives once");
    }
    assert_eq!(live.len(), 1, "the one of the other slab");
}

#[test]
fn a_free_in_flight_is_no_object_taken_unseen() {
    let mut script = Script::with_page_events();
    exhausted_slab(&mut script, MAP + 64 * PAGE);
    // On another CPU an object is freed just before this one turns away again.
    script.on(1).free(MAP + 65 * PAGE, "maple_node").on(0).page_alloc(66, 0).alloc(1, MAP + 66 * PAGE, 256, 256);
    // Eight prove the cache. Four places of the first slab were taken, and the 15 of the second that were
    // never used; the one just freed was not.
    assert_eq!(script.plan().ledger.of(ImpliedAllocs, "maple_node"), 8 + 4 + 15);
}

#[test]
fn a_released_slab_with_objects_of_two_caches_makes_a_list_for_each() {
    let mut script = Script::with_page_events();
    let slab = MAP + 64 * PAGE;
    script.page_alloc(64, 0);
    for index in 0..8 {
        // One half asks for accounting: another cache, as the trace is read.
        script.kmalloc(slab + 96 * index, 72, 96, if index < 4 { GFP_KERNEL } else { GFP_KERNEL | 0x40_0000 });
    }
    script.push(Body::PageFree { pfn: 64, order: 0 }).mark("after");
    script.kmalloc(MAP + 80 * PAGE, 72, 96, GFP_KERNEL);
    let plan = script.plan();
    assert_eq!(plan.counts(&[ImpliedFrees]), [(ImpliedFrees, "kmalloc-96", 4), (ImpliedFrees, "kmalloc-cg-96", 4)]);
    for pair in plan.ops.windows(2).filter(|pair| pair[0].what.list_goes_on()) {
        assert!(pair[1].what.is_free() && pair[0].cache == pair[1].cache);
    }
}

#[test]
fn page_events_of_impossible_order_are_counted_and_ignored() {
    let mut script = Script::with_page_events();
    script.page_alloc(64, 40).push(Body::PageFree { pfn: 64, order: 255 }).kmalloc(MAP + 64 * PAGE, 72, 96, GFP_KERNEL);
    assert_eq!(script.plan().ledger.total(UnusableRecords), 2);
}

/// Two call sites of accounted kmalloc-64 that never share a slab; the snapshot has a bucket in use.
#[test]
fn a_call_site_that_shares_no_slab_is_the_bucket_in_use() {
    let mut script = Script::with_page_events();
    let account = GFP_KERNEL | 0x40_0000;
    let mut take = |site: u64, pfn: u64, index: u64| {
        let alloc = Alloc {
            call_site: site,
            bytes_req: 60,
            bytes_alloc: 64,
            gfp_flags: account,
            ..allocation(MAP + pfn * PAGE + 64 * index, AllocCall::Kmalloc)
        };
        script.push(Body::Alloc(alloc));
    };
    for index in 0..64 {
        take(0xa, 64, index);
        take(0xb0 + index % 2, 65, index);
    }
    let sizes = |name: &str, slabs: u32| format!("{name},object_size,64\n{name},slab_size,64\n{name},slabs,{slabs}\n");
    let used = [sizes("kmalloc-cg-64", 1), sizes("msg_msg-64", 1), sizes("memdup_user-64", 0)].concat();
    let plan = script.plan_with(&used);
    assert_eq!(plan.counts(&[AllocsObserved])[1..], [(AllocsObserved, "kmalloc-cg-64", 64), (AllocsObserved, "msg_msg-64", 64)]);
    let unused = [sizes("kmalloc-cg-64", 2), sizes("msg_msg-64", 0)].concat();
    assert_eq!(script.plan_with(&unused).ledger.of(AllocsObserved, "kmalloc-cg-64"), 128);
}

#[test]
fn a_free_that_names_another_cache_proves_two_unseen_operations() {
    let mut script = Script::default();
    script.alloc(1, MAP + PAGE, 256, 256).free(MAP + PAGE, "maple_node");
    script.kmalloc(MAP, 64, 64, GFP_KERNEL).free(MAP, "maple_node");
    let plan = script.plan();
    assert_eq!(plan.ledger.total(ContradictedFrees), 1);
    assert_eq!(plan.ledger.total(AllocsObserved), 2);
    assert_eq!(plan.ledger.total(FreesObserved), 2);
    assert_eq!(plan.counts(&[LiveAtEnd, UnknownFrees]), []);
    assert_eq!(plan.steps("kmalloc-64"), [(1, What::ALLOC), (1, What::FREED.implied())]);
    let nodes = [(0, What::ALLOC), (0, What::FREED), (2, What::ALLOC.implied()), (2, What::FREED)];
    assert_eq!(plan.steps("maple_node"), nodes);
    assert_eq!(plan.objects, 3);
}

#[test]
fn kfree_takes_objects_of_any_cache() {
    let plan = Script::default().alloc(1, MAP, 64, 64).kfree(MAP).alloc(1, MAP, 64, 64).free(MAP, "a").plan();
    assert_eq!(plan.counts(&[ContradictedFrees, FreesObserved]), [(FreesObserved, "a", 2)]);
}

#[test]
fn slabs_from_before_the_trace_are_rebuilt() {
    let mut script = Script::with_page_events();
    // A page of 64 objects that was never allocated in the trace. Place 0 was live, 3 and 1 were free.
    let old = MAP + 1024 * PAGE;
    script.on(2).alloc(1, old + 3 * 64, 64, 64).free(old, "c").alloc(1, old + 64, 64, 64).free(old + 3 * 64, "c");
    let plan = script.plan();
    let cache = plan.caches.iter().position(|cache| cache.name == "c").expect("planned") as u16;
    let freed = plan.ops.iter().find(|op| op.cache == cache && op.what == What::FREED).expect("a free").object;
    // In the order in which they were handed out, from the freelist of the CPU that did it first.
    let seed = PlannedSeed {
        cache,
        free: vec![3, 1],
        own: None,
        place: SeedPlace::Cpu(2),
        slab: plan.kernel.slab(freed),
        pfn: Some(1024),
        cpu: 2,
        node: None,
        live: vec![(freed, 0)],
    };
    assert_eq!(plan.seeds, [seed]);
    let entries = [BornBefore, SeededSlabs, ImpliedAllocs, LiveAtEnd, FreesObserved];
    let of_c: Vec<_> = plan.counts(&entries).into_iter().filter(|(_, cache, _)| *cache == "c").collect();
    assert_eq!(of_c, [(FreesObserved, "c", 2), (BornBefore, "c", 1), (SeededSlabs, "c", 1), (LiveAtEnd, "c", 1)]);
}

#[test]
fn pages_taken_in_the_trace_are_no_slabs_from_before() {
    let mut script = Script::with_page_events();
    let slab = MAP + 256 * PAGE;
    // A block of two pages; objects in both.
    script.page_alloc(256, 1).alloc(1, slab + 64, 64, 64).alloc(1, slab + PAGE, 64, 64).free(slab + 64, "c");
    let plan = script.plan();
    assert_eq!(plan.counts(&[BornBefore, SeededSlabs, ImpliedAllocs]), []);
}

#[test]
fn without_page_events_an_unknown_object_is_allocated_just_before_its_free() {
    let plan = Script::default().free(MAP, "c").alloc(1, MAP, 64, 64).plan();
    assert!(plan.seeds.is_empty());
    let entries = [BornBefore, SeededSlabs, ImpliedAllocs];
    assert_eq!(plan.counts(&entries), [(ImpliedAllocs, "c", 1)]);
    assert_eq!(plan.steps("c"), [(0, What::ALLOC.implied()), (0, What::FREED), (1, What::ALLOC)]);
}

#[test]
fn frees_of_which_nothing_is_known_are_counted() {
    let plan = Script::default().kfree(MAP).free(MAP + PAGE, "never-allocated").plan();
    assert!(plan.ops.is_empty());
    assert_eq!(plan.counts(&[UnknownFrees, ImpliedAllocs]), [(UnknownFrees, "", 2)]);
}

#[test]
fn ties_are_put_in_the_order_that_fits() {
    // CPU 1 frees and CPU 0 takes the object over in the same nanosecond.
    let mut script = Script::default();
    script.on(1).kmalloc(MAP, 64, 64, GFP_KERNEL).kfree(MAP).tie().on(0).kmalloc(MAP, 64, 64, GFP_KERNEL);
    let plan = script.plan();
    assert_eq!(plan.counts(&[TiesReordered, ImpliedFrees]), [(TiesReordered, "", 1)]);
    assert_eq!(plan.steps("kmalloc-64"), [(0, What::ALLOC), (0, What::FREED), (1, What::ALLOC)]);

    // Where the lower CPU fits, it goes first and nothing is counted.
    let mut script = Script::default();
    script.on(0).kmalloc(MAP, 64, 64, GFP_KERNEL).kfree(MAP).tie().on(1).kmalloc(MAP, 64, 64, GFP_KERNEL);
    assert_eq!(script.plan().counts(&[TiesReordered, ImpliedFrees]), []);
}

#[test]
fn marks_stand_between_the_operations_they_were_made_between() {
    let mut script = Script::default();
    script.mark("begin").kmalloc(MAP, 64, 64, GFP_KERNEL).mark("one");
    // An implied free is inserted; a large kmalloc is no operation.
    script.kmalloc(MAP, 64, 64, GFP_KERNEL).kmalloc(MAP + PAGE, 9000, 16_384, GFP_KERNEL).mark("three").kfree(MAP).mark("end").mark("end");
    let marks = [(0, "begin"), (1, "one"), (3, "three"), (4, "end"), (4, "end")].map(|(ops, text)| (ops, text.to_owned()));
    assert_eq!(script.plan().marks, marks);
}

#[test]
fn requested_node_and_exclusive_requests_are_kept() {
    const THIS_NODE: u32 = 0x20_0000;
    let mut script = Script::default();
    for (offset, node, gfp) in [(0, 1, GFP_KERNEL), (64, -1, GFP_KERNEL), (128, 0, GFP_KERNEL | THIS_NODE)] {
        let alloc = Alloc { bytes_req: 64, bytes_alloc: 64, node, gfp_flags: gfp, ..allocation(MAP + offset, AllocCall::Kmalloc) };
        script.push(Body::Alloc(alloc));
    }
    let ops = script.plan().ops;
    let asked: Vec<_> = ops.iter().map(|op| (op.node, op.what.is_this_node_only())).collect();
    assert_eq!(asked, [(1, false), (-1, false), (0, true)]);
}

#[test]
fn losses_are_entered() {
    let mut script = Script::default();
    let loss = |count| Loss { cpu: 0, time_ns: 5, count };
    script.losses = vec![loss(Some(5)), loss(None), loss(Some(2))];
    assert_eq!(script.plan().counts(&[LostEvents, LossGaps, UnusableRecords]), [(LostEvents, "", 7), (LossGaps, "", 1)]);
}

proptest! {
    /// Whatever the order of events, objects are conserved: what was handed out was freed or is live, and
    /// every address has at most one live object at a time.
    #[test]
    fn objects_are_conserved(steps in prop::collection::vec((0_u64..12, 0_u16..3, any::<bool>(), any::<bool>()), 1..200)) {
        let mut script = Script::default();
        for (slot, cpu, is_free, is_tie) in steps {
            if is_tie && script.time_ns > 0 && cpu != script.cpu {
                script.tie();
            }
            script.on(cpu);
            let ptr = MAP + slot * 64;
            if is_free { script.kfree(ptr) } else { script.kmalloc(ptr, 60, 64, GFP_KERNEL) };
        }
        let plan = script.plan();
        let mut live: HashMap<u32, u16> = HashMap::new();
        let mut counts = [0; 4];
        for op in &plan.ops {
            counts[usize::from(op.what.is_free()) * 2 + usize::from(op.what.is_implied())] += 1;
            if op.what.is_free() {
                prop_assert_eq!(live.remove(&op.object), Some(op.cache));
            } else {
                prop_assert_eq!(live.insert(op.object, op.cache), None);
            }
        }
        prop_assert!(live.len() <= 12, "one object an address");
        let total = |entry| plan.ledger.total(entry);
        prop_assert_eq!(counts, [total(AllocsObserved), total(ImpliedAllocs), total(FreesObserved), total(ImpliedFrees)]);
        prop_assert_eq!(live.len() as u64, total(LiveAtEnd));
        let events: u64 = script.streams.values().map(|events| events.len() as u64).sum();
        prop_assert_eq!(total(AllocsObserved) + total(FreesObserved) + total(UnknownFrees), events);
    }
}

#[test]
fn hashed_pointers_tell_objects_apart_but_not_where_they_were() {
    let mut script = Script::with_page_events();
    // A slab from before the trace, one of the trace whose pages go back with an object live in it, and an object of no known cache.
    script.free(MAP + 64 * PAGE, "old").page_alloc(32, 0).alloc(0x11, MAP + 32 * PAGE, 100, 128).alloc(
        0x11,
        MAP + 32 * PAGE + 128,
        100,
        128,
    );
    script.free(MAP + 32 * PAGE, "things").push(Body::PageFree { pfn: 32, order: 0 }).alloc(0x12, MAP + 65 * PAGE, 56, 64);
    let (real, hashed) = (script.plan(), script.hashed().plan());
    assert!(real.has_frames && real.kernel.slab_count() > 0 && !real.recorded_slabs.iter().all(Vec::is_empty));
    assert_eq!(real.ledger.total(ImpliedFrees), 1, "the pages went back");
    assert!(hashed.has_hashed_pointers && !hashed.has_frames && hashed.seeds.is_empty() && hashed.kernel.slab_count() == 0);
    assert!(hashed.recorded_slabs.iter().all(Vec::is_empty));
    assert!((0..hashed.objects).all(|object| hashed.kernel.address(object).is_none()));
    // What events say by themselves is the same, and nothing is concluded from places.
    for entry in [AllocsObserved, FreesObserved] {
        assert_eq!(hashed.ledger.total(entry), real.ledger.total(entry), "{entry:?}");
    }
    assert_eq!(hashed.ledger.total(ImpliedFrees), 0);
    // Pages are told by frames, which are not hashed.
    assert_eq!(hashed.traffic.events().len(), real.traffic.events().len());
}

#[test]
fn hashes_that_look_like_neighbours_are_not_of_one_cache() {
    let mut script = Script::default();
    // As addresses, all three would be in one page.
    script.alloc(0x11, 0x5000_0040, 100, 104).free(0x5000_0040, "things").alloc(0x22, 0x5000_0481, 56, 64).kfree(0x5000_0602);
    let addresses = script.plan();
    assert_eq!(addresses.ledger.total(NamedBySlab), 2);
    script.info.pointers = Pointers::Hashed;
    let hashed = script.plan();
    assert_eq!(hashed.names(), ["things", "unknown-56/64"]);
    assert_eq!((hashed.ledger.total(NamedBySlab), hashed.ledger.total(UnknownFrees)), (0, 1));
}

#[test]
fn a_hash_handed_out_again_was_freed_unseen() {
    let mut script = Script::with_page_events();
    script.kmalloc(MAP + 70 * PAGE, 60, 64, GFP_KERNEL).on(1).kmalloc(MAP + 70 * PAGE, 61, 64, GFP_KERNEL).kfree(MAP + 70 * PAGE);
    let steps = [(0, What::ALLOC), (0, What::FREED.implied()), (1, What::ALLOC), (1, What::FREED)];
    let plan = script.hashed().plan();
    let first = plan.steps("kmalloc-64")[0].0;
    assert_eq!(plan.steps("kmalloc-64"), steps.map(|(object, what)| (object + first, what)));
}

/// In 4.19 0x40000 is THISNODE, which by name is the number of COMP, and DIRECT_RECLAIM is 0x200000, by name that of THISNODE.
#[test]
fn gfp_flags_by_name_are_in_the_numbers_of_later_kernels() {
    let mut script = Script::default();
    script.kmalloc(MAP, 60, 64, 0x4_0cc0).kmalloc(MAP + 64, 60, 64, 0x20_0820);
    let prepared = |script: &Script| {
        let plan = prepare(&script.recording(), &kernel(KernelRelease::new(4, 19, 0), Build::default()), Snapshots::default());
        plan.ops.iter().map(|op| op.what).collect::<Vec<_>>()
    };
    script.info.gfp_by_name = true;
    assert_eq!(prepared(&script), [What::ALLOC, What::ALLOC.this_node_only().with_caller(Caller::High)]);
    script.info.gfp_by_name = false;
    assert_eq!(prepared(&script)[0], What::ALLOC.this_node_only().with_caller(Caller::NoReclaim));
}
