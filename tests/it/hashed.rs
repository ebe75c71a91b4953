//! Text of a kernel that hashes pointers, beside text of the same events with addresses.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde_json::Value;
use slubreplay_parsers::AnyTrace;
use tempfile::TempDir;

#[path = "../../parsers/tests/support/printed.rs"]
mod printed;

use crate::support::{MIDLIFE, capture, csv_rows, run};

/// A pointer as the kernel prints its hash: 32 bits, other ones for other objects. All objects are aligned to 8 bytes and lie in less than
/// 32 GiB; multiplying by an odd number and mixing the halves loses nothing.
fn hash(ptr: u64) -> u64 {
    if ptr <= 16 {
        return ptr;
    }
    let mixed = ((ptr >> 3) as u32).wrapping_mul(0x9e37_79b1);
    u64::from(mixed ^ mixed >> 15)
}

/// Files `addresses` and `hashes` with the events of the smaller capture.
fn texts() -> TempDir {
    let recording = AnyTrace::open(&capture(MIDLIFE).join("trace.dat")).and_then(|trace| trace.decode(&|_| {})).expect("a trace");
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("addresses"), printed::ftrace(&recording, &|ptr| ptr)).expect("written");
    fs::write(dir.path().join("hashes"), printed::ftrace(&recording, &hash)).expect("written");
    dir
}

/// The sums of the ledger over all caches, and the report.
fn replayed(trace: &Path, options: &[&str]) -> (BTreeMap<String, u64>, String) {
    let dir = tempfile::tempdir().expect("a folder");
    let mut args = vec![trace.as_os_str(), "--check".as_ref(), "--kernel=6.12".as_ref(), "--out".as_ref(), dir.path().as_os_str()];
    args.extend(options.iter().map(std::ffi::OsStr::new));
    let report = run(&args).ok().to_owned();
    let mut sums = BTreeMap::new();
    for row in &csv_rows(&fs::read_to_string(dir.path().join("ledger.csv")).expect("a table"))[1..] {
        *sums.entry(row[0].clone()).or_default() += row[3].parse::<u64>().expect("a count");
    }
    (sums, report)
}

#[test]
fn text_with_hashed_pointers_is_replayed_and_says_what_is_off() {
    let dir = texts();
    let [addresses, hashes] = ["addresses", "hashes"].map(|name| dir.path().join(name));
    for options in [&[][..], &["--stream"]] {
        let ((real, plain), (hashed, told)) = (replayed(&addresses, options), replayed(&hashes, options));
        let of = |sums: &BTreeMap<String, u64>, kinds: &[&str]| kinds.iter().map(|kind| sums.get(*kind).copied().unwrap_or(0)).sum::<u64>();
        // Every event is there. Which frees are of unknown objects is told by their neighbours, if there are addresses.
        for kinds in [
            &["allocations", "allocations without a layout"][..],
            &["frees", "frees of unknown objects"],
            &["frees of NULL"],
            &["large kmalloc"],
            &["frees of large kmalloc"],
        ] {
            assert_eq!(of(&hashed, kinds), of(&real, kinds), "{kinds:?} {options:?}");
        }
        assert!(of(&real, &["allocations"]) > 100_000, "{real:?}");
        for kind in ["slabs from before the trace", "cache by slab", "order settled by addresses"] {
            assert_eq!(of(&hashed, &[kind]), 0, "{kind} {options:?}");
        }
        let note = "the trace has hashes for pointers";
        assert!(told.contains(note) && told.contains("no_hash_pointers") && !plain.contains(note), "{told}");
    }
}

#[test]
fn verify_says_why_hashed_pointers_cannot_be_compared() {
    let dir = texts();
    let [addresses, hashes] = ["addresses", "hashes"].map(|name| dir.path().join(name));
    let verified = |trace: &Path| -> Value {
        let args = ["verify".as_ref(), trace.as_os_str(), "--kernel=6.12".as_ref(), "--format=json".as_ref()];
        serde_json::from_str(run(&args).ok()).expect("JSON")
    };
    let agreement = verified(&hashes)["agreement"].clone();
    assert_eq!(agreement["judged"], Value::Bool(false), "{agreement}");
    assert!(agreement["reason"].as_str().is_some_and(|reason| reason.contains("hashes for pointers")), "{agreement}");
    assert_eq!(verified(&addresses)["agreement"]["judged"], Value::Bool(true));
    let text = run(&["verify".as_ref(), hashes.as_os_str(), "--kernel=6.12".as_ref()]);
    assert!(text.ok().contains("cannot be judged: the trace has hashes for pointers"), "{}", text.stdout);
    let least = run(&["verify".as_ref(), hashes.as_os_str(), "--kernel=6.12".as_ref(), "--min-agreement=99".as_ref()]);
    least.fails(2, &["hashes for pointers"]);
}
