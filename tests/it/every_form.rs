//! One trace in every form that there is of it: the replay is the same.
//!
//! trace-cmd makes the other forms; where it is not installed there is nothing to compare, and the tests say so.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::{MIDLIFE, capture, run};

/// Runs trace-cmd with its output in a file; `false` with a word about it if there is no trace-cmd.
fn trace_cmd(arguments: &[&std::ffi::OsStr], out: &Path) -> bool {
    match Command::new("trace-cmd").args(arguments).stdout(File::create(out).expect("a file")).output() {
        Ok(output) => {
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            true
        }
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a skipped test should say so")]
            {
                eprintln!("skipped: trace-cmd cannot be run ({error})");
            }
            false
        }
    }
}

/// A capture with the trace in this form, and all other files as they are.
fn capture_of(trace: &Path, name: &str, dir: &Path) -> PathBuf {
    let folder = dir.join(format!("as-{}", trace.file_name().expect("a name").display()));
    fs::create_dir(&folder).expect("made");
    for entry in fs::read_dir(capture(MIDLIFE)).expect("a folder") {
        let path = entry.expect("an entry").path();
        if path.file_name().is_some_and(|name| name != "trace.dat") {
            fs::copy(&path, folder.join(path.file_name().expect("a name"))).expect("copied");
        }
    }
    fs::copy(trace, folder.join(name)).expect("copied");
    folder
}

fn replayed(capture: &Path) -> Value {
    serde_json::from_str(run(&[capture.as_os_str(), "--format=json".as_ref(), "--samples=20".as_ref()]).ok()).expect("JSON")
}

#[test]
fn every_form_of_a_trace_is_replayed_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let at = |name: &str| dir.path().join(name);
    let trace = capture(MIDLIFE).join("trace.dat");
    let (v6, log) = (at("v6.dat"), at("log"));
    let convert =
        ["convert".as_ref(), "-i".as_ref(), trace.as_os_str(), "-o".as_ref(), v6.as_os_str(), "--file-version".as_ref(), "6".as_ref()];
    if !trace_cmd(&convert, &log) {
        return;
    }
    // With nanoseconds: microseconds are another trace, in which the order of CPUs is lost.
    let (text, raw) = (at("text.txt"), at("raw.txt"));
    trace_cmd(&["report".as_ref(), "-t".as_ref(), trace.as_os_str()], &text);
    trace_cmd(&["report".as_ref(), "-R".as_ref(), "-t".as_ref(), trace.as_os_str()], &raw);
    let parquet = at("trace.parquet");
    run(&["convert".as_ref(), trace.as_os_str(), parquet.as_os_str()]).ok();
    let of_text = at("text.parquet");
    run(&["convert".as_ref(), text.as_os_str(), of_text.as_os_str()]).ok();

    let expected = replayed(&capture(MIDLIFE));
    let forms = [(&v6, "trace.dat"), (&text, "trace.txt"), (&raw, "trace.txt"), (&parquet, "trace.parquet"), (&of_text, "trace.parquet")];
    for (form, name) in forms {
        let found = replayed(&capture_of(form, name, dir.path()));
        let what = form.display();
        assert_ne!(found["run"]["format"], expected["run"]["format"], "{what}");
        for table in ["caches", "counters", "totals", "ledger", "paths", "sizing"] {
            assert_eq!(found[table], expected[table], "{what}: {table}");
        }
        for fact in ["operations", "allocs", "frees", "events", "kernel", "cpus", "duration_ns", "lost_events"] {
            assert_eq!(found["run"][fact], expected["run"][fact], "{what}: {fact}");
        }
    }
}
