//! `--explain CACHE`: where a cache's replay parts from the kernel.

use std::fmt::Write;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::super::args::{VerifyArgs, VerifyFormat};
use super::super::failure::Failure;
use super::super::load::Loaded;
use super::super::print;
use super::text::percent;
use crate::verify::{AgreementRow, Agreements, Divergences, Explainer, Explanation, KernelState, ReplaySlab, Step};

pub(super) fn run(loaded: &Loaded, name: &str, args: &VerifyArgs) -> Result<ExitCode, Failure> {
    if matches!(args.format, VerifyFormat::Csv | VerifyFormat::AgreementCsv) {
        return Err(Failure::usage("--explain: there is no CSV of an explanation", "expected --format text or --format json"));
    }
    let number = loaded.cache("--explain", name)?;
    let mut divergences = Divergences::new(&loaded.plan, number, args.divergences as usize);
    let (outcome, _) = loaded.replay(0, 0, &mut divergences)?;
    let agreements = Agreements::of(&loaded.plan, &outcome);
    if let Some(obstacle) = agreements.obstacle(&loaded.plan, loaded.setting.kernel.machine.word_bytes) {
        return Err(Failure::usage(&format!("--explain: agreement cannot be judged: {obstacle}"), "a trace with true addresses is needed"));
    }
    let topology = &loaded.setting.topology;
    let mut explainer = Explainer::new(&loaded.plan, number, topology.cpus(), topology.nodes());
    if !divergences.positions.is_empty() {
        loaded.replay_pausing(0, 0, divergences.positions, &mut explainer)?;
    }
    let explanations = explainer.into_explanations();
    let cache = &loaded.plan.caches[number];
    let row = agreements.row(&cache.name);
    print(&match args.format {
        VerifyFormat::Json => format!("{:#}\n", as_json(&cache.name, row, &explanations)),
        _ => as_text(&cache.name, &cache.traced_as, row, &explanations),
    })?;
    Ok(ExitCode::SUCCESS)
}

fn as_text(name: &str, traced_as: &str, row: Option<&AgreementRow>, explanations: &[Explanation]) -> String {
    let title = if name == traced_as { name.to_owned() } else { format!("{name} ({traced_as})") };
    let Some(row) = row else { return format!("{title}: the trace has no allocation to compare\n") };
    let (compared, agreed) = (row.figures.compared, row.figures.agreed);
    let mut text = format!(
        "{title}: {agreed} of {compared} allocations ({} %) come from the slab that stands for the kernel's\n",
        percent(agreed, compared)
    );
    if explanations.is_empty() {
        text.push_str("There is no divergence: replay and kernel used the same slabs from the first event to the last.\n");
        return text;
    }
    writeln!(text, "The first {} of {} that do not:", explanations.len(), compared - agreed).unwrap_or_default();
    for explanation in explanations {
        write!(text, "\n{explanation}").unwrap_or_default();
    }
    text
}

fn as_json(name: &str, row: Option<&AgreementRow>, explanations: &[Explanation]) -> Value {
    json!({
        "cache": name,
        "compared": row.map_or(0, |row| row.figures.compared),
        "agreed": row.map_or(0, |row| row.figures.agreed),
        "percent": row.and_then(|row| row.figures.percent()),
        "divergences": explanations.iter().map(explanation).collect::<Vec<Value>>(),
    })
}

fn explanation(explanation: &Explanation) -> Value {
    let lists = |key: &str, lists: &[(u16, Vec<ReplaySlab>)]| -> Vec<Value> {
        lists.iter().map(|(number, slabs)| json!({key: number, "slabs": slabs.iter().map(replay_slab).collect::<Vec<Value>>()})).collect()
    };
    json!({
        "allocation": step(&explanation.allocation),
        "kernel": {
            "slab": explanation.kernel.as_ref().map(kernel_slab),
            "last_taken": explanation.last_taken.iter().map(|(cpu, slab)| json!({"cpu": cpu, "slab": kernel_slab(slab)})).collect::<Vec<Value>>(),
            "history": explanation.history.iter().map(step).collect::<Vec<Value>>(),
        },
        "replay": {"cpus": lists("cpu", &explanation.cpus), "nodes": lists("node", &explanation.nodes)},
    })
}

/// Addresses are strings: JSON readers may keep 53 bits of a number only.
fn address(address: u64) -> String {
    format!("{address:#x}")
}

fn step(step: &Step) -> Value {
    json!({
        "operation": step.operation,
        "time_ns": step.time_ns,
        "cpu": step.cpu,
        "what": if step.is_free { "free" } else { "alloc" },
        "address": address(step.address),
        "implied": step.is_implied,
    })
}

fn kernel_slab(slab: &KernelState) -> Value {
    json!({"base": address(slab.base), "live": slab.live})
}

fn replay_slab(slab: &ReplaySlab) -> Value {
    json!({"base": slab.base.map(address), "objects": slab.objects, "free": slab.free, "free_on_cpu": slab.free_on_cpu})
}
