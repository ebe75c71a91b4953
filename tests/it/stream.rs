//! `--stream`: a replay in batches, beside the replay of the whole recording.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::{FORKEXEC, MIDLIFE, capture, csv_rows, run};

/// The rows of the ledger that a run with these options writes: by kind and cache.
fn ledger(trace: &Path, options: &[&str]) -> BTreeMap<(String, String), u64> {
    let dir = tempfile::tempdir().expect("a folder");
    let mut args = vec![trace.as_os_str(), "--out".as_ref(), dir.path().as_os_str()];
    args.extend(options.iter().map(std::ffi::OsStr::new));
    run(&args).ok();
    let rows = csv_rows(&fs::read_to_string(dir.path().join("ledger.csv")).expect("a table"));
    rows[1..].iter().map(|row| ((row[0].clone(), row[2].clone()), row[3].parse().expect("a count"))).collect()
}

/// What a trace shows of kmalloc caches is in every event by itself: it does not need the rest of the trace.
#[test]
fn what_events_tell_by_themselves_is_the_same_in_batches() {
    for name in [FORKEXEC, MIDLIFE] {
        // Without the capture's snapshots, which the whole replay takes more from.
        let trace = capture(name).join("trace.dat");
        let (whole, stream) = (ledger(&trace, &["--kernel=6.12"]), ledger(&trace, &["--kernel=6.12", "--stream", "--check"]));
        let own = |ledger: &BTreeMap<(String, String), u64>| -> BTreeMap<(String, String), u64> {
            let is_own = |kind: &str, cache: &str| match kind {
                "cache by kmalloc class" => cache.starts_with("kmalloc-"),
                _ => ["frees of NULL", "large kmalloc", "frees of large kmalloc", "doubled events", "failed allocations"].contains(&kind),
            };
            ledger.iter().filter(|((kind, cache), _)| is_own(kind, cache)).map(|(key, &count)| (key.clone(), count)).collect()
        };
        assert!(own(&whole).len() > 15, "{whole:?}");
        assert_eq!(own(&stream), own(&whole), "{name}");
    }
}

#[test]
fn a_stream_is_the_same_on_any_number_of_threads_and_by_a_pipe() {
    let trace = capture(MIDLIFE).join("trace.dat");
    let args = [trace.as_os_str(), "--stream".as_ref(), "--format=csv".as_ref()];
    let one = crate::support::finish(crate::support::slubreplay().args(args).env("RAYON_NUM_THREADS", "1"));
    assert_eq!(one.ok(), run(&args).ok());
    let piped = crate::support::slubreplay().args(["-", "--stream", "--format=csv"]).pipe_stdin(&trace).expect("a trace").output();
    assert_eq!(String::from_utf8(piped.expect("runs").stdout).expect("UTF-8"), one.stdout);
}

/// Another kernel is a matter of layout and paths, not of what is replayed.
#[test]
fn a_stream_is_laid_out_for_another_kernel() {
    let trace = capture(MIDLIFE);
    let counts = |kernel: &str| {
        let csv = run(&[trace.as_os_str(), "--stream".as_ref(), "--format=csv".as_ref(), kernel.as_ref()]);
        let rows = csv_rows(csv.ok());
        let columns = ["name", "allocs", "frees"].map(|name| rows[0].iter().position(|column| column == name).expect("a column"));
        rows[1..].iter().map(|row| columns.map(|column| row[column].clone())).collect::<Vec<_>>()
    };
    let own = counts("--kernel=6.12");
    let mut sheaves = counts("--kernel=7.2");
    // Sorted by what they take, which is where kernels differ.
    let mut sorted = own.clone();
    sorted.sort();
    sheaves.sort();
    assert_eq!(sheaves, sorted);
}

#[test]
fn slab_and_slob_are_not_replayed_in_batches() {
    for allocator in ["slab", "slob"] {
        let args =
            [capture(MIDLIFE).display().to_string(), "--stream".to_owned(), "--kernel=6.1".to_owned(), format!("--allocator={allocator}")];
        run(&args).fails_with_hint(2, &["--stream", "only SLUB is"]);
    }
}
