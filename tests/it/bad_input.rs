//! Truncated, damaged and foreign files: an error that says where, or a counted loss.

use std::fs;
use std::path::Path;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::{MIDLIFE, Ran, capture, copy_of, replace, run};

fn file(dir: &TempDir, name: &str, content: impl AsRef<[u8]>) -> std::path::PathBuf {
    let path = dir.path().join(name);
    fs::write(&path, content).expect("written");
    path
}

fn info_json(path: &Path) -> Ran {
    run(&["info".as_ref(), path.as_os_str(), "--format=json".as_ref()])
}

#[test]
fn files_of_other_kinds_are_refused_with_a_hint() {
    let dir = tempfile::tempdir().expect("a folder");
    let contents: [(&str, &[u8]); 4] = [
        ("empty.dat", b""),
        ("notes.txt", b"Not a trace at all,\njust a few lines of text.\n"),
        ("image.png", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR"),
        ("zeros.dat", &[0; 65_536]),
    ];
    for (name, content) in contents {
        let path = file(&dir, name, content);
        for args in [vec![path.as_os_str()], vec!["info".as_ref(), path.as_os_str()]] {
            run(&args).fails_with_hint(1, &[name, "byte 0"]);
        }
    }
}

#[test]
fn an_empty_perf_data_is_told() {
    let dir = tempfile::tempdir().expect("a folder");
    let mut content = b"PERFILE2".to_vec();
    content.resize(4096, 0);
    let path = file(&dir, "recorded", &content);
    run(&[path.as_os_str()]).fails(1, &["recorded", "perf.data"]);
    // A capture whose trace is one.
    file(&dir, "perf.data", &content);
    run(&[dir.path().as_os_str()]).fails(1, &["perf.data"]);
    run(&["verify".as_ref(), dir.path().as_os_str()]).fails(1, &["perf.data"]);
}

/// Events in the whole trace: the sum over the table in `traces/README.md`.
const EVENTS: u64 = 558_013;

/// Asserts that damage was either told with its place or counted. Returns the number of events read.
#[track_caller]
fn told_or_counted(ran: &Ran, path: &Path, what: &str) -> Option<u64> {
    if ran.code == 1 {
        let name = path.file_name().and_then(|name| name.to_str()).expect("a name");
        ran.fails(1, &[name, "byte"]);
        return None;
    }
    let value: Value = serde_json::from_str(ran.ok()).expect("JSON");
    let count = |key: &str| value[key].as_u64().unwrap_or_else(|| panic!("{key} in {value}"));
    let sum =
        |key: &str| value[key].as_object().unwrap_or_else(|| panic!("{key} in {value}")).values().filter_map(Value::as_u64).sum::<u64>();
    let counted =
        count("damaged_pieces") + count("lost_events") + count("gaps_of_unknown_size") + sum("unknown_event_ids") + sum("short_records");
    let events = sum("events");
    // What was cut off or damaged may be a section of descriptions that no event needs.
    assert!(counted > 0 || events == EVENTS, "{what}: damage passed unnoticed: {value}");
    Some(events)
}

#[test]
fn a_truncated_trace_is_reported_as_such() {
    let whole = fs::read(capture(MIDLIFE).join("trace.dat")).expect("the trace");
    let dir = tempfile::tempdir().expect("a folder");
    let mut cuts: Vec<usize> = (0..16).map(|sixteenth| whole.len() * sixteenth / 16 + 7).collect();
    cuts.extend([1, 10, 100, 4096, whole.len() - 1]);
    for cut in cuts {
        let path = file(&dir, "cut.dat", &whole[..cut]);
        told_or_counted(&info_json(&path), &path, &format!("cut at byte {cut}"));
    }
}

#[test]
fn damage_in_the_data_costs_only_what_it_hits() {
    let whole = fs::read(capture(MIDLIFE).join("trace.dat")).expect("the trace");
    let dir = tempfile::tempdir().expect("a folder");
    // The headers come first and last in a file of `trace-cmd extract`; the data lies between.
    for place in [3, 5, 7].map(|eighth| whole.len() * eighth / 8) {
        let mut damaged = whole.clone();
        damaged[place..place + 512].fill(0xa5);
        let path = file(&dir, "damaged.dat", &damaged);
        let events = told_or_counted(&info_json(&path), &path, &format!("512 bytes at {place}"));
        if let Some(events) = events {
            // A compressed chunk holds a few sub-buffers.
            assert!((EVENTS * 9 / 10..EVENTS).contains(&events), "{events} events left with damage at {place}");
            let replayed = run(&[path.as_os_str(), "--format=json".as_ref()]);
            let value: Value = serde_json::from_str(replayed.ok()).expect("JSON");
            let notes = value["run"]["notes"].as_array().expect("an array");
            assert!(notes.iter().any(|note| note.as_str().is_some_and(|note| note.contains("damaged"))), "{notes:?}");
        }
    }
}

#[test]
fn broken_companions_of_a_trace_are_told_with_their_line() {
    let broken = [
        ("slab.after", "this is no snapshot\n", "line 1"),
        ("nodes", "node0 0-3\nnonsense\n", "line 2"),
        ("page_size", "4097\n", "line 1"),
        ("cpu_online", "3-1\n", "line 1"),
    ];
    for (name, content, place) in broken {
        let copy = copy_of(MIDLIFE, &[]);
        replace(&copy, name, content);
        run(&["verify".as_ref(), copy.path().as_os_str()]).fails(1, &[name, place]);
    }
    let copy = copy_of(MIDLIFE, &[]);
    replace(&copy, "config.gz", "not compressed");
    run(&["verify".as_ref(), copy.path().as_os_str()]).fails(1, &["config.gz"]);
}
