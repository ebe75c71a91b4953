//! Changes to a kernel, checked and laid out.

use super::assignment::Assignment;
use super::knob::{Knob, ValueError};
use super::standing::{Remedy, Standing, standing};
use crate::allocators::AllocatorKind;
use crate::allocators::slab::{SlabCacheSpec, Tunables};
use crate::allocators::slub::sizing::{Kernel, SheafPolicy};
use crate::allocators::slub::{CacheKind, SeedPlace};
use crate::compare::{Relaid, relay, restart};
use crate::prepare::{Op, Plan, PlannedCache, Sibling};
use crate::setting::Setting;

/// A knob at a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Change {
    /// The knob.
    pub knob: Knob,
    /// The cache, by its number in the plan; `None` for all of them.
    pub cache: Option<usize>,
    /// What it is set to.
    pub value: u32,
}

/// A change that cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChangeError {
    /// The knob does nothing there.
    #[error("{knob} does nothing on {kernel}: {}", .remedy.reason)]
    Dead {
        /// The knob.
        knob: Knob,
        /// Kernel and allocator.
        kernel: String,
        /// What to do instead.
        remedy: Remedy,
    },
    /// The kernel refuses the value.
    #[error(transparent)]
    Value(#[from] ValueError),
    /// The kernel refuses it for this cache.
    #[error("{cache}.{knob}={value}: {reason}")]
    Refused {
        /// Name of the cache.
        cache: String,
        /// The knob.
        knob: Knob,
        /// The value.
        value: u32,
        /// Why.
        reason: String,
    },
}

impl ChangeError {
    /// What to do instead.
    #[must_use]
    pub fn instead(&self) -> Option<&str> {
        match self {
            Self::Dead { remedy, .. } => Some(&remedy.instead),
            Self::Value(_) | Self::Refused { .. } => None,
        }
    }
}

/// What there is to set in a kernel, and the plan that shows its effect.
#[derive(Debug, Clone, Copy)]
pub struct Base<'a> {
    /// The operations, prepared for the kernel as it was recorded.
    pub plan: &'a Plan,
    /// That kernel.
    pub setting: &'a Setting,
}

/// A plan under changes.
#[derive(Debug, Clone)]
pub struct Tuned {
    /// Caches and the heap at the start; the operations stay where they were.
    pub plan: Plan,
    /// Operations before those: see [`Relaid::initial`].
    pub initial: Vec<Op>,
    /// Kernel and machine.
    pub setting: Setting,
    /// Caches, by number, that start with those operations, as their slabs from before the trace do not fit.
    pub restarted: Vec<usize>,
}

