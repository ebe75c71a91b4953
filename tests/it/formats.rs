//! Results for other programs: CSV and JSON on stdout, and the files of `--out`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::OnceLock;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::{COUNTERS, FORKEXEC, MIDLIFE, capture, csv_rows, run};

const TABLES: [&str; 18] = [
    "caches.csv",
    "callers.csv",
    "churn.csv",
    "counters.csv",
    "fragmentation.csv",
    "ledger.csv",
    "lifetimes.csv",
    "lists.csv",
    "occupancy.csv",
    "paths.csv",
    "pinning.csv",
    "remote-frees.csv",
    "sites.csv",
    "sizing.csv",
    "threads.csv",
    "timeline.csv",
    "totals.csv",
    "verdicts.csv",
];
const CHARTS: [&str; 11] = [
    "partial-lists",
    "path-mix",
    "slab-bytes",
    "churn",
    "lifetimes",
    "list-moves",
    "live-sites",
    "occupancy",
    "pinning",
    "remote-frees",
    "slab-parts",
];

/// The report of the smaller capture in JSON and in files, with 50 moments; made once for all tests.
fn report() -> &'static (Value, TempDir) {
    static REPORT: OnceLock<(Value, TempDir)> = OnceLock::new();
    REPORT.get_or_init(|| {
        let dir = tempfile::tempdir().expect("a folder");
        let trace = capture(MIDLIFE);
        let args = [trace.as_os_str(), "--format=json".as_ref(), "--samples=50".as_ref(), "--out".as_ref(), dir.path().as_os_str()];
        (serde_json::from_str(run(&args).ok()).expect("JSON"), dir)
    })
}

/// A table as rows of fields by column name.
fn table(name: &str) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(report().1.path().join(name)).expect("a table");
    let mut rows = csv_rows(&text).into_iter();
    let header = rows.next().expect("a header");
    rows.map(|row| header.iter().cloned().zip(row).collect()).collect()
}

fn number(row: &BTreeMap<String, String>, column: &str) -> u64 {
    row[column].parse().unwrap_or_else(|_| panic!("{column} in {row:?}"))
}

fn listing(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry").file_name());
    let names: BTreeSet<String> = entries.map(|name| name.into_string().expect("UTF-8")).collect();
    names.into_iter().collect()
}

#[test]
fn out_holds_every_table_and_chart_and_nothing_else() {
    let dir = report().1.path();
    let mut expected: Vec<String> = TABLES.map(str::to_owned).to_vec();
    expected.extend(CHARTS.iter().flat_map(|chart| [format!("{chart}.png"), format!("{chart}.svg")]));
    expected.push("report.html".to_owned());
    expected.sort();
    assert_eq!(listing(dir), expected);
    for name in TABLES {
        csv_rows(&fs::read_to_string(dir.join(name)).expect("UTF-8"));
    }
    for chart in CHARTS {
        let png = fs::read(dir.join(format!("{chart}.png"))).expect("a chart");
        assert!(png.starts_with(b"\x89PNG\r\n\x1a\n"), "{chart}");
        assert!(png.ends_with(b"IEND\xae\x42\x60\x82"), "{chart} is complete");
        let svg = fs::read_to_string(dir.join(format!("{chart}.svg"))).expect("a chart");
        assert!(svg.starts_with("<svg") || svg.starts_with("<?xml"), "{chart}");
        assert!(svg.trim_end().ends_with("</svg>"), "{chart} is complete");
    }
}

