//! `slubreplay bench`: its forms on stdout, and what it refuses. The figures themselves are the machine's.

use serde_json::Value;

use crate::support::{MIDLIFE, capture, run};

const QUICK: [&str; 5] = ["bench", "--rounds", "2", "--time", "0.05"];

fn quick(args: &[&str]) -> String {
    run(&[&QUICK, args].concat()).ok().to_owned()
}

#[test]
fn json_is_an_array_of_one_object_for_each_pattern_allocator_and_number_of_threads() {
    let shown = quick(&["--allocators", "slub-6.12,slub-7.2-uncounted,system", "--threads", "1,2", "--format", "json"]);
    let Value::Array(figures) = serde_json::from_str(&shown).expect("JSON") else { panic!("an array: {shown}") };
    // Three patterns on one thread and on two, two that take two threads.
    assert_eq!(figures.len(), (3 * 2 + 2) * 3);
    for figure in &figures {
        let number = |key: &str| figure[key].as_f64().unwrap_or_else(|| panic!("{key} in {figure}"));
        assert!(figure["pattern"].is_string() && figure["allocator"].is_string(), "{figure}");
        assert!(number("threads") >= 1.0 && number("size") == 64.0 && number("rounds") == 2.0, "{figure}");
        assert!(number("ns_per_pair_min") > 0.0 && number("ns_per_pair_min") <= number("ns_per_pair_median"), "{figure}");
    }
    let keys: Vec<&String> = figures[0].as_object().expect("an object").keys().take(5).collect();
    assert_eq!(keys, ["pattern", "allocator", "threads", "ns_per_pair_median", "ns_per_pair_min"]);
}

#[test]
fn csv_has_a_row_for_each() {
    let shown = quick(&["--patterns", "reuse,batch-256", "--allocators", "system", "--threads", "1", "--format", "csv"]);
    let mut lines = shown.lines();
    let header = lines.next().expect("a header");
    assert!(header.starts_with("pattern,allocator,threads,ns_per_pair_median,ns_per_pair_min,"), "{header}");
    let names: Vec<Vec<&str>> = lines.map(|line| line.split(',').take(3).collect()).collect();
    assert_eq!(names, [["reuse", "system", "1"], ["batch-256", "system", "1"]]);
}

#[test]
fn a_trace_is_replayed_by_all_on_one_worker_and_on_several() {
    let trace = capture(MIDLIFE);
    let trace = trace.to_str().expect("UTF-8");
    let allocators = "slub-6.12,slub-7.2,system";
    let shown = run(&["bench", "--trace", trace, "--rounds", "1", "--allocators", allocators, "--format", "json"]);
    let Value::Array(figures) = serde_json::from_str(shown.ok()).expect("JSON") else { panic!("an array") };
    assert_eq!(figures.len(), 2 * 3);
    for figure in &figures {
        assert_eq!(figure["pattern"], "trace");
        assert!(figure["operations_per_second"].as_f64().expect("a figure") > 0.0, "{figure}");
        assert_eq!(figure["efficiency"].is_null(), figure["threads"] == 1, "{figure}");
    }
}

#[test]
fn what_cannot_be_measured_is_a_usage_error_with_a_hint() {
    run(&["bench", "--allocators", "tcmalloc"]).fails_with_hint(2, &["tcmalloc", "slub-6.12"]);
    run(&["bench", "--allocators", "slub-5.10"]).fails_with_hint(2, &["slub-5.10", "6.8"]);
    run(&["bench", "--patterns", "remote", "--threads", "1"]).fails_with_hint(2, &["two threads", "--threads 2"]);
    if !cfg!(feature = "other-allocators") {
        run(&["bench", "--allocators", "mimalloc"]).fails_with_hint(2, &["mimalloc", "--features other-allocators"]);
    }
    for wrong in [["--patterns", "recycle"], ["--threads", "0"], ["--size", "8193"], ["--time", "0"], ["--rounds", "0"]] {
        let ran = run(&[&["bench"], &wrong[..]].concat());
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{wrong:?}: {}", ran.stderr);
    }
}
