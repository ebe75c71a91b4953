//! `slubreplay record`: writes a capture of this machine.
//!
//! | file | what it is for |
//! |---|---|
//! | `args` | what can be typed |
//! | `events` | which events are recorded |
//! | `tracefs` | finding it, and trace buffers of our own |
//! | `sizes` | from a short measurement to buffers and expected costs |
//! | `tools` | trace-cmd and perf |
//! | `drain` | recording without either |
//! | `machine` | the files that describe the machine |
//! | `snapshot` | the kernel's figures before and after |
//! | `check` | reads the capture back |
//! | `workload` | runs the command, or waits |
//! | `record.sh` | the same as a shell script, for machines without this program |
//!
//! All of its own output goes to stderr: stdout is the command's.

mod args;
mod check;
mod drain;
mod events;
mod machine;
mod sizes;
mod snapshot;
mod tools;
mod tracefs;
mod workload;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use super::failure::{COMMAND_FAILED, Failure, INTERRUPTED};
use super::print;
pub(super) use args::RecordArgs;
use args::Way;
use check::Recorded;
use drain::Drain;
use sizes::Measured;
use tools::{Job, Running};
use tracefs::{Instance, Tracefs};
use workload::Ended;

/// The script that `--script` prints.
const SCRIPT: &str = include_str!("record.sh");

/// How long the machine is watched before recording.
const WATCH: Duration = Duration::from_secs(1);
/// Buffer for that: what is overwritten in it is counted.
const WATCH_KB: u64 = 512;

pub(super) fn run(args: &RecordArgs) -> Result<ExitCode, Failure> {
    if args.script {
        print(SCRIPT)?;
        return Ok(ExitCode::SUCCESS);
    }
    require_program(args)?;
    require_empty(&args.out)?;
    let tracefs = Tracefs::find()?;
    let events = events::available(&tracefs.root, !args.no_page_events);
    if !events::suffice(&events) {
        let error = anyhow::anyhow!("{}: this kernel has no events kmem:kmem_cache_alloc and kmem:kmem_cache_free", tracefs.root.display());
        return Err(Failure::input(error).hint("they need CONFIG_TRACING; `ls /sys/kernel/tracing/events/kmem` shows what there is"));
    }
    let ways = ways(args.with, |way| tools::is_installed(Path::new(way.name())));
    workload::heed_signals();
    fs::create_dir_all(&args.out).map_err(|error| Failure::output(&args.out.display().to_string(), error))?;

    let measured = measure(&tracefs, &events)?;
    let (way, recorder) = start(&ways, args.with.is_some(), &tracefs, &events, &measured, &args.out)?;
    let ended = take(args, &recorder);
    // Whatever happened in between, the recorder is to end and clean up.
    let stopped = recorder.stop(way);
    let ended = ended?;
    stopped?;
    if way == Way::Tracefs {
        // The pages say nothing of the kernel; the folder is to be of use without the rest of the capture.
        fs::copy(args.out.join("uname"), args.out.join("ring/uname")).map_err(|error| Failure::output("ring/uname", error))?;
    }
    machine::write_symbols(Path::new("/"), &args.out).map_err(|error| Failure::output("kallsyms", error))?;
    let recorded = check::read_back(&args.out)?;
    say(&summary(&recorded, &args.out));
    Ok(match ended {
        Ended::Failed(how) => {
            say(&format!("error: {} failed: {how}; the capture is complete", args.command[0].display()));
            COMMAND_FAILED.into()
        }
        Ended::Interrupted => INTERRUPTED.into(),
        Ended::Done => ExitCode::SUCCESS,
    })
}

/// A command that cannot be run is best told of before anything else is done.
fn require_program(args: &RecordArgs) -> Result<(), Failure> {
    match args.command.first() {
        Some(program) if !tools::is_installed(Path::new(program)) => {
            Err(Failure::usage(&format!("{}: there is no such program", program.display()), "the command to record comes after `--`"))
        }
        _ => Ok(()),
    }
}

