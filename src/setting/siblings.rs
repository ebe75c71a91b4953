//! What SLAB and SLOB go by besides release and machine.

use super::Setting;
use crate::allocators::AllocatorKind;
use crate::allocators::slab::{SlabMachine, SlabRules, SlabSetting};
use crate::allocators::slob::{SlobRules, SlobSetting};
use crate::allocators::slub::Topology;
use crate::allocators::slub::sizing::{KernelRelease, Machine};

/// Facts of build and boot that only these allocators ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Siblings {
    /// Rules of SLAB.
    pub slab: SlabRules,
    /// Rules of SLOB.
    pub slob: SlobRules,
    /// `CONFIG_NUMA`.
    pub numa: bool,
    /// Objects of other nodes are gathered before they go back (`use_alien_caches`).
    pub alien: bool,
    /// `slab_max_order=`, else the default of a machine with more than 32 MiB.
    pub slab_max_order: u32,
    /// Memory is cleared when freed.
    pub init_on_free: bool,
    /// Timer ticks a second.
    pub hz: u64,
}

/// `CONFIG_HZ` where no configuration tells.
const DEFAULT_HZ: u64 = 250;

/// Largest value that `slab_max_order=` is taken as.
const MAX_ORDER: u32 = 10;

/// Time that a grace period of RCU is taken for: no event shows it.
pub(super) const GRACE_PERIOD_NS: u64 = 20_000_000;

impl Siblings {
    pub(super) fn of(release: KernelRelease, cmdline: &str, config: Option<&str>, topology: &Topology) -> Self {
        let is_on = |option: &str| config.is_some_and(|config| config.lines().any(|line| line.strip_suffix("=y") == Some(option)));
        let words = || cmdline.split_whitespace();
        let parameter = |name: &str| words().rev().find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        let hz = config.and_then(|config| config.lines().find_map(|line| line.strip_prefix("CONFIG_HZ=")?.parse().ok()));
        let order = parameter("slab_max_order").and_then(|order| order.parse::<u32>().ok()).map_or(1, |order| order.min(MAX_ORDER));
        let init_on_free = match parameter("init_on_free") {
            Some(value) => matches!(value, "1" | "y" | "Y" | "on"),
            None => is_on("CONFIG_INIT_ON_FREE_DEFAULT_ON"),
        };
        Self {
            slab: SlabRules::of(release),
            slob: SlobRules::of(release),
            numa: config.is_none() || is_on("CONFIG_NUMA"),
            alien: topology.nodes() > 1 && !words().any(|word| word == "noaliencache"),
            slab_max_order: order,
            init_on_free,
            hz: hz.filter(|hz| (1..=10_000).contains(hz)).unwrap_or(DEFAULT_HZ),
        }
    }
}

/// The kmalloc classes of an allocator: SLAB has none below 32 bytes, and up to 5.15 all up to 4 MiB (`KMALLOC_SHIFT_LOW`,
/// `KMALLOC_SHIFT_HIGH`). SLOB has no classes; those up to 4 MiB are rows of tables.
pub(super) fn kmalloc_of(allocator: AllocatorKind, release: KernelRelease, machine: Machine) -> Machine {
    let all = machine.page_bytes << 10;
    match allocator {
        AllocatorKind::Slub => machine,
        AllocatorKind::Slab => Machine {
            kmalloc_min_bytes: machine.kmalloc_min_bytes.max(32),
            kmalloc_max_bytes: if release.since(5, 16) { 0 } else { all },
            ..machine
        },
        AllocatorKind::Slob => Machine { kmalloc_max_bytes: all, ..machine },
    }
}

impl Setting {
    /// For the layout of SLAB caches.
    #[must_use]
    pub fn slab_machine(&self) -> SlabMachine {
        let machine = &self.kernel.machine;
        SlabMachine {
            page_bytes: machine.page_bytes,
            cache_line_bytes: machine.cache_line_bytes,
            word_bytes: machine.word_bytes,
            kmalloc_min_bytes: machine.kmalloc_min_bytes.max(32),
            slab_max_order: self.siblings.slab_max_order,
            init_on_free: self.siblings.init_on_free,
            cpus_possible: machine.cpus_possible,
        }
    }

    /// For the paths of SLAB.
    #[must_use]
    pub fn slab_setting(&self) -> SlabSetting {
        let Siblings { slab: rules, numa, alien, .. } = self.siblings;
        SlabSetting { rules, topology: self.topology.clone(), numa: numa || self.topology.nodes() > 1, alien }
    }

    /// For SLOB.
    #[must_use]
    pub fn slob_setting(&self) -> SlobSetting {
        SlobSetting {
            rules: self.siblings.slob,
            topology: self.topology.clone(),
            page_bytes: self.kernel.machine.page_bytes,
            min_align: self.kernel.machine.slab_min_align_bytes.max(8),
            rcu_delay_ns: GRACE_PERIOD_NS,
        }
    }
}
