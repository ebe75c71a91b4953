//! Analyses of replays made by hand, with figures worked out from their operations.

use super::callers::{Caller, callers};
use super::verdict::Seen;
use super::*;
use crate::allocators::slub::Topology;
use crate::allocators::slub::sizing::{Build, KernelRelease};
use crate::mem::UnlimitedPages;
use crate::prepare::tests::{Script, kernel};
use crate::replay::{Engine, Setup};
use crate::setting::Setting;

/// Objects of 512 bytes, 16 in a slab of two pages, as 4 CPUs ask for.
const STRIDE: u64 = 512;
const BASE: u64 = 0xffff_8880_0100_0000;

/// CPU 0 allocates two slabs' worth of objects, the first from a call site of its own. CPU 1 frees all but the first of the first slab,
/// then allocates and frees something else a hundred times.
fn script() -> Script {
    let mut script = Script::default();
    script.on(0).alloc(0xb0, BASE, STRIDE, STRIDE);
    for object in 1..32 {
        script.alloc(0xa1, BASE + object * STRIDE, STRIDE, STRIDE);
    }
    script.on(1);
    for object in 1..16 {
        script.free(BASE + object * STRIDE, "c");
    }
    for _ in 0..100 {
        script.kmalloc(BASE + 0x10_0000, 60, 64, 0xcc0).kfree(BASE + 0x10_0000);
    }
    script
}

fn analysed(plan: &Plan, looks: usize) -> Analysis {
    let setting = Setting::slub(kernel(KernelRelease::new(6, 12, 0), Build::default()), Topology::uniform(4));
    let looks = Looks::spread(plan, looks);
    let setup = Setup { pause_at: looks.positions.clone(), ..setting.setup() };
    let mut analyst = Analyst::new(plan, &setting.rules, 4096, &looks);
    Engine::new(plan, &setup, UnlimitedPages::default()).run(&mut analyst).expect("replays");
    analyst.finish()
}

fn cache(plan: &Plan, name: &str) -> usize {
    plan.caches.iter().position(|cache| cache.name == name).expect("such a cache")
}

#[test]
fn slabs_are_counted_by_fill_and_place() {
    let plan = script().plan();
    let analysis = analysed(&plan, 3);
    let looks = &analysis.looks[cache(&plan, "c")];
    // Nothing before the first operation; 47 of 247 events lie before the middle.
    assert_eq!((looks.len(), looks[0]), (3, CacheLook::default()));
    for look in &looks[1..] {
        assert_eq!((look.slabs, look.slab_bytes, look.objects, look.live), (2, 2 * 8192, 32, 17));
        let mut occupancy = [0; OCCUPANCY_BINS];
        (occupancy[1], occupancy[11]) = (1, 1); // 1 of 16, and 16 of 16
        assert_eq!(look.occupancy, occupancy);
        // The second slab is CPU 0's still; the first is on CPU 1's partial list.
        assert_eq!((look.slabs_at, look.free_at, look.held()), ([0, 1, 1, 0], [0, 0, 15, 0], 15));
    }
}

#[test]
fn the_last_object_of_a_slab_pins_what_is_free_in_it() {
    let plan = script().plan();
    let analysis = analysed(&plan, 3);
    let [pin] = analysis.pins.as_slice() else { panic!("{:?}", analysis.pins) };
    assert_eq!((usize::from(pin.cache), pin.site.map(|site| plan.origins.sites[site as usize])), (cache(&plan, "c"), Some(0xb0)));
    // 15 objects are free at the second and third of three looks; 247 events are 10 ns apart.
    let free = (15 * STRIDE) as f64;
    assert_eq!((pin.bytes.end, pin.bytes.peak, pin.bytes.objects_end, pin.bytes.age_ns), (free, free, 1, 2460));
    assert!((pin.bytes.mean - free * 2.0 / 3.0).abs() < 1e-6);
}

#[test]
fn objects_are_followed_from_allocation_to_free() {
    let plan = script().plan();
    let lives = analysed(&plan, 3).lives;
    let of_c = &lives.caches[cache(&plan, "c")];
    assert_eq!((of_c.lifetimes.len(), of_c.remote_frees, of_c.known_frees, of_c.live), (15, 15, 15, 17));
    // Object i is allocated at 10 + 10 i and freed at 330 + 10 (i - 1): all live 310 ns, to two digits.
    assert!((305..=315).contains(&of_c.lifetimes.min()) && (305..=315).contains(&of_c.lifetimes.max()), "{:?}", of_c.lifetimes.max());
    assert_eq!([[0, 0], [0, 1], [1, 0], [1, 1]].map(|[one, other]| lives.remote_frees.count(one, other)), [0, 15, 0, 100]);
    let site = |address| {
        let is_it = |owner: &Owner<u32>| owner.who.map(|site| plan.origins.sites[site as usize]) == Some(address);
        lives
            .sites
            .iter()
            .find(|(owner, _)| is_it(owner))
            .map(|(_, lives)| (lives.allocs, lives.frees, lives.live, lives.live_requested_bytes))
    };
    assert_eq!((site(0xb0), site(0xa1)), (Some((1, 0, 1, STRIDE)), Some((31, 15, 16, 16 * STRIDE))));
    let threads: Vec<_> = lives.threads.iter().map(|(owner, lives)| (owner.who, lives.allocs, lives.live)).collect();
    assert!(threads.contains(&(Some(100), 32, 17)) && threads.contains(&(Some(101), 100, 0)), "{threads:?}");
}

