//! What a layout depends on besides the cache: machine, build options and, together, a kernel.

use super::{KernelRelease, SizingRules, SlubParams};

/// Hardware as the kernel sees it at boot. All sizes in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Machine {
    /// Page size.
    pub page_bytes: u32,
    /// Present cpus, counted.
    pub cpus_present: u32,
    /// `nr_cpu_ids`: highest possible cpu number plus one.
    pub cpus_possible: u32,
    /// Line size of the data cache.
    pub cache_line_bytes: u32,
    /// Machine word.
    pub word_bytes: u32,
    /// Least alignment of any object; the granule with hardware tag KASAN.
    pub slab_min_align_bytes: u32,
    /// `KMALLOC_MIN_SIZE`: smallest kmalloc class.
    pub kmalloc_min_bytes: u32,
    /// Largest kmalloc class; 0 for two pages, as always in SLUB.
    pub kmalloc_max_bytes: u32,
    /// Alignment that DMA needs on the running machine; 1 if none (6.5 and later).
    pub dma_align_bytes: u32,
    /// Largest order of the page allocator.
    pub max_page_order: u32,
}

impl Machine {
    /// Returns an x86-64 machine with `cpus` cpus, all of them present.
    pub const fn x86_64(cpus: u32) -> Self {
        Self {
            page_bytes: 4096,
            cpus_present: cpus,
            cpus_possible: cpus,
            cache_line_bytes: 64,
            word_bytes: 8,
            slab_min_align_bytes: 8,
            kmalloc_min_bytes: 8,
            kmalloc_max_bytes: 0,
            dma_align_bytes: 1,
            max_page_order: 10,
        }
    }

    /// Returns the bytes of a slab of `order`, or `u64::MAX` if that order is out of reach.
    pub fn slab_bytes(&self, order: u32) -> u64 {
        if order <= 31 { u64::from(self.page_bytes) << order } else { u64::MAX }
    }

    /// Returns how many objects with stride `size` fit in a slab of `order`; 0 for a stride of 0.
    pub fn objects(&self, order: u32, size: u32) -> u64 {
        self.slab_bytes(order).checked_div(u64::from(size)).unwrap_or(0)
    }

    /// Returns the smallest order whose slab holds `bytes` (`get_order()`); 32 if none does.
    pub fn order_of(&self, bytes: u64) -> u32 {
        (0..32).find(|&order| self.slab_bytes(order) >= bytes).unwrap_or(32)
    }
}

/// Build options that change sizes, limits, names or merging.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Build {
    /// `CONFIG_SLUB_TINY`.
    pub slub_tiny: bool,
    /// `CONFIG_SLUB_CPU_PARTIAL`; always there up to 3.10.
    pub cpu_partial: bool,
    /// Memory cgroups account kernel memory: `CONFIG_MEMCG`, before 6.11 `CONFIG_MEMCG_KMEM`.
    pub memcg: bool,
    /// That accounting was not switched off at boot (`cgroup.memory=nokmem`, `cgroup_disable=memory`).
    pub memcg_accounting: bool,
    /// `CONFIG_HARDENED_USERCOPY`.
    pub hardened_usercopy: bool,
    /// `CONFIG_ZONE_DMA`.
    pub zone_dma: bool,
    /// `CONFIG_RANDOM_KMALLOC_CACHES`, from 7.2 `CONFIG_KMALLOC_PARTITION_CACHES`.
    pub kmalloc_copies: bool,
    /// `CONFIG_SLAB_BUCKETS`.
    pub slab_buckets: bool,
    /// `CONFIG_MEM_ALLOC_PROFILING`.
    pub alloc_profiling: bool,
    /// `CONFIG_SLAB_MERGE_DEFAULT`; on where there is no such option.
    pub merge_default: bool,
}

impl Default for Build {
    /// What a distribution's x86-64 kernel usually has.
    fn default() -> Self {
        Self {
            slub_tiny: false,
            cpu_partial: true,
            memcg: true,
            memcg_accounting: true,
            hardened_usercopy: true,
            zone_dma: true,
            kmalloc_copies: false,
            slab_buckets: false,
            alloc_profiling: false,
            merge_default: true,
        }
    }
}

impl Build {
    /// Reads a kernel configuration (`/proc/config.gz`, unpacked) of `release`.
    ///
    /// Accounting counts as on; only the command line can tell that it is off.
    pub fn from_config(config: &str, release: KernelRelease) -> Self {
        let is_on = |option: &str| config.lines().any(|line| line.trim().strip_suffix("=y") == Some(option));
        Self {
            slub_tiny: is_on("CONFIG_SLUB_TINY"),
            cpu_partial: is_on("CONFIG_SLUB_CPU_PARTIAL") || !release.since(3, 11),
            memcg: is_on("CONFIG_MEMCG_KMEM") || (release.since(6, 11) && is_on("CONFIG_MEMCG")),
            memcg_accounting: true,
            hardened_usercopy: is_on("CONFIG_HARDENED_USERCOPY"),
            zone_dma: is_on("CONFIG_ZONE_DMA"),
            kmalloc_copies: is_on("CONFIG_KMALLOC_PARTITION_CACHES") || is_on("CONFIG_RANDOM_KMALLOC_CACHES") && !release.since(7, 2),
            slab_buckets: is_on("CONFIG_SLAB_BUCKETS"),
            alloc_profiling: is_on("CONFIG_MEM_ALLOC_PROFILING"),
            merge_default: is_on("CONFIG_SLAB_MERGE_DEFAULT") || !release.since(4, 13),
        }
    }
}

/// The kernel whose caches are laid out: release, machine, build and boot parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kernel {
    /// Release followed.
    pub release: KernelRelease,
    /// Rules of that release.
    pub rules: SizingRules,
    /// Hardware.
    pub machine: Machine,
    /// Build options.
    pub build: Build,
    /// Boot parameters.
    pub params: SlubParams,
}

impl Kernel {
    /// Returns a kernel that was booted without slab parameters.
    pub fn new(release: KernelRelease, machine: Machine, build: Build) -> Self {
        Self { release, rules: SizingRules::of(release), machine, build, params: SlubParams::of(&build) }
    }

    /// Returns a kernel that was booted with `cmdline` (`/proc/cmdline`).
    pub fn booted(release: KernelRelease, machine: Machine, build: Build, cmdline: &str) -> Self {
        let rules = SizingRules::of(release);
        Self { params: SlubParams::from_cmdline(cmdline, &rules, &machine, &build), ..Self::new(release, machine, build) }
    }
}
