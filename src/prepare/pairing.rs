//! Events to operations on objects: pairs every free with its allocation, by address alone.

use rustc_hash::FxHashMap;
use slubreplay_parsers::capture::NodeMemory;
use slubreplay_parsers::event::{Alloc, AllocCall, Body, Event, Free, FreeCall, MarkId, NameId};
use slubreplay_parsers::recording::Recording;

use super::births::Birth;
use super::gfp::GfpNumbers;
use super::ledger::{Entry, Ledger};
use super::op::{Op, What};
use super::page_log::PageLog;
use super::pages::Spans;
use super::reads::{Positions, Read, Watch, Window};
use super::tasks::Tasks;
use super::ties::{Taker, Ties};
use crate::allocators::slub::sizing::{Kernel, kmalloc};

/// What an allocation event tells of its cache. Objects with equal keys are of one cache, as far as the
/// trace tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) call: AllocCall,
    pub(super) call_site: u64,
    /// Of `kmem_cache_alloc` only: the cache's object size.
    pub(super) object_bytes: u64,
    pub(super) stride_bytes: u64,
    /// Bits that choose the type of a kmalloc cache.
    pub(super) gfp: u32,
    /// Whether all objects of the cache are charged to memory cgroups (`SLAB_ACCOUNT`), where the event
    /// tells.
    pub(super) is_account_cache: Option<bool>,
    pub(super) name: Option<NameId>,
}

/// One object: one life of an address.
#[derive(Debug, Clone, Copy)]
pub(super) struct ObjectInfo {
    pub(super) ptr: u64,
    /// Index into [`Paired::keys`]; `None` if the allocation was not seen.
    pub(super) key: Option<u32>,
    /// Index into [`Spans::spans`].
    pub(super) span: u32,
    /// Name in its free event.
    pub(super) freed_as: Option<NameId>,
    /// Thread that allocated it, if that was seen.
    pub(super) pid: Option<i32>,
}

/// Where a marker stands among the operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct MarkAt {
    /// Operations before it.
    pub(super) ops: usize,
    pub(super) mark: MarkId,
    pub(super) time_ns: u64,
    /// When files were read that the tasks before the marker's read, if there are such tasks.
    pub(super) files_read_ns: Option<u64>,
}

/// When the pages of a slab went back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    /// Operations before it.
    pub(super) ops: usize,
    pub(super) span: u32,
    pub(super) time_ns: u64,
    pub(super) cpu: u16,
}

/// The paired trace.
#[derive(Debug, Default)]
pub(super) struct Paired {
    /// Operations with their cache left open.
    pub(super) ops: Vec<Op>,
    pub(super) objects: Vec<ObjectInfo>,
    pub(super) keys: Vec<Key>,
    pub(super) spans: Spans,
    pub(super) marks: Vec<MarkAt>,
    /// What the recorder's thread did after each marker of a snapshot.
    pub(super) windows: Vec<Window>,
    /// When the attributes of the snapshots were read, once that is found.
    pub(super) reads: Vec<Read>,
    /// Allocations that took the first object of a new slab while other operations were going on.
    pub(super) births: Vec<Birth>,
    /// Slabs made during the trace whose pages went back.
    pub(super) releases: Vec<Release>,
    /// Events of the page allocator.
    pub(super) pages: PageLog,
}

impl Paired {
    /// Passes every operation with its position to `each`, which pushes what takes its place; marks and reads
    /// move along.
    pub(super) fn rewrite(&mut self, mut each: impl FnMut(&mut Self, usize, Op, &mut Vec<Op>)) {
        let old_ops = std::mem::take(&mut self.ops);
        let (mut marks, mut reads) = (std::mem::take(&mut self.marks), std::mem::take(&mut self.reads));
        let mut positions = Positions::new(marks.iter_mut().map(|mark| &mut mark.ops).chain(reads.iter_mut().map(|read| &mut read.ops)));
        let mut ops = Vec::with_capacity(old_ops.len());
        for (position, op) in old_ops.into_iter().enumerate() {
            positions.pass(position, ops.len());
            each(self, position, op, &mut ops);
        }
        positions.end(ops.len());
        (self.ops, self.marks, self.reads) = (ops, marks, reads);
    }
}

/// What the pairing has to know of the machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Setting {
    pub(super) page_bytes: u32,
    /// Largest kmalloc class: beyond it memory comes from the page allocator.
    pub(super) max_class_bytes: u64,
    pub(super) gfp: GfpNumbers,
    /// `kmem_cache_free` is traced after the object is back.
    pub(super) free_traced_after: bool,
    /// Pages hold objects of any size.
    pub(super) is_slob: bool,
    /// In allocators beside SLUB: the kernel whose classes tell the cache of a kmalloc, by the size asked for.
    pub(super) classes: Option<Kernel>,
}

