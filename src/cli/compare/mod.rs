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

use std::path::Path;
use std::process::ExitCode;

use super::args::{CompareArgs, CompareFormat, MachineArgs};
use super::failure::Failure;
use super::{load, print};

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
        ([base, against], []) => recordings::compare(args, &[base], &[against], &machine)?,
        (_, []) => {
            let hint = "put those of one kind first, and those of the other behind --against";
            return Err(Failure::usage("which of these recordings are of one kind is not said", hint));
        }
        (base, against) => recordings::compare(args, &paths(base), &paths(against), &machine)?,
    };
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir).map_err(|error| Failure::output(&dir.display().to_string(), error))?;
        for (name, content) in [("compare.csv", &shown.csv), ("compare.json", &shown.json)] {
            let path = dir.join(name);
            std::fs::write(&path, content).map_err(|error| Failure::output(&path.display().to_string(), error))?;
        }
    }
    print(match args.format {
        CompareFormat::Text => &shown.text,
        CompareFormat::Json => &shown.json,
        CompareFormat::Csv => &shown.csv,
    })?;
    Ok(ExitCode::SUCCESS)
}

fn paths(of: &[std::path::PathBuf]) -> Vec<&Path> {
    of.iter().map(std::path::PathBuf::as_path).collect()
}

/// A result in all its forms.
struct Forms {
    text: String,
    csv: String,
    json: String,
}

/// A mean in as many places as anybody will want.
fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
