//! Words of the kernel's command line.

use super::{Linted, Verdict};
use crate::allocators::AllocatorKind;
use crate::setting::Setting;
use crate::tune::Knob;

/// Lints a command line, as in `/proc/cmdline`. All of it is line 1 unless it has line breaks.
#[must_use]
pub fn lint_cmdline(text: &str, setting: &Setting) -> Linted {
    let mut linted = Linted::default();
    for (line, text) in (1..).zip(text.lines()) {
        if !words(text, line, setting, &mut linted) {
            break;
        }
    }
    linted
}

/// Lints the words of one line; false if they end with `--`, after which all is for init.
pub(super) fn words(text: &str, line: u64, setting: &Setting, linted: &mut Linted) -> bool {
    let all: Vec<&str> = text.split_whitespace().collect();
    let end = all.iter().position(|&word| word == "--");
    let all = all.get(..end.unwrap_or(all.len())).unwrap_or_default();
    for (number, &word) in all.iter().enumerate() {
        let later = all.get(number + 1..).unwrap_or_default();
        match verdict(word, later, setting) {
            Some(verdict) => linted.found(line, word, verdict),
            None => linted.others += 1,
        }
    }
    end.is_none()
}

/// A word's key, with the dashes that the kernel takes for underscores, and its value.
fn split(word: &str) -> (String, Option<&str>) {
    let (key, value) = word.split_once('=').map_or((word, None), |(key, value)| (key, Some(value)));
    (key.replace('-', "_"), value.map(|value| value.trim_matches('"')))
}

/// What comes of a word; `None` if it is not of the slab allocator.
fn verdict(word: &str, later: &[&str], setting: &Setting) -> Option<Verdict> {
    let (key, value) = split(word);
    let release = setting.kernel.release;
    let since = |major, minor, what: &str| {
        let reason = format!("{what} came with {major}.{minor}");
        if release.since(major, minor) { Verdict::Works } else { Verdict::dead(reason, "a newer kernel") }
    };
    match key.as_str() {
        "slab_strict_numa" => return Some(of_slub(setting, "slab_strict_numa").unwrap_or_else(|| since(6, 13, "slab_strict_numa"))),
        "noaliencache" => {
            let is_slab = setting.allocator == AllocatorKind::Slab;
            let dead = || Verdict::dead(format!("noaliencache is of SLAB; this kernel has {}", setting.allocator.name()), "take it out");
            return Some(if is_slab { Verdict::Works } else { dead() });
        }
        "cgroup.memory" if value.is_some_and(|value| value.split(',').any(|word| word == "nokmem")) => return Some(since(4, 5, "nokmem")),
        "init_on_alloc" | "init_on_free" => return Some(since(5, 3, &key)),
        "sysctl.vm.mem_profiling" => return Some(since(6, 10, "memory allocation profiling")),
        "rcutree.rcu_min_cached_objs" => return Some(since(5, 9, "rcu_min_cached_objs")),
        "debug_guardpage_minorder" => return Some(Verdict::Works),
        "cpu_partial" | "min_partial" | "sheaf_capacity" | "max_full_sheaves" | "max_empty_sheaves" | "remote_node_defrag_ratio" => {
            return Some(no_such(&key, &key, setting));
        }
        _ => {}
    }
    // Modules have names like that, too.
    if key.contains('.') {
        return None;
    }
    let (is_new, option) = match (key.strip_prefix("slub_"), key.strip_prefix("slab_")) {
        (Some(option), _) => (false, option),
        (_, Some(option)) => (true, option),
        _ => return None,
    };
    Some(match option {
        "max_order" | "min_order" | "min_objects" => number_option(&key, is_new, option, value, later, setting),
        "nomerge" | "merge" => merge_option(&key, is_new, option, later, setting),
        "debug" => of_slub(setting, &key).unwrap_or_else(|| {
            if is_new && !release.since(6, 9) {
                Verdict::dead("SLUB has the spelling slab_debug from 6.9 on", word.replacen("slab", "slub", 1))
            } else {
                Verdict::Works
            }
        }),
        // Of 4.11 to 5.8; not looked into.
        "memcg_sysfs" => Verdict::Works,
        _ => no_such(&key, option, setting),
    })
}

/// Why a word of SLUB does nothing in another allocator.
fn of_slub(setting: &Setting, key: &str) -> Option<Verdict> {
    let kind = setting.allocator;
    (kind != AllocatorKind::Slub).then(|| Verdict::dead(format!("{key} is of SLUB; this kernel has {}", kind.name()), "take it out"))
}

