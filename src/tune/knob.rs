//! The knobs, their names, and the values that a kernel takes for them.

use std::fmt;

use crate::allocators::AllocatorKind;
use crate::setting::Setting;

/// Something that can be set, or asked about, in a kernel's slab allocator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Knob {
    /// `slab_max_order=`, up to 6.8 `slub_max_order=`; of SLAB the word of the same name.
    SlabMaxOrder,
    /// `slab_min_order=`.
    SlabMinOrder,
    /// `slab_min_objects=`.
    SlabMinObjects,
    /// `slab_nomerge`.
    NoMerge,
    /// The file `order` (up to 5.8).
    Order,
    /// The file `cpu_partial` (3.2 to 6.19).
    CpuPartial,
    /// The file `min_partial`.
    MinPartial,
    /// The file `remote_node_defrag_ratio`.
    RemoteNodeDefragRatio,
    /// Objects per sheaf (6.18); nobody can set it in a running kernel.
    SheafCapacity,
    /// Full sheaves per barn (6.18); likewise.
    MaxFullSheaves,
    /// Empty sheaves per barn (6.18); likewise.
    MaxEmptySheaves,
    /// LIMIT of `/proc/slabinfo` (SLAB).
    Limit,
    /// BATCHCOUNT of `/proc/slabinfo` (SLAB).
    BatchCount,
    /// SHARED of `/proc/slabinfo` (SLAB).
    Shared,
}

impl Knob {
    /// All of them, those of the command line first, in the order in which they are put on it.
    pub const ALL: [Self; 14] = [
        Self::SlabMaxOrder,
        Self::SlabMinOrder,
        Self::SlabMinObjects,
        Self::NoMerge,
        Self::Order,
        Self::CpuPartial,
        Self::MinPartial,
        Self::RemoteNodeDefragRatio,
        Self::SheafCapacity,
        Self::MaxFullSheaves,
        Self::MaxEmptySheaves,
        Self::Limit,
        Self::BatchCount,
        Self::Shared,
    ];

