//! Names by number of first appearance.
//!
//! A trace has some dozens of names of caches and says one in every second event, so the usual way must be short: names of up to
//! 24 bytes, as almost all are, are compared as three words.

use rustc_hash::FxHashMap;

use crate::event::NameId;

/// Names by number of first appearance.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    pub(crate) names: Vec<String>,
    numbers: FxHashMap<Vec<u8>, NameId>,
    /// Short names that were asked for, each where its words put it; empty before the first one.
    recent: Vec<Option<(Short, NameId)>>,
}

impl Interner {
    /// The number of a name; `None` once 65,536 names are taken.
    #[inline(always)]
    pub(crate) fn number(&mut self, name: &[u8]) -> Option<NameId> {
        let Some(short) = Short::of(name) else { return self.look_up(name) };
        match self.recent.get(short.place()) {
            Some(&Some((known, number))) if known == short => Some(number),
            _ => self.remember(short, name),
        }
    }

    /// Numbers the names of another one that this one lacks, if it has a beginning of them, and few enough that it is worth while.
    pub(crate) fn follow(&mut self, other: &Self) {
        /// More names than a trace mostly has of caches.
        const MOST: usize = 1024;
        if other.names.len() <= MOST {
            for name in other.names.iter().skip(self.names.len()) {
                self.number(name.as_bytes());
            }
        } else {
            *self = Self::default();
        }
    }

    #[cold]
    fn remember(&mut self, short: Short, name: &[u8]) -> Option<NameId> {
        let number = self.look_up(name)?;
        self.recent.resize(Short::PLACES, None);
        self.recent.get_mut(short.place()).into_iter().for_each(|place| *place = Some((short, number)));
        Some(number)
    }

    #[inline(never)]
    fn look_up(&mut self, name: &[u8]) -> Option<NameId> {
        if let Some(&number) = self.numbers.get(name) {
            return Some(number);
        }
        let number = NameId(u16::try_from(self.names.len()).ok()?);
        self.names.push(String::from_utf8_lossy(name).into_owned());
        self.numbers.insert(name.to_vec(), number);
        Some(number)
    }
}

/// A name of up to 24 bytes: its length and its first, middle and last eight bytes, which overlap or leave nothing out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Short {
    words: [u64; 3],
    bytes: u8,
}

impl Short {
    const PLACES: usize = 256;

    #[inline(always)]
    fn of(name: &[u8]) -> Option<Self> {
        let bytes = name.len();
        let words = match bytes {
            8..=24 => {
                let middle = name.get((bytes - 8) / 2..)?.first_chunk()?;
                [*name.first_chunk()?, *middle, *name.last_chunk()?].map(u64::from_le_bytes)
            }
            4..8 => [u64::from(u32::from_le_bytes(*name.first_chunk()?)), 0, u64::from(u32::from_le_bytes(*name.last_chunk()?))],
            ..4 => [name.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0, 0],
            _ => return None,
        };
        Some(Self { words, bytes: bytes as u8 })
    }

    #[inline]
    fn place(self) -> usize {
        let [first, middle, last] = self.words;
        let mixed = (first ^ middle.rotate_left(21) ^ last.rotate_left(42) ^ u64::from(self.bytes)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        (mixed >> 56) as usize
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Names that differ in one byte or their length only are different ones, again and again.
        #[test]
        fn names_keep_their_numbers(name in proptest::collection::vec(any::<u8>(), 0..40), at in any::<prop::sample::Index>()) {
            let mut names = vec![name.clone()];
            names.extend((0..name.len()).map(|bytes| name[..bytes].to_vec()));
            if !name.is_empty() {
                let mut other = name.clone();
                other[at.index(name.len())] ^= 1;
                names.push(other);
            }
            names.sort_unstable();
            names.dedup();
            let mut interner = Interner::default();
            for _ in 0..2 {
                for (number, name) in names.iter().enumerate() {
                    prop_assert_eq!(interner.number(name), Some(NameId(number as u16)));
                }
            }
        }
    }

    #[test]
    fn one_that_follows_has_the_same_numbers() {
        let (mut all, mut own) = (Interner::default(), Interner::default());
        let mut beyond = Interner::default();
        (0..2000_u32).for_each(|name| assert!(beyond.number(&name.to_le_bytes()).is_some()));
        own.follow(&beyond);
        assert!(own.names.is_empty());
        for name in ["a", "dentry", "a_name_of_more_than_24_bytes"] {
            all.number(name.as_bytes());
        }
        own.number(b"a");
        own.follow(&all);
        assert_eq!(own.names, all.names);
        assert_eq!(own.number(b"dentry"), Some(NameId(1)));
    }
}
