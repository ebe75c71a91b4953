//! The replay against the kernel's own counters, within the bounds that the project has set itself.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::support::{COUNTERS, FORKEXEC, GAUGES, MIDLIFE, Snapshot, VerifyRow, capture, run, verified, verify_rows};

/// Untraced bulk operations on maple nodes, and untraced frees of kernfs open nodes by RCU.
const UNTRACED: [&str; 2] = [":0000256", "kmalloc-96"];

/// Races lost on other CPUs within one operation: no trace shows them.
const RACES: [&str; 2] = ["cmpxchg_double_fail", "cmpxchg_double_cpu_fail"];

fn totals(rows: &[VerifyRow]) -> impl Iterator<Item = &VerifyRow> {
    rows.iter().filter(|row| row.cpu.is_none() && COUNTERS.contains(&row.counter.as_str()))
}

/// Summed distance of all counters as a share of their sum, in percent.
fn error_percent(rows: &[VerifyRow], include: impl Fn(&str) -> bool) -> f64 {
    let included = || totals(rows).filter(|row| include(&row.cache));
    let error: u64 = included().map(|row| row.kernel.abs_diff(row.replay)).sum();
    let sum: i64 = included().map(|row| row.kernel).sum();
    error as f64 * 100.0 / sum as f64
}

fn operations(rows: &[VerifyRow]) -> BTreeMap<&str, i64> {
    let mut operations = BTreeMap::new();
    for row in totals(rows) {
        if ["alloc_fastpath", "alloc_slowpath", "free_fastpath", "free_slowpath"].contains(&row.counter.as_str()) {
            *operations.entry(row.cache.as_str()).or_default() += row.kernel;
        }
    }
    operations
}

#[test]
fn forkexec_error_is_within_the_bounds() {
    let rows = verified(FORKEXEC);
    let explained = error_percent(rows, |cache| !UNTRACED.contains(&cache));
    assert!(explained <= 0.1, "{explained} % without {UNTRACED:?}");
    let all = error_percent(rows, |_| true);
    assert!(all <= 1.0, "{all} % over all caches");
}

#[test]
fn forkexec_busy_caches_are_exactly_equal() {
    let rows = verified(FORKEXEC);
    let busy: Vec<&str> = operations(rows).into_iter().filter(|&(_, operations)| operations >= 1000).map(|(cache, _)| cache).collect();
    assert!(busy.len() > 20, "{busy:?}");
    for cache in busy.into_iter().filter(|cache| !UNTRACED.contains(cache)) {
        for row in totals(rows).filter(|row| row.cache == cache && !RACES.contains(&row.counter.as_str())) {
            assert_eq!(row.kernel, row.replay, "{cache} {}", row.counter);
        }
    }
}

#[test]
fn midlife_error_is_within_the_bounds() {
    let all = error_percent(verified(MIDLIFE), |_| true);
    assert!(all < 2.0, "{all} %");
}

/// The kernel's side of every row, computed here from the snapshots.
fn expected_rows(capture: &Path, cpus: u32) -> BTreeMap<(String, String, Option<u32>), i64> {
    let (before, after) = (Snapshot::read(capture, "slab.before"), Snapshot::read(capture, "slab.after"));
    let mut expected = BTreeMap::new();
    for (cache, attributes) in &after.caches {
        if !attributes.contains_key("alloc_fastpath") {
            continue;
        }
        for counter in COUNTERS {
            for cpu in std::iter::once(None).chain((0..cpus).map(Some)) {
                let difference = after.figure(cache, counter, cpu) - before.figure(cache, counter, cpu);
                assert!(difference >= 0, "counters only grow: {cache} {counter}");
                expected.insert((cache.clone(), counter.to_owned(), cpu), difference);
            }
        }
        for gauge in GAUGES {
            expected.insert((cache.clone(), gauge.to_owned(), None), after.figure(cache, gauge, None));
        }
    }
    expected
}

#[test]
fn the_kernel_column_is_what_the_snapshots_say() {
    for name in [FORKEXEC, MIDLIFE] {
        let expected = expected_rows(&capture(name), 4);
        let rows = verified(name);
        // 120 caches (grep -c ,alloc_fastpath, slab.after): 26 counters in total and on 4 CPUs, 6 gauges.
        assert_eq!(expected.len(), 120 * (26 * 5 + 6), "{name}");
        assert_eq!(rows.len(), expected.len(), "{name}");
        let unique: BTreeSet<_> = rows.iter().map(|row| (&row.cache, &row.counter, row.cpu)).collect();
        assert_eq!(unique.len(), rows.len(), "{name}: each figure once");
        for row in rows {
            let key = (row.cache.clone(), row.counter.clone(), row.cpu);
            assert_eq!(expected.get(&key), Some(&row.kernel), "{name}: {key:?}");
        }
    }
}

#[test]
fn totals_are_the_sums_over_cpus() {
    let mut sums: BTreeMap<(&str, &str), (i64, i64)> = BTreeMap::new();
    for row in verified(FORKEXEC).iter().filter(|row| row.cpu.is_some()) {
        let sum = sums.entry((&row.cache, &row.counter)).or_default();
        *sum = (sum.0 + row.kernel, sum.1 + row.replay);
    }
    for row in totals(verified(FORKEXEC)) {
        assert_eq!(sums[&(row.cache.as_str(), row.counter.as_str())], (row.kernel, row.replay), "{} {}", row.cache, row.counter);
    }
}

#[test]
fn exactly_equal_caches_are_equal_on_every_cpu_and_in_state() {
    // Busy caches of which the trace has the whole history.
    for cache in ["anon_vma", "inode_cache", ":A-0000040", ":0000136", "kmalloc-4k"] {
        let rows: Vec<_> = verified(FORKEXEC).iter().filter(|row| row.cache == cache).collect();
        assert_eq!(rows.len(), 26 * 5 + 6, "{cache}");
        for row in rows.into_iter().filter(|row| !RACES.contains(&row.counter.as_str())) {
            assert_eq!(row.kernel, row.replay, "{cache} {} CPU {:?}", row.counter, row.cpu);
        }
    }
}

/// Captures of 6.12 kernels beyond those shipped, in the folder that `SLUBREPLAY_CAPTURES` names.
#[test]
#[expect(clippy::print_stderr, reason = "figures for whoever runs it")]
fn other_captures_can_be_verified() {
    let Some(folder) = std::env::var_os("SLUBREPLAY_CAPTURES") else {
        eprintln!("skipped: SLUBREPLAY_CAPTURES names no folder of captures");
        return;
    };
    let mut captures: Vec<_> = std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    captures.sort();
    for path in captures {
        let is_6_12 = std::fs::read_to_string(path.join("uname")).is_ok_and(|uname| uname.contains(" 6.12."));
        if !is_6_12 || !path.join("trace.dat").is_file() {
            continue;
        }
        let rows = verify_rows(run(&["verify".as_ref(), path.as_os_str(), "--format=csv".as_ref()]).ok());
        let (all, explained) = (error_percent(&rows, |_| true), error_percent(&rows, |cache| !UNTRACED.contains(&cache)));
        eprintln!("{}: {all:.4} % over all caches, {explained:.4} % without {UNTRACED:?}", path.display());
        assert!(all.is_finite());
    }
}
