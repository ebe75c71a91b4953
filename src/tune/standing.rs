//! Whether a knob does anything in a kernel, and how it is set there.

use super::knob::Knob;
use crate::allocators::AllocatorKind;
use crate::allocators::slub::sizing::{CpuPartialUnit, SheafPolicy};
use crate::setting::Setting;

/// What a knob is in one kernel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It can be set.
    Live(Way),
    /// Nobody can set it in a released kernel; the model can show what it would do.
    WhatIf(Remedy),
    /// It does nothing.
    Dead(Remedy),
}

/// How a knob is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// On the kernel's command line, by this word. Needs a reboot.
    Boot(&'static str),
    /// By a file of this name in the cache's directory in `/sys/kernel/slab`.
    Sysfs(&'static str),
    /// By a line to `/proc/slabinfo`.
    Slabinfo,
}

/// Why a knob does nothing, and what to do instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// Why.
    pub reason: String,
    /// What to do instead.
    pub instead: String,
}

fn remedy(reason: impl Into<String>, instead: impl Into<String>) -> Remedy {
    Remedy { reason: reason.into(), instead: instead.into() }
}

const TO_CODE: &str = "no run-time control in any released kernel: a larger kmem_cache_args.sheaf_capacity in the code of the cache's owner, or \
                       a kernel that carries the tuning patches";

/// What a knob is in the kernel of `setting`.
#[must_use]
pub fn standing(knob: Knob, setting: &Setting) -> Standing {
    let release = setting.kernel.release;
    let dead = |reason: String, instead: &str| Standing::Dead(remedy(reason, instead));
    match setting.allocator {
        AllocatorKind::Slob => return dead(format!("{release} is built with SLOB, which has nothing to set"), "build with SLUB"),
        AllocatorKind::Slab => return of_slab(knob, setting),
        AllocatorKind::Slub => {}
    }
    if knob.is_of_slabinfo() {
        return dead(
            "/proc/slabinfo is read-only under SLUB and shows `tunables 0 0 0`".to_owned(),
            if release.since(7, 0) { "no run-time control of per-CPU caching from 7.0 on" } else { "cpu_partial of the same cache" },
        );
    }
    let way = match knob {
        Knob::SlabMaxOrder | Knob::SlabMinOrder | Knob::SlabMinObjects | Knob::NoMerge => {
            return knob
                .boot_name(setting)
                .map_or_else(|| unreachable!("a word of the command line"), |word| Standing::Live(Way::Boot(word)));
        }
        _ if setting.kernel.build.slub_tiny => {
            return dead("SLUB_TINY has no files in /sys/kernel/slab".to_owned(), "a kernel without CONFIG_SLUB_TINY");
        }
        Knob::Order if release.since(5, 9) => {
            let word = Knob::SlabMaxOrder.boot_name(setting).unwrap_or_default();
            return dead("order is read-only since 5.9".to_owned(), &format!("{word}= on the command line, which concerns all caches"));
        }
        Knob::CpuPartial => {
            if let Some(dead) = cpu_partial(setting) {
                return dead;
            }
            "cpu_partial"
        }
        Knob::RemoteNodeDefragRatio if setting.topology.nodes() < 2 => {
            return dead("the machine has one memory node: no allocation ever looks at another".to_owned(), "nothing");
        }
        Knob::SheafCapacity | Knob::MaxFullSheaves | Knob::MaxEmptySheaves => return sheaves(knob, setting),
        Knob::Order => "order",
        Knob::MinPartial => "min_partial",
        _ => "remote_node_defrag_ratio",
    };
    Standing::Live(Way::Sysfs(way))
}

fn of_slab(knob: Knob, setting: &Setting) -> Standing {
    match knob {
        _ if knob.is_of_slabinfo() => Standing::Live(Way::Slabinfo),
        Knob::SlabMaxOrder => Standing::Live(Way::Boot("slab_max_order")),
        Knob::NoMerge if setting.kernel.rules.slab_nomerge_option => Standing::Live(Way::Boot("slab_nomerge")),
        _ => Standing::Dead(remedy(
            format!("{knob} is of SLUB; {} is built with SLAB", setting.kernel.release),
            if matches!(knob, Knob::CpuPartial) { "limit, batchcount and shared of /proc/slabinfo" } else { "nothing of the kind in SLAB" },
        )),
    }
}

/// Why `cpu_partial` does nothing, if so.
fn cpu_partial(setting: &Setting) -> Option<Standing> {
    let kernel = &setting.kernel;
    let gone = kernel.rules.cpu_partial == CpuPartialUnit::Gone;
    let remedy = match () {
        () if gone && kernel.release.since(7, 0) => remedy(
            "from 7.0 on cpu_partial is a stub: it reads 0 and refuses everything but 0 (EINVAL)",
            format!("{TO_CODE}; --set sheaf_capacity= shows what that would gain"),
        ),
        () if gone => remedy("CPU partial lists came with 3.2", "a newer kernel"),
        () if !kernel.build.cpu_partial => {
            remedy("the kernel is built without CONFIG_SLUB_CPU_PARTIAL: every value but 0 is refused (EINVAL)", "a build with it")
        }
        () => return None,
    };
    Some(Standing::Dead(remedy))
}