#[test]
fn callers_are_counted_as_perf_does() {
    let mut script = Script::default();
    script.on(0).kmalloc(0x1000, 100, 128, 0xcc0).alloc(0xa1, 0x2000, 192, 192);
    // Once on another CPU; a second free of the address counts again, as perf has no CPU for it any more.
    script.on(1).kfree(0x1000).kfree(0x1000).kfree(0x9000);
    script.on(0).free(0x2000, "c");
    let caller = |call_site, hits, requested_bytes, allocated_bytes, ping_pong| Caller {
        call_site,
        hits,
        requested_bytes,
        allocated_bytes,
        ping_pong,
    };
    let found = callers(&script.recording());
    assert_eq!(found, [caller(0xa1, 1, 192, 192, 0), caller(1, 1, 100, 128, 2)]);
    assert_eq!(found[1].fragmentation(), 28.0 / 128.0);
}

fn judged(looks: &[CacheLook], lives: &CacheLives) -> Finding {
    let plan = script().plan();
    verdict(&Seen { planned: &plan.caches[cache(&plan, "c")], looks, lives, page_bytes: 4096 })
}

#[test]
fn verdicts_follow_the_largest_part() {
    let lives = CacheLives::default();
    let look = CacheLook { slabs: 128, slab_bytes: 1 << 20, objects: 2048, ..CacheLook::default() };
    assert_eq!(judged(&[look], &lives).kind, Kind::Fine);
    // 1000 of 2048 objects are held: 500 KiB of 1 MiB; 700 are on nodes' lists.
    let parked = CacheLook { parked: 1000, free_at: [0, 0, 0, 700], ..look };
    let finding = judged(&[parked], &lives);
    assert_eq!((finding.kind, finding.bytes, finding.evidence.len()), (Kind::Hoarded, 1000 * STRIDE, 2));
    let listed = CacheLook { free_at: [0, 0, 0, 1001], parked: 1000, ..look };
    assert_eq!((judged(&[listed], &lives).kind, judged(&[listed], &lives).bytes), (Kind::Sparse, 1001 * STRIDE));
    // The same shares of a hundredth of that are not worth a word.
    let small = CacheLook { slab_bytes: 10 << 10, parked: 10, free_at: [0, 0, 0, 7], ..look };
    assert_eq!(judged(&[small], &lives).kind, Kind::Fine);
    // 300 bytes of 512 asked for, 1000 times: 212,000 bytes of padding, 41 %.
    let padded = CacheLives { live: 1000, live_requested_bytes: 300_000, ..CacheLives::default() };
    let finding = judged(&[look], &padded);
    assert_eq!((finding.kind, finding.bytes), (Kind::WastefulClass, 1000 * STRIDE - 300_000));
    let refused = CacheLook { order_fallbacks: 16, ..look };
    assert_eq!((judged(&[refused], &lives).kind, judged(&[refused], &lives).bytes), (Kind::HighOrder, 16 * 8192));
}

#[test]
fn a_leak_grows_from_quarter_to_quarter_and_keeps_what_it_got() {
    let course = |live: [u64; 5]| live.map(|live| CacheLook { live, ..CacheLook::default() });
    let kept = CacheLives { middle_allocs: 500, middle_live: 400, ..CacheLives::default() };
    let finding = judged(&course([0, 100, 200, 300, 400]), &kept);
    assert_eq!((finding.kind, finding.bytes), (Kind::Leak, 300 * STRIDE));
    // It comes down once; or most of what was allocated is gone; or it hardly grows.
    assert_eq!(judged(&course([0, 100, 300, 200, 400]), &kept).kind, Kind::Fine);
    let freed = CacheLives { middle_live: 100, ..kept.clone() };
    assert_eq!(judged(&course([0, 100, 200, 300, 400]), &freed).kind, Kind::Fine);
    assert_eq!(judged(&course([0, 10_000, 10_200, 10_400, 10_600]), &kept).kind, Kind::Fine);
}
