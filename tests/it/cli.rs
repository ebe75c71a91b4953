//! Exit codes, errors with hints, and what goes to which stream.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::process::{Command as StdCommand, Stdio};

use serde_json::Value;

use crate::support::{FORKEXEC, MIDLIFE, capture, copy_of, finish, replace, run, slubreplay};

#[test]
fn help_documents_exit_codes_and_examples() {
    let ran = run(&["--help"]);
    let help = ran.ok();
    let from = help.find("Exit status:").expect("a section on exit codes");
    for code in ["0", "1", "2", "3"] {
        assert!(help[from..].lines().any(|line| line.split_whitespace().next() == Some(code)), "{code} in {help}");
    }
    assert!(help.contains("Examples:"), "{help}");
    for command in ["replay", "verify", "compare", "info", "bench"] {
        let ran = run(&[command, "--help"]);
        assert!(ran.ok().contains("Exit status:"), "{command}");
    }
    assert!(run(&["--version"]).ok().starts_with("slubreplay "));
}

#[test]
fn wrong_command_lines_exit_with_2() {
    let trace = capture(MIDLIFE);
    let trace = trace.to_str().expect("UTF-8");
    let wrong: [&[&str]; 25] = [
        &[],
        &["--no-such-flag"],
        &["verify"],
        &["info"],
        &[trace, "--no-such-flag"],
        &[trace, "--format", "xml"],
        &[trace, "--samples", "1"],
        &[trace, "--kernel", "six"],
        &[trace, "--cpus", "0"],
        &[trace, "--page-size", "5000"],
        &[trace, "--out", "/dev/null/report", "--tables", "xml"],
        &[trace, "--tables", "parquet"],
        &["verify", trace, "--max-error", "-1"],
        &["verify", trace, "--max-error", "much"],
        &["verify", trace, "--min-agreement", "-1"],
        &["verify", trace, "--divergences", "2"],
        &["verify", trace, "--explain", "dentry", "--divergences", "0"],
        &["verify", trace, "--explain", "dentry", "--exclude", "dentry"],
        &["compare"],
        &["compare", trace],
        &["compare", trace, "--kernels", "6.12,seven"],
        &[trace, "--nodes", "0"],
        &[trace, "--nodes", "two"],
        &[trace, "--nodes", "3-0"],
        &[trace, "--nodes", "0-1/1-3"],
    ];
    for args in wrong {
        let ran = run(args);
        assert_eq!(ran.code, 2, "{args:?}: {}", ran.stderr);
        assert_eq!(ran.stdout, "", "{args:?}");
        assert!(ran.stderr.starts_with("error: "), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains("--help"), "the next step is told, {args:?}: {}", ran.stderr);
    }
}

#[test]
fn paths_that_cannot_be_read_exit_with_1() {
    let dir = tempfile::tempdir().expect("a folder");
    let missing = dir.path().join("missing.dat");
    for command in [None, Some("replay"), Some("info")] {
        let mut args: Vec<&OsStr> = command.iter().map(OsStr::new).collect();
        args.push(missing.as_os_str());
        run(&args).fails_with_hint(1, &["missing.dat"]);
        // A directory without a trace in it.
        *args.last_mut().expect("a path") = dir.path().as_os_str();
        run(&args).fails_with_hint(1, &[dir.path().to_str().expect("UTF-8"), "trace.dat"]);
    }
    run(&["verify".as_ref(), dir.path().as_os_str()]).fails_with_hint(1, &["trace.dat"]);
    run(&["verify".as_ref(), missing.as_os_str()]).fails_with_hint(1, &["missing.dat"]);
}

