//! Whole lines of a trace to events, with everything numbered within them.

use std::ops::Range;

use memchr::{memchr, memmem};
use rustc_hash::FxHashMap;

use super::arguments::{self, Arguments, Form, Pointer};
use super::body::{self, Unusable};
use super::gfp::Flags;
use super::head::{self, Head, Line, Shape, Stamp, Unit};
use super::kind::{KINDS, Kind};
use super::number::{decimal, skip_blanks};
use super::sites::Sites;
use crate::event::{Body, Event};
use crate::interner::Interner;
use crate::parse::excerpt_of_line;
use crate::recording::Loss;

/// How the lines of a file are to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Reading {
    pub(super) shape: Shape,
    /// What is in front of each line of the buffer that is read, if there are several in the file.
    pub(super) buffer: Vec<u8>,
}

/// Events of some lines.
#[derive(Debug, Default)]
pub(super) struct Piece<'a> {
    /// Length of its lines.
    pub(super) bytes: usize,
    /// Call sites, names and marks are numbered within the piece.
    pub(super) events: Vec<Event>,
    /// Where in `events` stamps begin to be of another unit.
    pub(super) units: Vec<(usize, Unit)>,
    pub(super) sites: Sites<'a>,
    pub(super) names: Interner,
    pub(super) marks: Vec<String>,
    pub(super) flags: Flags<'a>,
    pub(super) forms: Forms,
    /// By [`Kind`]: events, and those of them that could not be used.
    pub(super) counts: [u64; KINDS],
    pub(super) unusable: [u64; KINDS],
    pub(super) withheld: u64,
    /// Other events, by name.
    pub(super) others: FxHashMap<&'a [u8], u64>,
    pub(super) lines: Lines,
    pub(super) losses: Vec<Loss>,
    /// Events that were overwritten before the first line, by headers.
    pub(super) overwritten: u64,
    /// Lines of events without a CPU.
    pub(super) without_cpu: u64,
    /// The last name of each thread, with the blanks that are printed around it.
    pub(super) tasks: FxHashMap<i32, &'a [u8]>,
    /// The thread of the last event.
    last_task: (i32, &'a [u8]),
    /// By [`Kind`]: the arguments of the last event.
    last: [&'a [u8]; KINDS],
}

/// Pointers of objects by how they were printed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Forms {
    pub(super) plain16: u64,
    pub(super) plain8: u64,
    pub(super) prefixed: u64,
}

/// What the lines were.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Lines {
    pub(super) all: u64,
    /// Of those with a head.
    pub(super) with_head: u64,
    /// Neither a head nor anything that belongs into such a file.
    pub(super) noise: u64,
    /// The first of these: its number from 1 and its text.
    pub(super) first_noise: Option<(u64, String)>,
    /// Of other buffers than the one that is read.
    pub(super) of_other_buffers: u64,
    /// The first event that could not be used.
    pub(super) first_unusable: Option<(u64, String)>,
}

/// Reads whole lines: `range` of `file` begins with a line and ends with one.
///
/// `events` is an empty buffer for its events.
pub(super) fn read<'a>(file: &'a [u8], range: Range<usize>, reading: &Reading, events: Vec<Event>) -> Piece<'a> {
    /// A line of a free is about as long.
    const LINE_BYTES: usize = 110;
    let mut piece = Piece { bytes: range.len(), events, ..Piece::default() };
    piece.events.reserve(range.len() / LINE_BYTES);
    let (mut at, end) = (range.start, range.end);
    while at < end {
        let rest = file.get(at..end).unwrap_or_default();
        let newline = memchr(b'\n', rest);
        let line = rest.get(..newline.unwrap_or(rest.len())).unwrap_or(rest);
        at += line.len() + 1;
        piece.line(line, reading, newline.is_some(), || file.get(at..).unwrap_or_default());
    }
    piece
}

