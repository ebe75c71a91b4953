//! `slubreplay compare`: one load by several kernels or settings, or several recordings.
//!
//! | file | what it does |
//! |---|---|
//! | `candidates` | replays one load by each kernel and setting that is asked for |
//! | `same` | what they came to, side by side |
//! | `recordings` | recordings beside recordings |

mod candidates;
mod recordings;
mod same;

use std::process::ExitCode;
use std::slice::from_ref;

use super::args::{CompareArgs, CompareFormat, MachineArgs};
use super::failure::Failure;
use super::{load, print, write_files};

pub(super) fn run(args: &CompareArgs, machine: MachineArgs) -> Result<ExitCode, Failure> {
    let asks_for_kernels = !(args.kernels.is_empty() && args.models.is_empty() && args.set.is_empty());
    if args.traces.len() > 1 && asks_for_kernels {
        return Err(Failure::usage("--kernels, --models and --set replay one trace", "give one, or leave these options out"));
    }
    let shown = match (&args.traces[..], &args.against[..]) {
        ([trace], []) => {
            if !asks_for_kernels {
                return Err(Failure::usage(
                    "one trace, and nothing to compare it with",
                    "--kernels, --models, --set, or another trace; `slubreplay compare --help` shows examples",
                ));
            }
            let loaded = load::plan(load::read(trace)?, machine.wishes(), trace)?;
            let only = args.cache.as_ref().map(|name| loaded.cache("--cache", name)).transpose()?;
            let candidates = candidates::replay(args, &loaded)?;
            let only = only.map(|cache| loaded.plan.caches[cache].name.as_str());
            let shown = same::Shown { trace, loaded: &loaded, candidates: &candidates, only };
            Forms { text: shown.as_text(args.top), csv: shown.as_csv(), json: shown.as_json() }
        }
        ([base, against], []) => recordings::compare(args, from_ref(base), from_ref(against), &machine)?,
        (_, []) => {
            let hint = "put those of one kind first, and those of the other behind --against";
            return Err(Failure::usage("which of these recordings are of one kind is not said", hint));
        }
        (base, against) => recordings::compare(args, base, against, &machine)?,
    };
    if let Some(dir) = &args.out {
        write_files(dir, &[("compare.csv", &shown.csv), ("compare.json", &shown.json)])?;
    }
    print(match args.format {
        CompareFormat::Text => &shown.text,
        CompareFormat::Json => &shown.json,
        CompareFormat::Csv => &shown.csv,
    })?;
    Ok(ExitCode::SUCCESS)
}

/// A result in all its forms.
struct Forms {
    text: String,
    csv: String,
    json: String,
}

/// The line above the caches that are shown, so many of so many.
fn by_cache_title(shown: usize, count: usize) -> String {
    let order = if count > 1 { ", those whose mean memory differs most first" } else { "" };
    format!("\nBy cache ({shown} of {count}{order})\n")
}
