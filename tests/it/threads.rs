//! `--engine threads`: what can be typed, agreement with the exact engine, results for programs, and Ctrl-C.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs;
use std::process::{Child, Command as StdCommand, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::{FORKEXEC, MIDLIFE, Ran, capture, csv_rows, run};

/// A run on threads over a shipped capture.
fn threads(name: &str, options: &[&str]) -> Ran {
    let mut args: Vec<OsString> = vec![capture(name).into_os_string(), "--engine=threads".into()];
    args.extend(options.iter().map(OsString::from));
    run(&args)
}

fn parsed(ran: &Ran) -> Value {
    serde_json::from_str(ran.ok()).expect("JSON")
}

/// The sum of a field over an array.
fn sum(array: &Value, field: impl Fn(&Value) -> &Value) -> u64 {
    array.as_array().expect("an array").iter().map(|entry| field(entry).as_u64().expect("a number")).sum()
}

#[test]
fn options_need_the_engine() {
    let trace = capture(MIDLIFE);
    for option in ["--threads=2", "--pin", "--pin=no", "--window=1ms", "--pace=asap", "--sample=0", "--touch=all"] {
        let name = option.split('=').next().expect("a name");
        run(&[trace.as_os_str(), option.as_ref()]).fails_with_hint(2, &[name, "--engine threads"]);
    }
    for wrong in
        ["--threads=0", "--window=1h", "--window=-1", "--pace=recorded:0", "--pace=slow", "--pin=maybe", "--touch=some", "--sample=-1"]
    {
        let ran = threads(MIDLIFE, &[wrong]);
        assert_eq!((ran.code, ran.stdout.as_str()), (2, ""), "{wrong}: {}", ran.stderr);
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains("--help"), "{wrong}: {}", ran.stderr);
    }
    run(&[trace.as_os_str(), "--engine=both".as_ref()]).fails(2, &["--engine"]);
}

#[test]
fn kernels_without_a_concurrent_model_are_refused() {
    for kernel in ["5.10", "6.1", "6.18"] {
        threads(MIDLIFE, &["--kernel", kernel]).fails_with_hint(2, &["no concurrent model of SLUB", "--kernel 6.12", "--kernel 7.0"]);
    }
}

#[test]
fn one_worker_counts_what_the_exact_engine_counts() {
    for kernel in [None, Some("--kernel=7.0")] {
        let mut options = vec!["--threads=1", "--format=json"];
        options.extend(kernel);
        let value = parsed(&threads(FORKEXEC, &options));
        let figures = value["agreement"].as_array().expect("an array");
        assert!(figures.len() > 40);
        for figure in figures {
            assert_eq!(figure["difference"], 0, "{kernel:?}: {figure}");
        }
        for cache in value["caches"].as_array().expect("an array") {
            for (name, figure) in cache["figures"].as_object().expect("an object") {
                assert_eq!(figure["exact"], figure["threads"], "{kernel:?}: {name} of {}", cache["name"]);
            }
        }
        let total = |name: &str| figures.iter().find(|figure| figure["counter"] == name).map(|figure| figure["threads"].as_u64());
        assert_eq!(total("allocations"), Some(value["run"]["allocs"].as_u64()));
    }
}

#[test]
fn json_sums_up() {
    for kernel in ["6.12", "7.0"] {
        let value =
            parsed(&threads(MIDLIFE, &["--threads=2", "--pin=no", "--format=json", "--sample=1", "--touch=line", "--kernel", kernel]));
        let operations = value["run"]["operations"].as_u64().expect("a number");
        assert_eq!((&value["engine"], &value["threads"]["is_stopped"]), (&json!("threads"), &json!(false)));
        assert_eq!(value["threads"]["operations"], operations);
        assert_eq!(sum(&value["workers"], |worker| &worker["operations"]), operations);
        assert_eq!(value["workers"][0]["core"], Value::Null);
        // Lists of objects freed together are on no path.
        let by_path = sum(&value["latency"], |path| &path["operations"]);
        assert!(by_path <= operations && by_path > operations / 2, "{by_path} of {operations}");
        assert_eq!(sum(&value["latency"], |path| &path["timed"]), by_path, "all of them were timed");
        for path in value["latency"].as_array().expect("an array").iter().filter(|path| path["timed"] != 0) {
            let steps = path["distribution"].as_array().expect("an array");
            assert_eq!(steps.last().expect("a step")[1], 1.0, "{}", path["path"]);
            assert!(path["quantiles_ns"]["p50"].as_f64() <= path["max_ns"].as_f64(), "{}", path["path"]);
        }
        for cache in value["caches"].as_array().expect("an array") {
            let lock = &cache["list_lock"];
            assert_eq!(sum(&lock["per_cpu"], |cpu| &cpu["taken"]), lock["taken"].as_u64().expect("a number"));
            assert_eq!(sum(&lock["per_node"], |node| &node["taken"]), lock["taken"].as_u64().expect("a number"));
            let figures = &cache["figures"];
            let of = |name: &str| figures[name]["threads"].as_u64().expect("a number");
            assert_eq!(of("allocations"), of("alloc_fastpath") + of("alloc_slowpath"));
            for equal in ["allocations", "live_objects"] {
                assert_eq!(figures[equal]["exact"], figures[equal]["threads"], "{equal} of {}", cache["name"]);
            }
        }
        assert!(value["memory"]["touched"].as_u64() > Some(0));
    }
}

