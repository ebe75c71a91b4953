//! `slubreplay fallback`: what the kernel counted, what the trace shows, what the model does.

use std::path::Path;

use serde_json::Value;

use crate::support::{FORKEXEC, MIDLIFE, PRESSURE, capture, run};

const HEADER: &str = "cache,kernel,observed,predicted\n";

/// The shipped boot trace is of a machine with plenty of memory: no fallback, in kernel, trace or model.
#[test]
fn a_machine_with_memory_to_spare_never_falls_back() {
    let trace = capture(FORKEXEC).display().to_string();
    assert_eq!(run(&["fallback", &trace, "--format=csv"]).ok(), HEADER);
    let text = run(&["fallback", &trace]);
    assert!(text.ok().contains("No cache fell back"), "{}", text.ok());
}

/// Refused is every first attempt above the least order: as many as there are, as `times` says, or as chance has it, on every run the same.
#[test]
fn injected_failures_are_as_many_as_asked_for() {
    let trace = capture(FORKEXEC).display().to_string();
    let injected = |fail_pages: &str| -> Vec<(u64, u64, u64)> {
        let fail_pages = format!("--fail-pages=order>=1,{fail_pages}");
        let answer: Value = serde_json::from_str(run(&["fallback", &trace, "--format=json", &fail_pages]).ok()).expect("JSON");
        let figures = ["high_order_attempts", "predicted", "refused_injected"];
        let of_cache = |cache: &Value| figures.map(|figure| cache[figure].as_u64().expect("a count")).into();
        answer["caches"].as_array().expect("caches").iter().map(of_cache).collect()
    };
    let refused = |caches: &[(u64, u64, u64)]| caches.iter().map(|&(_, _, injected)| injected).sum::<u64>();
    let all = injected("times=-1");
    for &(attempts, predicted, refused) in &all {
        assert_eq!((predicted, refused), (attempts, attempts));
    }
    // Attempts before the first snapshot use up what is asked for and are not shown: once it is past, each more asked for is one more shown.
    assert_eq!(refused(&injected("times=1900")) - refused(&injected("times=1800")), 100);
    assert_eq!(refused(&injected("times=5")), 0);
    // Larger slabs mean fewer attempts, so each run is held against its own. Four standard deviations of a binomial distribution.
    let half: Vec<_> = (1..=4).flat_map(|seed| injected(&format!("probability=50,seed={seed}"))).collect();
    let attempts: u64 = half.iter().map(|&(attempts, _, _)| attempts).sum();
    assert!((2 * refused(&half)).abs_diff(attempts).pow(2) <= 16 * attempts && attempts > 50, "{} of {attempts}", refused(&half));
    assert_eq!(injected("probability=50,seed=3"), injected("probability=50,seed=3"));
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

/// What `order_fallback` of the pressure capture grew by between `slab.before` and `slab.after`.
const PRESSURE_KERNEL: [(&str, u64); 3] = [(":A-0001024", 388), (":A-0008192", 2), ("sock_inode_cache", 294)];

fn json(capture_name: &str) -> Value {
    let result = run(&["fallback", &capture(capture_name).display().to_string(), "--format=json"]);
    serde_json::from_str(result.ok()).expect("JSON")
}

/// Page events show the kernel's own counts, and the model, which knows neither, falls back in the same caches at the same time, as often
/// but for a quarter.
#[test]
fn a_fragmented_machine_falls_back_as_its_kernel_did() {
    let trace = capture(PRESSURE).display().to_string();
    let result = run(&["fallback", &trace, "--format=csv"]);
    let rows: Vec<Vec<&str>> = result.ok().strip_prefix(HEADER).expect("the header").lines().map(|row| row.split(',').collect()).collect();
    let number = |text: &str| text.parse::<u64>().expect("a count");
    let kernel: Vec<(&str, u64)> = rows.iter().map(|row| (row[0], number(row[1]))).collect();
    assert_eq!(kernel, PRESSURE_KERNEL);
    let mut predicted = 0;
    for row in &rows {
        assert_eq!(row[1], row[2], "{}: kernel and page events", row[0]);
        assert!(number(row[3]) > 0, "{} is predicted to fall back", row[0]);
        predicted += number(row[3]);
    }
    assert!((513..=855).contains(&predicted), "{predicted} of 684");
    let value = json(PRESSURE);
    let span = |name: &str| {
        let caches = value["caches"].as_array().expect("caches").iter();
        let times = caches.flat_map(|cache| cache[name].as_array().expect("moments")).map(|time| time.as_u64().expect("ns"));
        times.fold((u64::MAX, 0), |(first, last), time| (first.min(time), last.max(time)))
    };
    let (observed, predicted) = (span("observed_ns"), span("predicted_ns"));
    let second = 1_000_000_000;
    assert!(observed.0.abs_diff(predicted.0) < second / 10 && observed.1.abs_diff(predicted.1) < second / 10);
}

/// Laid out for an allocator that never falls back: the kernel's counts stand beside none of the model, and the trace's slabs are not its own.
#[test]
fn slab_has_no_order_to_fall_back_to() {
    let result = run(&["fallback", &capture(PRESSURE).display().to_string(), "--allocator=slab", "--format=csv"]);
    let expected: String = PRESSURE_KERNEL.iter().map(|(cache, kernel)| format!("{cache},{kernel},,0\n")).collect();
    assert_eq!(result.ok(), format!("{HEADER}{expected}"));
}

/// Free pages when `buddyinfo.after` was read, within two percent of what it says.
#[test]
fn free_memory_at_the_end_is_the_kernels() {
    for name in [FORKEXEC, MIDLIFE, PRESSURE] {
        let value = json(name);
        let end = &value["second_snapshot"];
        let pages = |of: &str| end[of].as_f64().expect("pages");
        let (kernel, model) = (pages("kernel_free_pages"), pages("model_free_pages"));
        let counted = std::fs::read_to_string(capture(name).join("buddyinfo.after")).expect("buddyinfo");
        let of_zone = |line: &str| -> f64 {
            let counts = line.split_whitespace().skip(4).map(|count| count.parse::<f64>().expect("a count"));
            counts.zip(0..).map(|(count, order)| count * f64::from(1 << order)).sum()
        };
        assert_eq!(kernel.to_bits(), counted.lines().map(of_zone).sum::<f64>().to_bits(), "{name}");
        assert!((model - kernel).abs() <= kernel * 0.02, "{name}: {model} of {kernel} pages");
    }
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
            assert!((model - kernel).abs() <= kernel * 0.02, "{}: {model} of {kernel} pages", entry.display());
        }
    }
}
