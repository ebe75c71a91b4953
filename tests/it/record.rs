//! `slubreplay record` and its script: what is refused, and live recordings where the machine allows them.

#![expect(clippy::print_stderr, reason = "a skipped test says so")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use crate::support::run;

const TRACEFS: [&str; 2] = ["/sys/kernel/tracing", "/sys/kernel/debug/tracing"];

/// Says so where nothing can be recorded. The tests of single modules use trees made by hand.
fn can_record(what: &str) -> bool {
    let is_root = Command::new("id").arg("-u").output().is_ok_and(|id| id.stdout == b"0\n");
    let has_events = TRACEFS.iter().any(|root| Path::new(root).join("events/kmem/kmem_cache_alloc").exists());
    if !is_root || !has_events {
        eprintln!("SKIPPED: {what}: recording takes root and a mounted tracefs with kmem events");
    }
    is_root && has_events
}

fn is_installed(program: &str) -> bool {
    Command::new("sh").args(["-c", &format!("command -v {program}")]).output().is_ok_and(|found| found.status.success())
}

/// Trace buffers that were made and not removed, and events that are still on.
fn left_behind(pid: u32) -> Vec<String> {
    let instances = TRACEFS.iter().map(|root| Path::new(root).join("instances")).find(|path| path.exists());
    let names = fs::read_dir(instances.expect("tracefs")).expect("readable").map(|entry| entry.expect("an entry").file_name());
    let ours = format!("-{pid}");
    names.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.starts_with("slubreplay-") && name.ends_with(&ours)).collect()
}

