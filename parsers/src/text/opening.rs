//! The first lines of a file: whether it is a trace in text, of which kind, and what it says of itself.

use std::collections::BTreeMap;

use memchr::memmem;

use super::chunk::Reading;
use super::head::{self, Line, Shape};
use super::kind::Kind;
use super::number::{decimal, is_identifier, skip_blanks};
use crate::error::Problem;

/// What the first lines tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Opening {
    pub(super) reading: Reading,
    /// Who wrote it.
    pub(super) writer: &'static str,
    /// Names of the buffer that is read and of the others.
    pub(super) buffer: String,
    pub(super) other_buffers: Vec<String>,
    pub(super) facts: Facts,
}

/// What a header says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Facts {
    pub(super) kernel: String,
    pub(super) hostname: String,
    pub(super) command: String,
    pub(super) cpus: u32,
    pub(super) nodes: Vec<(u32, Vec<u32>)>,
}

/// How many lines and bytes are looked at. There may be a boot log before the first event.
const LINES: usize = 4000;
const BYTES: usize = 1 << 20;

/// True of a file that is a trace in text, whether it can be read or not.
#[must_use]
pub fn is_text_trace(bytes: &[u8]) -> bool {
    let looked = Looked::at(bytes);
    looked.is_text && (looked.has_header || looked.refused.is_some() || looked.shapes.iter().any(|shape| shape.memory > 0))
}

/// Looks at the first lines of a trace in text.
pub(super) fn open(bytes: &[u8]) -> Result<Opening, Problem> {
    let looked = Looked::at(bytes);
    let best = looked.shapes.iter().max_by_key(|seen| (seen.memory, seen.heads, seen.shape == Shape::Thread));
    let Some(best) = best.filter(|best| best.memory > 0 || looked.refused.is_none()) else {
        return Err(Problem::Unsupported(looked.refused.unwrap_or("no trace that can be read").to_owned()));
    };
    let (shape, buffers) = (best.shape, &best.buffers);
    // Of equal ones the first by name: the top buffer has none.
    let chosen = buffers.iter().rev().max_by_key(|(_, count)| **count).map(|(prefix, _)| prefix.clone()).unwrap_or_default();
    let name = |prefix: &[u8]| String::from_utf8_lossy(prefix).trim().trim_end_matches(':').to_owned();
    let writer = match shape {
        Shape::Perf => "perf script",
        _ if looked.is_trace_cmd => "trace-cmd report",
        Shape::Latency => "ftrace text, latency format",
        Shape::Thread if looked.is_ftrace => "ftrace text",
        Shape::Thread => "text of ftrace or trace-cmd",
    };
    Ok(Opening {
        writer,
        buffer: name(&chosen),
        other_buffers: buffers.keys().filter(|prefix| **prefix != chosen).map(|prefix| name(prefix)).collect(),
        reading: Reading { shape, buffer: chosen },
        facts: looked.facts,
    })
}

/// What was seen in the first lines.
#[derive(Debug)]
struct Looked {
    is_text: bool,
    has_header: bool,
    is_ftrace: bool,
    is_trace_cmd: bool,
    /// What it is if it cannot be read.
    refused: Option<&'static str>,
    shapes: [Seen; 3],
    facts: Facts,
}

/// Lines that have heads of one shape.
#[derive(Debug)]
struct Seen {
    shape: Shape,
    heads: u64,
    /// Of those, events of objects or pages.
    memory: u64,
    /// By what stands in front of a thread's column: events.
    buffers: BTreeMap<Vec<u8>, u64>,
}

impl Looked {
    fn at(bytes: &[u8]) -> Self {
        let seen = |shape| Seen { shape, heads: 0, memory: 0, buffers: BTreeMap::new() };
        let mut looked = Self {
            is_text: true,
            has_header: false,
            is_ftrace: false,
            is_trace_cmd: false,
            refused: None,
            shapes: [Shape::Thread, Shape::Latency, Shape::Perf].map(seen),
            facts: Facts::default(),
        };
        let window = bytes.get(..BYTES).unwrap_or(bytes);
        // A thread's name holds any byte but this.
        looked.is_text = !window.contains(&0);
        if looked.is_text {
            window.split(|&byte| byte == b'\n').take(LINES).for_each(|line| looked.line(line.strip_suffix(b"\r").unwrap_or(line)));
        }
        looked
    }

