//! Real recordings, of the folder that `SLUBREPLAY_CAPTURES` names.

use crate::AnyTrace;
use crate::capture::Capture;

#[test]
fn recordings_of_real_kernels_are_read_whole() {
    let folder = std::env::var_os("SLUBREPLAY_CAPTURES");
    let entries = folder.into_iter().flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let dirs: Vec<_> = entries.map(|entry| entry.unwrap().path()).filter(|dir| dir.join("perf.data").is_file()).collect();
    if dirs.is_empty() {
        #[expect(clippy::print_stderr, reason = "a skipped test should say so")]
        {
            eprintln!("skipped: SLUBREPLAY_CAPTURES names no folder with */perf.data");
        }
    }
    for dir in dirs {
        let capture = Capture::open(&dir).unwrap();
        let recording = AnyTrace::open(&capture.trace).unwrap().decode(&|_| {}).unwrap();
        let accounting = &recording.accounting;
        let what = dir.display();
        assert!(recording.event_count() > 0, "{what}");
        assert_eq!(recording.event_count(), accounting.events.values().sum::<u64>(), "{what}: every sample is an event");
        assert_eq!((accounting.damage_count(), accounting.unknown_ids.len(), accounting.short_records.len()), (0, 0, 0), "{what}");
        assert!(accounting.remarks.is_empty(), "{what}: {:?}", accounting.remarks);
        assert_eq!(capture.machine.kernel.as_deref(), Some(recording.info.kernel.as_str()), "{what}");
        assert_eq!(capture.machine.nodes, recording.info.nodes, "{what}");
        for stream in &recording.streams {
            assert!(capture.machine.cpus_online.contains(&stream.cpu.into()), "{what}: CPU {}", stream.cpu);
            assert!(stream.events.is_sorted_by_key(|event| event.time_ns), "{what}: CPU {}", stream.cpu);
        }
    }
}
