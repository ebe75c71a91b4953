//! Plans made by hand, laid out for kernels whose slabs are larger or smaller.

use super::*;
use crate::allocators::slab::SlabSpec;
use crate::allocators::slub::sizing::{Build, CacheFlags, CacheLayout, CacheSpec, Kernel, KernelRelease, Machine};
use crate::allocators::slub::{CacheKind, SeedPlace, SheafPlace, Topology};
use crate::prepare::{Op, PlannedCache, PlannedSeed, PlannedSheaf, Sibling, What};
use crate::replay::{Engine, NoObserver, Setup};

const STRIDE: u32 = 512;

fn setting(release: KernelRelease, max_order: u32) -> Setting {
    let mut kernel = Kernel::new(release, Machine::x86_64(4), Build::default());
    kernel.params.max_order = max_order;
    Setting::slub(kernel, Topology::uniform(4))
}

fn recorded() -> Setting {
    setting(KernelRelease::new(6, 12, 117), 3)
}

/// One slab of 16 objects from before the trace: two free, two that the trace frees or keeps, twelve that it never speaks of.
fn plan(place: SeedPlace) -> Plan {
    let spec = CacheSpec::new(STRIDE, CacheFlags::NONE);
    let layout = CacheLayout::from_stride(&recorded().kernel, &spec, STRIDE).expect("a layout");
    assert_eq!((layout.order, layout.objects), (1, 16), "4 CPUs ask for 16 objects");
    let cache = PlannedCache {
        name: "c".to_owned(),
        traced_as: "c".to_owned(),
        aliases: Vec::new(),
        is_pseudo: false,
        kind: CacheKind::CpuPartial,
        layout,
        made: SlabSpec::new(STRIDE, CacheFlags::NONE),
        sibling: Sibling::None,
    };
    let free = Op { time_ns: 20, object: 0, requested_bytes: 0, cache: 0, cpu: 0, what: What::FREED, node: -1 };
    Plan {
        caches: vec![cache],
        ops: vec![free],
        objects: 2,
        seeds: vec![PlannedSeed {
            cache: 0,
            free: vec![0, 1],
            own: None,
            node: None,
            place,
            slab: None,
            pfn: None,
            cpu: 0,
            live: vec![(0, 2), (1, 3)],
        }],
        recorded_slabs: vec![Vec::new()],
        marks: vec![(1, "end".to_owned())],
        time_range_ns: (10, 30),
        ..Plan::default()
    }
}

fn alone(plan: &Plan, target: Setting) -> Replayed {
    compare(plan, &recorded(), &[target], &|_| {}).expect("replays").remove(0)
}

#[test]
fn slabs_that_fit_stay_as_they_were() {
    let plan = plan(SeedPlace::Cpu(0));
    let other = setting(KernelRelease::new(6, 8, 0), 3);
    let retargeted = retarget(&plan, &recorded(), &other);
    assert_eq!((retargeted.initial, retargeted.plan.seeds.as_slice()), (0, plan.seeds.as_slice()));
    for (target, is_recorded) in [(recorded(), true), (other, false)] {
        let replayed = alone(&plan, target);
        assert_eq!((replayed.is_recorded, replayed.notes.len()), (is_recorded, 0));
        // 14 of 16 objects in 8 KiB, then 13; the free to the CPU's own slab is fast. Two free objects, then three.
        let figures = replayed.caches[0];
        assert_eq!((figures.allocs, figures.frees, figures.fast_frees, figures.held_objects_end), (0, 1, 1, 3));
        assert_eq!((figures.slab_bytes_peak, figures.slab_bytes_end, figures.slab_bytes_mean), (8192, 8192, 8192.0));
        assert_eq!((figures.live_share_end, figures.node_moves), (Some(13.0 / 16.0), 0));
        assert_eq!(replayed.total, figures, "the only cache");
    }
}

#[test]
fn slabs_that_do_not_fit_are_filled_anew() {
    let plan = plan(SeedPlace::Cpu(0));
    let target = setting(KernelRelease::new(6, 12, 117), 0);
    let retargeted = retarget(&plan, &recorded(), &target);
    assert_eq!(retargeted.restarted, [0]);
    assert!(retargeted.plan.seeds.is_empty());
    assert_eq!((retargeted.initial, retargeted.plan.ops.len(), retargeted.plan.objects), (14, 15, 14));
    assert_eq!(retargeted.plan.marks, [(15, "end".to_owned())]);
    let replayed = alone(&plan, target);
    assert!(replayed.notes.iter().any(|note| note.ends_with(": c")), "{:?}", replayed.notes);
    // 14 objects fill one slab of 8 and 6 places of another, which is the CPU's. The object freed is in the full one, which goes to
    // the CPU's partial list: 2 and 1 objects are free then. What came before is not counted.
    let figures = replayed.caches[0];
    assert_eq!((figures.allocs, figures.fast_allocs, figures.frees, figures.fast_frees), (0, 0, 1, 0));
    assert_eq!((figures.slab_bytes_peak, figures.held_objects_end), (8192, 3));
    assert_eq!(figures.live_share_end, Some(13.0 / 16.0));
}

