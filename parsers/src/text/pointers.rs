//! Whether pointers are addresses, or hashes of them.
//!
//! Since 4.15 the kernel prints a keyed hash of 32 bits for a pointer. The same address has the same hash, so that
//! objects can still be told apart; where they were cannot.

use rustc_hash::{FxHashMap, FxHashSet};

use super::chunk::{Forms, Piece};
use crate::event::{Body, Event, FreeCall};
use crate::recording::Pointers;

/// What a trace's first pieces tell of its pointers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Survey {
    pub(super) pointers: Pointers,
    /// The hash that stands for NULL.
    pub(super) null: Option<u64>,
    /// Hashes and addresses are mixed: the option `hash-ptr` was changed, or traces were put together.
    pub(super) is_mixed: bool,
    /// Bytes of a kernel `long`; 0 if unknown.
    pub(super) long_bytes: u8,
}

/// What is freed by kfree() as often as this, from as many places, and never allocated, can only be NULL.
const NULL_FREES: u64 = 16;
const NULL_SITES: usize = 4;
/// With fewer different pointers their alignment proves nothing.
const ENOUGH: usize = 256;
/// `ZERO_SIZE_PTR`: a small value that is no hash.
const ZERO_SIZE_PTR: u64 = 16;

/// Looks at pieces of one trace.
pub(super) fn survey(pieces: &[Piece<'_>]) -> Survey {
    let forms = pieces.iter().fold(Forms::default(), |sum, piece| Forms {
        plain16: sum.plain16 + piece.forms.plain16,
        plain8: sum.plain8 + piece.forms.plain8,
        prefixed: sum.prefixed + piece.forms.prefixed,
    });
    let mut survey = Survey::default();
    let pointers = Values::of(pieces);
    survey.long_bytes = match (forms.plain16, forms.plain8) {
        (0, 0) if pointers.high > 0 => 8,
        (0, 0) => 0,
        (wide, narrow) => {
            if wide >= narrow {
                8
            } else {
                4
            }
        }
    };
    survey.pointers = if forms.plain16 >= forms.plain8.max(1) {
        // Addresses of kernels beyond s390x have their upper half set. Where none has, alignment tells.
        survey.is_mixed = pointers.low.len() >= ENOUGH && pointers.high > 0;
        let is_hashed = !pointers.low.is_empty() && (pointers.high == 0 || survey.is_mixed) && pointers.are_aligned() != Some(true);
        match is_hashed {
            true => Pointers::Hashed,
            false if pointers.high > 0 || !pointers.low.is_empty() => Pointers::Real,
            false => Pointers::Unknown,
        }
    } else if forms.plain8 > 0 {
        match pointers.are_aligned() {
            Some(true) => Pointers::Real,
            Some(false) => Pointers::Hashed,
            None => Pointers::Unknown,
        }
    } else if forms.prefixed > 0 {
        Pointers::Real
    } else {
        Pointers::Unknown
    };
    if survey.pointers == Pointers::Hashed {
        survey.null = hashed_null(pieces);
    }
    survey
}

/// The values of pointers.
#[derive(Debug, Default)]
struct Values {
    /// Different ones in the lower 4 GiB, up to a number that is enough.
    low: FxHashSet<u64>,
    /// Number of the others.
    high: u64,
}

impl Values {
    fn of(pieces: &[Piece<'_>]) -> Self {
        /// More different pointers prove nothing more.
        const KEPT: usize = 65_536;
        let mut values = Self::default();
        for event in pieces.iter().flat_map(|piece| &piece.events) {
            let Some(ptr) = object(event) else { continue };
            if ptr > u64::from(u32::MAX) {
                values.high += u64::from(ptr < u64::MAX - 4095);
            } else if ptr > ZERO_SIZE_PTR && values.low.len() < KEPT {
                values.low.insert(ptr);
            }
        }
        values
    }

    /// Whether at least half of them are multiples of 8, as objects mostly are; one in eight hashes is.
    fn are_aligned(&self) -> Option<bool> {
        let aligned = self.low.iter().filter(|&&ptr| ptr % 8 == 0).count();
        (self.low.len() >= ENOUGH).then_some(aligned * 2 >= self.low.len())
    }
}

fn object(event: &Event) -> Option<u64> {
    match event.body {
        Body::Alloc(alloc) => Some(alloc.ptr),
        Body::Free(free) => Some(free.ptr),
        _ => None,
    }
}

/// From 5.2 to 5.7 NULL was hashed too.
fn hashed_null(pieces: &[Piece<'_>]) -> Option<u64> {
    let mut frees: FxHashMap<u64, (u64, FxHashSet<&[u8]>)> = FxHashMap::default();
    let mut allocated = FxHashSet::default();
    for piece in pieces {
        for event in &piece.events {
            match event.body {
                Body::Free(free) if free.call == FreeCall::Kfree && free.ptr > ZERO_SIZE_PTR => {
                    let (count, sites) = frees.entry(free.ptr).or_default();
                    *count += 1;
                    if sites.len() < NULL_SITES {
                        sites.extend(piece.sites.text(free.call_site));
                    }
                }
                // Where NULL shows as zeroes it is not hashed.
                Body::Free(free) if free.ptr == 0 => return None,
                Body::Alloc(alloc) => {
                    allocated.insert(alloc.ptr);
                }
                _ => {}
            }
        }
    }
    let candidates =
        frees.into_iter().filter(|(ptr, (count, sites))| *count >= NULL_FREES && sites.len() >= NULL_SITES && !allocated.contains(ptr));
    candidates.map(|(ptr, (count, _))| (count, ptr)).max().map(|(_, ptr)| ptr)
}
