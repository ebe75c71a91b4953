//! Writes a trace many times over into a Parquet file, each time later than the last: for replaying more than memory holds.
//!
//! `cargo run --release -p slubreplay-parsers --example repeat -- TRACE OUT.parquet TIMES`

#![expect(clippy::print_stderr, reason = "an example says what it did")]

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use slubreplay_parsers::AnyTrace;
use slubreplay_parsers::recording::Recording;
use slubreplay_parsers::store::StoreWriter;

/// Nanoseconds between the last event of a time and the first of the next.
const GAP_NS: u64 = 1_000_000;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [trace, out, times] = arguments.as_slice() else { return Err("expected TRACE OUT.parquet TIMES".into()) };
    let trace = AnyTrace::open(Path::new(trace))?;
    let mut writer = StoreWriter::new(BufWriter::new(File::create_new(out)?))?;
    let mut facts = Recording::default();
    let (mut shift, mut events) = (0, 0_u64);
    for _ in 0..times.parse::<u32>()? {
        let mut source = trace.stream(&|_| {})?;
        let (mut first, mut last) = (None, 0);
        loop {
            let mut batch = source.next_batch()?;
            if batch.is_empty() {
                break;
            }
            for event in &mut batch {
                first.get_or_insert(event.time_ns);
                event.time_ns += shift;
                last = event.time_ns;
            }
            events += batch.len() as u64;
            writer.write(&batch, source.facts())?;
        }
        shift += (last + GAP_NS).saturating_sub(first.unwrap_or(0) + shift);
        facts = source.facts().clone();
    }
    let times = times.parse::<u64>()?;
    facts.accounting.events.values_mut().for_each(|count| *count *= times);
    writer.finish(&facts)?.0.into_inner()?.sync_all()?;
    eprintln!("{events} events, {} bytes", std::fs::metadata(out)?.len());
    Ok(())
}