/// Marks an operation whose cache is not known yet.
pub(super) const NO_CACHE: u16 = u16::MAX;

/// Objects of SLAB and SLOB are aligned to this.
const OBJECT_ALIGN_BYTES: u64 = 8;

/// `ZERO_SIZE_PTR`: what kmalloc(0) returns.
const ZERO_SIZE_PTR: u64 = 16;

/// Error pointers are the last 4095 addresses (`IS_ERR()`).
const FIRST_ERROR_PTR: u64 = u64::MAX - 4094;

/// True for what kfree() takes without doing anything: NULL and `ZERO_SIZE_PTR`; error pointers count as
/// NULL.
pub(super) fn is_no_object(ptr: u64) -> bool {
    ptr <= ZERO_SIZE_PTR || ptr >= FIRST_ERROR_PTR
}

pub(super) fn pair(recording: &Recording, setting: Setting, memory: &[NodeMemory], ledger: &mut Ledger) -> Paired {
    let mut pairing = Pairing::new(recording, setting, memory);
    let mut ties = Ties::default();
    for event in recording.merged() {
        ties.push(event, &mut pairing);
    }
    ties.settle(&mut pairing);
    pairing.finish(ledger)
}

struct Pairing<'a> {
    setting: Setting,
    paired: Paired,
    live: FxHashMap<u64, Live>,
    /// By address: the last free that was implied by what followed.
    overlaid: FxHashMap<u64, Overlaid>,
    key_numbers: FxHashMap<Key, u32>,
    counts: FxHashMap<Entry, u64>,
    /// By thread (every CPU has an idle thread of number 0): operations when it was last seen outside of interrupts.
    last_seen: FxHashMap<(i32, u16), usize>,
    watch: Watch<'a>,
    tasks: Tasks,
}

/// An object that seemed to be live when its address was handed out again, or its slab went back.
#[derive(Debug, Clone, Copy)]
struct Overlaid {
    old: u32,
    /// Position of its implied free.
    free: usize,
    /// The event that proves the free.
    by: Event,
}

/// How late a free may be traced after its object was handed out again.
pub(super) const FREE_TRACED_LATE_NS: u64 = 200_000;

#[derive(Debug, Clone, Copy)]
enum Live {
    Object(u32),
    /// Memory of a large kmalloc, and the thread and CPU whose event this was.
    Large {
        pid: i32,
        cpu: u16,
    },
}

impl Taker for Pairing<'_> {
    fn fits(&self, event: &Event) -> bool {
        match event.body {
            Body::Alloc(alloc) => !self.live.contains_key(&alloc.ptr),
            Body::Free(free) => is_no_object(free.ptr) || self.live.contains_key(&free.ptr),
            _ => true,
        }
    }

    fn take(&mut self, event: &Event) {
        self.event(event);
    }

    fn reordered(&mut self) {
        self.count(Entry::TiesReordered);
    }
}

impl<'a> Pairing<'a> {
    fn new(recording: &'a Recording, setting: Setting, memory: &[NodeMemory]) -> Self {
        let slab_events = recording.event_count() as usize;
        let paired =
            Paired { ops: Vec::with_capacity(slab_events), spans: Spans::new(recording, setting.page_bytes, memory), ..Paired::default() };
        Self {
            setting,
            paired,
            live: FxHashMap::default(),
            overlaid: FxHashMap::default(),
            key_numbers: FxHashMap::default(),
            counts: FxHashMap::default(),
            last_seen: FxHashMap::default(),
            watch: Watch::new(recording),
            tasks: Tasks::default(),
        }
    }

    fn event(&mut self, event: &Event) {
        match event.body {
            Body::Alloc(alloc) => {
                self.alloc(event, alloc);
                self.seen(event);
            }
            Body::Free(free) => {
                self.free(event, free);
                self.seen(event);
            }
            Body::PageAlloc(page) => {
                let number = self.paired.pages.alloc(event, page);
                self.paired.spans.page_alloc(page, number);
            }
            Body::PageFree { pfn, order } => {
                let number = self.paired.pages.free(event, pfn, order);
                if let Some(span) = self.paired.spans.at_frame(pfn) {
                    self.paired.pages.of_span(number, span);
                }
                self.page_free(event, pfn, order);
            }
            Body::PagePcpuDrain { .. } | Body::PageFreeBatched { .. } | Body::PageExtFrag { .. } => self.paired.pages.other(event),
            Body::Mark(mark) => {
                let files_read_ns = self.tasks.files_read_before(event.pid);
                self.paired.marks.push(MarkAt { ops: self.paired.ops.len(), mark, time_ns: event.time_ns, files_read_ns });
                self.watch.mark(event, mark);
            }
            _ => {}
        }
        self.watch.event(event, self.paired.ops.len());
        self.tasks.event(event);
    }

