//! Worked scenarios, computed by hand from the rules of 6.1, and random operations with every law checked.

use proptest::prelude::*;

use super::*;
use crate::allocators::slub::Caller;
use crate::mem::UnlimitedPages;

const KMALLOC: usize = 0;
/// A cache of 192 bytes, aligned to 8.
const SMALL: usize = 1;
/// A cache of 300 bytes with the footer of RCU, aligned to 64.
const RCU: usize = 2;
/// A cache of more than a page.
const LARGE: usize = 3;
const ROWS: usize = 5;

fn slob(release: KernelRelease, rcu_delay_ns: u64) -> Slob {
    let setting =
        SlobSetting { rules: SlobRules::of(release), topology: Topology::uniform(1), page_bytes: 4096, min_align: 8, rcu_delay_ns };
    let cache = |size, align| SlobCacheSpec { demand: Demand::Cache { size, align }, is_typesafe_by_rcu: false };
    let kmalloc = SlobCacheSpec { demand: Demand::Kmalloc, is_typesafe_by_rcu: false };
    let rcu = SlobCacheSpec { is_typesafe_by_rcu: true, ..cache(300 + RCU_FOOTER_BYTES, 64) };
    Slob::new([kmalloc, cache(192, 8), rcu, cache(5000, 8)], setting)
}

/// SLOB over pages that are numbered in the order in which they are taken.
struct Bench {
    slob: Slob,
    pages: UnlimitedPages,
    live: [u64; ROWS],
}

impl Bench {
    fn new(release: KernelRelease) -> Self {
        Self { slob: slob(release, 0), pages: UnlimitedPages::default(), live: [0; ROWS] }
    }

    fn alloc(&mut self, cache: usize, bytes: u32) -> Object {
        let request = AllocRequest { cpu: 0, node: None, this_node_only: false, caller: Caller::Blocking, no_sheaf: false };
        let (object, _) = Allocator::alloc(&mut self.slob, cache, request, bytes, &mut self.pages).expect("pages");
        self.live[cache] += 1;
        self.check();
        object
    }

    /// Page and byte of what kmalloc returns.
    fn kmalloc(&mut self, bytes: u32) -> (u64, u32) {
        let object = self.alloc(KMALLOC, bytes);
        self.place(KMALLOC, object)
    }

    fn place(&self, cache: usize, object: Object) -> (u64, u32) {
        (self.slob.frame(object), self.slob.offset(cache, object))
    }

    fn free(&mut self, cache: usize, object: Object) {
        Allocator::free(&mut self.slob, cache, 0, object, &mut self.pages);
        self.live[cache] -= 1;
        self.check();
    }

    fn check(&self) {
        for (row, &live) in self.live.iter().enumerate() {
            self.slob.validate(row, live).expect("the laws hold");
        }
    }

    /// Free blocks of a page: offset and bytes.
    fn holes(&self, frame: u64) -> Vec<(u32, u32)> {
        let (_, page) = self.slob.pages.iter().find(|(_, page)| page.pages.pfn == frame).expect("the page is there");
        page.free.iter().map(|block| (u32::from(block.start) * 2, u32::from(block.units) * 2)).collect()
    }

    /// Pages of a list with their free units, from its front on.
    fn list(&self, list: SizeList) -> Vec<(u64, u16)> {
        self.slob.pages.listed(list).map(|id| (self.slob.pages[id].pages.pfn, self.slob.pages[id].units)).collect()
    }
}

