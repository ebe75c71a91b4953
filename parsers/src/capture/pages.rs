//! The page allocator at one moment: `/proc/zoneinfo`, `/proc/buddyinfo` and `/proc/pagetypeinfo`.
//!
//! Formats: `zoneinfo_show_print()`, `frag_show_print()` and `pagetypeinfo_show()`, `mm/vmstat.c`, 4.19 to 6.18. Keys that
//! are not known are passed over, as each release adds some; a line that is known must hold what it promises.

use std::path::Path;

use super::optional;
use crate::error::{Fault, Place, TraceError};

/// Zones with memory, in the order of the files.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PageSnapshot {
    /// Populated zones.
    pub zones: Vec<ZonePages>,
    /// Order of a pageblock, from pagetypeinfo.
    pub pageblock_order: Option<u8>,
}

/// One zone of one node. Figures are in pages unless said otherwise.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ZonePages {
    /// Node.
    pub node: u16,
    /// Name, such as `DMA32`.
    pub name: String,
    /// Free pages; those on CPUs' lists do not count.
    pub free: u64,
    /// Watermarks as printed: they include the boost.
    pub min: u64,
    /// See `min`.
    pub low: u64,
    /// See `min`.
    pub high: u64,
    /// Boost of the watermarks after fragmentation (5.0 and later; 0 before).
    pub boost: u64,
    /// Extent, holes included.
    pub spanned: u64,
    /// Pages that exist.
    pub present: u64,
    /// Pages that the page allocator was given.
    pub managed: u64,
    /// First page frame.
    pub start_pfn: u64,
    /// Lowmem reserve against requests whose highest zone is the one of that index.
    pub protection: Vec<u64>,
    /// CPUs' page lists: CPU, pages on it, its limit, its batch.
    pub pagesets: Vec<PageSet>,
    /// Free blocks by order, from buddyinfo; empty without it.
    pub free_blocks: Vec<u64>,
    /// Free blocks by migrate type and order, from pagetypeinfo: a count that was cut (`>100000`) stands as it is printed.
    pub free_blocks_of: Vec<(String, Vec<u64>)>,
    /// Pageblocks by migrate type, from pagetypeinfo.
    pub pageblocks: Vec<(String, u64)>,
}

/// The page lists of one CPU in one zone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PageSet {
    /// CPU.
    pub cpu: u32,
    /// Pages on the lists.
    pub count: u64,
    /// Limit at that moment.
    pub high: u64,
    /// Pages moved at once.
    pub batch: u64,
}

/// Orders that are read of a line: beyond any that a kernel can be built with.
const MAX_ORDERS: usize = 64;

/// More than any kernel has: 1024 nodes with 6 zones each. Every line of the other files is looked up among them.
const MAX_ZONES: usize = 8192;

impl PageSnapshot {
    pub(super) fn read(dir: &Path, moment: &str) -> Result<Option<Self>, TraceError> {
        let file = |name: &str| {
            let path = dir.join(format!("{name}.{moment}"));
            optional(&path).map(|text| text.map(|text| (path, text)))
        };
        let Some((path, zoneinfo)) = file("zoneinfo")? else { return Ok(None) };
        let zones = zones(&zoneinfo).map_err(|fault| TraceError::malformed(&path, fault))?;
        let mut snapshot = Self { zones, pageblock_order: None };
        if let Some((path, text)) = file("buddyinfo")? {
            snapshot.buddyinfo(&text).map_err(|fault| TraceError::malformed(&path, fault))?;
        }
        if let Some((path, text)) = file("pagetypeinfo")? {
            snapshot.pagetypeinfo(&text).map_err(|fault| TraceError::malformed(&path, fault))?;
        }
        Ok(Some(snapshot))
    }

    fn zone(&mut self, node: u16, name: &str) -> Option<&mut ZonePages> {
        self.zones.iter_mut().find(|zone| zone.node == node && zone.name == name)
    }

