//! `/proc/slabinfo`, version 2.1, and the slab lines of `/proc/meminfo`.

use std::collections::BTreeMap;
use std::path::Path;

use super::snapshot::{SlabSnapshot, Value};
use crate::error::{Fault, Place, TraceError};

/// One line of `/proc/slabinfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlabinfoLine {
    /// Name of the cache.
    pub name: String,
    /// The numbers by the names of the header: `active_objs`, `num_objs`, `objsize`, `objperslab`, `pagesperslab`, `limit`,
    /// `batchcount`, `sharedfactor`, `active_slabs`, `num_slabs`, `sharedavail`.
    pub values: [u64; 11],
}

/// Names of [`SlabinfoLine::values`].
pub const COLUMNS: [&str; 11] = [
    "active_objs",
    "num_objs",
    "objsize",
    "objperslab",
    "pagesperslab",
    "limit",
    "batchcount",
    "sharedfactor",
    "active_slabs",
    "num_slabs",
    "sharedavail",
];

impl SlabinfoLine {
    /// The number under a name of [`COLUMNS`]; 0 for any other name.
    #[must_use]
    pub fn get(&self, column: &str) -> u64 {
        COLUMNS.iter().position(|name| *name == column).and_then(|at| self.values.get(at)).copied().unwrap_or(0)
    }
}

/// A `/proc/slabinfo`, in its order: the newest cache first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlabinfoFile {
    /// Its lines.
    pub lines: Vec<SlabinfoLine>,
}

impl SlabinfoFile {
    /// True if SLAB wrote it: SLUB has no tunables and writes zeroes.
    #[must_use]
    pub fn is_of_slab(&self) -> bool {
        self.lines.iter().any(|line| line.get("limit") > 0)
    }

    /// The line of a cache.
    #[must_use]
    pub fn line(&self, name: &str) -> Option<&SlabinfoLine> {
        self.lines.iter().find(|line| line.name == name)
    }

    /// The same figures as if sysfs had shown them: names of SLUB's attributes where they mean the same, and those of the header.
    #[must_use]
    pub fn as_snapshot(&self) -> SlabSnapshot {
        let mut snapshot = SlabSnapshot::default();
        for line in &self.lines {
            let mut attributes: Vec<(&str, u64)> = COLUMNS.into_iter().zip(line.values).collect();
            attributes.extend([
                ("slab_size", line.get("objsize")),
                ("objs_per_slab", line.get("objperslab")),
                ("order", u64::from(line.get("pagesperslab").checked_ilog2().unwrap_or(0))),
                ("slabs", line.get("num_slabs")),
            ]);
            let number = |value: u64| Value { text: value.to_string(), total: Some(value), cpus: BTreeMap::new(), nodes: BTreeMap::new() };
            snapshot.add(&line.name, attributes.into_iter().map(|(name, value)| (name, number(value))));
        }
        snapshot
    }
}

/// Reads a `/proc/slabinfo`. An empty one is of a kernel without it.
pub(super) fn parse(path: &Path, text: &str) -> Result<SlabinfoFile, TraceError> {
    let mut file = SlabinfoFile::default();
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() || line.starts_with('#') || line.starts_with("slabinfo - version:") {
            continue;
        }
        file.lines.push(parse_line(line).ok_or_else(|| {
            let expected = "a cache, its figures, `: tunables` with three figures and `: slabdata` with three figures".into();
            let found = crate::parse::excerpt(line.as_bytes());
            TraceError::malformed(path, Fault { section: "slabinfo".into(), place: Place::Line(number), expected, found })
        })?);
    }
    Ok(file)
}

fn parse_line(line: &str) -> Option<SlabinfoLine> {
    let mut parts = line.split(" : ");
    let (objects, tunables, slabs) = (parts.next()?, parts.next()?, parts.next()?);
    // Names may hold blanks, numbers may not: five of them end the first part.
    let mut words: Vec<&str> = objects.split_whitespace().collect();
    let figures = words.split_off(words.len().checked_sub(5)?);
    let tunables = tunables.trim().strip_prefix("tunables")?.split_whitespace();
    let slabs = slabs.trim().strip_prefix("slabdata")?.split_whitespace();
    let mut values = [0; 11];
    let mut numbers = figures.into_iter().chain(tunables).chain(slabs);
    for value in &mut values {
        *value = numbers.next()?.parse().ok()?;
    }
    let name = words.join(" ");
    (numbers.next().is_none() && !name.is_empty()).then_some(SlabinfoLine { name, values })
}

/// The `Slab:` line of a `/proc/meminfo`, in bytes.
pub(super) fn slab_bytes(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("Slab:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "slabinfo - version: 2.1\n\
        # name            <active_objs> <num_objs> <objsize> <objperslab> <pagesperslab> : tunables <limit> <batchcount> <sharedfactor>\n\
        sighand_cache        114    114   2112    3    2 : tunables   24   12    8 : slabdata     38     38     12\n\
        a b                    1      2     16  240    1 : tunables    0    0    0 : slabdata      1      1      0\n";

    #[test]
    fn lines_are_read_whole() {
        let file = parse(Path::new("slabinfo"), TEXT).unwrap();
        assert_eq!(file.lines[0].values, [114, 114, 2112, 3, 2, 24, 12, 8, 38, 38, 12]);
        assert_eq!((file.lines[1].name.as_str(), file.lines[1].get("objperslab")), ("a b", 240));
        assert!(file.is_of_slab());
        let snapshot = file.as_snapshot();
        assert_eq!(snapshot.caches["sighand_cache"].number("order"), Some(1));
        assert_eq!(snapshot.caches["sighand_cache"].number("slabs"), Some(38));
    }

    #[test]
    fn what_is_no_line_is_an_error_and_nothing_is_no_cache() {
        for bad in ["dentry 1 2 3", "dentry 1 2 3 4 x : tunables 1 1 1 : slabdata 1 1 1", " 1 2 3 4 5 : tunables 1 1 1 : slabdata 1 1 1"] {
            assert!(parse(Path::new("slabinfo"), bad).is_err(), "{bad}");
        }
        assert_eq!(parse(Path::new("slabinfo"), "").unwrap(), SlabinfoFile::default());
        assert!(!parse(Path::new("slabinfo"), "x 1 2 3 4 5 : tunables 0 0 0 : slabdata 1 1 0").unwrap().is_of_slab());
    }

    #[test]
    fn slab_memory_is_in_kib() {
        assert_eq!(slab_bytes("MemTotal: 9 kB\nSlab:              13648 kB\n"), Some(13_648 << 10));
        assert_eq!(slab_bytes("Slab: many\n"), None);
    }
}
