//! What is recorded: a command, or whatever the machine does for a while. Ctrl-C ends either.

use std::ffi::OsString;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::cli::failure::Failure;

/// Seconds that are recorded where nothing else says when it is over.
const DEFAULT_SECONDS: f64 = 10.0;
/// Pause between looks at the command.
const PAUSE: Duration = Duration::from_millis(20);
/// A command that was asked to end may take so long to do so.
const GRACE: Duration = Duration::from_secs(2);

static STOP: AtomicBool = AtomicBool::new(false);

/// How it ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Ended {
    Done,
    /// The command failed; how.
    Failed(String),
    /// Ctrl-C, or somebody else's wish that we end.
    Interrupted,
}

/// From now on Ctrl-C ends the recording in an orderly way. Nothing that came before is left half done: a second one has to wait.
pub(super) fn heed_signals() {
    // Without a handler Ctrl-C does what it always does.
    ctrlc::set_handler(|| STOP.store(true, Ordering::Relaxed)).ok();
}

fn is_asked_to_stop() -> bool {
    STOP.load(Ordering::Relaxed)
}

/// Runs the command to its end, or waits; both no longer than `seconds`.
pub(super) fn run(command: &[OsString], seconds: Option<f64>) -> Result<Ended, Failure> {
    let start = Instant::now();
    let Some((program, arguments)) = command.split_first() else {
        let end = Duration::from_secs_f64(seconds.unwrap_or(DEFAULT_SECONDS));
        while start.elapsed() < end {
            if is_asked_to_stop() {
                return Ok(Ended::Interrupted);
            }
            std::thread::sleep(PAUSE.min(end.saturating_sub(start.elapsed())));
        }
        return Ok(Ended::Done);
    };
    let child = Command::new(program).args(arguments).spawn();
    let mut child =
        child.map_err(|error| Failure::input(anyhow::Error::from(error).context(format!("cannot run {}", program.display()))))?;
    let limit = seconds.map(Duration::from_secs_f64);
    loop {
        if let Some(status) = child.try_wait().map_err(Failure::input)? {
            return Ok(if is_asked_to_stop() { Ended::Interrupted } else { judged(status) });
        }
        if is_asked_to_stop() {
            // A terminal sends Ctrl-C to the command as well.
            end(&mut child, GRACE);
            return Ok(Ended::Interrupted);
        }
        if limit.is_some_and(|limit| start.elapsed() >= limit) {
            end(&mut child, Duration::ZERO);
            return Ok(Ended::Done);
        }
        std::thread::sleep(PAUSE);
    }
}

fn judged(status: ExitStatus) -> Ended {
    if status.success() { Ended::Done } else { Ended::Failed(status.to_string()) }
}

/// Waits for a command to end, then ends it.
fn end(child: &mut Child, grace: Duration) {
    let start = Instant::now();
    while start.elapsed() < grace {
        if matches!(child.try_wait(), Ok(Some(_)) | Err(_)) {
            return;
        }
        std::thread::sleep(PAUSE);
    }
    child.kill().ok();
    child.wait().ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str, seconds: Option<f64>) -> Ended {
        run(&["sh", "-c", script].map(OsString::from), seconds).unwrap()
    }

    #[test]
    fn a_commands_failure_is_told_and_its_time_is_limited() {
        assert_eq!(shell("true", None), Ended::Done);
        assert_eq!(shell("exit 7", None), Ended::Failed("exit status: 7".to_owned()));
        assert_eq!(shell("exec sleep 1000", Some(0.1)), Ended::Done);
    }
}
