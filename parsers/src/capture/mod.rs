//! A capture directory: a trace together with the kernel's own figures for the same run.
//!
//! | file | content |
//! |---|---|
//! | `trace.dat`, `perf.data`, `trace.parquet`, `trace.txt` or `ring` | the trace; but for `trace.parquet` files may be packed: `.gz`, `.zst`, `.xz`; `ring` is a folder of [raw pages](crate::ringdump), whose files may also be in the capture itself |
//! | `slab.before`, `slab.after` | all of `/sys/kernel/slab`, see [`snapshot`] |
//! | `slabinfo.before`, `slabinfo.after` | `/proc/slabinfo`, see [`slabinfo`] |
//! | `meminfo.*` | of `/proc/meminfo`, the memory in slabs |
//! | `buddyinfo.*`, `pagetypeinfo.*`, `zoneinfo.*` | free blocks, pageblocks and zones at those moments, see [`pages`] |
//! | `uname`, `cmdline`, `cpu_possible`, `cpu_online`, `nodes`, `page_size`, `config.gz` | the machine, see [`machine`] |

pub mod machine;
pub mod pages;
pub mod slabinfo;
pub mod snapshot;

use std::path::{Path, PathBuf};

use crate::error::TraceError;
use crate::ringdump::is_ring_dump;
pub use machine::{Machine, NodeMemory};
pub use pages::{PageSnapshot, ZonePages};
pub use slabinfo::SlabinfoFile;
pub use snapshot::SlabSnapshot;

/// Names that a trace may have in a capture, the first found first.
const TRACES: [&str; 13] = [
    "trace.dat",
    "trace.dat.zst",
    "trace.dat.gz",
    "trace.dat.xz",
    "perf.data",
    "perf.data.zst",
    "perf.data.gz",
    "perf.data.xz",
    "trace.parquet",
    "trace.txt",
    "trace.txt.zst",
    "trace.txt.gz",
    "trace.txt.xz",
];

/// Name of a folder of raw ring-buffer pages in a capture.
const RING: &str = "ring";

/// The text files of a capture directory, read.
#[derive(Debug, Clone)]
pub struct Capture {
    /// The directory.
    pub dir: PathBuf,
    /// The trace in it, to be opened with [`AnyTrace::open`](crate::AnyTrace::open).
    pub trace: PathBuf,
    /// The machine it was recorded on.
    pub machine: Machine,
    /// `slab.before`, if present.
    pub before: Option<SlabSnapshot>,
    /// `slab.after`, if present.
    pub after: Option<SlabSnapshot>,
    /// `slabinfo.before` and `slabinfo.after`, where they are present and not empty.
    pub slabinfo: [Option<SlabinfoFile>; 2],
    /// Memory in slabs by `meminfo.before` and `meminfo.after`, in bytes.
    pub slab_bytes: [Option<u64>; 2],
}

impl Capture {
    /// Reads a capture directory; the trace itself is only located: a file, or raw ring-buffer pages in the folder `ring` or in the
    /// directory itself. A directory with several is a capture of the trace.dat: snapshots are at its markers, of which a perf.data has none.
    ///
    /// # Errors
    ///
    /// If there is no trace in the directory, or a file cannot be read or understood.
    pub fn open(dir: &Path) -> Result<Self, TraceError> {
        let trace = Self::trace_in(dir)?;
        let snapshot = |name: &str| optional(&dir.join(name))?.map(|text| snapshot::parse(&dir.join(name), &text)).transpose();
        let slabinfo = |name: &str| {
            let file = optional(&dir.join(name))?.map(|text| slabinfo::parse(&dir.join(name), &text)).transpose()?;
            Ok::<_, TraceError>(file.filter(|file| !file.lines.is_empty()))
        };
        let slab_bytes = |name: &str| Ok::<_, TraceError>(optional(&dir.join(name))?.as_deref().and_then(slabinfo::slab_bytes));
        Ok(Self {
            slabinfo: [slabinfo("slabinfo.before")?, slabinfo("slabinfo.after")?],
            slab_bytes: [slab_bytes("meminfo.before")?, slab_bytes("meminfo.after")?],
            dir: dir.to_owned(),
            trace,
            machine: Machine::read(dir)?,
            before: snapshot("slab.before")?,
            after: snapshot("slab.after")?,
        })
    }
}

impl Capture {
    /// The trace in a capture directory.
    ///
    /// # Errors
    ///
    /// If there is none.
    pub fn trace_in(dir: &Path) -> Result<PathBuf, TraceError> {
        let file = TRACES.iter().map(|name| dir.join(name)).find(|trace| trace.is_file());
        let trace = file.or_else(|| [dir.join(RING), dir.to_owned()].into_iter().find(|dir| is_ring_dump(dir)));
        trace.ok_or_else(|| {
            let what =
                "not a capture directory: expected a file trace.dat, perf.data, trace.parquet or trace.txt in it, or a folder ring with \
                        per_cpu and events of tracefs"
                    .to_owned();
            TraceError::Unsupported { path: dir.to_owned(), what }
        })
    }

    /// The page allocator's figures near the start of the recording (`buddyinfo.before` and its siblings); `None` without a
    /// zoneinfo, which alone tells the extent of the zones. Only who asks for them can stumble over damage in these files.
    ///
    /// # Errors
    ///
    /// If a file is there but cannot be read or understood.
    pub fn pages_before(&self) -> Result<Option<PageSnapshot>, TraceError> {
        PageSnapshot::read(&self.dir, "before")
    }

    /// The same, near its end.
    ///
    /// # Errors
    ///
    /// If a file is there but cannot be read or understood.
    pub fn pages_after(&self) -> Result<Option<PageSnapshot>, TraceError> {
        PageSnapshot::read(&self.dir, "after")
    }
}

/// The text of a file, or `None` if it does not exist. Bytes that are not UTF-8 are replaced.
fn optional(path: &Path) -> Result<Option<String>, TraceError> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(TraceError::io(path, "cannot read", error)),
    }
}
