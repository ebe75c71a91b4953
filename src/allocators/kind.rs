//! Which allocator a kernel is built with.

use super::slub::sizing::KernelRelease;

/// An allocator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AllocatorKind {
    /// The only one from 6.8 on.
    #[default]
    Slub,
    /// `CONFIG_SLAB`, up to 6.7.
    Slab,
    /// `CONFIG_SLOB`, up to 6.3.
    Slob,
}

impl AllocatorKind {
    /// Name for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Slub => "SLUB",
            Self::Slab => "SLAB",
            Self::Slob => "SLOB",
        }
    }

    /// The last release that has it, for a model asked for without a release: its rules are the best known.
    #[must_use]
    pub fn reference_release(self) -> Option<KernelRelease> {
        match self {
            Self::Slub => None,
            Self::Slab | Self::Slob => Some(KernelRelease::new(6, 1, 0)),
        }
    }

    /// True if kernels of a release can be built with it.
    #[must_use]
    pub fn exists_in(self, release: KernelRelease) -> bool {
        match self {
            Self::Slub => true,
            Self::Slab => !release.since(6, 8),
            Self::Slob => !release.since(6, 4),
        }
    }

    /// By the configuration of a kernel (`/proc/config.gz`, unpacked).
    #[must_use]
    pub fn from_config(config: &str) -> Option<Self> {
        let options = [("CONFIG_SLUB=y", Self::Slub), ("CONFIG_SLAB=y", Self::Slab), ("CONFIG_SLOB=y", Self::Slob)];
        config.lines().find_map(|line| options.iter().find(|(option, _)| *option == line.trim()).map(|&(_, kind)| kind))
    }
}

impl std::str::FromStr for AllocatorKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "slub" => Ok(Self::Slub),
            "slab" => Ok(Self::Slab),
            "slob" => Ok(Self::Slob),
            _ => Err("expected slub, slab or slob".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_tells() {
        assert_eq!(AllocatorKind::from_config("# CONFIG_SLAB is not set\nCONFIG_SLUB=y\n"), Some(AllocatorKind::Slub));
        assert_eq!(AllocatorKind::from_config("CONFIG_SLAB=y\n# CONFIG_SLUB is not set\n"), Some(AllocatorKind::Slab));
        assert_eq!(AllocatorKind::from_config("CONFIG_SLOB=y"), Some(AllocatorKind::Slob));
        assert_eq!(AllocatorKind::from_config("CONFIG_SLUB_DEBUG=y"), None);
    }
}