#[test]
fn blocks_are_placed_as_in_the_kernel() {
    use SizeList::{Large, Medium, Small};
    let mut bench = Bench::new(KernelRelease::new(6, 1, 0));
    let first = bench.alloc(KMALLOC, 24);
    assert_eq!(bench.place(KMALLOC, first), (0, 8));
    // A power of two is aligned to itself: the block begins at 56.
    let second = bench.alloc(KMALLOC, 64);
    assert_eq!(bench.place(KMALLOC, second), (0, 64));
    assert_eq!(bench.kmalloc(100), (0, 136));
    assert_eq!((bench.list(Small), bench.holes(0)), (vec![(0, 1942)], vec![(32, 24), (236, 3860)]));
    assert_eq!(bench.kmalloc(1), (0, 40));
    // 255 bytes with the header are small, 256 are not.
    assert_eq!(bench.kmalloc(247), (0, 248));
    assert_eq!(bench.kmalloc(248), (1, 8));
    assert_eq!((bench.list(Small), bench.list(Medium)), (vec![(0, 1809)], vec![(1, 1920)]));
    assert_eq!((bench.holes(0), bench.holes(1)), (vec![(42, 14), (236, 4), (496, 3600)], vec![(256, 3840)]));
    assert_eq!(bench.kmalloc(1015), (1, 264));
    assert_eq!(bench.kmalloc(1016), (2, 8));
    assert_eq!((bench.list(Medium), bench.list(Large)), (vec![(1, 1408)], vec![(2, 1536)]));
    let whole = bench.alloc(KMALLOC, 4087);
    assert_eq!(bench.place(KMALLOC, whole), (3, 8));
    assert_eq!([bench.kmalloc(4088), bench.kmalloc(4096), bench.kmalloc(5000)], [(4, 0), (5, 0), (6, 0)]);
    assert_eq!(bench.slob.pages_in_use(), 8);
    bench.free(KMALLOC, second);
    assert_eq!(bench.holes(0), [(42, 86), (236, 4), (496, 3600)]);
    bench.free(KMALLOC, first);
    assert_eq!(bench.holes(0)[0], (0, 32));
    assert_eq!(bench.kmalloc(30), (0, 56));
    assert_eq!(bench.holes(0), [(0, 32), (42, 6), (86, 42), (236, 4), (496, 3600)]);
    assert_eq!(bench.list(Small), [(0, 1842)]);
    bench.free(KMALLOC, whole);
    assert_eq!(bench.slob.pages_in_use(), 7);
    let small = bench.alloc(SMALL, 0);
    assert_eq!((bench.place(SMALL, small), bench.list(Small)), ((0, 496), vec![(0, 1746)]));
    let rcu = bench.alloc(RCU, 0);
    assert_eq!((bench.place(RCU, rcu), bench.list(Medium)), ((1, 1280), vec![(1, 1246)]));
    let large = bench.alloc(LARGE, 0);
    assert_eq!(bench.slob.slab_count(LARGE), 1);
    bench.free(LARGE, large);
    assert_eq!((bench.slob.slab_count(LARGE), bench.slob.pages_in_use()), (0, 7));
}

#[test]
fn a_full_page_comes_back_to_the_list_of_what_is_freed() {
    let mut bench = Bench::new(KernelRelease::new(6, 1, 0));
    let small: Vec<Object> = (0..2).map(|_| bench.alloc(KMALLOC, 104)).collect();
    // 2 * 112 + 20 * 192 + 32 bytes fill the page; what is large goes elsewhere.
    let large = bench.alloc(KMALLOC, 1500);
    assert_ne!(bench.slob.frame(large), bench.slob.frame(small[0]));
    let rest: Vec<Object> = (0..20).map(|_| bench.alloc(SMALL, 0)).collect();
    assert_eq!(bench.list(SizeList::Small), [(bench.slob.frame(small[0]), 16)]);
    let filler = bench.alloc(KMALLOC, 24);
    assert!(rest.iter().chain([&filler]).all(|&object| bench.slob.frame(object) == bench.slob.frame(small[0])));
    assert_eq!(bench.list(SizeList::Small), []);
    bench.free(KMALLOC, small[0]);
    assert_eq!(bench.list(SizeList::Small), [(bench.slob.frame(small[0]), 56)]);
}

