//! What a file says of its machine and of how it was recorded: the feature sections.

use super::records::u32_at;
use crate::error::Fault;
use crate::parse::{Cursor, Endian, cpu_list, u32, u64};

/// Feature numbers (`HEADER_*` of perf).
pub(super) mod id {
    pub(in super::super) const TRACING_DATA: u32 = 1;
    pub(super) const HOSTNAME: u32 = 3;
    pub(super) const OSRELEASE: u32 = 4;
    pub(super) const NRCPUS: u32 = 7;
    pub(super) const CMDLINE: u32 = 11;
    pub(super) const EVENT_DESC: u32 = 12;
    pub(super) const NUMA_TOPOLOGY: u32 = 14;
    pub(in super::super) const DIR_FORMAT: u32 = 24;
}

/// What the features say, as far as a replay can use it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Features {
    pub(super) hostname: String,
    /// Kernel release.
    pub(super) osrelease: String,
    /// CPUs of the machine: the larger of those present and those online.
    pub(super) cpus: u32,
    /// The recorder's command line, word by word.
    pub(super) cmdline: Vec<String>,
    /// CPUs of each node, by node number.
    pub(super) nodes: Vec<(u32, Vec<u32>)>,
    /// Names of events, by one of their ids.
    pub(super) names: Vec<(u64, String)>,
    /// Features that were not understood, with the reason.
    pub(super) bad: Vec<String>,
}

/// More nodes than any kernel supports are damage (`MAX_NUMNODES` is 1024).
const MAX_NODES: u32 = 1024;
/// More CPUs than any kernel supports are damage.
const MAX_CPUS: u32 = 65_536;

impl Features {
    /// Reads one feature's content if it is of use. Nothing in the records depends on it, so one that is
    /// not understood is noted and left out.
    pub(super) fn read(&mut self, number: u32, mut cursor: Cursor<'_>, endian: Endian) {
        cursor.enter(format!("feature {number}"));
        if let Err(fault) = self.one(number, &mut cursor, endian) {
            self.bad.push(fault.to_string());
        }
    }

    fn one(&mut self, number: u32, cursor: &mut Cursor<'_>, endian: Endian) -> Result<(), Fault> {
        match number {
            id::HOSTNAME => self.hostname = text(cursor, endian)?,
            id::OSRELEASE => self.osrelease = text(cursor, endian)?,
            id::NRCPUS => {
                let start = cursor.clone();
                let cpus = cursor.read(u32(endian))?.max(cursor.read(u32(endian))?);
                if cpus > MAX_CPUS {
                    return Err(start.fault("at most 65536 CPUs"));
                }
                self.cpus = cpus;
            }
            id::CMDLINE => {
                for _ in 0..cursor.read(u32(endian))? {
                    self.cmdline.push(text(cursor, endian)?);
                }
            }
            id::EVENT_DESC => self.event_names(cursor, endian)?,
            id::NUMA_TOPOLOGY => self.nodes = nodes(cursor, endian)?,
            _ => {}
        }
        Ok(())
    }

    fn event_names(&mut self, cursor: &mut Cursor<'_>, endian: Endian) -> Result<(), Fault> {
        let events = cursor.read(u32(endian))?;
        let attr_bytes = cursor.read(u32(endian))?;
        for _ in 0..events {
            cursor.take(u64::from(attr_bytes), "an event's description")?;
            let ids = cursor.read(u32(endian))?;
            let name = text(cursor, endian)?;
            let start = cursor.clone();
            cursor.take(u64::from(ids) * 8, "ids")?;
            if ids > 0 {
                self.names.push((start.clone().read(u64(endian))?, name));
            }
        }
        Ok(())
    }
}

/// A text preceded by its size and padded with NULs.
fn text(cursor: &mut Cursor<'_>, endian: Endian) -> Result<String, Fault> {
    let bytes = cursor.read(u32(endian))?;
    let text = cursor.take(u64::from(bytes), "text")?;
    let text = text.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(String::from_utf8_lossy(text).into_owned())
}

