//! What can be typed.

use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Parser, Subcommand, ValueEnum, ValueHint};

use slubreplay_reports::export::TableFormat;

use super::record::RecordArgs;
use super::threads::ThreadsArgs;
use crate::allocators::AllocatorKind;
use crate::allocators::slub::sizing::KernelRelease;
use crate::bench::{MAX_BYTES, MAX_THREADS, Pattern};
use crate::mem::buddy::{FailPages, Placement};
use crate::setting::{ModelName, Nodes, Wishes};
use crate::tune::{Assignment, Objective};
use crate::whatif::WhatIf;

const EXIT_STATUS: &str = "\
Exit status:
  0   done
  1   the trace or capture could not be read, or holds no slab events; or output could not be written
  2   the command line was wrong
  3   done, but the result is outside of what was asked for (--max-error, --min-agreement, --check; tune lint: something does nothing), or a law of the model is broken
  4   recorded, but the command failed (record)
  130 stopped by Ctrl-C (--engine threads, record); the report or capture is of what was done";

const EXAMPLES: &str = "\
Examples:
  slubreplay traces/forkexec-6.12                  replay a capture and print a report
  slubreplay trace.dat --engine threads            what it costs: the same operations by real threads
  slubreplay trace.dat --out report/               also write report.html, tables (CSV) and charts (PNG, SVG)
  slubreplay verify traces/forkexec-6.12           compare with the kernel's own counters and addresses
  slubreplay verify trace.dat --explain dentry     show where the replay first parts from the kernel, and why
  slubreplay compare trace.dat --kernels 6.1,6.12  replay the same operations by several kernels
  slubreplay compare trace.dat --models slub-6.12,slab,slob,slub-tiny
  slubreplay tune trace.dat                        what other settings would do, and how to set them
  slubreplay fallback trace.dat --out report/      order fallback and fragmentation, by trace and by model
  slubreplay record -o capture -- make -j4         record this machine while a command runs
  slubreplay info trace.dat --format json          what a trace holds
  slubreplay info trace.dat --sites 20             and from where most is allocated and freed
  slubreplay convert trace.dat trace.parquet       keep a trace in columns, for slubreplay and other programs
  slubreplay bench --threads 1,2                   what allocating and freeing costs";

/// Replay recorded Linux slab allocations through a faithful model of the kernel's allocator
#[derive(Debug, Parser)]
#[command(name = "slubreplay", version, args_conflicts_with_subcommands = true, after_help = EXAMPLES, after_long_help = format!("{EXAMPLES}\n\n{EXIT_STATUS}"))]
pub(super) struct Cli {
    #[command(subcommand)]
    pub(super) command: Option<Command>,
    #[command(flatten)]
    pub(super) replay: Option<ReplayArgs>,
    #[command(flatten)]
    pub(super) threads: ThreadsArgs,
    #[command(flatten)]
    pub(super) global: MachineArgs,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Replay a trace or capture and report (the default)
    Replay(ReplayCommand),
    /// Replay and compare with the kernel: its counters, and the slabs that it served objects from
    Verify(VerifyArgs),
    /// Replay the same operations by several kernels, side by side
    Compare(CompareArgs),
    /// Knobs of the kernel: what they would do to this load, and the commands that set them
    Tune(TuneCommand),
    /// Order fallback: what the page allocator refused, and what a model of it refuses
    Fallback(FallbackArgs),
    /// Say what a trace holds
    Info(InfoArgs),
    /// Record a capture of this machine, or print a script that does
    Record(RecordArgs),
    /// Write a trace as a Parquet file, which is read like any other trace, and by other programs
    Convert(ConvertArgs),
    /// Measure what an allocation and its free cost: the models on real threads, beside other allocators
    Bench(BenchArgs),
    /// Write manual pages or shell completions
    #[command(subcommand)]
    Generate(Generated),
}

