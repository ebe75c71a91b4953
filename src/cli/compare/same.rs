//! One load by several kernels and settings, side by side.

use std::fmt::Write;
use std::path::Path;

use serde_json::{Map, Value, json};
use slubreplay_reports::format::{bytes, percent, printable, thousands};

use super::super::columns::{columns, csv_field, row, thousandths};
use super::super::load::Loaded;
use super::by_cache_title;
use super::candidates::Candidate;
use crate::compare::{Figures, NODE_MOVES, Replayed, is_recorded};
use crate::setting::Setting;

pub(super) struct Shown<'a> {
    pub(super) trace: &'a Path,
    pub(super) loaded: &'a Loaded,
    pub(super) candidates: &'a [Candidate],
    /// The cache to show, else all.
    pub(super) only: Option<&'a str>,
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

impl Shown<'_> {
    fn replayed(&self) -> impl Iterator<Item = &Replayed> {
        self.candidates.iter().map(|candidate| &candidate.replayed)
    }

    /// The release that the trace is of, where it is known, even if all is laid out for another.
    fn recorded_label(&self) -> String {
        let setting = &self.loaded.setting;
        let release = Setting::recorded_release(&self.loaded.facts, self.loaded.capture.as_ref());
        release
            .filter(|release| !is_recorded(setting.kernel.release, *release))
            .map_or_else(|| setting.label(), |release| release.to_string())
    }

    /// All is laid out for another kernel than the recorded one.
    fn is_laid_out_anew(&self) -> bool {
        self.recorded_label() != self.loaded.setting.label()
    }

    /// Some differ by what is set.
    fn has_settings(&self) -> bool {
        self.candidates.iter().any(|candidate| !candidate.set.is_empty())
    }

    /// Names of the caches to show, in the order of the plans: those that exist in any replay.
    fn caches(&self) -> Vec<&str> {
        if let Some(only) = self.only {
            return vec![only];
        }
        let mut names: Vec<&str> = Vec::new();
        let mut seen = std::collections::BTreeSet::new();
        for name in self.replayed().flat_map(|replayed| &replayed.names) {
            let is_used = self.of(name).any(Figures::is_used);
            if is_used && seen.insert(name.as_str()) {
                names.push(name);
            }
        }
        names
    }

    /// Figures of the cache of that name, of the replays that have it.
    fn of<'b>(&'b self, cache: &'b str) -> impl Iterator<Item = &'b Figures> {
        self.replayed().filter_map(move |replayed| replayed.caches.get(replayed.find(cache)?))
    }

    /// What holds for all kernels but the recorded one.
    fn notes(&self) -> Vec<String> {
        let release = self.recorded_label();
        let mut notes = Vec::new();
        if self.replayed().any(|replayed| !replayed.is_recorded) {
            notes.push(format!("objects have the sizes and caches that they had on {release}, merged as there, in every column"));
            notes.push(format!("pages never run out but where the recording shows it, on {release}"));
        }
        notes
    }

    pub(super) fn as_csv(&self) -> String {
        let mut text = String::from("cache,kernel,model,setting,order,objects_per_slab");
        for (name, _) in COLUMNS {
            write!(text, ",{name}").unwrap_or_default();
        }
        text.push('\n');
        for candidate in self.candidates.iter().filter(|_| self.only.is_none()) {
            csv_row(&mut text, "", candidate, None, &candidate.replayed.total);
        }
        for cache in self.caches() {
            for candidate in self.candidates {
                let replayed = &candidate.replayed;
                if let Some(number) = replayed.find(cache) {
                    csv_row(&mut text, cache, candidate, Some(replayed.slabs[number]), &replayed.caches[number]);
                }
            }
        }
        text
    }

    pub(super) fn as_json(&self) -> String {
        let object = |figures: &Figures| -> Map<String, Value> {
            COLUMNS.iter().map(|(name, figure)| ((*name).to_owned(), figure(figures).unwrap_or(Value::Null))).collect()
        };
        let kernels = self.candidates.iter().map(|Candidate { set, replayed }| {
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
                "setting": set,
                "is_recorded": replayed.is_recorded,
                "is_verified": replayed.setting.is_verified(),
                "notes": replayed.setting.notes.iter().chain(&replayed.notes).collect::<Vec<&String>>(),
                "total": object(&replayed.total),
                "caches": caches.collect::<Vec<Value>>(),
            })
        });
        let value = json!({
            "trace": self.trace.display().to_string(),
            "recorded_kernel": self.recorded_label(),
            "notes": self.notes(),
            "node_moves_are": NODE_MOVES.map(|counter| counter.name()),
            "kernels": kernels.collect::<Vec<Value>>(),
        });
        format!("{value:#}\n")
    }

    pub(super) fn as_text(&self, top: usize) -> String {
        let mut text = format!("The operations of {}, recorded on {}, replayed by\n", self.trace.display(), self.recorded_label());
        let kernels = self.candidates.iter().map(|candidate| {
            let replayed = &candidate.replayed;
            let recorded = match replayed.is_recorded {
                true if self.is_laid_out_anew() => " (nothing set)",
                true => " (as recorded)",
                false => "",
            };
            row([&format!("  {}", candidate.label()), &format!("{}{recorded}", replayed.setting.model_name())])
        });
        text.push_str(&columns(&kernels.collect::<Vec<_>>(), 2));
        for note in self.notes() {
            writeln!(text, "note: {note}").unwrap_or_default();
        }
        let common = &self.loaded.setting.notes;
        for note in common {
            writeln!(text, "note: {}", printable(note, true)).unwrap_or_default();
        }
        let mut said: Vec<&String> = Vec::new();
        for candidate in self.candidates {
            let replayed = &candidate.replayed;
            for note in replayed.setting.notes.iter().filter(|note| !common.contains(note)).chain(&replayed.notes) {
                // What is known of a knob is so at each of its values.
                if !candidate.set.is_empty() && said.contains(&note) {
                    continue;
                }
                said.push(note);
                writeln!(text, "note: {}: {}", candidate.label(), printable(note, true)).unwrap_or_default();
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
            std::iter::once(key.to_owned()).chain(self.replayed().map(|replayed| figure(&replayed.total))).collect::<Vec<String>>()
        };
        let heads = self.candidates.iter().map(Candidate::label);
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
        text.push_str(&by_cache_title(caches.len(), count));
        let what = if self.has_settings() { "setting" } else { "kernel" };
        let heads = ["cache", what, "slab", "peak", "mean", "live", "fast alloc", "free", "moves", "held", "mean"];
        let mut rows = vec![heads.map(str::to_owned).to_vec()];
        for cache in caches {
            let found = self.candidates.iter().filter_map(|candidate| Some((candidate, candidate.replayed.find(cache)?)));
            for (number, (candidate, own)) in found.enumerate() {
                let replayed = &candidate.replayed;
                let figures = &replayed.caches[own];
                let (order, objects) = replayed.slabs[own];
                rows.push(row([
                    &if number == 0 { printable(cache, true) } else { String::new() },
                    &candidate.label(),
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

fn csv_row(text: &mut String, cache: &str, candidate: &Candidate, slab: Option<(u32, u32)>, figures: &Figures) {
    let setting = &candidate.replayed.setting;
    let set = csv_field(&candidate.set);
    write!(text, "{},{},{},{set},", csv_field(cache), setting.label(), setting.model_name()).unwrap_or_default();
    text.push_str(&slab.map_or_else(|| ",".to_owned(), |(order, objects)| format!("{order},{objects}")));
    for (_, figure) in COLUMNS {
        write!(text, ",{}", figure(figures).map(|value| value.to_string()).unwrap_or_default()).unwrap_or_default();
    }
    text.push('\n');
}
