//! Names of allocators.

use std::str::FromStr;

use crate::allocators::concurrent::{CpuSlabCache, Model, SheafCache};
use crate::allocators::slub::Rules;
use crate::allocators::slub::sizing::KernelRelease;

/// An allocator to measure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allocator {
    /// A concurrent model of SLUB.
    Slub {
        /// Of this release.
        release: KernelRelease,
        /// With all per-CPU statistics (`CONFIG_SLUB_STATS`), and how often locks were taken.
        counts: bool,
    },
    /// The C library's.
    System,
    /// mimalloc.
    Mimalloc,
    /// jemalloc.
    Jemalloc,
    /// snmalloc.
    Snmalloc,
}

/// Why a name stands for no allocator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// It is none.
    #[error(
        "no allocator of that name; there are slub-6.12, slub-7.2 (or another release), each also -uncounted, system, mimalloc, jemalloc, snmalloc"
    )]
    Unknown,
    /// It is not in this build.
    #[error("not in this build; `cargo build --release --features other-allocators` has mimalloc, jemalloc and snmalloc")]
    NotBuilt,
    /// The release has no concurrent model.
    #[error("no concurrent model of this release; there are those of 6.8 to 6.17 and 7.0 to 7.3")]
    NoModel,
}

const UNCOUNTED: &str = "-uncounted";

impl Allocator {
    /// Mimalloc, jemalloc and snmalloc are in this build.
    pub const HAS_OTHERS: bool = cfg!(feature = "other-allocators");

    /// Names of those that are measured if nothing else is said.
    #[must_use]
    pub fn default_names() -> Vec<&'static str> {
        let mut names = vec!["slub-6.12", "slub-6.12-uncounted", "slub-7.2", "slub-7.2-uncounted", "system"];
        if Self::HAS_OTHERS {
            names.extend(["mimalloc", "jemalloc", "snmalloc"]);
        }
        names
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Slub { release, counts } => {
                let patch = if release.patch == 0 { String::new() } else { format!(".{}", release.patch) };
                format!("slub-{}.{}{patch}{}", release.major, release.minor, if counts { "" } else { UNCOUNTED })
            }
            Self::System => "system".to_owned(),
            Self::Mimalloc => "mimalloc".to_owned(),
            Self::Jemalloc => "jemalloc".to_owned(),
            Self::Snmalloc => "snmalloc".to_owned(),
        }
    }

    /// It is one of those that the models are held against.
    #[must_use]
    pub fn is_yardstick(name: &str) -> bool {
        ["mimalloc", "jemalloc", "snmalloc"].contains(&name)
    }
}

impl FromStr for Allocator {
    type Err = NameError;

    fn from_str(name: &str) -> Result<Self, NameError> {
        let other = match name {
            "system" => return Ok(Self::System),
            "mimalloc" => Some(Self::Mimalloc),
            "jemalloc" => Some(Self::Jemalloc),
            "snmalloc" => Some(Self::Snmalloc),
            _ => None,
        };
        if let Some(other) = other {
            return if Self::HAS_OTHERS { Ok(other) } else { Err(NameError::NotBuilt) };
        }
        let release = name.strip_prefix("slub-").ok_or(NameError::Unknown)?;
        let (release, counts) = release.strip_suffix(UNCOUNTED).map_or((release, true), |release| (release, false));
        let release = KernelRelease::from_str(release).map_err(|_| NameError::Unknown)?;
        let rules = Rules::of(release);
        if CpuSlabCache::models(&rules) || SheafCache::models(&rules) {
            Ok(Self::Slub { release, counts })
        } else {
            Err(NameError::NoModel)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back() {
        for name in Allocator::default_names() {
            assert_eq!(Allocator::from_str(name).expect(name).name(), name);
        }
        assert_eq!(Allocator::from_str("slub-7.0").map(Allocator::name), Ok("slub-7.0".to_owned()));
        for (name, error) in [("tcmalloc", NameError::Unknown), ("slub-six", NameError::Unknown), ("slub-5.10", NameError::NoModel)] {
            assert_eq!(Allocator::from_str(name), Err(error), "{name}");
        }
        let mimalloc = if Allocator::HAS_OTHERS { Ok(Allocator::Mimalloc) } else { Err(NameError::NotBuilt) };
        assert_eq!(Allocator::from_str("mimalloc"), mimalloc);
    }
}
