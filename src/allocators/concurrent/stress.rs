//! Threads that allocate, free, hand over, flush and shrink at random, as fast as they can; and the laws afterwards.
//!
//! `SLUBREPLAY_STRESS_OPS` says how many operations each run has in all (2,000,000 unless said otherwise).

use std::ptr::NonNull;
use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};
use std::sync::atomic::{AtomicBool, AtomicPtr};

use super::*;
use crate::allocators::slub::sizing::{Build, CacheFlags, CacheLayout, CacheSpec, Kernel, KernelRelease, Machine};
use crate::allocators::slub::{CacheKind, Counter, Rules, Topology};
use crate::mem::BoundedPages;

const FRAME_BYTES: u32 = 4096;
const FRAMES: usize = 1 << 15;
const DEFAULT_OPERATIONS: u64 = 2_000_000;

/// Objects that a thread keeps of a cache, at most.
const KEPT: usize = 400;

/// Places of a cache at which threads exchange objects.
const MAILBOXES: usize = 256;

/// Which objects are in users' hands, by address: nobody gets one that somebody has.
struct Marks {
    base: usize,
    marks: Vec<AtomicBool>,
}

impl Marks {
    fn of(&self, object: &Object) -> &AtomicBool {
        &self.marks[(object.0.into_raw().as_ptr().addr() - self.base) / 8]
    }

    fn taken(&self, object: Object) -> Object {
        // ORDERING: AcqRel. Marks check the allocator's order, and must not add one where it has none: they are per object, as it is.
        assert!(!self.of(&object).swap(true, AcqRel), "{object:?} is handed out twice");
        object
    }

    fn given_back(&self, object: &Object) {
        assert!(self.of(object).swap(false, AcqRel), "{object:?} is freed, but not in use");
    }
}

/// What the threads share.
struct World<M> {
    caches: Vec<M>,
    mailboxes: Vec<AtomicPtr<u8>>,
    marks: Marks,
}

impl<M: Model> World<M> {
    /// Puts an object into a mailbox, and takes out what was there.
    fn exchange(&self, cache: usize, box_number: usize, object: Option<Object>) -> Option<Object> {
        let raw = object.map_or(std::ptr::null_mut(), |object| object.into_raw().as_ptr());
        let mailbox = &self.mailboxes[cache * MAILBOXES + box_number];
        // ORDERING: AcqRel. An object is handed over with what was done to it.
        NonNull::new(mailbox.swap(raw, AcqRel)).map(Object::from_raw)
    }
}

/// One thread: a CPU with its state, counts and objects, by cache.
struct Thread<C> {
    states: Vec<C>,
    counts: Vec<Counts>,
    kept: Vec<Vec<Object>>,
    allocs: u64,
    frees: u64,
}

fn work<M: Model>(world: &World<M>, thread: &mut Thread<M::Cpu>, operations: u64, seed: u64) {
    let mut random = fastrand::Rng::with_seed(seed);
    while thread.allocs + thread.frees < operations {
        let choice = random.u64(..);
        let number = (choice % world.caches.len() as u64) as usize;
        let (cache, state, counts, kept) =
            (&world.caches[number], &mut thread.states[number], &mut thread.counts[number], &mut thread.kept[number]);
        match choice >> 8 & 0x3fff {
            0 => cache.flush(state, counts),
            1 if choice >> 22 & 3 == 0 => {
                cache.flush(state, counts);
                cache.shrink_shared(counts);
            }
            2..=40 => {
                let objects: Vec<Object> = kept.drain(kept.len().saturating_sub(8)..).collect();
                objects.iter().for_each(|object| world.marks.given_back(object));
                thread.frees += objects.len() as u64;
                cache.free_list(state, objects, counts);
            }
            41..=4000 => {
                let mine = kept.pop();
                if let Some(object) = world.exchange(number, (choice >> 24) as usize % MAILBOXES, mine) {
                    kept.push(object);
                }
            }
            way if kept.is_empty() || kept.len() < KEPT && way & 1 == 0 => {
                let (object, _) = cache.alloc(state, Request::default(), counts).expect("there is memory");
                kept.push(world.marks.taken(object));
                thread.allocs += 1;
            }
            _ => {
                let position = (choice >> 30) as usize % kept.len();
                let object = kept.swap_remove(position);
                world.marks.given_back(&object);
                thread.frees += 1;
                if choice >> 20 & 31 == 0 {
                    cache.free_rcu(state, object, counts);
                } else {
                    cache.free(state, object, counts);
                }
            }
        }
    }
}

