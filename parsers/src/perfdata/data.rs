//! Runs of records to events, in parallel.

use std::collections::BTreeMap;

use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::events::{Event, Telling, Usage};
use super::records::{Record, is_known, kind, record_at, u16_at, u32_at, u64_at};
use super::sample::Layout;
use super::spans::{Span, Spans};
use super::{Contents, PerfData};
use crate::error::TraceError;
use crate::event;
use crate::joining::{Joiner, Numbered};
use crate::kmem::{Decoder, Piece};
use crate::mapped::reserve_huge;
use crate::parse::Endian;
use crate::recording::{Accounting, CpuStream, Damage, Info, Loss, Pointers, Recording};

/// `PERF_RECORD_MISC_LOST_SAMPLES_BPF`: a filter of the user's dropped them.
const MISC_FILTERED: u16 = 1 << 15;

/// What one run of records became.
#[derive(Default)]
pub(super) struct Decoded {
    pub(super) piece: Piece,
    /// Where the events of a CPU begin in the piece; perf writes one CPU's buffer after the other.
    runs: Vec<(u16, usize)>,
    pub(super) accounting: Accounting,
    pub(super) tally: Tally,
    /// Names of threads, in the order of the file.
    pub(super) tasks: Vec<(i32, String)>,
}

/// What is counted beside the events that the decoder counts.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// By number of the event: samples that were not decoded, and samples too short to be.
    undecoded: Vec<u64>,
    short: Vec<u64>,
    samples: u64,
    /// Samples whose id no event has, by id.
    strangers: FxHashMap<u32, u64>,
    /// Records of unknown kinds, by kind, and their bytes.
    unknown_kinds: BTreeMap<u32, u64>,
    unknown_bytes: u64,
    /// Samples that perf found to be lost when it had finished.
    lost_at_end: u64,
    filtered: u64,
}

pub(super) fn decode(perf: &PerfData, progress: &(dyn Fn(u64) + Sync)) -> Result<Recording, TraceError> {
    let contents = &perf.contents;
    let decoder = decoder(contents);
    let mut spans = Spans::new(&perf.file, contents.data_start, perf.data_end(), contents.endian);
    let decode_span = |span: &Span<'_>| {
        let decoded = read_span(contents, &decoder, span);
        progress(span.file_bytes);
        decoded
    };
    let mut decoded: Vec<Decoded> = Vec::new();
    let mut batch = spans.batch();
    while !batch.is_empty() {
        let (done, next) = rayon::join(|| batch.par_iter().map(decode_span).collect::<Vec<_>>(), || spans.batch());
        decoded.extend(done);
        batch = next;
    }
    let mut accounting = std::mem::take(&mut spans.accounting);
    note_cut(perf, &mut accounting);
    let (mut recording, tally) = assemble(decoded, contents.events.all.len(), &decoder, accounting);
    refuse_unknown(perf, &tally)?;
    let seen = recording.streams.iter().map(|stream| stream.cpu).max();
    recording.info = info(contents, spans.is_compressed(), seen);
    recording.symbols = perf.symbols();
    remark(contents, &decoder, tally, &mut recording.accounting);
    Ok(recording)
}

pub(super) fn decoder(contents: &Contents) -> Decoder {
    Decoder::new(&contents.blocks.formats, contents.endian == Endian::Big)
}

/// Notes that the file ends before its data does.
pub(super) fn note_cut(perf: &PerfData, accounting: &mut Accounting) {
    if let Some(end) = perf.contents.data_end.filter(|&end| end > perf.file.len() as u64) {
        accounting.damaged(Damage { cpu: 0, byte: perf.file.len() as u64, reason: format!("data up to byte {end}") });
    }
}

/// Refuses a file that is mostly of a kind of records that only a newer perf knows.
pub(super) fn refuse_unknown(perf: &PerfData, tally: &Tally) -> Result<(), TraceError> {
    if tally.samples > 0 || tally.unknown_bytes <= perf.data_bytes() / 2 {
        return Ok(());
    }
    let kinds: Vec<String> = tally.unknown_kinds.keys().take(5).map(u32::to_string).collect();
    let what = format!("a perf.data without samples, most of it in records of unknown kinds ({})", kinds.join(", "));
    Err(TraceError::Unsupported { path: perf.file.path().to_owned(), what })
}

/// Decodes the records of one span.
pub(super) fn read_span(contents: &Contents, decoder: &Decoder, span: &Span<'_>) -> Decoded {
    Reader { contents, decoder, decoded: Decoded::default() }.read(span)
}