    /// Its name in `--set`, in tables and in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::SlabMaxOrder => "slab_max_order",
            Self::SlabMinOrder => "slab_min_order",
            Self::SlabMinObjects => "slab_min_objects",
            Self::NoMerge => "slab_nomerge",
            Self::Order => "order",
            Self::CpuPartial => "cpu_partial",
            Self::MinPartial => "min_partial",
            Self::RemoteNodeDefragRatio => "remote_node_defrag_ratio",
            Self::SheafCapacity => "sheaf_capacity",
            Self::MaxFullSheaves => "max_full_sheaves",
            Self::MaxEmptySheaves => "max_empty_sheaves",
            Self::Limit => "limit",
            Self::BatchCount => "batchcount",
            Self::Shared => "shared",
        }
    }

    /// The knob of a name, by either spelling of the command line.
    #[must_use]
    pub fn of_name(name: &str) -> Option<Self> {
        if name == "nomerge" {
            return Some(Self::NoMerge);
        }
        let new = name.strip_prefix("slub_").map(|rest| format!("slab_{rest}"));
        let name = new.as_deref().unwrap_or(name);
        Self::ALL.into_iter().find(|knob| knob.name() == name)
    }

    /// True for what is set for all caches at once, on the command line.
    #[must_use]
    pub fn is_boot(self) -> bool {
        matches!(self, Self::SlabMaxOrder | Self::SlabMinOrder | Self::SlabMinObjects | Self::NoMerge)
    }

    /// True for what `/proc/slabinfo` takes.
    #[must_use]
    pub fn is_of_slabinfo(self) -> bool {
        matches!(self, Self::Limit | Self::BatchCount | Self::Shared)
    }

    /// The word for the command line of the kernel of `setting`.
    #[must_use]
    pub fn boot_name(self, setting: &Setting) -> Option<&'static str> {
        let rules = &setting.kernel.rules;
        let is_slab = setting.allocator == AllocatorKind::Slab;
        let [old, new] = match self {
            Self::SlabMaxOrder => ["slub_max_order", "slab_max_order"],
            Self::SlabMinOrder => ["slub_min_order", "slab_min_order"],
            Self::SlabMinObjects => ["slub_min_objects", "slab_min_objects"],
            Self::NoMerge => ["slub_nomerge", "slab_nomerge"],
            _ => return None,
        };
        let has_new = match self {
            Self::NoMerge => rules.slab_nomerge_option,
            _ => rules.slab_order_options || is_slab,
        };
        Some(if has_new { new } else { old })
    }

    /// Puts a value into the range that the kernel of `setting` takes: what it takes of it, and why that is another number if it is.
    ///
    /// # Errors
    ///
    /// If the kernel refuses the value.
    pub fn accept(self, value: u32, setting: &Setting) -> Result<(u32, Option<String>), ValueError> {
        let refused = |expected: String| Err(ValueError { knob: self, value, expected });
        let machine = &setting.kernel.machine;
        match self {
            Self::SlabMaxOrder if value > machine.max_page_order => Ok((
                machine.max_page_order,
                Some(format!("{self}={value}: larger than any page order; the kernel takes {}", machine.max_page_order)),
            )),
            Self::SlabMinOrder if value > machine.max_page_order => Ok((
                machine.max_page_order,
                Some(format!("{self}={value}: larger than any page order; taken as {}", machine.max_page_order)),
            )),
            Self::Order if !(setting.kernel.params.min_order..=setting.kernel.params.max_order).contains(&value) => {
                let params = &setting.kernel.params;
                refused(format!("{} to {}, the orders that the command line allows (EINVAL)", params.min_order, params.max_order))
            }
            Self::MinPartial if clamps_min_partial(setting) && !(5..=10).contains(&value) => {
                let taken = value.clamp(5, 10);
                Ok((taken, Some(format!("{self}={value}: kernels before 5.18 clamp it to 5 to 10, so to {taken}"))))
            }
            Self::RemoteNodeDefragRatio if value > 100 => refused("0 to 100 (ERANGE)".to_owned()),
            Self::NoMerge if value > 1 => refused("0 or 1".to_owned()),
            Self::SheafCapacity if value > MAX_SHEAF => refused(format!("0 to {MAX_SHEAF}")),
            Self::MaxFullSheaves | Self::MaxEmptySheaves if value > MAX_SHEAVES => refused(format!("0 to {MAX_SHEAVES}")),
            Self::Limit if !(1..=MAX_LIMIT).contains(&value) => {
                refused(format!("1 to {MAX_LIMIT}; the kernel ignores such a line without an error"))
            }
            Self::BatchCount if value == 0 => refused("at least 1; the kernel ignores such a line without an error".to_owned()),
            Self::Shared if value > MAX_SHARED => refused(format!("0 to {MAX_SHARED}")),
            _ => Ok((value, None)),
        }
    }
}

/// Far beyond any sheaf that fits a kmalloc object.
const MAX_SHEAF: u32 = 1 << 10;

/// Far beyond what anybody will have a barn hold.
const MAX_SHEAVES: u32 = 1 << 16;

/// Largest LIMIT, and SHARED, that the model takes.
const MAX_LIMIT: u32 = 1 << 20;
const MAX_SHARED: u32 = 1024;

/// 5.10 clamps `min_partial`, 6.1 takes it as given; between them it is believed to have changed in 5.18.
pub(super) fn clamps_min_partial(setting: &Setting) -> bool {
    !setting.kernel.release.since(5, 18)
}

impl fmt::Display for Knob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A value that the kernel refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{knob}={value}: expected {expected}")]
pub struct ValueError {
    /// What was set.
    pub knob: Knob,
    /// To what.
    pub value: u32,
    /// What the kernel takes.
    pub expected: String,
}
