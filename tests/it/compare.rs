//! `compare`: the same operations by several kernels.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::support::{FORKEXEC, MIDLIFE, Ran, capture, csv_rows, finish, run, slubreplay};

fn compare(trace: &Path, extra: &[&str]) -> Ran {
    let args: Vec<&OsStr> = ["compare".as_ref(), trace.as_os_str()].into_iter().chain(extra.iter().map(OsStr::new)).collect();
    run(&args)
}

fn json(trace: &Path, kernels: &str) -> Value {
    serde_json::from_str(compare(trace, &["--kernels", kernels, "--format=json"]).ok()).expect("JSON")
}

/// Rows of a table by name of the columns.
fn table(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut rows = csv_rows(csv).into_iter();
    let header = rows.next().expect("a header");
    rows.map(|row| header.iter().cloned().zip(row).collect()).collect()
}

#[test]
fn the_recorded_kernel_alone_is_the_plain_replay() {
    for name in [FORKEXEC, MIDLIFE] {
        let (trace, out) = (capture(name), tempfile::tempdir().expect("a folder"));
        run(&[trace.as_os_str(), "--out".as_ref(), out.path().as_os_str()]).ok();
        let read = |file: &str| table(&fs::read_to_string(out.path().join(file)).expect("a table"));
        let mut counters: BTreeMap<(String, String), u64> = BTreeMap::new();
        for row in read("counters.csv") {
            let value: u64 = row["value"].parse().expect("a number");
            *counters.entry((row["cache"].clone(), row["counter"].clone())).or_default() += value;
        }
        let plain: BTreeMap<String, BTreeMap<String, String>> =
            read("caches.csv").into_iter().map(|row| (row["name"].clone(), row)).collect();
        let value = json(&trace, "6.12");
        let [kernel] = &value["kernels"].as_array().expect("a list")[..] else { panic!("one kernel") };
        assert_eq!((&kernel["kernel"], &kernel["is_recorded"]), (&Value::from("6.12.117"), &Value::from(true)));
        let moves: Vec<&str> = value["node_moves_are"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
        for cache in kernel["caches"].as_array().expect("a list") {
            let name = cache["cache"].as_str().expect("a name");
            let counter = |counter: &str| counters.get(&(name.to_owned(), counter.to_owned())).copied().unwrap_or(0);
            assert_eq!(cache["fast_allocs"], counter("alloc_fastpath"), "{name}");
            assert_eq!(cache["fast_frees"], counter("free_fastpath"), "{name}");
            assert_eq!(cache["node_moves"], moves.iter().map(|name| counter(name)).sum::<u64>(), "{name}");
            for column in ["allocs", "frees", "slab_bytes_peak", "slab_bytes_end"] {
                assert_eq!(cache[column].to_string(), plain[name][column], "{name} {column}");
            }
        }
    }
}

#[test]
fn kernels_come_as_asked_and_serve_the_same_operations() {
    // Generations as the kernel's history has them.
    let expected = [
        ("7.0.0", "SLUB 7.x"),
        ("6.12.117", "SLUB 6.8-6.17"),
        ("3.1.0", "SLUB 2.6.38-3.1"),
        ("6.18.0", "SLUB 6.18-6.19"),
        ("5.15.0", "SLUB 3.2-5.15"),
        ("6.1.0", "SLUB 5.16-6.7"),
    ];
    let value = json(&capture(MIDLIFE), "7.0,6.12,3.1,6.18,5.15,6.1");
    let kernels = value["kernels"].as_array().expect("a list");
    let found: Vec<(&str, &str)> =
        kernels.iter().map(|kernel| (kernel["kernel"].as_str().expect("a name"), kernel["model"].as_str().expect("a name"))).collect();
    assert_eq!(found, expected);
    for kernel in kernels {
        assert_eq!(kernel["is_recorded"], kernel["kernel"] == "6.12.117");
        let has_warning = kernel["notes"].as_array().expect("a list").iter().any(|note| note.to_string().contains("not verified"));
        assert_eq!(kernel["is_verified"], !has_warning, "{kernel}");
        let caches = kernel["caches"].as_array().expect("a list");
        let mut sums = BTreeMap::new();
        for (cache, first) in caches.iter().zip(kernels[0]["caches"].as_array().expect("a list")) {
            for column in ["cache", "allocs", "frees"] {
                assert_eq!(cache[column], first[column], "{} {column}", kernel["kernel"]);
            }
            let figure = |column: &str| cache[column].as_f64().unwrap_or(0.0);
            assert!(figure("fast_allocs") <= figure("allocs") && figure("fast_frees") <= figure("frees"), "{cache}");
            assert!(figure("slab_bytes_end") <= figure("slab_bytes_peak"), "{cache}");
            assert!(figure("slab_bytes_mean") <= figure("slab_bytes_peak"), "{cache}");
            assert!(figure("live_share_end") <= 1.0 && figure("live_share_peak") <= 1.0, "{cache}");
            for column in ["allocs", "frees", "slab_bytes_end", "fast_allocs", "fast_frees", "node_moves", "held_objects_end"] {
                *sums.entry(column).or_insert(0) += cache[column].as_u64().expect("a number");
            }
        }
        for (column, sum) in sums {
            assert_eq!(kernel["total"][column], sum, "{} {column}", kernel["kernel"]);
        }
    }
    // What others are asked for changes nothing.
    assert_eq!(json(&capture(MIDLIFE), "6.12")["kernels"][0]["total"], kernels[1]["total"]);
}

#[test]
fn csv_json_and_files_say_the_same() {
    let (trace, out) = (capture(MIDLIFE), tempfile::tempdir().expect("a folder"));
    let dir = out.path().join("not/yet");
    let ran = compare(&trace, &["--kernels=6.1,6.12", "--format=csv", "--out", dir.to_str().expect("UTF-8")]);
    assert_eq!(ran.ok(), fs::read_to_string(dir.join("compare.csv")).expect("a table"));
    let value: Value = serde_json::from_str(&fs::read_to_string(dir.join("compare.json")).expect("a file")).expect("JSON");
    assert_eq!(value, json(&trace, "6.1,6.12"));
    let rows = table(&ran.stdout);
    let mut shown = 0;
    for kernel in value["kernels"].as_array().expect("a list") {
        let caches = kernel["caches"].as_array().expect("a list").iter().chain([&kernel["total"]]);
        for cache in caches {
            let name = cache["cache"].as_str().unwrap_or("");
            let row = rows.iter().find(|row| row["cache"] == name && row["kernel"] == kernel["kernel"]).expect("a row");
            assert_eq!(row["model"], kernel["model"].as_str().expect("a name"));
            for (key, value) in cache.as_object().expect("an object").iter().filter(|(key, _)| *key != "cache") {
                // Read by the same parser, which may lose the last digit of a share.
                let field = if row[key].is_empty() { Value::Null } else { serde_json::from_str(&row[key]).expect("a number") };
                assert_eq!(&field, value, "{name} {key}");
            }
            shown += 1;
        }
    }
    assert_eq!(shown, rows.len(), "each row once");
}

#[test]
fn one_cache_by_any_of_its_names() {
    let trace = capture(MIDLIFE);
    // `dentry` is merged into `:aA-0000192` on this machine.
    let by_alias = compare(&trace, &["--kernels=6.12,6.1", "--cache=dentry", "--format=csv"]);
    let rows = table(by_alias.ok());
    assert_eq!(rows.iter().map(|row| row["cache"].as_str()).collect::<Vec<_>>(), [":aA-0000192"; 2]);
    assert_eq!(compare(&trace, &["--kernels=6.12,6.1", "--cache=:aA-0000192", "--format=csv"]).ok(), by_alias.stdout);
    compare(&trace, &["--kernels=6.12", "--cache=no-such-cache"]).fails_with_hint(2, &["no-such-cache"]);
    let text = compare(&trace, &["--kernels=6.12,3.1", "--cache=dentry"]);
    assert!(text.ok().contains("3.1.0: the model of SLUB 2.6.38-3.1"), "a generation without verification is said: {}", text.stdout);
}

#[test]
fn text_shows_totals_and_as_many_caches_as_asked() {
    let ran = compare(&capture(MIDLIFE), &["--kernels=6.1,6.12", "--top=4"]);
    let text = ran.ok();
    for word in ["slab memory, peak", "slab memory, mean", "live share", "fast allocations", "node list moves", "free objects held"] {
        assert!(text.contains(word), "{word} in {text}");
    }
    assert_eq!(text.lines().filter(|line| line.contains("6.12.117  ")).count(), 4 + 1, "four caches and the list of kernels: {text}");
    assert_eq!(ran.stderr, "");
}

#[test]
fn the_number_of_threads_changes_nothing() {
    let trace = capture(MIDLIFE);
    let with = |threads: &str| {
        let mut command = slubreplay();
        command.arg("compare").arg(&trace).args(["--kernels=6.1,6.12,7.0", "--format=csv"]).env("RAYON_NUM_THREADS", threads);
        finish(&mut command)
    };
    assert_eq!(with("1").ok(), with("3").ok());
}

#[test]
fn compare_takes_a_trace_alone() {
    let value = json(&capture(MIDLIFE).join("trace.dat"), "6.12.117,5.10");
    assert_eq!(value["recorded_kernel"], "6.12.117");
    assert_eq!(value["kernels"].as_array().expect("a list").len(), 2);
    run(&["compare".as_ref(), OsStr::new("/nonexistent/trace.dat"), "--kernels=6.12".as_ref()]).fails_with_hint(1, &["trace.dat"]);
}

#[test]
fn settings_come_after_the_recorded_one_and_equal_a_plain_replay_of_each() {
    let (trace, out) = (capture(MIDLIFE), tempfile::tempdir().expect("a folder"));
    let ran = compare(&trace, &["--set=cpu_partial=default,0", "--format=csv"]);
    let rows = table(ran.ok());
    let settings: Vec<&str> = rows.iter().filter(|row| row["cache"].is_empty()).map(|row| row["setting"].as_str()).collect();
    assert_eq!(settings, ["", "cpu_partial=0"]);
    let recorded = table(compare(&trace, &["--kernels=6.12", "--format=csv"]).ok());
    assert_eq!(rows.iter().filter(|row| row["setting"].is_empty()).cloned().collect::<Vec<_>>(), recorded);
    run(&[trace.as_os_str(), "--set=cpu_partial=0".as_ref(), "--out".as_ref(), out.path().as_os_str()]).ok();
    let plain = table(&fs::read_to_string(out.path().join("caches.csv")).expect("a table"));
    let set: Vec<_> = rows.iter().filter(|row| row["setting"] == "cpu_partial=0" && !row["cache"].is_empty()).collect();
    assert!(set.len() > 20);
    for row in set {
        let own = plain.iter().find(|plain| plain["name"] == row["cache"]).expect("the cache");
        for column in ["order", "allocs", "frees", "slab_bytes_peak", "slab_bytes_end"] {
            assert_eq!(row[column], own[column], "{} {column}", row["cache"]);
        }
    }
    let text = compare(&trace, &["--set=cpu_partial=0", "--top=1"]);
    assert!(text.ok().contains("6.12.117  cpu_partial=0"), "{}", text.stdout);
}

#[test]
fn two_recordings_are_compared_each_by_its_own_kernel() {
    let (base, against) = (capture(MIDLIFE), capture(FORKEXEC));
    let args = |extra: &[&'static str]| {
        let paths = ["compare".as_ref(), base.as_os_str(), against.as_os_str()];
        run(&paths.into_iter().chain(extra.iter().map(OsStr::new)).collect::<Vec<&OsStr>>())
    };
    let value: Value = serde_json::from_str(args(&["--format=json"]).ok()).expect("JSON");
    let seconds = |side: usize| value["recordings"][side]["seconds"].as_f64().expect("a number");
    let alone = [json(&base, "6.12"), json(&against, "6.12")];
    let all = &value["caches"][0];
    assert_eq!(all["cache"], Value::Null);
    for (side, name) in ["base_mean", "against_mean"].into_iter().enumerate() {
        let total = &alone[side]["kernels"][0]["total"];
        let figure = |figure: &str| all["figures"][figure][name].as_f64().expect("a number");
        for measure in ["slab_bytes_peak", "slab_bytes_end", "live_share_end", "fast_alloc_share", "held_objects_end"] {
            let same = total[measure].as_f64().expect("a number");
            assert!((same - figure(measure)).abs() < 1e-9, "{measure}");
        }
        let count = |column: &str| total[column].as_f64().expect("a number");
        // The seconds are shown in thousandths.
        assert!((figure("allocs_per_s") * seconds(side) / count("allocs") - 1.0).abs() < 1e-3);
        let operations = count("allocs") + count("frees");
        assert!((figure("node_moves_per_1000_ops") * operations / 1000.0 - count("node_moves")).abs() < 1e-6);
    }
    assert_eq!(value["tests"], 0, "one run of each");
    let text = args(&["--cache=dentry"]);
    assert!(text.ok().contains(":aA-0000192") && text.stdout.contains("By cache (1 of 1)"), "{}", text.stdout);
}

#[test]
fn what_is_compared_with_what_has_to_be_said() {
    let trace = capture(MIDLIFE);
    compare(&trace, &[]).fails_with_hint(2, &["nothing to compare"]);
    let path = trace.to_str().expect("UTF-8");
    compare(&trace, &[path, path]).fails_with_hint(2, &["one kind"]);
    compare(&trace, &[path, "--kernels=6.12"]).fails_with_hint(2, &["replay one trace"]);
    compare(&trace, &["--against", path, "--kernels=6.12"]).fails(2, &["--against"]);
    compare(&trace, &["--set=min_partials=5"]).fails(2, &["no such knob"]);
}
