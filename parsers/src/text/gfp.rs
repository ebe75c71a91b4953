//! gfp flags in words, turned into the numbers that they have since 5.4.
//!
//! Names outlive numbers: the same flag has had three numbers, but a name that stayed or was only prefixed. Flags
//! that no allocator looks at and that have no number of their own are dropped.

use rustc_hash::FxHashMap;

use super::number::integer;
use super::recent::Recent;

/// Single flags (`include/linux/gfp_types.h`), without `__GFP_` or, up to 4.5, `GFP_`.
const FLAGS: [(&str, u32); 27] = [
    ("DMA", 0x1),
    ("HIGHMEM", 0x2),
    ("DMA32", 0x4),
    ("MOVABLE", 0x8),
    ("RECLAIMABLE", 0x10),
    ("HIGH", 0x20),
    ("IO", 0x40),
    ("FS", 0x80),
    ("ZERO", 0x100),
    ("ATOMIC", 0x200),
    ("DIRECT_RECLAIM", 0x400),
    ("KSWAPD_RECLAIM", 0x800),
    ("RECLAIM", 0xc00),
    // Up to 4.3: may sleep, and wakes kswapd.
    ("WAIT", 0xc00),
    ("WRITE", 0x1000),
    ("NOWARN", 0x2000),
    ("RETRY_MAYFAIL", 0x4000),
    ("REPEAT", 0x4000),
    ("NOFAIL", 0x8000),
    ("NORETRY", 0x1_0000),
    ("MEMALLOC", 0x2_0000),
    ("COMP", 0x4_0000),
    ("NOMEMALLOC", 0x8_0000),
    ("HARDWALL", 0x10_0000),
    ("THISNODE", 0x20_0000),
    ("ACCOUNT", 0x40_0000),
    ("ZEROTAGS", 0x80_0000),
];

/// Flags whose number is gone or depends on the configuration. No slab allocator looks at them.
const NUMBERLESS: [&str; 11] = [
    "NOLOCKDEP",
    "NO_OBJ_EXT",
    "COLD",
    "OTHER_NODE",
    "NOTRACK",
    "KMEMCG",
    "SKIP_ZERO",
    "SKIP_KASAN",
    "SKIP_KASAN_POISON",
    "SKIP_KASAN_UNPOISON",
    "NO_KSWAPD",
];

/// Flags that go by one name. Since 6.12 `GFP_NOWAIT` has NOWARN in it too, which changes nothing here.
const COMPOSITES: [(&str, u32); 14] = [
    ("GFP_KERNEL", 0xcc0),
    ("GFP_KERNEL_ACCOUNT", 0x40_0cc0),
    ("GFP_NOFS", 0xc40),
    ("GFP_NOIO", 0xc00),
    ("GFP_ATOMIC", 0x820),
    ("GFP_NOWAIT", 0x800),
    ("GFP_USER", 0x10_0cc0),
    ("GFP_TEMPORARY", 0xcd0),
    ("GFP_HIGHUSER", 0x10_0cc2),
    ("GFP_HIGHUSER_MOVABLE", 0x10_0cca),
    ("GFP_TRANSHUGE_LIGHT", 0x1c_20ca),
    ("GFP_TRANSHUGE", 0x1c_24ca),
    ("GFP_IOFS", 0xc0),
    ("none", 0),
];

/// Bits from here on have names in no kernel, or other ones in every configuration.
const UNNAMED_BITS: u32 = 0xff00_0000;

/// How the flags of an event were given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    /// By name.
    Names,
    /// As a number of the kernel's own.
    Number,
    /// No flag at all, which is the same in both.
    Nothing,
}

/// Flags as numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Gfp {
    pub(super) bits: u32,
    pub(super) spelling: Spelling,
    /// A name that is not known; the flag is missing in `bits`.
    pub(super) unknown: Option<String>,
}

/// The flags that occur in a piece of a trace, each read once, and how often.
#[derive(Debug, Default)]
pub(super) struct Flags<'a> {
    numbers: FxHashMap<&'a [u8], usize>,
    pub(super) all: Vec<(Gfp, u64)>,
    recent: Recent<'a>,
}

impl<'a> Flags<'a> {
    /// The bits of some flags.
    #[inline]
    pub(super) fn bits(&mut self, text: &'a [u8]) -> u32 {
        let Self { numbers, all, recent } = self;
        let find = || {
            *numbers.entry(text).or_insert_with(|| {
                all.push((read(text), 0));
                all.len() - 1
            })
        };
        let number = recent.number(text, find);
        let Some((gfp, uses)) = self.all.get_mut(number) else { return 0 };
        *uses += 1;
        gfp.bits
    }
}

