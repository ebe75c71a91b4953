//! Puts the plan together and adds the operations that were not traced.

use std::sync::Arc;

use rustc_hash::FxHashSet;
use slubreplay_parsers::capture::SlabSnapshot;
use slubreplay_parsers::recording::Recording;

use super::caches::{self, PlannedCache, SizingDifference};
use super::identity::{Identified, Identity};
use super::ledger::{Entry, Ledger};
use super::op::{Op, What};
use super::origins::Origins;
use super::pages::Span;
use super::pairing::{MarkAt, NO_CACHE, Paired};
use super::reads::{Positions, SnapshotMark};
use super::seeding::{self, Setting};
use super::{Plan, Recorded, Snapshots};
use super::{places, rcu_sheaves, sheaf_memory, sheaf_seeds, siblings, silent, turns};
use crate::allocators::AllocatorKind;
use crate::allocators::slub::Rules;
use crate::allocators::slub::sizing::{Kernel, kmalloc};
use crate::mem::RecordedSlab;

pub(super) fn assemble(
    mut paired: Paired,
    mut identified: Identified,
    recording: &Recording,
    (kernel, recorded): (&Kernel, &Recorded),
    snapshots: Snapshots<'_>,
    mut ledger: Ledger,
) -> Plan {
    let has_addresses = paired.spans.has_addresses();
    let mut plan = Plan { has_hashed_pointers: !has_addresses, ..Plan::default() };
    plan_caches(&mut identified, (kernel, recorded), snapshots.latest(), &mut plan);
    for op in &mut paired.ops {
        op.cache = identified.of_object[op.object as usize];
    }
    if recorded.allocator == AllocatorKind::Slob {
        if has_addresses {
            siblings::align_by_addresses(&paired, &identified.of_object, &mut plan.caches);
        }
        siblings::allocate_at_start(&mut paired, &identified.of_object);
    }
    let is_slub = recorded.allocator == AllocatorKind::Slub;
    // What addresses tell of untraced operations follows from how CPUs use their slabs; from 7.0 on they use sheaves.
    if !is_slub {
        siblings::mark_early(&paired.ops, &mut plan.caches, boot_cpu(recording).is_some());
    } else if !Rules::of(kernel.release).has_cpu_slabs() {
        rcu_sheaves::place(&mut paired, &plan.caches);
        sheaf_memory::mark(&mut paired, &plan.caches, kernel.machine.word_bytes);
    } else if has_addresses {
        ledger.add(Entry::DecidedEarlier, "", super::births::settle(&mut paired));
        let seen = paired.objects.len() as u32;
        turns::complete(&mut paired, &mut identified.of_object, kernel.machine.page_bytes.trailing_zeros());
        silent::place(&mut paired, seen, kernel.machine.page_bytes.trailing_zeros());
    }
    let setting =
        Setting { page_shift: kernel.machine.page_bytes.trailing_zeros(), boot_cpu: boot_cpu(recording), rules: Rules::of(kernel.release) };
    if has_addresses {
        plan.kernel = places::find(&paired, &paired.ops, &plan.caches, setting.page_shift);
    }
    plan.seeds = if paired.spans.knows_births() && recorded.allocator != AllocatorKind::Slob {
        seeding::rebuild(&paired, &paired.ops, &plan.caches, &plan.kernel, snapshots.before.filter(|_| is_slub), setting)
    } else {
        Vec::new()
    };
    if is_slub && paired.spans.knows_births() && !setting.rules.has_cpu_slabs() {
        let setting = sheaf_seeds::Setting {
            page_shift: setting.page_shift,
            cpus: u16::try_from(kernel.machine.cpus_possible).unwrap_or(u16::MAX),
            one_node: snapshots.memory.iter().all(|memory| memory.node == snapshots.memory[0].node),
            is_boot: setting.boot_cpu.is_some(),
            before: snapshots.before,
        };
        plan.sheaf_seeds = sheaf_seeds::rebuild(&paired, &plan.caches, &plan.kernel, recording, setting, &mut plan.seeds);
    }
    if recorded.allocator == AllocatorKind::Slab
        && paired.spans.knows_births()
        && let (Some(before), Some(at)) = (snapshots.before, slabinfo_mark(&paired, recording))
    {
        let stand_ins = siblings::stand_ins(&paired, &plan.caches, &plan.seeds, before, at);
        plan.seeds.extend(stand_ins);
    }
    plan.recorded_slabs = recorded_slabs(&paired, &identified, &plan.caches);
    let of_slabs = slab_spans(&paired, &identified, &plan, setting.page_shift);
    plan.traffic = Arc::new(std::mem::take(&mut paired.pages).into_traffic(&of_slabs, &paired.spans.spans));
    plan.has_frames = paired.spans.knows_births();
    plan.from_boot = setting.boot_cpu.is_some();
    for seed in &mut plan.seeds {
        let page = seed.slab.and_then(|slab| plan.kernel.base(slab)).map(|base| base >> setting.page_shift);
        seed.pfn = page.and_then(|page| paired.spans.frame_of(page));
    }
    let seeded = seeded_objects(&plan, paired.objects.len());
    let mut assembly = Assembly {
        paired: &paired,
        identified: &identified,
        seeded,
        unseen_in_bulk: unseen_in_bulk(recording, kernel, &plan.caches),
        allocated_unseen: vec![false; paired.objects.len()],
        next_object: paired.objects.len() as u32,
        ops: Vec::new(),
        counts: Counts::new(plan.caches.len()),
    };
    plan.marks = paired.marks.iter().map(|mark| (mark.ops, recording.mark(mark.mark).to_owned())).collect();
    plan.snapshots_ns = snapshots_ns(&paired, recording);
    plan.reads.clone_from(&paired.reads);
    let mut pages_taken = if recorded.allocator == AllocatorKind::Slob { siblings::pages_taken(&paired) } else { Vec::new() };
    let marks = plan.marks.iter_mut().map(|(ops, _)| ops);
    let reads = plan.reads.iter_mut().map(|read| &mut read.ops);
    let mut positions = Positions::new(marks.chain(reads).chain(pages_taken.iter_mut().map(|(ops, _)| ops)));
    for (position, op) in paired.ops.iter().enumerate() {
        positions.pass(position, assembly.ops.len());
        assembly.op(*op);
    }
    positions.end(assembly.ops.len());
    plan.objects = assembly.next_object;
    plan.origins = Arc::new(Origins::find(&paired, recording));
    assembly.counts.enter(&plan.caches, &mut ledger);
    plan.ops = assembly.ops;
    for seed in &plan.seeds {
        let entry = if seed.slab.is_some() { Entry::SeededSlabs } else { Entry::StandInSlabs };
        ledger.add(entry, &plan.caches[usize::from(seed.cache)].name, 1);
        ledger.add(Entry::BornBefore, &plan.caches[usize::from(seed.cache)].name, seed.live.len() as u64);
    }
    for sheaf in &plan.sheaf_seeds {
        ledger.add(Entry::SeededInSheaves, &plan.caches[usize::from(sheaf.cache)].name, sheaf.objects.len() as u64);
    }
    plan.ledger = ledger;
    if recorded.allocator == AllocatorKind::Slob {
        siblings::add_old_pages(&mut plan, &pages_taken, kernel.machine.page_bytes, snapshots.slab_bytes);
    }
    plan
}

