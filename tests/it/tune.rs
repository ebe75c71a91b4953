//! `slubreplay tune`: grids, recommendations, lint.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{MIDLIFE, PRESSURE, capture, slubreplay};

/// Rows of a CSV by the names of its columns.
fn rows(csv: &str) -> Vec<BTreeMap<String, String>> {
    let mut lines = csv.lines();
    let heads: Vec<&str> = lines.next().expect("a head").split(',').collect();
    let row = |line: &str| heads.iter().map(|&head| head.to_owned()).zip(line.split(',').map(str::to_owned)).collect();
    lines.map(row).collect()
}

fn json(args: &[&str]) -> Value {
    serde_json::from_str(&stdout(args)).expect("JSON")
}

fn stdout(args: &[&str]) -> String {
    let output = slubreplay().args(args).assert().success().get_output().clone();
    String::from_utf8(output.stdout).expect("text")
}

/// Slab memory at the end, and counters of slow paths, of one plain replay.
fn plain(args: &[&str]) -> (u64, BTreeMap<String, u64>) {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().to_str().expect("a path");
    let csv = stdout(&[args, &["--format", "csv", "--out", out]].concat());
    let end = rows(&csv).iter().map(|row| row["slab_bytes_end"].parse::<u64>().expect("a number")).sum();
    let mut counters = BTreeMap::new();
    for row in rows(&std::fs::read_to_string(dir.path().join("counters.csv")).expect("counters")) {
        let value = row.get("value").or(row.get("count")).expect("a value").parse::<u64>().expect("a number");
        *counters.entry(row["counter"].clone()).or_default() += value;
    }
    (end, counters)
}

#[test]
fn each_row_of_a_grid_is_a_replay_of_its_own() {
    let trace = capture(MIDLIFE);
    let trace = trace.to_str().expect("a path");
    let csv = stdout(&["tune", trace, "--set", "slab_max_order=0,3", "--set", "cpu_partial=0,default", "--format", "csv"]);
    let grid = rows(&csv);
    assert_eq!(grid.len(), 5, "{csv}");
    let sets: [&[&str]; 4] =
        [&["--set", "slab_max_order=0", "--set", "cpu_partial=0"], &["--set", "slab_max_order=0"], &["--set", "cpu_partial=0"], &[]];
    let own: Vec<_> = grid[1..].iter().collect();
    for (row, set) in own.iter().zip([sets[0], sets[1], sets[2], sets[3]]) {
        let (end, counters) = plain(&[&[trace], set].concat());
        assert_eq!(row["slab_bytes_end"], end.to_string(), "{set:?}");
        let moves = [
            "free_add_partial",
            "deactivate_to_head",
            "deactivate_to_tail",
            "free_remove_partial",
            "alloc_from_partial",
            "cpu_partial_node",
        ];
        let moves: u64 = moves.iter().filter_map(|name| counters.get(*name)).sum();
        // Operations that allocate old objects anew are in the counters of the plain replay alone.
        if !set.contains(&"slab_max_order=0") {
            assert_eq!(row["node_moves"], moves.to_string(), "{set:?}");
        }
    }
    // The one without changes is the recorded one.
    assert_eq!(own[3]["slab_bytes_mean"], grid[0]["slab_bytes_mean"]);
    assert_eq!(grid[0]["score"], "1.000000");
}

#[test]
fn packing_old_objects_anew_is_no_gain() {
    let trace = capture(MIDLIFE);
    let value = json(&["tune", trace.to_str().expect("a path"), "--set", "slab_max_order=default,0", "--format", "json"]);
    let [recorded, changed] = &value["configurations"].as_array().expect("a list")[..] else { panic!("two configurations: {value}") };
    assert!(recorded["alike"].is_null() && recorded["restarted_caches"] == 0);
    assert!(changed["restarted_caches"].as_u64().expect("a number") > 0);
    let figure = |of: &Value, name: &str| of[name].as_f64().expect("a number");
    // The same settings, old objects packed: no slab more than recorded.
    let alike = &changed["alike"];
    assert_eq!(alike["restarted_caches"], changed["restarted_caches"]);
    assert!(figure(alike, "slab_bytes_mean") < figure(recorded, "slab_bytes_mean"));
    let share = |name: &str| figure(changed, name) / figure(alike, name);
    let score = (share("slab_bytes_mean") * share("slow_work")).sqrt();
    assert!((figure(changed, "score") / score - 1.0).abs() < 1e-6, "{changed}");
}

