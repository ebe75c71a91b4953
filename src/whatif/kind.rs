//! The designs, as a user names them.

use std::str::FromStr;

/// A design, with the text that it was named by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WhatIf {
    /// What was written.
    pub text: String,
    /// What is meant.
    pub kind: Kind,
}

/// What to do with the caches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// `nomerge`: names that are merged into one cache get caches of their own.
    NoMerge,
    /// `random-kmalloc`: 16 copies of each normal kmalloc cache, by call site (`CONFIG_RANDOM_KMALLOC_CACHES`).
    RandomKmalloc,
    /// `lifetime`: in each cache, call sites whose objects live longer than most get a cache of their own.
    Lifetime,
    /// `dedicated=SITE`: the objects of a call site get a cache of their own.
    Dedicated(String),
    /// `kmalloc-class=BYTES`: kmalloc has one more class.
    KmallocClass(u32),
    /// `cpus=N`: as many CPUs do all operations.
    Cpus(u16),
}

impl FromStr for WhatIf {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const EXPECTED: &str =
            "expected nomerge, random-kmalloc, lifetime, dedicated=SITE (a symbol, or an address in hex), kmalloc-class=BYTES or cpus=N";
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        let kind = match (name, value) {
            ("nomerge", None) => Kind::NoMerge,
            ("random-kmalloc", None) => Kind::RandomKmalloc,
            ("lifetime", None) => Kind::Lifetime,
            ("dedicated", Some(site)) if !site.is_empty() => Kind::Dedicated(site.to_owned()),
            ("kmalloc-class", Some(bytes)) => {
                let bytes = bytes.parse().ok().filter(|&bytes: &u32| (16..=8192).contains(&bytes) && bytes.is_multiple_of(8));
                Kind::KmallocClass(bytes.ok_or_else(|| format!("{text}: expected a multiple of 8 from 16 to 8192"))?)
            }
            ("cpus", Some(cpus)) => {
                let cpus = cpus.parse().ok().filter(|&cpus: &u16| cpus > 0);
                Kind::Cpus(cpus.ok_or_else(|| format!("{text}: expected a number of CPUs"))?)
            }
            _ => return Err(format!("{text}: {EXPECTED}")),
        };
        Ok(Self { text: text.to_owned(), kind })
    }
}

/// A design that cannot be tried.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WhatIfError {
    /// Not by this allocator.
    #[error("what-ifs are for SLUB; the model is of {0}")]
    Allocator(&'static str),
    /// There are no objects that it concerns.
    #[error("what if {0}: no object of the trace is concerned")]
    Nothing(String),
    /// More CPUs than recorded.
    #[error("what if cpus={cpus}: the recording has {own}, and nothing tells what others would have done")]
    MoreCpus {
        /// Asked for.
        cpus: u16,
        /// Recorded.
        own: u16,
    },
    /// More caches than can be numbered.
    #[error("more than 65535 caches")]
    TooManyCaches,
    /// The kernel would not make such a cache.
    #[error("a cache {0} cannot be made")]
    Unlaid(String),
}