/// When the files of each snapshot were read. Kernels without slab attributes have markers of `/proc/slabinfo` instead.
fn snapshots_ns(paired: &Paired, recording: &Recording) -> Vec<u64> {
    let begins = |mark: &&MarkAt| SnapshotMark::parse(recording.mark(mark.mark)) == Some(SnapshotMark::Begin);
    let is_of_slabinfo = |mark: &&MarkAt| recording.mark(mark.mark).starts_with(siblings::SLABINFO);
    let marks = paired.marks.iter();
    let mut snapshots: Vec<&MarkAt> = marks.clone().filter(begins).collect();
    if snapshots.is_empty() {
        snapshots = marks.filter(is_of_slabinfo).collect();
    }
    snapshots.into_iter().map(|mark| mark.files_read_ns.unwrap_or(mark.time_ns)).collect()
}

/// Operations before `/proc/slabinfo` was read for the first snapshot.
fn slabinfo_mark(paired: &Paired, recording: &Recording) -> Option<usize> {
    paired.marks.iter().find(|mark| recording.mark(mark.mark).trim() == siblings::SLABINFO_BEFORE).map(|mark| mark.ops)
}

/// Lays out all caches; those without known sizes are dropped with their objects.
pub(super) fn plan_caches(
    identified: &mut Identified,
    (kernel, recorded): (&Kernel, &Recorded),
    snapshot: Option<&SlabSnapshot>,
    plan: &mut Plan,
) {
    let lay_out = |identity: &Identity, differences: &mut Vec<SizingDifference>| match recorded.allocator {
        AllocatorKind::Slub => caches::plan(identity, kernel, snapshot, differences),
        _ => siblings::plan(identity, recorded, kernel, snapshot, differences),
    };
    let mut renumber = Vec::with_capacity(identified.caches.len());
    for identity in &identified.caches {
        let planned = lay_out(identity, &mut plan.sizing_differences);
        renumber.push(if planned.is_some() { plan.caches.len() as u16 } else { NO_CACHE });
        plan.caches.extend(planned);
    }
    // Caches of the snapshot that the trace never uses are part of the picture too.
    let unused = snapshot
        .into_iter()
        .flat_map(|snapshot| snapshot.caches.keys())
        .filter(|name| identified.caches.iter().all(|identity| identity.name != **name));
    for name in unused {
        let identity = Identity { name: name.clone(), traced_as: name.clone(), object_bytes: 0, stride_bytes: 0, is_pseudo: false };
        plan.caches.extend(lay_out(&identity, &mut plan.sizing_differences));
    }
    if recorded.allocator == AllocatorKind::Slob {
        plan.caches.push(siblings::slob_free_space());
    }
    for cache in identified.of_object.iter_mut().chain(identified.contradicted.values_mut()) {
        *cache = renumber.get(usize::from(*cache)).copied().unwrap_or(NO_CACHE);
    }
}

