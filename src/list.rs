//! Doubly linked lists whose links lie in their members, as the kernel's `struct list_head`.
//!
//! Members know each other by number, so that a list needs no memory of its own, and a member leaves it without a search.

/// What members are called by.
pub(crate) trait Id: Copy + PartialEq + std::fmt::Debug {
    /// Stands for "none".
    const NONE: Self;
}

impl Id for u32 {
    const NONE: Self = Self::MAX;
}

/// The links of a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Links<I> {
    pub(crate) prev: I,
    pub(crate) next: I,
}

impl<I: Id> Default for Links<I> {
    fn default() -> Self {
        Self { prev: I::NONE, next: I::NONE }
    }
}

/// Where the links of members are.
pub(crate) trait Linked<I> {
    /// Links of a member.
    fn links(&self, id: I) -> &Links<I>;
    /// The same, to change.
    fn links_mut(&mut self, id: I) -> &mut Links<I>;
}

/// Where on a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Head,
    Tail,
}

/// A list: its ends and its length.
#[derive(Debug, Clone, Copy)]
pub(crate) struct List<I> {
    head: I,
    tail: I,
    len: u32,
}

impl<I: Id> Default for List<I> {
    fn default() -> Self {
        Self { head: I::NONE, tail: I::NONE, len: 0 }
    }
}

impl<I: Id> List<I> {
    #[inline]
    pub(crate) fn head(&self) -> Option<I> {
        some(self.head)
    }

    #[inline]
    pub(crate) fn tail(&self) -> Option<I> {
        some(self.tail)
    }

    #[inline]
    pub(crate) fn len(&self) -> u64 {
        u64::from(self.len)
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Puts what is on no list on this one.
    #[inline]
    pub(crate) fn push<M: Linked<I> + ?Sized>(&mut self, members: &mut M, id: I, end: End) {
        let (prev, next) = match end {
            End::Head => (I::NONE, self.head),
            End::Tail => (self.tail, I::NONE),
        };
        *members.links_mut(id) = Links { prev, next };
        self.join(members, prev, id, id, next);
        self.len += 1;
    }

    /// Takes a member off the list.
    #[inline]
    pub(crate) fn unlink<M: Linked<I> + ?Sized>(&mut self, members: &mut M, id: I) {
        let Links { prev, next } = std::mem::take(members.links_mut(id));
        self.join(members, prev, next, prev, next);
        self.len -= 1;
    }

    /// Makes `first` follow `prev`, and `last` precede `next`; where a neighbour is none, they are an end of the list.
    #[inline]
    fn join<M: Linked<I> + ?Sized>(&mut self, members: &mut M, prev: I, first: I, last: I, next: I) {
        match some(prev) {
            Some(prev) => members.links_mut(prev).next = first,
            None => self.head = first,
        }
        match some(next) {
            Some(next) => members.links_mut(next).prev = last,
            None => self.tail = last,
        }
    }

    /// Members from the head.
    pub(crate) fn iter<'a, M: Linked<I> + ?Sized>(&self, members: &'a M) -> impl Iterator<Item = I> + use<'a, I, M> {
        std::iter::successors(self.head(), |&id| some(members.links(id).next))
    }

    /// Members from the tail.
    pub(crate) fn iter_back<'a, M: Linked<I> + ?Sized>(&self, members: &'a M) -> impl Iterator<Item = I> + use<'a, I, M> {
        std::iter::successors(self.tail(), |&id| some(members.links(id).prev))
    }

    /// Checks that the members are linked both ways from end to end, and are as many as are counted.
    pub(crate) fn check<M: Linked<I> + ?Sized>(&self, members: &M) -> Result<(), String> {
        let (mut at, mut before, mut seen) = (self.head, I::NONE, 0);
        while at != I::NONE {
            let links = members.links(at);
            if links.prev != before || seen == self.len {
                return Err(format!("{at:?} does not belong on the list behind {before:?}"));
            }
            (before, at, seen) = (at, links.next, seen + 1);
        }
        if before != self.tail || seen != self.len {
            return Err(format!("the list ends at {before:?} with {seen} members, it has {} and its end at {:?}", self.len, self.tail));
        }
        Ok(())
    }
}

#[inline]
fn some<I: Id>(id: I) -> Option<I> {
    Some(id).filter(|&id| id != I::NONE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Linked<u32> for [Links<u32>] {
        fn links(&self, id: u32) -> &Links<u32> {
            &self[id as usize]
        }

        fn links_mut(&mut self, id: u32) -> &mut Links<u32> {
            &mut self[id as usize]
        }
    }

    proptest! {
        /// A list is in the order of a deque that sees the same.
        #[test]
        fn a_list_is_a_deque(steps in prop::collection::vec((0_u32..8, any::<bool>()), 0..64)) {
            let mut links = [Links::default(); 8];
            let (mut list, mut deque) = (List::default(), std::collections::VecDeque::new());
            for (id, at_head) in steps {
                if deque.contains(&id) {
                    list.unlink(&mut links[..], id);
                    deque.retain(|&other| other != id);
                } else if at_head {
                    list.push(&mut links[..], id, End::Head);
                    deque.push_front(id);
                } else {
                    list.push(&mut links[..], id, End::Tail);
                    deque.push_back(id);
                }
                prop_assert_eq!(list.check(&links[..]), Ok(()));
                prop_assert!(list.iter(&links[..]).eq(deque.iter().copied()));
                prop_assert!(list.iter_back(&links[..]).eq(deque.iter().rev().copied()));
                prop_assert_eq!((list.head(), list.tail()), (deque.front().copied(), deque.back().copied()));
                prop_assert_eq!((list.len(), list.is_empty()), (deque.len() as u64, deque.is_empty()));
            }
        }
    }

    #[test]
    fn a_broken_list_is_found() {
        let mut links = [Links::default(); 3];
        let mut list = List::default();
        for id in 0..3 {
            list.push(&mut links[..], id, End::Tail);
        }
        for (id, broken) in [(1, Links { prev: 2, next: 2 }), (2, Links { prev: 1, next: 0 }), (1, Links { prev: 0, next: u32::MAX })] {
            let mut links = links;
            links[id] = broken;
            assert!(list.check(&links[..]).is_err(), "{id} {broken:?}");
        }
    }
}
