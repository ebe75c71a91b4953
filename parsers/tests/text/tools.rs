//! Against the tools: a trace.dat printed by trace-cmd reads as the trace.dat does, but for what text cannot hold.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use slubreplay_parsers::AnyTrace;
use slubreplay_parsers::event::{Body, Context, Event, NameId};
use slubreplay_parsers::recording::{Pointers, Recording};

/// What trace-cmd is asked for, and what of it is text.
struct Report {
    options: &'static [&'static str],
    has_nanoseconds: bool,
    has_gfp_names: bool,
    has_context: bool,
}

const REPORTS: [Report; 6] = [
    Report { options: &["-t"], has_nanoseconds: true, has_gfp_names: true, has_context: false },
    Report { options: &[], has_nanoseconds: false, has_gfp_names: true, has_context: false },
    Report { options: &["-R"], has_nanoseconds: false, has_gfp_names: false, has_context: false },
    Report { options: &["-R", "-t"], has_nanoseconds: true, has_gfp_names: false, has_context: false },
    Report { options: &["-N", "-t"], has_nanoseconds: true, has_gfp_names: true, has_context: false },
    Report { options: &["-l", "-t"], has_nanoseconds: true, has_gfp_names: true, has_context: true },
];

/// The output of a tool; `None` with a word about it if the tool is not there.
fn printed(tool: &str, arguments: &[&str], trace: &Path) -> Option<Vec<u8>> {
    match Command::new(tool).args(arguments).arg(trace).output() {
        Ok(output) => Some(output.stdout),
        Err(error) => {
            #[expect(clippy::print_stderr, reason = "a skipped test should say so")]
            {
                eprintln!("skipped: {tool} cannot be run ({error})");
            }
            None
        }
    }
}

/// Recordings of the same events, one of them of text.
struct Pair<'a> {
    binary: &'a Recording,
    text: &'a Recording,
    report: &'a Report,
    /// Call site of the text by that of the binary one.
    sites: BTreeMap<u64, u64>,
}

impl Pair<'_> {
    fn same(&mut self, binary: &Event, text: &Event) {
        let (mut expected, mut found) = (*binary, *text);
        // trace-cmd rounds to the nearest microsecond; events of the same one are told apart by nanoseconds.
        let tolerance = if self.report.has_nanoseconds { 0 } else { 1500 };
        assert!(expected.time_ns.abs_diff(found.time_ns) <= tolerance, "{expected:?}\n{found:?}");
        expected.time_ns = found.time_ns;
        if self.report.has_context {
            // trace-cmd shows neither that the reschedule was asked for by preemption, nor that bottom halves are off.
            let shown = |context: Context| Context(context.0 & 0x19);
            (expected.context, found.context) = (shown(expected.context), shown(found.context));
        } else {
            expected.context = Context::default();
        }
        let names = |name: &mut Option<NameId>, recording: &Recording| name.take().map(|name| recording.name(name).to_owned());
        let (mut names_here, mut sites) = ((None, None), None);
        match (&mut expected.body, &mut found.body) {
            (Body::Alloc(expected), Body::Alloc(found)) => {
                names_here = (names(&mut expected.name, self.binary), names(&mut found.name, self.text));
                sites = Some((&mut expected.call_site, &mut found.call_site));
                // What GFP_NOWAIT stands for beside KSWAPD_RECLAIM has changed: NOWARN is in it in 6.12.
                if self.report.has_gfp_names && expected.gfp_flags & 0xc00 == 0x800 {
                    expected.gfp_flags &= !0x2000;
                    found.gfp_flags &= !0x2000;
                }
            }
            (Body::Free(expected), Body::Free(found)) => {
                names_here = (names(&mut expected.name, self.binary), names(&mut found.name, self.text));
                sites = Some((&mut expected.call_site, &mut found.call_site));
            }
            (Body::PageAlloc(expected), Body::PageAlloc(found)) if self.report.has_gfp_names && expected.gfp_flags & 0xc00 == 0x800 => {
                expected.gfp_flags &= !0x2000;
                found.gfp_flags &= !0x2000;
            }
            (Body::Mark(expected), Body::Mark(found)) => {
                assert_eq!(self.binary.mark(*expected), self.text.mark(*found));
                *expected = *found;
            }
            _ => {}
        }
        assert_eq!(names_here.0, names_here.1);
        // One address is one symbol; several addresses may be one.
        if let Some((expected, found)) = sites {
            assert_eq!(*self.sites.entry(*expected).or_insert(*found), *found, "{expected:x}");
            *expected = *found;
        }
        assert_eq!(expected, found);
    }
}

fn shipped(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../traces").join(name).join("trace.dat")
}

#[test]
fn every_way_of_trace_cmd_to_print_a_trace() {
    let trace = shipped("midlife-6.12");
    let binary = AnyTrace::open(&trace).unwrap().decode(&|_| {}).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.txt");
    for report in &REPORTS {
        let Some(output) = printed("trace-cmd", &[&["report"], report.options].concat(), &trace) else { return };
        std::fs::write(&path, output).unwrap();
        let text = AnyTrace::open(&path).unwrap().decode(&|_| {}).unwrap();
        let what = report.options;
        let mut pair = Pair { binary: &binary, text: &text, report, sites: BTreeMap::new() };
        assert_eq!(text.event_count(), binary.event_count(), "{what:?}");
        for (expected, found) in binary.streams.iter().zip(&text.streams) {
            assert_eq!((expected.cpu, expected.events.len()), (found.cpu, found.events.len()), "{what:?}");
            expected.events.iter().zip(&found.events).for_each(|(expected, found)| pair.same(expected, found));
        }
        let info = &text.info;
        assert_eq!((info.format.as_str(), info.cpus, info.pointers), ("trace-cmd report", binary.info.cpus, Pointers::Real), "{what:?}");
        assert_eq!(info.gfp_by_name, report.has_gfp_names, "{what:?}");
        assert_eq!(text.accounting.events, binary.accounting.events, "{what:?}");
        assert_eq!(text.accounting.short_records, BTreeMap::new(), "{what:?}");
        assert!(text.sites.iter().any(|site| site == "getname_flags+0x28"), "{what:?}");
        // The names of the threads that there are events of; the latency format has their first eight characters.
        let pids: BTreeSet<i32> = binary.merged().map(|event| event.pid).collect();
        let shown = |name: &str| if what.contains(&"-l") { name.chars().take(8).collect() } else { name.to_owned() };
        let named: BTreeMap<i32, String> = pids.iter().filter_map(|pid| Some((*pid, shown(binary.tasks.get(pid)?)))).collect();
        assert!(named.len() > 10, "{what:?}");
        let text_names = text.tasks.iter().filter(|(pid, _)| named.contains_key(pid));
        assert!(text_names.eq(&named), "{what:?}: {:?}", text.tasks);
    }
}

/// The order of all CPUs together, of which microseconds alone know nothing.
#[test]
fn microseconds_keep_the_order_of_the_tool() {
    let trace = shipped("midlife-6.12");
    let binary = AnyTrace::open(&trace).unwrap().decode(&|_| {}).unwrap();
    let Some(output) = printed("trace-cmd", &["report"], &trace) else { return };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("report.txt");
    std::fs::write(&path, output).unwrap();
    let text = AnyTrace::open(&path).unwrap().decode(&|_| {}).unwrap();
    let key = |event: &Event| {
        let ptr = match event.body {
            Body::Alloc(alloc) => alloc.ptr,
            Body::Free(free) => free.ptr,
            _ => 0,
        };
        (event.cpu, event.pid, ptr)
    };
    assert!(binary.merged().map(key).eq(text.merged().map(key)));
}
