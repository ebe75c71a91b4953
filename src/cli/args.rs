//! What can be typed.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use crate::allocators::slub::sizing::KernelRelease;
use crate::setting::Wishes;

const EXIT_STATUS: &str = "\
Exit status:
  0   done
  1   the trace or capture could not be read, or holds no slab events; or output could not be written
  2   the command line was wrong
  3   done, but the result is outside of what was asked for (--max-error, --check)";

const EXAMPLES: &str = "\
Examples:
  slubreplay traces/forkexec-6.12                  replay a capture and print a report
  slubreplay trace.dat --out report/               also write tables (CSV) and charts (PNG, SVG)
  slubreplay verify traces/forkexec-6.12           compare with the kernel's own counters
  slubreplay info trace.dat --format json          what a trace holds";

/// Replay recorded Linux slab allocations through a faithful model of the kernel's allocator
#[derive(Debug, Parser)]
#[command(name = "slubreplay", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"))]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) replay: Option<ReplayArgs>,
    #[command(flatten)]
    pub(super) global: MachineArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Replay a trace or capture and report (the default)
    Replay(ReplayArgs),
    /// Replay a capture and compare with the kernel's own counters
    Verify(VerifyArgs),
    /// Say what a trace holds
    Info(InfoArgs),
}

/// The kernel and machine to replay for.
#[derive(Debug, Clone, Copy, Args)]
pub(super) struct MachineArgs {
    /// Kernel release whose rules to follow [default: that of the recording]
    #[arg(long, value_name = "VERSION", value_parser = release, global = true, help_heading = "Machine")]
    pub(super) kernel: Option<KernelRelease>,
    /// CPUs present, as far as they enter the order of slabs [default: those of the recording]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), global = true, help_heading = "Machine")]
    pub(super) cpus: Option<u16>,
    /// Page size in bytes [default: that of the recording, else 4096]
    #[arg(long, value_name = "BYTES", value_parser = page_bytes, global = true, help_heading = "Machine")]
    pub(super) page_size: Option<u32>,
}

impl MachineArgs {
    pub(super) fn wishes(self) -> Wishes {
        Wishes { kernel: self.kernel, cpus: self.cpus, page_bytes: self.page_size }
    }
}

#[derive(Debug, Args)]
#[command(after_long_help = EXIT_STATUS)]
pub(super) struct ReplayArgs {
    /// A trace.dat file, or a capture directory
    #[arg(value_name = "TRACE|CAPTURE", value_hint = ValueHint::AnyPath)]
    pub(super) trace: PathBuf,
    /// Write tables and charts into this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) out: Option<PathBuf>,
    /// Form of the report on stdout
    #[arg(long, value_enum, default_value_t = ReplayFormat::Text)]
    pub(super) format: ReplayFormat,
    /// Caches in each section of the report
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) top: usize,
    /// Moments at which the state of all caches is kept for charts over time
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(super) samples: u32,
    /// Check the conservation laws of the model while replaying (slow)
    #[arg(long)]
    pub(super) check: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum ReplayFormat {
    /// A report to read
    Text,
    /// One JSON object
    Json,
    /// The table of caches as CSV
    Csv,
}

#[derive(Debug, Args)]
#[command(after_long_help = EXIT_STATUS)]
pub(super) struct VerifyArgs {
    /// A capture directory: trace.dat with slab.before and slab.after
    #[arg(value_name = "CAPTURE", value_hint = ValueHint::DirPath)]
    pub(super) capture: PathBuf,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = VerifyFormat::Text)]
    pub(super) format: VerifyFormat,
    /// Fail (exit status 3) if the summed counter error is above this, in percent
    #[arg(long, value_name = "PCT", value_parser = percent)]
    pub(super) max_error: Option<f64>,
    /// Leave this cache (or a cache with this alias) out of the sums; may be repeated
    #[arg(long, value_name = "CACHE")]
    pub(super) exclude: Vec<String>,
    /// Show all caches that differ, not only the worst
    #[arg(long)]
    pub(super) all: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum VerifyFormat {
    /// A table to read
    Text,
    /// cache,counter,cpu,kernel,replay
    Csv,
    /// One JSON object
    Json,
}

#[derive(Debug, Args)]
#[command(after_long_help = EXIT_STATUS)]
pub(super) struct InfoArgs {
    /// A trace.dat file, or a capture directory
    #[arg(value_name = "FILE", value_hint = ValueHint::AnyPath)]
    pub(super) file: PathBuf,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = InfoFormat::Text)]
    pub(super) format: InfoFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum InfoFormat {
    /// A summary to read
    Text,
    /// One JSON object
    Json,
}

fn release(text: &str) -> Result<KernelRelease, String> {
    KernelRelease::from_str(text).map_err(|error| error.to_string())
}

fn page_bytes(text: &str) -> Result<u32, String> {
    let bytes = text.parse::<u32>().ok().filter(|bytes| bytes.is_power_of_two() && (4096..=1 << 20).contains(bytes));
    bytes.ok_or_else(|| "expected a power of two from 4096 to 1048576".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').parse::<f64>().ok().filter(|percent| percent.is_finite() && *percent >= 0.0);
    percent.ok_or_else(|| "expected a percentage such as 0.1".to_owned())
}
