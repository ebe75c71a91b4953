//! Every parser from bytes in memory, for fuzzing: only built for `cargo fuzz`, and for the test below, which feeds the corpora that fuzzing
//! left behind to the same functions.
//!
//! Beyond not panicking they assert what holds for any input: what is read in batches is what is read at once, and every byte of input
//! costs a bounded number of events.

use std::path::Path;

use crate::capture::Capture;
use crate::error::TraceError;
use crate::kmem::{Decoder, Piece};
use crate::mapped::MappedFile;
use crate::perfdata::PerfData;
use crate::recording::Recording;
use crate::ring::{Layout, visit_records};
use crate::ringdump::RingDump;
use crate::store::Store;
use crate::stream::EventSource;
use crate::symbols::Symbols;
use crate::text::TextTrace;
use crate::tracedat::TraceDat;
use crate::{eventformat, source};

/// Lets this thread do all work by itself: handing each input over to a thread of rayon's takes longer than reading it.
fn alone() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if cfg!(fuzzing) {
        ONCE.call_once(|| drop(rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build_global()));
    }
}

/// What files are called in messages.
fn file(bytes: &[u8]) -> MappedFile {
    alone();
    MappedFile::from_bytes(Path::new("fuzzed"), bytes.to_vec())
}

/// A trace.dat: headers, options, and what they point at.
pub fn tracedat(bytes: &[u8]) {
    let Ok(trace) = TraceDat::read(file(bytes)) else { return };
    let whole = trace.decode(&|_| {});
    same(whole, trace.stream(&|_| {}).map(|stream| Box::new(stream) as Box<dyn EventSource>), true);
}

/// Sub-buffers of the ring buffer, with records of every event that is decoded: the first byte chooses the layout.
pub fn ring(bytes: &[u8]) {
    let Some((&layout, pages)) = bytes.split_first() else { return };
    let layout = Layout { long_bytes: if layout & 1 == 0 { 8 } else { 4 }, big_endian: layout & 2 != 0 };
    let decoder = Decoder::new(&formats(), layout.big_endian);
    let mut piece = Piece::default();
    for page in pages.chunks(4096) {
        visit_records(page, layout, |time, payload| decoder.record(0, time, payload, &mut piece));
    }
    // A record has a header of four bytes and a payload of four bytes at least.
    assert!(piece.events.len() <= bytes.len() / 8);
}

/// A perf.data: a file, or from a pipe.
pub fn perfdata(bytes: &[u8]) {
    let Ok(trace) = PerfData::read(file(bytes)) else { return };
    let whole = trace.decode(&|_| {});
    // Without the marks of rounds a stream cannot know whose turn it is; events are the same all the same.
    same(whole, Ok(Box::new(trace.stream(&|_| {}))), false);
}

/// Records of a perf.data whose headers are right.
pub fn perfrecords(bytes: &[u8]) {
    perfdata(&[PERF_HEAD, bytes].concat());
}

/// The description of an event.
pub fn format(bytes: &[u8]) {
    if let Ok(format) = eventformat::parse("kmem", bytes) {
        let decoder = Decoder::new(std::slice::from_ref(&format), false);
        let payload = [&format.id.to_le_bytes()[..], bytes].concat();
        decoder.record(0, 0, &payload, &mut Piece::default());
    }
}

/// A trace in text.
pub fn text(bytes: &[u8]) {
    let Ok(trace) = TextTrace::read(file(bytes)) else { return };
    let whole = trace.decode(&|_| {});
    same(whole, Ok(Box::new(trace.stream(&|_| {}))), false);
}

/// Something packed with gzip, zstd or xz.
pub fn packed(bytes: &[u8]) {
    if let Ok(source) = source::unpacked(file(bytes)) {
        assert!(source.file.len() as u64 <= (bytes.len() as u64) * 1024 + (256 << 20));
    }
}

/// A Parquet file, its checksums passed over.
pub fn store(bytes: &[u8]) {
    static ONCE: std::sync::Once = std::sync::Once::new();
    if cfg!(fuzzing) {
        // Its decoders may panic, which is caught; the hook of libFuzzer would end the process before.
        ONCE.call_once(|| std::panic::set_hook(Box::new(|_| {})));
    }
    let Ok(store) = Store::read(file(bytes)) else { return };
    let whole = store.decode(&|_| {});
    same(whole, Ok(Box::new(store.stream(&|_| {}))), false);
}