    fn buddyinfo(&mut self, text: &str) -> Result<(), Fault> {
        for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
            let expected = || fault("buddyinfo", number, "`Node N, zone NAME` and a count for each order", line);
            let (node, rest) = zone_head(line).ok_or_else(expected)?;
            let mut words = rest.split_whitespace();
            let name = words.next().ok_or_else(expected)?;
            let counts = counts(words).ok_or_else(expected)?;
            if let Some(zone) = self.zone(node, name) {
                zone.free_blocks = counts;
            }
        }
        Ok(())
    }

    fn pagetypeinfo(&mut self, text: &str) -> Result<(), Fault> {
        let mut types: Option<Vec<String>> = None;
        for (number, line) in (1..).zip(text.lines()) {
            if let Some(order) = line.strip_prefix("Page block order:") {
                let order = order.trim().parse::<u8>().ok().filter(|&order| usize::from(order) < MAX_ORDERS);
                self.pageblock_order = Some(order.ok_or_else(|| fault("pagetypeinfo", number, "an order below 64", line))?);
            } else if let Some(names) = line.strip_prefix("Number of blocks type") {
                types = Some(names.split_whitespace().map(str::to_owned).collect());
            } else if line.starts_with("Number of mixed blocks") {
                // Only with page owner; the model has no use for it.
                types = None;
            } else if let Some((node, rest)) = zone_head(line) {
                self.type_line(node, rest, types.as_deref())
                    .ok_or_else(|| fault("pagetypeinfo", number, "a zone, a migrate type, and a count for each order or type", line))?;
            }
        }
        Ok(())
    }

    /// A line of the table of free blocks or, once the types are known, of pageblocks.
    fn type_line(&mut self, node: u16, rest: &str, types: Option<&[String]>) -> Option<()> {
        let (name, of_type) = match rest.split_once(',') {
            Some((name, of_type)) => (name.trim(), Some(of_type.trim().strip_prefix("type")?)),
            None => (rest.split_whitespace().next()?, None),
        };
        let mut words = of_type.unwrap_or(rest).split_whitespace();
        let first = words.next()?;
        let counts = counts(words)?;
        let Some(zone) = self.zone(node, name) else { return Some(()) };
        match (of_type, types) {
            (Some(_), _) => zone.free_blocks_of.push((first.to_owned(), counts)),
            (None, Some(types)) => zone.pageblocks = types.iter().cloned().zip(counts).collect(),
            (None, None) => return None,
        }
        Some(())
    }
}

/// The populated zones of a zoneinfo.
fn zones(text: &str) -> Result<Vec<ZonePages>, Fault> {
    let mut zones: Vec<ZonePages> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.starts_with("Node ") {
            let head = zone_head(line).and_then(|(node, name)| Some((node, name.split_whitespace().next()?.to_owned())));
            let (node, name) = head.ok_or_else(|| fault("zoneinfo", number, "`Node N, zone NAME`", line))?;
            if zones.len() == MAX_ZONES {
                return Err(fault("zoneinfo", number, "at most 8192 zones", line));
            }
            zones.push(ZonePages { node, name, ..ZonePages::default() });
        } else if let Some(zone) = zones.last_mut() {
            zone_line(zone, line.trim_start()).ok_or_else(|| fault("zoneinfo", number, "a number of pages after this name", line))?;
        }
    }
    zones.retain(|zone| zone.managed > 0 && zone.spanned > 0);
    Ok(zones)
}

/// One line of a zone; `None` if it is one that is read but has no number.
fn zone_line(zone: &mut ZonePages, line: &str) -> Option<()> {
    let (key, value) = match line.split_once(':') {
        Some((key, value)) => (key.trim(), value.trim()),
        None => line.split_once(char::is_whitespace).map_or((line, ""), |(key, value)| (key, value.trim())),
    };
    let number = || value.parse::<u64>().ok();
    match key {
        "pages" if value.starts_with("free") => zone.free = value.trim_start_matches("free").trim().parse().ok()?,
        "boost" => zone.boost = number()?,
        "min" => zone.min = number()?,
        "low" => zone.low = number()?,
        "spanned" => zone.spanned = number()?,
        "present" => zone.present = number()?,
        "managed" => zone.managed = number()?,
        "start_pfn" => zone.start_pfn = number()?,
        "protection" => {
            let row = value.trim_matches(['(', ')']).split(',').map(|word| word.trim().parse::<u64>().ok());
            zone.protection = row.take(MAX_ORDERS).collect::<Option<_>>()?;
        }
        "cpu" => zone.pagesets.push(PageSet { cpu: value.parse().ok()?, ..PageSet::default() }),
        "count" => zone.pagesets.last_mut()?.count = number()?,
        "batch" => zone.pagesets.last_mut()?.batch = number()?,
        // The zone's own mark comes before the lists, theirs within.
        "high" => match zone.pagesets.last_mut() {
            Some(set) => set.high = number()?,
            None => zone.high = number()?,
        },
        _ => {}
    }
    Some(())
}

/// `Node N, zone …`: the node, and what follows.
fn zone_head(line: &str) -> Option<(u16, &str)> {
    let (node, rest) = line.strip_prefix("Node")?.split_once(',')?;
    Some((node.trim().parse().ok().filter(|&node: &u16| node < 1024)?, rest.trim_start().strip_prefix("zone")?))
}

