//! Pieces put together in the order of the file: numbers, times and an account of the whole trace.

use std::collections::BTreeMap;

use super::chunk::{Lines, Piece};
use super::clock::Clock;
use super::gfp::Spelling;
use super::head::{Shape, Unit};
use super::kind::{KINDS, LABELS};
use super::opening::Opening;
use super::pointers::Survey;
use super::sites::Symbols;
use crate::error::{Fault, Place, Problem};
use crate::event::{Body, Event, MarkId, NameId};
use crate::interner::Interner;
use crate::recording::{Info, Pointers, Recording};

/// Takes pieces in the order of the file.
#[derive(Debug)]
pub(super) struct Joining<'o> {
    opening: &'o Opening,
    survey: Survey,
    names: Interner,
    symbols: Symbols,
    clock: Clock,
    /// Info, names, marks, sites and the account so far.
    pub(super) recording: Recording,
    lines: Lines,
    units: [u64; 3],
    spellings: [u64; 3],
    unknown_flags: BTreeMap<String, u64>,
    dropped_names: u64,
    nulls: u64,
    withheld: u64,
    without_cpu: u64,
    usable: u64,
    other_events: u64,
}

/// Other events that are counted by name; the rest is counted together.
const OTHERS_KEPT: usize = 1000;

impl<'o> Joining<'o> {
    pub(super) fn new(opening: &'o Opening, survey: Survey) -> Self {
        let facts = &opening.facts;
        let info = Info {
            format: opening.writer.to_owned(),
            kernel: facts.kernel.clone(),
            cpus: facts.cpus,
            nodes: facts.nodes.clone(),
            hostname: facts.hostname.clone(),
            command: facts.command.clone(),
            long_bytes: survey.long_bytes,
            buffer: opening.buffer.clone(),
            other_buffers: opening.other_buffers.clone(),
            pointers: survey.pointers,
            ..Info::default()
        };
        Self {
            opening,
            survey,
            names: Interner::default(),
            symbols: Symbols::default(),
            clock: Clock::default(),
            recording: Recording { info, ..Recording::default() },
            lines: Lines::default(),
            units: [0; 3],
            spellings: [0; 3],
            unknown_flags: BTreeMap::new(),
            dropped_names: 0,
            nulls: 0,
            withheld: 0,
            without_cpu: 0,
            usable: 0,
            other_events: 0,
        }
    }

    /// Takes over a piece; its events get the numbers and times of the whole trace.
    pub(super) fn take(&mut self, piece: Piece<'_>) -> Vec<Event> {
        let Piece { mut events, sites, names, marks, units, .. } = piece;
        let sites = self.symbols.resolve(&sites, &mut self.recording.sites);
        let names: Vec<Option<NameId>> = names.names.iter().map(|name| self.names.number(name.as_bytes())).collect();
        self.recording.names.extend(self.names.names.get(self.recording.names.len()..).unwrap_or_default().iter().cloned());
        self.dropped_names += names.iter().filter(|name| name.is_none()).count() as u64;
        let first_mark = u32::try_from(self.recording.marks.len()).unwrap_or(u32::MAX);
        self.recording.marks.extend(marks);
        let null = self.survey.null;
        let site =
            |site: &mut u64| *site = usize::try_from(*site).ok().and_then(|site| sites.get(site.checked_sub(1)?)).copied().unwrap_or(0);
        let name = |name: &mut Option<NameId>| *name = name.and_then(|name| names.get(usize::from(name.0)).copied().flatten());
        // One piece is in one unit, but for files that were put together.
        let mut units = units.into_iter().peekable();
        let mut unit = Unit::Microsecond;
        for (number, event) in events.iter_mut().enumerate() {
            while let Some((_, next)) = units.next_if(|&(from, _)| from <= number) {
                unit = next;
            }
            self.units.get_mut(unit as usize).into_iter().for_each(|count| *count += 1);
            event.time_ns = self.clock.time(event.time_ns, unit, event.cpu);
            match &mut event.body {
                Body::Alloc(alloc) => {
                    site(&mut alloc.call_site);
                    name(&mut alloc.name);
                }
                Body::Free(free) => {
                    site(&mut free.call_site);
                    name(&mut free.name);
                    if null == Some(free.ptr) {
                        free.ptr = 0;
                        self.nulls += 1;
                    }
                }
                Body::Mark(MarkId(id)) => *id = id.saturating_add(first_mark),
                _ => {}
            }
        }
        self.usable += events.len() as u64;
        events
    }