/// The text of `/proc/kallsyms`.
pub fn symbols(bytes: &[u8]) {
    let Ok(symbols) = Symbols::parse(bytes) else { return };
    for address in (0..64).map(|bit| 1_u64 << bit).chain([u64::MAX, 0xffff_ffff_8100_0123]) {
        if let Some(resolved) = symbols.resolve(address) {
            assert!(resolved.size.is_none_or(|size| resolved.offset < size), "{resolved}");
        }
    }
}

/// The files of a folder, each a line with its name and its content; a line `---` begins the next. What is not in `names` is left out.
///
/// # Panics
///
/// If files cannot be written to a temporary folder.
fn folder(bytes: &[u8], names: &[&str], read: impl FnOnce(&Path)) {
    thread_local! {
        static DIR: tempfile::TempDir = tempfile::tempdir().unwrap_or_else(|error| panic!("a folder: {error}"));
    }
    DIR.with(|dir| {
        let mut written = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let end = memchr::memmem::find(rest, b"\n---\n");
            let (part, next) = rest.split_at(end.unwrap_or(rest.len()));
            rest = next.get(5..).unwrap_or_default();
            let name_end = memchr::memchr(b'\n', part).unwrap_or(part.len());
            let (name, content) = part.split_at(name_end);
            if let Some(name) = names.iter().find(|known| known.as_bytes() == name) {
                let path = dir.path().join(name);
                let made = path.parent().map_or(Ok(()), std::fs::create_dir_all);
                let made = made.and_then(|()| std::fs::write(&path, content.get(1..).unwrap_or_default()));
                made.unwrap_or_else(|error| panic!("{name}: {error}"));
                written.push(path);
            }
        }
        read(dir.path());
        for path in written {
            let _ = std::fs::remove_file(path);
        }
    });
}

/// The files of a capture directory, see [`folder`].
pub fn capture(bytes: &[u8]) {
    folder(&[b"trace.dat\n\n---\n", bytes].concat(), &CAPTURED, |dir| {
        let Ok(capture) = Capture::open(dir) else { return };
        for snapshot in [capture.before.as_ref(), capture.after.as_ref()].into_iter().flatten() {
            let names: Vec<&str> = snapshot.caches.keys().map(String::as_str).take(3).collect();
            for name in &names {
                let _ = (snapshot.resolve(name), snapshot.aliases_of(name).count());
            }
        }
        let _ = capture.slabinfo.iter().flatten().map(crate::capture::SlabinfoFile::as_snapshot).count();
        let _ = (capture.pages_before(), capture.pages_after());
    });
}

/// The files of a folder of raw ring-buffer pages, see [`folder`].
pub fn ringdump(bytes: &[u8]) {
    alone();
    folder(bytes, &DUMPED, |dir| {
        let Ok(dump) = RingDump::open(dir) else { return };
        same(dump.decode(&|_| {}), Ok(Box::new(dump.stream(&|_| {}))), true);
    });
}

const DUMPED: [&str; 9] = [
    "events/header_page",
    "events/kmem/kfree/format",
    "events/kmem/kmem_cache_alloc/format",
    "events/ftrace/print/format",
    "per_cpu/cpu0/trace_pipe_raw",
    "per_cpu/cpu0/stats",
    "cpu1.raw",
    "trace_clock",
    "uname",
];

const CAPTURED: [&str; 21] = [
    "trace.dat",
    "slab.before",
    "slab.after",
    "slabinfo.before",
    "slabinfo.after",
    "meminfo.before",
    "meminfo.after",
    "buddyinfo.before",
    "buddyinfo.after",
    "pagetypeinfo.before",
    "pagetypeinfo.after",
    "zoneinfo.before",
    "zoneinfo.after",
    "uname",
    "cmdline",
    "cpu_possible",
    "cpu_online",
    "nodes",
    "page_size",
    "config.gz",
    "perf.data",
];

