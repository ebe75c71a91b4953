//! Places operations that were not traced: bulk allocations, bulk frees and kfree_rcu() batches.
//!
//! Pairing finds an untraced free only when the address is handed out again, or when the slab's pages go
//! back; an untraced allocation only when the object is freed. But a CPU takes all free objects of a slab at
//! once and hands them out before it turns to another slab: a *tenure* of the slab. So
//!
//! * what a tenure hands out was free when it began, unless it was allocated since: untraced frees that it
//!   proves go before its start. They came in batches, which the kernel frees slab by slab in detached
//!   lists (`build_detached_freelist()`), one call each;
//! * an object that was handed out unseen was handed out in a tenure of its slab: the last one before its
//!   free, if the trace shows one since the object was last free. Objects of a slab without such a tenure
//!   came in bulk: they are allocated together, before the first of them is freed.

use rustc_hash::FxHashMap;

use super::op::{Op, What};
use super::pairing::{NO_CACHE, Paired};

/// Moves implied frees to the start of the tenure that proves them, joins those of one slab to one list, and
/// adds allocations of objects that were never seen allocated. `ops` have their caches; objects from number
/// `seen` on were found by what CPUs left behind, and have their allocations.
pub(super) fn place(paired: &mut Paired, seen: u32, page_shift: u32) {
    let lists = lists(paired, page_shift);
    let allocs = unseen_allocs(paired, seen);
    if lists.is_empty() && allocs.is_empty() {
        return;
    }
    // Frees that move, by their present position.
    let moved: FxHashMap<usize, Op> = lists.iter().flat_map(|list| &list.frees).map(|&position| (position, paired.ops[position])).collect();
    let mut lists = lists.into_iter().peekable();
    let mut allocs = allocs.into_iter().peekable();
    paired.rewrite(|_, position, op, ops| {
        while let Some(list) = lists.next_if(|list| list.start == position) {
            let last = list.frees.len() - 1;
            ops.extend(list.frees.iter().enumerate().map(|(index, free)| {
                let free = moved[free];
                let what = if index < last { free.what.in_list() } else { free.what };
                Op { time_ns: op.time_ns, what, cpu: list.cpu.unwrap_or(free.cpu), ..free }
            }));
        }
        while let Some((_, alloc)) = allocs.next_if(|(before, _)| *before == position) {
            ops.push(Op { time_ns: op.time_ns, ..alloc });
        }
        if !moved.contains_key(&position) {
            ops.push(op);
        }
    });
}

/// Allocations to add, with the position that each goes before: of objects that are freed without having
/// been seen allocated, in slabs made during the trace.
fn unseen_allocs(paired: &Paired, seen: u32) -> Vec<(usize, Op)> {
    let is_unseen = |op: &Op| {
        let object = &paired.objects[op.object as usize];
        op.what.is_free()
            && op.object < seen
            && op.cache != NO_CACHE
            && object.key.is_none()
            && paired.spans.spans[object.span as usize].is_born
    };
    let mut slabs: FxHashMap<u32, UnseenSlab> =
        paired.ops.iter().filter(|op| is_unseen(op)).map(|op| (paired.objects[op.object as usize].span, UnseenSlab::default())).collect();
    if slabs.is_empty() {
        return Vec::new();
    }
    let mut allocs = Vec::new();
    let mut current: FxHashMap<(u16, u16), u32> = FxHashMap::default();
    for (position, op) in paired.ops.iter().enumerate().filter(|(_, op)| op.cache != NO_CACHE) {
        let object = &paired.objects[op.object as usize];
        if !op.what.is_free() {
            let turned = current.insert((op.cache, op.cpu), object.span) != Some(object.span);
            if let Some(slab) = slabs.get_mut(&object.span).filter(|_| turned) {
                slab.tenure = Some((position, op.cpu));
            }
            continue;
        }
        let Some(slab) = slabs.get_mut(&object.span) else { continue };
        let last_free = slab.last_free.insert(object.ptr, position);
        if !is_unseen(op) {
            continue;
        }
        let since = |at: usize| last_free.is_none_or(|free| at > free);
        let (before, cpu) = match (slab.tenure, slab.bulk) {
            (Some((start, cpu)), _) if since(start) => (start + 1, cpu),
            (_, Some((start, cpu))) if since(start) => (start, cpu),
            _ => (position, op.cpu),
        };
        slab.bulk = Some((before, cpu));
        allocs.push((before, Op { what: What::ALLOC.implied(), requested_bytes: 0, cpu, ..*op }));
    }
    // Stable: those of one place keep the order of their frees.
    allocs.sort_by_key(|(before, _)| *before);
    allocs
}

/// A slab in which objects were handed out unseen.
#[derive(Debug, Default)]
struct UnseenSlab {
    /// Start and CPU of its last tenure.
    tenure: Option<(usize, u16)>,
    /// Where, and on which CPU, its last unseen allocation was placed.
    bulk: Option<(usize, u16)>,
    /// By address: its last free.
    last_free: FxHashMap<u64, usize>,
}

/// Implied frees of one slab that go before the operation at `start`.
#[derive(Debug)]
struct List {
    start: usize,
    /// Their present positions, in the order in which the objects are handed out.
    frees: Vec<usize>,
    /// CPU that frees them, if it is not the one that hands them out.
    cpu: Option<u16>,
}

