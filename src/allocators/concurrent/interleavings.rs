//! Every order in which threads may come, as far as loom explores them: run by `tests/concurrency/interleavings.sh`.
//!
//! Each test is a race that the protocol is made for. Free pointers are cells in which loom finds any access that is not ordered, so that
//! a weakened ordering shows; the laws are checked when all threads are done, the objects freed, and the memory used again, so that a lost
//! or doubled object shows. `tests/concurrency/mutations` holds the changes that these tests have to catch.

use std::collections::BTreeSet;
use std::sync::Arc;

use loom::thread;

use super::*;
use crate::allocators::slub::sizing::{CacheFlags, CacheLayout, KernelRelease, NodeLimits};
use crate::allocators::slub::{CacheKind, Counter, CpuCounts, Rules, Topology};
use crate::mem::BoundedPages;

/// Page frames are so small here that a slab has two or three objects, and so few that loom can keep track.
const FRAME_BYTES: u32 = 64;
const FRAMES: usize = 4;

/// A cache in the making.
#[derive(Debug, Clone, Copy)]
struct Spec {
    release: (u16, u16),
    kind: CacheKind,
    objects: u32,
    min_partial: u32,
    cpu_partial_slabs: u32,
    sheaf_capacity: u32,
}

const CPU_SLABS: Spec =
    Spec { release: (6, 12), kind: CacheKind::CpuPartial, objects: 2, min_partial: 0, cpu_partial_slabs: 1, sheaf_capacity: 0 };
const SHEAVES: Spec =
    Spec { release: (7, 2), kind: CacheKind::CpuPartial, objects: 2, min_partial: 0, cpu_partial_slabs: 0, sheaf_capacity: 1 };

/// Counts counters alone, by CPU.
#[derive(Debug, Clone, Default)]
struct Tally(CpuCounts);

impl Probe for Tally {
    fn count(&mut self, counter: Counter, amount: u64) {
        self.0.add(counter, amount);
    }
    fn locked(&mut self, _: LockSite, _: Option<u64>) {}
    fn ticks() -> u64 {
        0
    }
}

/// A CPU of a cache, to be moved to the thread that plays it.
struct Player<M: Model> {
    cache: Arc<M>,
    state: M::Cpu,
    tally: Tally,
}

impl<M: Model> Player<M> {
    fn alloc(&mut self) -> Object {
        self.cache.alloc(&mut self.state, Request::default(), &mut self.tally).expect("there is memory").0
    }

    fn allocs<const N: usize>(&mut self) -> [Object; N] {
        std::array::from_fn(|_| self.alloc())
    }

    fn free(&mut self, object: Object) -> Path {
        self.cache.free(&mut self.state, object, &mut self.tally)
    }

    fn flush(&mut self) {
        self.cache.flush(&mut self.state, &mut self.tally);
    }

    fn count(&self, counter: Counter) -> u64 {
        self.tally.0.get(counter)
    }
}

/// A cache and its CPUs.
fn players<M: Model, const N: usize>(spec: Spec) -> [Player<M>; N] {
    let stride = FRAME_BYTES / spec.objects / 8 * 8;
    let layout = CacheLayout {
        object_size: stride,
        size: stride,
        align: 8,
        inuse: stride,
        freeptr_offset: 0,
        red_left_pad: 0,
        order: 0,
        objects: spec.objects,
        min_order: 0,
        min_objects: spec.objects,
        min_partial: spec.min_partial,
        cpu_partial: spec.cpu_partial_slabs * spec.objects,
        cpu_partial_slabs: spec.cpu_partial_slabs,
        sheaf_capacity: spec.sheaf_capacity,
        nodes: NodeLimits::default(),
        flags: CacheFlags::NONE,
    };
    let rules = Rules::of(KernelRelease::new(spec.release.0.into(), spec.release.1.into(), 0));
    assert!(M::models(&rules));
    let memory = Memory::map(FRAMES, FRAME_BYTES).expect("memory");
    let pages = Box::new(BoundedPages::new(FRAMES as u64));
    let heap = Arc::new(Heap::new(memory, FRAME_BYTES, pages));
    let slabs = Slabs::new(heap, 0, layout, spec.kind, rules, Arc::new(Topology::uniform(N as u16))).expect("a layout");
    let cache = Arc::new(M::new(slabs));
    std::array::from_fn(|cpu| Player { cache: Arc::clone(&cache), state: cache.cpu(cpu as u16), tally: Tally::default() })
}