/// Asserts that batches hold what the whole recording does.
fn same(whole: Result<Recording, TraceError>, stream: Result<Box<dyn EventSource + '_>, TraceError>, in_order: bool) {
    let (whole, mut stream) = match (whole, stream) {
        (Ok(whole), Ok(stream)) => (whole, stream),
        (Err(_), Err(_)) => return,
        // What is found at the end only is found while reading.
        (Err(_), Ok(mut stream)) => {
            while stream.next_batch().is_ok_and(|batch| !batch.is_empty()) {}
            return;
        }
        (Ok(_), Err(error)) => panic!("read at once, but not in batches: {error}"),
    };
    let mut merged = whole.merged();
    let mut count = 0;
    loop {
        let batch = stream.next_batch().unwrap_or_else(|error| panic!("read at once, but not in batches: {error}"));
        if batch.is_empty() {
            break;
        }
        count += batch.len() as u64;
        if in_order {
            batch.iter().for_each(|event| assert_eq!(Some(event.time_ns), merged.next().map(|event| event.time_ns)));
        }
    }
    assert_eq!(count, whole.event_count());
    assert_eq!(stream.facts().accounting.events, whole.accounting.events);
}

/// Formats of events of every shape, for records without headers.
fn formats() -> Vec<eventformat::EventFormat> {
    let common = "field:unsigned short common_type; offset:0; size:2; signed:0;\nfield:unsigned char common_flags; offset:2; size:1; \
                  signed:0;\nfield:int common_pid; offset:4; size:4; signed:1;\n";
    let sizes = "field:unsigned long call_site; offset:8; size:8; signed:0;\nfield:const void * ptr; offset:16; size:8; signed:0;\n";
    let alloc = "field:size_t bytes_req; offset:24; size:8; signed:0;\nfield:size_t bytes_alloc; offset:32; size:8; signed:0;\n\
                 field:unsigned long gfp_flags; offset:40; size:8; signed:0;\nfield:int node; offset:48; size:4; signed:1;\n";
    let all: [(&str, &str, u16, String); 7] = [
        ("kmem", "kmalloc", 1, format!("{sizes}{alloc}")),
        ("kmem", "kmem_cache_alloc", 2, format!("{sizes}{alloc}field:bool accounted; offset:52; size:1; signed:0;\n")),
        ("kmem", "kfree", 3, sizes.to_owned()),
        ("kmem", "kmem_cache_free", 4, format!("{sizes}field:__data_loc char[] name; offset:24; size:4; signed:0;\n")),
        (
            "kmem",
            "mm_page_alloc",
            5,
            "field:unsigned long pfn; offset:8; size:8; signed:0;\nfield:unsigned int order; offset:16; size:4; signed:0;\n\
             field:int migratetype; offset:20; size:4; signed:1;\n"
                .to_owned(),
        ),
        (
            "ftrace",
            "print",
            6,
            "field:unsigned long ip; offset:8; size:8; signed:0;\nfield:char buf[]; offset:16; size:0; signed:0;\n".to_owned(),
        ),
        ("user_events", "mark", 7, "field:__rel_loc char[] text; offset:8; size:4; signed:0;\n".to_owned()),
    ];
    let parsed = all.iter().map(|(system, name, id, fields)| {
        let text = format!("name: {name}\nID: {id}\nformat:\n{common}\n{fields}");
        eventformat::parse(system, text.as_bytes()).unwrap_or_else(|fault| panic!("{name}: {fault}"))
    });
    parsed.collect()
}

/// What a perf.data from a pipe has before its first sample: see `fuzz/README.md`.
const PERF_HEAD: &[u8] = include_bytes!("../fuzz/perf-head");

/// What a fuzzer calls with bytes.
pub type Target = fn(&[u8]);

/// By folder of the corpora: the function that its files are for.
pub const TARGETS: [(&str, Target); 11] = [
    ("tracedat", tracedat),
    ("ring", ring),
    ("perfdata", perfdata),
    ("perfrecords", perfrecords),
    ("eventformat", format),
    ("text", text),
    ("capture", capture),
    ("packed", packed),
    ("store", store),
    ("ringdump", ringdump),
    ("symbols", symbols),
];

#[cfg(test)]
mod tests {
    use super::*;

    /// Inputs that fuzzing found to be of interest, those that once made a parser fail among them.
    #[test]
    fn what_fuzzing_found_is_read_without_a_fault() {
        let corpora = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let files: Vec<_> = std::fs::read_dir(corpora.join(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
            assert!(!files.is_empty(), "{name}");
            for file in files {
                target(&std::fs::read(&file).unwrap());
            }
        }
    }
}
