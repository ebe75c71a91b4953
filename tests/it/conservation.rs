//! Allocations less frees are what is live: the whole library against a map from address to size.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use slubreplay::mem::UnlimitedPages;
use slubreplay::prepare::ledger::Entry;
use slubreplay::prepare::{Plan, Snapshots, prepare};
use slubreplay::replay::{Engine, NoObserver, Outcome, Setup};
use slubreplay::setting::{Setting, Wishes};
use slubreplay_parsers::capture::Capture;
use slubreplay_parsers::tracedat::TraceDat;

use crate::oracle::Oracle;
use crate::support::{FORKEXEC, MIDLIFE, Snapshot, capture, run};

struct Replayed {
    oracle: Oracle,
    plan: Plan,
    outcome: Outcome,
}

/// Both captures, replayed with the allocator's own laws checked all along; once for all tests.
fn replayed() -> &'static [(&'static str, Replayed); 2] {
    static ALL: OnceLock<[(&str, Replayed); 2]> = OnceLock::new();
    ALL.get_or_init(|| [FORKEXEC, MIDLIFE].map(|name| (name, replay(name))))
}

fn replay(name: &str) -> Replayed {
    let dir = capture(name);
    let capture = Capture::open(&dir).expect("a capture");
    let recording = TraceDat::open(&capture.trace).expect("a trace").decode(&|_| {}).expect("decodes");
    let setting = Setting::resolve(Wishes::default(), &recording, Some(&capture)).expect("a setting");
    let plan = prepare(&recording, &setting.kernel, Snapshots::of(&capture));
    let page_bytes = setting.kernel.machine.page_bytes;
    let setup =
        Setup { rules: setting.rules, topology: setting.topology, page_bytes, samples: 0, pause_at: Vec::new(), check_every: 100_000 };
    let (outcome, _) = Engine::new(&plan, &setup, UnlimitedPages::default()).run(&mut NoObserver).expect("all laws hold");
    Replayed { oracle: Oracle::of(&recording, &Snapshot::read(&dir, "slab.after")), plan, outcome }
}

#[test]
fn the_ledger_counts_what_the_oracle_counts() {
    for (name, Replayed { oracle, plan, .. }) in replayed() {
        let total = |entry| plan.ledger.total(entry);
        assert!(oracle.allocs > 200_000, "{name}: the oracle saw the trace");
        assert_eq!(total(Entry::AllocsObserved), oracle.allocs, "{name}");
        assert_eq!(total(Entry::FreesObserved) + total(Entry::UnknownFrees), oracle.frees + oracle.unknown_frees, "{name}");
        // The map notices an untraced free when the address comes again; the preparation may notice it by
        // other evidence too, so that fewer objects are left: at the end, and for frees under another name.
        assert!(total(Entry::ImpliedFrees) >= oracle.overlaid, "{name}: {} overlaid", oracle.overlaid);
        let came = total(Entry::AllocsObserved) + total(Entry::ImpliedAllocs) + total(Entry::BornBefore);
        let went = total(Entry::FreesObserved) + total(Entry::ImpliedFrees);
        assert_eq!(came, went + total(Entry::LiveAtEnd), "{name}: every object lives once");
        assert_eq!(total(Entry::NullFrees), oracle.null_frees, "{name}");
        assert_eq!(total(Entry::FailedAllocs), oracle.failed, "{name}");
        assert_eq!(total(Entry::LargeAllocs), oracle.large_allocs, "{name}");
        assert_eq!(total(Entry::LargeFrees), oracle.large_frees, "{name}");
        assert_eq!(total(Entry::DoubledEvents), oracle.doubled, "{name}");
        assert_eq!(total(Entry::LostEvents) + total(Entry::LossGaps) + total(Entry::UnusableRecords), 0, "{name}");
    }
}

#[test]
fn every_cache_keeps_what_it_did_not_free() {
    for (name, Replayed { oracle, plan, outcome }) in replayed() {
        assert_eq!(outcome.caches.len(), plan.caches.len(), "{name}");
        assert_eq!((outcome.failed_allocs, outcome.skipped_frees), (0, 0), "{name}");
        for (planned, outcome) in plan.caches.iter().zip(&outcome.caches) {
            let at = format!("{name}: {}", planned.name);
            let count = |entry| plan.ledger.of(entry, &planned.name);
            assert_eq!(outcome.allocs + count(Entry::BornBefore), outcome.frees + outcome.live_objects, "{at}");
            assert_eq!(outcome.live_objects, count(Entry::LiveAtEnd), "{at}");
            // Each object fits into the slabs that are there.
            assert!(outcome.live_objects <= outcome.end.gauges.objects, "{at}");
            assert!(outcome.end.gauges.objects <= outcome.end.gauges.total_objects, "{at}");
        }
        let requested: u64 = outcome.caches.iter().map(|cache| cache.requested_bytes).sum();
        assert_eq!(requested, oracle.requested, "{name}");
        let bytes: u64 = outcome.caches.iter().map(|cache| cache.live_requested_bytes).sum();
        assert!(bytes <= oracle.live_requested, "{name}: {bytes} of {}", oracle.live_requested);
    }
}

