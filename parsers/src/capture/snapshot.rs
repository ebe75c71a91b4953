//! All of `/sys/kernel/slab/*/*` at one moment, as lines `cache,attribute,value`.
//!
//! A merged name is a line `name,@alias,target`. A value may be followed by the shares of CPUs or
//! nodes: `102513 C0=101510 C1=441`, `1619 N0=1619`.

use std::collections::BTreeMap;
use std::path::Path;

use crate::error::{Fault, Place, TraceError};

/// The slab figures of a kernel at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlabSnapshot {
    /// Caches by the name of their sysfs directory.
    pub caches: BTreeMap<String, CacheAttributes>,
    /// Names that are symbolic links, with the directory they lead to.
    pub aliases: BTreeMap<String, String>,
}

/// The attributes of one cache by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CacheAttributes {
    /// With the number of the line.
    values: BTreeMap<String, (usize, Value)>,
    lines: usize,
    position: usize,
}

/// The value of an attribute.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Value {
    /// Its text, whole.
    pub text: String,
    /// The leading number, if there is one.
    pub total: Option<u64>,
    /// Shares of CPUs (` C<n>=<value>`); CPUs with zero are left out by the kernel.
    pub cpus: BTreeMap<u32, u64>,
    /// Shares of nodes (` N<n>=<value>`).
    pub nodes: BTreeMap<u32, u64>,
}

impl SlabSnapshot {
    /// The directory behind a name: itself, or what it is merged into.
    #[must_use]
    pub fn resolve<'a>(&'a self, name: &'a str) -> Option<&'a str> {
        let directory = self.aliases.get(name).map_or(name, String::as_str);
        self.caches.contains_key(directory).then_some(directory)
    }

    /// Adds a cache after the others.
    pub(super) fn add<'a>(&mut self, name: &str, attributes: impl Iterator<Item = (&'a str, Value)>) {
        let position = self.caches.len();
        let mut cache = CacheAttributes { position, ..CacheAttributes::default() };
        attributes.for_each(|(attribute, value)| cache.push(attribute, value));
        self.caches.insert(name.to_owned(), cache);
    }

    /// Names merged into a directory, sorted.
    pub fn aliases_of<'a>(&'a self, directory: &'a str) -> impl Iterator<Item = &'a str> {
        self.aliases.iter().filter(move |(_, target)| *target == directory).map(|(name, _)| name.as_str())
    }
}

impl CacheAttributes {
    /// The attribute of that name.
    #[must_use]
    pub fn get(&self, attribute: &str) -> Option<&Value> {
        self.values.get(attribute).map(|(_, value)| value)
    }

    /// The leading number of an attribute.
    #[must_use]
    pub fn number(&self, attribute: &str) -> Option<u64> {
        self.get(attribute)?.total
    }

    /// Number of the line of an attribute: the cache's first is 0.
    #[must_use]
    pub fn line(&self, attribute: &str) -> Option<usize> {
        self.values.get(attribute).map(|(line, _)| *line)
    }

    /// Number of the cache in the order of the file: the first is 0.
    #[must_use]
    pub fn position(&self) -> usize {
        self.position
    }

    /// Number of lines.
    #[must_use]
    pub fn lines(&self) -> usize {
        self.lines
    }

    fn push(&mut self, attribute: &str, value: Value) {
        self.values.insert(attribute.to_owned(), (self.lines, value));
        self.lines += 1;
    }
}

pub(super) fn parse(path: &Path, text: &str) -> Result<SlabSnapshot, TraceError> {
    let mut snapshot = SlabSnapshot::default();
    for (number, line) in (1..).zip(text.lines()) {
        if line.is_empty() {
            continue;
        }
        let mut parts = line.splitn(3, ',');
        let (Some(cache), Some(attribute), Some(value)) = (parts.next(), parts.next(), parts.next()) else {
            // A value of several lines (some files list call sites) goes on without a cache name.
            if snapshot.caches.is_empty() && snapshot.aliases.is_empty() {
                let found = crate::parse::excerpt(line.as_bytes());
                let fault = Fault {
                    section: "slab snapshot".into(),
                    place: Place::Line(number),
                    expected: "`cache,attribute,value`".into(),
                    found,
                };
                return Err(TraceError::malformed(path, fault));
            }
            continue;
        };
        if attribute == "@alias" {
            snapshot.aliases.insert(cache.to_owned(), value.to_owned());
        } else {
            let position = snapshot.caches.len();
            let new = || CacheAttributes { position, ..CacheAttributes::default() };
            snapshot.caches.entry(cache.to_owned()).or_insert_with(new).push(attribute, self::value(value));
        }
    }
    Ok(snapshot)
}

fn value(text: &str) -> Value {
    let mut value = Value { text: text.to_owned(), ..Value::default() };
    for (position, word) in text.split_whitespace().enumerate() {
        if position == 0 {
            value.total = word.parse().ok();
            continue;
        }
        let Some((key, share)) = word.split_once('=') else { continue };
        let Ok(share) = share.parse() else { continue };
        if let Some(cpu) = key.strip_prefix('C').and_then(|cpu| cpu.parse().ok()) {
            value.cpus.insert(cpu, share);
        } else if let Some(node) = key.strip_prefix('N').and_then(|node| node.parse().ok()) {
            value.nodes.insert(node, share);
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_shares_and_aliases() {
        let text = "RAW,@alias,:A-0000960\n:A-0000960,alloc_fastpath,12 C0=5 C3=7\n:A-0000960,slabs,2 N0=2\nkfence,slabs,0\n";
        let snapshot = parse(Path::new("slab.after"), text).unwrap();
        assert_eq!(snapshot.resolve("RAW"), Some(":A-0000960"));
        assert_eq!(snapshot.resolve("kfence"), Some("kfence"));
        assert_eq!(snapshot.resolve("nothing"), None);
        let raw = &snapshot.caches[":A-0000960"];
        assert_eq!(raw.number("alloc_fastpath"), Some(12));
        assert_eq!(raw.get("alloc_fastpath").unwrap().cpus, [(0, 5), (3, 7)].into());
        assert_eq!(raw.get("slabs").unwrap().nodes, [(0, 2)].into());
        assert_eq!((raw.line("alloc_fastpath"), raw.line("slabs"), raw.line("order"), raw.lines()), (Some(0), Some(1), None, 2));
        assert_eq!(snapshot.aliases_of(":A-0000960").collect::<Vec<_>>(), ["RAW"]);
    }

    #[test]
    fn a_file_that_is_no_snapshot_is_refused_with_its_line() {
        let error = parse(Path::new("slab.after"), "hello\n").unwrap_err();
        assert_eq!(error.to_string(), "slab.after: slab snapshot, line 1: expected `cache,attribute,value`, found \"hello\"");
    }
}
