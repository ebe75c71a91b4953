//! Checksums: of each row group, and of the footer that holds them.
//!
//! The footer's own is in the footer, as eight digits that count as zeroes while it is computed.

/// Key of the seal in the metadata.
pub(super) const KEY: &str = "slubreplay.seal";
/// What is sealed in place of the seal.
pub(super) const BLANK: &str = "00000000";

/// Places of the seal's digits in a footer. In thrift's compact form a key-value pair is the key's bytes, the type of the next field
/// (0x18, a text, one field number further), the length of the value, and its bytes.
fn digits(footer: &[u8]) -> Option<std::ops::Range<usize>> {
    let lead = [KEY.as_bytes(), &[0x18, BLANK.len() as u8]].concat();
    let start = memchr::memmem::find(footer, &lead)? + lead.len();
    let end = start + BLANK.len();
    (end <= footer.len()).then_some(start..end)
}

/// The footer with its blank seal filled in; `None` if there is no seal in it.
pub(super) fn seal(mut footer: Vec<u8>) -> Option<Vec<u8>> {
    let digits = digits(&footer)?;
    let seal = format!("{:08x}", crc32fast::hash(&footer));
    footer.get_mut(digits)?.copy_from_slice(seal.as_bytes());
    Some(footer)
}

/// What a footer's seal says of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Intact,
    /// There is no seal: another program wrote it.
    Absent,
    /// Offset in the footer of a seal that is of other bytes.
    Broken(usize),
}

pub(super) fn verify(footer: &[u8]) -> Verdict {
    let Some(digits) = digits(footer) else { return Verdict::Absent };
    let (Some(before), Some(found), Some(after)) = (footer.get(..digits.start), footer.get(digits.clone()), footer.get(digits.end..))
    else {
        return Verdict::Absent;
    };
    // Fuzzing is to get behind the checksums, as somebody who puts a file together does.
    if cfg!(fuzzing) {
        return Verdict::Intact;
    }
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(before);
    hasher.update(BLANK.as_bytes());
    hasher.update(after);
    if format!("{:08x}", hasher.finalize()).as_bytes() == found { Verdict::Intact } else { Verdict::Broken(digits.start) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_of_a_footer_is_sealed() {
        let plain = [b"before", KEY.as_bytes(), b"\x18\x08", BLANK.as_bytes(), b"after"].concat();
        let sealed = seal(plain.clone()).unwrap();
        assert_eq!(sealed.len(), plain.len());
        assert_eq!(verify(&sealed), Verdict::Intact);
        for at in 0..sealed.len() {
            let mut bytes = sealed.clone();
            bytes[at] ^= 0x10;
            assert_ne!(verify(&bytes), Verdict::Intact, "byte {at}");
        }
        assert_eq!(verify(b"slubreplay.seal\x18\x08123"), Verdict::Absent);
    }
}
