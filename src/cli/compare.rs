//! `slubreplay compare TRACE|CAPTURE --kernels …`: the same operations by several kernels.

use std::fmt::Write;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Map, Value, json};
use slubreplay_reports::format::{bytes, percent, printable, thousands};

use super::args::{CompareArgs, CompareFormat, MachineArgs};
use super::columns::{columns, csv_field, row};
use super::failure::Failure;
use super::load::{self, Loaded};
use super::print;
use super::progress::Stage;
use crate::compare::{Figures, NODE_MOVES, Replayed, compare, is_recorded};
use crate::setting::Setting;

pub(super) fn run(args: &CompareArgs, machine: MachineArgs) -> Result<ExitCode, Failure> {
    let loaded = load::plan(load::read(&args.trace)?, machine.wishes(), &args.trace)?;
    let only = args.cache.as_ref().map(|name| loaded.cache("--cache", name)).transpose()?;
    let recorded = &loaded.setting;
    let capture = loaded.capture.as_ref();
    let kernels = args.kernels.iter().map(|&release| {
        let is_same = is_recorded(release, recorded.kernel.release);
        if is_same { recorded.clone() } else { recorded.for_release(release, capture) }
    });
    let targets: Vec<Setting> = kernels.chain(args.models.iter().map(|&name| recorded.for_model_name(name, capture))).collect();
    let stage = Stage::operations("replaying", (loaded.plan.ops.len() * targets.len()) as u64);
    let replayed = compare(&loaded.plan, recorded, &targets, &|operations| stage.add(operations));
    drop(stage);
    let replayed = replayed?;
    let only = only.map(|cache| loaded.plan.caches[cache].name.as_str());
    let shown = Shown { trace: &args.trace, loaded: &loaded, replayed: &replayed, only };
    if let Some(dir) = &args.out {
        std::fs::create_dir_all(dir).map_err(|error| Failure::output(&dir.display().to_string(), error))?;
        for (name, content) in [("compare.csv", shown.as_csv()), ("compare.json", shown.as_json())] {
            let path = dir.join(name);
            std::fs::write(&path, content).map_err(|error| Failure::output(&path.display().to_string(), error))?;
        }
    }
    print(&match args.format {
        CompareFormat::Text => shown.as_text(args.top),
        CompareFormat::Json => shown.as_json(),
        CompareFormat::Csv => shown.as_csv(),
    })?;
    Ok(ExitCode::SUCCESS)
}

struct Shown<'a> {
    trace: &'a Path,
    loaded: &'a Loaded,
    replayed: &'a [Replayed],
    only: Option<&'a str>,
}

