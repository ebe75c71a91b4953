//! What differs between kernel releases, in one table.
//!
//! ARCHITECTURE.md says how the other generations will fit in. This version models 6.8 to 6.17; a release
//! outside of that is replayed by the rules of the nearest one, and [`Rules::covers`] says so.

use super::sizing::KernelRelease;

/// Behaviour of one release, as far as releases differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// `get_partial_node()` moves one extra slab to the CPU partial list even if that list's limit is 0
    /// (6.8; not 6.12).
    pub extra_slab_at_limit_zero: bool,
    /// A CPU partial slab that does not fit the request counts `cpu_partial_alloc` too (6.8; not 6.12).
    pub misfit_counts_cpu_partial_alloc: bool,
    /// A request for a node looks at that node's list and tries a new slab there before anything else;
    /// other nodes are used unless `__GFP_THISNODE` forbids it (6.12; 6.8 took a new slab at once).
    pub requested_node_first: bool,
}

impl Rules {
    /// First and last release whose behaviour is modelled.
    pub const MODELLED: (KernelRelease, KernelRelease) =
        (KernelRelease { major: 6, minor: 8, patch: 0 }, KernelRelease { major: 6, minor: 17, patch: u32::MAX });

    /// Name of the generation, for reports.
    pub const NAME: &str = "SLUB 6.8-6.17";

    /// The rules for a release, or those of the nearest modelled one.
    #[must_use]
    pub fn of(release: KernelRelease) -> Self {
        // The three changes are absent in 6.8 and present in 6.12; they are believed to be of 6.10.
        let old = release < KernelRelease { major: 6, minor: 10, patch: 0 };
        Self { extra_slab_at_limit_zero: old, misfit_counts_cpu_partial_alloc: old, requested_node_first: !old }
    }

    /// True if the release's own behaviour is modelled.
    #[must_use]
    pub fn covers(release: KernelRelease) -> bool {
        (Self::MODELLED.0..=Self::MODELLED.1).contains(&release)
    }
}
