//! The result for programs: CSV and JSON.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use super::super::columns::{csv_field, thousandths};
use super::{Found, Recommended};
use crate::tune::{Block, Row, slow_work};

/// A figure for a program: its name, and its value if there is one.
pub(super) type Column = (&'static str, fn(&Row) -> Option<Value>);

/// All figures, for CSV and JSON alike.
pub(super) const COLUMNS: [Column; 14] = [
    ("slab_bytes_peak", |row| Some(json!(row.total.slab_bytes_peak))),
    ("slab_bytes_mean", |row| Some(json!(thousandths(row.total.slab_bytes_mean)))),
    ("slab_bytes_end", |row| Some(json!(row.total.slab_bytes_end))),
    ("live_share_end", |row| row.total.live_share_end.map(|share| json!(share))),
    ("held_objects_mean", |row| Some(json!(thousandths(row.total.held_objects_mean)))),
    ("held_objects_end", |row| Some(json!(row.total.held_objects_end))),
    ("fast_alloc_share", |row| row.total.fast_alloc_share().map(|share| json!(share))),
    ("fast_free_share", |row| row.total.fast_free_share().map(|share| json!(share))),
    ("slow_paths", |row| Some(json!(row.slow_paths()))),
    ("node_moves", |row| Some(json!(row.total.node_moves))),
    ("order_fallbacks", |row| Some(json!(row.order_fallbacks))),
    ("failed_allocs", |row| Some(json!(row.failed_allocs))),
    ("slow_work", |row| Some(json!(slow_work(row)))),
    ("restarted_caches", |row| Some(json!(row.restarted.len()))),
];

/// One row for each configuration: its values, then its figures. The first is the recorded one. A value is empty where caches have their own.
pub(super) fn csv(found: &Found<'_>) -> String {
    let mut text = String::new();
    for &column in &found.columns {
        write!(text, "{},", csv_field(&found.column(column))).unwrap_or_default();
    }
    for (name, _) in COLUMNS {
        write!(text, "{name},").unwrap_or_default();
    }
    text.push_str("score,pareto\n");
    for (number, row) in found.tried.rows.iter().enumerate() {
        for &column in &found.columns {
            write!(text, "{},", found.value(row, column).map(|value| value.to_string()).unwrap_or_default()).unwrap_or_default();
        }
        for (_, figure) in COLUMNS {
            write!(text, "{},", figure(row).map(|value| value.to_string()).unwrap_or_default()).unwrap_or_default();
        }
        let score = found.scores[number].map(|score| format!("{score:.6}")).unwrap_or_default();
        writeln!(text, "{score},{}", found.front[number]).unwrap_or_default();
    }
    text
}

/// Everything.
pub(super) fn json(found: &Found<'_>) -> String {
    let caches = &found.loaded.plan.caches;
    let name = |cache: Option<usize>| cache.map(|cache| caches[cache].name.as_str());
    let changes = |row: &Row| -> Vec<Value> {
        row.changes.iter().map(|change| json!({"knob": change.knob.name(), "cache": name(change.cache), "value": change.value})).collect()
    };
    let rows = found.tried.rows.iter().enumerate().map(|(number, row)| {
        let mut entry = Map::new();
        entry.insert("changes".to_owned(), json!(changes(row)));
        entry.extend(figures(row));
        entry.insert("alike".to_owned(), json!(row.alike.as_deref().map(figures)));
        entry.insert("score".to_owned(), json!(found.scores[number]));
        entry.insert("pareto".to_owned(), json!(found.front[number]));
        Value::Object(entry)
    });
    let refused = found.tried.refused.iter().map(|(own, error)| {
        let values = own.iter().map(|change| json!({"knob": change.knob.name(), "cache": name(change.cache), "value": change.value}));
        json!({"changes": values.collect::<Vec<Value>>(), "reason": error.to_string()})
    });
    let value = json!({
        "trace": found.args.trace.display().to_string(),
        "kernel": found.loaded.setting.kernel.release.to_string(),
        "model": found.loaded.setting.model_name(),
        "pages": found.pages,
        "objective": found.args.objective.name(),
        "notes": found.loaded.setting.notes,
        "configurations": rows.collect::<Vec<Value>>(),
        "refused": refused.collect::<Vec<Value>>(),
        "recommendation": found.recommended.as_ref().map(|recommended| recommendation(found, recommended)),
    });
    format!("{value:#}\n")
}

/// All figures of a row by their names.
pub(super) fn figures(row: &Row) -> Map<String, Value> {
    COLUMNS.iter().map(|(name, figure)| ((*name).to_owned(), figure(row).unwrap_or(Value::Null))).collect()
}

fn recommendation(found: &Found<'_>, recommended: &Recommended) -> Value {
    let caches = &found.loaded.plan.caches;
    let commands = &recommended.commands;
    let blocks =
        |blocks: &[Block]| -> Vec<Value> { blocks.iter().map(|block| json!({"for": block.title, "lines": block.lines})).collect() };
    let writes = commands.writes.iter().map(|write| {
        json!({
            "knob": write.knob.name(),
            "cache": write.cache,
            "aliases": write.aliases,
            "old": write.old,
            "new": write.new,
            "target": write.target,
            "needs_reboot": write.needs_reboot,
            "is_what_if": write.is_what_if,
        })
    });
    let effects = recommended.effects.iter().flatten().map(|effect| {
        json!({
            "cache": caches[effect.cache].name,
            "old": effect.values.0,
            "new": effect.values.1,
            "worst_case_bytes_old": effect.worst_case.0,
            "worst_case_bytes_new": effect.worst_case.1,
        })
    });
    let row = &found.tried.rows[recommended.row];
    json!({
        "configuration": recommended.row,
        "expected": {"old": figures(row.base(&found.tried.rows[0])), "new": figures(row)},
        "writes": writes.collect::<Vec<Value>>(),
        "caches": effects.collect::<Vec<Value>>(),
        "needs_reboot": commands.needs_reboot(),
        "apply_now": commands.now,
        "undo_now": commands.undo_now,
        "keep": blocks(&commands.keep),
        "undo_keep": commands.undo_keep,
        "boot_words": commands.boot_words,
        "boot": blocks(&commands.boot),
        "undo_boot": blocks(&commands.undo_boot),
        "build": commands.build,
        "code": commands.code,
        "notes": commands.notes,
    })
}