impl Base<'_> {
    /// Checks that a knob does something here, and that the kernel takes the values; returns them with what the user should know.
    ///
    /// # Errors
    ///
    /// If not.
    pub fn check(&self, assignment: &Assignment) -> Result<(Vec<Option<u32>>, Vec<String>), ChangeError> {
        let knob = assignment.knob;
        let mut notes = Vec::new();
        match standing(knob, self.setting) {
            Standing::Live(_) => {}
            Standing::WhatIf(remedy) => notes.push(format!("{knob} is a what-if: {}; {}", remedy.reason, remedy.instead)),
            Standing::Dead(remedy) => return Err(ChangeError::Dead { knob, kernel: self.setting.label(), remedy }),
        }
        let mut values = Vec::new();
        for &value in &assignment.values {
            let taken = value.map(|value| knob.accept(value, self.setting)).transpose()?;
            notes.extend(taken.as_ref().and_then(|(_, note)| note.clone()));
            let value = taken.map(|(value, _)| value);
            if !values.contains(&value) {
                values.push(value);
            }
        }
        Ok((values, notes))
    }

    /// The kernel under changes; its caches alone.
    ///
    /// # Errors
    ///
    /// If the kernel refuses one of them.
    pub fn caches(&self, changes: &[Change]) -> Result<(Setting, Vec<PlannedCache>), ChangeError> {
        let mut setting = self.setting.clone();
        // In the order in which they are put on a command line: the kernel lets one order push the other.
        for knob in Knob::ALL.into_iter().filter(|knob| knob.is_boot()) {
            for change in changes.iter().filter(|change| change.knob == knob) {
                boot(&mut setting, knob, change.value);
            }
        }
        let (old, new) = (&self.setting.kernel, &setting.kernel);
        let mut caches: Vec<PlannedCache> = self.plan.caches.clone();
        if old.params != new.params {
            caches.iter_mut().for_each(|cache| reorder(cache, old, new));
        }
        if self.setting.siblings.slab_max_order != setting.siblings.slab_max_order {
            caches.iter_mut().for_each(|cache| regeometry(cache, self.setting, &setting));
        }
        // What is said of one cache overrides what is said of all.
        let of_all = changes.iter().filter(|change| change.cache.is_none());
        for change in of_all.chain(changes.iter().filter(|change| change.cache.is_some())) {
            match change.cache {
                Some(number) => set(&mut caches[number], *change, &setting)?,
                None => {
                    for cache in caches.iter_mut().filter(|cache| concerns(cache, change.knob)) {
                        set(cache, *change, &setting)?;
                    }
                }
            }
        }
        for cache in &caches {
            if let Sibling::Slab(SlabCacheSpec { tunables, .. }) = cache.sibling
                && tunables.accepted().is_none()
            {
                let reason = format!(
                    "batchcount {} is above limit {}: the kernel ignores such a line without an error; set batchcount with it",
                    tunables.batchcount, tunables.limit
                );
                return Err(ChangeError::Refused { cache: cache.name.clone(), knob: Knob::Limit, value: tunables.limit, reason });
            }
        }
        Ok((setting, caches))
    }

    /// The plan under changes, which are in force from its start; `None` if they change nothing.
    ///
    /// Caches that keep their slabs keep their heap and the pages that the recording shows. Others start anew with the objects that they
    /// had. What was on CPUs' lists at the start is on the nodes' if the limit of those lists changed, as the kernel flushes them then.
    ///
    /// # Errors
    ///
    /// If the kernel refuses one of the changes.
    pub fn tuned(&self, changes: &[Change]) -> Result<Option<Tuned>, ChangeError> {
        let (setting, caches) = self.caches(changes)?;
        if caches == self.plan.caches {
            return Ok(None);
        }
        let flushed: Vec<bool> =
            self.plan.caches.iter().zip(&caches).map(|(old, new)| old.layout.cpu_partial != new.layout.cpu_partial).collect();
        let Relaid { mut plan, initial, restarted } = relay(self.plan, caches, &setting);
        for seed in plan.seeds.iter_mut().filter(|seed| flushed[usize::from(seed.cache)] && seed.place != SeedPlace::NodePartial) {
            (seed.place, seed.own) = (SeedPlace::NodePartial, None);
        }
        let same =
            |(old, new): (&PlannedCache, &PlannedCache)| (old.layout.order, old.layout.objects) == (new.layout.order, new.layout.objects);
        let keeps = self.plan.caches.iter().zip(&plan.caches).map(same);
        plan.recorded_slabs =
            keeps.zip(&self.plan.recorded_slabs).map(|(keeps, slabs)| if keeps { slabs.clone() } else { Vec::new() }).collect();
        Ok(Some(Tuned { plan, initial, setting, restarted }))
    }

    /// The plan without changes, but with these caches started anew like those of a change: what such a change is to be compared with, as
    /// objects that are packed anew lack the gaps that they had.
    #[must_use]
    pub(super) fn restarted(&self, anew: &[usize]) -> Tuned {
        let Relaid { mut plan, initial, restarted } = restart(self.plan, anew, self.setting);
        plan.recorded_slabs.clone_from(&self.plan.recorded_slabs);
        for &cache in anew {
            plan.recorded_slabs[cache] = Vec::new();
        }
        Tuned { plan, initial, setting: self.setting.clone(), restarted }
    }

    /// The value that a knob has now: of a cache, else of the whole kernel. `None` for what caches have of their own, without a cache.
    #[must_use]
    pub fn value(&self, knob: Knob, cache: Option<usize>) -> Option<u32> {
        let params = &self.setting.kernel.params;
        match knob {
            Knob::SlabMaxOrder if self.setting.allocator == AllocatorKind::Slab => Some(self.setting.siblings.slab_max_order),
            Knob::SlabMaxOrder => Some(params.max_order),
            Knob::SlabMinOrder => Some(params.min_order),
            Knob::SlabMinObjects => Some(params.min_objects),
            Knob::NoMerge => Some(u32::from(!params.merge)),
            _ => value_of(&self.plan.caches[cache?], knob),
        }
    }
}

/// What a cache has of a knob; `None` if it has no such thing.
#[must_use]
pub fn value_of(cache: &PlannedCache, knob: Knob) -> Option<u32> {
    let layout = &cache.layout;
    let tunables = || match cache.sibling {
        Sibling::Slab(spec) => Some(spec.tunables),
        Sibling::None | Sibling::Slob(_) | Sibling::SlobFreeSpace => None,
    };
    match knob {
        Knob::Order => Some(layout.order),
        Knob::CpuPartial => Some(layout.cpu_partial),
        Knob::MinPartial => Some(layout.min_partial),
        Knob::RemoteNodeDefragRatio => Some(layout.nodes.remote_node_defrag_ratio / 10),
        Knob::SheafCapacity => Some(layout.sheaf_capacity),
        Knob::MaxFullSheaves => Some(layout.nodes.max_full_sheaves),
        Knob::MaxEmptySheaves => Some(layout.nodes.max_empty_sheaves),
        Knob::Limit => Some(tunables()?.limit),
        Knob::BatchCount => Some(tunables()?.batchcount),
        Knob::Shared => Some(tunables()?.shared),
        Knob::SlabMaxOrder | Knob::SlabMinOrder | Knob::SlabMinObjects | Knob::NoMerge => None,
    }
}