    /// Takes over what a piece counts; before [`Joining::take`].
    pub(super) fn count(&mut self, piece: &mut Piece<'_>) {
        let accounting = &mut self.recording.accounting;
        accounting.sub_buffers += 1;
        accounting.losses.append(&mut piece.losses);
        accounting.ring_overruns = accounting.ring_overruns.saturating_add(piece.overwritten);
        for (label, (&count, &unusable)) in LABELS.iter().zip(piece.counts.iter().zip(&piece.unusable)) {
            if count > 0 {
                *accounting.events.entry((*label).to_owned()).or_default() += count;
            }
            if unusable > 0 {
                *accounting.short_records.entry((*label).to_owned()).or_default() += unusable;
            }
        }
        let mut others: Vec<_> = piece.others.drain().collect();
        others.sort_unstable();
        for (name, count) in others {
            self.other_events += count;
            let name = String::from_utf8_lossy(name).into_owned();
            if accounting.events.len() < OTHERS_KEPT + KINDS || accounting.events.contains_key(&name) {
                *accounting.events.entry(name).or_default() += count;
            } else {
                *accounting.events.entry("(others)".to_owned()).or_default() += count;
            }
        }
        let names = piece.tasks.drain().map(|(pid, name)| (pid, name.trim_ascii()));
        // The kernel prints dots for a thread whose name it has not saved, perf a number.
        let is_number = |pid: i32, name: &[u8]| name.strip_prefix(b":").is_some_and(|number| number == pid.to_string().as_bytes());
        let named = names.filter(|&(pid, name)| !matches!(name, b"" | b"<...>") && !is_number(pid, name));
        self.recording.tasks.extend(named.map(|(pid, name)| (pid, String::from_utf8_lossy(name).into_owned())));
        for (flags, uses) in &piece.flags.all {
            self.spellings.get_mut(flags.spelling as usize).into_iter().for_each(|count| *count += uses);
            if let Some(unknown) = &flags.unknown {
                *self.unknown_flags.entry(unknown.clone()).or_default() += uses;
            }
        }
        self.withheld += piece.withheld;
        self.without_cpu += piece.without_cpu;
        let before = self.lines.all;
        let at = |example: Option<(u64, String)>| example.map(|(line, text)| (line + before, text));
        let lines = std::mem::take(&mut piece.lines);
        self.lines.first_noise = self.lines.first_noise.take().or_else(|| at(lines.first_noise));
        self.lines.first_unusable = self.lines.first_unusable.take().or_else(|| at(lines.first_unusable));
        self.lines.all += lines.all;
        self.lines.with_head += lines.with_head;
        self.lines.noise += lines.noise;
        self.lines.of_other_buffers += lines.of_other_buffers;
        let [named, numbered, _] = self.spellings;
        self.recording.info.gfp_by_name = named > numbered;
    }

    /// Whether it was a trace at all, and what a reader of the report should know.
    pub(super) fn finish(mut self) -> Result<Recording, Problem> {
        let highest = self.recording.streams.last().map(|stream| stream.cpu);
        self.conclude(highest, 0)?;
        Ok(self.recording)
    }

    /// The same where the recording is still looked at. `late` events came further out of order than can be put right.
    pub(super) fn conclude(&mut self, highest_cpu: Option<u16>, late: u64) -> Result<(), Problem> {
        self.judge()?;
        let info = &mut self.recording.info;
        info.cpus = info.cpus.max(highest_cpu.map_or(0, |cpu| u32::from(cpu) + 1));
        let mut remarks = self.remarks();
        if late > 0 {
            remarks.push(format!("{late} events are too far out of order to be put right in batches"));
        }
        self.recording.accounting.remarks.extend(remarks);
        Ok(())
    }

    /// Fails if most of the text is none of a trace.
    fn judge(&self) -> Result<(), Problem> {
        let Lines { with_head, noise, of_other_buffers, first_noise, .. } = &self.lines;
        if let Some((line, text)) = first_noise.as_ref().filter(|_| *noise > with_head + of_other_buffers) {
            let expected = format!("a line of {}; only {with_head} of {} lines are", self.opening.writer, noise + with_head);
            let fault =
                Fault { section: "trace in text".into(), place: Place::Line(*line), expected: expected.into(), found: text.clone() };
            return Err(fault.into());
        }
        let unusable: u64 = self.recording.accounting.short_records.values().sum();
        if let Some((line, text)) = self.lines.first_unusable.as_ref().filter(|_| unusable > 0 && self.usable == 0) {
            let perf = if self.opening.reading.shape == Shape::Perf { " (`perf script -F comm,tid,cpu,time,event,trace`)" } else { "" };
            let expected = format!("the arguments of an event, such as call_site= and ptr={perf}; all {unusable} events lack some");
            let fault =
                Fault { section: "trace in text".into(), place: Place::Line(*line), expected: expected.into(), found: text.clone() };
            return Err(fault.into());
        }
        Ok(())
    }

