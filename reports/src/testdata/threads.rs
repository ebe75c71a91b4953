//! A replay on two threads, small enough to work out every figure by hand.

use crate::input::threads::{
    ComparedFigure, LockFigures, PathLatency, ThreadsCache, ThreadsFacts, ThreadsInput, ThreadsMemory, WorkerFigures,
};

/// Two caches on two CPUs; `dentry` takes no lock.
pub(crate) fn small() -> ThreadsInput {
    ThreadsInput {
        run: super::small().run,
        facts: ThreadsFacts {
            operations: 240,
            elapsed_ns: 1000,
            window_ns: Some(10_000_000),
            touch: "none",
            sample_every: 64,
            clock_cost_ns: 18.0,
            ..ThreadsFacts::default()
        },
        workers: vec![worker(0, 140, 1000), worker(1, 100, 800)],
        latency: vec![
            path("alloc fast", true, 110, &[(20.0, 0.5), (40.0, 1.0)]),
            path("alloc new slab", true, 40, &[(300.0, 0.25), (2500.0, 1.0)]),
            path("free fast", false, 90, &[(25.0, 1.0)]),
            PathLatency { path: "free node list", ..PathLatency::default() },
        ],
        figures: vec![
            ComparedFigure { name: "allocations", why: None },
            ComparedFigure { name: "alloc_fastpath", why: Some("Who is first is served fast.") },
            ComparedFigure { name: "alloc_slowpath", why: Some("Who is first is served fast.") },
        ],
        caches: vec![
            ThreadsCache {
                name: ":0000064".to_owned(),
                label: "kmalloc-64".to_owned(),
                list_locks: vec![locks(60, 6, 900), locks(20, 1, 100)],
                list_locks_of_node: vec![locks(80, 7, 1000)],
                barn_locks: vec![locks(10, 3, 500), locks(0, 0, 0)],
                page_locks: vec![locks(2, 0, 0), locks(0, 0, 0)],
                exact: vec![100, 80, 20],
                threads: vec![100, 70, 30],
            },
            ThreadsCache {
                name: "dentry".to_owned(),
                label: "dentry".to_owned(),
                list_locks: vec![locks(0, 0, 0); 2],
                list_locks_of_node: vec![locks(0, 0, 0)],
                barn_locks: vec![locks(0, 0, 0); 2],
                page_locks: vec![locks(7, 1, 50), locks(0, 0, 0)],
                exact: vec![50, 40, 10],
                threads: vec![50, 40, 10],
            },
        ],
        memory: ThreadsMemory {
            slab_peak: 24576,
            frames: 24576,
            descriptors: 384,
            slots: 64,
            cpus: 512,
            touched: 0,
            live_peak: 150,
            overhead_per_object: 6.4,
        },
    }
}

fn worker(cpu: u16, operations: u64, elapsed_ns: u64) -> WorkerFigures {
    WorkerFigures {
        cpus: vec![cpu],
        core: Some(usize::from(cpu)),
        operations,
        elapsed_ns,
        waited_for_objects_ns: 50,
        waited_for_window_ns: 0,
    }
}

fn locks(taken: u64, contended: u64, waited_ns: u64) -> LockFigures {
    LockFigures { taken, contended, waited_ns }
}

fn path(path: &'static str, is_alloc: bool, operations: u64, distribution: &[(f64, f64)]) -> PathLatency {
    let at = |share: f64| distribution.iter().find(|(_, below)| *below >= share).map(|(ns, _)| *ns);
    PathLatency {
        path,
        is_alloc,
        operations,
        timed: 4,
        mean_ns: Some(30.0),
        max_ns: at(1.0),
        quantiles_ns: crate::input::threads::QUANTILES.map(|(share, _)| at(share)),
        distribution: distribution.to_vec(),
    }
}
