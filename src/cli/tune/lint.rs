//! `slubreplay tune lint`: settings that do nothing.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use slubreplay_parsers::capture::Capture;
use slubreplay_parsers::recording::Recording;
use slubreplay_reports::format::printable;

use crate::allocators::AllocatorKind;
use crate::allocators::slub::sizing::{Build, Kernel, KernelRelease, Machine};
use crate::allocators::slub::{Rules, Topology};
use crate::cli::args::{InfoFormat, LintArgs, MachineArgs};
use crate::cli::failure::{Failure, RESULT_OUTSIDE};
use crate::cli::print;
use crate::setting::Setting;
use crate::tune::lint::{Linted, Verdict, lint_cmdline, lint_script};

/// Largest file that is taken for a script.
const MOST_BYTES: u64 = 16 << 20;

pub(super) fn run(args: &LintArgs, machine: MachineArgs) -> Result<ExitCode, Failure> {
    let capture = args.capture.as_deref().map(Capture::open).transpose()?;
    let (setting, assumed) = target(machine, capture.as_ref())?;
    let mut all: Vec<(String, Linted)> = Vec::new();
    if let (Some(dir), Some(capture)) = (&args.capture, &capture) {
        match &capture.machine.cmdline {
            Some(cmdline) => all.push((dir.join("cmdline").display().to_string(), lint_cmdline(cmdline, &setting))),
            None if args.cmdline.is_empty() && args.script.is_empty() => {
                let error = anyhow::anyhow!("{}: there is no command line in this capture", dir.display());
                return Err(Failure::input(error).hint("copy /proc/cmdline into it, or name a file with --cmdline"));
            }
            None => {}
        }
    }
    for cmdline in &args.cmdline {
        let path = Path::new(cmdline);
        let (name, text) = if path.is_file() { (cmdline.clone(), read(path)?) } else { ("--cmdline".to_owned(), cmdline.clone()) };
        all.push((name, lint_cmdline(&text, &setting)));
    }
    for path in &args.script {
        all.push((path.display().to_string(), lint_script(&read(path)?, &setting)));
    }
    print(&match args.format {
        InfoFormat::Text => as_text(&all, &setting, &assumed),
        InfoFormat::Json => as_json(&all, &setting, &assumed),
    })?;
    let is_dead = all.iter().any(|(_, linted)| linted.dead().next().is_some());
    Ok(if is_dead { RESULT_OUTSIDE.into() } else { ExitCode::SUCCESS })
}

fn read(path: &Path) -> Result<String, Failure> {
    let failed = |error| Failure::input(anyhow::Error::from(error).context(format!("{}: cannot read", path.display())));
    // Files of /proc say 0.
    let bytes = std::fs::metadata(path).map_err(failed)?.len();
    if bytes > MOST_BYTES {
        let error = anyhow::anyhow!("{}: {bytes} bytes; expected a script or a command line", path.display());
        return Err(Failure::input(error).hint("is the path right?"));
    }
    std::fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).map_err(failed)
}

/// The kernel that is linted for, and what of it was assumed.
fn target(machine: MachineArgs, capture: Option<&Capture>) -> Result<(Setting, Vec<String>), Failure> {
    let wishes = machine.wishes();
    if let Some(capture) = capture {
        let setting = Setting::resolve(wishes, &Recording::default(), Some(capture)).map_err(Failure::input)?;
        let assumed =
            if capture.machine.config.is_none() { vec!["a usual configuration: the capture has none".to_owned()] } else { Vec::new() };
        return Ok((setting, assumed));
    }
    let Some(release) = wishes.kernel else {
        return Err(Failure::usage("no kernel given", "--kernel VERSION says which kernel is meant, or a capture does"));
    };
    let allocator = wishes.allocator.unwrap_or_default();
    if !allocator.exists_in(release) {
        return Err(Failure::usage(&format!("{release} cannot be built with {}", allocator.name()), "another --allocator"));
    }
    let mut assumed = vec!["a usual configuration, and several memory nodes".to_owned()];
    if wishes.allocator.is_none() {
        assumed.push("SLUB".to_owned());
    }
    Ok((assumed_setting(allocator, release, wishes.cpus), assumed))
}

fn assumed_setting(allocator: AllocatorKind, release: KernelRelease, cpus: Option<u16>) -> Setting {
    let kernel = Kernel::new(release, Machine::x86_64(u32::from(cpus.unwrap_or(4))), Build::default());
    let setting = Setting::slub(kernel, Topology::new(vec![0, 1]));
    Setting { allocator, rules: Rules::of(release), ..setting }
}

fn as_text(all: &[(String, Linted)], setting: &Setting, assumed: &[String]) -> String {
    let mut text = format!("Settings on Linux {} with {}\n", setting.kernel.release, setting.allocator.name());
    for assumed in assumed {
        writeln!(text, "assumed: {assumed}").unwrap_or_default();
    }
    for (name, linted) in all {
        let dead = linted.dead().count();
        writeln!(
            text,
            "\n{}: {} settings, {dead} without effect; {} other lines or words, {} not understood",
            printable(name, true),
            linted.settings.len(),
            linted.others,
            linted.not_understood_count
        )
        .unwrap_or_default();
        for found in linted.dead() {
            if let Verdict::Dead { reason, instead } = &found.verdict {
                let shown = printable(&found.text, true);
                writeln!(
                    text,
                    "  line {}: {shown}\n    does nothing: {}\n    instead: {}",
                    found.line,
                    printable(reason, true),
                    printable(instead, true)
                )
                .unwrap_or_default();
            }
        }
        for (line, shown) in &linted.not_understood {
            writeln!(text, "  line {line}: not understood: {}", printable(shown, true)).unwrap_or_default();
        }
    }
    text
}

fn as_json(all: &[(String, Linted)], setting: &Setting, assumed: &[String]) -> String {
    let inputs = all.iter().map(|(name, linted)| {
        let settings = linted.settings.iter().map(|found| match &found.verdict {
            Verdict::Works => json!({"line": found.line, "setting": found.text, "works": true}),
            Verdict::Dead { reason, instead } => {
                json!({"line": found.line, "setting": found.text, "works": false, "reason": reason, "instead": instead})
            }
        });
        let puzzling = linted.not_understood.iter().map(|(line, text)| json!({"line": line, "text": text}));
        json!({
            "input": name,
            "settings": settings.collect::<Vec<Value>>(),
            "dead": linted.dead().count(),
            "others": linted.others,
            "not_understood": linted.not_understood_count,
            "first_not_understood": puzzling.collect::<Vec<Value>>(),
        })
    });
    let value = json!({
        "kernel": setting.kernel.release.to_string(),
        "allocator": setting.allocator.name(),
        "assumed": assumed,
        "inputs": inputs.collect::<Vec<Value>>(),
    });
    format!("{value:#}\n")
}