#[test]
fn tables_of_analyses_agree_with_those_of_the_replay() {
    let caches = table("caches.csv");
    let label = |row: &BTreeMap<String, String>| if row["traced_as"].is_empty() { row["name"].clone() } else { row["traced_as"].clone() };
    let by_label: BTreeMap<String, _> = caches.iter().map(|row| (label(row), row)).collect();
    let sums = |name: &str, column: &str| {
        let mut sums: BTreeMap<String, u64> = BTreeMap::new();
        for row in table(name) {
            *sums.entry(row["cache"].clone()).or_default() += number(&row, column);
        }
        sums
    };
    let allocs: BTreeMap<String, u64> =
        by_label.iter().map(|(name, row)| (name.clone(), number(row, "allocs"))).filter(|(_, allocs)| *allocs > 0).collect();
    for name in ["sites.csv", "threads.csv", "churn.csv"] {
        assert_eq!(sums(name, "allocs"), allocs, "{name}");
    }
    let rows = table("fragmentation.csv");
    let last = rows.last().expect("moments")["time_ns"].clone();
    for row in rows.iter().filter(|row| row["time_ns"] == last) {
        let cache = by_label[&row["cache"]];
        for (column, of_replay) in [("slabs", "slabs_end"), ("slab_bytes", "slab_bytes_end"), ("live_objects", "live_objects_end")] {
            assert_eq!(number(row, column), number(cache, of_replay), "{} {column}", row["cache"]);
        }
    }
    let slabs: u64 = table("occupancy.csv").iter().filter(|row| row["time_ns"] == last).map(|row| number(row, "slabs")).sum();
    assert_eq!(slabs, caches.iter().map(|row| number(row, "slabs_end")).sum::<u64>());
    let events = &report().0["run"]["events"];
    let allocated: u64 = ["kmalloc", "kmem_cache_alloc"].iter().filter_map(|name| events[name].as_u64()).sum();
    assert_eq!(table("callers.csv").iter().map(|row| number(row, "hit")).sum::<u64>(), allocated);
}

#[test]
fn out_makes_folders_and_replaces_files() {
    let dir = tempfile::tempdir().expect("a folder");
    let trace = capture(MIDLIFE);
    let out = dir.path().join("not/yet/there");
    fs::create_dir_all(dir.path().join("there")).expect("made");
    fs::write(dir.path().join("there/caches.csv"), "old").expect("written");
    fs::write(dir.path().join("there/notes"), "mine").expect("written");
    for out in [out, dir.path().join("there")] {
        run(&[trace.as_os_str(), "--out".as_ref(), out.as_os_str()]).ok();
        assert!(fs::read_to_string(out.join("caches.csv")).expect("a table").starts_with("name,"));
    }
    assert_eq!(fs::read_to_string(dir.path().join("there/notes")).expect("still there"), "mine");
}

#[test]
fn out_that_cannot_be_written_is_an_error() {
    let dir = tempfile::tempdir().expect("a folder");
    let taken = dir.path().join("taken");
    fs::write(&taken, "a file").expect("written");
    // Nobody can make folders in /proc, not even root.
    for out in [taken.as_path(), &taken.join("below"), Path::new("/proc/slubreplay-report")] {
        run(&[capture(MIDLIFE).as_os_str(), "--out".as_ref(), out.as_os_str()]).fails(1, &[out.to_str().expect("UTF-8")]);
    }
    assert_eq!(fs::read_to_string(&taken).expect("untouched"), "a file");
    // A folder where a file should go.
    let half = dir.path().join("half");
    fs::create_dir_all(half.join("ledger.csv")).expect("made");
    run(&[capture(MIDLIFE).as_os_str(), "--out".as_ref(), half.as_os_str()]).fails(1, &["ledger.csv"]);
}

#[test]
fn csv_on_stdout_is_the_table_of_caches() {
    let trace = capture(MIDLIFE);
    let ran = run(&[trace.as_os_str(), "--format=csv".as_ref()]);
    csv_rows(ran.ok());
    assert_eq!(ran.stdout, fs::read_to_string(report().1.path().join("caches.csv")).expect("a table"));
}