/// A word of the command line.
fn boot(setting: &mut Setting, knob: Knob, value: u32) {
    if setting.allocator == AllocatorKind::Slab {
        if knob == Knob::SlabMaxOrder {
            setting.siblings.slab_max_order = value;
        }
        return;
    }
    let kernel = &mut setting.kernel;
    let option = match knob {
        Knob::SlabMaxOrder => "max_order",
        Knob::SlabMinOrder => "min_order",
        Knob::SlabMinObjects => "min_objects",
        _ => {
            kernel.params.merge = value == 0;
            return;
        }
    };
    kernel.params.set(option, value, &kernel.rules, &kernel.machine);
}

/// True if what is said of all caches is said of this one, too.
fn concerns(cache: &PlannedCache, knob: Knob) -> bool {
    match knob {
        Knob::CpuPartial => cache.kind == CacheKind::CpuPartial,
        Knob::SheafCapacity => cache.layout.sheaf_capacity > 0,
        Knob::Limit | Knob::BatchCount | Knob::Shared => matches!(cache.sibling, Sibling::Slab(_)),
        _ => true,
    }
}

/// Sets what a cache has of its own.
fn set(cache: &mut PlannedCache, change: Change, setting: &Setting) -> Result<(), ChangeError> {
    let Change { knob, value, .. } = change;
    let refused = |cache: &PlannedCache, reason: &str| {
        Err(ChangeError::Refused { cache: cache.name.clone(), knob, value, reason: reason.to_owned() })
    };
    let kernel = &setting.kernel;
    match knob {
        Knob::SlabMaxOrder | Knob::SlabMinOrder | Knob::SlabMinObjects | Knob::NoMerge => {}
        Knob::Order => {
            let objects = kernel.machine.objects(value, cache.layout.size).min(32_767) as u32;
            if objects == 0 {
                return refused(cache, "no object fits into such a slab");
            }
            (cache.layout.order, cache.layout.objects) = (value, objects);
            cache.layout.set_cpu_partial(cache.layout.cpu_partial, kernel);
        }
        Knob::CpuPartial if cache.kind == CacheKind::Debug && value > 0 => return refused(cache, "the cache has debug flags (EINVAL)"),
        Knob::CpuPartial if cache.kind == CacheKind::Debug => {}
        Knob::CpuPartial => cache.layout.set_cpu_partial(value, kernel),
        Knob::MinPartial => cache.layout.min_partial = value,
        Knob::RemoteNodeDefragRatio => cache.layout.nodes.remote_node_defrag_ratio = value * 10,
        Knob::SheafCapacity if cache.kind == CacheKind::Debug && value > 0 => {
            return refused(cache, "caches with debug flags have no sheaves");
        }
        Knob::SheafCapacity if value == 0 && kernel.rules.sheaves == SheafPolicy::Every => {
            // What a cache without sheaves has in 7.x: a main sheaf that holds nothing.
            cache.layout.sheaf_capacity = 0;
        }
        Knob::SheafCapacity => cache.layout.sheaf_capacity = value,
        Knob::MaxFullSheaves => cache.layout.nodes.max_full_sheaves = value,
        Knob::MaxEmptySheaves => cache.layout.nodes.max_empty_sheaves = value,
        Knob::Limit | Knob::BatchCount | Knob::Shared => {
            let Sibling::Slab(spec) = &mut cache.sibling else { return refused(cache, "no cache of SLAB") };
            let Tunables { limit, batchcount, shared } = &mut spec.tunables;
            *match knob {
                Knob::Limit => limit,
                Knob::BatchCount => batchcount,
                _ => shared,
            } = value;
        }
    }
    Ok(())
}

/// Gives a cache the order that other words on the command line bring about. Where they bring about none, the figures of the recorded
/// kernel's sysfs stay.
pub(crate) fn reorder(cache: &mut PlannedCache, old: &Kernel, new: &Kernel) {
    let [Some(was), Some(is)] = [old, new].map(|kernel| cache.relaid(old, kernel)) else { return };
    if (was.layout.order, was.layout.objects) != (is.layout.order, is.layout.objects) {
        (cache.layout.order, cache.layout.objects) = (is.layout.order, is.layout.objects);
        cache.layout.set_cpu_partial(cache.layout.cpu_partial, new);
    }
}

/// The same in SLAB.
fn regeometry(cache: &mut PlannedCache, old: &Setting, new: &Setting) {
    let [Some(was), Some(is)] = [old, new].map(|setting| cache.laid_for_slab(&setting.slab_machine())) else { return };
    if let (Sibling::Slab(own), Sibling::Slab(was), Sibling::Slab(is_spec)) = (&mut cache.sibling, was.sibling, is.sibling)
        && was.geometry != is_spec.geometry
    {
        own.geometry = is_spec.geometry;
        cache.layout = is.layout;
    }
}

#[cfg(test)]
mod tests;
