//! A load made by hand under changes.

use super::*;
use crate::allocators::slub::sizing::{Build, KernelRelease, Machine};
use crate::allocators::slub::{Counter, Topology};
use crate::prepare::tests::Script;
use crate::tune::{Assignment, Commands, Pages, Trial, effects, worst_case_bytes};

/// 40 objects of 256 bytes by CPU 0, of which CPU 1 frees every other.
fn plan() -> Plan {
    let mut script = Script::default();
    script.on(0);
    for object in 0..40 {
        script.alloc(1, 0x1_0000 + object * 256, 256, 256);
    }
    script.on(1);
    for object in (0..40).step_by(2) {
        script.free(0x1_0000 + object * 256, "c");
    }
    script.plan()
}

fn setting() -> Setting {
    let kernel = Kernel::new(KernelRelease::new(6, 12, 0), Machine::x86_64(4), Build::default());
    Setting::slub(kernel, Topology::uniform(4))
}

fn all(knob: Knob, value: u32) -> Change {
    Change { knob, cache: None, value }
}

#[test]
fn what_changes_nothing_is_told() {
    let (plan, setting) = (plan(), setting());
    let base = Base { plan: &plan, setting: &setting };
    assert_eq!(plan.caches.len(), 1);
    let layout = plan.caches[0].layout;
    // 256 bytes: 52 free objects; half of log2(256) is 4, at least 5.
    assert_eq!((layout.order, layout.objects, layout.cpu_partial, layout.min_partial), (0, 16, 52, 5));
    for same in [all(Knob::SlabMaxOrder, 3), all(Knob::CpuPartial, 52), all(Knob::MinPartial, 5)] {
        assert!(base.tuned(&[same]).unwrap().is_none(), "{same:?}");
    }
    assert!(base.tuned(&[]).unwrap().is_none());
}

#[test]
fn orders_follow_the_command_line_and_limits_follow_the_files() {
    let (plan, setting) = (plan(), setting());
    let base = Base { plan: &plan, setting: &setting };
    let layout = |changes: &[Change]| base.caches(changes).unwrap().1[0].layout;
    // The floor of orders: 64 objects; 52 free ones are two slabs of them, half full.
    let large = layout(&[all(Knob::SlabMinOrder, 2)]);
    assert_eq!((large.order, large.objects, large.cpu_partial_slabs), (2, 64, 2));
    // 4 CPUs ask for 16 objects; 32 need 8 KiB.
    assert_eq!(layout(&[all(Knob::SlabMinObjects, 32)]).order, 1);
    assert_eq!(layout(&[all(Knob::SlabMinObjects, 32), all(Knob::SlabMaxOrder, 0)]).order, 0);
    // Ceiling of 2 * 30 / 16.
    let parked = layout(&[all(Knob::CpuPartial, 30)]);
    assert_eq!((parked.cpu_partial, parked.cpu_partial_slabs), (30, 4));
    // What is said of one cache overrides what is said of all.
    let own = Change { knob: Knob::MinPartial, cache: Some(0), value: 9 };
    assert_eq!(layout(&[own, all(Knob::MinPartial, 1)]).min_partial, 9);
}

#[test]
fn a_cache_with_debugging_takes_no_cpu_partial() {
    let (mut plan, setting) = (plan(), setting());
    plan.caches[0].kind = CacheKind::Debug;
    let base = Base { plan: &plan, setting: &setting };
    let own = |value| base.tuned(&[Change { knob: Knob::CpuPartial, cache: Some(0), value }]);
    assert!(own(0).is_ok());
    assert!(own(1).unwrap_err().to_string().contains("EINVAL"));
    assert!(base.tuned(&[all(Knob::CpuPartial, 1)]).unwrap().is_none(), "said of all, it concerns others");
}

#[test]
fn dead_knobs_and_bad_values_are_refused_with_a_remedy() {
    let (plan, setting) = (plan(), setting());
    let base = Base { plan: &plan, setting: &setting };
    let check = |text: &str| base.check(&text.parse::<Assignment>().unwrap());
    let error = check("order=1").unwrap_err();
    assert!(error.to_string().contains("read-only since 5.9") && error.instead().unwrap().contains("slab_max_order="), "{error}");
    assert!(check("limit=1").is_err() && check("remote_node_defrag_ratio=1").is_err());
    assert_eq!(check("slab_max_order=3,12,99").unwrap().0, [Some(3), Some(10)], "clamped, and each once");
}

#[test]
fn replays_are_those_of_the_caches_as_changed() {
    let (plan, setting) = (plan(), setting());
    let trial = Trial::new(Base { plan: &plan, setting: &setting }, Pages::Unlimited, 10);
    let run = |changes: &[Change]| trial.run(changes, &|_| {}).unwrap();
    let now = run(&[]);
    assert_eq!((now.total.allocs, now.total.frees, now.total.slab_bytes_end), (40, 20, 3 * 4096));
    // Two full slabs get a free object by CPU 1: both are parked there, or, without a list, one is and the other goes to the node's list.
    let unparked = run(&[all(Knob::CpuPartial, 0)]);
    assert_eq!((now.total.node_moves, unparked.total.node_moves), (0, 1));
    let large = run(&[all(Knob::SlabMinOrder, 2)]);
    assert_eq!((large.total.slab_bytes_end, large.restarted.len()), (4 * 4096, 0));
    let same = run(&[all(Knob::SlabMaxOrder, 3)]);
    assert_eq!((same.total, same.caches), (now.total, now.caches));
}

