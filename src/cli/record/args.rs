//! What can be typed after `slubreplay record`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

const EXIT_STATUS: &str = "\
Exit status:
  0   recorded
  1   could not record: the message says what is missing
  2   the command line was wrong
  4   recorded, but COMMAND failed; its own status is told on stderr
  130 recorded until Ctrl-C (or SIGTERM) ended it early; the capture is complete up to then";

#[derive(Debug, Args)]
#[command(after_long_help = EXIT_STATUS)]
pub(in crate::cli) struct RecordArgs {
    /// Directory to write the capture into; it must be empty or not exist
    #[arg(long, short = 'o', value_name = "DIR", value_hint = ValueHint::DirPath, default_value = "slubreplay-capture")]
    pub(super) out: PathBuf,
    /// Seconds to record; with COMMAND, at most so many [default: 10 without COMMAND, until it ends with it]
    #[arg(long, value_name = "SECS", value_parser = seconds)]
    pub(super) duration: Option<f64>,
    /// What records [default: trace-cmd if it is installed and works, else perf, else tracefs]
    #[arg(long, value_enum)]
    pub(super) with: Option<Way>,
    /// Leave out page events: a third to a half of the data, but then it is not known which slabs were made when
    #[arg(long)]
    pub(super) no_page_events: bool,
    /// Print a shell script that records in the same way on a machine without slubreplay
    #[arg(long, conflicts_with_all = ["out", "duration", "with", "no_page_events", "command"])]
    pub(super) script: bool,
    /// Record while this command runs
    #[arg(last = true, value_name = "COMMAND", value_hint = ValueHint::CommandWithArguments)]
    pub(super) command: Vec<OsString>,
}

/// What records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Way {
    /// trace-cmd: trace.dat
    TraceCmd,
    /// perf: perf.data
    Perf,
    /// Nothing but the kernel's tracefs: a folder of raw pages
    Tracefs,
}

impl Way {
    pub(super) const ALL: [Self; 3] = [Self::TraceCmd, Self::Perf, Self::Tracefs];

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::TraceCmd => "trace-cmd",
            Self::Perf => "perf",
            Self::Tracefs => "tracefs",
        }
    }
}

fn seconds(text: &str) -> Result<f64, String> {
    let seconds = text.parse::<f64>().ok().filter(|seconds| (0.1..=86_400.0).contains(seconds));
    seconds.ok_or_else(|| "expected seconds from 0.1 to 86400".to_owned())
}