/// Reads the records of one span.
struct Reader<'a> {
    contents: &'a Contents,
    decoder: &'a Decoder,
    decoded: Decoded,
}

impl Reader<'_> {
    fn read(mut self, span: &Span<'_>) -> Decoded {
        let events = self.contents.events.all.len();
        (self.decoded.tally.undecoded, self.decoded.tally.short) = (vec![0; events], vec![0; events]);
        self.decoded.accounting.sub_buffers = 1;
        // A sample of kmem is 88 bytes long or longer.
        self.decoded.piece.events.reserve(span.records.len() / 88);
        let mut at = 0;
        // Spans were cut between whole records.
        while let Ok(record) = record_at(&span.records, at, self.contents.endian) {
            match record.kind {
                kind::SAMPLE => self.sample(record.body, span, at),
                kind::COMM => self.task(record.body),
                kind::LOST | kind::LOST_SAMPLES | kind::THROTTLE => self.loss(record),
                known if is_known(known) => {}
                unknown => {
                    *self.decoded.tally.unknown_kinds.entry(unknown).or_default() += 1;
                    self.decoded.tally.unknown_bytes += record.bytes() as u64;
                }
            }
            at += record.bytes();
        }
        self.decoded
    }

    #[inline]
    fn sample(&mut self, body: &[u8], span: &Span<'_>, at: usize) {
        let Contents { endian, attrs, events, .. } = self.contents;
        let endian = *endian;
        let tally = &mut self.decoded.tally;
        tally.samples += 1;
        let number = match events.telling {
            Telling::First => 0,
            Telling::Id(place) => {
                // A sample too short for its id is a stranger by a number that no event has.
                let id = u64_at(body, place, endian).unwrap_or(u64::MAX);
                let Some(number) = attrs.find(id) else {
                    *tally.strangers.entry(u32::try_from(id).unwrap_or(u32::MAX)).or_default() += 1;
                    return;
                };
                usize::from(number)
            }
        };
        let Some(event) = events.all.get(number) else { return };
        let Usage::Decoded { format } = event.usage else {
            tally.undecoded.get_mut(number).into_iter().for_each(|count| *count += 1);
            return;
        };
        let Some((time, cpu, raw)) = fields(&event.layout, body, endian) else {
            tally.short.get_mut(number).into_iter().for_each(|count| *count += 1);
            return;
        };
        let Ok(cpu) = u16::try_from(cpu) else {
            return self.damaged(span, at, format!("a CPU number below 65536, found {cpu}"));
        };
        if let (Some(format), Some(found)) = (format, u16_at(raw, 0, endian))
            && format != found
        {
            return self.damaged(span, at, format!("raw data of event {format}, found that of event {found}"));
        }
        let piece = &mut self.decoded.piece;
        let before = piece.events.len();
        self.decoder.record(cpu, time, raw, piece);
        if piece.events.len() > before && self.decoded.runs.last().is_none_or(|(last, _)| *last != cpu) {
            self.decoded.runs.push((cpu, before));
        }
    }

    /// COMM: `u32` process, `u32` thread, name with a zero behind it.
    fn task(&mut self, body: &[u8]) {
        let (Some(thread), Some(name)) = (u32_at(body, 4, self.contents.endian), body.get(8..)) else { return };
        let name = name.split(|&byte| byte == 0).next().unwrap_or_default();
        self.decoded.tasks.push((thread.cast_signed(), String::from_utf8_lossy(name).into_owned()));
    }

    #[cold]
    fn damaged(&mut self, span: &Span<'_>, at: usize, expected: String) {
        let damage = match &span.records {
            std::borrow::Cow::Borrowed(_) => Damage { cpu: 0, byte: span.offset + at as u64, reason: expected },
            std::borrow::Cow::Owned(_) => {
                Damage { cpu: 0, byte: span.offset, reason: format!("{expected}, at byte {at} of what was decompressed") }
            }
        };
        self.decoded.accounting.damaged(damage);
    }

    /// LOST: `u64` id, `u64` records lost. LOST_SAMPLES: `u64` samples lost. THROTTLE: `u64` time, `u64` id.
    fn loss(&mut self, record: Record<'_>) {
        let endian = self.contents.endian;
        let word = |at: usize| u64_at(record.body, at, endian);
        let event = self.event_at_end(record.body);
        let trailer = event.or(self.contents.events.all.first()).and_then(|event| event.layout.trailer);
        let (time, cpu) = trailer.map_or((None, None), |trailer| trailer.read(record.body, endian));
        // What a ring buffer lost can be of any event; the others tell of one event each.
        if record.kind != kind::LOST && event.is_some_and(|event| !matches!(event.usage, Usage::Decoded { .. })) {
            return;
        }
        let (time, count) = match record.kind {
            kind::THROTTLE => (word(0).or(time), None),
            kind::LOST => (time, word(8)),
            _ if record.misc & MISC_FILTERED != 0 => {
                self.decoded.tally.filtered = self.decoded.tally.filtered.saturating_add(word(0).unwrap_or(0));
                return;
            }
            // Those that perf writes at its end have no time. They count again what LOST records told.
            _ if time.is_none_or(|time| time == 0) => {
                self.decoded.tally.lost_at_end = self.decoded.tally.lost_at_end.saturating_add(word(0).unwrap_or(0));
                return;
            }
            _ => (time, word(0)),
        };
        // Without a trailer, the sample before it is from the same buffer.
        let last = self.decoded.piece.events.last();
        let cpu = cpu.and_then(|cpu| u16::try_from(cpu).ok()).or(last.map(|event| event.cpu)).unwrap_or(0);
        let time_ns = time.or(last.map(|event| event.time_ns)).unwrap_or(0);
        self.decoded.accounting.losses.push(Loss { cpu, time_ns, count });
    }

    /// The event whose id stands at the end of a record that is no sample.
    fn event_at_end(&self, body: &[u8]) -> Option<&Event> {
        let Contents { endian, attrs, events, .. } = self.contents;
        // All events have it at one place, or there is no id.
        let place = body.len().checked_sub(events.all.first()?.layout.trailer?.id?)?;
        events.all.get(usize::from(attrs.find(u64_at(body, place, *endian)?)?))
    }
}

