//! Texts whose number is known, in front of the table that has them all.

use crate::words::Words;

/// Texts that were asked for of late, each where its words put it.
#[derive(Debug, Default)]
pub(super) struct Recent<'a> {
    /// Empty before the first one.
    places: Vec<Option<Known<'a>>>,
}

#[derive(Debug, Clone, Copy)]
struct Known<'a> {
    words: Words,
    text: &'a [u8],
    number: usize,
}

impl<'a> Recent<'a> {
    const PLACES: usize = 512;

    /// The number of a text; `find` finds those that are not here, and gives new ones one.
    #[inline(always)]
    pub(super) fn number(&mut self, text: &'a [u8], find: impl FnOnce() -> usize) -> usize {
        let words = Words::of(text);
        let place = words.place(Self::PLACES);
        match self.places.get(place) {
            Some(Some(known)) if known.words == words && (words.are_all() || known.text == text) => known.number,
            _ => self.remember(words, text, find()),
        }
    }

    #[cold]
    fn remember(&mut self, words: Words, text: &'a [u8], number: usize) -> usize {
        self.places.resize(Self::PLACES, None);
        self.places.get_mut(words.place(Self::PLACES)).into_iter().for_each(|place| *place = Some(Known { words, text, number }));
        number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More texts than there are places, and long ones that differ where no word is taken from.
    #[test]
    fn numbers_are_those_that_were_found() {
        let mut texts: Vec<Vec<u8>> = (0..2000).map(|number| format!("symbol_{number}+0x10").into_bytes()).collect();
        texts.extend((0..60).map(|at| (0..60).map(|byte| if byte == at { b'x' } else { b'-' }).collect()));
        let mut recent = Recent::default();
        for _ in 0..3 {
            for (number, text) in texts.iter().enumerate() {
                assert_eq!(recent.number(text, || number), number);
                assert_eq!(recent.number(text, || unreachable!("it was the last")), number);
            }
        }
    }
}