    /// What a reader of the report should know.
    fn remarks(&self) -> Vec<String> {
        let mut remarks = Vec::new();
        self.remark_on_lines(&mut remarks);
        self.remark_on_time(&mut remarks);
        self.remark_on_pointers(&mut remarks);
        self.remark_on_values(&mut remarks);
        remarks
    }

    fn remark_on_lines(&self, remarks: &mut Vec<String>) {
        let accounting = &self.recording.accounting;
        if let Some((line, text)) = &self.lines.first_noise {
            remarks.push(format!("{} lines that are none of a trace were skipped; the first is line {line}: {text}", self.lines.noise));
        }
        if let Some((line, text)) = &self.lines.first_unusable {
            let count = accounting.short_records.values().sum::<u64>() - self.withheld;
            remarks.push(format!("{count} events could not be used for what they lack; the first is in line {line}: {text}"));
        }
        if self.lines.of_other_buffers > 0 {
            remarks.push(format!("{} lines of other buffers or files were left out", self.lines.of_other_buffers));
        }
        if accounting.ring_overruns > 0 {
            let remark = "the ring buffer was overwritten: {} events before the first one are gone, and what was live then is not known";
            remarks.push(remark.replace("{}", &accounting.ring_overruns.to_string()));
        }
        if self.opening.reading.shape == Shape::Perf && accounting.losses.is_empty() {
            remarks.push("text of perf does not show lost events unless printed with --show-lost-events".to_owned());
        }
    }

    fn remark_on_time(&self, remarks: &mut Vec<String>) {
        let [_, micro, ticks] = self.units;
        if micro > 0 {
            remarks.push("time stamps are in microseconds; events of the same one are taken in the order of their lines".to_owned());
        }
        if ticks > 0 {
            remarks.push("the trace clock does not run in seconds; its ticks are taken for nanoseconds".to_owned());
        }
        if self.clock.moved_on > 0 {
            let remark = "{} events got a later time, as too many share a stamp";
            remarks.push(remark.replace("{}", &self.clock.moved_on.to_string()));
        }
        if self.clock.backwards > 0 {
            remarks.push(format!("time goes back in {} places", self.clock.backwards));
        }
    }

    fn remark_on_pointers(&self, remarks: &mut Vec<String>) {
        if self.survey.pointers == Pointers::Hashed {
            remarks.push("pointers are hashed: objects can be told apart, but not where they were".to_owned());
        }
        if self.survey.is_mixed {
            remarks.push("some pointers are hashed and others are not; the same object may have two".to_owned());
        }
        if let Some(null) = self.survey.null {
            remarks.push(format!("NULL is hashed too: {null:016x}, freed {} times, is taken for it", self.nulls));
        }
        if self.withheld > 0 {
            remarks.push(format!("{} events of early boot have (ptrval) for a pointer and were left out", self.withheld));
        }
        if self.without_cpu > 0 {
            remarks.push(format!("{} events have no CPU; they are taken for CPU 0's", self.without_cpu));
        }
    }

    fn remark_on_values(&self, remarks: &mut Vec<String>) {
        let [named, numbered, _] = self.spellings;
        if named > 0 && numbered > 0 {
            let remark = "gfp flags are names in {} events and numbers in {}; both are taken for those of the larger group";
            remarks.push(remark.replacen("{}", &named.to_string(), 1).replacen("{}", &numbered.to_string(), 1));
        }
        for (name, count) in self.unknown_flags.iter().take(20) {
            remarks.push(format!("the gfp flag {name} is not known ({count} events)"));
        }
        if self.dropped_names > 0 {
            remarks.push(format!("{} cache names beyond the first 65536 were dropped", self.dropped_names));
        }
        if self.symbols.dropped > 0 {
            remarks.push(format!("{} call sites beyond the first 16 million were dropped", self.symbols.dropped));
        }
    }
}

const _: () = assert!(Spelling::Names as usize == 0 && Spelling::Number as usize == 1);
const _: () = assert!(Unit::Microsecond as usize == 1 && Unit::Tick as usize == 2);
