//! Two nodes: objects of the other one, pages that run out.

use super::*;

fn kmalloc(class: u32) -> SlabSpec {
    SlabSpec::kmalloc(class, CacheFlags::NONE)
}

#[test]
fn objects_of_another_node_go_home_by_the_dozen() {
    let mut bench = Bench::new(kmalloc(256), vec![0, 1]);
    let objects = bench.allocs(0, 40);
    assert_eq!((bench.lists(0).as_str(), bench.array(0).as_str()), ("P[] F[C B A] E[] fo=0", "8/1"));
    let alien = |bench: &Bench| bench.cache.nodes[1].alien[0].as_ref().map(|alien| alien.avail());
    for (until, shared, left) in [(12, "0/0", 12), (13, "12/0", 1), (25, "24/0", 1), (40, "36/0", 4)] {
        let from = [0, 12, 13, 25][[12, 13, 25, 40].iter().position(|&step| step == until).expect("listed")];
        bench.free_on(1, &objects[from..until]);
        assert_eq!((bench.shared(0).as_str(), alien(&bench)), (shared, Some(left)), "{until} freed");
    }
    bench.reap(1, 0, 1);
    assert_eq!((bench.shared(0).as_str(), alien(&bench)), ("40/0", Some(0)));
    assert_eq!((bench.cache.total(SlabCounter::RemoteFrees), bench.cache.total(SlabCounter::AlienOverflow)), (40, 3));
}

#[test]
fn a_full_node_borrows_object_by_object() {
    let mut bench = Bench::new(kmalloc(1024), vec![0, 1]);
    bench.pages.left = vec![1, 100];
    let objects = bench.allocs(0, 10);
    assert_eq!(bench.names(&objects), "A3 A2 A1 A0 B0 B1 B2 B3 C0 C1");
    assert_eq!([bench.lists(0), bench.lists(1)], ["P[] F[A] E[] fo=0", "P[C:2] F[B] E[] fo=2"]);
    // Each of the six objects from elsewhere first meets two refusals on its own node.
    assert_eq!(bench.pages.refused, 12);
}

#[test]
fn this_node_only_fails_where_the_node_has_nothing() {
    let mut bench = Bench::new(kmalloc(1024), vec![0, 1]);
    bench.pages.left = vec![0, 100];
    let only = |node| AllocRequest { node: Some(node), this_node_only: true, ..request(0) };
    assert_eq!(bench.cache.alloc(only(0), &mut bench.pages), None);
    let (object, _) = bench.cache.alloc(only(1), &mut bench.pages).expect("node 1 has pages");
    bench.live += 1;
    bench.check();
    assert_eq!((bench.cache.slabs[object.slab].pages.node, object.index), (1, 0));
    // Past all arrays: nothing was taken in advance.
    assert_eq!((bench.array(0).as_str(), bench.lists(1).as_str()), ("0/0", "P[A:1] F[] E[] fo=3"));
}

#[test]
fn without_arrays_for_other_nodes_each_object_goes_home_at_once() {
    let mut bench = Bench::new(kmalloc(1024), vec![0, 1]);
    bench.cache.nodes.iter_mut().for_each(|node| node.alien.fill(None));
    let objects = bench.allocs(0, 4);
    bench.free_on(1, &objects);
    assert_eq!(bench.lists(0), "P[] F[] E[A] fo=4");
}