#[test]
fn tables_agree_with_each_other() {
    let caches: BTreeMap<String, _> = table("caches.csv").into_iter().map(|row| (row["name"].clone(), row)).collect();
    for row in table("paths.csv") {
        let columns = ["alloc_fastpath", "alloc_refill", "alloc_cpu_partial", "alloc_node_partial", "alloc_new_slab"];
        let sum: u64 = columns.iter().map(|column| number(&row, column)).sum();
        assert_eq!(sum, number(&caches[&row["cache"]], "allocs"), "{row:?}");
    }
    let mut by_cache: BTreeMap<String, u64> = BTreeMap::new();
    for row in table("counters.csv") {
        assert!(COUNTERS.contains(&row["counter"].as_str()), "{row:?}");
        assert!(number(&row, "cpu") < 4 && number(&row, "value") > 0, "{row:?}");
        if ["alloc_fastpath", "alloc_slowpath"].contains(&row["counter"].as_str()) {
            *by_cache.entry(row["cache"].clone()).or_default() += number(&row, "value");
        }
    }
    for (name, row) in &caches {
        assert_eq!(by_cache.get(name).copied().unwrap_or(0), number(row, "allocs"), "{name}");
        assert_eq!(number(row, "live_bytes_end"), number(row, "live_objects_end") * number(row, "stride_bytes"), "{name}");
        assert!(number(row, "slab_bytes_end") <= number(row, "slab_bytes_peak"), "{name}");
        assert_eq!(number(row, "slab_bytes_end"), number(row, "slabs_end") * (4096 << number(row, "order")), "{name}: no fallbacks here");
    }
    for row in table("ledger.csv") {
        assert!(["observed", "inferred", "unusable"].contains(&row["class"].as_str()), "{row:?}");
        assert!(row["cache"].is_empty() || caches.contains_key(&row["cache"]), "{row:?}");
    }
}

#[test]
fn the_timeline_ends_where_the_caches_end() {
    let totals = table("totals.csv");
    assert_eq!(totals.len(), 50);
    let (first, last) = (&totals[0], &totals[49]);
    assert_eq!(number(first, "time_ns"), 0);
    assert_eq!(json!(number(last, "time_ns")), report().0["run"]["duration_ns"]);
    let timeline = table("timeline.csv");
    for row in &totals {
        let moment = timeline.iter().filter(|part| part["time_ns"] == row["time_ns"]);
        let slabs: u64 = moment.map(|part| number(part, "slabs")).sum();
        assert_eq!(slabs, number(row, "slabs"), "at {}", row["time_ns"]);
    }
    let caches = table("caches.csv");
    for (total, at_end) in [("slabs", "slabs_end"), ("live_objects", "live_objects_end"), ("slab_bytes", "slab_bytes_end")] {
        let sum: u64 = caches.iter().map(|row| number(row, at_end)).sum();
        assert_eq!(number(last, total), sum, "{total}");
    }
}

#[test]
fn json_repeats_the_facts_of_the_trace() {
    let value = &report().0;
    let run = &value["run"];
    assert_eq!(run["kernel"], "6.12.117");
    assert_eq!((&run["cpus"], &run["nodes"], &run["page_bytes"]), (&json!(4), &json!(1), &json!(4096)));
    assert_eq!(run["lost_events"], json!(0));
    // Counted with trace-cmd, see traces/README.md.
    assert_eq!(run["events"]["kmem_cache_alloc"], json!(105_997));
    assert_eq!(run["events"]["kfree"], json!(172_579));
    assert_eq!(run["timeline_moments"], json!(50));
    let caches = value["caches"].as_array().expect("an array");
    let sum = |key: &str| caches.iter().map(|cache| cache[key].as_u64().expect("a number")).sum::<u64>();
    assert_eq!(json!(sum("allocs")), run["allocs"]);
    assert_eq!(json!(sum("frees")), run["frees"]);
    assert_eq!(json!(sum("allocs") + sum("frees")), run["operations"]);
    assert!(value["ledger"].as_array().is_some_and(|ledger| !ledger.is_empty()));
}

#[test]
fn computed_layouts_are_the_kernels_own() {
    for name in [FORKEXEC, MIDLIFE] {
        let trace = capture(name);
        let value: Value = serde_json::from_str(run(&[trace.as_os_str(), "--format=json".as_ref()]).ok()).expect("JSON");
        assert_eq!(value["sizing_differences"], json!([]), "{name}");
    }
}

