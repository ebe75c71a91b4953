//! The nom vocabulary of this crate: errors that know what was wanted and where.

use std::borrow::Cow;

use nom::error::{ContextError, ErrorKind, ParseError, context};
use nom::{IResult, Parser};

use crate::error::{Fault, Place};

/// Byte order of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Endian {
    /// Least significant byte first.
    Little,
    /// Most significant byte first.
    Big,
}

impl Endian {
    fn nom(self) -> nom::number::Endianness {
        match self {
            Self::Little => nom::number::Endianness::Little,
            Self::Big => nom::number::Endianness::Big,
        }
    }
}

/// What was wanted, and how much input was left: two words, so backtracking allocates nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) what: &'static str,
    pub(crate) left: usize,
}

impl<'a> ParseError<&'a [u8]> for Expected {
    fn from_error_kind(input: &'a [u8], _: ErrorKind) -> Self {
        Self { what: "", left: input.len() }
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Self) -> Self {
        other
    }
}

impl<'a> ContextError<&'a [u8]> for Expected {
    // The innermost label is the most specific: keep the first.
    fn add_context(_: &'a [u8], what: &'static str, inner: Self) -> Self {
        if inner.what.is_empty() { Self { what, ..inner } } else { inner }
    }
}

/// Result of a nom parser in this crate.
pub(crate) type Res<'a, T> = IResult<&'a [u8], T, Expected>;

pub(crate) fn u16(endian: Endian) -> impl Fn(&[u8]) -> Res<'_, u16> {
    move |input| context("2 more bytes", nom::number::complete::u16(endian.nom())).parse(input)
}

pub(crate) fn u32(endian: Endian) -> impl Fn(&[u8]) -> Res<'_, u32> {
    move |input| context("4 more bytes", nom::number::complete::u32(endian.nom())).parse(input)
}

pub(crate) fn u64(endian: Endian) -> impl Fn(&[u8]) -> Res<'_, u64> {
    move |input| context("8 more bytes", nom::number::complete::u64(endian.nom())).parse(input)
}

/// Bytes up to a NUL, which is consumed.
pub(crate) fn cstr(input: &[u8]) -> Res<'_, &[u8]> {
    let terminated = nom::sequence::terminated(nom::bytes::complete::take_till(|byte| byte == 0), nom::bytes::complete::tag(&b"\0"[..]));
    context("a text that ends with NUL", terminated).parse(input)
}

/// A position in a block of bytes that remembers where in the file it is.
#[derive(Debug, Clone)]
pub(crate) struct Cursor<'a> {
    all: &'a [u8],
    rest: &'a [u8],
    origin: Origin,
    section: Cow<'static, str>,
}

/// Where a block of bytes came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The file itself, from this offset.
    File(u64),
    /// A decompressed block, from this offset in it.
    Block {
        /// Offset of the compressed bytes in the file.
        block: u64,
        /// Offset in the decompressed bytes.
        from: u64,
    },
}

impl<'a> Cursor<'a> {
    pub(crate) fn new(bytes: &'a [u8], origin: Origin, section: impl Into<Cow<'static, str>>) -> Self {
        Self { all: bytes, rest: bytes, origin, section: section.into() }
    }