fn stress<M: Model>(release: KernelRelease, threads: u16, nodes: u16) {
    let operations = std::env::var("SLUBREPLAY_STRESS_OPS").ok().and_then(|text| text.parse().ok()).unwrap_or(DEFAULT_OPERATIONS);
    let rules = Rules::of(release);
    let memory = Memory::map(FRAMES, FRAME_BYTES).expect("memory");
    let marks = Marks { base: memory.base_address(), marks: (0..FRAMES * 512).map(|_| AtomicBool::new(false)).collect() };
    let heap = Arc::new(Heap::new(memory, FRAME_BYTES, Box::new(BoundedPages::new(FRAMES as u64))));
    let topology = Arc::new(Topology::new((0..threads).map(|cpu| cpu % nodes).collect()));
    let kernel = Kernel::new(release, Machine::x86_64(threads.into()), Build::default());
    let kinds = [(32, CacheKind::CpuPartial), (1024, CacheKind::CpuPartial), (192, CacheKind::CpuSlab), (256, CacheKind::Debug)];
    let cache = |(number, &(stride, kind)): (u32, &(u32, CacheKind))| {
        let layout = CacheLayout::from_stride(&kernel, &CacheSpec::new(stride, CacheFlags::NONE), stride).expect("a layout");
        let layout = CacheLayout { min_partial: 3, ..layout };
        M::new(Slabs::new(Arc::clone(&heap), number, layout, kind, rules, Arc::clone(&topology)).expect("a layout"))
    };
    let caches: Vec<M> = (0..).zip(&kinds).map(cache).collect();
    let mailboxes = (0..caches.len() * MAILBOXES).map(|_| AtomicPtr::default()).collect();
    let world = World { caches, mailboxes, marks };
    let new_thread = |cpu| Thread {
        states: world.caches.iter().map(|cache| cache.cpu(cpu)).collect(),
        counts: world.caches.iter().map(|_| Counts::new(nodes)).collect(),
        kept: world.caches.iter().map(|_| Vec::new()).collect(),
        allocs: 0,
        frees: 0,
    };
    let mut all: Vec<Thread<M::Cpu>> = (0..threads).map(new_thread).collect();
    std::thread::scope(|scope| {
        let start = |(number, thread)| {
            let world = &world;
            scope.spawn(move || work(world, thread, operations / u64::from(threads), 0x9e37_79b9 * (number as u64 + 1)))
        };
        let workers: Vec<_> = all.iter_mut().enumerate().map(start).collect();
        // Joined one by one: the end of a scope orders threads inside of the standard library, where ThreadSanitizer does not see it.
        for worker in workers {
            worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        }
    });
    settle(&world, all, &heap);
}

/// The laws, with what is in use now; and that everything comes back.
fn settle<M: Model>(world: &World<M>, mut threads: Vec<Thread<M::Cpu>>, heap: &Heap) {
    let mut in_use = 0;
    for (number, cache) in world.caches.iter().enumerate() {
        let mut objects: Vec<Object> = threads.iter_mut().flat_map(|thread| std::mem::take(&mut thread.kept[number])).collect();
        objects.extend((0..MAILBOXES).filter_map(|mailbox| world.exchange(number, mailbox, None)));
        in_use += objects.len() as u64;
        check(cache, &threads, number, objects.len() as u64);
        let total = |counter| threads.iter().map(|thread| thread.counts[number].counters.get(counter)).sum::<u64>();
        let made = total(Counter::AllocSlab) - total(Counter::FreeSlab) - cache.slabs().uncounted_discards();
        assert_eq!(cache.slabs().nr_slabs(), made, "slabs = made - discarded");
        let one = &mut threads[0];
        for object in objects {
            world.marks.given_back(&object);
            cache.free(&mut one.states[number], object, &mut one.counts[number]);
        }
        check(cache, &threads, number, 0);
        for thread in &mut threads {
            cache.flush(&mut thread.states[number], &mut thread.counts[number]);
        }
        // Twice: what RCU gives back comes after the first.
        cache.shrink_shared(&mut NoProbe);
        cache.shrink_shared(&mut NoProbe);
        assert_eq!(cache.slabs().nr_slabs(), 0, "everything is given back");
    }
    let (allocs, frees) = threads.iter().fold((0, 0), |sum, thread| (sum.0 + thread.allocs, sum.1 + thread.frees));
    assert_eq!(allocs - frees, in_use, "none is lost");
    assert!(world.marks.marks.iter().all(|mark| !mark.load(Acquire)), "no object is in use any more");
    assert_eq!(heap.frames_in_use(), 0, "all frames are given back");
    let lost: u64 = threads.iter().flat_map(|thread| &thread.counts).map(|counts| counts.counters.get(Counter::CmpxchgDoubleFail)).sum();
    let contended: u64 = threads.iter().flat_map(|thread| &thread.counts).flat_map(|counts| &counts.lists).map(|list| list.contended).sum();
    // Shown with --nocapture: whether threads met at all is up to the machine.
    #[expect(clippy::print_stderr, reason = "a figure of the run, for whoever asks to see it")]
    {
        eprintln!("{} threads, {} operations: {lost} exchanges lost, {contended} list locks contended", threads.len(), allocs + frees);
    }
}

fn check<M: Model>(cache: &M, threads: &[Thread<M::Cpu>], number: usize, live: u64) {
    validate(cache, threads.iter().map(|thread| &thread.states[number]), live).unwrap_or_else(|broken| panic!("{broken}"));
}

#[test]
fn cpu_slabs_keep_every_law_under_stress() {
    for (threads, nodes) in [(2, 1), (4, 2), (8, 2)] {
        stress::<CpuSlabCache>(KernelRelease::new(6, 12, 0), threads, nodes);
    }
}

#[test]
fn sheaves_keep_every_law_under_stress() {
    for (threads, nodes, minor) in [(2, 1, 2), (4, 2, 0), (8, 2, 3)] {
        stress::<SheafCache>(KernelRelease::new(7, minor, 0), threads, nodes);
    }
}

/// The marks themselves: a double free shows.
#[test]
#[should_panic(expected = "freed, but not in use")]
fn a_double_free_is_seen() {
    let memory = Memory::map(1, FRAME_BYTES).expect("memory");
    let marks = Marks { base: memory.base_address(), marks: (0..512).map(|_| AtomicBool::new(false)).collect() };
    let object = marks.taken(Object(memory.at(SlabId::new(0), 64)));
    assert!(marks.of(&object).load(Relaxed));
    marks.given_back(&object);
    marks.given_back(&object);
}
