//! Which kernel: `major.minor.patch`.

use std::error::Error;
use std::fmt;
use std::str::FromStr;

/// Version of the kernel whose rules are followed; ordered as releases are.
///
/// Everything after the third number (`-rc5`, `-fc-v669`, a distribution's suffix, the fourth
/// number of 2.6 kernels) is ignored: no rule depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KernelRelease {
    /// First number.
    pub major: u32,
    /// Second number; 6 in all of 2.6.x.
    pub minor: u32,
    /// Third number, 0 if absent: the stable update, or the release itself in 2.6.x.
    pub patch: u32,
}

impl KernelRelease {
    /// Returns the release `major.minor.patch`.
    pub const fn new(major: u32, minor: u32, patch: u32) -> Self {
        Self { major, minor, patch }
    }

    /// Returns whether this is `major.minor` or later, stable updates included.
    pub fn since(self, major: u32, minor: u32) -> bool {
        (self.major, self.minor) >= (major, minor)
    }

    /// Returns whether this is an update of `major.minor` from `patch` on.
    pub fn is_update(self, major: u32, minor: u32, patch: u32) -> bool {
        (self.major, self.minor) == (major, minor) && self.patch >= patch
    }

    /// Returns the first release named in `text`, such as the output of `uname -a` or
    /// `/proc/version`.
    pub fn find(text: &str) -> Option<Self> {
        text.split_whitespace().filter(|word| word.contains('.')).find_map(|word| word.parse().ok())
    }
}

impl FromStr for KernelRelease {
    type Err = ReleaseError;

    /// Reads a string as `uname -r` gives it.
    fn from_str(text: &str) -> Result<Self, ReleaseError> {
        let mut numbers = [None; 3];
        let mut rest = text.trim();
        for (at, number) in numbers.iter_mut().enumerate() {
            let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            if digits == 0 && at < 2 {
                return Err(ReleaseError);
            }
            // A third part that is no number, as in `6.12.y`, counts as absent.
            if digits > 0 {
                *number = Some(rest[..digits].parse().map_err(|_| ReleaseError)?);
            }
            match rest[digits..].strip_prefix('.') {
                Some(next) if digits > 0 => rest = next,
                _ => break,
            }
        }
        match numbers {
            [Some(major), Some(minor), patch] => Ok(Self::new(major, minor, patch.unwrap_or_default())),
            _ => Err(ReleaseError),
        }
    }
}

impl fmt::Display for KernelRelease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// A string that does not begin with `major.minor`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleaseError;

impl fmt::Display for ReleaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected a kernel release such as `6.12.117`")
    }
}

impl Error for ReleaseError {}