fn sheaves(knob: Knob, setting: &Setting) -> Standing {
    match setting.kernel.rules.sheaves {
        SheafPolicy::No => Standing::Dead(remedy("sheaves came with 6.18", "cpu_partial")),
        SheafPolicy::OptIn | SheafPolicy::Every => {
            let reason = match knob {
                Knob::SheafCapacity => "sheaf_capacity is read-only",
                _ => "the kernel has no file for it: barns hold 10 full and 10 empty sheaves",
            };
            Standing::WhatIf(remedy(reason, TO_CODE))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::slub::Topology;
    use crate::allocators::slub::sizing::{Build, Kernel, KernelRelease, Machine};

    fn kernel(major: u32, minor: u32) -> Setting {
        let kernel = Kernel::new(KernelRelease::new(major, minor, 0), Machine::x86_64(4), Build::default());
        Setting::slub(kernel, Topology::new(vec![0, 0, 1, 1]))
    }

    fn is_live(knob: Knob, setting: &Setting) -> bool {
        matches!(standing(knob, setting), Standing::Live(_))
    }

    #[test]
    fn spelling_on_the_command_line() {
        let word = |knob: Knob, major, minor| match standing(knob, &kernel(major, minor)) {
            Standing::Live(Way::Boot(word)) => word,
            other => panic!("{other:?}"),
        };
        assert_eq!([(6, 8), (6, 9)].map(|(major, minor)| word(Knob::SlabMaxOrder, major, minor)), ["slub_max_order", "slab_max_order"]);
        assert_eq!(
            [(6, 8), (7, 3)].map(|(major, minor)| word(Knob::SlabMinObjects, major, minor)),
            ["slub_min_objects", "slab_min_objects"]
        );
        assert_eq!([(3, 10), (4, 4)].map(|(major, minor)| word(Knob::NoMerge, major, minor)), ["slub_nomerge", "slab_nomerge"]);
    }

    #[test]
    fn files_by_version() {
        let live =
            |knob, releases: &[(u32, u32)]| releases.iter().map(|&(major, minor)| is_live(knob, &kernel(major, minor))).collect::<Vec<_>>();
        assert_eq!(live(Knob::Order, &[(5, 8), (5, 9), (7, 0)]), [true, false, false]);
        assert_eq!(live(Knob::CpuPartial, &[(3, 1), (3, 2), (6, 19), (7, 0), (7, 3)]), [false, true, true, false, false]);
        assert_eq!(live(Knob::MinPartial, &[(3, 2), (5, 10), (7, 3)]), [true; 3]);
        assert_eq!(live(Knob::RemoteNodeDefragRatio, &[(4, 4), (7, 3)]), [true; 2]);
        let one_node = Setting { topology: Topology::new(vec![0; 4]), ..kernel(6, 12) };
        assert!(!is_live(Knob::RemoteNodeDefragRatio, &one_node));
        let without = |build| Setting { kernel: Kernel { build, ..kernel(6, 12).kernel }, ..kernel(6, 12) };
        assert!(!is_live(Knob::CpuPartial, &without(Build { cpu_partial: false, ..Build::default() })));
        let tiny = without(Build { slub_tiny: true, ..Build::default() });
        assert!(!is_live(Knob::MinPartial, &tiny) && is_live(Knob::SlabMaxOrder, &tiny));
    }

    #[test]
    fn nobody_sets_sheaves_in_a_released_kernel() {
        for knob in [Knob::SheafCapacity, Knob::MaxFullSheaves, Knob::MaxEmptySheaves] {
            assert!(matches!(standing(knob, &kernel(6, 17)), Standing::Dead(_)));
            for (major, minor) in [(6, 18), (7, 0), (7, 3)] {
                assert!(matches!(standing(knob, &kernel(major, minor)), Standing::WhatIf(_)), "{major}.{minor}");
            }
        }
    }

    #[test]
    fn what_is_of_another_allocator() {
        let of = |allocator| Setting { allocator, ..kernel(6, 1) };
        let (slab, slob) = (of(AllocatorKind::Slab), of(AllocatorKind::Slob));
        for knob in Knob::ALL {
            let is_of_slab = knob.is_of_slabinfo() || matches!(knob, Knob::SlabMaxOrder | Knob::NoMerge);
            assert_eq!(is_live(knob, &slab), is_of_slab, "{knob}");
            assert!(!is_live(knob, &slob), "{knob}");
        }
        assert_eq!(standing(Knob::SlabMaxOrder, &slab), Standing::Live(Way::Boot("slab_max_order")), "that word is older than SLUB's");
        assert!(!is_live(Knob::Limit, &kernel(6, 1)));
    }

    #[test]
    fn values_by_version() {
        let taken = |knob: Knob, value, major, minor| knob.accept(value, &kernel(major, minor)).map(|(taken, _)| taken).ok();
        // 5.10 clamps min_partial to 5 to 10; 6.1 stores it as given, 0 included.
        assert_eq!([0, 7, 99].map(|value| taken(Knob::MinPartial, value, 5, 10)), [5, 7, 10].map(Some));
        assert_eq!([0, 7, 99].map(|value| taken(Knob::MinPartial, value, 6, 1)), [0, 7, 99].map(Some));
        assert_eq!([100, 101].map(|value| taken(Knob::RemoteNodeDefragRatio, value, 6, 12)), [Some(100), None]);
        assert_eq!([10, 11].map(|value| taken(Knob::SlabMaxOrder, value, 6, 12)), [Some(10); 2], "clamped to the largest page order");
        assert_eq!(taken(Knob::CpuPartial, 100_000, 6, 12), Some(100_000), "without a clamp");
        assert_eq!([3, 4].map(|value| taken(Knob::Order, value, 5, 4)), [Some(3), None]);
        assert_eq!([0, 1].map(|value| taken(Knob::Limit, value, 5, 4)), [None, Some(1)]);
        assert_eq!(taken(Knob::BatchCount, 0, 5, 4), None);
    }
}
