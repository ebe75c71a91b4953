//! `slubreplay convert TRACE OUT.parquet`: writes a trace in columns.

use std::fmt::Write;
use std::process::ExitCode;

use slubreplay_parsers::capture::Capture;
use slubreplay_parsers::{AnyTrace, store};

use super::args::ConvertArgs;
use super::failure::Failure;
use super::print;
use super::progress::Stage;

pub(super) fn run(args: &ConvertArgs) -> Result<ExitCode, Failure> {
    let is_capture = args.trace.is_dir();
    let input = if is_capture { Capture::trace_in(&args.trace)? } else { args.trace.clone() };
    let trace = AnyTrace::open(&input)?;
    let stage = Stage::bytes("converting", trace.data_bytes());
    let converted = store::convert(&trace, &input, &args.out, &|bytes| stage.add(bytes))?;
    drop(stage);
    let mut text = String::new();
    let mut line = |key: &str, value: &str| writeln!(text, "{key:<14} {value}").unwrap_or_default();
    line("trace", &input.display().to_string());
    line("format", &converted.facts.info.format);
    line("written", &args.out.display().to_string());
    line("events", &converted.events.to_string());
    let per_event = converted.bytes as f64 / converted.events.max(1) as f64;
    line("bytes", &format!("{}, {per_event:.2} for each event", converted.bytes));
    let accounting = &converted.facts.accounting;
    let (lost, gaps) = accounting.lost_events();
    if lost > 0 || gaps > 0 {
        line("lost events", &format!("{lost}, and {gaps} gaps of unknown size; noted in the file"));
    }
    if accounting.damage_count() > 0 {
        line("damaged", &format!("{} pieces of data, which are not in the file", accounting.damage_count()));
    }
    if is_capture {
        line("capture", "only the trace is in the file; as trace.parquet in a folder with the other files it makes a capture again");
    }
    print(&text)?;
    Ok(ExitCode::SUCCESS)
}