#[test]
fn kmalloc_caches_are_as_the_oracle_has_them() {
    for (name, Replayed { oracle, plan, outcome }) in replayed() {
        let (mut seen, mut exact) = (0, 0);
        for (planned, outcome) in plan.caches.iter().zip(&outcome.caches) {
            // Of the generic caches these are never merged with any other (memory cgroups are on).
            let Some(figures) = oracle.kmalloc.get(&planned.name) else { continue };
            let at = format!("{name}: {}", planned.name);
            assert_eq!(plan.ledger.of(Entry::AllocsObserved, &planned.name), figures.allocs, "{at}");
            let implied = plan.ledger.of(Entry::ImpliedFrees, &planned.name);
            assert!(implied >= figures.overlaid, "{at}");
            // Objects that were taken unseen and never freed are live too; the oracle knows nothing of them.
            let unseen = plan.ledger.of(Entry::ImpliedAllocs, &planned.name);
            let (gone, counted) = (figures.live + figures.overlaid, outcome.live_objects + implied - unseen);
            assert!((gone..=gone + figures.contradicted).contains(&counted), "{at}: {counted}, {figures:?}");
            if implied == figures.overlaid {
                assert_eq!(outcome.live_requested_bytes, figures.live_requested, "{at}");
                exact += 1;
            }
            seen += 1;
        }
        assert!(exact >= 8, "{name}: most classes have no other untraced frees");
        assert!(seen >= 10, "{name}: {seen} of {:?}", oracle.kmalloc.keys());
    }
}

#[test]
fn named_caches_hold_the_objects_that_were_freed_by_that_name() {
    for (name, Replayed { oracle, plan, .. }) in replayed() {
        assert_eq!(oracle.ambiguous_keys(), 0, "{name}: a call site with given sizes serves one cache");
        assert!(oracle.named.len() >= 20, "{name}: {:?}", oracle.named);
        for (cache, &count) in &oracle.named {
            let named: u64 = [Entry::NamedAtFree, Entry::NamedByVote].iter().map(|&entry| plan.ledger.of(entry, cache)).sum();
            // Whether the free of a former kmalloc object names an object of its own depends on when that
            // former object is taken to have gone.
            let contradicted = oracle.contradicted.get(cache).copied().unwrap_or(0);
            assert!((count..=count + contradicted).contains(&named), "{name}: {cache}: {named} of {count} and {contradicted}");
        }
    }
}

#[test]
fn objects_go_to_caches_of_their_own_stride() {
    for (name, Replayed { oracle, plan, .. }) in replayed() {
        let mut by_stride: BTreeMap<u64, u64> = BTreeMap::new();
        for cache in &plan.caches {
            *by_stride.entry(u64::from(cache.layout.size)).or_default() += plan.ledger.of(Entry::AllocsObserved, &cache.name);
        }
        by_stride.retain(|_, allocs| *allocs > 0);
        assert_eq!(by_stride, oracle.by_stride, "{name}");
    }
}

#[test]
fn paths_add_up_to_allocations_and_frees() {
    for (name, Replayed { plan, outcome, .. }) in replayed() {
        let mut joined = vec![0; plan.caches.len()];
        for op in plan.ops.iter().filter(|op| op.what.list_goes_on()) {
            joined[usize::from(op.cache)] += 1;
        }
        for ((planned, outcome), joined) in plan.caches.iter().zip(&outcome.caches).zip(joined) {
            let (at, paths) = (format!("{name}: {}", planned.name), outcome.end.paths());
            let allocs =
                [paths.alloc_fastpath, paths.alloc_refill, paths.alloc_cpu_partial, paths.alloc_node_partial, paths.alloc_new_slab];
            assert_eq!(allocs.iter().sum::<u64>(), outcome.allocs, "{at}: {paths:?}");
            let frees = [paths.free_fastpath, paths.free_frozen, paths.free_slowpath];
            // The slow path counts calls: a list of objects of one slab, freed in bulk, counts once.
            let calls: u64 = frees.iter().sum();
            assert!((outcome.frees - joined..=outcome.frees).contains(&calls), "{at}: {} less {joined}, {paths:?}", outcome.frees);
        }
    }
}

/// Every object lives once: an allocation (or a seed), then at most one free, in the same cache.
#[test]
fn objects_live_once() {
    for (name, Replayed { plan, .. }) in replayed() {
        let mut cache_of: Vec<Option<u16>> = vec![None; plan.objects as usize];
        let mut gone = vec![false; plan.objects as usize];
        for seed in &plan.seeds {
            for &(object, _) in &seed.live {
                assert_eq!(cache_of[object as usize].replace(seed.cache), None, "{name}: object {object} seeded twice");
            }
        }
        let mut last = 0;
        for (position, op) in plan.ops.iter().enumerate() {
            let at = format!("{name}: operation {position}, {op:?}");
            let object = op.object as usize;
            assert!(op.time_ns >= last, "{at}");
            last = op.time_ns;
            if op.what.is_free() {
                assert_eq!(cache_of[object], Some(op.cache), "{at}");
                assert!(!std::mem::replace(&mut gone[object], true), "{at}");
            } else {
                assert_eq!(cache_of[object].replace(op.cache), None, "{at}");
            }
        }
    }
}

#[test]
fn check_passes_from_the_command_line() {
    run(&[capture(MIDLIFE).as_os_str(), "--check".as_ref()]).ok();
}
