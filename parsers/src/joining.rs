//! Pieces that were decoded apart from each other, with names and marks numbered over the whole trace.

use crate::event::{Body, Event, MarkId, NameId};
use crate::interner::Interner;
use crate::kmem::{Decoder, Piece};
use crate::recording::Recording;

/// Numbers names and marks over the whole trace; pieces must come in file order, so that every run
/// gives the same numbers.
#[derive(Debug, Default)]
pub(crate) struct Joiner {
    names: Interner,
    dropped_names: usize,
}

/// Events of one piece, with what its own numbers of names and marks stand for in the whole trace.
#[derive(Debug)]
pub(crate) struct Numbered {
    pub(crate) events: Vec<Event>,
    pub(crate) numbers: Numbers,
    /// Names by the piece's own numbers.
    pub(crate) names: Interner,
}

/// What a piece's own numbers stand for in the whole trace.
#[derive(Debug)]
pub(crate) struct Numbers {
    names: Vec<Option<NameId>>,
    first_mark: u32,
    /// They are the piece's own.
    is_same: bool,
}

impl Joiner {
    /// Takes over the counts, names and marks of one piece.
    pub(crate) fn take(&mut self, piece: Piece, decoder: &Decoder, recording: &mut Recording) -> Numbered {
        decoder.account(&piece, &mut recording.accounting);
        let names: Vec<Option<NameId>> = piece.names.names.iter().map(|name| self.names.number(name.as_bytes())).collect();
        self.dropped_names += names.iter().filter(|name| name.is_none()).count();
        let has_same_names = names.iter().zip(0..).all(|(name, number)| *name == Some(NameId(number)));
        let first_mark = recording.marks.len() as u32;
        let is_same = has_same_names && (first_mark == 0 || piece.marks.is_empty());
        recording.marks.extend(piece.marks);
        Numbered { events: piece.events, numbers: Numbers { names, first_mark, is_same }, names: piece.names }
    }

    /// Names to begin another piece with, made of those of one whose numbers these are: most pieces then have the numbers of the whole
    /// trace from the start.
    pub(crate) fn names_for_more(&self, of: &Numbers, mut names: Interner) -> Interner {
        if !of.is_same {
            names = Interner::default();
        }
        names.follow(&self.names);
        names
    }

    /// Hands over the names so far, of a trace that is read in batches.
    pub(crate) fn so_far(&self, recording: &mut Recording) {
        let known = recording.names.len();
        recording.names.extend_from_slice(self.names.names.get(known..).unwrap_or_default());
    }

    /// Hands over the names.
    pub(crate) fn finish(self, recording: &mut Recording) {
        if self.dropped_names > 0 {
            recording.accounting.remarks.push(format!("{} cache names beyond the first 65536 were dropped", self.dropped_names));
        }
        recording.names = self.names.names;
    }
}

impl Numbers {
    /// Appends events, with their names and marks numbered over the whole trace.
    pub(crate) fn append(&self, from: &[Event], to: &mut Vec<Event>) {
        if self.is_same {
            to.extend_from_slice(from);
        } else {
            to.extend(from.iter().map(|event| self.apply(*event)));
        }
    }

    /// The event with its name and mark numbered over the whole trace.
    #[inline]
    pub(crate) fn apply(&self, mut event: Event) -> Event {
        let renumber = |name: &mut Option<NameId>| *name = name.and_then(|name| self.names.get(usize::from(name.0)).copied().flatten());
        match &mut event.body {
            Body::Alloc(alloc) => renumber(&mut alloc.name),
            Body::Free(free) => renumber(&mut free.name),
            Body::Mark(MarkId(id)) => *id += self.first_mark,
            _ => {}
        }
        event
    }
}
