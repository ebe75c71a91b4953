//! Call sites: addresses, or symbols that are numbered.
//!
//! An [`Event`](crate::event::Event) holds a call site as a number. An address stays what it is. A symbol such as
//! `__alloc_skb+0x8d/0x1f0` becomes the number 1, 2, … of its text, which no kernel's code has as an address.

use memchr::memmem;
use rustc_hash::FxHashMap;

use super::number::{hexadecimal, integer};
use super::recent::Recent;

/// Addresses below are none, and more symbols than this are not numbered.
const FIRST_ADDRESS: u64 = 1 << 24;

/// The call sites of a piece of a trace, as they stand there, numbered from 1.
#[derive(Debug, Default)]
pub(super) struct Sites<'a> {
    numbers: FxHashMap<&'a [u8], usize>,
    texts: Vec<&'a [u8]>,
    recent: Recent<'a>,
}

impl<'a> Sites<'a> {
    /// The number of a call site within the piece.
    #[inline]
    pub(super) fn number(&mut self, text: &'a [u8]) -> u64 {
        let Self { numbers, texts, recent } = self;
        let find = || {
            *numbers.entry(text).or_insert_with(|| {
                texts.push(text);
                texts.len()
            })
        };
        recent.number(text, find) as u64
    }

    /// The text behind a number.
    pub(super) fn text(&self, number: u64) -> Option<&'a [u8]> {
        self.texts.get(usize::try_from(number.checked_sub(1)?).ok()?).copied()
    }
}

/// The symbols of a whole trace.
#[derive(Debug, Default)]
pub(super) struct Symbols {
    numbers: FxHashMap<Vec<u8>, u64>,
    /// Symbols beyond those that can be numbered.
    pub(super) dropped: u64,
}

impl Symbols {
    /// What the numbers of a piece stand for in the whole trace, number 1 first. New symbols go to the end of `sites`.
    pub(super) fn resolve(&mut self, piece: &Sites<'_>, sites: &mut Vec<String>) -> Vec<u64> {
        piece.texts.iter().map(|text| self.of(text, sites)).collect()
    }

    fn of(&mut self, text: &[u8], sites: &mut Vec<String>) -> u64 {
        let symbol = match read(text) {
            Site::Address(address) => return address,
            Site::Symbol(symbol) => symbol,
        };
        if let Some(&number) = self.numbers.get(&symbol) {
            return number;
        }
        let number = sites.len() as u64 + 1;
        if number >= FIRST_ADDRESS {
            self.dropped += 1;
            return 0;
        }
        sites.push(String::from_utf8_lossy(&symbol).into_owned());
        self.numbers.insert(symbol, number);
        number
    }
}

enum Site {
    Address(u64),
    Symbol(Vec<u8>),
}

fn read(text: &[u8]) -> Site {
    let first = text.split(|&byte| byte == b' ').next().unwrap_or_default();
    let hex = first.strip_prefix(b"0x").unwrap_or(first);
    if let Some(address) = hexadecimal(hex).filter(|&address| address == 0 || address >= FIRST_ADDRESS) {
        return Site::Address(address);
    }
    // The option `fields` of 6.16 and later: the address behind the symbol.
    let decimal = text.strip_suffix(b")").and_then(|text| text.rsplit(|&byte| byte == b'(').next()).and_then(integer);
    if let Some(address) = decimal.filter(|&address| address >= FIRST_ADDRESS) {
        return Site::Address(address);
    }
    // The size of the function is printed by the kernel, but not by tools.
    let module = text.get(first.len()..).unwrap_or_default();
    let end = memmem::find(first, b"/0x").unwrap_or(first.len());
    Site::Symbol([first.get(..end).unwrap_or(first), module].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_stay_and_symbols_are_numbered_without_their_size() {
        let mut piece = Sites::default();
        let texts: [&[u8]; 9] = [
            b"__alloc_skb+0x8d/0x1f0",
            b"ffffffff8122f0f5",
            b"0xffffffffc0123456",
            b"0x0",
            b"nf_conntrack_in+0x70/0x4b0 [nf_conntrack]",
            b"__alloc_skb+0x8d",
            b"f+0x24/0x1f0 (-2123465228)",
            b"0",
            b"c0123456",
        ];
        let numbers: Vec<u64> = texts.iter().map(|text| piece.number(text)).collect();
        assert_eq!(numbers, (1..=9).collect::<Vec<_>>());
        assert_eq!(piece.number(texts[4]), 5);
        let mut sites = vec!["from an earlier piece".to_owned()];
        let mut symbols = Symbols::default();
        let resolved = symbols.resolve(&piece, &mut sites);
        let fields = (-2_123_465_228_i64) as u64;
        assert_eq!(resolved, [2, 0xffff_ffff_8122_f0f5, 0xffff_ffff_c012_3456, 0, 3, 2, fields, 0, 0xc012_3456]);
        assert_eq!(sites[1..], ["__alloc_skb+0x8d", "nf_conntrack_in+0x70 [nf_conntrack]"]);
    }

    /// A number that would be taken for that of a symbol is a symbol itself.
    #[test]
    fn small_numbers_are_not_mixed_up() {
        let mut piece = Sites::default();
        piece.number(b"0x1");
        let mut sites = Vec::new();
        assert_eq!(Symbols::default().resolve(&piece, &mut sites), [1]);
        assert_eq!(sites, ["0x1"]);
    }
}
