//! Traces in columns, and the names of call sites.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{MIDLIFE, capture, run};

/// Converts a trace into a folder of its own.
fn converted(trace: &Path, dir: &Path) -> std::path::PathBuf {
    let out = dir.join("trace.parquet");
    let ran = run(&["convert".as_ref(), trace.as_os_str(), out.as_os_str()]);
    assert!(ran.ok().contains("for each event"), "{}", ran.stdout);
    out
}

fn json(args: &[&std::ffi::OsStr]) -> Value {
    serde_json::from_str(run(args).ok()).expect("JSON")
}

/// Whatever is said of a trace, but for its path and format.
fn without_source(mut value: Value) -> Value {
    for at in ["/format", "/run/format", "/run/trace"] {
        if let Some(source) = value.pointer_mut(at) {
            *source = Value::Null;
        }
    }
    value
}

#[test]
fn a_converted_trace_is_replayed_the_same() {
    let dir = tempfile::tempdir().expect("a folder");
    let trace = capture(MIDLIFE).join("trace.dat");
    let out = converted(&trace, dir.path());
    for options in [["--samples=20", "--format=json"], ["--stream", "--format=json"]] {
        let of = |trace: &Path| json(&[trace.as_os_str(), options[0].as_ref(), options[1].as_ref()]);
        let (expected, found) = (of(&trace), of(&out));
        assert_eq!(without_source(found), without_source(expected), "{options:?}");
    }
    let info = |trace: &Path| json(&["info".as_ref(), trace.as_os_str(), "--format=json".as_ref()]);
    let (expected, found) = (info(&trace), info(&out));
    assert_eq!(found["format"], json!(format!("{}, as Parquet", expected["format"].as_str().expect("a format"))));
    assert_eq!(without_source(found), without_source(expected));
}

/// With the other files of its capture, the kernel's counters are met as before.
#[test]
fn a_converted_trace_makes_a_capture() {
    let dir = tempfile::tempdir().expect("a folder");
    let capture = capture(MIDLIFE);
    let ran = run(&["convert".as_ref(), capture.as_os_str(), dir.path().join("trace.parquet").as_os_str()]);
    assert!(ran.ok().contains("only the trace is in the file"), "{}", ran.stdout);
    for entry in fs::read_dir(&capture).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().expect("a name");
        if name != "trace.dat" {
            fs::copy(&path, dir.path().join(name)).expect("copied");
        }
    }
    let verified = |capture: &Path| run(&["verify".as_ref(), capture.as_os_str(), "--format=csv".as_ref()]).ok().to_owned();
    assert_eq!(verified(dir.path()), verified(&capture));
}

#[test]
fn packed_traces_make_captures() {
    let trace = fs::read(capture(MIDLIFE).join("trace.dat")).expect("a trace");
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("trace.dat.zst"), zstd(&trace)).expect("written");
    let info = |path: &Path| json(&["info".as_ref(), path.as_os_str(), "--format=json".as_ref()]);
    let found = info(dir.path());
    assert_eq!(found["format"], json!("trace.dat v7 (zstd), packed with zstd"));
    assert_eq!(without_source(found), without_source(info(&capture(MIDLIFE))));
}

/// A frame of zstd with stored blocks.
fn zstd(bytes: &[u8]) -> Vec<u8> {
    // Single segment, 8 bytes of content size; RFC 8878, 3.1.1.
    let mut out = b"\x28\xb5\x2f\xfd\xe0".to_vec();
    out.extend((bytes.len() as u64).to_le_bytes());
    let blocks = bytes.chunks(128 << 10);
    let last = blocks.len() - 1;
    for (number, block) in blocks.enumerate() {
        let header = (block.len() as u32) << 3 | u32::from(number == last);
        out.extend(&header.to_le_bytes()[..3]);
        out.extend(block);
    }
    out
}

#[test]
fn the_trace_itself_is_not_overwritten() {
    let dir = tempfile::tempdir().expect("a folder");
    let trace = dir.path().join("trace.dat");
    fs::copy(capture(MIDLIFE).join("trace.dat"), &trace).expect("copied");
    let before = fs::read(&trace).expect("a trace");
    let link = dir.path().join("link");
    std::os::unix::fs::symlink(&trace, &link).expect("linked");
    for (from, to) in [(&trace, &trace), (&trace, &link), (&link, &trace), (&dir.path().to_owned(), &trace)] {
        run(&["convert".as_ref(), from.as_os_str(), to.as_os_str()]).fails(1, &["is the trace itself"]);
    }
    assert!(fs::read(&trace).expect("a trace") == before);
}