fn number_option(key: &str, is_new: bool, option: &str, value: Option<&str>, later: &[&str], setting: &Setting) -> Verdict {
    let release = setting.kernel.release;
    let shown = value.unwrap_or_default();
    let is_slab_order = setting.allocator == AllocatorKind::Slab && key == "slab_max_order";
    if !is_slab_order {
        if let Some(dead) = of_slub(setting, key) {
            return dead;
        }
        if is_new && !setting.kernel.rules.slab_order_options {
            return Verdict::dead(
                format!("SLUB has the spelling {key} from 6.9 on; {release} ignores it"),
                format!("slub_{option}={shown}"),
            );
        }
    }
    let digits = shown.len() - shown.trim_start_matches(|c: char| c.is_ascii_hexdigit() || c == 'x' || c == 'X').len();
    let begins = shown.starts_with(|c: char| c.is_ascii_digit());
    if !begins {
        return Verdict::dead(format!("{key} takes a number, found {shown:?}"), format!("{key}=N"));
    }
    if digits < shown.len() && release.since(6, 19) {
        let number: String = shown.chars().take_while(char::is_ascii_digit).collect();
        return Verdict::dead(format!("from 6.19 on text after the number is refused, found {shown:?}"), format!("{key}={number}"));
    }
    overridden(key, option, later).unwrap_or(Verdict::Works)
}

fn merge_option(key: &str, is_new: bool, option: &str, later: &[&str], setting: &Setting) -> Verdict {
    let rules = &setting.kernel.rules;
    if setting.allocator == AllocatorKind::Slob {
        return Verdict::dead("SLOB has no caches that could be merged", "take it out");
    }
    if !is_new && let Some(dead) = of_slub(setting, key) {
        let Verdict::Dead { reason, .. } = dead else { return Verdict::Works };
        return Verdict::dead(reason, format!("slab_{option}"));
    }
    if option == "merge" && !rules.merge_option {
        return Verdict::dead(format!("{key} came with 5.14"), "take it out: caches are merged unless slab_nomerge says otherwise");
    }
    if option == "nomerge" && is_new && !rules.slab_nomerge_option {
        return Verdict::dead("slab_nomerge came with 3.18", "slub_nomerge");
    }
    let other = if option == "merge" { "nomerge" } else { "merge" };
    let taken_back = later.iter().find(|word| {
        let (key, _) = split(word);
        key.strip_prefix("slub_").or(key.strip_prefix("slab_")) == Some(other)
    });
    match taken_back {
        Some(word) => Verdict::dead(format!("taken back by {word} later in the line"), "take one of them out"),
        None => Verdict::Works,
    }
}

/// A word that a later one overrides, by whichever spelling.
fn overridden(key: &str, option: &str, later: &[&str]) -> Option<Verdict> {
    let by = later.iter().find(|word| {
        let (key, _) = split(word);
        key.strip_prefix("slub_").or(key.strip_prefix("slab_")) == Some(option)
    })?;
    Some(Verdict::dead(format!("{key} is overridden by {by} later in the line"), "take it out"))
}

/// A word that no kernel knows.
fn no_such(key: &str, option: &str, setting: &Setting) -> Verdict {
    let reason = format!("no kernel has a boot parameter {key}");
    let release = setting.kernel.release;
    let instead = match option {
        "cpu_partial" if release.since(7, 0) => "no run-time control from 7.0 on",
        "cpu_partial" => "write to /sys/kernel/slab/CACHE/cpu_partial, by tmpfiles.d",
        "min_partial" => "write to /sys/kernel/slab/CACHE/min_partial, by tmpfiles.d",
        "remote_node_defrag_ratio" => "write to /sys/kernel/slab/CACHE/remote_node_defrag_ratio, by tmpfiles.d",
        "sheaf_capacity" | "max_full_sheaves" | "max_empty_sheaves" => {
            "a code change of the cache's owner (kmem_cache_args.sheaf_capacity)"
        }
        _ => {
            let known = [Knob::SlabMaxOrder, Knob::SlabMinOrder, Knob::SlabMinObjects, Knob::NoMerge];
            let names: Vec<&str> = known.iter().filter_map(|knob| knob.boot_name(setting)).collect();
            return Verdict::dead(reason, format!("there are {}", names.join(", ")));
        }
    };
    Verdict::dead(reason, instead)
}