impl<'a> Piece<'a> {
    #[inline]
    fn line(&mut self, line: &'a [u8], reading: &Reading, is_ended: bool, rest: impl Fn() -> &'a [u8]) {
        self.lines.all += 1;
        let line = match line.last() {
            Some(b'\r' | b'\\') => without_ending(line),
            _ => line,
        };
        if line.first() == Some(&b'#') && is_comment(line) {
            return self.comment(line);
        }
        let own = if reading.buffer.is_empty() { Some(line) } else { line.strip_prefix(reading.buffer.as_slice()) };
        let Some(own) = own else {
            return self.of_other_buffer(line);
        };
        match head::line(own, reading.shape) {
            Some(Line::Event(head)) => {
                self.lines.with_head += 1;
                self.task(head.pid, own.get(..head.thread_end).unwrap_or_default());
                self.event(&head, line, is_ended);
            }
            Some(Line::Other) => self.lines.with_head += 1,
            Some(Line::Lost { cpu, time_ns, count }) => {
                self.lines.with_head += 1;
                self.losses.push(Loss { cpu, time_ns, count });
            }
            None => self.without_head(own, reading, rest),
        }
    }

    #[inline]
    fn task(&mut self, pid: i32, name: &'a [u8]) {
        if self.last_task != (pid, name) {
            self.last_task = (pid, name);
            self.tasks.insert(pid, name);
        }
    }

    #[inline]
    fn event(&mut self, head: &Head<'a>, line: &[u8], is_ended: bool) {
        let Some(kind) = head.kind else { return self.other(head) };
        let number = kind as usize;
        self.counts.get_mut(number).into_iter().for_each(|count| *count += 1);
        let result = if is_ended || self.is_whole(kind, head.arguments) { body::read(kind, head, self) } else { Err(Unusable::Incomplete) };
        match result {
            Ok(body) => {
                self.push(head, body);
                self.last.get_mut(number).into_iter().for_each(|last| *last = head.arguments);
            }
            Err(why) => {
                self.unusable.get_mut(number).into_iter().for_each(|count| *count += 1);
                self.withheld += u64::from(why == Unusable::Withheld);
                if why == Unusable::Incomplete {
                    let number = self.lines.all;
                    self.lines.first_unusable.get_or_insert_with(|| (number, excerpt_of_line(line)));
                }
            }
        }
    }

    fn other(&mut self, head: &Head<'a>) {
        *self.others.entry(head.name).or_default() += 1;
        // perf does not record trace_marker; a program can write the same text to an event of its own.
        if head.system == b"user_events"
            && let Some(text) = memchr(b'=', head.arguments).and_then(|at| head.arguments.get(at + 1..))
            && let Some(body) = body::mark(text, self)
        {
            self.push(head, body);
        }
    }

    #[inline]
    fn push(&mut self, head: &Head<'_>, body: Body) {
        let Stamp { ns: time_ns, unit } = head.stamp;
        if self.units.last().is_none_or(|&(_, last)| last != unit) {
            self.units.push((self.events.len(), unit));
        }
        self.without_cpu += u64::from(head.cpu.is_none());
        self.events.push(Event { time_ns, body, pid: head.pid, cpu: head.cpu.unwrap_or(0), context: head.context });
    }

