//! trace-cmd and perf: their command lines, and running them.
//!
//! Both record for as long as a command of theirs runs. Here that is a shell that says when recording has begun and then
//! waits for the end of its input: closing that ends the recording, and so does our own end, whatever it is.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::args::Way;
use super::events::spelled;
use crate::cli::failure::Failure;

/// What the shell that the tool runs does.
const WAIT: &str = "echo slubreplay-ready; cat > /dev/null";
const READY: &str = "slubreplay-ready";

/// Longest wait for a tool to begin.
const BEGIN: Duration = Duration::from_secs(30);
/// Longest wait for a tool to write what it has.
const END: Duration = Duration::from_secs(600);

/// Name of the file that takes what a tool says.
const LOG: &str = "recorder.log";

/// What a tool is to record.
#[derive(Debug, Clone)]
pub(super) struct Job<'a> {
    pub(super) events: &'a [&'static str],
    pub(super) buffer_kb: u64,
    pub(super) page_bytes: u64,
    /// Name of the instance, for trace-cmd.
    pub(super) instance: &'a str,
    /// Directory of the capture.
    pub(super) out: &'a Path,
}

impl Job<'_> {
    /// Where the trace goes.
    pub(super) fn trace(&self, way: Way) -> PathBuf {
        self.out.join(match way {
            Way::TraceCmd => "trace.dat",
            Way::Perf => "perf.data",
            Way::Tracefs => "ring",
        })
    }

    /// The command line of a tool.
    pub(super) fn command_line(&self, way: Way) -> Vec<OsString> {
        let mut line: Vec<OsString> = match way {
            // -d, -k: leave the function tracer and its filters alone, which may not be touched everywhere; the instance goes anyway.
            Way::TraceCmd => ["trace-cmd", "record", "-B", self.instance, "-d", "-k", "-C", "global", "-b"].map(Into::into).to_vec(),
            _ => ["perf", "record", "-q", "-a", "-R", "-B", "-N", "-m"].map(Into::into).to_vec(),
        };
        line.push(match way {
            Way::TraceCmd => self.buffer_kb.to_string().into(),
            _ => (self.buffer_kb * 1024 / self.page_bytes).max(1).to_string().into(),
        });
        for event in self.events {
            line.extend(["-e".into(), spelled(event).into()]);
        }
        line.extend(["-o".into(), self.trace(way).into()]);
        if way == Way::Perf {
            line.push("--".into());
        }
        line.extend(["sh", "-c", WAIT].map(Into::into));
        line
    }
}

/// A tool that records.
#[derive(Debug)]
pub(super) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    /// Starts a tool and waits until it records.
    pub(super) fn start(way: Way, job: &Job<'_>) -> Result<Self, Failure> {
        let line = job.command_line(way);
        let log = job.out.join(LOG);
        let file = File::create(&log).map_err(|error| Failure::output(&log.display().to_string(), error))?;
        let (program, arguments) = line.split_first().ok_or_else(|| Failure::input(anyhow::anyhow!("no command")))?;
        let mut command = Command::new(program);
        // A process group of its own: Ctrl-C in the terminal is for us, who end the tool in an orderly way.
        command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(file).process_group(0);
        let mut child = command.spawn().map_err(|error| {
            let hint = format!("install {0}, or record with another way: --with {1}", way.name(), others(way));
            Failure::input(anyhow::Error::from(error).context(format!("cannot run {}", way.name()))).hint(hint)
        })?;
        let (send, ready) = mpsc::channel();
        if let Some(stdout) = child.stdout.take() {
            std::thread::spawn(move || {
                for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                    if line == READY {
                        send.send(()).ok();
                    }
                }
            });
        }
        let mut running = Self { child, log };
        // The sender is gone when the tool has closed its output: it ended.
        if ready.recv_timeout(BEGIN).is_ok() {
            return Ok(running);
        }
        running.child.kill().ok();
        running.child.wait().ok();
        let error = anyhow::anyhow!("{} did not begin to record{}", way.name(), running.said());
        Err(Failure::input(error).hint(format!("record with another way: --with {}", others(way))))
    }

    /// Ends the recording and waits until everything is written.
    pub(super) fn stop(mut self, way: Way) -> Result<(), Failure> {
        drop(self.child.stdin.take());
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) if status.success() => {
                    fs::remove_file(&self.log).ok();
                    return Ok(());
                }
                Ok(Some(status)) => return Err(Failure::input(anyhow::anyhow!("{} failed: {status}{}", way.name(), self.said()))),
                Ok(None) if start.elapsed() < END => std::thread::sleep(Duration::from_millis(20)),
                Ok(None) => return Err(Failure::input(anyhow::anyhow!("{} does not end{}", way.name(), self.said()))),
                Err(error) => return Err(Failure::input(error)),
            }
        }
    }

    /// The last lines of what the tool said.
    fn said(&self) -> String {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(3)..];
        if last.is_empty() { String::new() } else { format!(": {}", last.join("; ")) }
    }
}

impl Drop for Running {
    /// Whatever went wrong: the tool ends, as its input does.
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let start = Instant::now();
        while matches!(self.child.try_wait(), Ok(None)) {
            if start.elapsed() > BEGIN {
                self.child.kill().ok();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

fn others(way: Way) -> String {
    let names: Vec<&str> = Way::ALL.into_iter().filter(|other| *other != way).map(Way::name).collect();
    names.join(" or ")
}

/// Whether a program can be found.
pub(super) fn is_installed(program: &Path) -> bool {
    if program.components().count() > 1 {
        return program.is_file();
    }
    std::env::var_os("PATH").is_some_and(|paths| std::env::split_paths(&paths).any(|dir| dir.join(program).is_file()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(way: Way) -> String {
        let job = Job {
            events: &["kmem/kmalloc", "rcu/rcu_invoke_kfree_bulk_callback"],
            buffer_kb: 8192,
            page_bytes: 4096,
            instance: "ours",
            out: Path::new("out"),
        };
        let words: Vec<String> = job.command_line(way).iter().map(|word| word.to_string_lossy().into_owned()).collect();
        words.join(" ")
    }

    #[test]
    fn command_lines_of_the_tools() {
        let events = "-e kmem:kmalloc -e rcu:rcu_invoke_kfree_bulk_callback";
        assert_eq!(line(Way::TraceCmd), format!("trace-cmd record -B ours -d -k -C global -b 8192 {events} -o out/trace.dat sh -c {WAIT}"));
        assert_eq!(line(Way::Perf), format!("perf record -q -a -R -B -N -m 2048 {events} -o out/perf.data -- sh -c {WAIT}"));
    }

    #[test]
    fn programs_are_found_by_path_or_by_name() {
        assert!(is_installed(Path::new("sh")) && is_installed(Path::new("/bin/sh")));
        assert!(!is_installed(Path::new("no-such-program-here")) && !is_installed(Path::new("/bin/no-such-program")));
    }
}