/// What can be generated.
#[derive(Debug, Subcommand)]
pub(super) enum Generated {
    /// Write the manual pages into a directory: slubreplay.1 and one for each command
    Man {
        /// Directory to write into
        #[arg(value_name = "DIR", value_hint = ValueHint::DirPath)]
        out: PathBuf,
    },
    /// Print the completions of a shell
    Completions {
        /// Which shell
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

/// The kernel and machine to replay for.
#[derive(Debug, Clone, Args)]
pub(super) struct MachineArgs {
    /// Kernel release whose rules to follow [default: that of the recording]
    #[arg(long, value_name = "VERSION", value_parser = release, global = true, help_heading = "Machine")]
    pub(super) kernel: Option<KernelRelease>,
    /// Allocator of the kernel: slub, slab or slob [default: that of the recording]
    #[arg(long, value_name = "NAME", value_parser = allocator, global = true, help_heading = "Machine")]
    pub(super) allocator: Option<AllocatorKind>,
    /// CPUs present, as far as they enter the order of slabs [default: those of the recording]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..), global = true, help_heading = "Machine")]
    pub(super) cpus: Option<u16>,
    /// Page size in bytes [default: that of the recording, else 4096]
    #[arg(long, value_name = "BYTES", value_parser = page_bytes, global = true, help_heading = "Machine")]
    pub(super) page_size: Option<u32>,
    /// Memory nodes: a number, with the CPUs split evenly in order, or the CPUs of each node with a slash between nodes, such as
    /// 0-3/4-7 or 0,2/1,3 [default: those of the capture, else 1]
    #[arg(long, value_name = "N|CPUS/CPUS", global = true, help_heading = "Machine")]
    pub(super) nodes: Option<Nodes>,
}

impl MachineArgs {
    pub(super) fn wishes(self) -> Wishes {
        Wishes { kernel: self.kernel, allocator: self.allocator, cpus: self.cpus, page_bytes: self.page_size, nodes: self.nodes }
    }
}

#[derive(Debug, Args)]
#[command(after_long_help = EXIT_STATUS)]
pub(super) struct ReplayArgs {
    /// A trace.dat file, or a capture directory
    #[arg(value_name = "TRACE|CAPTURE", value_hint = ValueHint::AnyPath)]
    pub(super) trace: PathBuf,
    /// Write report.html, tables and charts into this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) out: Option<PathBuf>,
    /// Forms of the tables in that directory
    #[arg(long, value_enum, value_name = "FORMS", value_delimiter = ',', default_value = "csv", requires = "out")]
    pub(super) tables: Vec<TableForm>,
    /// Form of the report on stdout
    #[arg(long, value_enum, default_value_t = ReplayFormat::Text)]
    pub(super) format: ReplayFormat,
    /// Caches in each section of the report
    #[arg(long, value_name = "N", default_value_t = 10)]
    pub(super) top: usize,
    /// Moments at which the state of all caches is kept for charts over time
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(super) samples: u32,
    /// Where slabs get their pages
    #[arg(long, value_enum, default_value_t = PageChoice::Recorded)]
    pub(super) pages: PageChoice,
    /// Replay with a knob set otherwise than recorded, in force from the start: KNOB=VALUE for all caches, CACHE.KNOB=VALUE for one, such
    /// as slab_max_order=0, cpu_partial=30, dentry.min_partial=10; may be repeated
    #[arg(long, value_name = "[CACHE.]KNOB=VALUE", value_parser = assignment, conflicts_with = "stream")]
    pub(super) set: Vec<Assignment>,
    /// Replay with another design of the caches: nomerge (merged names get caches of their own), random-kmalloc (16 copies, by call site),
    /// lifetime (call sites of long-lived objects get their own), dedicated=SITE (a symbol, or an address in hex), kmalloc-class=BYTES (one
    /// class more), cpus=N (fewer CPUs do all operations); may be repeated
    #[arg(long, value_name = "DESIGN", value_parser = what_if, conflicts_with = "stream")]
    pub(super) what_if: Vec<WhatIf>,
    /// Check the conservation laws of the model while replaying (slow)
    #[arg(long)]
    pub(super) check: bool,
    /// Name call sites by this copy of /proc/kallsyms, made as root in the same boot as the trace [default: what trace or capture carry]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) kallsyms: Option<PathBuf>,
    /// Replay in batches, for traces larger than memory: twice through the trace, without what needs all of it at once
    #[arg(long, conflicts_with = "pages")]
    pub(super) stream: bool,
}

impl ReplayArgs {
    /// The forms of tables, each once.
    pub(super) fn table_formats(&self) -> Vec<TableFormat> {
        let mut formats: Vec<TableFormat> = Vec::new();
        for form in self.tables.iter().map(TableFormat::from) {
            if !formats.contains(&form) {
                formats.push(form);
            }
        }
        formats
    }
}

/// The same as a command of its own. Not one struct within the other, as clap cannot tell then whether a trace was given.
#[derive(Debug, Args)]
pub(super) struct ReplayCommand {
    #[command(flatten)]
    pub(super) replay: ReplayArgs,
    #[command(flatten)]
    pub(super) threads: ThreadsArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum PageChoice {
    /// Granted and refused as the recording shows it
    Recorded,
    /// From a model of the page allocator, with all others' pages as recorded
    Model,
    /// Without end
    Unlimited,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TableForm {
    /// Text with commas
    Csv,
    /// Columns with types, for pandas, polars or DuckDB
    Parquet,
    /// An array with one object a row
    Json,
}

impl From<&TableForm> for TableFormat {
    fn from(form: &TableForm) -> Self {
        match form {
            TableForm::Csv => Self::Csv,
            TableForm::Parquet => Self::Parquet,
            TableForm::Json => Self::Json,
        }
    }
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
    /// A trace.dat file, or a capture directory; with slab.before and slab.after in it, counters are compared too
    #[arg(value_name = "TRACE|CAPTURE", value_hint = ValueHint::AnyPath)]
    pub(super) trace: PathBuf,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = VerifyFormat::Text)]
    pub(super) format: VerifyFormat,
    /// Fail (exit status 3) if the summed counter error is above this, in percent
    #[arg(long, value_name = "PCT", value_parser = percent)]
    pub(super) max_error: Option<f64>,
    /// Fail (exit status 3) if the slab agreement is below this, in percent
    #[arg(long, value_name = "PCT", value_parser = percent)]
    pub(super) min_agreement: Option<f64>,
    /// Leave this cache (or a cache with this alias) out of the sums; may be repeated
    #[arg(long, value_name = "CACHE")]
    pub(super) exclude: Vec<String>,
    /// Show all caches that differ, not only the worst
    #[arg(long)]
    pub(super) all: bool,
    /// Show the first allocations of this cache (or of the cache with this alias) that the replay served from another slab than the
    /// kernel, with what both had at that moment
    #[arg(long, value_name = "CACHE", conflicts_with_all = ["max_error", "min_agreement", "exclude", "all"])]
    pub(super) explain: Option<String>,
    /// How many of them
    #[arg(long, value_name = "N", default_value_t = 3, requires = "explain", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) divergences: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum VerifyFormat {
    /// A table to read
    Text,
    /// The counters: cache,counter,cpu,kernel,replay
    Csv,
    /// The slab agreement: cache,compared,agreed,percent,first_divergence_operation,first_divergence_ns
    AgreementCsv,
    /// One JSON object
    Json,
}

#[derive(Debug, Args)]
#[command(after_help = COMPARE_EXAMPLES, after_long_help = format!("{COMPARE_EXAMPLES}\n\n{EXIT_STATUS}"))]
pub(super) struct CompareArgs {
    /// Traces of any form, or capture directories: one to replay by kernels and settings, two to compare with each other, or the runs that
    /// others are compared with
    #[arg(value_name = "TRACE|CAPTURE", value_hint = ValueHint::AnyPath, required = true)]
    pub(super) traces: Vec<PathBuf>,
    /// The other recordings to compare: with several runs on both sides, differences beyond chance are marked
    #[arg(long, value_name = "TRACE|CAPTURE", value_hint = ValueHint::AnyPath, num_args = 1.., conflicts_with_all = ["kernels", "models", "set"])]
    pub(super) against: Vec<PathBuf>,
    /// Kernel releases to replay by, such as 6.1,6.12,7.0; the recorded one may be named without its update number
    #[arg(long, value_name = "VERSIONS", value_parser = release, value_delimiter = ',')]
    pub(super) kernels: Vec<KernelRelease>,
    /// Models to replay by, such as slub-6.12,slab,slob,slab-5.15,slub-tiny; without a release, by that of the recording if there is such
    /// a kernel
    #[arg(long, value_name = "MODELS", value_parser = model, value_delimiter = ',')]
    pub(super) models: Vec<ModelName>,
    /// Values of a knob to replay under, beside what is recorded: cpu_partial=0,30 or dentry.cpu_partial=6 or slab_max_order=0..3; several
    /// of these make a grid
    #[arg(long, value_name = "[CACHE.]KNOB=VALUES", value_parser = assignment)]
    pub(super) set: Vec<Assignment>,
    /// Write compare.csv and compare.json into this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) out: Option<PathBuf>,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = CompareFormat::Text)]
    pub(super) format: CompareFormat,
    /// Show this cache (or the cache with this alias) only
    #[arg(long, value_name = "CACHE")]
    pub(super) cache: Option<String>,
    /// Caches to show, those whose slab memory differs most first
    #[arg(long, value_name = "N", default_value_t = 15)]
    pub(super) top: usize,
}

const COMPARE_EXAMPLES: &str = "\
Examples:
  slubreplay compare trace.dat --kernels 6.1,6.12,7.0               the same operations by other kernels
  slubreplay compare trace.dat --models slub,slab,slob,slub-tiny    and by other allocators
  slubreplay compare capture/ --set cpu_partial=0,6,120             and under other settings, cache by cache
  slubreplay compare before/ after/                                 two recordings, each by its own kernel
  slubreplay compare a1/ a2/ a3/ --against b1/ b2/ b3/              runs of two kinds, with what is more than chance";

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum CompareFormat {
    /// Tables to read
    Text,
    /// One JSON object
    Json,
    /// One row for each cache and kernel; of recordings, for each cache and figure
    Csv,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = TUNE_EXAMPLES, after_long_help = format!("{TUNE_EXAMPLES}\n\n{EXIT_STATUS}"))]
pub(super) struct TuneCommand {
    #[command(subcommand)]
    pub(super) lint: Option<TuneLint>,
    #[command(flatten)]
    pub(super) args: Option<TuneArgs>,
}

const TUNE_EXAMPLES: &str = "\
Examples:
  slubreplay tune trace.dat                                         look for something better, within 64 replays
  slubreplay tune trace.dat --set slab_max_order=0..3 --set cpu_partial=0,6,30,120
  slubreplay tune capture/ --set dentry.cpu_partial=default,6 --objective memory --out report/
  slubreplay tune lint --kernel 6.12 --cmdline /proc/cmdline        what of it does nothing
  slubreplay tune lint --kernel 7.0 --script tune.sh";

#[derive(Debug, Args)]
pub(super) struct TuneArgs {
    /// A trace.dat file, or a capture directory
    #[arg(value_name = "TRACE|CAPTURE", value_hint = ValueHint::AnyPath)]
    pub(super) trace: PathBuf,
    /// Values of a knob, of all caches or of one: cpu_partial=0,6,30 or dentry.cpu_partial=default,6 or slab_max_order=0..3; several of these
    /// make a grid [default: look for good values]
    #[arg(long, value_name = "[CACHE.]KNOB=VALUES", value_parser = assignment)]
    pub(super) set: Vec<Assignment>,
    /// Another design of the caches, beside the recorded one: nomerge, random-kmalloc, lifetime, dedicated=SITE, kmalloc-class=BYTES,
    /// cpus=N; may be repeated
    #[arg(long, value_name = "DESIGN", value_parser = what_if, conflicts_with_all = ["set", "budget", "out", "pages"])]
    pub(super) what_if: Vec<WhatIf>,
    /// What to look for: memory (least slab memory in the mean, with at most a quarter more slow work), slow-paths (least slow work, with at
    /// most a tenth more memory), balanced (least product of both, as shares of what they are now). Slow work is slow allocations, moves
    /// on and off nodes' lists, and ten times the order fallbacks
    #[arg(long, value_name = "WHAT", value_parser = objective, default_value = "balanced")]
    pub(super) objective: Objective,
    /// Replays that looking for good values may take
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(2..=10_000), conflicts_with = "set")]
    pub(super) budget: u32,
    /// Where slabs get their pages [default: model where the trace shows order fallbacks and the capture has zoneinfo, else recorded]
    #[arg(long, value_enum)]
    pub(super) pages: Option<PageChoice>,
    /// Write tune.csv, tune.json and a chart into this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) out: Option<PathBuf>,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = TuneFormat::Text)]
    pub(super) format: TuneFormat,
    /// Configurations to show, best first
    #[arg(long, value_name = "N", default_value_t = 12)]
    pub(super) top: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum TuneFormat {
    /// Tables and commands to read
    Text,
    /// One JSON object
    Json,
    /// One row for each configuration
    Csv,
}

