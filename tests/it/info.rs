//! What `info` says of the captures, against counts of trace-cmd.

use serde_json::{Value, json};

use crate::support::{FORKEXEC, MIDLIFE, capture, run};

/// The table in `traces/README.md`: counted with `trace-cmd report FILE | awk '{print $4}' | sort | uniq -c`.
const EVENTS: [(&str, u64, u64); 10] = [
    ("kmem_cache_alloc", 393_541, 105_997),
    ("kmem_cache_free", 362_418, 94_594),
    ("kmalloc", 183_131, 149_888),
    ("mm_page_alloc", 166_300, 15_205),
    ("kfree", 103_624, 172_579),
    ("mm_page_free", 77_897, 15_007),
    ("mm_page_free_batched", 64_237, 2_636),
    ("mm_page_pcpu_drain", 4_104, 1_859),
    ("print", 246, 246),
    ("mm_page_alloc_extfrag", 84, 2),
];

fn info(path: &std::path::Path) -> Value {
    serde_json::from_str(run(&["info".as_ref(), path.as_os_str(), "--format=json".as_ref()]).ok()).expect("JSON")
}

#[test]
fn events_are_as_many_as_trace_cmd_counts() {
    let forkexec = info(&capture(FORKEXEC));
    let midlife = info(&capture(MIDLIFE));
    for (value, column) in [(&forkexec, 1), (&midlife, 2)] {
        let expected: Vec<(&str, u64)> = EVENTS.iter().map(|row| (row.0, if column == 1 { row.1 } else { row.2 })).collect();
        let events = value["events"].as_object().expect("an object");
        assert_eq!(events.len(), expected.len(), "{events:?}");
        for (name, count) in expected {
            assert_eq!(events[name], json!(count), "{name}");
        }
    }
}

#[test]
fn the_promised_fields_are_there() {
    for name in [FORKEXEC, MIDLIFE] {
        let value = info(&capture(name));
        assert!(value["format"].as_str().is_some_and(|format| format.starts_with("trace.dat v7")), "{}", value["format"]);
        assert!(value["kernel"].as_str().is_some_and(|kernel| kernel.contains("6.12.117")), "{}", value["kernel"]);
        assert_eq!(value["cpus"], json!(4));
        assert_eq!(value["lost_events"], json!(0));
        assert_eq!(value["damaged_pieces"], json!(0));
        assert_eq!(value["unknown_event_ids"], json!({}));
        assert_eq!(value["short_records"], json!({}));
    }
}

#[test]
fn a_file_and_its_capture_say_the_same() {
    let capture = capture(MIDLIFE);
    assert_eq!(info(&capture), info(&capture.join("trace.dat")));
}

#[test]
fn the_text_form_shows_the_same_counts() {
    let trace = capture(MIDLIFE);
    let ran = run(&["info".as_ref(), trace.as_os_str()]);
    for (name, _, count) in EVENTS {
        let wanted = [count.to_string(), name.to_owned()];
        let found = ran.ok().lines().any(|line| line.split_whitespace().eq(wanted.iter().map(String::as_str)));
        assert!(found, "{wanted:?} in {}", ran.stdout);
    }
}