#[test]
fn what_cannot_be_written_leaves_nothing_behind() {
    let dir = tempfile::tempdir().expect("a folder");
    let trace = capture(MIDLIFE).join("trace.dat");
    run(&["convert".as_ref(), trace.as_os_str(), dir.path().as_os_str()]).fails(1, &["no regular file"]);
    run(&["convert".as_ref(), trace.as_os_str(), dir.path().join("not/there.parquet").as_os_str()]).fails(1, &["there.parquet"]);
    // A trace that cannot be read on, half of the way.
    let mut bytes = fs::read(converted(&trace, dir.path())).expect("a file");
    let half = bytes.len() / 2;
    bytes[half] ^= 1;
    let bad = dir.path().join("bad.parquet");
    fs::write(&bad, &bytes).expect("written");
    let out = dir.path().join("trace.parquet");
    let before = fs::read(&out).expect("a file");
    run(&["convert".as_ref(), bad.as_os_str(), out.as_os_str()]).fails(1, &["bad.parquet", "row group", "checksum"]);
    assert!(fs::read(&out).expect("still there") == before);
    let mut names: Vec<_> = fs::read_dir(dir.path()).expect("a folder").map(|entry| entry.expect("an entry").file_name()).collect();
    names.sort();
    assert_eq!(names, ["bad.parquet", "trace.parquet"]);
}

#[test]
fn a_file_there_is_replaced_and_readable_by_all() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("trace.parquet");
    fs::write(&out, "PAR1 of old").expect("written");
    let other = dir.path().join("other");
    fs::write(&other, "any").expect("written");
    converted(&capture(MIDLIFE).join("trace.dat"), dir.path());
    let mode = |path: &Path| fs::metadata(path).expect("a file").permissions().mode();
    assert_eq!(mode(&out), mode(&other), "as any other new file");
}

/// The same address of the same trace, by `trace-cmd report -f`: `getname_flags+0x28` (of a page's worth of names).
#[test]
fn call_sites_are_named_by_the_trace() {
    let trace = capture(MIDLIFE).join("trace.dat");
    let sites = |more: &[&str]| {
        let mut args = vec!["info".as_ref(), trace.as_os_str(), "--format=json".as_ref(), "--sites=100000".as_ref()];
        args.extend(more.iter().map(|arg| std::ffi::OsStr::new(*arg)));
        json(&args)["call_sites"].clone()
    };
    let named = sites(&[]);
    let busiest = named["busiest"].as_array().expect("an array");
    assert_eq!(json!(busiest.len()), named["distinct"]);
    let sum = |key: &str| busiest.iter().map(|site| site[key].as_u64().expect("a number")).sum::<u64>();
    // Counted with trace-cmd, see traces/README.md.
    assert_eq!((sum("allocs"), sum("frees")), (105_997 + 149_888, 94_594 + 172_579));
    assert!(busiest.windows(2).all(|pair| pair[0]["events"].as_u64() >= pair[1]["events"].as_u64()));
    assert!(busiest.iter().all(|site| site["symbol"].is_string()), "this kernel has no modules, and all of its text is in kallsyms");
    let getname = busiest.iter().find(|site| site["symbol"].as_str().is_some_and(|symbol| symbol.starts_with("getname_flags+0x28/")));
    let getname = getname.expect("getname_flags");
    // Names are of 4096 bytes.
    assert_eq!(getname["allocated_bytes"].as_u64(), getname["allocs"].as_u64().map(|allocs| 4096 * allocs));

    // The same by a file: symbols of that one function.
    let address = u64::from_str_radix(getname["address"].as_str().expect("hex").trim_start_matches("0x"), 16).expect("hex");
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("kallsyms");
    fs::write(&file, format!("{:016x} t renamed\t[module]\n{:016x} T next\n", address - 4, address + 12)).expect("written");
    let given = sites(&["--kallsyms", file.to_str().expect("UTF-8")]);
    let same = given["busiest"].as_array().expect("an array").iter().find(|site| site["address"] == getname["address"]).expect("there");
    assert_eq!((&same["symbol"], &same["module"]), (&json!("renamed+0x4/0x10 [module]"), &json!("module")));
    assert_eq!(same["events"], getname["events"]);

    // And of the trace in columns, which keeps the symbols that it needs.
    let out = converted(&trace, dir.path());
    let kept = json(&["info".as_ref(), out.as_os_str(), "--format=json".as_ref(), "--sites=100000".as_ref()]);
    assert_eq!(kept["call_sites"]["busiest"], named["busiest"]);
}

#[test]
fn kernel_symbols_that_are_none_are_refused() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("kallsyms");
    let trace = capture(MIDLIFE).join("trace.dat");
    let args = ["info".as_ref(), trace.as_os_str(), "--sites=3".as_ref(), "--kallsyms".as_ref(), file.as_os_str()];
    run(&args).fails(1, &["kallsyms", "cannot read"]);
    fs::write(&file, "0000000000000000 T _text\n0000000000000000 T _etext\n").expect("written");
    run(&args).fails(1, &["kptr_restrict"]);
    fs::write(&file, "ffffffff81000000 T _text\nwhat\n").expect("written");
    run(&args).fails(1, &["line 2", "expected an address"]);
    run(&["info".as_ref(), trace.as_os_str(), "--kallsyms".as_ref(), file.as_os_str()]).fails(2, &["--sites"]);
    let ran = run(&["info".as_ref(), trace.as_os_str(), "--sites=3".as_ref()]);
    let text = ran.ok().split_once("\ncall sites: 3 of ").expect("a table").1;
    assert_eq!(text.lines().count(), 5, "{text}");
}