#[derive(Debug, Subcommand)]
pub(super) enum TuneLint {
    /// Find settings in a command line or a tuning script that do nothing on a kernel (exit status 3 if there are)
    Lint(LintArgs),
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true).multiple(true))]
pub(super) struct LintArgs {
    /// Capture of the kernel: its release, configuration and machine are taken for the target, and its command line is linted
    #[arg(value_name = "CAPTURE", group = "what", value_hint = ValueHint::DirPath)]
    pub(super) capture: Option<PathBuf>,
    /// A kernel's command line, or a file that holds one, such as /proc/cmdline
    #[arg(long, value_name = "FILE|TEXT", group = "what")]
    pub(super) cmdline: Vec<String>,
    /// A script with writes to /sys/kernel/slab or /proc/slabinfo; tmpfiles.d, init.rc, /etc/default/grub
    #[arg(long, value_name = "FILE", group = "what", value_hint = ValueHint::FilePath)]
    pub(super) script: Vec<PathBuf>,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = InfoFormat::Text)]
    pub(super) format: InfoFormat,
}

#[derive(Debug, Args)]
#[command(after_long_help = EXIT_STATUS)]
pub(super) struct FallbackArgs {
    /// A trace.dat file, or a capture directory; zoneinfo.before and buddyinfo.before in it tell the memory and what was free
    #[arg(value_name = "TRACE|CAPTURE", value_hint = ValueHint::AnyPath)]
    pub(super) trace: PathBuf,
    /// Write tables and charts into this directory
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub(super) out: Option<PathBuf>,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = FallbackFormat::Text)]
    pub(super) format: FallbackFormat,
    /// Let requests for slabs' pages fail like the kernel's fail_page_alloc: order>=N,probability=P,interval=I,times=T,space=S,seed=S
    #[arg(long, value_name = "HOW", value_parser = fail_pages)]
    pub(super) fail_pages: Option<FailPages>,
    /// Memory of the machine, such as 512M or 4G [default: that of the recording]
    #[arg(long, value_name = "SIZE", value_parser = memory_bytes)]
    pub(super) memory: Option<u64>,
    /// Fragment what is free at the start until so much of it, in percent, is in blocks too small for an order-3 request
    #[arg(long, value_name = "PCT", default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=100))]
    pub(super) aged: u64,
    /// Seed of --aged: the same seed fragments the same way
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) seed: u64,
    /// Where slabs are put
    #[arg(long, value_enum, default_value_t = SlabPlacement::Recorded)]
    pub(super) placement: SlabPlacement,
    /// Moments at which the free blocks are kept for charts over time
    #[arg(long, value_name = "N", default_value_t = 400, value_parser = clap::value_parser!(u32).range(2..=100_000))]
    pub(super) samples: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum FallbackFormat {
    /// Tables to read
    Text,
    /// One JSON object
    Json,
    /// cache,kernel,observed,predicted
    Csv,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum SlabPlacement {
    /// Where the recorded kernel had them, as long as these pages are free
    Recorded,
    /// Where the model's own lists put them
    Rules,
}

impl From<SlabPlacement> for Placement {
    fn from(placement: SlabPlacement) -> Self {
        match placement {
            SlabPlacement::Recorded => Self::Recorded,
            SlabPlacement::Rules => Self::ByRules,
        }
    }
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
    /// List the N call sites with the most events
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub(super) sites: Option<u32>,
    /// Name call sites by this copy of /proc/kallsyms, made as root in the same boot as the trace [default: what the trace carries]
    #[arg(long, value_name = "FILE", requires = "sites", value_hint = ValueHint::FilePath)]
    pub(super) kallsyms: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(after_long_help = EXIT_STATUS)]
pub(super) struct ConvertArgs {
    /// A trace of any format, or a capture directory, of which the trace is taken
    #[arg(value_name = "TRACE|CAPTURE", value_hint = ValueHint::AnyPath)]
    pub(super) trace: PathBuf,
    /// The Parquet file to write; one that is there is replaced, any other file is not
    #[arg(value_name = "OUT.parquet", value_hint = ValueHint::FilePath)]
    pub(super) out: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum InfoFormat {
    /// A summary to read
    Text,
    /// One JSON object
    Json,
}

#[derive(Debug, Args)]
#[command(after_long_help = EXIT_STATUS)]
pub(super) struct BenchArgs {
    /// Patterns: reuse, batch-256, shuffled-1000, producer-consumer (pairs of threads), remote (two threads or more)
    /// [default: all; with --trace none]
    #[arg(long, value_name = "NAMES", value_parser = pattern, value_delimiter = ',')]
    pub(super) patterns: Option<Vec<Pattern>>,
    /// Allocators: slub-6.12, slub-7.2 (or another release from 6.8 to 6.17 or 7.0 on), each also -uncounted, without statistics; system;
    /// mimalloc, jemalloc, snmalloc if built in [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    pub(super) allocators: Vec<String>,
    /// Numbers of threads; patterns that take two are left out where there is one
    #[arg(long, value_name = "N,N", value_parser = threads, value_delimiter = ',', default_value = "1,2")]
    pub(super) threads: Vec<usize>,
    /// Bytes of an object
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_BYTES)))]
    pub(super) size: u32,
    /// Rounds, in which all allocators take turns [default: 21; of a trace 5]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(super) rounds: Option<u32>,
    /// How long a round of one allocator takes, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 10.0, value_parser = milliseconds)]
    pub(super) time: f64,
    /// Replay the operations of this trace by all allocators, with as many workers as threads
    #[arg(long, value_name = "TRACE|CAPTURE", value_hint = ValueHint::AnyPath)]
    pub(super) trace: Option<PathBuf>,
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t = BenchFormat::Text)]
    pub(super) format: BenchFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum BenchFormat {
    /// A table to read
    Text,
    /// One JSON array, an object for each pattern, allocator and number of threads
    Json,
    /// One row for each
    Csv,
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::of_name(text).ok_or_else(|| format!("there are {}", Pattern::ALL.map(Pattern::name).join(", ")))
}