fn nodes(cursor: &mut Cursor<'_>, endian: Endian) -> Result<Vec<(u32, Vec<u32>)>, Fault> {
    let start = cursor.clone();
    let count = cursor.read(u32(endian))?;
    if count > MAX_NODES {
        return Err(start.fault("at most 1024 nodes"));
    }
    let mut nodes: Vec<(u32, Vec<u32>)> = Vec::new();
    let mut all_cpus = 0;
    for _ in 0..count {
        let start = cursor.clone();
        let node = cursor.read(u32(endian))?;
        if node >= MAX_NODES {
            return Err(start.fault("a node number below 1024"));
        }
        // Bytes of memory: total and free.
        cursor.take(16, "sizes of a node's memory")?;
        let start = cursor.clone();
        let cpus = cpu_list(text(cursor, endian)?.trim()).ok_or_else(|| start.fault("a CPU list such as 0-3,8"))?;
        all_cpus += cpus.len();
        if all_cpus > MAX_CPUS as usize {
            return Err(start.fault("at most 65536 CPUs on all nodes"));
        }
        nodes.push((node, cpus));
    }
    nodes.sort_unstable();
    Ok(nodes)
}

impl Features {
    /// Reasons why the recording may lack events: features that were not understood, and options of
    /// `perf record`.
    pub(super) fn remarks(&self, remarks: &mut Vec<String>) {
        remarks.extend(self.bad.iter().map(|text| format!("a part of the header was not understood: {text}")));
        // What follows `--` is the recorded program's own.
        let options: Vec<&str> = self.cmdline.iter().map(String::as_str).take_while(|word| *word != "--").collect();
        if options.is_empty() {
            return;
        }
        if options.iter().any(|word| *word == "--filter" || word.starts_with("--filter=")) {
            remarks.push("recorded with --filter: what the filter left out is missing, and nothing counts it".to_owned());
        }
        let is_flags = |word: &str| word.strip_prefix('-').is_some_and(|flags| flags.chars().all(|flag| "aRgvqdTsSnBbW".contains(flag)));
        let is_system_wide = |word: &&str| {
            (is_flags(word) && word.contains('a')) || *word == "--all-cpus" || word.starts_with("-C") || word.starts_with("--cpu")
        };
        if !options.iter().any(is_system_wide) {
            remarks.push("recorded without -a: events of other processes, and of interrupts during them, are missing".to_owned());
        }
    }
}

/// Whether a feature's bit is set; `bitmap` is four `u64`.
pub(super) fn is_set(bitmap: &[u64; 4], number: u32) -> bool {
    bitmap.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 != 0)
}

/// The number of the feature that a record of pipe mode carries.
pub(super) fn number(body: &[u8], endian: Endian) -> Option<u32> {
    // A `u64` of which only small values are in use.
    let at = if endian == Endian::Big { 4 } else { 0 };
    u32_at(body, at, endian).filter(|_| body.len() >= 8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::parse::Origin;

    #[test]
    fn nodes_have_no_more_cpus_than_there_can_be() {
        let node =
            |number: u32, cpus: &str| [&number.to_le_bytes()[..], &[0; 16], &(cpus.len() as u32).to_le_bytes(), cpus.as_bytes()].concat();
        let read = |all: &[Vec<u8>]| {
            let bytes = [&(all.len() as u32).to_le_bytes()[..], &all.concat()].concat();
            nodes(&mut Cursor::new(&bytes, Origin::File(0), "nodes"), Endian::Little)
        };
        assert_eq!(read(&[node(1, "2-3"), node(0, "0,1")]).unwrap(), [(0, vec![0, 1]), (1, vec![2, 3])]);
        let message = read(&[node(0, "0-65534"), node(1, "0-65534")]).unwrap_err().to_string();
        assert!(message.contains("at most 65536 CPUs on all nodes"), "{message}");
    }
}
