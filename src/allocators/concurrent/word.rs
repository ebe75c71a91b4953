//! The slab word: what CPUs change at the same time, in one compare-and-exchange.
//!
//! The kernel changes two words together, the freelist (a pointer) and the counters, with `cmpxchg16b`. Here the head of the freelist
//! is an offset from the start of the slab, which fits 32 bits beside the kernel's own 32 bits of counters, so that one exchange of
//! 64 bits does. It is the same protocol, one exchange for each step of the kernel's; 64 bits are what stable Rust has atomics for.
//!
//! | bits | field | kernel |
//! |---|---|---|
//! | 0..16 | `inuse` | objects handed out; those on a CPU's own freelist count |
//! | 16..31 | `objects` | objects of the slab |
//! | 31 | `frozen` | it is the cpu slab of some CPU |
//! | 32..64 | `head` | offset of the first free object in bytes; all ones for none |
//!
//! ABA: a freelist is pushed to, taken whole, or popped by the holder of the list lock while nobody else takes from it. A head that left
//! and came back is what a push has to link to; a pop holds the only right to take, so that its head cannot leave.

/// State of a slab as all CPUs see it (`freelist` and `counters` of `struct slab`).
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct Word(u64);

const NO_HEAD: u32 = u32::MAX;
const INUSE: u64 = 0xffff;
const OBJECTS: u64 = 0x7fff << 16;
const FROZEN: u64 = 1 << 31;

impl Word {
    /// A slab whose objects are all free, the first at `head`.
    pub(super) fn all_free(objects: u16, head: u32) -> Self {
        Self(u64::from(head) << 32 | u64::from(objects) << 16)
    }

    pub(super) fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    pub(super) fn bits(self) -> u64 {
        self.0
    }

    /// Offset of the first free object.
    pub(super) fn head(self) -> Option<u32> {
        let head = (self.0 >> 32) as u32;
        if head == NO_HEAD { None } else { Some(head) }
    }

    pub(super) fn inuse(self) -> u16 {
        (self.0 & INUSE) as u16
    }

    pub(super) fn objects(self) -> u16 {
        ((self.0 & OBJECTS) >> 16) as u16
    }

    pub(super) fn free(self) -> u16 {
        self.objects() - self.inuse()
    }

    pub(super) fn is_frozen(self) -> bool {
        self.0 & FROZEN != 0
    }

    fn with(self, head: u32, inuse: u16) -> Self {
        Self(u64::from(head) << 32 | self.0 & (OBJECTS | FROZEN) | u64::from(inuse))
    }

    /// After `count` objects, the first at `head`, were put in front of the freelist.
    pub(super) fn pushed(self, head: u32, count: u16) -> Self {
        self.with(head, self.inuse() - count)
    }

    /// After the whole freelist was taken.
    pub(super) fn taken(self) -> Self {
        self.with(NO_HEAD, self.objects())
    }

    /// After the first object was taken, where `next` is behind it.
    pub(super) fn popped(self, next: Option<u32>) -> Self {
        self.with(next.unwrap_or(NO_HEAD), self.inuse() + 1)
    }

    /// After the first `count` objects were taken, where `next` is behind them.
    pub(super) fn popped_many(self, next: Option<u32>, count: u16) -> Self {
        self.with(next.unwrap_or(NO_HEAD), self.inuse() + count)
    }

    pub(super) fn frozen(self, frozen: bool) -> Self {
        Self(if frozen { self.0 | FROZEN } else { self.0 & !FROZEN })
    }
}

impl std::fmt::Debug for Word {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let frozen = if self.is_frozen() { ", frozen" } else { "" };
        write!(formatter, "{}/{} in use, head {:?}{frozen}", self.inuse(), self.objects(), self.head())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_apart_from_each_other() {
        let word = Word::all_free(0x7fff, 0);
        assert_eq!((word.objects(), word.inuse(), word.free(), word.head(), word.is_frozen()), (0x7fff, 0, 0x7fff, Some(0), false));
        let taken = word.taken().frozen(true);
        assert_eq!((taken.objects(), taken.inuse(), taken.head(), taken.is_frozen()), (0x7fff, 0x7fff, None, true));
        let pushed = taken.pushed(0xffff_fff8, 2);
        assert_eq!((pushed.free(), pushed.head(), pushed.is_frozen()), (2, Some(0xffff_fff8), true));
        let popped = pushed.popped(None);
        assert_eq!((popped.free(), popped.head(), popped.objects()), (1, None, 0x7fff));
        assert!(!popped.frozen(false).is_frozen());
        assert_eq!(popped.frozen(false).bits() | FROZEN, popped.bits());
    }
}
