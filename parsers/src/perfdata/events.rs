//! Which event a sample belongs to, and whether it can be used.

use super::attr::{Attr, Attrs};
use super::sample::Layout;
use crate::blocks::Blocks;
use crate::error::Problem;

/// All events of a file, by their number in [`Attrs`].
#[derive(Debug, Clone)]
pub(super) struct Events {
    pub(super) all: Vec<Event>,
    pub(super) telling: Telling,
}

/// One event.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) label: String,
    pub(super) layout: Layout,
    pub(super) usage: Usage,
}

/// What is done with an event's samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Usage {
    /// Decoded by the raw data's format.
    Decoded {
        /// Number of the format that the raw data must have, if the event is known for sure.
        format: Option<u16>,
    },
    /// The same events come with another event too: counted, not decoded.
    Repeated,
    /// No tracepoint: counted.
    Counted,
}

/// How a sample's event is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// By the id at this place.
    Id(usize),
    /// There is only one, or all are laid out alike and the raw data tells.
    First,
}

impl Events {
    pub(super) fn new(attrs: &Attrs, blocks: &Blocks) -> Result<Self, Problem> {
        let mut all: Vec<Event> = attrs.all.iter().map(|attr| event(attr, blocks)).collect();
        if all.is_empty() {
            return Err(Problem::Unsupported("there are no events in it".to_owned()));
        }
        let telling = telling(&all)?;
        if telling == Telling::First && all.len() > 1 {
            all.iter_mut().for_each(|event| event.usage = Usage::Decoded { format: None });
        } else {
            repeated(attrs, &mut all);
        }
        for (event, attr) in all.iter().zip(&attrs.all) {
            let is_kmem = format_of(attr, blocks).is_some_and(|(system, ..)| system == "kmem");
            let layout = &event.layout;
            let lacks = [(layout.time.is_none(), "time"), (layout.cpu.is_none(), "CPU"), (!layout.has_raw, "raw data")];
            if let (true, Some((_, what))) = (is_kmem, lacks.iter().find(|(lacks, _)| *lacks)) {
                let what = format!("samples of {} were recorded without their {what}; record with `perf record -a -R`", event.label);
                return Err(Problem::Unsupported(what));
            }
        }
        Ok(Self { all, telling })
    }
}

/// System, name and number of a tracepoint's format.
fn format_of<'a>(attr: &Attr, blocks: &'a Blocks) -> Option<(&'a str, &'a str, u16)> {
    let id = u16::try_from(attr.config).ok().filter(|_| attr.is_tracepoint())?;
    let format = blocks.formats.iter().find(|format| format.id == id)?;
    Some((&format.system, &format.name, id))
}

fn event(attr: &Attr, blocks: &Blocks) -> Event {
    let label = match format_of(attr, blocks) {
        // As the decoder names it, so that counts of both meet.
        Some((_, name, _)) => name.to_owned(),
        None if attr.name.is_empty() => format!("event of type {}, config {}", attr.kind, attr.config),
        None => attr.name.clone(),
    };
    let layout = Layout::new(attr);
    let is_usable = attr.is_tracepoint() && layout.has_raw && layout.time.is_some() && layout.cpu.is_some();
    // A format beyond 16 bits cannot be in a record.
    let format = u16::try_from(attr.config).ok();
    let usage = if is_usable && format.is_some() { Usage::Decoded { format } } else { Usage::Counted };
    Event { label, layout, usage }
}

/// Samples that are laid out differently must have their id at one place, or nothing tells them apart.
fn telling(all: &[Event]) -> Result<Telling, Problem> {
    let mut layouts = all.iter().map(|event| &event.layout);
    let Some(first) = layouts.next() else { return Ok(Telling::First) };
    if all.len() == 1 {
        return Ok(Telling::First);
    }
    match first.id {
        Some(place) if layouts.clone().all(|layout| layout.id == Some(place)) => Ok(Telling::Id(place)),
        None if layouts.all(|layout| layout == first) => Ok(Telling::First),
        _ => Err(Problem::Unsupported("nothing tells the samples of its events apart: they have no id at one place".to_owned())),
    }
}

/// Marks events that were recorded a second time, as in `-e kmem:kfree -e 'kmem:*'`.
fn repeated(attrs: &Attrs, all: &mut [Event]) {
    let mut seen = rustc_hash::FxHashSet::default();
    for (attr, event) in attrs.all.iter().zip(all) {
        if matches!(event.usage, Usage::Decoded { .. }) && !seen.insert(attr.config) {
            event.usage = Usage::Repeated;
        }
    }
}