#[test]
fn verify_compares_counters_where_there_are_some() {
    let file = capture(MIDLIFE).join("trace.dat");
    let without = copy_of(MIDLIFE, &["slab.after"]);
    let text = fs::read_to_string(capture(MIDLIFE).join("slab.after")).expect("a snapshot");
    let counterless: String = text.lines().filter(|line| !line.contains(",alloc_fastpath,")).map(|line| format!("{line}\n")).collect();
    let bare = copy_of(MIDLIFE, &[]);
    replace(&bare, "slab.after", counterless);
    for (path, why) in [(file.as_path(), "slab.before"), (without.path(), "slab.after"), (bare.path(), "CONFIG_SLUB_STATS")] {
        let ran = run(&["verify".as_ref(), path.as_os_str()]);
        assert!(ran.ok().contains("slab agreement") && ran.stdout.contains(why), "{}", ran.stdout);
        assert!(!ran.stdout.contains("counter error"), "{}", ran.stdout);
        for option in ["--max-error=1", "--format=csv"] {
            run(&["verify".as_ref(), path.as_os_str(), option.as_ref()]).fails_with_hint(2, &["counters", why]);
        }
    }

    // Without slab.before the counters count from boot.
    let late = copy_of(FORKEXEC, &["slab.before"]);
    run(&["verify".as_ref(), late.path().as_os_str()]).ok();
}

#[test]
fn max_error_decides_between_0_and_3() {
    let midlife = capture(MIDLIFE);
    run(&["verify".as_ref(), midlife.as_os_str(), "--max-error=2".as_ref()]).ok();
    run(&["verify".as_ref(), midlife.as_os_str(), "--max-error=2%".as_ref()]).ok();

    // Twice the kernel's counts: no replay can be nearer to them than a half.
    let text = fs::read_to_string(midlife.join("slab.after")).expect("a snapshot");
    let doubled: String = text.lines().map(|line| doubled_counter(line) + "\n").collect();
    let copy = copy_of(MIDLIFE, &["slab.before"]);
    replace(&copy, "slab.after", doubled);
    let ran = run(&["verify".as_ref(), copy.path().as_os_str(), "--max-error=10".as_ref()]);
    assert_eq!(ran.code, 3, "{}", ran.stderr);
    assert!(ran.stdout.contains("summed counter error"), "the result is shown all the same: {}", ran.stdout);
    run(&["verify".as_ref(), copy.path().as_os_str()]).ok();
}

/// A line of a snapshot with the total of `alloc_fastpath` doubled.
fn doubled_counter(line: &str) -> String {
    let Some((start, value)) = line.split_once(",alloc_fastpath,") else { return line.to_owned() };
    let total: u64 = value.split(' ').next().and_then(|total| total.parse().ok()).expect("a number");
    format!("{start},alloc_fastpath,{}", 2 * total)
}

#[test]
fn exclude_takes_caches_and_aliases_only() {
    let midlife = capture(MIDLIFE);
    let verify = |exclude: &str| run(&["verify".as_ref(), midlife.as_os_str(), "--exclude".as_ref(), exclude.as_ref()]);
    verify("no-such-cache").fails_with_hint(2, &["no-such-cache"]);
    verify("kmalloc-96").ok();

    // `dentry` is merged into `:aA-0000192` on this machine.
    let args = ["verify".as_ref(), midlife.as_os_str(), "--exclude=dentry".as_ref(), "--format=json".as_ref()];
    let value: Value = serde_json::from_str(run(&args).ok()).expect("JSON");
    assert_eq!(value["excluded"], serde_json::json!([":aA-0000192"]));
}