/// Reads flags such as `GFP_KERNEL|__GFP_ZERO|0x1000000` or `0xcc0`.
fn read(text: &[u8]) -> Gfp {
    if let Some(number) = integer(text) {
        let spelling = if number == 0 { Spelling::Nothing } else { Spelling::Number };
        return Gfp { bits: number as u32, spelling, unknown: None };
    }
    let (mut bits, mut unknown, mut no_kswapd) = (0, None, false);
    for word in text.split(|&byte| byte == b'|') {
        let word = String::from_utf8_lossy(word);
        match named(&word) {
            Some(named) => bits |= named,
            None => unknown = Some(word.clone().into_owned()),
        }
        no_kswapd |= word.ends_with("GFP_NO_KSWAPD");
    }
    // From 2.6.38 to 4.3 a flag of its own kept kswapd asleep.
    if no_kswapd {
        bits &= !0x800;
    }
    let spelling = if text == b"none" { Spelling::Nothing } else { Spelling::Names };
    Gfp { bits, spelling, unknown }
}

fn named(word: &str) -> Option<u32> {
    if let Some(&(_, bits)) = COMPOSITES.iter().find(|(name, _)| *name == word) {
        return Some(bits);
    }
    if let Some(bits) = integer(word.as_bytes()) {
        return Some(bits as u32 & UNNAMED_BITS);
    }
    let flag = word.strip_prefix("__GFP_").or_else(|| word.strip_prefix("GFP_"))?;
    let single = FLAGS.iter().find(|(name, _)| *name == flag).map(|&(_, bits)| bits);
    single.or_else(|| NUMBERLESS.contains(&flag).then_some(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(text: &str) -> u32 {
        let gfp = read(text.as_bytes());
        assert_eq!(gfp.unknown, None, "{text}");
        gfp.bits
    }

    /// Composite values of kmem-events, section 7.1, columns 5.4 to 6.6.
    #[test]
    fn composites_and_flags_since_4_6() {
        assert_eq!(bits("GFP_KERNEL|__GFP_ZERO"), 0xdc0);
        assert_eq!(bits("GFP_KERNEL_ACCOUNT"), 0x40_0cc0);
        assert_eq!(bits("GFP_ATOMIC|__GFP_NOWARN|__GFP_NORETRY"), 0x1_2820);
        assert_eq!(bits("GFP_NOWAIT"), 0x800);
        assert_eq!(bits("__GFP_IO|__GFP_FS|__GFP_NOWARN|__GFP_NORETRY|__GFP_COMP|__GFP_NOMEMALLOC|__GFP_RECLAIMABLE"), 0xd_20d0);
        assert_eq!(bits("GFP_HIGHUSER_MOVABLE|__GFP_COMP"), 0x14_0cca);
        assert_eq!(bits("GFP_KERNEL|__GFP_THISNODE|0x1000000"), 0x120_0cc0);
        assert_eq!(bits("none"), 0);
    }

    /// Up to 4.5 single flags had no underscores, and up to 4.3 one flag said "may sleep".
    #[test]
    fn the_old_names() {
        assert_eq!(bits("GFP_KERNEL|GFP_ZERO|GFP_RECLAIMABLE"), 0xdd0);
        assert_eq!(bits("GFP_WAIT|GFP_THISNODE"), 0x20_0c00);
        assert_eq!(bits("GFP_KERNEL|GFP_NOTRACK|GFP_NO_KSWAPD"), 0x4c0);
    }

    #[test]
    fn numbers_stay_and_strange_names_are_told() {
        assert_eq!(read(b"0x24000c0"), Gfp { bits: 0x240_00c0, spelling: Spelling::Number, unknown: None });
        let strange = read(b"GFP_KERNEL|__GFP_CMA");
        assert_eq!(strange, Gfp { bits: 0xcc0, spelling: Spelling::Names, unknown: Some("__GFP_CMA".to_owned()) });
    }

    #[test]
    fn uses_are_counted() {
        let mut flags = Flags::default();
        for text in [&b"GFP_KERNEL"[..], b"0xcc0", b"GFP_KERNEL"] {
            assert_eq!(flags.bits(text), 0xcc0);
        }
        assert_eq!(flags.all.iter().map(|(_, uses)| *uses).collect::<Vec<_>>(), [2, 1]);
    }
}
