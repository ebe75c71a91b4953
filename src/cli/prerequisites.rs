//! What a recording lacks for a good replay, and the command that records it.

use slubreplay_parsers::recording::{Pointers, Recording};

/// Records everything that a replay makes use of.
pub(super) const RECORD: &str = "`slubreplay record -o DIR -- COMMAND`, or `trace-cmd record -C global -e kmem COMMAND`";

/// How to get at addresses where the kernel prints hashes of them.
const HASHED_REMEDY: &str = "record a trace.dat with `slubreplay record` or `trace-cmd record`, or a perf.data, which have addresses; text has \
     them from kernels booted with no_hash_pointers (5.12), or with `0` in the trace option options/hash-ptr (5.15)";

/// Notes on what is missing, each with what to record instead.
pub(super) fn missing(facts: &Recording) -> Vec<String> {
    let events = &facts.accounting.events;
    let has = |names: &[&str]| names.iter().any(|name| events.contains_key(*name));
    let mut notes = Vec::new();
    let mut lacks = |what: &str, consequence: &str, remedy: &str| notes.push(format!("{what}: {consequence}; {remedy}"));
    let pairs: [(&[&str], &[&str]); 2] =
        [(&["kmalloc", "kmalloc_node"], &["kfree"]), (&["kmem_cache_alloc", "kmem_cache_alloc_node"], &["kmem_cache_free"])];
    let record = format!("record with {RECORD}");
    for (allocs, frees) in pairs {
        match (has(allocs), has(frees)) {
            (true, false) => {
                lacks(&format!("no {} event was recorded", frees[0]), "all of its objects seem to live for ever", &record);
            }
            (false, true) => {
                lacks(&format!("no {} event was recorded", allocs[0]), "its frees are of objects that nothing is known of", &record);
            }
            (false, false) => {
                lacks(&format!("no {} and no {} event was recorded", allocs[0], frees[0]), "these caches are left out", &record)
            }
            (true, true) => {}
        }
    }
    if !has(&["mm_page_alloc"]) {
        let remedy = format!("add the events kmem:mm_page_alloc and kmem:mm_page_free, or record with {RECORD}");
        lacks("no page events were recorded", "which slabs were made during the trace, and of which order, is not known", &remedy);
    }
    if facts.info.pointers == Pointers::Hashed {
        lacks(
            "the trace has hashes for pointers",
            "objects are told apart, but nothing goes by where they were: no slab agreement, no slabs from before the trace, no \
             untraced operations by addresses",
            HASHED_REMEDY,
        );
    }
    if has(&["kmem_cache_alloc", "kmem_cache_alloc_node"]) && facts.names.is_empty() {
        let remedy = "keep a copy of /sys/kernel/slab with the trace, as `slubreplay record` does";
        lacks("no event names a cache (kernels before 5.12 have no names)", "caches are told by the sizes of their objects", remedy);
    }
    notes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn notes(events: &[&str], names: &[&str]) -> Vec<String> {
        let mut facts = Recording { names: names.iter().map(|name| (*name).to_owned()).collect(), ..Recording::default() };
        facts.accounting.events = events.iter().map(|event| ((*event).to_owned(), 1)).collect();
        missing(&facts)
    }

    const ALL: [&str; 5] = ["kmalloc", "kfree", "kmem_cache_alloc", "kmem_cache_free", "mm_page_alloc"];

    #[test]
    fn a_recording_of_everything_lacks_nothing() {
        assert!(notes(&ALL, &["dentry"]).is_empty());
        // Up to 6.0 allocations with a node have events of their own.
        assert!(notes(&["kmalloc_node", "kfree", "kmem_cache_alloc_node", "kmem_cache_free", "mm_page_alloc"], &["dentry"]).is_empty());
    }

    #[test]
    fn hashed_pointers_are_told_with_what_has_addresses() {
        let mut facts = Recording::default();
        facts.accounting.events = ALL.iter().map(|event| ((*event).to_owned(), 1)).collect();
        facts.names = vec!["dentry".to_owned()];
        facts.info.pointers = Pointers::Hashed;
        let notes = missing(&facts);
        assert_eq!(notes.len(), 1, "{notes:?}");
        for part in ["hashes for pointers", "no slab agreement", "trace-cmd record", "no_hash_pointers"] {
            assert!(notes[0].contains(part), "{part}: {notes:?}");
        }
    }

    #[test]
    fn each_missing_event_is_told_with_a_command() {
        for (left_out, expected) in [
            ("kmalloc", "no kmalloc event"),
            ("kfree", "no kfree event"),
            ("kmem_cache_free", "no kmem_cache_free event"),
            ("mm_page_alloc", "no page events"),
        ] {
            let events: Vec<&str> = ALL.into_iter().filter(|event| *event != left_out).collect();
            let notes = notes(&events, &["dentry"]);
            assert_eq!(notes.len(), 1, "{notes:?}");
            assert!(notes[0].starts_with(expected) && notes[0].contains(RECORD), "{notes:?}");
        }
        assert_eq!(notes(&["kmalloc", "kfree", "mm_page_alloc"], &[]).len(), 1);
        assert!(notes(&ALL, &[])[0].starts_with("no event names a cache"));
    }
}
