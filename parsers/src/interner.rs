//! Names by number of first appearance.
//!
//! A trace has some dozens of names of caches and says one in every second event, so the usual way must be short: names that are few words
//! long, as almost all are, are compared as such.

use rustc_hash::FxHashMap;

use crate::event::NameId;
use crate::words::Words;

/// Names by number of first appearance.
#[derive(Debug, Default)]
pub(crate) struct Interner {
    pub(crate) names: Vec<String>,
    numbers: FxHashMap<Vec<u8>, NameId>,
    /// Short names that were asked for, each where its words put it; empty before the first one.
    recent: Vec<Option<(Words, NameId)>>,
}

impl Interner {
    const PLACES: usize = 256;

    /// The number of a name; `None` once 65,536 names are taken.
    #[inline(always)]
    pub(crate) fn number(&mut self, name: &[u8]) -> Option<NameId> {
        let words = Words::of(name);
        match self.recent.get(words.place(Self::PLACES)) {
            Some(&Some((known, number))) if known == words => Some(number),
            _ => self.remember(words, name),
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
    fn remember(&mut self, words: Words, name: &[u8]) -> Option<NameId> {
        let number = self.look_up(name)?;
        if words.are_all() {
            self.recent.resize(Self::PLACES, None);
            self.recent.get_mut(words.place(Self::PLACES)).into_iter().for_each(|place| *place = Some((words, number)));
        }
        Some(number)
    }

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
        for name in ["a", "dentry", "a name of more than 32 bytes, of which"] {
            all.number(name.as_bytes());
        }
        own.number(b"a");
        own.follow(&all);
        assert_eq!(own.names, all.names);
        assert_eq!(own.number(b"dentry"), Some(NameId(1)));
    }
}
