//! Writes to files of `/sys/kernel/slab`, and to `/proc/slabinfo`.

use super::Verdict;
use crate::allocators::AllocatorKind;
use crate::allocators::slab::Tunables;
use crate::setting::Setting;
use crate::tune::{Knob, Standing, standing};

/// Where the files are; older scripts use the link.
pub(super) const SYSFS: [&str; 2] = ["/sys/kernel/slab/", "/sys/slab/"];

/// Debug flags that were writable up to 5.8, and their letters in `slab_debug=`.
const FLAGS: [(&str, &str); 6] =
    [("store_user", "U"), ("red_zone", "Z"), ("poison", "P"), ("sanity_checks", "F"), ("trace", "T"), ("reclaim_account", "")];

/// What a write of `value` to `file` of `cache` comes to.
pub(super) fn sysfs(cache: &str, file: &str, value: Option<&str>, setting: &Setting) -> Verdict {
    let release = setting.kernel.release;
    let number = value.and_then(|value| value.trim().parse::<u32>().ok());
    match setting.allocator {
        AllocatorKind::Slab => {
            return Verdict::dead("SLAB has no files in /sys/kernel/slab", "a line `NAME LIMIT BATCHCOUNT SHARED` to /proc/slabinfo");
        }
        AllocatorKind::Slob => return Verdict::dead("SLOB has no files in /sys/kernel/slab", "take it out"),
        AllocatorKind::Slub if setting.kernel.build.slub_tiny => {
            return Verdict::dead("SLUB_TINY has no files in /sys/kernel/slab", "take it out");
        }
        AllocatorKind::Slub => {}
    }
    let only_one = |what: &str| match value {
        Some(value) if value.trim() != "1" => Verdict::dead(format!("{what} takes 1 only (EINVAL)"), format!("echo 1 to {what}")),
        _ => Verdict::Works,
    };
    match file {
        "order"
        | "cpu_partial"
        | "min_partial"
        | "remote_node_defrag_ratio"
        | "sheaf_capacity"
        | "max_full_sheaves"
        | "max_empty_sheaves" => knob(file, value, number, setting),
        "shrink" => only_one("shrink"),
        "validate" => only_one("validate"),
        "skip_kfence" if release.since(6, 1) => Verdict::Works,
        "skip_kfence" => Verdict::dead("skip_kfence came with 6.1", "take it out"),
        // Read-only from 5.9 to 6.1, writable in 6.12; believed to be so again from 6.2 on.
        "failslab" if release.since(5, 9) && !release.since(6, 2) => {
            Verdict::dead(format!("failslab is read-only in {release}"), format!("{}=A,{cache} on the command line", debug_word(setting)))
        }
        "failslab" => Verdict::Works,
        _ => match FLAGS.iter().find(|(name, _)| *name == file) {
            Some(_) if !release.since(5, 9) => Verdict::Works,
            Some((_, letter)) => {
                let word = debug_word(setting);
                let instead = match (*letter, value.map(str::trim)) {
                    ("", _) => "nothing: it is decided by the code that makes the cache".to_owned(),
                    (_, Some("0")) => format!("{word}=-,{cache} on the command line, if anything else there switches it on"),
                    (letter, _) => format!("{word}={letter},{cache} on the command line"),
                };
                Verdict::dead(format!("{file} is read-only since 5.9"), instead)
            }
            None => Verdict::dead(format!("{file} is no file that can be written"), "take it out"),
        },
    }
}

fn debug_word(setting: &Setting) -> &'static str {
    if setting.kernel.release.since(6, 9) { "slab_debug" } else { "slub_debug" }
}

fn knob(file: &str, value: Option<&str>, number: Option<u32>, setting: &Setting) -> Verdict {
    let Some(knob) = Knob::of_name(file) else { return Verdict::Works };
    match standing(knob, setting) {
        Standing::Dead(remedy) | Standing::WhatIf(remedy) => Verdict::dead(remedy.reason, remedy.instead),
        Standing::Live(_) => match (value, number) {
            // Something that the script computes.
            (None, _) => Verdict::Works,
            (Some(value), _) if value.contains(['$', '`']) => Verdict::Works,
            (Some(value), None) => Verdict::dead(format!("{file} takes a number, found {value:?} (EINVAL)"), format!("echo N to {file}")),
            (Some(_), Some(number)) => match knob.accept(number, setting) {
                Ok(_) => Verdict::Works,
                Err(error) => Verdict::dead(error.to_string(), "a value in that range"),
            },
        },
    }
}

/// What a line to `/proc/slabinfo` comes to.
pub(super) fn slabinfo(line: &str, setting: &Setting) -> Verdict {
    const FORM: &str = "NAME LIMIT BATCHCOUNT SHARED, with 1 <= BATCHCOUNT <= LIMIT";
    match setting.allocator {
        AllocatorKind::Slab => {}
        AllocatorKind::Slob => return Verdict::dead("SLOB takes nothing in /proc/slabinfo", "take it out"),
        AllocatorKind::Slub => {
            let gone = setting.kernel.release.since(7, 0);
            let instead = if gone { "no run-time control from 7.0 on" } else { "cpu_partial of the same cache, in /sys/kernel/slab" };
            return Verdict::dead("/proc/slabinfo is read-only under SLUB", instead);
        }
    }
    let words: Vec<&str> = line.split_whitespace().collect();
    let [_, numbers @ ..] = words.as_slice() else { return Verdict::dead("the line is empty: ignored without an error", FORM) };
    if numbers.iter().any(|number| number.contains(['$', '`'])) {
        return Verdict::Works;
    }
    let read: Vec<u32> = numbers.iter().filter_map(|number| number.parse().ok()).collect();
    let tunables = match (read.as_slice(), numbers.len()) {
        (&[limit, batchcount, shared], 3) => Tunables { limit, batchcount, shared }.accepted(),
        _ => None,
    };
    match tunables {
        Some(_) => Verdict::Works,
        None => Verdict::dead("a line that breaks the rules is ignored without an error", FORM),
    }
}
