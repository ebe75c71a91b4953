//! Short texts as machine words: a trace says the same few hundred names, symbols and flags over and over, and comparing words takes no call
//! and no way to where the text was first.

/// Four words out of a text, and its length. A text of up to 32 bytes is all in them, as they overlap or leave nothing out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Words {
    words: [u64; 4],
    bytes: usize,
}

impl Words {
    #[inline(always)]
    pub(crate) fn of(text: &[u8]) -> Self {
        let bytes = text.len();
        let words = match bytes.checked_sub(8) {
            Some(last) => {
                let at = |start: usize| text.get(start..).and_then(|rest| rest.first_chunk()).map_or(0, |word| u64::from_le_bytes(*word));
                [at(0), at(last / 3), at(2 * last / 3), at(last)]
            }
            None => [text.iter().fold(0, |word, &byte| word << 8 | u64::from(byte)), 0, 0, 0],
        };
        Self { words, bytes }
    }

    /// True if no other text has these words.
    #[inline]
    pub(crate) fn are_all(self) -> bool {
        self.bytes <= 32
    }

    /// A number below `places`, a power of two, that is much the same for no two texts.
    #[inline]
    pub(crate) fn place(self, places: usize) -> usize {
        let [first, second, third, last] = self.words;
        let mixed = first ^ second.rotate_left(17) ^ third.rotate_left(31) ^ last.rotate_left(47) ^ self.bytes as u64;
        (mixed.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40) as usize & (places - 1)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn short_texts_that_differ_have_other_words(text in proptest::collection::vec(any::<u8>(), 1..33), at in any::<prop::sample::Index>()) {
            let mut other = text.clone();
            other[at.index(text.len())] ^= 1;
            prop_assert!(Words::of(&text).are_all());
            prop_assert_ne!(Words::of(&text), Words::of(&other));
            prop_assert_ne!(Words::of(&text), Words::of(&text[1..]));
            prop_assert!(Words::of(&text).place(256) < 256);
        }
    }
}
