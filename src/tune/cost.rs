//! What a change can cost at most: memory that a kernel may park, whatever the load.

use super::change::{Change, value_of};
use super::knob::Knob;
use crate::allocators::slub::CpuPartial;
use crate::prepare::{PlannedCache, Sibling};
use crate::setting::Setting;

/// Most bytes that a cache may keep without a live object in them.
///
/// * CPU partial lists: CPUs × slabs of the limit × bytes of a slab. From 5.16 on the limit in slabs is twice `cpu_partial` over the objects of
///   a slab, rounded up; before, a list takes slabs until the free objects that they had when they were put there exceed `cpu_partial`.
/// * Sheaves: CPUs × 3 × capacity, and nodes × full sheaves × capacity, objects.
/// * Empty slabs of nodes: nodes × `min_partial` slabs.
/// * SLAB: CPUs × limit, and nodes × shared × batchcount, objects.
#[must_use]
pub fn worst_case_bytes(cache: &PlannedCache, setting: &Setting) -> u64 {
    let layout = &cache.layout;
    let slab = setting.kernel.machine.slab_bytes(layout.order);
    let (cpus, nodes) = (u64::from(setting.kernel.machine.cpus_present), u64::from(setting.topology.nodes()));
    if let Sibling::Slab(spec) = cache.sibling {
        let [limit, batch, shared] = [spec.tunables.limit, spec.tunables.batchcount, spec.tunables.shared].map(u64::from);
        return cpus.saturating_mul(limit).saturating_add(nodes * shared * batch).saturating_mul(u64::from(layout.size));
    }
    let parked = match setting.rules.cpu_partial {
        CpuPartial::Slabs => u64::from(layout.cpu_partial_slabs),
        CpuPartial::Objects if layout.cpu_partial == 0 => 0,
        CpuPartial::Objects => u64::from(layout.cpu_partial) + 1,
        CpuPartial::Absent => 0,
    };
    let on_cpus = cpus.saturating_mul(parked).saturating_mul(slab);
    let on_nodes = nodes.saturating_mul(u64::from(layout.min_partial)).saturating_mul(slab);
    let sheaves = cpus.saturating_mul(3).saturating_add(nodes.saturating_mul(u64::from(layout.nodes.max_full_sheaves)));
    let in_sheaves = match setting.rules.sheaves {
        Some(_) => sheaves.saturating_mul(u64::from(layout.sheaf_capacity)).saturating_mul(u64::from(layout.size)),
        None => 0,
    };
    on_cpus.saturating_add(on_nodes).saturating_add(in_sheaves)
}

/// What a change does to one cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Effect {
    /// Number of the cache in the plan.
    pub cache: usize,
    /// The knob's value before and after; of knobs of the command line, the order of slabs.
    pub values: (u32, u32),
    /// [`worst_case_bytes`] before and after.
    pub worst_case: (u64, u64),
}

/// What a change does to the caches that it concerns, of those before and after all changes.
#[must_use]
pub fn effects(change: &Change, before: (&Setting, &[PlannedCache]), after: (&Setting, &[PlannedCache])) -> Vec<Effect> {
    let shown = if change.knob.is_boot() { Knob::Order } else { change.knob };
    let pairs = before.1.iter().zip(after.1).enumerate();
    pairs
        .filter(|(number, _)| change.cache.is_none_or(|own| own == *number))
        .filter_map(|(cache, (old, new))| {
            let values = (value_of(old, shown)?, value_of(new, shown)?);
            let worst_case = (worst_case_bytes(old, before.0), worst_case_bytes(new, after.0));
            (values.0 != values.1).then_some(Effect { cache, values, worst_case })
        })
        .collect()
}
