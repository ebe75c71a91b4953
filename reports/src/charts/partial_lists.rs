//! How long the node partial lists were, over time.

use plotters::prelude::{DrawResult, DrawingBackend};

use super::lines::{self, COLORS, Line};
use super::page::{self, Page};
use crate::format::thousands;
use crate::input::{CacheSeries, ReportInput};

pub(crate) fn draw<DB>(root: &Page<DB>, input: &ReportInput) -> DrawResult<(), DB>
where
    DB: DrawingBackend,
    DB::ErrorType: 'static,
{
    let lists = longest(input);
    page::header(root, &input.run, &title(lists.len()))?;
    if lists.is_empty() {
        return page::nothing(root, "no slab on a node partial list at any moment");
    }
    let Some(seconds) = page::seconds(&input.timeline.time_ns) else {
        return page::nothing(root, "the replay spans no time");
    };
    let lines: Vec<Line> = lists.iter().map(List::line).collect();
    lines::draw(root, &seconds, "slabs on node partial lists", true, &lines)
}

struct List<'a> {
    name: &'a str,
    series: &'a CacheSeries,
    longest: u64,
}

impl List<'_> {
    fn line(&self) -> Line {
        let last = self.series.partial_slabs.last().copied().unwrap_or(0);
        Line {
            name: self.name.to_owned(),
            facts: format!("most {}, end {}", thousands(self.longest), thousands(last)),
            values: self.series.partial_slabs.iter().map(|slabs| *slabs as f64).collect(),
        }
    }
}

/// Lists that ever held a slab, longest first, then by name.
fn longest(input: &ReportInput) -> Vec<List<'_>> {
    let mut lists: Vec<List<'_>> = input
        .timeline
        .caches
        .iter()
        .map(|series| List {
            name: input.cache_label(series.cache).unwrap_or("unknown cache"),
            series,
            longest: series.partial_slabs.iter().copied().max().unwrap_or(0),
        })
        .filter(|list| list.longest > 0)
        .collect();
    lists.sort_by(|a, b| (b.longest, a.name).cmp(&(a.longest, b.name)));
    lists
}

fn title(lists: usize) -> String {
    if lists > COLORS.len() {
        format!("Node partial lists: the {} longest of {}", COLORS.len(), thousands(lists as u64))
    } else {
        "Node partial lists".to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn longest_first_then_by_name() {
        let mut input = testdata::small();
        let names = |input: &ReportInput| -> Vec<String> { longest(input).iter().map(|list| list.name.to_owned()).collect() };
        assert_eq!(names(&input), ["dentry", "kmalloc-64"]); // 3 and 1
        input.timeline.caches[0].partial_slabs = vec![0, 3, 0];
        assert_eq!(names(&input), ["dentry", "kmalloc-64"]); // 3 and 3
        input.timeline.caches[1].partial_slabs.fill(0);
        assert_eq!(names(&input), ["kmalloc-64"]);
    }
}
