//! What CPUs fought for: locks, and slab words.

use super::remark;
use crate::format::{duration, percent, thousands};
use crate::input::threads::{LockFigures, ThreadsCache, ThreadsInput};
use crate::text::sections::title;
use crate::text::table::{
    Align::{Left, Right},
    Table,
};
use crate::text::{TextOptions, section};

/// The counter of exchanges of slab words that another CPU was faster with.
const LOST: &str = "cmpxchg_double_fail";

pub(super) fn write(out: &mut String, input: &ThreadsInput, options: &TextOptions) {
    let mut used: Vec<&ThreadsCache> = input.caches.iter().filter(|cache| cache.own_locks().taken > 0).collect();
    let pages = input.caches.iter().map(|cache| LockFigures::sum(&cache.page_locks)).fold(LockFigures::default(), LockFigures::plus);
    if used.is_empty() && pages.taken == 0 {
        return;
    }
    used.sort_by(|a, b| b.own_locks().taken.cmp(&a.own_locks().taken).then_with(|| a.label.cmp(&b.label)));
    let shown = used.len().min(options.top);
    section(out, &title("Locks, by times taken", shown, used.len()), options);
    let mut table = Table::new(&[
        ("cache", Left),
        ("node", Left),
        ("taken", Right),
        ("contended", Right),
        ("waited", Right),
        ("lost exchanges", Right),
    ]);
    let lost = input.figure(LOST);
    let row = |name: &str, which: String, locks: LockFigures, lost: String| {
        vec![name.to_owned(), which, thousands(locks.taken), percent(locks.contended_share()), duration(locks.waited_ns), lost]
    };
    for cache in &used[..shown] {
        let mut name = cache.label.as_str();
        let mut exchanges = lost.map_or_else(String::new, |figure| thousands(cache.compared(figure).threads));
        let nodes = (0..).zip(&cache.list_locks_of_node).filter(|(_, locks)| locks.taken > 0);
        let lists = nodes.map(|(node, locks): (u32, _)| (format!("list {node}"), *locks));
        let barns = LockFigures::sum(&cache.barn_locks);
        for (which, locks) in lists.chain(std::iter::once(("barns".to_owned(), barns)).filter(|(_, locks)| locks.taken > 0)) {
            table.row(row(std::mem::take(&mut name), which, locks, std::mem::take(&mut exchanges)));
        }
    }
    if pages.taken > 0 {
        table.row(row("page allocator", String::new(), pages, String::new()));
    }
    let all = used.iter().map(|cache| cache.own_locks()).fold(pages, LockFigures::plus);
    table.total(row("all locks", String::new(), all, lost.map_or_else(String::new, |figure| thousands(input.compared(figure).threads))));
    table.write(out, options);
    remark(
        out,
        "contended: share of the times taken at which another worker had the lock; lost exchanges: of a slab's word (cmpxchg_double_fail), tried again",
        options,
    );
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::threads::ComparedFigure;
    use crate::testdata::threads::small;

    #[test]
    fn locks_by_cache_and_node() {
        let mut input = small();
        input.figures.push(ComparedFigure { name: LOST, why: None });
        input.caches[0].threads.push(5);
        let mut out = String::new();
        write(&mut out, &input, &TextOptions::default());
        // Lists: 7 of 80; barns: 3 of 10; pages: 2 + 7, 1 of 9; all: 11 of 99, 1000 + 500 + 50 ns.
        let expected = "
Locks, by times taken
  cache           node    taken  contended  waited  lost exchanges
  kmalloc-64      list 0     80       8.8%  1.0 us               5
                  barns      10      30.0%  500 ns
  page allocator              9      11.1%   50 ns
  all locks                  99      11.1%  1.6 us               5
";
        assert!(out.starts_with(expected), "{out}");
    }

    #[test]
    fn no_lock_no_section() {
        let mut out = String::new();
        write(&mut out, &ThreadsInput::default(), &TextOptions::default());
        assert_eq!(out, "");
    }
}
