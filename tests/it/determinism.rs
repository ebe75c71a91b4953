//! The same bytes on every run, whatever the number of threads.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::support::{FORKEXEC, MIDLIFE, capture, finish, slubreplay};

/// `None` leaves the number to rayon.
const THREADS: [Option<&str>; 3] = [None, Some("1"), Some("3")];

fn stdout(args: &[&OsStr], threads: Option<&str>) -> String {
    let mut command = slubreplay();
    command.args(args);
    if let Some(threads) = threads {
        command.env("RAYON_NUM_THREADS", threads);
    }
    finish(&mut command).ok().to_owned()
}

/// Asserts equality without printing megabytes: the first differing line tells enough.
#[track_caller]
fn assert_same(one: &str, other: &str, what: &str) {
    let differing = one.lines().zip(other.lines()).find(|(one, other)| one != other);
    assert!(one == other, "{what}: {differing:?}, {} and {} bytes", one.len(), other.len());
}

#[test]
fn stdout_is_the_same_on_every_run() {
    let trace = capture(MIDLIFE);
    for command in ["replay", "verify", "info"] {
        for form in ["text", "json", "csv"] {
            if (command, form) == ("info", "csv") {
                continue;
            }
            let args = [command.as_ref(), trace.as_os_str(), "--format".as_ref(), form.as_ref()];
            let outputs: Vec<String> = THREADS.iter().map(|threads| stdout(&args, *threads)).collect();
            assert!(!outputs[0].is_empty());
            for output in &outputs[1..] {
                assert_same(&outputs[0], output, &format!("{command} --format {form}"));
            }
        }
    }
}

fn files(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let entries = fs::read_dir(dir).expect("a folder").map(|entry| entry.expect("an entry"));
    entries.map(|entry| (entry.file_name().into_string().expect("UTF-8"), fs::read(entry.path()).expect("a file"))).collect()
}

#[test]
fn files_are_the_same_on_every_run() {
    let mut first: Option<BTreeMap<String, Vec<u8>>> = None;
    for threads in &[None, None, Some("1")] {
        let dir = tempfile::tempdir().expect("a folder");
        stdout(&[capture(MIDLIFE).as_os_str(), "--out".as_ref(), dir.path().as_os_str()], *threads);
        let written = files(dir.path());
        let Some(first) = &first else {
            first = Some(written);
            continue;
        };
        assert_eq!(first.keys().collect::<Vec<_>>(), written.keys().collect::<Vec<_>>());
        for (name, bytes) in first {
            assert!(*bytes == written[name], "{name} differs with {threads:?} threads");
        }
    }
}

#[test]
fn the_larger_capture_does_not_depend_on_threads_either() {
    let trace = capture(FORKEXEC);
    let args = [trace.as_os_str(), "--format=json".as_ref()];
    assert_same(&stdout(&args, Some("1")), &stdout(&args, Some("4")), "replay --format json");
}
