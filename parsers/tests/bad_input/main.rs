//! Files that are cut off, damaged, lying or vanishing: counted damage or an error that says where,
//! never a panic, a hang, or memory out of proportion to the file.

mod claims;
mod counting;
mod cuts;
mod seeds;
mod shrinking;

#[allow(dead_code, reason = "shared with the unit tests, which use all of it")]
#[path = "../../src/tracedat/tests/layouts.rs"]
mod layouts;
mod perf;
#[allow(dead_code, reason = "shared with the unit tests, which use all of it")]
#[path = "../../src/perfdata/tests/writer.rs"]
mod perf_writer;
#[allow(dead_code, reason = "shared with the unit tests, which use all of it")]
#[path = "../../src/tracedat/tests/records.rs"]
mod records;
#[allow(dead_code, reason = "shared with the unit tests, which use all of it")]
#[path = "../../src/tracedat/tests/writer.rs"]
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::time::{Duration, Instant};

use layouts::{CACHE_FREE, KFREE, Kernel, PRINT, formats};
use perf_writer::{Mode, Packing};
use records::{LITTLE_64, Page, Record};
use slubreplay_parsers::recording::Recording;
use slubreplay_parsers::{AnyTrace, TraceError};
use writer::{Buffer, Codec, TraceFile, Written};

/// Memory that reading may take beside a multiple of the file's size.
const FIXED_BYTES: usize = 64 << 20;
/// A record of 8 bytes in the file becomes an event of 72, held twice while the pieces are joined.
const TIMES_FILE: usize = 64;
/// Far more than any of these files takes.
const PATIENCE: Duration = Duration::from_secs(20);

/// Reads a file; fails the test on a panic, on a message that helps nobody, and on waste.
fn read(path: &Path, what: &dyn std::fmt::Debug) -> Result<Recording, TraceError> {
    let file_bytes = std::fs::metadata(path).map_or(0, |metadata| metadata.len() as usize);
    let before = counting::restart();
    let start = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(|| AnyTrace::open(path)?.decode(&|_| {})));
    let result = result.unwrap_or_else(|_| panic!("panicked on {what:?}"));
    assert!(start.elapsed() < PATIENCE, "{:?} for {what:?}", start.elapsed());
    let taken = counting::peak().saturating_sub(before);
    assert!(taken <= FIXED_BYTES + TIMES_FILE * file_bytes, "{taken} bytes of memory for a file of {file_bytes}: {what:?}");
    if let Err(error) = &result {
        let message = error.to_string();
        assert!(message.contains(&path.display().to_string()), "{message:?} without the path: {what:?}");
        let has_cause = std::error::Error::source(error).is_some();
        assert!(has_cause || is_helpful(&message), "{message:?} says neither where nor why: {what:?}");
    }
    result
}

fn is_helpful(message: &str) -> bool {
    let reasons = [
        "the recording was not finished",
        "versions 6 and 7 can be read",
        "2.6.30 or older",
        "extract the text and read that",
        "no header info section",
        "version 2 can be read",
        "there are no event formats",
        "there are no events in it",
        "record with `perf record -a -R`",
        "record without --threads",
        "they have no id at one place",
        "most of it in records of unknown kinds",
        "a directory; expected a trace file",
        "while it was being read",
    ];
    let has_place = message.split("byte ").skip(1).any(|rest| rest.starts_with(|c: char| c.is_ascii_digit()));
    has_place || reasons.iter().any(|reason| message.contains(reason))
}