/// The CPU that ran alone when the trace began, if it began at boot: the very first events are of the
/// idle thread, which allocates only before other threads exist.
fn boot_cpu(recording: &Recording) -> Option<u16> {
    const FIRST_EVENTS: usize = 16;
    let first: Vec<_> = recording.merged().take(FIRST_EVENTS).collect();
    let cpu = first.first()?.cpu;
    let is_boot =
        first.iter().all(|event| event.pid == 0 && event.cpu == cpu && !event.context.in_hardirq() && !event.context.in_softirq());
    is_boot.then_some(cpu)
}

/// The kernel's new slabs, by cache. Spans are numbered by their first object, which follows the page allocation at once.
fn recorded_slabs(paired: &Paired, identified: &Identified, caches: &[PlannedCache]) -> Vec<Vec<RecordedSlab>> {
    let mut cpus: Vec<Option<u16>> = vec![None; paired.spans.spans.len()];
    for op in paired.ops.iter().filter(|op| !op.what.is_free()) {
        if let Some(object) = paired.objects.get(op.object as usize) {
            cpus[object.span as usize].get_or_insert(op.cpu);
        }
    }
    let mut slabs = vec![Vec::new(); caches.len()];
    for (span, cpu) in paired.spans.spans.iter().zip(cpus).filter(|(span, _)| span.is_born) {
        let cache = usize::from(identified.of_object[span.object as usize]);
        if let (Some(slabs), Some(planned)) = (slabs.get_mut(cache), caches.get(cache))
            && [planned.layout.order, planned.layout.min_order].contains(&u32::from(span.order))
        {
            let node = paired.spans.node_of(paired.objects[span.object as usize].ptr);
            let (pfn, log) = (paired.spans.frame_of(span.page), &paired.pages);
            let (time_ns, is_reclaimable) = log.birth(span.event);
            let after_failure = log.is_after_failure(span.event);
            slabs.push(RecordedSlab { order: span.order, pfn, node, cpu, time_ns, is_reclaimable, after_failure });
        }
    }
    slabs
}

/// By span: its slab is one that the replay makes, or has at the start.
fn slab_spans(paired: &Paired, identified: &Identified, plan: &Plan, page_shift: u32) -> Vec<bool> {
    let seeded: FxHashSet<u64> = plan.seeds.iter().filter_map(|seed| Some(plan.kernel.base(seed.slab?)? >> page_shift)).collect();
    let is_slab = |span: &Span| {
        if !span.is_born {
            return seeded.contains(&span.page);
        }
        let cache = identified.of_object.get(span.object as usize).and_then(|&cache| plan.caches.get(usize::from(cache)));
        cache.is_some_and(|cache| [cache.layout.order, cache.layout.min_order].contains(&u32::from(span.order)))
    };
    paired.spans.spans.iter().map(is_slab).collect()
}

/// Whether allocations that are not seen were made in bulk. Nobody allocates from kmalloc caches in bulk. Up to 6.0 allocations with a
/// node have events of their own; in a recording without them, they are what is not seen.
fn unseen_in_bulk(recording: &Recording, kernel: &Kernel, caches: &[PlannedCache]) -> Vec<bool> {
    let sees_nodes = kernel.release.since(6, 1) || recording.accounting.events.contains_key("kmem_cache_alloc_node");
    caches.iter().map(|cache| sees_nodes && !kmalloc::is_cache_name(&cache.name)).collect()
}