#[test]
fn csv_is_a_table_of_caches() {
    let ran = threads(MIDLIFE, &["--threads=2", "--format=csv"]);
    let rows = csv_rows(ran.ok());
    let header = rows[0].join(",");
    assert!(
        header.starts_with(
            "cache,list_lock_taken,list_lock_contended,list_lock_waited_ns,barn_lock_taken,barn_lock_contended,barn_lock_waited_ns,\
             page_lock_taken,page_lock_contended,page_lock_waited_ns,allocations,frees,live_objects,alloc_fastpath,alloc_slowpath,"
        ),
        "{header}"
    );
    for row in &rows[1..] {
        let cell = |name: &str| row[rows[0].iter().position(|head| head == name).expect("a column")].parse::<u64>().expect("a number");
        assert_eq!(cell("allocations"), cell("alloc_fastpath") + cell("alloc_slowpath"), "{row:?}");
        assert!(cell("list_lock_contended") <= cell("list_lock_taken"), "{row:?}");
    }
}

#[test]
fn out_holds_tables_and_charts() {
    let dir = tempfile::tempdir().expect("a folder");
    let ran = threads(MIDLIFE, &["--threads=2", "--out", dir.path().to_str().expect("UTF-8")]);
    for part in ["Workers", "Latency by path, in ns", "Locks, by times taken", "Agreement with the exact engine", "Memory"] {
        assert!(ran.ok().contains(&format!("\n{part}")), "{part} in {}", ran.stdout);
    }
    assert!(ran.stdout.lines().all(|line| line.chars().count() <= 80), "{}", ran.stdout);
    let mut names: Vec<String> = fs::read_dir(dir.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("UTF-8"))
        .collect();
    names.sort();
    assert_eq!(
        names,
        [
            "contention.png",
            "contention.svg",
            "latency-cdf.png",
            "latency-cdf.svg",
            "threads-agreement.csv",
            "threads-latency.csv",
            "threads-locks.csv",
            "threads-workers.csv"
        ]
    );
    let table = |name: &str| csv_rows(&fs::read_to_string(dir.path().join(name)).expect("a table"));
    let agreement = table("threads-agreement.csv");
    assert_eq!(agreement[0].join(","), "cache,counter,exact,threads,difference,by_nature");
    for row in &agreement[1..] {
        let [exact, threads, difference] = [&row[2], &row[3], &row[4]].map(|cell| cell.parse::<i64>().expect("a number"));
        assert_eq!(threads - exact, difference, "{row:?}");
        assert!(row[5] == "true" || difference == 0, "{row:?}");
    }
    // The lock of lists is told by CPU and by node.
    let mut taken: BTreeMap<bool, u64> = BTreeMap::new();
    for row in table("threads-locks.csv").iter().skip(1).filter(|row| row[1] == "list") {
        *taken.entry(row[2].is_empty()).or_default() += row[4].parse::<u64>().expect("a number");
    }
    assert_eq!(taken.get(&true), taken.get(&false));
}

#[test]
fn ctrl_c_gives_the_partial_report() {
    let mut child = StdCommand::new(env!("CARGO_BIN_EXE_slubreplay"))
        .arg(capture(MIDLIFE))
        .args(["--engine=threads", "--threads=2", "--pace=recorded:0.001", "--format=json"].map(OsStr::new))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    wait_for_handler(&mut child);
    // Some operations should be done before the end.
    sleep(Duration::from_millis(300));
    let sent = StdCommand::new("sh").args(["-c", &format!("kill -INT {}", child.id())]).status().expect("a shell");
    assert!(sent.success());
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(130), "{}", String::from_utf8_lossy(&output.stderr));
    let value: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(value["threads"]["is_stopped"], true);
    let done = value["threads"]["operations"].as_u64().expect("a number");
    assert!(Some(done) < value["run"]["operations"].as_u64());
    assert_eq!(sum(&value["workers"], |worker| &worker["operations"]), done);
}

/// Waits until the process catches SIGINT, which it does while it replays on threads.
fn wait_for_handler(child: &mut Child) {
    let status = format!("/proc/{}/status", child.id());
    let deadline = Instant::now() + Duration::from_secs(120);
    while Instant::now() < deadline {
        let text = fs::read_to_string(&status).unwrap_or_default();
        let caught = text
            .lines()
            .find_map(|line| line.strip_prefix("SigCgt:"))
            .map(str::trim)
            .map_or(0, |mask| u64::from_str_radix(mask, 16).unwrap_or(0));
        // SIGINT is signal 2, and signal 1 has the lowest bit.
        if caught & 0b10 != 0 {
            return;
        }
        sleep(Duration::from_millis(10));
    }
    child.kill().ok();
    panic!("no handler of SIGINT");
}
