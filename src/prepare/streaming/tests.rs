//! Recordings made by hand, in batches of all sizes.

use slubreplay_parsers::TraceError;
use slubreplay_parsers::event::Event;
use slubreplay_parsers::recording::Recording;
use slubreplay_parsers::stream::EventSource;

use super::catalog::Catalog;
use super::census;
use super::feed::Feed;
use crate::allocators::slub::sizing::{Build, KernelRelease};
use crate::prepare::ledger::Entry::{self, *};
use crate::prepare::ledger::Ledger;
use crate::prepare::tests::{MAP, PAGE, Script, kernel};
use crate::prepare::{Op, Snapshots, What};

const GFP_KERNEL: u32 = 0xcc0;
const LINUX_6_12: KernelRelease = KernelRelease { major: 6, minor: 12, patch: 0 };

/// A recording in batches of `size` events.
struct Batches<'a> {
    recording: &'a Recording,
    events: Vec<Event>,
    size: usize,
}

impl<'a> Batches<'a> {
    fn new(recording: &'a Recording, size: usize) -> Self {
        Self { recording, events: recording.merged().copied().collect(), size }
    }
}

impl EventSource for Batches<'_> {
    fn next_batch(&mut self) -> Result<Vec<Event>, TraceError> {
        Ok(self.events.drain(..self.size.min(self.events.len())).collect())
    }

    fn facts(&self) -> &Recording {
        self.recording
    }
}

/// What a recording becomes.
struct Fed {
    caches: Vec<String>,
    ops: Vec<Op>,
    ledger: Ledger,
}

impl Fed {
    /// What is done with objects, by cache name and the CPU.
    fn steps(&self) -> Vec<(&str, u16, What)> {
        self.ops.iter().map(|op| (self.caches[usize::from(op.cache)].as_str(), op.cpu, op.what)).collect()
    }

    fn count(&self, entry: Entry) -> u64 {
        self.ledger.total(entry)
    }
}

/// The recording by the rules of a release, the same for batches of every size.
fn fed_by(script: &Script, release: KernelRelease) -> Fed {
    let recording = script.recording();
    let kernel = kernel(release, Build::default());
    let fed = |size: usize| {
        let census = census::take(&mut Batches::new(&recording, size)).unwrap();
        assert_eq!(census.events, recording.event_count());
        let catalog = Catalog::new(census, &kernel, Snapshots::default());
        let mut feed = Feed::new(&catalog);
        let mut source = Batches::new(&recording, size);
        let mut ops = Vec::new();
        loop {
            let batch = source.next_batch().unwrap();
            if batch.is_empty() {
                break;
            }
            ops.extend(feed.batch(&batch));
        }
        let (rest, ledger) = feed.finish();
        ops.extend(rest);
        Fed { caches: catalog.plan.caches.iter().map(|cache| cache.name.clone()).collect(), ops, ledger }
    };
    let whole = fed(usize::MAX);
    for size in 1..=5 {
        assert_eq!(fed(size).ops, whole.ops, "batches of {size}");
    }
    whole
}

fn fed(script: &Script) -> Fed {
    fed_by(script, LINUX_6_12)
}

#[test]
fn names_of_frees_are_elected_for_objects_that_are_never_freed() {
    let mut script = Script::default();
    script.alloc(0x11, MAP, 100, 104).free(MAP, "things").alloc(0x11, MAP + 104, 100, 104);
    let fed = fed(&script);
    assert_eq!(fed.steps(), [("things", 0, What::ALLOC), ("things", 0, What::FREED), ("things", 0, What::ALLOC)]);
    assert_eq!((fed.count(NamedByVote), fed.count(LiveAtEnd)), (2, 1));
}

#[test]
fn an_address_handed_out_again_was_freed_just_before() {
    let mut script = Script::default();
    script.kmalloc(MAP, 60, 64, GFP_KERNEL).on(1).kmalloc(MAP, 61, 64, GFP_KERNEL);
    let fed = fed(&script);
    let steps = [("kmalloc-64", 0, What::ALLOC), ("kmalloc-64", 1, What::FREED.implied()), ("kmalloc-64", 1, What::ALLOC)];
    assert_eq!(fed.steps(), steps);
    assert_eq!((fed.count(ImpliedFrees), fed.count(AllocsObserved)), (1, 2));
}

