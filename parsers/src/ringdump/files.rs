//! Which CPUs' pages a directory has, and in which byte order they are.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::CpuFile;
use crate::error::TraceError;
use crate::mapped::MappedFile;
use crate::ring::{Layout, commit_fits};

/// Names that the pages of CPU N may have, for messages.
pub(super) const EXPECTED: &str = "per_cpu/cpuN/trace_pipe_raw, cpuN/trace_pipe_raw, cpuN.raw or cpuN";

/// Sub-buffers of each CPU that are looked at to tell the byte order.
const SAMPLED: usize = 64;

/// The pages that are there.
pub(super) struct Found {
    /// By rising CPU number.
    pub(super) cpus: Vec<CpuFile>,
    /// Files that were left out, with the reason.
    pub(super) remarks: Vec<String>,
}

/// True if there are pages of any CPU.
pub(super) fn has_cpus(dir: &Path) -> bool {
    candidates(dir).is_ok_and(|found| !found.is_empty())
}

/// Maps the pages of each CPU. Of several files of one CPU the first is used, in the order of [`EXPECTED`].
pub(super) fn find(dir: &Path) -> Result<Found, TraceError> {
    let mut by_cpu: BTreeMap<u16, PathBuf> = BTreeMap::new();
    let mut remarks = Vec::new();
    for (cpu, path) in candidates(dir)? {
        if let Some(used) = by_cpu.get(&cpu) {
            let name = |path: &Path| path.strip_prefix(dir).unwrap_or(path).display().to_string();
            remarks.push(format!("{} was not read: the pages of CPU {cpu} are in {} too", name(&path), name(used)));
            continue;
        }
        by_cpu.insert(cpu, path);
    }
    let cpus = by_cpu.into_iter().map(|(cpu, path)| Ok(CpuFile { cpu, file: MappedFile::open(&path)? }));
    Ok(Found { cpus: cpus.collect::<Result<_, TraceError>>()?, remarks })
}

/// Files with pages, of each kind by rising CPU number.
fn candidates(dir: &Path) -> Result<Vec<(u16, PathBuf)>, TraceError> {
    let nested = |folder: PathBuf| -> Result<Vec<(u16, PathBuf)>, TraceError> {
        Ok(numbered(&folder, "")?.into_iter().map(|(cpu, path)| (cpu, path.join("trace_pipe_raw"))).collect())
    };
    let mut all = nested(dir.join("per_cpu"))?;
    all.extend(nested(dir.to_owned())?);
    all.extend(numbered(dir, ".raw")?);
    all.extend(numbered(dir, "")?);
    all.retain(|(_, path)| path.is_file());
    Ok(all)
}

/// What is called `cpuN` with this ending, by rising number.
fn numbered(folder: &Path, ending: &str) -> Result<Vec<(u16, PathBuf)>, TraceError> {
    let entries = match std::fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => return Ok(Vec::new()),
        Err(error) => return Err(TraceError::io(folder, "cannot list", error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry.map_err(|error| TraceError::io(folder, "cannot list", error))?.file_name();
        let cpu = name.to_str().and_then(|name| name.strip_prefix("cpu")?.strip_suffix(ending)).and_then(cpu_number);
        found.extend(cpu.map(|cpu| (cpu, folder.join(&name))));
    }
    found.sort_unstable();
    Ok(found)
}

/// A number as the kernel writes it: `007` and `+7` are names of something else.
fn cpu_number(digits: &str) -> Option<u16> {
    digits.parse().ok().filter(|cpu: &u16| cpu.to_string() == digits)
}

/// The byte order in which more of the first sub-buffers have a possible size of their data; little-endian if that does not tell.
pub(super) fn is_big_endian(cpus: &[CpuFile], layout: Layout, sub_buffer_bytes: usize) -> bool {
    let pages = || cpus.iter().flat_map(|cpu| cpu.file.chunks_exact(sub_buffer_bytes).take(SAMPLED));
    let fitting = |big_endian: bool| pages().filter(|page| commit_fits(page, Layout { big_endian, ..layout })).count();
    fitting(true) > fitting(false)
}