/// A small file of two CPUs with frees, a marker and a lost mark.
fn small(version: u8, codec: Codec) -> TraceFile {
    let formats = formats(Kernel::V6_1, LITTLE_64);
    let payload = |id: u16, numbers: &[(&str, u64)], texts: &[(&str, &str)]| {
        let format = formats.iter().find(|format| format.id == id).unwrap();
        format.payload(LITTLE_64, 42, 0, numbers, texts)
    };
    let page = |base: u64| {
        let site = ("call_site", 0xffff_ffff_8100_0000);
        let mut records = vec![Record::Data(1, payload(PRINT, &[("ip", 1)], &[("buf", "mark\n")])), Record::Extend(1 << 30)];
        for number in 0..20 {
            records.push(Record::Data(3, payload(KFREE, &[site, ("ptr", base + number * 64)], &[])));
            records.push(Record::Long(5, payload(CACHE_FREE, &[site, ("ptr", base + number * 64)], &[("name", "dentry")])));
        }
        records.push(Record::Padding(9, 40));
        Page { lost: Some(Some(3)), ..Page::new(base, records) }
    };
    let cpus = vec![(0, (0..3).map(|number| page(number * 10_000)).collect()), (1, vec![page(77)])];
    let mut file = TraceFile::new(version, LITTLE_64, formats.clone(), vec![Buffer::new("", 4096, cpus)]);
    (file.codec, file.chunk_pages) = (codec, 2);
    file.options.push((2, b"CPU: 0\noverrun: 0\n\0".to_vec()));
    file
}

/// The small files: trace.dat version 6, and version 7 with and without compression; perf.data likewise,
/// and from a pipe.
fn small_files() -> [(&'static str, Written); 8] {
    [
        ("v6", small(6, Codec::None).write()),
        ("v7 none", small(7, Codec::None).write()),
        ("v7 zlib", small(7, Codec::Zlib).write()),
        ("v7 zstd", small(7, Codec::Zstd).write()),
        ("perf", perf::written(Mode::File, Packing::Plain)),
        ("perf zstd", perf::written(Mode::File, Packing::Zstd(700))),
        ("perf pipe", perf::written(Mode::Pipe { counts_padding: true }, Packing::Plain)),
        ("perf pipe zstd", perf::written(Mode::Pipe { counts_padding: true }, Packing::Zstd2(700))),
    ]
}

/// Events in a small file: 4 sub-buffers, or rounds, of 41.
const SMALL_EVENTS: u64 = 164;

/// A small generator of numbers that are the same on every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: usize) -> usize {
        // xorshift64*
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 16) as usize % limit.max(1)
    }
}

#[test]
fn the_small_files_are_whole() {
    let _turn = counting::turn();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("trace.dat");
    for (name, file) in small_files() {
        std::fs::write(&path, file.bytes).unwrap();
        let recording = read(&path, &name).unwrap();
        let accounting = &recording.accounting;
        assert_eq!((recording.event_count(), accounting.damage_count(), accounting.lost_events()), (SMALL_EVENTS, 0, (12, 0)), "{name}");
    }
}

#[test]
fn what_is_no_trace_is_refused() {
    let _turn = counting::turn();
    let dir = tempfile::tempdir().unwrap();
    let message = read(dir.path(), &"a directory").unwrap_err().to_string();
    assert!(message.ends_with("a directory; expected a trace file"), "{message}");
    let path = dir.path().join("file");
    let cases: [(&[u8], String); 6] = [
        (b"", "found the end".to_owned()),
        (b"\x17\x08\x44", "found 17 08 44".to_owned()),
        (b"PERFILE2", "perf.data header, byte 8: expected 8 more bytes, found the end".to_owned()),
        (b"ELIFFREP", "version 2 can be read".to_owned()),
        (b"\x17\x08\x44tracing", "preamble, byte 10: expected a text that ends with NUL, found the end".to_owned()),
        (b"\x17\x08\x44tracing7\0\x02\x08", "preamble, byte 12: expected a byte order of 0 (little) or 1 (big), found 02 08".to_owned()),
    ];
    for (bytes, expected) in cases {
        std::fs::write(&path, bytes).unwrap();
        let message = read(&path, &bytes).unwrap_err().to_string();
        assert!(message.ends_with(&expected), "{message}");
    }
    assert!(read(&dir.path().join("absent"), &"an absent file").is_err_and(|error| matches!(error, TraceError::Io { .. })));
}
