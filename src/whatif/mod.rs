//! Loads under another design of the caches: who shares a cache with whom, on how many CPUs.
//!
//! | file | what it does |
//! |---|---|
//! | `kind` | the designs, as a user names them |
//! | `assign` | which object goes to which cache |
//! | `regroup` | carries it out: caches, operations, the heap at the start |
//!
//! Each is a plan made of a plan. Times, CPUs and the order of operations stay; objects from before the trace, in caches that lose or win
//! any, are allocated anew before the first operation.

mod assign;
mod kind;
mod regroup;
#[cfg(test)]
mod tests;

pub use kind::{Kind, WhatIf, WhatIfError};

use crate::allocators::AllocatorKind;
use crate::allocators::slub::{SeedPlace, SheafPlace, Topology};
use crate::compare::{Relaid, relay};
use crate::prepare::Plan;
use crate::setting::Setting;
use crate::tune::reorder;

impl WhatIf {
    /// Makes the plan and the setting what they would be; returns what the reader should know. `sites` tells which call sites of
    /// [`crate::prepare::Origins::sites`] are meant, by number.
    ///
    /// # Errors
    ///
    /// If the load has nothing that it could be done to.
    pub fn apply(&self, plan: &mut Plan, setting: &mut Setting, sites: &[bool]) -> Result<Vec<String>, WhatIfError> {
        if setting.allocator != AllocatorKind::Slub {
            return Err(WhatIfError::Allocator(setting.allocator.name()));
        }
        if let Kind::Cpus(cpus) = self.kind {
            return fold(cpus, plan, setting);
        }
        let moves = assign::assign(&self.kind, plan, setting, sites)?;
        let (moved, caches) = (moves.moved(), moves.new_caches());
        if moved == 0 {
            return Err(WhatIfError::Nothing(self.text.clone()));
        }
        regroup::regroup(plan, setting, moves)?;
        Ok(vec![format!("what if {}: {moved} objects go to {caches} caches of their own", self.text)])
    }
}

/// All operations on fewer CPUs: those of CPU n on CPU n modulo their number.
fn fold(cpus: u16, plan: &mut Plan, setting: &mut Setting) -> Result<Vec<String>, WhatIfError> {
    let own = setting.topology.cpus();
    if cpus > own {
        return Err(WhatIfError::MoreCpus { cpus, own });
    }
    let old = setting.clone();
    setting.topology = Topology::new((0..cpus).map(|cpu| old.topology.node_of(cpu)).collect());
    let machine = &mut setting.kernel.machine;
    (machine.cpus_present, machine.cpus_possible) = (u32::from(cpus), u32::from(cpus));
    plan.ops.iter_mut().for_each(|op| op.cpu %= cpus);
    for seed in &mut plan.seeds {
        seed.cpu %= cpus;
        seed.place = match seed.place {
            SeedPlace::Cpu(cpu) => SeedPlace::Cpu(cpu % cpus),
            SeedPlace::CpuPartial(cpu) => SeedPlace::CpuPartial(cpu % cpus),
            SeedPlace::NodePartial => SeedPlace::NodePartial,
        };
    }
    // A CPU has one main sheaf: the objects of the others are free in their slabs.
    let is_kept = |place: SheafPlace| match place {
        SheafPlace::Main(cpu) | SheafPlace::Spare(cpu) | SheafPlace::RcuFree(cpu) => cpu < cpus,
        SheafPlace::Barn(_) => true,
    };
    let (kept, given_up) = std::mem::take(&mut plan.sheaf_seeds).into_iter().partition(|sheaf| is_kept(sheaf.place));
    plan.sheaf_seeds = kept;
    for sheaf in given_up {
        for (seed, place) in sheaf.objects {
            plan.seeds[seed].free.push(place);
        }
    }
    let mut caches = plan.caches.clone();
    caches.iter_mut().for_each(|cache| reorder(cache, &old.kernel, &setting.kernel));
    let Relaid { plan: mut laid, initial, .. } = relay(plan, caches, setting);
    laid.marks.iter_mut().for_each(|(position, _)| *position += initial.len());
    laid.ops = std::mem::take(&mut plan.ops);
    laid.ops.splice(0..0, initial);
    laid.recorded_slabs = vec![Vec::new(); laid.caches.len()];
    *plan = laid;
    Ok(vec![format!("what if {cpus} CPUs: the operations of {own} CPUs are done by {cpus}, in their order")])
}
