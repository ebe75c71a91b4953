//! SLAB and SLOB: the same operations by all allocators, and captures of such kernels outside of the repository.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::support::{FORKEXEC, MIDLIFE, capture, run};

fn json<S: AsRef<std::ffi::OsStr>>(args: &[S]) -> Value {
    serde_json::from_str(run(args).ok()).expect("JSON")
}

/// Captures in the folder that `SLUBREPLAY_CAPTURES` names whose configuration has this option.
#[expect(clippy::print_stderr, reason = "a skipped test says so")]
fn captures_with(option: &str) -> Vec<PathBuf> {
    let Some(folder) = std::env::var_os("SLUBREPLAY_CAPTURES") else {
        eprintln!("skipped: SLUBREPLAY_CAPTURES names no folder with captures");
        return Vec::new();
    };
    let entries = std::fs::read_dir(&folder).expect("the folder can be read").filter_map(Result::ok).map(|entry| entry.path());
    let is_such = |path: &PathBuf| {
        let capture = slubreplay_parsers::capture::Capture::open(path).ok();
        capture.and_then(|capture| capture.machine.config).is_some_and(|config| config.lines().any(|line| line == option))
    };
    let mut found: Vec<PathBuf> = entries.filter(is_such).collect();
    found.sort();
    if found.is_empty() {
        eprintln!("skipped: no capture with {option} in {}", Path::new(&folder).display());
    }
    found
}

#[test]
fn all_allocators_replay_the_same_operations() {
    for name in [FORKEXEC, MIDLIFE] {
        let trace = capture(name);
        let models = "slub-6.12,slub-7.0,slab,slob,slub-tiny,slab-5.15";
        let value = json(&["compare".as_ref(), trace.as_os_str(), "--models".as_ref(), models.as_ref(), "--format=json".as_ref()]);
        let kernels = value["kernels"].as_array().expect("a list");
        let labels: Vec<&str> = kernels.iter().filter_map(|kernel| kernel["kernel"].as_str()).collect();
        assert_eq!(labels, ["6.12.117", "7.0.0", "slab-6.1.0", "slob-6.1.0", "slub-tiny-6.12.117", "slab-5.15.0"], "{name}");
        let first = &kernels[0]["total"];
        for kernel in kernels {
            let (label, total) = (&kernel["kernel"], &kernel["total"]);
            assert_eq!((&total["allocs"], &total["frees"]), (&first["allocs"], &first["frees"]), "{name}, {label}");
            // Nobody needs less than what is live, nor ten times as much.
            let bytes = |value: &Value| value["slab_bytes_end"].as_f64().expect("a number");
            assert!(bytes(total) > bytes(first) / 2.0 && bytes(total) < bytes(first) * 2.0, "{name}, {label}");
        }
        // SLAB has no kmalloc cache below 32 bytes.
        let caches = kernels[2]["caches"].as_array().expect("a list");
        let has = |name: &str| caches.iter().any(|cache| cache["cache"] == name);
        assert!(has("kmalloc-32") && !has("kmalloc-8") && !has("kmalloc-16"), "{name}");
    }
}

#[test]
fn the_laws_of_all_allocators_hold_on_a_real_trace() {
    let trace = capture(MIDLIFE);
    for allocator in ["slab", "slob"] {
        run(&[trace.as_os_str(), "--allocator".as_ref(), allocator.as_ref(), "--check".as_ref(), "--format=csv".as_ref()]).ok();
    }
}

#[test]
fn a_model_that_never_was_is_refused() {
    let trace = capture(MIDLIFE);
    let ran = run(&["compare".as_ref(), trace.as_os_str(), "--models".as_ref(), "slab-6.8".as_ref()]);
    ran.fails(2, &["6.8.0 cannot be built with SLAB"]);
}

/// Geometry exact, slabs in use and objects within 2 % in total, both exact in 60 % of the caches with at least 20 slabs.
#[test]
fn slab_kernels_agree_with_slabinfo() {
    for path in captures_with("CONFIG_SLAB=y") {
        let value = json(&["verify".as_ref(), path.as_os_str(), "--format=json".as_ref()]);
        let after = &value["slabinfo_after"];
        for row in after["rows"].as_array().expect("a list") {
            if row[1] == "objperslab" || row[1] == "pagesperslab" {
                assert_eq!(row[2], row[3], "{}: {row}", path.display());
            }
        }
        for column in ["active_slabs", "num_objs"] {
            let [kernel, replay] = ["kernel", "replay"].map(|which| after[column][which].as_f64().expect("a number"));
            assert!((kernel - replay).abs() <= kernel * 0.02, "{}: {column} {kernel}, {replay}", path.display());
        }
        let [many, exact] = ["caches_with_many_slabs", "of_these_exact"].map(|which| after[which].as_u64().expect("a number"));
        assert!(exact * 100 >= many * 60, "{}: {exact} of {many}", path.display());
    }
}

/// Pages in use within 3 % over the run.
#[test]
fn slob_kernels_agree_with_the_pages_in_use() {
    for path in captures_with("CONFIG_SLOB=y") {
        let value = json(&["verify".as_ref(), path.as_os_str(), "--format=json".as_ref()]);
        let pages = value["pages"].as_array().expect("a list");
        assert!(pages.len() > 100, "{}", path.display());
        for row in pages {
            let [kernel, replay] = ["kernel", "replay"].map(|which| row[which].as_f64().expect("a number"));
            assert!((kernel - replay).abs() <= kernel * 0.03, "{}: {row}", path.display());
        }
    }
}