#[test]
fn the_next_search_begins_where_the_last_one_ended() {
    let mut bench = Bench::new(KernelRelease::new(6, 1, 0));
    // Three pages of the medium list, each with one block of 1000 bytes of a kind and less and less room.
    let fill = |bench: &mut Bench, count: usize| (0..count).map(|_| bench.alloc(KMALLOC, 1000)).collect::<Vec<Object>>();
    let objects = fill(&mut bench, 12);
    let frames: Vec<u64> = [0, 4, 8].map(|at| bench.slob.frame(objects[at])).to_vec();
    assert_eq!(bench.list(SizeList::Medium).iter().map(|page| page.0).collect::<Vec<_>>(), [frames[2], frames[1], frames[0]]);
    // Only the page in the middle gets room for 504 bytes: with it the list begins, and its order stays.
    bench.free(KMALLOC, objects[5]);
    let object = bench.alloc(KMALLOC, 504);
    assert_eq!(bench.slob.frame(object), frames[1]);
    assert_eq!(bench.list(SizeList::Medium).iter().map(|page| page.0).collect::<Vec<_>>(), [frames[1], frames[0], frames[2]]);
}

#[test]
fn up_to_4_19_the_header_is_aligned_and_powers_of_two_are_not() {
    let mut bench = Bench::new(KernelRelease::new(4, 19, 0));
    assert_eq!([bench.kmalloc(24), bench.kmalloc(64), bench.kmalloc(100)], [(0, 8), (0, 40), (0, 112)]);
}

#[test]
fn objects_that_rcu_holds_go_back_later() {
    let mut slob = slob(KernelRelease::new(6, 1, 0), 1000);
    let mut pages = UnlimitedPages::default();
    let request = AllocRequest { cpu: 0, node: None, this_node_only: false, caller: Caller::Blocking, no_sheaf: false };
    slob.advance(5000, 0, &mut pages);
    let (object, _) = Allocator::alloc(&mut slob, RCU, request, 0, &mut pages).expect("pages");
    Allocator::free(&mut slob, RCU, 0, object, &mut pages);
    assert_eq!((slob.held_objects(RCU), slob.pages_in_use()), (1, 1));
    assert!(!slob.advance(5999, 0, &mut pages));
    assert!(slob.advance(6000, 0, &mut pages));
    assert_eq!((slob.held_objects(RCU), slob.pages_in_use()), (0, 0));
}

#[test]
fn rows_add_up_to_the_pages_in_use() {
    let mut bench = Bench::new(KernelRelease::new(6, 1, 0));
    for (cache, bytes) in [(KMALLOC, 24), (SMALL, 0), (RCU, 0), (LARGE, 0), (KMALLOC, 9000)] {
        bench.alloc(cache, bytes);
    }
    let rows: u64 = (0..ROWS).map(|row| bench.slob.slab_bytes(row, 4096)).sum();
    // Two shared pages (small and medium), two of the large cache, four for 9000 bytes.
    assert_eq!((rows, bench.slob.pages_in_use()), (8 * 4096, 8));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn laws_hold_after_every_operation(
        steps in prop::collection::vec((any::<bool>(), 0..4_usize, 1..6000_u32, any::<usize>()), 1..400),
        is_old in any::<bool>(),
    ) {
        let mut bench = Bench::new(if is_old { KernelRelease::new(4, 19, 0) } else { KernelRelease::new(6, 1, 0) });
        let mut live: Vec<(usize, Object)> = Vec::new();
        for (is_alloc, cache, bytes, at) in steps {
            if is_alloc || live.is_empty() {
                let object = bench.alloc(cache, bytes);
                prop_assert!(live.iter().all(|(_, other)| *other != object), "a block is handed out once");
                live.push((cache, object));
            } else {
                let (cache, object) = live.swap_remove(at % live.len());
                bench.free(cache, object);
            }
        }
        for (cache, object) in live {
            bench.free(cache, object);
        }
        prop_assert_eq!(bench.slob.pages_in_use(), 0);
    }
}