/// Time, CPU and raw data of a sample; `None` if it is too short for them.
#[inline]
fn fields<'a>(layout: &Layout, body: &'a [u8], endian: Endian) -> Option<(u64, u32, &'a [u8])> {
    Some((u64_at(body, layout.time?, endian)?, u32_at(body, layout.cpu?, endian)?, layout.raw(body, endian)?))
}

/// Events of one CPU in one piece: the piece and the range.
type Run = (usize, std::ops::Range<usize>);

/// Puts the pieces together in file order, and each CPU's events in order of time.
fn assemble(decoded: Vec<Decoded>, events: usize, decoder: &Decoder, accounting: Accounting) -> (Recording, Tally) {
    let mut recording = Recording { accounting, ..Recording::default() };
    let mut joiner = Joiner::default();
    let mut total = Tally::new(events);
    let mut cpus: BTreeMap<u16, Vec<Run>> = BTreeMap::new();
    let mut pieces: Vec<Numbered> = Vec::with_capacity(decoded.len());
    for part in decoded {
        recording.accounting.absorb(part.accounting);
        recording.tasks.extend(part.tasks);
        total.absorb(part.tally);
        let ends = part.runs.iter().skip(1).map(|&(_, start)| start).chain([part.piece.events.len()]);
        for (&(cpu, start), end) in part.runs.iter().zip(ends) {
            cpus.entry(cpu).or_default().push((pieces.len(), start..end));
        }
        pieces.push(joiner.take(part.piece, decoder, &mut recording));
    }
    let cpus: Vec<(u16, Vec<Run>)> = cpus.into_iter().collect();
    recording.streams = cpus.into_par_iter().map(|(cpu, runs)| CpuStream { cpu, events: in_order(&pieces, runs) }).collect();
    joiner.finish(&mut recording);
    (recording, total)
}

/// The events of one CPU by time; those of equal time stay in the order of the file.
fn in_order(pieces: &[Numbered], runs: Vec<Run>) -> Vec<event::Event> {
    let mut events = Vec::new();
    reserve_huge(&mut events, runs.iter().map(|(_, range)| range.len()).sum());
    for (piece, range) in runs {
        if let Some(piece) = pieces.get(piece) {
            events.extend(piece.events.get(range).unwrap_or_default().iter().map(|event| piece.numbers.apply(*event)));
        }
    }
    // An interrupt between taking the time and taking room in the buffer turns the order around.
    if !events.is_sorted_by_key(|event| event.time_ns) {
        events.sort_by_key(|event| event.time_ns);
    }
    events
}

impl Tally {
    pub(super) fn new(events: usize) -> Self {
        Self { undecoded: vec![0; events], short: vec![0; events], ..Self::default() }
    }