/// A figure for a program: its name, and its value if there is one.
type Column = (&'static str, fn(&Figures) -> Option<Value>);

/// All figures, for CSV and JSON alike.
const COLUMNS: [Column; 14] = [
    ("allocs", |figures| Some(json!(figures.allocs))),
    ("frees", |figures| Some(json!(figures.frees))),
    ("slab_bytes_peak", |figures| Some(json!(figures.slab_bytes_peak))),
    ("slab_bytes_mean", |figures| Some(json!(thousandths(figures.slab_bytes_mean)))),
    ("slab_bytes_end", |figures| Some(json!(figures.slab_bytes_end))),
    ("live_share_peak", |figures| figures.live_share_peak.map(|share| json!(share))),
    ("live_share_end", |figures| figures.live_share_end.map(|share| json!(share))),
    ("fast_allocs", |figures| Some(json!(figures.fast_allocs))),
    ("fast_frees", |figures| Some(json!(figures.fast_frees))),
    ("fast_alloc_share", |figures| figures.fast_alloc_share().map(|share| json!(share))),
    ("fast_free_share", |figures| figures.fast_free_share().map(|share| json!(share))),
    ("node_moves", |figures| Some(json!(figures.node_moves))),
    ("held_objects_end", |figures| Some(json!(figures.held_objects_end))),
    ("held_objects_mean", |figures| Some(json!(thousandths(figures.held_objects_mean)))),
];

/// A mean in as many places as anybody will want.
fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

impl Shown<'_> {
    /// Names of the caches to show, in the order of the plans: those that exist in any replay.
    fn caches(&self) -> Vec<&str> {
        if let Some(only) = self.only {
            return vec![only];
        }
        let mut names: Vec<&str> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for name in self.replayed.iter().flat_map(|replayed| &replayed.names) {
            let is_used = self.of(name).any(|figures| figures.allocs + figures.frees + figures.slab_bytes_peak > 0);
            if is_used && seen.insert(name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// Figures of the cache of that name, of the replays that have it.
    fn of<'b>(&'b self, cache: &'b str) -> impl Iterator<Item = &'b Figures> {
        self.replayed.iter().filter_map(move |replayed| replayed.caches.get(replayed.find(cache)?))
    }

    /// What holds for all kernels but the recorded one.
    fn notes(&self) -> Vec<String> {
        let release = self.loaded.setting.label();
        let mut notes = Vec::new();
        if self.replayed.iter().any(|replayed| !replayed.is_recorded) {
            notes.push(format!("objects have the sizes and caches that they had on {release}, merged as there, by every kernel"));
            notes.push(format!("pages never run out but where the recording shows it, on {release}"));
        }
        notes
    }

    fn as_csv(&self) -> String {
        let mut text = String::from("cache,kernel,model,order,objects_per_slab");
        for (name, _) in COLUMNS {
            write!(text, ",{name}").unwrap_or_default();
        }
        text.push('\n');
        for replayed in self.replayed.iter().filter(|_| self.only.is_none()) {
            self.csv_row(&mut text, "", replayed, None, &replayed.total);
        }
        for cache in self.caches() {
            for replayed in self.replayed {
                if let Some(number) = replayed.find(cache) {
                    self.csv_row(&mut text, cache, replayed, Some(replayed.slabs[number]), &replayed.caches[number]);
                }
            }
        }
        text
    }

    fn csv_row(&self, text: &mut String, cache: &str, replayed: &Replayed, slab: Option<(u32, u32)>, figures: &Figures) {
        let setting = &replayed.setting;
        write!(text, "{},{},{},", csv_field(cache), setting.label(), setting.model_name()).unwrap_or_default();
        text.push_str(&slab.map_or_else(|| ",".to_owned(), |(order, objects)| format!("{order},{objects}")));
        for (_, figure) in COLUMNS {
            write!(text, ",{}", figure(figures).map(|value| value.to_string()).unwrap_or_default()).unwrap_or_default();
        }
        text.push('\n');
    }

    fn as_json(&self) -> String {
        let object = |figures: &Figures| -> Map<String, Value> {
            COLUMNS.iter().map(|(name, figure)| ((*name).to_owned(), figure(figures).unwrap_or(Value::Null))).collect()
        };
        let kernels = self.replayed.iter().map(|replayed| {
            let caches = self.caches().into_iter().filter_map(|cache| Some((cache, replayed.find(cache)?))).map(|(name, cache)| {
                let (order, objects) = replayed.slabs[cache];
                let mut entry = Map::new();
                entry.insert("cache".to_owned(), json!(name));
                entry.insert("order".to_owned(), json!(order));
                entry.insert("objects_per_slab".to_owned(), json!(objects));
                entry.extend(object(&replayed.caches[cache]));
                Value::Object(entry)
            });
            json!({
                "kernel": replayed.setting.label(),
                "model": replayed.setting.model_name(),
                "is_recorded": replayed.is_recorded,
                "is_verified": replayed.setting.is_verified(),
                "notes": replayed.setting.notes.iter().chain(&replayed.notes).collect::<Vec<&String>>(),
                "total": object(&replayed.total),
                "caches": caches.collect::<Vec<Value>>(),
            })
        });
        let value = json!({
            "trace": self.trace.display().to_string(),
            "recorded_kernel": self.loaded.setting.label(),
            "notes": self.notes(),
            "node_moves_are": NODE_MOVES.map(|counter| counter.name()),
            "kernels": kernels.collect::<Vec<Value>>(),
        });
        format!("{value:#}\n")
    }

    fn as_text(&self, top: usize) -> String {
        let mut text = format!("The operations of {}, recorded on {}, replayed by\n", self.trace.display(), self.loaded.setting.label());
        let kernels = self.replayed.iter().map(|replayed| {
            let recorded = if replayed.is_recorded { " (as recorded)" } else { "" };
            row([&format!("  {}", replayed.setting.label()), &format!("{}{recorded}", replayed.setting.model_name())])
        });
        text.push_str(&columns(&kernels.collect::<Vec<_>>(), 2));
        for note in self.notes() {
            writeln!(text, "note: {note}").unwrap_or_default();
        }
        let common = &self.loaded.setting.notes;
        for note in common {
            writeln!(text, "note: {}", printable(note, true)).unwrap_or_default();
        }
        for replayed in self.replayed {
            for note in replayed.setting.notes.iter().filter(|note| !common.contains(note)).chain(&replayed.notes) {
                writeln!(text, "note: {}: {}", replayed.setting.label(), printable(note, true)).unwrap_or_default();
            }
        }
        if self.only.is_none() {
            self.totals(&mut text);
        }
        self.by_cache(&mut text, top);
        text
    }

    fn totals(&self, text: &mut String) {
        let line = |key: &str, figure: &dyn Fn(&Figures) -> String| {
            std::iter::once(key.to_owned()).chain(self.replayed.iter().map(|replayed| figure(&replayed.total))).collect::<Vec<String>>()
        };
        let heads = self.replayed.iter().map(|replayed| replayed.setting.label());
        let rows = [
            std::iter::once("all caches".to_owned()).chain(heads).collect(),
            line("allocations", &|figures| thousands(figures.allocs)),
            line("frees", &|figures| thousands(figures.frees)),
            line("slab memory, peak", &|figures| bytes(figures.slab_bytes_peak)),
            line("slab memory, mean", &|figures| bytes(figures.slab_bytes_mean as u64)),
            line("slab memory, end", &|figures| bytes(figures.slab_bytes_end)),
            line("live share of it, at peak", &|figures| optional(figures.live_share_peak)),
            line("live share of it, at end", &|figures| optional(figures.live_share_end)),
            line("fast allocations", &|figures| optional(figures.fast_alloc_share())),
            line("fast frees", &|figures| optional(figures.fast_free_share())),
            line("node list moves", &|figures| thousands(figures.node_moves)),
            line("free objects held, end", &|figures| thousands(figures.held_objects_end)),
            line("free objects held, mean", &|figures| thousands(figures.held_objects_mean.round() as u64)),
        ];
        writeln!(text, "\n{}", columns(&rows, 1).trim_end()).unwrap_or_default();
    }

    fn by_cache(&self, text: &mut String, top: usize) {
        let mut caches = self.caches();
        let spread = |cache: &str| {
            let means = || self.of(cache).map(|figures| figures.slab_bytes_mean);
            means().fold(0.0, f64::max) - means().fold(f64::INFINITY, f64::min)
        };
        let operations = |cache: &str| self.of(cache).map(|figures| figures.allocs + figures.frees).max();
        caches.sort_by(|a, b| spread(b).total_cmp(&spread(a)).then_with(|| operations(b).cmp(&operations(a))));
        let count = caches.len();
        caches.truncate(top);
        if caches.is_empty() {
            return;
        }
        let order = if count > 1 { ", those whose mean memory differs most first" } else { "" };
        writeln!(text, "\nBy cache ({} of {count}{order})", caches.len()).unwrap_or_default();
        let heads = ["cache", "kernel", "slab", "peak", "mean", "live", "fast alloc", "free", "moves", "held", "mean"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for cache in caches {
            let replayed = self.replayed.iter().filter_map(|replayed| Some((replayed, replayed.find(cache)?)));
            for (number, (replayed, own)) in replayed.enumerate() {
                let figures = &replayed.caches[own];
                let (order, objects) = replayed.slabs[own];
                rows.push(row([
                    &if number == 0 { printable(cache, true) } else { String::new() },
                    &replayed.setting.label(),
                    &format!("{objects}/{}", 1_u64 << order),
                    &bytes(figures.slab_bytes_peak),
                    &bytes(figures.slab_bytes_mean as u64),
                    &optional(figures.live_share_end),
                    &optional(figures.fast_alloc_share()),
                    &optional(figures.fast_free_share()),
                    &thousands(figures.node_moves),
                    &thousands(figures.held_objects_end),
                    &format!("{:.1}", figures.held_objects_mean),
                ]));
            }
        }
        text.push_str(&columns(&rows, 2));
        text.push_str("slab: objects/pages of one; live: share of slab memory at the end; moves: slabs put on or taken off node lists;\n");
        text.push_str("held: free objects in CPUs' slabs, on their partial lists, in sheaves and in arrays, at the end and in the mean\n");
    }
}

fn optional(share: Option<f64>) -> String {
    share.map_or_else(|| "-".to_owned(), percent)
}