    fn alloc(&mut self, event: &Event, alloc: Alloc) {
        if is_no_object(alloc.ptr) {
            return self.count(Entry::FailedAllocs);
        }
        if alloc.call == AllocCall::Kmalloc && alloc.bytes_alloc > self.setting.max_class_bytes {
            return self.large(event, alloc);
        }
        let key = self.key_of(alloc);
        let object = self.new_object(alloc.ptr, Some(key), Some(event.pid));
        let is_birth = self.paired.spans.is_first(self.paired.objects[object as usize].span, object);
        if is_birth
            && !Self::is_in_interrupt(event)
            && let Some(&since) = self.last_seen.get(&Self::thread(event))
        {
            self.paired.births.push(Birth { at: self.paired.ops.len(), since });
        }
        if let Some(Live::Object(old)) = self.live.insert(alloc.ptr, Live::Object(object)) {
            self.overlaid.insert(alloc.ptr, Overlaid { old, free: self.paired.ops.len(), by: *event });
            self.op(event, old, What::FREED.implied());
        } else {
            self.overlaid.remove(&alloc.ptr);
        }
        let gfp = self.setting.gfp;
        let what = if gfp.is_this_node_only(alloc.gfp_flags) { What::ALLOC.this_node_only() } else { What::ALLOC };
        let what = what.with_caller(gfp.caller(alloc.gfp_flags));
        self.paired.ops.push(Op {
            time_ns: event.time_ns,
            object,
            requested_bytes: u32::try_from(alloc.bytes_req).unwrap_or(u32::MAX),
            cache: NO_CACHE,
            cpu: event.cpu,
            what,
            node: i16::try_from(alloc.node).unwrap_or(-1),
        });
    }

    fn thread(event: &Event) -> (i32, u16) {
        (event.pid, if event.pid == 0 { event.cpu } else { 0 })
    }

    fn is_in_interrupt(event: &Event) -> bool {
        event.context.in_hardirq() || event.context.in_softirq()
    }

    fn seen(&mut self, event: &Event) {
        if !Self::is_in_interrupt(event) {
            self.last_seen.insert(Self::thread(event), self.paired.ops.len());
        }
    }

    fn large(&mut self, event: &Event, alloc: Alloc) {
        let now = Live::Large { pid: event.pid, cpu: event.cpu };
        match self.live.insert(alloc.ptr, now) {
            // Since 6.12 one run-time sized large kmalloc is traced twice, by two functions.
            Some(Live::Large { pid, cpu }) if (pid, cpu) == (event.pid, event.cpu) => self.count(Entry::DoubledEvents),
            Some(Live::Object(old)) => {
                self.op(event, old, What::FREED.implied());
                self.count(Entry::LargeAllocs);
            }
            _ => self.count(Entry::LargeAllocs),
        }
    }

    fn free(&mut self, event: &Event, free: Free) {
        if is_no_object(free.ptr) {
            return self.count(Entry::NullFrees);
        }
        if free.call == FreeCall::KmemCacheFree && self.is_late(event, free.ptr) {
            return self.late_free(event, free);
        }
        match self.live.remove(&free.ptr) {
            Some(Live::Object(object)) => {
                if let Some(info) = self.paired.objects.get_mut(object as usize) {
                    info.freed_as = free.name;
                }
                self.op(event, object, What::FREED);
            }
            Some(Live::Large { .. }) => self.count(Entry::LargeFrees),
            None => {
                let object = self.new_object(free.ptr, None, None);
                if let Some(info) = self.paired.objects.last_mut() {
                    info.freed_as = free.name.filter(|_| free.call == FreeCall::KmemCacheFree);
                }
                self.op(event, object, What::FREED);
            }
        }
    }

