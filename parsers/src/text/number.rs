//! Numbers and blanks in a line, by hand: they are most of the bytes of a trace.

/// The decimal number at the start, and what follows it.
#[inline]
pub(super) fn decimal(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, mut rest) = bytes.split_first()?;
    let mut value = u64::from(digit(*first)?);
    while let Some((&byte, after)) = rest.split_first() {
        let Some(digit) = digit(byte) else { break };
        value = value.checked_mul(10)?.checked_add(u64::from(digit))?;
        rest = after;
    }
    Some((value, rest))
}

#[inline]
fn digit(byte: u8) -> Option<u8> {
    Some(byte.wrapping_sub(b'0')).filter(|&digit| digit < 10)
}

/// The value of up to 16 hexadecimal digits that are all there is.
#[inline]
pub(super) fn hexadecimal(digits: &[u8]) -> Option<u64> {
    /// Values of digits; what is none has a bit above the low four.
    #[expect(clippy::indexing_slicing, reason = "evaluated when it is compiled")]
    const VALUES: [u8; 256] = {
        let mut values = [0xff; 256];
        let mut value = 0;
        while value < 16 {
            values[b"0123456789abcdef"[value as usize] as usize] = value;
            values[b"0123456789ABCDEF"[value as usize] as usize] = value;
            value += 1;
        }
        values
    };
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    let (mut value, mut seen) = (0, 0);
    for &byte in digits {
        let digit = VALUES.get(usize::from(byte)).copied().unwrap_or(0xff);
        seen |= digit;
        value = value << 4 | u64::from(digit & 0xf);
    }
    (seen < 16).then_some(value)
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
    use super::*;

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