fn require_empty(out: &Path) -> Result<(), Failure> {
    let is_empty = match fs::read_dir(out) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(Failure::output(&out.display().to_string(), error)),
    };
    if is_empty {
        return Ok(());
    }
    Err(Failure::input(anyhow::anyhow!("{}: there is something in it", out.display())).hint("name a new directory with -o DIR"))
}

/// What to try, in this order.
fn ways(wanted: Option<Way>, is_installed: impl Fn(Way) -> bool) -> Vec<Way> {
    match wanted {
        Some(way) => vec![way],
        None => Way::ALL.into_iter().filter(|&way| way == Way::Tracefs || is_installed(way)).collect(),
    }
}

/// Watches the machine for a moment.
fn measure(tracefs: &Tracefs, events: &[&'static str]) -> Result<Measured, Failure> {
    let instance = Instance::create(&tracefs.root, &Instance::name("watch"), WATCH_KB)?;
    let start = Instant::now();
    instance.start(events)?;
    std::thread::sleep(WATCH);
    instance.set("tracing_on", "0")?;
    let seconds = start.elapsed().as_secs_f64();
    let stats: Vec<String> = instance.stats().into_iter().map(|(_, stats)| stats).collect();
    Ok(Measured::of_stats(seconds, &stats))
}

/// What records.
#[derive(Debug)]
enum Recorder {
    Tool(Running, PathBuf),
    Drain(Drain),
}

impl Recorder {
    /// Where markers go; perf records none.
    fn marker(&self) -> Option<PathBuf> {
        match self {
            Self::Tool(_, instance) => Some(instance.join("trace_marker")).filter(|path| path.exists()),
            Self::Drain(drain) => Some(drain.marker()),
        }
    }

    fn stop(self, way: Way) -> Result<(), Failure> {
        match self {
            Self::Tool(running, instance) => {
                let stopped = running.stop(way);
                // trace-cmd leaves instances behind.
                tracefs::remove(&instance);
                stopped
            }
            Self::Drain(drain) => drain.stop(),
        }
    }
}

/// Starts the first way that works, and says what to expect.
fn start(
    ways: &[Way],
    is_wanted: bool,
    tracefs: &Tracefs,
    events: &[&'static str],
    measured: &Measured,
    out: &Path,
) -> Result<(Way, Recorder), Failure> {
    let root = Path::new("/");
    let memory_kb = memory_kb(&fs::read_to_string("/proc/meminfo").unwrap_or_default());
    let page_bytes = machine::page_bytes(root).unwrap_or(4096);
    let name = Instance::name("record");
    let instance = tracefs.root.join("instances").join(&name);
    let mut last = None;
    for &way in ways {
        let buffer_kb = measured.buffer_kb(way, memory_kb);
        let job = Job { events, buffer_kb, page_bytes, instance: &name, out };
        let started = match way {
            Way::Tracefs => Instance::create(&tracefs.root, &name, buffer_kb)
                .and_then(|instance| Drain::start(instance, events, &job.trace(way)))
                .map(Recorder::Drain),
            _ => Running::start(way, &job).map(|running| Recorder::Tool(running, instance.clone())),
        };
        match started {
            Ok(recorder) => {
                say(&expectation(way, measured, buffer_kb));
                return Ok((way, recorder));
            }
            Err(failure) => {
                tracefs::remove(&instance);
                fs::remove_file(job.trace(way)).ok();
                if !is_wanted && way != Way::Tracefs {
                    say(&format!("note: {failure}; trying the next way"));
                }
                last = Some(failure);
            }
        }
    }
    Err(last.unwrap_or_else(|| Failure::input(anyhow::anyhow!("there is no way to record"))))
}

/// From the first snapshot to the second.
fn take(args: &RecordArgs, recorder: &Recorder) -> Result<Ended, Failure> {
    let (root, out) = (Path::new("/"), &args.out);
    let failed = |error| Failure::output(&out.display().to_string(), error);
    let marker = recorder.marker();
    let mut missing: Vec<String> = machine::write(root, out).map_err(failed)?.into_iter().map(str::to_owned).collect();
    missing.extend(snapshot::write(root, out, "before", marker.as_deref()).map_err(failed)?);
    if !missing.is_empty() {
        say(&format!("note: this machine has no {}; the replay does without", missing.join(", ")));
    }
    let ended = workload::run(&args.command, args.duration)?;
    snapshot::write(root, out, "after", marker.as_deref()).map_err(failed)?;
    Ok(ended)
}

/// Reads a file of the kernel at one go: some of them (`header_page`) are at their end after one read, however small that was.
fn read_at_once(path: &Path) -> std::io::Result<Vec<u8>> {
    let mut file = fs::File::open(path)?;
    let mut text = vec![0; 1 << 20];
    let mut filled = 0;
    loop {
        match std::io::Read::read(&mut file, &mut text[filled..]) {
            Ok(0) => {
                text.truncate(filled);
                return Ok(text);
            }
            Ok(read) => filled += read,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        if filled == text.len() {
            text.resize(filled * 2, 0);
        }
    }
}

fn memory_kb(meminfo: &str) -> u64 {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(1 << 20)
}

fn mib(bytes: f64) -> String {
    format!("{:.1} MiB", bytes / f64::from(1 << 20))
}

fn expectation(way: Way, measured: &Measured, buffer_kb: u64) -> String {
    format!(
        "recording with {}: in the second before there were {:.0} events/s, which make {} a minute and take {:.2} % of one CPU; \
         buffers of {} MiB for each of {} CPUs",
        way.name(),
        measured.events_per_second(),
        mib(measured.bytes_per_second(way) * 60.0),
        measured.cpu_share(way) * 100.0,
        (buffer_kb as f64 / 1024.0).ceil(),
        measured.cpus.len(),
    )
}

fn summary(recorded: &Recorded, out: &Path) -> String {
    let dir = out.display();
    let mut text = format!(
        "recorded {} events in {:.1} s, {}, into {dir}",
        recorded.events,
        recorded.span_ns as f64 / 1e9,
        mib(recorded.bytes as f64)
    );
    if recorded.lost_events + recorded.gaps > 0 {
        let gaps = if recorded.gaps > 0 { format!(" and {} gaps of unknown size", recorded.gaps) } else { String::new() };
        text += &format!(
            "\nlost {} events{gaps}: the replay infers what it can; --no-page-events or a shorter recording loses fewer",
            recorded.lost_events
        );
    } else {
        text += "\nlost no events";
    }
    if recorded.damages > 0 {
        text += &format!("\n{} pieces of the trace are damaged", recorded.damages);
    }
    text + &format!("\nnext: slubreplay {dir}\n      slubreplay verify {dir}")
}

/// Tells the user; if nobody listens, that is no reason to stop.
fn say(text: &str) {
    writeln!(std::io::stderr().lock(), "{text}").ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_installed_way_is_tried_first_and_tracefs_needs_nothing() {
        assert_eq!(ways(None, |_| true), Way::ALL);
        assert_eq!(ways(None, |way| way == Way::Perf), [Way::Perf, Way::Tracefs]);
        assert_eq!(ways(Some(Way::TraceCmd), |_| false), [Way::TraceCmd], "what is wanted is tried, and its failure told");
    }

    #[test]
    fn losses_and_the_next_step_are_told() {
        let recorded = Recorded { events: 5, span_ns: 2_000_000_000, bytes: 3 << 20, ..Recorded::default() };
        let text = summary(&recorded, Path::new("dir"));
        assert!(text.starts_with("recorded 5 events in 2.0 s, 3.0 MiB, into dir\nlost no events\n"), "{text}");
        assert!(text.ends_with("next: slubreplay dir\n      slubreplay verify dir"), "{text}");
        let text = summary(&Recorded { lost_events: 7, gaps: 2, ..recorded }, Path::new("dir"));
        assert!(text.contains("lost 7 events and 2 gaps of unknown size"), "{text}");
    }

    #[test]
    fn only_empty_or_new_directories_are_written_into() {
        let dir = tempfile::tempdir().unwrap();
        assert!(require_empty(dir.path()).is_ok() && require_empty(&dir.path().join("new")).is_ok());
        fs::write(dir.path().join("something"), "").unwrap();
        assert!(require_empty(dir.path()).is_err());
    }
}