    fn line(&mut self, line: &[u8]) {
        if line.first() == Some(&b'#') {
            return self.comment(line);
        }
        let text = skip_blanks(line);
        let number_after = |key: &[u8]| memmem::find(text, key).and_then(|at| decimal(text.get(at + key.len()..)?));
        if (text.starts_with(b"cpus=") || memmem::find(text, b": cpus=").is_some())
            && let Some((cpus, b"")) = number_after(b"cpus=")
        {
            self.facts.cpus = self.facts.cpus.max(u32::try_from(cpus).unwrap_or(0));
            (self.is_trace_cmd, self.has_header) = (true, true);
            return;
        }
        let mut has_head = false;
        for seen in &mut self.shapes {
            let Some(found) = head::line(line, seen.shape) else { continue };
            has_head = true;
            seen.heads += 1;
            if let Line::Event(head) = found
                && head.kind.is_some_and(Kind::is_memory)
            {
                seen.memory += 1;
                if seen.shape == Shape::Thread {
                    *seen.buffers.entry(column_of_buffer(line, head.thread_end)).or_default() += 1;
                }
            }
        }
        if !has_head && self.refused.is_none() {
            self.refused = refused(text);
        }
    }

    fn comment(&mut self, line: &[u8]) {
        let text = String::from_utf8_lossy(line);
        let text = text.trim_start_matches('#').trim();
        let facts = &mut self.facts;
        if text.starts_with("tracer: ") {
            (self.is_ftrace, self.has_header) = (true, true);
        }
        if let Some((_, release)) = text.split_once(" latency trace v").and_then(|(_, rest)| rest.split_once(" on ")) {
            release.trim().clone_into(&mut facts.kernel);
            (self.is_ftrace, self.has_header) = (true, true);
        }
        if let Some((_, cpus)) = text.rsplit_once("#P:") {
            let digits: String = cpus.chars().take_while(char::is_ascii_digit).collect();
            facts.cpus = facts.cpus.max(digits.parse().unwrap_or(0));
        }
        let Some((key, value)) = text.split_once(':').map(|(key, value)| (key.trim(), value.trim())) else { return };
        match key {
            "captured on" => self.has_header = true,
            "hostname" => value.clone_into(&mut facts.hostname),
            "os release" => value.clone_into(&mut facts.kernel),
            "cmdline" => value.clone_into(&mut facts.command),
            "nrcpus avail" => facts.cpus = value.parse().unwrap_or(0).max(facts.cpus),
            _ => {
                let node = key.strip_prefix("node").and_then(|key| key.strip_suffix(" cpu list"));
                if let (Some(Ok(node)), Some(cpus)) = (node.map(|node| node.trim().parse()), crate::parse::cpu_list(value)) {
                    facts.nodes.push((node, cpus));
                }
            }
        }
    }
}

/// What stands in front of the column of threads: with several files or buffers trace-cmd puts their names there.
fn column_of_buffer(line: &[u8], thread_end: usize) -> Vec<u8> {
    const THREAD_COLUMNS: usize = 16;
    let column = thread_end.checked_sub(THREAD_COLUMNS).and_then(|end| line.get(..end)).unwrap_or_default();
    if column.ends_with(b": ") || column.len() > 2 && column.ends_with(b"  ") { column.to_vec() } else { Vec::new() }
}

/// Why a line without a head can never be read, if it belongs to a trace.
fn refused(line: &[u8]) -> Option<&'static str> {
    let has = |needle: &str| memmem::find(line, needle.as_bytes()).is_some();
    if has("ms (+") && has("] ") && has("ms): ") {
        return Some(
            "a trace in the verbose variant of the latency format, which cannot be read; print it again after `echo 0 > options/verbose`",
        );
    }
    if has("/* kmalloc: ") || has("/* kfree: ") || has("/* kmem_cache_") || has("/* mm_page_") {
        return Some(
            "events inside of the text of the tracer function_graph, which have neither thread nor time; record with the tracer nop",
        );
    }
    let words: Vec<&[u8]> = line.split(|&byte| byte == b' ').filter(|word| !word.is_empty()).take(5).collect();
    let is_number = |word: &[u8]| decimal(word).is_some_and(|(_, rest)| rest.is_empty());
    if let [pid, cpu, time, b"type:", number] = words.as_slice()
        && [pid, cpu, time, number].into_iter().all(|word| is_number(word))
    {
        return Some("a trace printed with the option `raw`, which leaves the fields out; print it again after `echo 0 > options/raw`");
    }
    let is_perf_event = |word: &[u8]| {
        let mut parts = word.split(|&byte| byte == b':');
        parts.next() == Some(b"kmem") && parts.next().is_some_and(|name| is_identifier(name) && Kind::of(name).is_some())
    };
    if line.split(|&byte| byte == b' ').any(is_perf_event) {
        return Some("text of perf without the fields that are needed; print it with `perf script -F comm,tid,cpu,time,event,trace`");
    }
    None
}
