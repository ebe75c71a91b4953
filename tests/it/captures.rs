//! Captures that are too large for the repository: every one in the folder that `SLUBREPLAY_CAPTURES` names.

use std::path::Path;

use serde_json::Value;

use crate::support::run;

/// Most that the summed counter error may be, in percent, over the caches that a trace can show.
const MAX_ERROR_PERCENT: f64 = 1.0;
/// Least share of the busy caches that are equal in every counter, in percent.
const MIN_EXACT_PERCENT: u64 = 50;

/// Caches of which no trace shows everything: bulk operations, and kfree_rcu().
const PARTLY_OBSERVED: [&str; 2] = ["maple_node", "kmalloc-96"];

#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn counters_of_other_kernels_are_met() {
    let Some(folder) = std::env::var_os("SLUBREPLAY_CAPTURES") else {
        eprintln!("skipped: SLUBREPLAY_CAPTURES names no folder with captures");
        return;
    };
    let mut verified = 0;
    for entry in std::fs::read_dir(&folder).expect("the folder").map(|entry| entry.expect("an entry").path()) {
        let counted = std::fs::read_to_string(entry.join("slab.after")).is_ok_and(|text| text.contains(",alloc_fastpath,"));
        if counted {
            verify(&entry);
            verified += 1;
        }
    }
    assert!(verified > 0, "no capture with counters in {}", Path::new(&folder).display());
}

fn verify(capture: &Path) {
    let snapshot = std::fs::read_to_string(capture.join("slab.after")).expect("read before");
    let mut args = vec!["verify".to_owned(), capture.display().to_string(), "--format=json".to_owned()];
    for cache in PARTLY_OBSERVED {
        if snapshot.lines().any(|line| line.starts_with(&format!("{cache},"))) {
            args.extend(["--exclude".to_owned(), cache.to_owned()]);
        }
    }
    let result: Value = serde_json::from_str(run(&args).ok()).expect("JSON");
    let summary = &result["summary"];
    let error = summary["error_percent"].as_f64().expect("a share");
    assert!(error <= MAX_ERROR_PERCENT, "{}: {error} %", capture.display());
    let count = |name: &str| summary[name].as_u64().expect("a number");
    let (exact, busy) = (count("busy_caches_exactly_equal"), count("busy_caches"));
    assert!(exact * 100 >= busy * MIN_EXACT_PERCENT, "{}: {exact} of {busy} caches exact", capture.display());
}
