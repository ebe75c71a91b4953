//! The command line.
//!
//! | file | what it is for |
//! |---|---|
//! | `args` | what can be typed |
//! | `failure` | errors with hints, and exit codes |
//! | `load` | opens a trace or capture, prepares it, and replays it |
//! | `parameters` | how a replay was asked for, for `report.html` |
//! | `prerequisites` | what a recording lacks, and the command that records it |
//! | `progress` | bars on stderr |
//! | `replay`, `verify`, `compare`, `fallback`, `tune`, `info`, `bench` | one file or folder a command |
//! | `record` | writes a capture of this machine |
//! | `set` | `--set`: knobs of the kernel |
//! | `sites` | the busiest call sites, for `info` |
//! | `store` | `convert`: a trace to a Parquet file |
//! | `generate` | manual pages and completions |
//! | `stream` | `replay` with `--stream` |
//! | `threads` | `replay` with `--engine threads` |
//! | `convert` | a replay's outcome to a report's input |
//! | `columns` | text in columns, fields of CSV |

mod args;
mod bench;
mod columns;
mod compare;
mod convert;
mod failure;
mod fallback;
mod generate;
mod info;
mod load;
mod parameters;
mod prerequisites;
mod progress;
mod record;
mod replay;
mod set;
mod sites;
mod store;
mod stream;
mod threads;
mod tune;
mod verify;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use args::{Cli, Command};
use failure::Failure;

/// Runs the command line and returns the exit code.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Help and version are no errors; a broken pipe while printing them is none either.
            let is_error = error.use_stderr();
            error.print().ok();
            return if is_error { failure::USAGE.into() } else { ExitCode::SUCCESS };
        }
    };
    let result = match cli.command {
        Some(Command::Verify(args)) => verify::run(&args, cli.global),
        Some(Command::Compare(args)) => compare::run(&args, cli.global),
        Some(Command::Fallback(args)) => fallback::run(&args, cli.global),
        Some(Command::Tune(command)) => tune::run(command, cli.global),
        Some(Command::Info(args)) => info::run(&args),
        Some(Command::Convert(args)) => store::run(&args),
        Some(Command::Bench(args)) => bench::run(&args, cli.global),
        Some(Command::Generate(what)) => generate::run(&what),
        Some(Command::Record(args)) => record::run(&args),
        Some(Command::Replay(args)) => replay::run(&args.replay, &args.threads, cli.global),
        None => match cli.replay {
            Some(args) => replay::run(&args, &cli.threads, cli.global),
            // clap asks for the trace itself; the types do not know that.
            None => Err(Failure::usage("no trace given", "`slubreplay --help` shows examples")),
        },
    };
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}

/// Writes results as files of a folder, which is made if it does not exist.
fn write_files(dir: &Path, files: &[(&str, &str)]) -> Result<(), Failure> {
    let failed = |path: &Path, error| Failure::output(&path.display().to_string(), error);
    std::fs::create_dir_all(dir).map_err(|error| failed(dir, error))?;
    files.iter().try_for_each(|(name, content)| {
        let path = dir.join(name);
        std::fs::write(&path, content).map_err(|error| failed(&path, error))
    })
}

/// Writes a result to stdout. A reader that has seen enough and closed the pipe is no error.
fn print(text: &str) -> Result<(), Failure> {
    let mut stdout = std::io::stdout().lock();
    match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(Failure::output("stdout", error)),
        _ => Ok(()),
    }
}
