//! `slubreplay generate`: the manual pages and shell completions, from the same description as `--help`.

use std::process::ExitCode;

use clap::CommandFactory;

use super::args::{Cli, Generated};
use super::failure::Failure;
use super::print;

pub(super) fn run(what: &Generated) -> Result<ExitCode, Failure> {
    let mut command = Cli::command();
    match what {
        Generated::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut command, "slubreplay", &mut script);
            print(&String::from_utf8_lossy(&script))?;
        }
        Generated::Man { out } => {
            let failed = |error| Failure::output(&out.display().to_string(), error);
            std::fs::create_dir_all(out).map_err(failed)?;
            clap_mangen::generate_to(command, out).map_err(failed)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
