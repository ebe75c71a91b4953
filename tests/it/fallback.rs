//! `slubreplay fallback`: what the kernel counted, what the trace shows, what the model does.

use std::path::Path;

use serde_json::Value;

use crate::support::{FORKEXEC, capture, run};

const HEADER: &str = "cache,kernel,observed,predicted\n";

/// The shipped boot trace is of a machine with plenty of memory: no fallback, in kernel, trace or model.
#[test]
fn a_machine_with_memory_to_spare_never_falls_back() {
    let trace = capture(FORKEXEC).display().to_string();
    assert_eq!(run(&["fallback", &trace, "--format=csv"]).ok(), HEADER);
    let text = run(&["fallback", &trace]);
    assert!(text.ok().contains("No cache fell back"), "{}", text.ok());
}

/// Every first attempt above order 0 that may not reclaim is refused: with times=5 there are five, on every run the same.
#[test]
fn injected_failures_are_as_many_as_asked_for() {
    let trace = capture(FORKEXEC).display().to_string();
    let args = ["fallback", &trace, "--format=csv", "--fail-pages=order>=1,times=5,seed=3,probability=50"];
    let first = run(&args);
    let rows = first.ok().strip_prefix(HEADER).expect("the header");
    // Attempts before and after the snapshots do not count, so no more than five are seen.
    let predicted: u64 = rows.lines().map(|row| row.rsplit(',').next().and_then(|count| count.parse::<u64>().ok()).expect("a count")).sum();
    assert!(predicted <= 5, "{rows}");
    assert_eq!(first.ok(), run(&args).ok());
}

#[test]
fn what_cannot_be_understood_is_a_usage_error() {
    let trace = capture(FORKEXEC).display().to_string();
    for option in ["--fail-pages=order>=99", "--fail-pages=often", "--memory=1K", "--memory=lots", "--aged=101"] {
        run(&["fallback", &trace, option]).fails(2, &[]);
    }
}

/// Files of the page allocator that are damaged are told, with file and line, by the one command that needs them.
#[test]
fn damage_in_buddyinfo_is_told_with_its_line() {
    let dir = tempfile::tempdir().expect("a folder");
    for name in ["trace.dat", "uname", "zoneinfo.before"] {
        let from = capture(FORKEXEC).join(name);
        if from.exists() {
            std::fs::copy(&from, dir.path().join(name)).expect("copied");
        }
    }
    if !dir.path().join("zoneinfo.before").exists() {
        std::fs::write(dir.path().join("zoneinfo.before"), "Node 0, zone DMA32\n").expect("written");
    }
    std::fs::write(dir.path().join("buddyinfo.before"), "Node 0, zone DMA32 1 two\n").expect("written");
    run(&["fallback", &dir.path().display().to_string()]).fails(1, &["buddyinfo.before", "line 1", "a count for each order"]);
}

/// Captures outside of the repository: what page events show is what the kernel counted, for every cache.
#[test]
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn observed_is_what_the_kernel_counted() {
    let Some(folder) = std::env::var_os("SLUBREPLAY_CAPTURES") else {
        eprintln!("skipped: SLUBREPLAY_CAPTURES names no folder with captures");
        return;
    };
    for entry in std::fs::read_dir(Path::new(&folder)).expect("the folder").map(|entry| entry.expect("an entry").path()) {
        let counted = std::fs::read_to_string(entry.join("slab.after")).is_ok_and(|text| text.contains(",order_fallback,"));
        if !counted || !entry.join("slab.before").exists() || !entry.join("zoneinfo.before").exists() {
            continue;
        }
        let result = run(&["fallback", &entry.display().to_string(), "--format=json"]);
        let value: Value = serde_json::from_str(result.ok()).expect("JSON");
        for cache in value["caches"].as_array().expect("caches") {
            assert_eq!(cache["kernel"], cache["observed"], "{}: {}", entry.display(), cache["cache"]);
        }
        if let (Some(kernel), Some(model)) =
            (value["second_snapshot"]["kernel_free_pages"].as_f64(), value["second_snapshot"]["model_free_pages"].as_f64())
        {
            assert!((model - kernel).abs() <= kernel * 0.05, "{}: {model} of {kernel} pages", entry.display());
        }
    }
}