fn threads(text: &str) -> Result<usize, String> {
    let threads = text.parse::<usize>().ok().filter(|threads| (1..=MAX_THREADS).contains(threads));
    threads.ok_or_else(|| format!("expected a number from 1 to {MAX_THREADS}"))
}

fn milliseconds(text: &str) -> Result<f64, String> {
    let time = text.parse::<f64>().ok().filter(|time| (0.001..=10_000.0).contains(time));
    time.ok_or_else(|| "expected milliseconds from 0.001 to 10000".to_owned())
}

fn release(text: &str) -> Result<KernelRelease, String> {
    KernelRelease::from_str(text).map_err(|error| error.to_string())
}

fn what_if(text: &str) -> Result<WhatIf, String> {
    WhatIf::from_str(text)
}

fn objective(text: &str) -> Result<Objective, String> {
    Objective::from_str(text)
}

fn assignment(text: &str) -> Result<Assignment, String> {
    Assignment::from_str(text)
}

fn model(text: &str) -> Result<ModelName, String> {
    ModelName::from_str(text)
}

fn fail_pages(text: &str) -> Result<FailPages, String> {
    FailPages::from_str(text).map_err(|error| error.to_string())
}

/// As much as is modelled: a record of 12 bytes is kept for each page.
const MAX_MEMORY: u64 = 1 << 40;