#[test]
fn an_object_that_was_not_seen_allocated_is_allocated_just_before_its_free() {
    let mut script = Script::default();
    script.alloc(0x11, MAP, 100, 104).free(MAP, "things").free(MAP + 104, "things").kfree(MAP + 208);
    let fed = fed(&script);
    assert_eq!(fed.steps()[2..], [("things", 0, What::ALLOC.implied()), ("things", 0, What::FREED)]);
    // kfree() tells no name.
    assert_eq!((fed.count(ImpliedAllocs), fed.count(UnknownFrees)), (1, 1));
}

#[test]
fn a_free_that_names_a_cache_of_another_size_proves_two_unseen_operations() {
    let mut script = Script::default();
    script.alloc(0x11, MAP, 100, 104).free(MAP, "things").kmalloc(MAP, 60, 64, GFP_KERNEL).free(MAP, "things");
    let fed = fed(&script);
    let unseen = [("kmalloc-64", 0, What::FREED.implied()), ("things", 0, What::ALLOC.implied()), ("things", 0, What::FREED)];
    assert_eq!(fed.steps()[3..], unseen);
    assert_eq!(fed.count(ContradictedFrees), 1);
}

#[test]
fn what_never_reaches_a_slab_is_counted() {
    let mut script = Script::default();
    let large = 16384;
    script.kmalloc(MAP, large, large, GFP_KERNEL).kmalloc(MAP, large, large, GFP_KERNEL).kfree(MAP);
    script.kmalloc(0, 64, 64, GFP_KERNEL).kfree(0).kfree(16);
    let fed = fed(&script);
    assert!(fed.ops.is_empty());
    let counts = [LargeAllocs, DoubledEvents, LargeFrees, FailedAllocs, NullFrees].map(|entry| fed.count(entry));
    assert_eq!(counts, [1, 1, 1, 1, 2]);
}

#[test]
fn numbers_of_objects_follow_those_that_are_live() {
    let mut script = Script::default();
    for round in 0..100 {
        script.kmalloc(MAP + round * PAGE, 8, 8, GFP_KERNEL).kmalloc(MAP + round * PAGE + 8, 8, 8, GFP_KERNEL);
        script.kfree(MAP + round * PAGE).kfree(MAP + round * PAGE + 8);
    }
    assert_eq!(fed(&script).ops.iter().map(|op| op.object).max(), Some(1));
}

/// Up to 5.15 kmem_cache_free is traced when the object is back, and perhaps handed out again, already.
#[test]
fn a_free_that_is_traced_late_is_not_of_the_next_object() {
    let mut script = Script::default();
    script.alloc(0x11, MAP, 100, 104).on(1).alloc(0x11, MAP, 100, 104).on(0).free(MAP, "things").on(1).free(MAP, "things");
    let alloc_and_free = |fed: &Fed| (fed.count(AllocsObserved), fed.ops.iter().filter(|op| op.what.is_free()).count());
    let old = fed_by(&script, KernelRelease { major: 5, minor: 10, patch: 0 });
    assert_eq!((alloc_and_free(&old), old.count(ImpliedAllocs)), ((2, 2), 0));
    // Later kernels trace before: the second free is of an object that was not seen.
    let new = fed(&script);
    assert_eq!((alloc_and_free(&new), new.count(ImpliedAllocs)), ((2, 3), 1));
}

/// Batches go by which objects are the same, never by where they were.
#[test]
fn hashed_pointers_are_as_good_in_batches() {
    let mut script = Script::with_page_events();
    script.kmalloc(MAP, 60, 64, GFP_KERNEL).on(1).kmalloc(MAP, 61, 64, GFP_KERNEL).free(MAP + 104, "things").kfree(MAP).kfree(0);
    assert_eq!(fed(&script.hashed()).ops, fed(&script).ops);
}

#[test]
fn gfp_flags_by_name_are_understood_in_batches() {
    let mut script = Script::default();
    script.kmalloc(MAP, 60, 64, 0x4_0cc0);
    let linux_4_19 = KernelRelease { major: 4, minor: 19, patch: 0 };
    assert_ne!(fed_by(&script, linux_4_19).ops[0].what, What::ALLOC);
    script.info.gfp_by_name = true;
    assert_eq!(fed_by(&script, linux_4_19).ops[0].what, What::ALLOC);
}

#[test]
fn equal_times_are_put_in_the_order_that_fits() {
    let mut script = Script::default();
    script.on(1).kmalloc(MAP, 8, 8, GFP_KERNEL).on(0).kmalloc(MAP, 8, 8, GFP_KERNEL).on(1).tie().kfree(MAP);
    let fed = fed(&script);
    assert_eq!(fed.steps()[1..], [("kmalloc-8", 1, What::FREED), ("kmalloc-8", 0, What::ALLOC)]);
    assert_eq!(fed.count(TiesReordered), 1);
}
