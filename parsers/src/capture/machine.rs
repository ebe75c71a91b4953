//! The machine that a capture was recorded on.

use std::io::Read;
use std::path::Path;

use super::optional;
use crate::error::{Fault, Place, TraceError};
use crate::parse::cpu_list;

/// The machine that a capture was recorded on; what no file tells is `None` or empty.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Machine {
    /// Kernel release, from `uname`.
    pub kernel: Option<String>,
    /// Kernel command line.
    pub cmdline: Option<String>,
    /// Kernel configuration, from `config.gz`.
    pub config: Option<String>,
    /// Possible CPUs.
    pub cpus_possible: Vec<u32>,
    /// Online CPUs.
    pub cpus_online: Vec<u32>,
    /// CPUs of each node, by node number.
    pub nodes: Vec<(u32, Vec<u32>)>,
    /// Page frames of each node, from `zoneinfo.before` (else `zoneinfo.after`).
    pub memory: Vec<NodeMemory>,
    /// Page size in bytes.
    pub page_bytes: Option<u32>,
}

/// Page frames of a zone of a node; there may be holes in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NodeMemory {
    /// Number of the node.
    pub node: u16,
    /// First page frame.
    pub start_pfn: u64,
    /// Page frame after the last.
    pub end_pfn: u64,
}

impl Machine {
    pub(super) fn read(dir: &Path) -> Result<Self, TraceError> {
        let text = |name: &str| optional(&dir.join(name));
        let list = |name: &str| -> Result<Vec<u32>, TraceError> {
            match text(name)? {
                None => Ok(Vec::new()),
                Some(text) => cpu_list(text.trim()).ok_or_else(|| fault(dir, name, 1, "a CPU list such as 0-3,8", &text)),
            }
        };
        let uname = text("uname")?;
        let page_bytes = match text("page_size")? {
            None => None,
            Some(text) => {
                let bytes = text.trim().parse::<u32>().ok().filter(|bytes| bytes.is_power_of_two() && (4096..=1 << 20).contains(bytes));
                Some(bytes.ok_or_else(|| fault(dir, "page_size", 1, "a power of two from 4096 to 1048576", &text))?)
            }
        };
        Ok(Self {
            kernel: uname.as_deref().and_then(|uname| uname.split_whitespace().nth(2)).map(str::to_owned),
            cmdline: text("cmdline")?.map(|text| text.trim().to_owned()),
            config: config(dir)?,
            cpus_possible: list("cpu_possible")?,
            cpus_online: list("cpu_online")?,
            nodes: nodes(dir, &text("nodes")?.unwrap_or_default())?,
            memory: match text("zoneinfo.before")? {
                Some(text) => memory(&text),
                None => memory(&text("zoneinfo.after")?.unwrap_or_default()),
            },
            page_bytes,
        })
    }
}

/// As many nodes as any kernel supports (`MAX_NUMNODES`).
const MAX_NODES: u32 = 1024;

/// Far above the size of any kernel configuration.
const MAX_CONFIG_BYTES: u64 = 16 << 20;

fn config(dir: &Path) -> Result<Option<String>, TraceError> {
    let path = dir.join("config.gz");
    let file = match std::fs::File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(TraceError::io(&path, "cannot open", error)),
    };
    let mut text = Vec::new();
    let unpacked = flate2::read::GzDecoder::new(file).take(MAX_CONFIG_BYTES).read_to_end(&mut text);
    unpacked.map_err(|error| TraceError::io(&path, "cannot decompress", error))?;
    Ok(Some(String::from_utf8_lossy(&text).into_owned()))
}

/// CPUs of all nodes together: as many as any kernel supports, each on one node. A line of a few bytes can list that many.
const MAX_CPUS: usize = 65_536;

fn nodes(dir: &Path, text: &str) -> Result<Vec<(u32, Vec<u32>)>, TraceError> {
    let mut nodes = Vec::new();
    let mut all_cpus = 0;
    for (number, line) in (1..).zip(text.lines()) {
        let parsed = line.split_once(' ').map_or(Some((line, "")), Some).and_then(|(node, cpus)| {
            Some((node.strip_prefix("node")?.parse().ok().filter(|node| *node < MAX_NODES)?, cpu_list(cpus.trim())?))
        });
        let parsed: (u32, Vec<u32>) = parsed.ok_or_else(|| fault(dir, "nodes", number, "`nodeN`, N below 1024, and a CPU list", line))?;
        all_cpus += parsed.1.len();
        if all_cpus > MAX_CPUS {
            return Err(fault(dir, "nodes", number, "at most 65536 CPUs on all nodes", line));
        }
        nodes.push(parsed);
    }
    nodes.sort_unstable();
    Ok(nodes)
}

/// Page frames by node in a `/proc/zoneinfo`; what cannot be understood is left out, as the file differs between releases.
fn memory(zoneinfo: &str) -> Vec<NodeMemory> {
    let mut memory = Vec::new();
    let (mut node, mut spanned) = (None, 0_u64);
    for line in zoneinfo.lines() {
        if let Some((number, _)) = line.strip_prefix("Node ").and_then(|rest| rest.split_once(',')) {
            (node, spanned) = (number.parse().ok().filter(|&node: &u16| u32::from(node) < MAX_NODES), 0);
        } else if let Some(pages) = line.trim_start().strip_prefix("spanned") {
            spanned = pages.trim().parse().unwrap_or(0);
        } else if let (Some(start), Some(node), 1..) = (line.trim_start().strip_prefix("start_pfn:"), node, spanned)
            && let Ok(start_pfn) = start.trim().parse::<u64>()
        {
            memory.push(NodeMemory { node, start_pfn, end_pfn: start_pfn.saturating_add(spanned) });
        }
    }
    memory
}

fn fault(dir: &Path, name: &str, line: u64, expected: &'static str, found: &str) -> TraceError {
    let found = crate::parse::excerpt(found.as_bytes());
    TraceError::malformed(
        &dir.join(name),
        Fault { section: name.to_owned().into(), place: Place::Line(line), expected: expected.into(), found },
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nodes_have_their_cpus_and_no_more_than_there_can_be() {
        let dir = Path::new("capture");
        assert_eq!(nodes(dir, "node1 2-3\nnode0 0,1\nnode2\n").unwrap(), [(0, vec![0, 1]), (1, vec![2, 3]), (2, vec![])]);
        assert!(nodes(dir, "node0 0-65534\nnode1 65535\n").is_ok());
        let message = nodes(dir, &"node0 0-65534\n".repeat(2)).unwrap_err().to_string();
        assert!(message.contains("nodes, line 2: expected at most 65536 CPUs on all nodes"), "{message}");
    }

    #[test]
    fn memory_of_nodes_is_read_from_zoneinfo() {
        let text = "Node 0, zone    DMA32\n        spanned  262143\n  start_pfn:           1\nNode 0, zone   Normal\n        spanned  0\n\
                    Node 1, zone    DMA32\n        spanned  262112\n  start_pfn:           262144\n";
        let expected = [(0, 1, 262_144), (1, 262_144, 524_256)].map(|(node, start_pfn, end_pfn)| NodeMemory { node, start_pfn, end_pfn });
        assert_eq!(memory(text), expected);
        assert_eq!(memory("Node x, zone\n spanned y\n start_pfn: 3\nspanned 4\nstart_pfn: 5"), []);
    }
}