/// Counts; one that the kernel cut short has a `>` before it.
fn counts<'a>(words: impl Iterator<Item = &'a str>) -> Option<Vec<u64>> {
    let counts: Option<Vec<u64>> = words.take(MAX_ORDERS).map(|word| word.trim_start_matches('>').parse().ok()).collect();
    counts.filter(|counts| !counts.is_empty())
}

fn fault(section: &'static str, line: u64, expected: &'static str, found: &str) -> Fault {
    Fault { section: section.into(), place: Place::Line(line), expected: expected.into(), found: crate::parse::excerpt(found.as_bytes()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Cut from a 6.12.117 kernel with 512 MiB and four CPUs.
    const ZONEINFO: &str = "\
Node 0, zone    DMA32
  per-node stats
      nr_inactive_anon 13881
  pages free     55487
        boost    0
        min      689
        low      861
        high     1033
        promo    1205
        spanned  131039
        present  130942
        managed  124800
        cma      0
        protection: (0, 0, 0)
      nr_free_pages 55487
  pagesets
    cpu: 0
              count: 909
              high:  2966
              batch: 31
  vm stats threshold: 18
    cpu: 1
              count: 721
              high:  1149
              batch: 31
  vm stats threshold: 18
  node_unreclaimable:  0
  start_pfn:           1
Node 0, zone   Normal
  pages free     0
        min      0
        spanned  0
        managed  0
        protection: (0, 0, 0)
";
    const BUDDYINFO: &str = "Node 0, zone    DMA32   5970    638    315    239    142     85     32     23     12      5     31 \n";
    const PAGETYPEINFO: &str = "\
Page block order: 10
Pages per block:  1024

Free pages count per migrate type at order       0      1      2
Node    0, zone    DMA32, type    Unmovable      0      1      0
Node    0, zone    DMA32, type      Movable      1 >100000      2

Number of blocks type     Unmovable      Movable  Reclaimable   HighAtomic
Node 0, zone    DMA32           48           79            1            0
";

    fn read() -> PageSnapshot {
        let mut snapshot = PageSnapshot { zones: zones(ZONEINFO).unwrap(), pageblock_order: None };
        snapshot.buddyinfo(BUDDYINFO).unwrap();
        snapshot.pagetypeinfo(PAGETYPEINFO).unwrap();
        snapshot
    }

    #[test]
    fn a_kernels_own_files() {
        let snapshot = read();
        assert_eq!((snapshot.zones.len(), snapshot.pageblock_order), (1, Some(10)));
        let zone = &snapshot.zones[0];
        assert_eq!((zone.node, zone.name.as_str(), zone.free, zone.min, zone.low, zone.high), (0, "DMA32", 55_487, 689, 861, 1033));
        assert_eq!((zone.spanned, zone.present, zone.managed, zone.start_pfn), (131_039, 130_942, 124_800, 1));
        assert_eq!(zone.protection, [0, 0, 0]);
        let set = |cpu, count, high| PageSet { cpu, count, high, batch: 31 };
        assert_eq!(zone.pagesets, [set(0, 909, 2966), set(1, 721, 1149)]);
        assert_eq!(zone.free_blocks, [5970, 638, 315, 239, 142, 85, 32, 23, 12, 5, 31]);
        assert_eq!(zone.free_blocks_of, [("Unmovable".to_owned(), vec![0, 1, 0]), ("Movable".to_owned(), vec![1, 100_000, 2])]);
        let types = [("Unmovable", 48), ("Movable", 79), ("Reclaimable", 1), ("HighAtomic", 0)];
        assert_eq!(zone.pageblocks, types.map(|(name, count)| (name.to_owned(), count)));
    }

    #[test]
    fn damage_is_told_with_its_line() {
        let told = |fault: Fault| fault.to_string();
        let damaged = ZONEINFO.replace("low      861", "low      8x1");
        assert!(told(zones(&damaged).unwrap_err()).starts_with("zoneinfo, line 7: expected a number of pages after this name, found"));
        let mut snapshot = read();
        let error = snapshot.buddyinfo("\nNode 0, zone DMA32 1 two 3\n").unwrap_err();
        assert!(told(error).starts_with("buddyinfo, line 2: expected `Node N, zone NAME` and a count for each order, found"));
        assert!(told(snapshot.pagetypeinfo("Page block order: 99\n").unwrap_err()).starts_with("pagetypeinfo, line 1: expected an order"));
        assert!(snapshot.pagetypeinfo("Node 0, zone DMA32, type Movable 1 -1\n").is_err());
        // Zones of no use, and none at all, are no damage.
        snapshot.buddyinfo("Node 3, zone Normal 1 2\n").unwrap();
        assert_eq!(zones("").unwrap(), []);
    }
}