fn memory_bytes(text: &str) -> Result<u64, String> {
    let units = [('K', 10), ('M', 20), ('G', 30), ('T', 40)];
    let text = text.trim_end_matches('B').trim_end_matches('i');
    let unit = units.iter().find(|(unit, _)| text.ends_with([*unit, unit.to_ascii_lowercase()]));
    let digits = text.trim_end_matches(|c: char| unit.is_some() && c.is_ascii_alphabetic());
    let bytes = digits.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << unit.map_or(0, |(_, shift)| *shift)));
    bytes.filter(|bytes| (16 << 20..=MAX_MEMORY).contains(bytes)).ok_or_else(|| "expected a size from 16M to 1T, such as 512M".to_owned())
}

fn page_bytes(text: &str) -> Result<u32, String> {
    let bytes = text.parse::<u32>().ok().filter(|bytes| bytes.is_power_of_two() && (4096..=1 << 20).contains(bytes));
    bytes.ok_or_else(|| "expected a power of two from 4096 to 1048576".to_owned())
}

fn percent(text: &str) -> Result<f64, String> {
    let percent = text.trim_end_matches('%').parse::<f64>().ok().filter(|percent| percent.is_finite() && *percent >= 0.0);
    percent.ok_or_else(|| "expected a percentage such as 0.1".to_owned())
}

fn allocator(text: &str) -> Result<AllocatorKind, String> {
    AllocatorKind::from_str(text)
}