    /// Up to 5.15 `kmem_cache_free` is traced when the object is back already. By then it may have been handed out again: then this
    /// free is of the object that was there before; it comes at once, and not from who took the object. Or its slab's pages went
    /// back with it, on the same CPU.
    fn is_late(&self, event: &Event, ptr: u64) -> bool {
        self.setting.free_traced_after
            && self.overlaid.get(&ptr).is_some_and(|Overlaid { by, .. }| {
                let is_other = match by.body {
                    Body::Alloc(_) => (by.pid, by.context) != (event.pid, event.context),
                    _ => by.cpu == event.cpu,
                };
                is_other && event.time_ns.saturating_sub(by.time_ns) <= FREE_TRACED_LATE_NS
            })
    }

    fn late_free(&mut self, event: &Event, free: Free) {
        let Some(overlaid) = self.overlaid.remove(&free.ptr) else { return };
        if let Some(info) = self.paired.objects.get_mut(overlaid.old as usize) {
            info.freed_as = free.name;
        }
        if let Some(op) = self.paired.ops.get_mut(overlaid.free) {
            (op.what, op.cpu) = (What::FREED, event.cpu);
        }
    }

    /// A slab's pages go back only when its last object is free: whatever seems live in it was freed
    /// unseen.
    fn page_free(&mut self, event: &Event, pfn: u64, order: u8) {
        let Some((span, start)) = self.paired.spans.page_free(pfn, order) else { return };
        let release = Release { ops: self.paired.ops.len(), span, time_ns: event.time_ns, cpu: event.cpu };
        self.paired.releases.push(release);
        let slab = self.paired.spans.spans[span as usize];
        let (places, step) = match self.setting.classes {
            None => (slab.places(self.setting.page_bytes.trailing_zeros()).unwrap_or(0), slab.stride_bytes),
            // Colours move all objects of a slab, and pages of SLOB are not of one size.
            Some(_) => ((u64::from(self.setting.page_bytes) << order) / OBJECT_ALIGN_BYTES, OBJECT_ALIGN_BYTES),
        };
        for ptr in (0..places).map(|place| start + place * step) {
            if let Some(&Live::Object(object)) = self.live.get(&ptr) {
                self.live.remove(&ptr);
                self.overlaid.insert(ptr, Overlaid { old: object, free: self.paired.ops.len(), by: *event });
                self.op(event, object, What::FREED.implied());
            }
        }
    }

    fn op(&mut self, event: &Event, object: u32, what: What) {
        self.paired.ops.push(Op { time_ns: event.time_ns, object, requested_bytes: 0, cache: NO_CACHE, cpu: event.cpu, what, node: -1 });
    }

    fn new_object(&mut self, ptr: u64, key: Option<u32>, pid: Option<i32>) -> u32 {
        let object = self.paired.objects.len() as u32;
        let span = self.paired.spans.of(ptr, object);
        if let (Some(key), Some(span), false) = (key, self.paired.spans.spans.get_mut(span as usize), self.setting.is_slob) {
            span.stride_bytes = self.paired.keys[key as usize].stride_bytes;
        }
        self.paired.objects.push(ObjectInfo { ptr, key, span, freed_as: None, pid });
        object
    }

    fn key_of(&mut self, alloc: Alloc) -> u32 {
        let is_kmalloc = alloc.call == AllocCall::Kmalloc;
        let class = self.setting.classes.filter(|_| is_kmalloc).and_then(|kernel| kmalloc::class_bytes(&kernel, alloc.bytes_req));
        // The event says "accounted" of a request with __GFP_ACCOUNT too: that tells nothing of the cache.
        let asks_account = self.setting.gfp.asks_account(alloc.gfp_flags);
        let key = Key {
            call: alloc.call,
            is_account_cache: alloc.accounted.filter(|_| !is_kmalloc && !asks_account),
            call_site: alloc.call_site,
            object_bytes: if is_kmalloc { 0 } else { alloc.bytes_req },
            stride_bytes: class.map_or(alloc.bytes_alloc, u64::from),
            gfp: if is_kmalloc { alloc.gfp_flags & self.setting.gfp.of_type() } else { 0 },
            name: alloc.name,
        };
        let keys = &mut self.paired.keys;
        *self.key_numbers.entry(key).or_insert_with(|| {
            keys.push(key);
            keys.len() as u32 - 1
        })
    }

    fn count(&mut self, entry: Entry) {
        *self.counts.entry(entry).or_default() += 1;
    }

    fn finish(mut self, ledger: &mut Ledger) -> Paired {
        self.paired.windows = self.watch.into_windows();
        ledger.add(Entry::UnusableRecords, "", self.paired.spans.impossible_orders);
        let mut counts: Vec<_> = self.counts.into_iter().collect();
        counts.sort_unstable();
        for (entry, count) in counts {
            ledger.add(entry, "", count);
        }
        self.paired
    }
}
