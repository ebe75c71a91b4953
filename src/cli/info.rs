//! `slubreplay info FILE`: says what a trace holds.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use slubreplay_parsers::recording::Recording;
use slubreplay_parsers::symbols::Symbols;

use super::args::{InfoArgs, InfoFormat};
use super::failure::Failure;
use super::sites::Sites;
use super::{load, prerequisites, print};

pub(super) fn run(args: &InfoArgs) -> Result<ExitCode, Failure> {
    let symbols = args.kallsyms.as_deref().map(Symbols::read).transpose()?;
    let mut recording = load::read(&args.file)?.recording;
    let is_given = symbols.is_some();
    if let Some(symbols) = symbols {
        recording.symbols = symbols.into();
    }
    let sites = args.sites.map(|count| Sites::of(&recording, count as usize, is_given));
    let shown = match args.format {
        InfoFormat::Json => {
            let mut value = as_json(&recording);
            if let Some(sites) = &sites {
                value["call_sites"] = sites.as_json();
            }
            format!("{value:#}\n")
        }
        InfoFormat::Text => {
            as_text(&args.file.display().to_string(), &recording) + &sites.as_ref().map_or_else(String::new, Sites::as_text)
        }
    };
    print(&shown)?;
    Ok(ExitCode::SUCCESS)
}

/// Events by falling count, then name.
fn events(recording: &Recording) -> Vec<(&str, u64)> {
    let mut events: Vec<(&str, u64)> = recording.accounting.events.iter().map(|(name, &count)| (name.as_str(), count)).collect();
    events.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(b.0)));
    events
}

/// Time of the first and the last event.
fn span(recording: &Recording) -> Option<(u64, u64)> {
    let ends =
        || recording.streams.iter().flat_map(|stream| [stream.events.first(), stream.events.last()]).flatten().map(|event| event.time_ns);
    ends().min().zip(ends().max())
}

fn as_json(recording: &Recording) -> Value {
    let info = &recording.info;
    let accounting = &recording.accounting;
    let (lost, gaps) = accounting.lost_events();
    let counts: Map<String, Value> = events(recording).into_iter().map(|(name, count)| (name.to_owned(), json!(count))).collect();
    let per_cpu: Map<String, Value> = recording.streams.iter().map(|stream| (stream.cpu.to_string(), json!(stream.events.len()))).collect();
    let unknown: Map<String, Value> = accounting.unknown_ids.iter().map(|(id, count)| (id.to_string(), json!(count))).collect();
    json!({
        "format": info.format,
        "kernel": info.kernel,
        "cpus": info.cpus,
        "lost_events": lost,
        "events": counts,
        "gaps_of_unknown_size": gaps,
        "ring_overruns": accounting.ring_overruns,
        "clock": info.clock,
        "long_bytes": info.long_bytes,
        "big_endian": info.big_endian,
        "buffer": info.buffer,
        "other_buffers": info.other_buffers,
        "first_ns": span(recording).map(|(first, _)| first),
        "last_ns": span(recording).map(|(_, last)| last),
        "memory_events_per_cpu": per_cpu,
        "unknown_event_ids": unknown,
        "short_records": accounting.short_records,
        "absent_fields": accounting.absent_fields,
        "damaged_pieces": accounting.damage_count(),
        "remarks": accounting.remarks,
        "missing": prerequisites::missing(recording),
    })
}

fn as_text(path: &str, recording: &Recording) -> String {
    let info = &recording.info;
    let accounting = &recording.accounting;
    let mut text = String::new();
    let mut line = |key: &str, value: &str| writeln!(text, "{key:<14} {value}").unwrap_or_default();
    let or = |value: &str| if value.is_empty() { "unknown".to_owned() } else { value.to_owned() };
    line("trace", path);
    line("format", &info.format);
    line("kernel", &or(&info.kernel));
    line(
        "machine",
        &format!("{} CPUs, {}-bit, {} endian", info.cpus, 8 * u32::from(info.long_bytes), if info.big_endian { "big" } else { "little" }),
    );
    line("clock", &or(&info.clock));
    if let Some((first, last)) = span(recording) {
        line("time", &format!("{:.6} s to {:.6} s", first as f64 / 1e9, last as f64 / 1e9));
    }
    if !info.buffer.is_empty() || !info.other_buffers.is_empty() {
        let others: Vec<&str> = info.other_buffers.iter().map(|name| if name.is_empty() { "(top)" } else { name }).collect();
        line("buffer", &format!("{}; not read: {}", if info.buffer.is_empty() { "(top)" } else { &info.buffer }, others.join(", ")));
    }
    let (lost, gaps) = accounting.lost_events();
    line("lost events", &if gaps > 0 { format!("{lost}, and {gaps} gaps of unknown size") } else { lost.to_string() });
    if accounting.damage_count() > 0 {
        line("damaged", &format!("{} pieces of data", accounting.damage_count()));
    }
    for remark in &accounting.remarks {
        line("remark", remark);
    }
    for field in &accounting.absent_fields {
        line("absent field", field);
    }
    for note in prerequisites::missing(recording) {
        line("missing", &note);
    }
    let mut table = String::from("\nevents\n");
    for (name, count) in events(recording) {
        writeln!(table, "{count:>12} {name}").unwrap_or_default();
    }
    for (id, count) in &accounting.unknown_ids {
        writeln!(table, "{count:>12} unknown event number {id}").unwrap_or_default();
    }
    for (name, count) in &accounting.short_records {
        writeln!(table, "{count:>12} {name}, too short to be decoded").unwrap_or_default();
    }
    text + &table
}