#[test]
fn unchanged_settings_count_as_a_plain_replay() {
    let (plan, setting) = (plan(), setting());
    let base = Base { plan: &plan, setting: &setting };
    // A limit that is never reached goes through all of it, and changes no count.
    let tuned = base.tuned(&[all(Knob::MinPartial, 100)]).unwrap().expect("a change");
    let pages = || crate::mem::UnlimitedPages::default();
    let mut none = crate::replay::NoObserver;
    let plain = setting.replay(&plan, &setting.setup(), pages(), &mut none).unwrap().0;
    let own = tuned.setting.replay_parts(&tuned.plan, &[&tuned.initial, &plan.ops], &setting.setup(), pages(), &mut none).unwrap().0;
    assert_eq!(plain.caches[0].end, own.caches[0].end);
    assert_eq!(own.caches[0].end.total(Counter::AllocSlab), 3);
}

#[test]
fn worst_cases_by_the_formulas() {
    let (plan, setting) = (plan(), setting());
    let base = Base { plan: &plan, setting: &setting };
    // 4 CPUs, ceil(2 * 52 / 16) = 7 slabs of 4 KiB each; and 5 empty ones.
    assert_eq!(worst_case_bytes(&plan.caches[0], &setting), 4 * 7 * 4096 + 5 * 4096);
    let change = all(Knob::CpuPartial, 0);
    let (after, caches) = base.caches(&[change]).unwrap();
    let effects = effects(&change, (&setting, &plan.caches), (&after, &caches));
    assert_eq!(effects.len(), 1);
    assert_eq!((effects[0].values, effects[0].worst_case.1), ((52, 0), 5 * 4096));
    // 7.0: 4 CPUs * 3 sheaves and 10 in the barn, of 28 objects of 256 bytes.
    let kernel = Kernel::new(KernelRelease::new(7, 0, 0), Machine::x86_64(4), Build::default());
    let sheaves = Setting::slub(kernel, Topology::uniform(4));
    let cache = plan.caches[0].relaid(&setting.kernel, &kernel).expect("a layout");
    assert_eq!(cache.layout.sheaf_capacity, 28);
    assert_eq!(worst_case_bytes(&cache, &sheaves), (4 * 3 + 10) * 28 * 256 + 5 * 4096);
}

#[test]
fn commands_by_version() {
    let mut plan = plan();
    plan.caches[0].aliases = vec!["other".to_owned()];
    let of = |major, minor, changes: &[Change], cmdline: &str| {
        let kernel = Kernel::new(KernelRelease::new(major, minor, 0), Machine::x86_64(4), Build::default());
        Commands::of(changes, &Setting::slub(kernel, Topology::uniform(4)), &plan.caches, cmdline)
    };
    let order = [all(Knob::SlabMaxOrder, 1)];
    assert_eq!(of(6, 8, &order, "").boot_words, ["slub_max_order=1"]);
    let new = of(6, 12, &order, "quiet slub_max_order=0");
    assert_eq!((new.boot_words.as_slice(), new.needs_reboot()), (["slab_max_order=1".to_owned()].as_slice(), true));
    assert!(new.notes.iter().any(|note| note.contains("already has slub_max_order=0")), "{:?}", new.notes);
    assert!(new.now.is_empty() && new.keep.is_empty(), "nothing of it works at run time");
    let grub = &new.boot[0].lines[0];
    assert!(grub.contains("/etc/default/grub") && grub.ends_with("update-grub"), "{grub}");

    let own = [Change { knob: Knob::CpuPartial, cache: Some(0), value: 6 }];
    let commands = of(6, 12, &own, "");
    let name = &plan.caches[0].name;
    assert_eq!(commands.undo_now, [format!("echo 52 > /sys/kernel/slab/{name}/cpu_partial")]);
    assert!(commands.keep[0].lines.contains(&format!("w- /sys/kernel/slab/{name}/cpu_partial - - - - 6")), "{:?}", commands.keep[0]);
    assert_eq!((commands.writes[0].aliases.as_slice(), commands.writes[0].old), (["other".to_owned()].as_slice(), Some(52)));
    assert!(!commands.needs_reboot());
    // Nothing dead is ever printed as a write.
    let dead = of(7, 0, &own, "");
    assert!(dead.now.is_empty() && dead.keep.is_empty() && dead.notes[0].contains("stub"), "{dead:?}");
    let sheaf = of(7, 0, &[Change { knob: Knob::SheafCapacity, cache: Some(0), value: 64 }], "");
    assert!(sheaf.now.is_empty() && sheaf.code[0].contains(".sheaf_capacity = 64"), "{sheaf:?}");
}
