//! Loads made by hand under other designs.

use super::*;
use crate::allocators::slub::sizing::{Build, Kernel, KernelRelease, Machine};
use crate::mem::UnlimitedPages;
use crate::prepare::tests::Script;
use crate::replay::{NoObserver, Setup};

fn setting() -> Setting {
    let kernel = Kernel::new(KernelRelease::new(6, 12, 0), Machine::x86_64(4), Build::default());
    Setting::slub(kernel, Topology::uniform(4))
}

fn what_if(text: &str) -> WhatIf {
    text.parse().expect("a design")
}

/// Caches with the allocations and frees that each gets, after a replay with all laws checked.
fn replayed(plan: &Plan, setting: &Setting) -> Vec<(String, u64, u64)> {
    let setup = Setup { check_every: 1, ..setting.setup() };
    let (outcome, _, _) = setting.replay(plan, &setup, UnlimitedPages::default(), &mut NoObserver).expect("the laws hold");
    assert_eq!((outcome.failed_allocs, outcome.skipped_frees), (0, 0));
    plan.caches.iter().zip(outcome.caches).map(|(cache, outcome)| (cache.name.clone(), outcome.allocs, outcome.frees)).collect()
}

/// kmalloc of 130 bytes, twice, and of 190, by two call sites; two are freed, and one from before the trace.
fn plan() -> Plan {
    let mut script = Script::default();
    script.on(0).kmalloc(0x1000, 130, 192, 0xcc0).kmalloc(0x10c0, 190, 192, 0xcc0);
    script.on(1).kmalloc(0x2000, 130, 192, 0xcc0).kfree(0x1000).kfree(0x10c0).kfree(0x3000);
    script.plan()
}

#[test]
fn another_kmalloc_class_takes_what_fits_it() {
    let (mut plan, mut setting) = (plan(), setting());
    what_if("kmalloc-class=160").apply(&mut plan, &mut setting, &[]).unwrap();
    let caches = replayed(&plan, &setting);
    assert!(caches.contains(&("kmalloc-160".to_owned(), 2, 1)), "{caches:?}");
    let new = plan.caches.iter().find(|cache| cache.name == "kmalloc-160").expect("made");
    assert_eq!((new.layout.size, new.layout.objects), (160, 25), "4096 / 160");
}

#[test]
fn a_call_site_gets_a_cache_of_its_own() {
    let mut script = Script::default();
    script.on(0).alloc(0xa1, 0x1000, 64, 64).alloc(0xa2, 0x1040, 64, 64).free(0x1000, "foo").free(0x1040, "foo");
    let (mut plan, mut setting) = (script.plan(), setting());
    let sites: Vec<bool> = plan.origins.sites.iter().map(|&site| site == 0xa2).collect();
    what_if("dedicated=0xa2").apply(&mut plan, &mut setting, &sites).unwrap();
    assert_eq!(replayed(&plan, &setting), [("foo".to_owned(), 1, 1), ("0xa2/foo".to_owned(), 1, 1)]);
    assert!(what_if("dedicated=x").apply(&mut plan, &mut setting, &[]).is_err(), "nobody is meant");
}

#[test]
fn fewer_cpus_do_all_operations() {
    let (mut plan, mut setting) = (plan(), setting());
    let before = replayed(&plan, &setting);
    what_if("cpus=1").apply(&mut plan, &mut setting, &[]).unwrap();
    assert!(plan.ops.iter().all(|op| op.cpu == 0));
    assert_eq!((setting.topology.cpus(), setting.kernel.machine.cpus_present), (1, 1));
    assert_eq!(replayed(&plan, &setting), before, "as many operations");
    assert!(what_if("cpus=2").apply(&mut plan, &mut setting, &[]).is_err());
}

#[test]
fn names_of_designs() {
    for bad in ["", "merge", "cpus=0", "cpus=x", "kmalloc-class=161", "kmalloc-class=8", "dedicated=", "nomerge=1"] {
        assert!(bad.parse::<WhatIf>().is_err(), "{bad}");
    }
    assert_eq!(what_if("cpus=2").kind, Kind::Cpus(2));
}
