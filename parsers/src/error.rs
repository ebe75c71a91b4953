//! What can be wrong with an input, and where.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

/// An input that could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The operating system refused.
    #[error("{}: {action}", path.display())]
    Io {
        /// File concerned.
        path: PathBuf,
        /// What was tried, such as `cannot open`.
        action: &'static str,
        /// The system's answer.
        #[source]
        source: std::io::Error,
    },
    /// The content is not what its format promises.
    #[error("{}: {fault}", path.display())]
    Malformed {
        /// File concerned.
        path: PathBuf,
        /// Where and what.
        fault: Fault,
    },
    /// The format is known, but this variant of it cannot be read.
    #[error("{}: {what}", path.display())]
    Unsupported {
        /// File concerned.
        path: PathBuf,
        /// What it is and what would be needed.
        what: String,
    },
    /// The file lost its end while it was being read, or its storage failed there.
    #[error("{}: the file, {mapped_bytes} bytes at first, shrank or became unreadable while it was being read", path.display())]
    Shrank {
        /// File concerned.
        path: PathBuf,
        /// Its size when it was opened.
        mapped_bytes: u64,
    },
}

impl TraceError {
    /// An I/O error with the path and the action it happened in.
    pub(crate) fn io(path: &Path, action: &'static str, source: std::io::Error) -> Self {
        Self::Io { path: path.to_owned(), action, source }
    }

    /// A fault, once it is known in which file.
    pub(crate) fn malformed(path: &Path, fault: Fault) -> Self {
        Self::Malformed { path: path.to_owned(), fault }
    }
}

/// An error inside a file, before the path is added.
#[derive(Debug)]
pub(crate) enum Problem {
    Fault(Fault),
    Unsupported(String),
}

impl From<Fault> for Problem {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Problem {
    pub(crate) fn at(self, path: &Path) -> TraceError {
        match self {
            Self::Fault(fault) => TraceError::malformed(path, fault),
            Self::Unsupported(what) => TraceError::Unsupported { path: path.to_owned(), what },
        }
    }
}

/// Where an input differs from its format. The file is added at the edge, as [`TraceError`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{section}, {place}: expected {expected}, found {found}")]
pub struct Fault {
    /// Part of the format, such as `event formats, system kmem, event 3`.
    pub section: Cow<'static, str>,
    /// Byte or line.
    pub place: Place,
    /// A noun phrase.
    pub expected: Cow<'static, str>,
    /// What was there instead, cut to a few characters.
    pub found: String,
}

/// A position in an input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// Byte offset from the start of the file.
    Byte(u64),
    /// Byte offset inside a block that the file holds compressed, and the block's own offset.
    Inside {
        /// Offset of the compressed block in the file.
        block: u64,
        /// Offset in the decompressed block.
        byte: u64,
    },
    /// Line number, from 1.
    Line(u64),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Byte(byte) => write!(f, "byte {byte}"),
            Self::Inside { block, byte } => write!(f, "byte {byte} of the compressed block at byte {block}"),
            Self::Line(line) => write!(f, "line {line}"),
        }
    }
}
