//! Page order of a cache's slabs.

use super::{Kernel, OrderSearch};

/// Returns the page order for slabs of objects with stride `size`, or `None` if even the page
/// allocator's largest order cannot hold one.
///
/// Source: `calculate_order()`, `mm/slub.c`, Linux 2.6.38 … 7.3.
pub fn calculate_order(kernel: &Kernel, size: u32) -> Option<u32> {
    if size == 0 || kernel.machine.page_bytes == 0 {
        return None;
    }
    let search = Search {
        kernel,
        size,
        // 31 keeps loops short whatever the caller filled in.
        max_order: kernel.params.max_order.min(kernel.machine.max_page_order).min(31),
        page_limit: kernel.machine.max_page_order.min(31),
    };
    match kernel.rules.order_search {
        OrderSearch::ObjectsLoop => search.objects_loop(),
        OrderSearch::SinglePass => search.single_pass(),
    }
}

/// Returns how many objects a slab should hold: the boot parameter, or a figure that grows with
/// the number of cpus because more cpus take turns on a cache's lists.
pub fn min_objects(kernel: &Kernel) -> u32 {
    if kernel.params.min_objects != 0 {
        return kernel.params.min_objects;
    }
    let machine = &kernel.machine;
    // Some architectures know only one present cpu this early.
    let cpus = if kernel.rules.min_objects_from_present && machine.cpus_present > 1 { machine.cpus_present } else { machine.cpus_possible };
    let fls = u32::BITS - cpus.leading_zeros();
    4 * (fls + 1)
}

struct Search<'a> {
    kernel: &'a Kernel,
    /// Stride, not 0.
    size: u32,
    max_order: u32,
    page_limit: u32,
}

impl Search<'_> {
    /// Up to 6.6: for ever fewer objects, accept 1/16, 1/8, 1/4 waste; then anything.
    fn objects_loop(&self) -> Option<u32> {
        let mut objects = self.wanted_objects(0);
        while objects > 1 {
            for fraction in [16, 8, 4] {
                if let Some(order) = self.try_orders(objects, self.max_order, fraction) {
                    return Some(order);
                }
            }
            // The kernel tries one object less. Only the order to start from depends on the
            // number, so go on with the largest number that has a lower one.
            let start = self.start_order(objects);
            if start <= self.kernel.params.min_order {
                break;
            }
            objects = objects.saturating_sub(1).min(self.kernel.machine.objects(start - 1, self.size));
        }
        self.try_orders(1, self.max_order, 1).or_else(|| self.try_orders(1, self.page_limit, 1))
    }

    /// `slab_order()`: the first order that wastes at most 1/`fraction` of the slab.
    fn try_orders(&self, objects: u64, max_order: u32, fraction: u64) -> Option<u32> {
        if let Some(order) = self.order_of_full_counter(self.kernel.params.min_order) {
            return Some(order).filter(|order| *order <= max_order);
        }
        self.least_waste(self.start_order(objects), max_order, fraction)
    }

    /// From 6.7 on: one pass over the orders for each of 1/16 … 1/2 waste.
    fn single_pass(&self) -> Option<u32> {
        let low = self.start_order(self.wanted_objects(1));
        if let Some(order) = self.order_of_full_counter(low) {
            return Some(order);
        }
        [16, 8, 4, 2].into_iter().find_map(|fraction| self.least_waste(low, self.max_order, fraction)).or_else(|| {
            let order = self.kernel.machine.order_of(u64::from(self.size));
            Some(order).filter(|order| *order <= self.page_limit)
        })
    }

    fn wanted_objects(&self, at_least: u64) -> u64 {
        let fitting = self.kernel.machine.objects(self.max_order, self.size);
        u64::from(min_objects(self.kernel)).min(fitting.max(at_least))
    }

    fn start_order(&self, objects: u64) -> u32 {
        let bytes = u64::from(self.size).saturating_mul(objects);
        let order = self.kernel.machine.order_of(bytes);
        order.max(self.kernel.params.min_order)
    }

    fn least_waste(&self, low: u32, high: u32, fraction: u64) -> Option<u32> {
        (low..=high).find(|&order| {
            let slab_bytes = self.kernel.machine.slab_bytes(order);
            slab_bytes % u64::from(self.size) <= slab_bytes / fraction
        })
    }

    /// If a slab of `order` holds more objects than its counter can: the order just below the
    /// counter's limit.
    fn order_of_full_counter(&self, order: u32) -> Option<u32> {
        let limit = u64::from(self.kernel.rules.max_objects_per_slab);
        let machine = &self.kernel.machine;
        (machine.objects(order, self.size) > limit).then(|| {
            let bytes = u64::from(self.size) * limit;
            machine.order_of(bytes).saturating_sub(1)
        })
    }
}
