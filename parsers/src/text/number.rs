//! Numbers and blanks in a line, by hand: they are most of the bytes of a trace.

/// The decimal number at the start, and what follows it.
#[inline]
pub(super) fn decimal(bytes: &[u8]) -> Option<(u64, &[u8])> {
    /// Digits of a number that fits whatever they are.
    const SAFE: usize = 19;
    let (mut value, mut rest) = (0_u64, bytes);
    while let Some((&byte, after)) = rest.split_first() {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        value = value.wrapping_mul(10).wrapping_add(u64::from(digit));
        rest = after;
    }
    match bytes.len() - rest.len() {
        0 => None,
        1..=SAFE => Some((value, rest)),
        digits => long_decimal(bytes.get(..digits)?).map(|value| (value, rest)),
    }
}

/// The value of digits that may be too many.
#[cold]
fn long_decimal(digits: &[u8]) -> Option<u64> {
    digits.iter().try_fold(0_u64, |value, byte| value.checked_mul(10)?.checked_add(u64::from(byte - b'0')))
}

/// The value of up to 16 hexadecimal digits that are all there is.
#[inline]
pub(super) fn hexadecimal(digits: &[u8]) -> Option<u64> {
    let (words, rest) = digits.as_chunks::<8>();
    let high = match words {
        [high, low] if rest.is_empty() => return Some(eight_digits(*high)? << 32 | eight_digits(*low)?),
        [high] => eight_digits(*high)?,
        [] if !rest.is_empty() => 0,
        _ => return None,
    };
    rest.iter().try_fold(high, |value, &byte| Some(value << 4 | u64::from(char::from(byte).to_digit(16)?)))
}

/// The value of eight hexadecimal digits, all at once: a byte of a word for each.
#[inline]
fn eight_digits(digits: [u8; 8]) -> Option<u64> {
    const ONES: u64 = u64::MAX / 0xff;
    const TOPS: u64 = ONES << 7;
    let word = u64::from_be_bytes(digits);
    // The top bit of a byte tells that it is at least so much. Nothing is carried into the next one where all are below 0x80.
    let from = |word: u64, least: u8| word.wrapping_add(ONES * u64::from(0x80 - least));
    let small = word | ONES << 5;
    let is_number = from(word, b'0') & !from(word, b'9' + 1);
    let is_letter = from(small, b'a') & !from(small, b'f' + 1);
    if word & TOPS != 0 || (is_number | is_letter) & TOPS != TOPS {
        return None;
    }
    // Letters have the bit 0x40: `a` is 1 and 9.
    let values = (word & (ONES * 0xf)) + (word >> 6 & ONES) * 9;
    let bytes = (values | values >> 4) & 0x00ff_00ff_00ff_00ff;
    let halves = (bytes | bytes >> 8) & 0x0000_ffff_0000_ffff;
    Some((halves | halves >> 16) & 0xffff_ffff)
}

/// Where a byte is first: by words, for what is near. What is far is found faster by `memchr`, which has to be called.
#[inline]
pub(super) fn find_near(byte: u8, bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 0xff;
    let (words, rest) = bytes.as_chunks::<8>();
    for (number, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word) ^ (ONES * u64::from(byte));
        // The lowest bit of these is at the first one; higher ones may be wrong.
        let found = word.wrapping_sub(ONES) & !word & ONES << 7;
        if found != 0 {
            return Some(number * 8 + found.trailing_zeros() as usize / 8);
        }
    }
    rest.iter().position(|&other| other == byte).map(|at| bytes.len() - rest.len() + at)
}

/// A whole value: decimal, with or without a sign, or hexadecimal behind `0x`. Negative ones wrap around.
#[inline]
pub(super) fn integer(value: &[u8]) -> Option<u64> {
    match value {
        [b'0', b'x', digits @ ..] => hexadecimal(digits),
        [b'-', digits @ ..] => whole_decimal(digits).map(u64::wrapping_neg),
        _ => whole_decimal(value),
    }
}

#[inline]
fn whole_decimal(digits: &[u8]) -> Option<u64> {
    decimal(digits).filter(|(_, rest)| rest.is_empty()).map(|(value, _)| value)
}

/// Without the blanks at its start.
#[inline]
pub(super) fn skip_blanks(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [b' ' | b'\t', after @ ..] = rest {
        rest = after;
    }
    rest
}

/// Without the blanks at its end.
#[inline]
pub(super) fn trim_blanks_end(bytes: &[u8]) -> &[u8] {
    let mut rest = bytes;
    while let [before @ .., b' ' | b'\t'] = rest {
        rest = before;
    }
    rest
}

/// True of what can name an event, a system or a key.
pub(super) fn is_identifier(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|byte| byte.is_ascii_alphabetic() || *byte == b'_')
        && bytes.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn hexadecimal_digits_are_those_of_the_standard_library(
            digits in proptest::collection::vec(prop_oneof![9 => prop::sample::select(&b"0123456789abcdefABCDEF"[..]), 1 => any::<u8>()], 0..19)
        ) {
            let text = String::from_utf8_lossy(&digits);
            let expected = u64::from_str_radix(&text, 16).ok().filter(|_| digits.len() <= 16 && digits[0] != b'+');
            prop_assert_eq!(hexadecimal(&digits), expected);
        }

        #[test]
        fn what_is_near_is_where_it_is_first(bytes in proptest::collection::vec(prop_oneof![b' '..b'"', any::<u8>()], 0..40)) {
            prop_assert_eq!(find_near(b' ', &bytes), bytes.iter().position(|&byte| byte == b' '));
        }

        #[test]
        fn decimal_digits_are_those_of_the_standard_library(digits in "[0-9]{1,24}") {
            let text = format!("{digits}:");
            let expected = digits.parse::<u64>().ok().map(|value| (value, &b":"[..]));
            prop_assert_eq!(decimal(text.as_bytes()), expected);
        }
    }

    #[test]
    fn numbers() {
        assert_eq!(decimal(b"123 x"), Some((123, &b" x"[..])));
        assert_eq!(decimal(b"18446744073709551616"), None);
        assert_eq!(decimal(b" 1"), None);
        assert_eq!(hexadecimal(b"ffff8881000000C0"), Some(0xffff_8881_0000_00c0));
        assert_eq!(hexadecimal(b"12g4"), None);
        assert_eq!(hexadecimal(b"10000000000000000"), None);
        assert_eq!(integer(b"-1"), Some(u64::MAX));
        assert_eq!(integer(b"0x1f"), Some(31));
        assert_eq!(integer(b"1f"), None);
        assert_eq!(integer(b""), None);
    }
}