#[test]
fn places_that_a_kernel_lacks_are_not_used() {
    let plan = plan(SeedPlace::CpuPartial(0));
    let place = |release| retarget(&plan, &recorded(), &setting(release, 3)).plan.seeds[0].place;
    assert_eq!(place(KernelRelease::new(6, 1, 0)), SeedPlace::CpuPartial(0));
    assert_eq!(place(KernelRelease::new(3, 1, 0)), SeedPlace::NodePartial);
    assert_eq!(place(KernelRelease::new(7, 0, 0)), SeedPlace::NodePartial);
}

#[test]
fn sheaves_of_the_start_are_free_where_there_are_none() {
    let mut plan = plan(SeedPlace::NodePartial);
    let source = setting(KernelRelease::new(7, 2, 0), 3);
    let spec = CacheSpec::new(STRIDE, CacheFlags::NONE);
    plan.caches[0].layout = CacheLayout::from_stride(&source.kernel, &spec, STRIDE).expect("a layout");
    assert_eq!((plan.caches[0].layout.objects, plan.caches[0].layout.sheaf_capacity), (16, 28));
    plan.sheaf_seeds = vec![PlannedSheaf { cache: 0, place: SheafPlace::Main(1), objects: vec![(0, 4), (0, 5)] }];
    let laid = |release| retarget(&plan, &source, &setting(release, 3)).plan;
    let old = laid(KernelRelease::new(6, 12, 117));
    assert_eq!((old.seeds[0].free.as_slice(), old.sheaf_seeds.as_slice()), ([0, 1, 4, 5].as_slice(), [].as_slice()));
    let new = laid(KernelRelease::new(7, 0, 0));
    assert_eq!((&new.seeds, &new.sheaf_seeds), (&plan.seeds, &plan.sheaf_seeds));
    // Of 16 objects 2 are free and 2 in a sheaf; then 1 of the 2 that are live for the trace is freed into another sheaf.
    let replayed = compare(&plan, &source, std::slice::from_ref(&source), &|_| {}).expect("replays").remove(0);
    assert_eq!((replayed.is_recorded, replayed.caches[0].held_objects_end), (true, 3));
    assert_eq!(replayed.caches[0].live_share_end, Some(11.0 / 16.0));
}

#[test]
fn a_plan_laid_out_anew_keeps_the_laws() {
    for (major, minor) in [(2, 6), (3, 1), (3, 2), (4, 19), (5, 15), (5, 16), (6, 7), (6, 8), (6, 12), (6, 18), (7, 0)] {
        for max_order in [0, 1, 3] {
            let patch = if major == 2 { 38 } else { 0 };
            let target = setting(KernelRelease::new(major, minor, patch), max_order);
            for place in [SeedPlace::Cpu(3), SeedPlace::CpuPartial(1), SeedPlace::NodePartial] {
                let retargeted = retarget(&plan(place), &recorded(), &target);
                let setup = Setup {
                    rules: target.rules,
                    topology: target.topology.clone(),
                    page_bytes: 4096,
                    samples: 0,
                    pause_at: Vec::new(),
                    check_every: 1,
                };
                let replayed = Engine::new(&retargeted.plan, &setup, UnlimitedPages::default()).run(&mut NoObserver);
                let (outcome, _) = replayed.unwrap_or_else(|error| panic!("{major}.{minor}, order {max_order}: {error}"));
                assert_eq!(outcome.caches[0].frees, 1);
            }
        }
    }
}

#[test]
fn the_recorded_release_may_be_named_without_its_update() {
    let recorded = KernelRelease::new(6, 12, 117);
    assert!(is_recorded(recorded, recorded));
    assert!(is_recorded(KernelRelease::new(6, 12, 0), recorded));
    assert!(!is_recorded(KernelRelease::new(6, 12, 5), recorded));
    assert!(!is_recorded(KernelRelease::new(6, 1, 117), recorded));
}
