//! What can be typed for the concurrent engine.

use clap::{Args, ValueEnum};

use crate::cli::failure::Failure;
use crate::replay::threads::{DEFAULT_SAMPLE_EVERY, DEFAULT_WINDOW_NS, Pace, Touch};

/// The engine, and what only the concurrent one can do. Absent options are `None`, so that those given in vain can be told.
#[derive(Debug, Args)]
#[command(next_help_heading = "Engine")]
pub(in crate::cli) struct ThreadsArgs {
    /// What replays: the exact engine, or real threads
    #[arg(long, value_enum, default_value_t = Engine::Exact)]
    pub(in crate::cli) engine: Engine,
    /// Workers [default: one for each CPU of the trace while there are cores enough, else one for each core]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    threads: Option<u16>,
    /// Keep each worker on a core of its own [default: auto, which is yes while there is a core for each worker; --pin alone is yes]
    #[arg(long, value_enum, value_name = "WHEN", num_args = 0..=1, require_equals = true, default_missing_value = "yes")]
    pin: Option<Pin>,
    /// How far workers may be from each other in trace time, such as 100us, 10ms, 1s, or none for any distance [default: 10ms]
    #[arg(long, value_name = "DURATION", value_parser = window)]
    window: Option<u64>,
    /// When operations are done: asap, or recorded[:SPEED] with SPEED times the speed of the recording [default: asap]
    #[arg(long, value_name = "PACE", value_parser = pace)]
    pace: Option<Pace>,
    /// Time one of so many operations, in the mean; 0 for none [default: 64]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(..=1_000_000_000))]
    sample: Option<u32>,
    /// What is written to new objects, as their users would [default: none]
    #[arg(long, value_enum, value_name = "BYTES")]
    touch: Option<TouchArg>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Engine {
    /// One operation after the other, in the order of the trace: what happened
    Exact,
    /// Real threads by the kernel's own lock-free protocol: what it costs
    Threads,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
pub(super) enum Pin {
    /// While there is a core for each worker
    #[default]
    Auto,
    /// Always; with more workers than cores, several share one
    Yes,
    /// Never
    No,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TouchArg {
    /// Nothing
    None,
    /// The first cache line
    Line,
    /// All that was asked for
    All,
}

impl ThreadsArgs {
    /// An error if anything was given that the exact engine has no use for.
    pub(in crate::cli) fn refuse_without_engine(&self) -> Result<(), Failure> {
        let given = [
            (self.threads.is_some(), "--threads"),
            (self.pin.is_some(), "--pin"),
            (self.window.is_some(), "--window"),
            (self.pace.is_some(), "--pace"),
            (self.sample.is_some(), "--sample"),
            (self.touch.is_some(), "--touch"),
        ];
        match given.iter().find(|(is_given, _)| *is_given) {
            Some((_, option)) => {
                let what = format!("{option} is for the concurrent engine only");
                Err(Failure::usage(&what, "add `--engine threads`; `slubreplay --help` shows what it does"))
            }
            None => Ok(()),
        }
    }

    /// Most workers, for a trace of so many CPUs.
    pub(super) fn workers(&self, cpus: u16) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        self.threads.map_or_else(cores, usize::from).clamp(1, usize::from(cpus.max(1)))
    }

    /// The cores to pin so many workers to, of those there are; none for not pinning.
    pub(super) fn cores(&self, workers: usize, cores: Vec<usize>) -> Vec<usize> {
        match self.pin.unwrap_or_default() {
            Pin::Yes => cores,
            Pin::Auto if workers <= cores.len() => cores,
            Pin::Auto | Pin::No => Vec::new(),
        }
    }

    /// The user asked for pinning, whatever it costs.
    pub(super) fn wants_pinning(&self) -> bool {
        self.pin == Some(Pin::Yes)
    }

    pub(super) fn window_ns(&self) -> u64 {
        self.window.unwrap_or(DEFAULT_WINDOW_NS)
    }

    pub(super) fn pace(&self) -> Pace {
        self.pace.unwrap_or_default()
    }

    pub(super) fn sample_every(&self) -> u32 {
        self.sample.unwrap_or(DEFAULT_SAMPLE_EVERY)
    }

    pub(super) fn touch(&self) -> Touch {
        match self.touch {
            None | Some(TouchArg::None) => Touch::Nothing,
            Some(TouchArg::Line) => Touch::FirstLine,
            Some(TouchArg::All) => Touch::All,
        }
    }
}

/// A span of time in nanoseconds; the longest for `none`.
fn window(text: &str) -> Result<u64, String> {
    if text == "none" {
        return Ok(u64::MAX);
    }
    let digits = text.find(|char: char| char.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let scale = match unit {
        "" | "ns" => Some(1.0),
        "us" => Some(1e3),
        "ms" => Some(1e6),
        "s" => Some(1e9),
        _ => None,
    };
    let number = number.parse::<f64>().ok().filter(|number| number.is_finite() && *number >= 0.0);
    let nanoseconds = number.zip(scale).map(|(number, scale)| number * scale);
    // Centuries are as good as `none`, and a mistake.
    nanoseconds
        .filter(|ns| *ns < 1e19)
        .map(|ns| ns as u64)
        .ok_or_else(|| "expected a duration such as 100us, 10ms or 1s, or none".to_owned())
}

fn pace(text: &str) -> Result<Pace, String> {
    let speed = match text.split_once(':') {
        None if text == "asap" => return Ok(Pace::Asap),
        None if text == "recorded" => Some(1.0),
        Some(("recorded", speed)) => speed.parse::<f64>().ok().filter(|speed| speed.is_finite() && *speed > 0.0),
        _ => None,
    };
    speed
        .map(|speed| Pace::Recorded { speed })
        .ok_or_else(|| "expected asap, recorded, or recorded:SPEED with a SPEED above 0 such as 0.5".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: ThreadsArgs =
        ThreadsArgs { engine: Engine::Threads, threads: None, pin: None, window: None, pace: None, sample: None, touch: None };

    #[test]
    fn windows_have_units() {
        let good = [("7", 7), ("100us", 100_000), ("10ms", 10_000_000), ("1.5s", 1_500_000_000), ("0", 0), ("none", u64::MAX)];
        for (text, expected) in good {
            assert_eq!(window(text), Ok(expected), "{text}");
        }
        for bad in ["", "ms", "-1ms", "1h", "1 ms", "inf", "nan", "1e30s", "10msx"] {
            assert!(window(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn paces_have_speeds() {
        assert_eq!(pace("asap"), Ok(Pace::Asap));
        assert_eq!(pace("recorded"), Ok(Pace::Recorded { speed: 1.0 }));
        assert_eq!(pace("recorded:0.25"), Ok(Pace::Recorded { speed: 0.25 }));
        for bad in ["", "fast", "recorded:", "recorded:0", "recorded:-1", "recorded:inf", "recorded:nan", "asap:2"] {
            assert!(pace(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn workers_are_as_many_as_cpus_at_most() {
        assert_eq!(ThreadsArgs { threads: Some(3), ..NONE }.workers(8), 3);
        assert_eq!(ThreadsArgs { threads: Some(9), ..NONE }.workers(4), 4);
        assert_eq!(NONE.workers(1), 1);
    }

    #[test]
    fn pinning_needs_a_core_for_each_worker_unless_asked_for() {
        let cores = |pin, workers| ThreadsArgs { pin, ..NONE }.cores(workers, vec![0, 1]);
        assert_eq!((cores(None, 2), cores(None, 3)), (vec![0, 1], vec![]));
        assert_eq!((cores(Some(Pin::Yes), 3), cores(Some(Pin::No), 1)), (vec![0, 1], vec![]));
    }
}