#[test]
fn a_trace_without_its_capture_is_replayed_too() {
    let trace = capture(MIDLIFE).join("trace.dat");
    let value: Value = serde_json::from_str(run(&[trace.as_os_str(), "--format=json".as_ref()]).ok()).expect("JSON");
    assert_eq!(value["run"]["kernel"], "6.12.117", "the trace names its kernel itself");
    let caches = value["caches"].as_array().expect("an array");
    for name in ["kmalloc-64", "kmalloc-96", "anon_vma"] {
        let cache = caches.iter().find(|cache| cache["name"] == name).unwrap_or_else(|| panic!("{name} in {caches:?}"));
        assert_eq!(cache["pseudo"], json!(false), "{name}");
    }
}

#[test]
fn the_report_to_read_shows_its_sections() {
    let trace = capture(MIDLIFE);
    let ran = run(&[trace.as_os_str(), "--top=3".as_ref()]);
    for word in ["6.12.117", "kmem_cache_alloc", "kmalloc-96", "implied frees"] {
        assert!(ran.ok().contains(word), "{word} in {}", ran.stdout);
    }
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 120), "fits a terminal: {}", ran.stdout);
}

#[test]
fn verify_in_json_agrees_with_its_csv() {
    let trace = capture(FORKEXEC);
    let value: Value = serde_json::from_str(run(&["verify".as_ref(), trace.as_os_str(), "--format=json".as_ref()]).ok()).expect("JSON");
    let rows = crate::support::verified(FORKEXEC);
    let races = ["cmpxchg_double_fail", "cmpxchg_double_cpu_fail"];
    let totals = || rows.iter().filter(|row| row.cpu.is_none() && COUNTERS.contains(&row.counter.as_str()));
    let counted = || totals().filter(|row| !races.contains(&row.counter.as_str()));
    let summary = &value["summary"];
    assert_eq!(summary["kernel_sum"], json!(counted().map(|row| row.kernel).sum::<i64>()));
    assert_eq!(summary["error_sum"], json!(counted().map(|row| row.kernel.abs_diff(row.replay)).sum::<u64>()));
    let lost: i64 = totals().filter(|row| races.contains(&row.counter.as_str())).map(|row| row.kernel).sum();
    assert_eq!(summary["races_left_out"], json!(lost));
    assert_eq!(value["caches"].as_array().map(Vec::len), Some(120));
}

#[test]
fn tables_come_in_the_forms_asked_for() {
    let dir = tempfile::tempdir().expect("a folder");
    let trace = capture(MIDLIFE);
    let args =
        [trace.as_os_str(), "--samples=50".as_ref(), "--tables=json,parquet,json".as_ref(), "--out".as_ref(), dir.path().as_os_str()];
    run(&args).ok();
    let mut expected: Vec<String> = CHARTS.iter().flat_map(|chart| [format!("{chart}.png"), format!("{chart}.svg")]).collect();
    expected.extend(TABLES.iter().flat_map(|name| ["json", "parquet"].map(|form| name.replace("csv", form))));
    expected.push("report.html".to_owned());
    expected.sort();
    assert_eq!(listing(dir.path()), expected);
    for name in TABLES {
        let json = fs::read_to_string(dir.path().join(name.replace("csv", "json"))).expect("a table");
        let rows: Vec<Value> = serde_json::from_str(&json).expect("JSON");
        assert_eq!(rows.len(), table(name).len(), "{name}");
        let parquet = fs::read(dir.path().join(name.replace("csv", "parquet"))).expect("a table");
        assert!(parquet.starts_with(b"PAR1") && parquet.ends_with(b"PAR1"), "{name}");
    }
    let caches: Vec<Value> = serde_json::from_str(&fs::read_to_string(dir.path().join("caches.json")).expect("a table")).expect("JSON");
    for (json, csv) in caches.iter().zip(table("caches.csv")) {
        assert_eq!(json["name"].as_str(), Some(csv["name"].as_str()));
        assert_eq!(json["slab_bytes_peak"].as_u64(), Some(number(&csv, "slab_bytes_peak")));
    }
    let page = fs::read_to_string(dir.path().join("report.html")).expect("a page");
    assert!(page.contains("sites.json") && !page.contains("sites.csv"), "the page names the files that there are");
}