/// How full slabs made during the trace are, and who freed last.
struct Fill {
    page_shift: u32,
    /// By slab: live objects.
    live: FxHashMap<u32, u64>,
    /// By slab: its last free that was traced.
    freed_at: FxHashMap<u32, usize>,
    /// By cache: the two CPUs that freed last, the latest first.
    freed_on: FxHashMap<u16, (u16, u16)>,
}

impl Fill {
    fn alloc(&mut self, paired: &Paired, op: &Op) {
        *self.live.entry(paired.objects[op.object as usize].span).or_default() += 1;
    }

    fn free(&mut self, paired: &Paired, op: &Op, traced_at: Option<usize>) {
        let span = paired.objects[op.object as usize].span;
        let live = self.live.entry(span).or_default();
        *live = live.saturating_sub(1);
        if let Some(position) = traced_at {
            self.freed_at.insert(span, position);
            let last = self.freed_on.entry(op.cache).or_insert((op.cpu, op.cpu));
            if last.0 != op.cpu {
                *last = (op.cpu, last.0);
            }
        }
    }

    fn is_full(&self, paired: &Paired, span: u32) -> bool {
        let slab = paired.spans.spans[span as usize];
        slab.is_born && self.live.get(&span).copied() == slab.places(self.page_shift)
    }

    fn last_free(&self, span: u32) -> Option<usize> {
        self.freed_at.get(&span).copied()
    }

    /// The CPU that freed last among the others; the next one by number if no other did.
    fn other_cpu(&self, op: &Op) -> u16 {
        match self.freed_on.get(&op.cache) {
            Some(&(last, before)) if last != op.cpu || before != op.cpu => {
                if last == op.cpu {
                    before
                } else {
                    last
                }
            }
            _ => op.cpu ^ 1,
        }
    }
}

#[derive(Debug, Clone, Copy)]
struct Tenure {
    span: u32,
    start: usize,
    /// Index of its list, once it has one.
    list: Option<usize>,
    /// Index of the list of its last refill.
    refill: Option<usize>,
}

fn lists(paired: &Paired, page_shift: u32) -> Vec<List> {
    let mut lists: Vec<List> = Vec::new();
    // By cache and CPU: the slab that the CPU is handing out of.
    let mut tenures: FxHashMap<(u16, u16), Tenure> = FxHashMap::default();
    let mut allocated_at: Vec<usize> = vec![0; paired.objects.len()];
    let mut fill = Fill { page_shift, live: FxHashMap::default(), freed_at: FxHashMap::default(), freed_on: FxHashMap::default() };
    // Implied frees since the last other operation: they are followed by what proves them.
    let mut pending: Vec<usize> = Vec::new();
    for (position, op) in paired.ops.iter().enumerate() {
        if op.what == What::FREED.implied() {
            pending.push(position);
            fill.free(paired, op, None);
            continue;
        }
        if op.what.is_free() && op.cache != NO_CACHE {
            fill.free(paired, op, Some(position));
        }
        if op.what.is_free() || op.cache == NO_CACHE {
            flush_pages(&mut pending, paired, position, &mut lists);
            continue;
        }
        allocated_at[op.object as usize] = position;
        fill.alloc(paired, op);
        let object = &paired.objects[op.object as usize];
        let tenure = tenures.entry((op.cache, op.cpu)).or_insert(Tenure { span: object.span, start: position, list: None, refill: None });
        if tenure.span != object.span {
            *tenure = Tenure { span: object.span, start: position, list: None, refill: None };
        }
        // The free that this allocation proves stands right before it; others before that are of pages.
        let proven = pending.pop_if(|free| paired.objects[paired.ops[*free].object as usize].ptr == object.ptr);
        flush_pages(&mut pending, paired, position, &mut lists);
        let Some(free) = proven else { continue };
        let freed = paired.ops[free];
        if freed.cache != op.cache {
            continue;
        }
        if allocated_at[freed.object as usize] >= tenure.start {
            // Handed out twice in one tenure. With other objects free meanwhile, the CPU put it on its own freelist. With none, it
            // came with a refill: others had freed it into the slab.
            if fill.is_full(paired, object.span) {
                let open = tenure.refill.filter(|&list| fill.last_free(object.span).is_none_or(|at| at < lists[list].start));
                match open {
                    Some(list) => lists[list].frees.push(free),
                    None => {
                        tenure.refill = Some(lists.len());
                        lists.push(List { start: position, frees: vec![free], cpu: Some(fill.other_cpu(op)) });
                    }
                }
            }
            continue;
        }
        match tenure.list {
            Some(list) => lists[list].frees.push(free),
            None => {
                tenure.list = Some(lists.len());
                lists.push(List { start: tenure.start, frees: vec![free], cpu: None });
            }
        }
    }
    let end = paired.ops.len();
    flush_pages(&mut pending, paired, end, &mut lists);
    lists.sort_by_key(|list| list.start);
    lists
}

/// Implied frees because a slab's pages went back: one list per slab, where they are.
fn flush_pages(pending: &mut Vec<usize>, paired: &Paired, position: usize, lists: &mut Vec<List>) {
    let slab = |free: &usize| (paired.objects[paired.ops[*free].object as usize].span, paired.ops[*free].cache);
    for frees in pending.chunk_by(|a, b| slab(a) == slab(b)) {
        // At the end of the trace there is no operation to stand before: they stay where they are.
        if frees.len() > 1 && position < paired.ops.len() && paired.ops[frees[0]].cache != NO_CACHE {
            lists.push(List { start: position, frees: frees.to_vec(), cpu: None });
        }
    }
    pending.clear();
}