fn finish(command: &mut Command) -> (u32, Output) {
    let child = command.stdout(std::process::Stdio::piped()).stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let pid = child.id();
    (pid, child.wait_with_output().expect("it ends"))
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// The capture opens, has what allocates and frees, both snapshots, and replays.
fn is_whole(dir: &Path) {
    let info: serde_json::Value =
        serde_json::from_str(run(&["info".as_ref(), dir.as_os_str(), "--format=json".as_ref()]).ok()).expect("JSON");
    for event in ["kmem_cache_alloc", "kmem_cache_free", "kmalloc", "kfree", "mm_page_alloc"] {
        assert!(info["events"][event].as_u64() > Some(10), "{event}: {info:#}");
    }
    assert_eq!(info["damaged_pieces"], 0, "{info:#}");
    assert_eq!(info["unknown_event_ids"], serde_json::json!({}), "{info:#}");
    for file in ["uname", "cmdline", "cpu_possible", "cpu_online", "nodes", "page_size", "zoneinfo.before", "meminfo.after"] {
        assert!(fs::metadata(dir.join(file)).is_ok_and(|file| file.len() > 0), "{file}");
    }
    let report = run(&["verify".as_ref(), dir.as_os_str()]);
    assert!(report.ok().contains("slab agreement"), "{}", report.stdout);
    if Path::new("/sys/kernel/slab").exists() {
        assert!(!report.stdout.contains("has no slab.after"), "{}", report.stdout);
    }
}

#[test]
fn a_directory_that_is_not_empty_is_left_alone() {
    let dir = tempfile::tempdir().expect("a folder");
    fs::write(dir.path().join("precious"), "x").expect("written");
    run(&["record".as_ref(), "-o".as_ref(), dir.path().as_os_str()]).fails_with_hint(1, &["there is something in it"]);
    let shell = Command::new("sh").arg("src/cli/record/record.sh").arg("-o").arg(dir.path()).output().expect("sh");
    assert_eq!(shell.status.code(), Some(1));
    assert!(stderr(&shell).contains("there is something in it"), "{}", stderr(&shell));
    assert_eq!(fs::read_dir(dir.path()).expect("listed").count(), 1);
}

#[test]
fn wrong_command_lines_are_told() {
    run(&["record", "--", "no-such-program-here"]).fails_with_hint(2, &["no such program"]);
    for args in [&["record", "--with", "magic"][..], &["record", "--duration", "0"], &["record", "--script", "--", "true"]] {
        run(args).fails(2, &[]);
    }
    for (args, needle) in [(&["--with", "magic"][..], "magic"), (&["--duration", "1s"], "1s"), (&["stray"], "stray"), (&["-o"], "value")] {
        let shell = Command::new("sh").arg("src/cli/record/record.sh").args(args).output().expect("sh");
        assert_eq!(shell.status.code(), Some(2), "{args:?}: {}", stderr(&shell));
        assert!(stderr(&shell).contains(needle), "{args:?}: {}", stderr(&shell));
    }
}

/// The script is read by every shell that is here, and has no findings of ShellCheck.
#[test]
fn the_script_is_plain_sh() {
    let dir = tempfile::tempdir().expect("a folder");
    let script = dir.path().join("record.sh");
    fs::write(&script, run(&["record", "--script"]).ok()).expect("written");
    let checks: [&[&str]; 4] = [&["dash", "-n"], &["busybox", "sh", "-n"], &["bash", "--posix", "-n"], &["shellcheck", "-s", "sh"]];
    for check in checks {
        if !is_installed(check[0]) {
            eprintln!("SKIPPED: {} is not installed", check[0]);
            continue;
        }
        let checked = Command::new(check[0]).args(&check[1..]).arg(&script).output().expect("it runs");
        assert!(checked.status.success(), "{check:?}: {}{}", String::from_utf8_lossy(&checked.stdout), stderr(&checked));
    }
}

/// A loop of fork and exec, recorded in every way that works here, by the program and by the script.
#[test]
fn live_recordings_open_and_leave_nothing_behind() {
    if !can_record("live recordings") {
        return;
    }
    let work = ["sh", "-c", "for i in 1 2 3 4 5 6 7 8 9; do /bin/true; done; echo done"];
    for way in ["tracefs", "perf", "trace-cmd"] {
        if way != "tracefs" && !is_installed(way) {
            eprintln!("SKIPPED: {way} is not installed");
            continue;
        }
        for is_script in [false, true] {
            let dir = tempfile::tempdir().expect("a folder");
            let out = dir.path().join("capture");
            let mut command = Command::new(if is_script { "sh" } else { env!("CARGO_BIN_EXE_slubreplay") });
            command.arg(if is_script { "src/cli/record/record.sh" } else { "record" });
            let (pid, ran) = finish(command.arg("-o").arg(&out).args(["--with", way, "--"]).args(work));
            assert_eq!(left_behind(pid), Vec::<String>::new(), "{way}, script: {is_script}");
            if !ran.status.success() && stderr(&ran).contains("did not begin to record") {
                eprintln!("SKIPPED: {way} does not work here: {}", stderr(&ran));
                continue;
            }
            assert!(ran.status.success(), "{way}, script: {is_script}: {}", stderr(&ran));
            assert_eq!(String::from_utf8_lossy(&ran.stdout), "done\n", "stdout is the command's");
            is_whole(&out);
        }
    }
}

#[test]
fn a_failing_command_is_told_and_its_capture_kept() {
    if !can_record("a failing command") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("capture");
    let ran = run(&["record".as_ref(), "-o".as_ref(), out.as_os_str(), "--with=tracefs".as_ref(), "--".as_ref(), "false".as_ref()]);
    assert_eq!(ran.code, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("false failed: exit status: 1"), "{}", ran.stderr);
    assert!(out.join("slab.after").exists() || out.join("slabinfo.after").exists());
    let shell = dir.path().join("by-script");
    let ran = Command::new("sh").arg("src/cli/record/record.sh").arg("-o").arg(&shell).args(["--with", "tracefs", "--", "false"]).output();
    assert_eq!(ran.expect("sh").status.code(), Some(4));
}

/// Ctrl-C ends a recording early: it is complete, and nothing is left in the kernel.
#[test]
fn an_interrupted_recording_is_complete() {
    if !can_record("an interrupted recording") {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let out = dir.path().join("capture");
    let mut command = Command::new(env!("CARGO_BIN_EXE_slubreplay"));
    command.arg("record").arg("-o").arg(&out).args(["--with", "tracefs", "--duration", "600"]);
    let child = command.stderr(std::process::Stdio::piped()).spawn().expect("it starts");
    let pid = child.id();
    // The second file of the first snapshot is there: from then on the recording waits for its end.
    while !out.join("slab.before").exists() && !out.join("slabinfo.before").exists() {
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    assert!(Command::new("kill").args(["-INT", &pid.to_string()]).status().expect("kill").success());
    let ran = child.wait_with_output().expect("it ends");
    assert_eq!(ran.status.code(), Some(130), "{}", stderr(&ran));
    assert_eq!(left_behind(pid), Vec::<String>::new());
    is_whole(&out);
}