/// The end of every test: the laws hold with these objects in use; they can be freed, everything given back, and the memory used again.
fn finish<M: Model, const N: usize>(mut players: [Player<M>; N], live: Vec<Object>) {
    let cache = Arc::clone(&players[0].cache);
    let check = |players: &[Player<M>; N], live: usize| {
        let broken = validate(&*cache, players.iter().map(|player| &player.state), live as u64);
        broken.unwrap_or_else(|broken| panic!("{broken}"));
    };
    check(&players, live.len());
    let distinct: BTreeSet<&Object> = live.iter().collect();
    assert_eq!(distinct.len(), live.len(), "no object is handed out twice");
    for object in live {
        players[0].free(object);
    }
    check(&players, 0);
    for player in &mut players {
        player.flush();
    }
    cache.shrink_shared(&mut Tally::default());
    assert_eq!(cache.slabs().nr_slabs(), 0, "everything is given back");
    // All frames, so that every link is written anew: whoever used it before has to come before.
    let objects: Vec<Object> = (0..2 * FRAMES).map(|_| players[0].alloc()).collect();
    check(&players, objects.len());
}

/// Explores a race; says which outcomes there were, so that the test can tell that it was one.
fn explore<R: Ord + Send + 'static>(race: impl Fn() -> R + Sync + Send + 'static) -> BTreeSet<R> {
    let outcomes = Arc::new(std::sync::Mutex::new(BTreeSet::new()));
    let seen = Arc::clone(&outcomes);
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(move || {
        let outcome = race();
        seen.lock().unwrap().insert(outcome);
    });
    std::mem::take(&mut *outcomes.lock().unwrap())
}