fn seeded_objects(plan: &Plan, objects: usize) -> Vec<bool> {
    let mut seeded = vec![false; objects];
    for (object, _) in plan.seeds.iter().flat_map(|seed| &seed.live) {
        seeded[*object as usize] = true;
    }
    seeded
}

struct Assembly<'a> {
    paired: &'a Paired,
    identified: &'a Identified,
    /// Objects that are live at the start.
    seeded: Vec<bool>,
    /// By cache: what is allocated unseen is allocated in bulk.
    unseen_in_bulk: Vec<bool>,
    /// Objects whose allocation was added.
    allocated_unseen: Vec<bool>,
    next_object: u32,
    ops: Vec<Op>,
    counts: Counts,
}

impl Assembly<'_> {
    fn op(&mut self, op: Op) {
        if op.cache == NO_CACHE {
            let count = if op.what.is_free() { &mut self.counts.unknown_frees } else { &mut self.counts.unplaced_allocs };
            *count += 1;
            return;
        }
        let of_cache = &mut self.counts.of_cache[usize::from(op.cache)];
        if !op.what.is_free() {
            let mut op = op;
            if op.what.is_implied() {
                of_cache.implied_allocs += 1;
                self.allocated_unseen[op.object as usize] = true;
                if self.unseen_in_bulk[usize::from(op.cache)] {
                    op.what = op.what.in_bulk();
                }
            } else {
                of_cache.allocs += 1;
            }
            of_cache.live += 1;
            self.ops.push(op);
            return;
        }
        let contradiction =
            self.identified.contradicted.get(&op.object).copied().filter(|&cache| cache != NO_CACHE && !op.what.is_implied());
        match contradiction {
            None if op.what.is_implied() => of_cache.implied_frees += 1,
            None => of_cache.frees += 1,
            Some(_) => {
                of_cache.contradicted += 1;
                of_cache.implied_frees += 1;
            }
        }
        let object = op.object as usize;
        if self.paired.objects[object].key.is_none() && !self.allocated_unseen[object] && !self.seeded[object] {
            // Without page events the age of its slab is unknown, and with it where it came from.
            of_cache.implied_allocs += 1;
            of_cache.live += 1;
            self.ops.push(Op { what: What::ALLOC.implied(), requested_bytes: 0, ..op });
        }
        of_cache.live -= u64::from(!self.seeded[object]);
        match contradiction {
            None => self.ops.push(op),
            Some(cache) => {
                let named = &mut self.counts.of_cache[usize::from(cache)];
                named.implied_allocs += 1;
                named.frees += 1;
                self.ops.push(Op { what: What::FREED.implied(), ..op });
                let object = self.next_object;
                self.next_object += 1;
                self.ops.push(Op { what: What::ALLOC.implied(), object, cache, ..op });
                self.ops.push(Op { object, cache, ..op });
            }
        }
    }
}

/// Counts for the ledger.
struct Counts {
    of_cache: Vec<CacheCounts>,
    unknown_frees: u64,
    unplaced_allocs: u64,
}

#[derive(Debug, Clone, Copy, Default)]
struct CacheCounts {
    allocs: u64,
    frees: u64,
    implied_frees: u64,
    implied_allocs: u64,
    contradicted: u64,
    live: u64,
}

impl Counts {
    fn new(caches: usize) -> Self {
        Self { of_cache: vec![CacheCounts::default(); caches], unknown_frees: 0, unplaced_allocs: 0 }
    }

    fn enter(&self, caches: &[PlannedCache], ledger: &mut Ledger) {
        for (cache, counts) in caches.iter().zip(&self.of_cache) {
            ledger.add(Entry::AllocsObserved, &cache.name, counts.allocs);
            ledger.add(Entry::FreesObserved, &cache.name, counts.frees);
            ledger.add(Entry::ImpliedFrees, &cache.name, counts.implied_frees);
            ledger.add(Entry::ImpliedAllocs, &cache.name, counts.implied_allocs);
            ledger.add(Entry::ContradictedFrees, &cache.name, counts.contradicted);
            ledger.add(Entry::LiveAtEnd, &cache.name, counts.live);
        }
        ledger.add(Entry::UnplacedAllocs, "", self.unplaced_allocs);
        ledger.add(Entry::UnknownFrees, "", self.unknown_frees);
    }
}