#[test]
fn what_is_recommended_keeps_its_promise() {
    let trace = capture(PRESSURE);
    let trace = trace.to_str().expect("a path");
    let found = json(&["tune", trace, "--budget", "12", "--objective", "memory", "--format", "json"]);
    assert_eq!(found["pages"], "model", "the trace shows order fallbacks");
    let recommendation = &found["recommendation"];
    let promised = recommendation["expected"]["new"]["slab_bytes_end"].as_u64().expect("a recommendation");
    let mut args = vec![trace.to_owned()];
    for write in recommendation["writes"].as_array().expect("writes") {
        let cache = write["cache"].as_str().map(|cache| format!("{cache}.")).unwrap_or_default();
        args.extend(["--set".to_owned(), format!("{cache}{}={}", write["knob"].as_str().expect("a knob"), write["new"])]);
    }
    assert!(args.len() > 1, "{recommendation}");
    args.extend(["--pages", "model"].map(str::to_owned));
    let (end, counters) = plain(&args.iter().map(String::as_str).collect::<Vec<_>>());
    let near = |own: u64, promised: u64| own.abs_diff(promised) * 20 <= promised;
    assert!(near(end, promised), "promised {promised}, got {end}");
    let fallbacks = recommendation["expected"]["new"]["order_fallbacks"].as_u64().expect("a count");
    let own = counters.get("order_fallback").copied().unwrap_or(0);
    assert!(near(own, fallbacks), "promised {fallbacks} fallbacks, got {own}");
    // A word of the command line is spelled for 6.12.
    for word in recommendation["boot_words"].as_array().expect("words") {
        assert!(word.as_str().expect("a word").starts_with("slab_"), "{word}");
    }
}

#[test]
fn charts_and_tables_are_written() {
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().to_str().expect("a path");
    let trace = capture(MIDLIFE);
    stdout(&["tune", trace.to_str().expect("a path"), "--set", "cpu_partial=0,30", "--out", out]);
    for name in ["tune.csv", "tune.json", "pareto.svg", "pareto.png"] {
        assert!(std::fs::metadata(dir.path().join(name)).is_ok_and(|file| file.len() > 0), "{name}");
    }
}

#[test]
fn what_cannot_be_set_is_refused() {
    let trace = capture(MIDLIFE);
    let trace = trace.to_str().expect("a path");
    for (args, says) in [
        (&["tune", trace, "--set", "order=1"][..], "read-only since 5.9"),
        (&["tune", trace, "--set", "nobody.cpu_partial=1"], "no such cache"),
        (&["tune", trace, "--set", "cpu_partial=1", "--set", "cpu_partial=2"], "given twice"),
        (&["tune", trace, "--set", "remote_node_defrag_ratio=0"], "one memory node"),
        (&[trace, "--set", "cpu_partial=1,2"], "make a grid"),
        (&[trace, "--kernel", "7.0", "--set", "cpu_partial=1"], "stub"),
        (&[trace, "--set", "limit=10"], "read-only under SLUB"),
    ] {
        let output = slubreplay().args(args).assert().code(2).get_output().clone();
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(text.contains(says), "{args:?}: {text}");
    }
}

#[test]
fn lint_finds_what_does_nothing() {
    let dir = tempfile::tempdir().expect("a folder");
    let script = dir.path().join("tune.sh");
    std::fs::write(&script, "echo 30 > /sys/kernel/slab/dentry/cpu_partial\necho 0 > /sys/kernel/slab/zspage/store_user\n")
        .expect("written");
    let script = script.to_str().expect("a path");
    let lint = |kernel: &str| slubreplay().args(["tune", "lint", "--kernel", kernel, "--script", script, "--format", "json"]).assert();
    lint("5.4").code(0);
    for (kernel, dead) in [("6.12", 1), ("7.0", 2)] {
        let output = lint(kernel).code(3).get_output().clone();
        let found: Value = serde_json::from_slice(&output.stdout).expect("JSON");
        assert_eq!(found["inputs"][0]["dead"], dead, "{kernel}");
    }
    slubreplay().args(["tune", "lint", "--kernel", "6.8", "--cmdline", "quiet slab_max_order=0"]).assert().code(3);
    slubreplay().args(["tune", "lint", "--cmdline", "quiet"]).assert().code(2);
    slubreplay().args(["tune", "lint", capture(MIDLIFE).to_str().expect("a path")]).assert().code(0);
}