    /// A last line without an end may have been cut off anywhere. It is whole if it has all that the last event of
    /// its kind had, and no value looks shorter.
    fn is_whole(&self, kind: Kind, text: &[u8]) -> bool {
        let last = self.last.get(kind as usize).copied().unwrap_or_default();
        let (here, before) = (arguments::read(text, kind.is_free()), arguments::read(last, kind.is_free()));
        let keys = |found: &Arguments<'_>| {
            let Arguments { object, pages, .. } = found;
            let of_objects = [object.ptr.is_some(), object.node.is_some(), object.accounted.is_some(), object.name.is_some()];
            let of_pages =
                [pages.order.is_some(), pages.migratetype.is_some(), object.gfp_flags.is_some(), pages.change_ownership.is_some()];
            (of_objects, of_pages)
        };
        let is_prefixed = |ptr: &Pointer| ptr.form == Form::Prefixed && ptr.value != 0;
        let zeros = |found: &Arguments<'_>| found.object.ptr.filter(is_prefixed).map(|ptr| ptr.value.leading_zeros() / 4);
        let is_longer = |name: &String| found_in(name, here.object.name);
        (last.is_empty() || keys(&here) == keys(&before))
            && !matches!((zeros(&here), zeros(&before)), (Some(here), Some(before)) if here > before)
            && !self.names.names.iter().any(is_longer)
    }

    #[cold]
    fn comment(&mut self, line: &[u8]) {
        // `entries-in-buffer/entries-written: A/B`: the oldest B-A events are gone.
        let Some(at) = memmem::find(line, b"entries-written:") else { return };
        let numbers = line.get(at + b"entries-written:".len()..).map(skip_blanks).and_then(decimal);
        let Some((kept, rest)) = numbers else { return };
        if let Some((written, _)) = rest.strip_prefix(b"/").and_then(decimal) {
            self.overwritten = self.overwritten.saturating_add(written.saturating_sub(kept));
        }
    }

    #[cold]
    fn of_other_buffer(&mut self, line: &'a [u8]) {
        if skip_blanks(line).is_empty() || memmem::find(line, b"cpus=").is_some() {
            return;
        }
        self.lines.of_other_buffers += 1;
    }

    #[cold]
    fn without_head(&mut self, line: &'a [u8], reading: &Reading, rest: impl Fn() -> &'a [u8]) {
        if let Some((cpu, count)) = loss(line) {
            let time_ns = next_stamp(rest(), cpu, reading).map(|stamp| stamp.ns);
            let time_ns = time_ns.or(self.events.last().map(|event| event.time_ns)).unwrap_or(0);
            return self.losses.push(Loss { cpu, time_ns, count });
        }
        if !is_companion(line, reading.shape) {
            self.lines.noise += 1;
            let number = self.lines.all;
            self.lines.first_noise.get_or_insert_with(|| (number, excerpt_of_line(line)));
        }
    }
}

/// True of a name that begins with another one: that may be the cut one.
fn found_in(name: &str, cut: Option<&[u8]>) -> bool {
    cut.is_some_and(|cut| name.len() > cut.len() && name.as_bytes().starts_with(cut))
}

/// Without a carriage return, or the backslashes of a trace that stands in a program's text.
fn without_ending(line: &[u8]) -> &[u8] {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    line.strip_suffix(b"\\n\\").unwrap_or(line)
}

/// True of header lines and `##### CPU 3 buffer started ####`. A thread's name may begin with the same character.
fn is_comment(line: &[u8]) -> bool {
    matches!(line.get(1), None | Some(b' ' | b'\t' | b'#'))
}

/// `CPU:2 [LOST 17 EVENTS]` of the kernel, `CPU:2 [17 EVENTS DROPPED]` of trace-cmd; both also without a number.
fn loss(line: &[u8]) -> Option<(u16, Option<u64>)> {
    let (cpu, rest) = decimal(skip_blanks(line).strip_prefix(b"CPU:")?)?;
    let inner = skip_blanks(rest).strip_prefix(b"[")?;
    let inner = inner.get(..memchr(b']', inner)?)?;
    if !inner.starts_with(b"LOST") && !inner.ends_with(b"DROPPED") {
        return None;
    }
    let count = inner.split(|&byte| byte == b' ').find_map(|word| decimal(word).map(|(count, _)| count));
    Some((u16::try_from(cpu).ok()?, count))
}

/// The stamp of the event behind a loss, which is of the same CPU.
fn next_stamp(rest: &[u8], cpu: u16, reading: &Reading) -> Option<Stamp> {
    /// Another loss or a stack may be in between.
    const LINES: usize = 64;
    rest.split(|&byte| byte == b'\n').take(LINES).find_map(|line| {
        match head::line(line.strip_prefix(reading.buffer.as_slice())?, reading.shape)? {
            Line::Event(head) if head.cpu == Some(cpu) => Some(head.stamp),
            _ => None,
        }
    })
}

/// True of lines that belong to the event before them or to the file: stacks, call chains, the number of CPUs.
fn is_companion(line: &[u8], shape: Shape) -> bool {
    let text = skip_blanks(line);
    let is_chain = || {
        let address = text.split(|&byte| byte == b' ').next().unwrap_or_default();
        text.len() < line.len() && !address.is_empty() && address.iter().all(u8::is_ascii_hexdigit)
    };
    text.is_empty()
        || text.starts_with(b"=> ")
        || text.starts_with(b"cpus=")
        || text.starts_with(b"version = ")
        || text.starts_with(b"CPU ") && text.ends_with(b" is empty")
        || shape == Shape::Perf && is_chain()
}