    /// Names the part of the format that is read from now on.
    pub(crate) fn enter(&mut self, section: impl Into<Cow<'static, str>>) {
        self.section = section.into();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(crate) fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bytes consumed so far.
    pub(crate) fn position(&self) -> usize {
        self.all.len() - self.rest.len()
    }

    /// Runs one nom parser.
    pub(crate) fn read<T>(&mut self, parser: impl FnOnce(&'a [u8]) -> Res<'a, T>) -> Result<T, Fault> {
        match parser(self.rest) {
            Ok((rest, value)) => {
                self.rest = rest;
                Ok(value)
            }
            Err(nom::Err::Error(expected) | nom::Err::Failure(expected)) => {
                Err(self.fault_at(self.all.len() - expected.left.min(self.all.len()), expected.what))
            }
            Err(nom::Err::Incomplete(_)) => Err(self.fault_at(self.position(), "more bytes")),
        }
    }

    /// The next `count` bytes.
    pub(crate) fn take(&mut self, count: u64, what: &'static str) -> Result<&'a [u8], Fault> {
        let taken = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let Some((head, rest)) = taken else {
            let mut fault = self.fault_at(self.position(), what);
            fault.expected = Cow::Owned(format!("{count} bytes of {what}"));
            fault.found = format!("{} bytes", self.rest.len());
            return Err(fault);
        };
        self.rest = rest;
        Ok(head)
    }

    /// A fault at the current position.
    pub(crate) fn fault(&self, expected: impl Into<Cow<'static, str>>) -> Fault {
        self.fault_at(self.position(), expected)
    }

    /// Where the bytes ahead came from.
    pub(crate) fn origin(&self) -> Origin {
        let position = self.position() as u64;
        match self.origin {
            Origin::File(start) => Origin::File(start + position),
            Origin::Block { block, from } => Origin::Block { block, from: from + position },
        }
    }

    /// The place of a position, for messages.
    pub(crate) fn place(&self, position: usize) -> Place {
        match self.origin {
            Origin::File(start) => Place::Byte(start + position as u64),
            Origin::Block { block, from } => Place::Inside { block, byte: from + position as u64 },
        }
    }

    fn fault_at(&self, position: usize, expected: impl Into<Cow<'static, str>>) -> Fault {
        let found = self.all.get(position..).unwrap_or_default();
        Fault { section: self.section.clone(), place: self.place(position), expected: expected.into(), found: excerpt(found) }
    }
}

/// The first few bytes as a person would want to see them.
pub(crate) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 12;
    if bytes.is_empty() {
        return "the end".to_owned();
    }
    let shown = bytes.get(..SHOWN).unwrap_or(bytes);
    let more = if bytes.len() > SHOWN { "…" } else { "" };
    if shown.iter().all(|byte| (0x20..0x7f).contains(byte)) {
        format!("{:?}{more}", String::from_utf8_lossy(shown))
    } else {
        let hex: Vec<String> = shown.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{}{more}", hex.join(" "))
    }
}

/// The start of a line as a person would want to see it.
pub(crate) fn excerpt_of_line(line: &[u8]) -> String {
    const SHOWN: usize = 100;
    let shown = line.get(..SHOWN).unwrap_or(line);
    let more = if line.len() > SHOWN { "…" } else { "" };
    format!("{:?}{more}", String::from_utf8_lossy(shown))
}

/// The numbers of a list such as `0-3,8`; `None` if it is not one.
pub(crate) fn cpu_list(text: &str) -> Option<Vec<u32>> {
    /// As many CPUs as any kernel supports: a longer range is damage.
    const MAX: usize = 65_536;
    let mut cpus = Vec::new();
    for part in text.split(',').filter(|part| !part.is_empty()) {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (u32, u32) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
        if last.checked_sub(first)? as usize + cpus.len() >= MAX {
            return None;
        }
        cpus.extend(first..=last);
    }
    Some(cpus)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_name_offset_and_expectation() {
        let mut cursor = Cursor::new(b"abc\0\x01\x02", Origin::File(100), "test");
        assert_eq!(cursor.read(cstr).unwrap(), b"abc");
        let fault = cursor.read(u32(Endian::Little)).unwrap_err();
        assert_eq!(fault.to_string(), "test, byte 104: expected 4 more bytes, found 01 02");
    }

    #[test]
    fn a_take_past_the_end_says_how_much_there_was() {
        let mut cursor = Cursor::new(b"xy", Origin::Block { block: 7, from: 0 }, "test");
        let fault = cursor.take(5, "data").unwrap_err();
        assert_eq!(fault.to_string(), "test, byte 0 of the compressed block at byte 7: expected 5 bytes of data, found 2 bytes");
    }

    #[test]
    fn cpu_lists() {
        assert_eq!(cpu_list("0-3,8"), Some(vec![0, 1, 2, 3, 8]));
        assert_eq!(cpu_list(""), Some(vec![]));
        assert_eq!(cpu_list("3-1"), None);
        assert_eq!(cpu_list("0-4000000000"), None);
        assert_eq!(cpu_list("x"), None);
    }
}