#[test]
fn nodes_override_those_of_the_capture() {
    let midlife = capture(MIDLIFE);
    let json = |nodes: &str| {
        let ran = run(&[midlife.as_os_str(), "--format=json".as_ref(), "--nodes".as_ref(), nodes.as_ref()]);
        serde_json::from_str::<Value>(ran.ok()).expect("JSON")
    };
    // The capture has 4 CPUs on one node.
    let plain: Value = serde_json::from_str(run(&[midlife.as_os_str(), "--format=json".as_ref()]).ok()).expect("JSON");
    assert_eq!(plain, json("1"));
    assert_eq!(plain, json("0-3"));
    let two = json("2");
    assert_eq!((&plain["run"]["nodes"], &two["run"]["nodes"]), (&Value::from(1), &Value::from(2)));
    assert_eq!(two, json("0,1/2-3"), "split in order");
    assert_eq!((&two["run"]["allocs"], &two["run"]["frees"]), (&plain["run"]["allocs"], &plain["run"]["frees"]));
    for (nodes, needle) in [("5", "5 nodes for 4 CPUs"), ("0-1/2", "CPU 3 is on no node"), ("0-1/2-4", "no CPU 4")] {
        run(&[midlife.as_os_str(), "--nodes".as_ref(), nodes.as_ref()]).fails_with_hint(2, &[needle]);
    }
    run(&[midlife.as_os_str(), "--nodes=2".as_ref(), "--check".as_ref()]).ok();
}

#[test]
fn a_reader_that_stops_is_no_error() {
    let trace = capture(MIDLIFE);
    let commands: [&[&OsStr]; 3] =
        [&["--help".as_ref()], &["info".as_ref(), trace.as_os_str()], &["verify".as_ref(), trace.as_os_str(), "--format=csv".as_ref()]];
    for args in commands {
        let mut child = StdCommand::new(env!("CARGO_BIN_EXE_slubreplay"))
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary starts");
        drop(child.stdout.take());
        let output = child.wait_with_output().expect("it ends");
        assert_eq!(output.status.code(), Some(0), "{args:?}: {}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{args:?}");
    }
}

#[test]
fn a_full_disk_behind_stdout_is_an_error() {
    let full = File::options().write(true).open("/dev/full").expect("/dev/full");
    let output = StdCommand::new(env!("CARGO_BIN_EXE_slubreplay"))
        .arg("info")
        .arg(capture(MIDLIFE))
        .stdout(full)
        .output()
        .expect("the binary starts");
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).starts_with("error: "), "{output:?}");
}

#[test]
fn results_alone_on_stdout_and_no_escape_codes() {
    let trace = capture(MIDLIFE);
    let commands: [&[&OsStr]; 4] = [
        &["--help".as_ref()],
        &[trace.as_os_str()],
        &["verify".as_ref(), trace.as_os_str(), "--all".as_ref()],
        &["info".as_ref(), trace.as_os_str()],
    ];
    for args in commands {
        let ran = run(args);
        assert!(!ran.ok().contains('\u{1b}'), "{args:?}");
        assert_eq!(ran.stderr, "", "no bars where there is no terminal: {args:?}");
    }
    let ran = finish(slubreplay().arg("info").arg("/nonexistent/trace.dat"));
    assert!(!ran.stderr.contains('\u{1b}'));
}

#[test]
fn the_subcommand_replay_is_the_default() {
    let trace = capture(MIDLIFE);
    let csv = "--format=csv".as_ref();
    let (plain, named) = (run(&[trace.as_os_str(), csv]), run(&["replay".as_ref(), trace.as_os_str(), csv]));
    assert_eq!(plain.ok(), named.ok());
}

#[test]
fn manual_pages_and_completions_know_every_command() {
    let dir = tempfile::tempdir().expect("a folder");
    run(&["generate".as_ref(), "man".as_ref(), dir.path().as_os_str()]).ok();
    for command in ["replay", "verify", "compare", "fallback", "info", "convert", "record", "bench", "generate"] {
        let page = std::fs::read_to_string(dir.path().join(format!("slubreplay-{command}.1"))).expect("a page");
        assert!(page.contains(".SH NAME") && page.contains(".SH SYNOPSIS"), "{command}");
    }
    assert!(std::fs::read_to_string(dir.path().join("slubreplay.1")).expect("a page").contains("\\-\\-samples"));
    for shell in ["bash", "zsh", "fish"] {
        let script = run(&["generate", "completions", shell]).ok().to_owned();
        assert!(script.contains("fallback") && script.contains("kallsyms"), "{shell}");
    }
}
