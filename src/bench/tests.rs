//! Every pattern by every allocator of the build, quickly; figures from arithmetic.

use std::time::Duration;

use super::stats::median;
use super::trace::{bound, sized};
use super::*;
use crate::prepare::{Op, Plan, What};
use crate::replay::threads::Shares;

fn options(threads: Vec<usize>) -> Options {
    let allocators = Allocator::default_names().into_iter().map(|name| name.parse().expect(name)).collect();
    Options { patterns: Pattern::ALL.to_vec(), allocators, threads, size: 64, rounds: 3, time: Duration::from_micros(200) }
}

#[test]
fn every_pattern_is_measured_with_every_allocator_on_threads_that_it_goes_with() {
    let options = options(vec![1, 2, 3]);
    let figures = run(&options, &|_| {}).expect("memory");
    for pattern in Pattern::ALL {
        for threads in [1, 2, 3] {
            let of_cell = || figures.iter().filter(|figure| figure.pattern == pattern.name() && figure.threads == threads);
            let expected = if pattern.fits(threads) { options.allocators.len() } else { 0 };
            assert_eq!(of_cell().count(), expected, "{} on {threads}", pattern.name());
            for figure in of_cell() {
                assert_eq!(figure.ns_per_pair.len(), 3);
                assert!(figure.min() > 0.0 && figure.min() <= figure.median() && figure.median() < 1e9, "{figure:?}");
            }
        }
    }
}

#[test]
fn objects_of_all_sizes_have_their_caches() {
    for size in [1, 8, 96, 1_000, MAX_BYTES] {
        let options = Options { patterns: vec![Pattern::Batch], size, rounds: 1, ..options(vec![1]) };
        let figures = run(&options, &|_| {}).expect("memory");
        assert!(figures.iter().all(|figure| figure.size == Some(size)));
    }
    let options = Options { size: MAX_BYTES + 1, ..options(vec![1]) };
    assert!(matches!(run(&options, &|_| {}), Err(BenchError::NoCache { size, .. }) if size == MAX_BYTES + 1));
}

#[test]
fn medians_and_minima() {
    assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
    assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
    assert_eq!(median(&[]), f64::INFINITY);
    let figure =
        Figure { pattern: "reuse", allocator: "system".to_owned(), threads: 1, size: None, ns_per_pair: vec![5.0, 4.0, 9.0], replay: None };
    assert_eq!((figure.median(), figure.min()), (5.0, 4.0));
}

fn plan() -> Plan {
    let op = |cpu, object, requested_bytes, what| Op { time_ns: 0, object, requested_bytes, cache: 0, cpu, what, node: -1 };
    let ops = vec![
        op(0, 0, 40, What::ALLOC),
        op(0, 1, 24, What::ALLOC.in_bulk()),
        op(0, 1, 0, What::FREED.by_rcu()),
        op(1, 0, 0, What::FREED.in_list()),
    ];
    let kernel = crate::allocators::slub::sizing::KernelRelease::new(6, 12, 0);
    let kernel =
        crate::allocators::slub::sizing::Kernel::new(kernel, crate::allocators::slub::sizing::Machine::x86_64(2), Default::default());
    let spec = crate::allocators::slub::sizing::CacheSpec::new(48, crate::allocators::slub::sizing::CacheFlags::NONE);
    let cache = crate::prepare::PlannedCache {
        name: "some".to_owned(),
        traced_as: String::new(),
        aliases: Vec::new(),
        is_pseudo: false,
        kind: crate::allocators::slub::CacheKind::CpuPartial,
        layout: crate::allocators::slub::sizing::CacheLayout::calculate(&kernel, &spec).expect("a layout"),
        made: crate::allocators::slab::SlabSpec::new(48, crate::allocators::slub::sizing::CacheFlags::NONE),
        sibling: crate::prepare::Sibling::None,
    };
    Plan { ops, objects: 2, caches: vec![cache], recorded_slabs: vec![Vec::new()], ..Plan::default() }
}

#[test]
fn other_allocators_are_told_sizes_at_frees_too() {
    let sized = sized(&plan());
    assert_eq!(sized.ops.iter().map(|op| op.requested_bytes).collect::<Vec<_>>(), [40, 24, 24, 40]);
    assert_eq!(sized.ops.iter().map(|op| op.what).collect::<Vec<_>>(), [What::ALLOC, What::ALLOC, What::FREED, What::FREED]);
}

#[test]
fn the_busiest_worker_bounds_efficiency() {
    // Three of four operations on one of two workers.
    assert_eq!(bound(&Shares::of(&plan(), 2, 2)), 4.0 / 6.0);
    assert_eq!(bound(&Shares::of(&plan(), 2, 1)), 1.0);
    assert_eq!(bound(&Shares::default()), 0.0);
}
