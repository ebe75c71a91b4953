//! The computed vectors: 71 strides on 1 … 256 cpus, both order searches.

use super::super::order::min_objects;
use super::*;

fn vectors() -> Table {
    Table::read(include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/sizing/order-vectors.csv")))
}

fn layout(release: &str, row: Row<'_>) -> CacheLayout {
    let kernel = kernel(release, row.get("cpus"));
    let size = row.get("size");
    let spec = CacheSpec::new(size, CacheFlags::NONE);
    CacheLayout::from_stride(&kernel, &spec, size).expect("a layout")
}

#[test]
fn every_row_and_column_of_the_vectors_is_reproduced() {
    let table = vectors();
    assert_eq!(table.rows().len(), 639);
    for row in table.rows() {
        let at = format!("stride {} on {} cpus", row.text("size"), row.text("cpus"));
        assert_eq!(min_objects(&kernel("6.12", row.get("cpus"))), row.get("min_objects"), "{at}");

        let old = layout("6.6", row);
        let new = layout("6.12", row);
        assert_eq!(old.order, row.get("order_upto_6_6"), "{at}");
        assert_eq!(old.objects, row.get("objs_upto_6_6"), "{at}");
        assert_eq!(new.order, row.get("order_from_6_7"), "{at}");
        assert_eq!(new.objects, row.get("objs_from_6_7"), "{at}");
        assert_eq!(
            (old.cpu_partial_slabs, new.cpu_partial_slabs),
            (row.get("cpu_partial_slabs_upto_6_6"), row.get("cpu_partial_slabs_from_6_7")),
            "{at}"
        );
        for layout in [old, new] {
            assert_eq!(
                (layout.min_order, layout.min_objects, layout.min_partial),
                (row.get("min_order_fallback"), row.get("min_objs_fallback"), row.get("min_partial_3_2plus")),
                "{at}"
            );
            assert_eq!(layout.cpu_partial, row.get("cpu_partial_obj_5_16plus"), "{at}");
        }

        let counts_objects = layout("5.15.135", row);
        assert_eq!(counts_objects.cpu_partial, row.get("cpu_partial_obj_3_2_to_5_15"), "{at}");
        assert_eq!(layout("3.1.3", row).min_partial, row.get("min_partial_upto_3_1"), "{at}");
        for release in ["7.0", "7.1.5", "7.2.13", "7.3.4"] {
            assert_eq!(layout(release, row).sheaf_capacity, row.get("sheaf_capacity_7x_default"), "{at}, {release}");
        }
    }
}

#[test]
fn the_search_changed_with_6_7_and_the_cpu_count_with_5_11() {
    for text in ["2.6.38", "3.2", "4.19", "5.10", "6.1.192", "6.6.17"] {
        assert_eq!(calculate_order(&kernel(text, 4), 12_280), Some(2), "{text}");
    }
    for text in ["6.7", "6.8", "6.12", "7.3.4"] {
        assert_eq!(calculate_order(&kernel(text, 4), 12_280), Some(3), "{text}");
    }
    // With the default limits the two differ for these strides only, on any number of cpus.
    for cpus in [1, 2, 4, 8, 64, 256] {
        let (old, new) = (kernel("6.6", cpus), kernel("6.12", cpus));
        for size in (8..=32_768).step_by(8) {
            let differ = calculate_order(&old, size) != calculate_order(&new, size);
            assert_eq!(differ, (10_928..=12_280).contains(&size), "{size}, {cpus} cpus");
        }
    }

    let machine = Machine { cpus_present: 2, cpus_possible: 64, ..Machine::x86_64(0) };
    let wanted = |text| min_objects(&Kernel::new(release(text), machine, Build::default()));
    assert_eq!(wanted("5.10.223"), 32);
    assert_eq!(wanted("5.11"), 12);
    let one_present = Machine { cpus_present: 1, ..machine };
    let kernel = Kernel::new(release("6.12"), one_present, Build::default());
    assert_eq!(min_objects(&kernel), 32, "one present cpu is not believed");
}

/// Both searches, written down once more step by step, agree with the module on limits for
/// which there are no vectors.
#[test]
fn shortcuts_of_the_search_change_no_result() {
    fn ord(bytes: u64) -> u32 {
        (0..).find(|k| 4096_u64 << k >= bytes).expect("an order")
    }
    fn attempt(n: u64, size: u64, low: u32, high: u32, fraction: u64) -> Option<u32> {
        (ord(n * size).max(low)..=high).find(|k| {
            let slab = 4096_u64 << k;
            slab % size <= slab / fraction
        })
    }
    fn one_object_less_at_a_time(size: u64, low: u32, high: u32, wanted: u64) -> Option<u32> {
        let mut n = wanted.min((4096_u64 << high) / size);
        while n > 1 {
            for fraction in [16, 8, 4] {
                if let Some(order) = attempt(n, size, low, high, fraction) {
                    return Some(order);
                }
            }
            n -= 1;
        }
        attempt(1, size, low, high, 1).or_else(|| attempt(1, size, low, 10, 1))
    }

    let mut kernel = kernel("6.6", 4);
    for (low, high) in [(0, 3), (1, 3), (2, 2), (0, 0), (0, 1), (0, 6), (3, 10)] {
        for wanted in [1, 2, 5, 16, 33, 100] {
            kernel.params.min_order = low;
            kernel.params.max_order = high;
            kernel.params.min_objects = wanted;
            // From 256 on: fewer bytes could meet the limit of the object counter.
            for size in (256..40_000).step_by(8).chain([65_536, 262_144, 4 << 20, 5 << 20]) {
                assert_eq!(
                    calculate_order(&kernel, size),
                    one_object_less_at_a_time(u64::from(size), low, high, u64::from(wanted)),
                    "stride {size}, orders {low}..{high}, {wanted} objects"
                );
            }
        }
    }
}

#[test]
fn a_slab_holds_no_more_objects_than_its_counter() {
    // obj(6, 8) = 32768 is one too many; 32767 · 8 bytes round up to order 6, and one less is 5.
    for text in ["6.6", "6.12"] {
        let mut kernel = kernel(text, 4);
        kernel.params.min_order = 6;
        kernel.params.max_order = 6;
        assert_eq!(calculate_order(&kernel, 8), Some(5), "{text}");
        assert_eq!(calculate_order(&kernel, 16), Some(6), "{text}");
    }
    let mut old = kernel("2.6.38", 4);
    old.params.min_order = 6;
    old.params.max_order = 6;
    assert_eq!(calculate_order(&old, 8), Some(6), "16-bit counter");
}