    pub(super) fn absorb(&mut self, other: Self) {
        self.undecoded.iter_mut().zip(other.undecoded).for_each(|(all, more)| *all += more);
        self.short.iter_mut().zip(other.short).for_each(|(all, more)| *all += more);
        self.samples += other.samples;
        let mut strangers: Vec<_> = other.strangers.into_iter().collect();
        strangers.sort_unstable();
        strangers.into_iter().for_each(|(id, count)| *self.strangers.entry(id).or_default() += count);
        other.unknown_kinds.into_iter().for_each(|(kind, count)| *self.unknown_kinds.entry(kind).or_default() += count);
        self.unknown_bytes += other.unknown_bytes;
        self.lost_at_end = self.lost_at_end.saturating_add(other.lost_at_end);
        self.filtered = self.filtered.saturating_add(other.filtered);
    }
}

/// What the file says of itself; `seen` is the highest CPU with an event.
pub(super) fn info(contents: &Contents, is_compressed: bool, seen: Option<u16>) -> Info {
    let (mode, codec) = (if contents.is_pipe { " from a pipe" } else { "" }, if is_compressed { " (zstd)" } else { "" });
    let features = &contents.features;
    Info {
        format: format!("perf.data{mode}{codec}"),
        kernel: features.osrelease.clone(),
        cpus: features.cpus.max(seen.map_or(0, |cpu| u32::from(cpu) + 1)),
        nodes: features.nodes.clone(),
        hostname: features.hostname.clone(),
        command: features.cmdline.join(" "),
        clock: contents.attrs.all.iter().find_map(|attr| attr.clock_id).map_or_else(|| "perf".to_owned(), clock),
        long_bytes: contents.blocks.header_page.long_bytes as u8,
        big_endian: contents.endian == Endian::Big,
        pointers: Pointers::Real,
        ..Info::default()
    }
}

/// The clock's name as ftrace has it, or as `perf record --clockid` does.
fn clock(id: i32) -> String {
    match id {
        0 => "realtime".to_owned(),
        1 => "mono".to_owned(),
        4 => "mono_raw".to_owned(),
        7 => "boot".to_owned(),
        11 => "tai".to_owned(),
        other => format!("clock {other}"),
    }
}

pub(super) fn remark(contents: &Contents, decoder: &Decoder, tally: Tally, accounting: &mut Accounting) {
    let counts = tally.undecoded.iter().zip(&tally.short);
    for ((event, attr), (&undecoded, &short)) in contents.events.all.iter().zip(&contents.attrs.all).zip(counts) {
        match event.usage {
            Usage::Decoded { .. } | Usage::Counted => {
                let count = undecoded + short;
                if count > 0 {
                    *accounting.events.entry(event.label.clone()).or_default() += count;
                }
                if short > 0 {
                    *accounting.short_records.entry(event.label.clone()).or_default() += short;
                }
            }
            Usage::Repeated => {
                let remark = format!("{} was recorded twice; the {undecoded} samples of the second time were left out", event.label);
                accounting.remarks.push(remark);
            }
        }
        // Samples of other events are not used, so nothing is missing for them.
        if matches!(event.usage, Usage::Decoded { .. }) && (attr.by_frequency || attr.sample_period > 1) {
            let remark = format!("only some of the events {} were recorded (perf record -c or -F)", event.label);
            accounting.remarks.push(remark);
        }
    }
    let strangers = tally.strangers.values().sum::<u64>();
    let mut by_id: Vec<_> = tally.strangers.into_iter().collect();
    by_id.sort_unstable();
    by_id.into_iter().for_each(|(id, count)| *accounting.unknown_ids.entry(id).or_default() += count);
    if strangers > 0 {
        accounting.remarks.push(format!("{strangers} samples have an id that no event has"));
    }
    accounting.absent_fields = decoder.absent_fields().to_vec();
    accounting.ring_overruns = tally.lost_at_end;
    let remarks = &mut accounting.remarks;
    contents.blocks.remark(remarks);
    contents.features.remarks(remarks);
    for (kind, count) in tally.unknown_kinds.iter().take(20) {
        remarks.push(format!("{count} records of the unknown kind {kind} were skipped"));
    }
    if tally.filtered > 0 {
        remarks.push(format!("{} samples were dropped by a filter of the recording", tally.filtered));
    }
    let (known, unknown) = accounting.lost_events();
    if tally.lost_at_end > known && unknown == 0 {
        let remark = format!("perf counts {} lost samples; records in the data mark {known} of them", tally.lost_at_end);
        accounting.remarks.push(remark);
    }
}