fn join<R>(thread: thread::JoinHandle<R>) -> R {
    thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// A slab of two objects on its node's list, behind another: one of its objects, which is the only one in use, and one of the other's.
fn listed(owner: &mut Player<CpuSlabCache>, other: &mut Player<CpuSlabCache>) -> (Object, Object) {
    let [first, second] = owner.allocs();
    let third = owner.alloc();
    owner.flush();
    other.free(first);
    (second, third)
}

/// `get_freelist()` against `__slab_free()` into a frozen slab.
#[test]
fn frees_into_a_cpu_slab_race_with_its_refill() {
    let outcomes = explore(|| {
        let [mut owner, mut freer] = players::<CpuSlabCache, 2>(Spec { objects: 3, ..CPU_SLABS });
        let [first, second, third] = owner.allocs();
        let other = thread::spawn(move || {
            freer.free(first);
            freer.free(second);
            freer
        });
        // Refills from what was freed by then, or takes another slab; looks at links that the other CPU wrote.
        let got = owner.allocs::<2>();
        let freer = join(other);
        let refills = owner.count(Counter::AllocRefill);
        let lost = owner.count(Counter::CmpxchgDoubleFail) + freer.count(Counter::CmpxchgDoubleFail);
        finish([owner, freer], got.into_iter().chain([third]).collect());
        (refills, lost > 0)
    });
    assert!(outcomes.contains(&(0, false)) && outcomes.iter().any(|&(refills, _)| refills > 0), "{outcomes:?}");
    assert!(outcomes.iter().any(|&(_, lost)| lost), "an exchange lost: {outcomes:?}");
}

/// The first free into a full slab makes it the freeing CPU's; the last finds it in nobody's list.
#[test]
fn two_frees_into_a_full_slab_give_it_to_one_cpu() {
    let outcomes = explore(|| {
        let [mut owner, mut one, mut two] = players::<CpuSlabCache, 3>(CPU_SLABS);
        let [first, second] = owner.allocs();
        // The slab is full and in nobody's hands once its CPU turned to another.
        let third = owner.alloc();
        let freers = [thread::spawn(move || (one.free(first), one)), thread::spawn(move || (two.free(second), two))];
        let [(path, one), (_, two)] = freers.map(join);
        finish([owner, one, two], vec![third]);
        path
    });
    assert_eq!(outcomes, BTreeSet::from([Path::FreeCpuPartial, Path::FreeNode]), "both come first at times");
}

/// Without CPU partial lists: one free lists the slab, the other takes it off again and discards it.
#[test]
fn a_slab_is_listed_and_unlisted_by_two_frees() {
    let outcomes = explore(|| {
        let [mut owner, mut one, mut two] = players::<CpuSlabCache, 3>(Spec { kind: CacheKind::CpuSlab, min_partial: 1, ..CPU_SLABS });
        let [first, second] = owner.allocs();
        let third = owner.alloc();
        let freers = [thread::spawn(move || (one.free(first), one)), thread::spawn(move || (two.free(second), two))];
        let [(_, one), (_, two)] = freers.map(join);
        let listed = (one.count(Counter::FreeAddPartial), two.count(Counter::FreeAddPartial));
        let gone = one.count(Counter::FreeSlab) + two.count(Counter::FreeSlab);
        assert_eq!((listed.0 + listed.1, gone), (1, 1), "whoever is last discards it");
        finish([owner, one, two], vec![third]);
        listed
    });
    assert_eq!(outcomes.len(), 2, "both come first at times: {outcomes:?}");
}

/// `get_partial_node()` against a free that empties the slab just taken.
#[test]
fn a_listed_slab_is_taken_while_it_empties() {
    let outcomes = explore(|| {
        let [mut taker, mut freer] = players::<CpuSlabCache, 2>(Spec { kind: CacheKind::CpuSlab, ..CPU_SLABS });
        let (second, third) = listed(&mut freer, &mut taker);
        let other = thread::spawn(move || {
            freer.free(second);
            freer
        });
        let got = taker.allocs::<2>();
        let freer = join(other);
        let seen = (taker.count(Counter::AllocFromPartial), freer.count(Counter::FreeFrozen), freer.count(Counter::FreeSlab));
        finish([taker, freer], got.into_iter().chain([third]).collect());
        seen
    });
    // Emptied before it was taken; between that and its freezing; and after.
    assert_eq!(outcomes, BTreeSet::from([(1, 0, 1), (2, 0, 0), (2, 1, 0)]));
}

/// `__put_partials()` against a free that empties a slab of the drained list.
#[test]
fn a_cpu_partial_list_is_drained_while_a_slab_on_it_empties() {
    let outcomes = explore(|| {
        let [mut owner, mut freer] = players::<CpuSlabCache, 2>(CPU_SLABS);
        let [first, second, third] = owner.allocs();
        owner.flush();
        freer.free(first);
        let other = thread::spawn(move || {
            freer.flush();
            freer
        });
        let path = owner.free(second);
        let freer = join(other);
        let gone = (owner.count(Counter::FreeSlab), freer.count(Counter::FreeSlab));
        assert_eq!(gone.0 + gone.1, 1, "an empty slab that no node need keep goes: {gone:?}");
        finish([owner, freer], vec![third]);
        (path, gone)
    });
    assert!(outcomes.len() >= 2, "drained before and after: {outcomes:?}");
}

/// `deactivate_slab()` against frees into the slab.
#[test]
fn a_cpu_slab_is_flushed_while_others_free_into_it() {
    let outcomes = explore(|| {
        let [mut owner, mut freer] = players::<CpuSlabCache, 2>(Spec { objects: 3, ..CPU_SLABS });
        let [first, second] = owner.allocs();
        let other = thread::spawn(move || {
            let paths = (freer.free(first), freer.free(second));
            (paths, freer)
        });
        owner.flush();
        // If the slab went, its frame is written to by this: what the other CPU wrote has to come before.
        let again = owner.allocs::<3>();
        let (paths, freer) = join(other);
        let frozen = freer.count(Counter::FreeFrozen);
        let remote = owner.count(Counter::DeactivateRemoteFrees);
        finish([owner, freer], again.into_iter().collect());
        (frozen, remote, paths.1)
    });
    assert!(outcomes.iter().any(|&(frozen, ..)| frozen == 0) && outcomes.iter().any(|&(frozen, ..)| frozen == 2), "{outcomes:?}");
}

/// The last of two frees discards a slab whose memory is used again at once: what the first wrote has to come before.
#[test]
fn memory_of_a_discarded_slab_is_used_again() {
    explore(|| {
        let [mut one, mut two] = players::<CpuSlabCache, 2>(Spec { objects: 3, kind: CacheKind::CpuSlab, ..CPU_SLABS });
        let [first, second, third] = one.allocs();
        let fourth = one.alloc();
        one.flush();
        // Listed from now on, with two objects in use.
        one.free(first);
        let other = thread::spawn(move || {
            two.free(second);
            two
        });
        one.free(third);
        // If that emptied the slab, its frame is written to by this.
        let again = one.allocs::<3>();
        let two = join(other);
        finish([one, two], again.into_iter().chain([fourth]).collect());
    });
}

/// One object at a time off a listed slab, while others push onto it.
#[test]
fn single_objects_are_taken_while_others_are_freed() {
    let outcomes = explore(|| {
        let [mut taker, mut freer] = players::<CpuSlabCache, 2>(Spec { objects: 3, kind: CacheKind::Debug, min_partial: 1, ..CPU_SLABS });
        let [first, second] = freer.allocs();
        taker.free(first);
        let other = thread::spawn(move || {
            freer.free(second);
            freer
        });
        let got = taker.allocs::<2>();
        let freer = join(other);
        let lost = taker.count(Counter::CmpxchgDoubleFail) + freer.count(Counter::CmpxchgDoubleFail);
        finish([taker, freer], got.into_iter().collect());
        lost
    });
    assert!(outcomes.len() >= 2, "an exchange lost at times: {outcomes:?}");
}

/// `kmem_cache_shrink()` of a node while a slab on its list empties.
#[test]
fn a_node_is_shrunk_while_a_slab_empties() {
    let outcomes = explore(|| {
        let [mut owner, mut freer] = players::<CpuSlabCache, 2>(Spec { kind: CacheKind::CpuSlab, min_partial: 3, ..CPU_SLABS });
        let (second, third) = listed(&mut freer, &mut owner);
        let other = thread::spawn(move || {
            freer.free(second);
            freer
        });
        owner.cache.shrink_shared(&mut owner.tally);
        let freer = join(other);
        let left = owner.cache.slabs().nr_slabs();
        finish([owner, freer], vec![third]);
        left
    });
    assert_eq!(outcomes, BTreeSet::from([1, 2]), "before and after");
}

/// Full and empty sheaves change hands in a barn.
#[test]
fn sheaves_are_exchanged_by_two_cpus() {
    let outcomes = explore(|| {
        let [mut taker, mut giver] = players::<SheafCache, 2>(SHEAVES);
        let objects = giver.allocs::<3>();
        let other = thread::spawn(move || {
            // Main, spare, then the barn.
            for object in objects {
                giver.free(object);
            }
            giver
        });
        let got = taker.allocs::<2>();
        let giver = join(other);
        let from = (taker.count(Counter::BarnGet), giver.count(Counter::BarnPut));
        finish([taker, giver], got.into_iter().collect());
        from
    });
    assert!(outcomes.iter().any(|&(got, _)| got > 0) && outcomes.iter().any(|&(got, _)| got == 0), "{outcomes:?}");
}

/// `refill_objects()` takes slabs off the list and empties them while others free into them.
#[test]
fn a_refill_races_with_frees_into_the_slabs_it_took() {
    for release in [(7, 0), (7, 2)] {
        let outcomes = explore(move || {
            let spec = Spec { release, objects: 3, min_partial: 1, ..SHEAVES };
            let [mut taker, mut freer] = players::<SheafCache, 2>(spec);
            // Of three objects one is in the sheaf that was refilled for it, and two are listed; then one of these is out too.
            let [first, second] = freer.allocs();
            taker.cache.free_one_slab(&mut taker.state, vec![first], &mut taker.tally);
            let other = thread::spawn(move || {
                freer.cache.free_one_slab(&mut freer.state, vec![second], &mut freer.tally);
                freer
            });
            let got = taker.allocs::<2>();
            let freer = join(other);
            let moved = (freer.count(Counter::FreeAddPartial), taker.count(Counter::AllocSlab), taker.count(Counter::FreeAddPartial));
            finish([taker, freer], got.into_iter().collect());
            moved
        });
        assert!(outcomes.len() >= 2, "{release:?}: {outcomes:?}");
    }
}

/// Two CPUs make and discard slabs at the same time: no frame is in two slabs.
#[test]
fn frames_are_in_one_slab_at_a_time() {
    explore(|| {
        let [mut one, mut two] = players::<CpuSlabCache, 2>(CPU_SLABS);
        let other = thread::spawn(move || {
            let object = two.alloc();
            two.free(object);
            two.flush();
            (two.alloc(), two)
        });
        let mine = one.alloc();
        one.free(mine);
        one.flush();
        let mine = one.alloc();
        let (theirs, two) = join(other);
        finish([one, two], vec![mine, theirs]);
    });
}
