//! `tune --what-if`: the load under other designs of the caches, beside the load as recorded.

use std::fmt::Write;
use std::process::ExitCode;

use rayon::prelude::*;
use serde_json::{Value, json};
use slubreplay_reports::format::{bytes, percent, printable, thousands};

use super::SAMPLES;
use super::programs::{COLUMNS, figures};
use crate::cli::args::{TuneArgs, TuneFormat};
use crate::cli::columns::{columns, csv_field, row};
use crate::cli::failure::Failure;
use crate::cli::load::{Loaded, what_if_failure};
use crate::cli::print;
use crate::cli::progress::Stage;
use crate::tune::{Base, Pages, Row, Trial, TrialError};

/// One design, and what it came to.
struct Tried {
    name: String,
    row: Row,
    caches: usize,
    notes: Vec<String>,
}

pub(super) fn run(args: &TuneArgs, loaded: &Loaded) -> Result<ExitCode, Failure> {
    let stage = Stage::operations("replaying", loaded.plan.ops.len() as u64 * (args.what_if.len() as u64 + 1));
    let tried: Vec<Result<Tried, Failure>> = std::iter::once(None)
        .chain(args.what_if.iter().map(Some))
        .collect::<Vec<_>>()
        .into_par_iter()
        .map(|design| {
            let (mut plan, mut setting) = (loaded.plan.clone(), loaded.setting.clone());
            let notes = match design {
                Some(design) => design.apply(&mut plan, &mut setting, &loaded.sites(&design.kind)).map_err(what_if_failure)?,
                None => Vec::new(),
            };
            let trial = Trial::new(Base { plan: &plan, setting: &setting }, Pages::Recorded, SAMPLES);
            let row = trial.run(&[], &|done| stage.add(done)).map_err(|error| match error {
                TrialError::Replay(error) => Failure::from(error),
                error => Failure::input(error),
            })?;
            let name = design.map_or_else(|| "as recorded".to_owned(), |design| design.text.clone());
            let caches = row.caches.iter().filter(|figures| figures.allocs + figures.frees > 0).count();
            Ok(Tried { name, row, caches, notes })
        })
        .collect();
    drop(stage);
    let tried = tried.into_iter().collect::<Result<Vec<Tried>, Failure>>()?;
    print(&match args.format {
        TuneFormat::Text => as_text(args, loaded, &tried),
        TuneFormat::Json => as_json(args, loaded, &tried),
        TuneFormat::Csv => as_csv(&tried),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(args: &TuneArgs, loaded: &Loaded, tried: &[Tried]) -> String {
    let mut text = format!("What if, on the operations of {}\n", args.trace.display());
    for note in loaded.setting.notes.iter().chain(tried.iter().flat_map(|tried| &tried.notes)) {
        writeln!(text, "note: {}", printable(note, true)).unwrap_or_default();
    }
    let heads = ["", "caches", "peak", "mean", "end", "live", "held", "fast alloc", "slow paths", "moves"];
    let mut rows = vec![heads.map(str::to_owned).to_vec()];
    for Tried { name, row: own, caches, .. } in tried {
        let optional = |share: Option<f64>| share.map_or_else(|| "-".to_owned(), percent);
        rows.push(row([
            &printable(name, true),
            caches,
            &bytes(own.total.slab_bytes_peak),
            &bytes(own.total.slab_bytes_mean as u64),
            &bytes(own.total.slab_bytes_end),
            &optional(own.total.live_share_end),
            &thousands(own.total.held_objects_mean.round() as u64),
            &optional(own.total.fast_alloc_share()),
            &thousands(own.slow_paths()),
            &thousands(own.total.node_moves),
        ]));
    }
    writeln!(text, "\n{}", columns(&rows, 1).trim_end()).unwrap_or_default();
    text
}

fn as_csv(tried: &[Tried]) -> String {
    let mut text = String::from("what_if,caches");
    for (name, _) in COLUMNS {
        write!(text, ",{name}").unwrap_or_default();
    }
    for Tried { name, row, caches, .. } in tried {
        write!(text, "\n{},{caches}", csv_field(name)).unwrap_or_default();
        for (_, figure) in COLUMNS {
            write!(text, ",{}", figure(row).map(|value| value.to_string()).unwrap_or_default()).unwrap_or_default();
        }
    }
    text.push('\n');
    text
}

fn as_json(args: &TuneArgs, loaded: &Loaded, tried: &[Tried]) -> String {
    let each = |tried: &Tried| json!({"what_if": tried.name, "caches": tried.caches, "notes": tried.notes, "figures": figures(&tried.row)});
    let value = json!({
        "trace": args.trace.display().to_string(),
        "kernel": loaded.setting.kernel.release.to_string(),
        "notes": loaded.setting.notes,
        "designs": tried.iter().map(each).collect::<Vec<Value>>(),
    });
    format!("{value:#}\n")
}
