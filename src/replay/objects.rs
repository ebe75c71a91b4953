//! Where each object of a plan is in the replay.

use std::sync::Arc;

use crate::allocators::slub::Object;

/// Objects of a page.
const PAGE: usize = 1 << 9;

/// A live object, and the size asked for.
type Live = Option<(Object, u32)>;

/// A table of the live objects, by their numbers in the plan.
#[derive(Debug, Clone)]
pub(super) enum Objects {
    /// The quickest for one replay.
    Whole(Vec<Live>),
    /// Copies share the pages that none of them has changed since: to try something out costs what it changes, not what there is.
    Shared(Vec<Arc<[Live; PAGE]>>),
}

impl Objects {
    /// A table of so many objects, none of them live.
    pub(super) fn new(count: u32) -> Self {
        Self::Whole(vec![None; count as usize])
    }

    /// Makes room for objects up to this number.
    pub(super) fn reach(&mut self, number: u32) {
        let count = number as usize + 1;
        match self {
            Self::Whole(slots) if slots.len() < count => slots.resize(count, None),
            Self::Whole(_) => {}
            Self::Shared(pages) => pages.resize_with(pages.len().max(count.div_ceil(PAGE)), || Arc::new([None; PAGE])),
        }
    }

    /// The same, for replays that are copied on the way.
    pub(super) fn into_shared(self) -> Self {
        let Self::Whole(slots) = self else { return self };
        let page = |slots: &[Live]| Arc::new(std::array::from_fn(|at| slots.get(at).copied().flatten()));
        Self::Shared(slots.chunks(PAGE).map(page).collect())
    }

    pub(super) fn get(&self, object: u32) -> Live {
        let object = object as usize;
        match self {
            Self::Whole(slots) => *slots.get(object)?,
            Self::Shared(pages) => pages.get(object / PAGE)?[object % PAGE],
        }
    }

    /// Shows all live objects, by number.
    pub(super) fn each(&self, visit: &mut dyn FnMut(u32, Object, u32)) {
        let mut show = |(number, live): (usize, &Live)| {
            if let &Some((object, requested)) = live {
                visit(number as u32, object, requested);
            }
        };
        match self {
            Self::Whole(slots) => slots.iter().enumerate().for_each(&mut show),
            Self::Shared(pages) => pages.iter().flat_map(|page| page.iter()).enumerate().for_each(&mut show),
        }
    }

    #[inline]
    pub(super) fn insert(&mut self, number: u32, object: Object, requested_bytes: u32) {
        *self.slot(number) = Some((object, requested_bytes));
    }

    #[inline]
    pub(super) fn take(&mut self, number: u32) -> Live {
        self.slot(number).take()
    }

    #[inline]
    fn slot(&mut self, number: u32) -> &mut Live {
        let number = number as usize;
        match self {
            Self::Whole(slots) => &mut slots[number],
            Self::Shared(pages) => own_slot(pages, number),
        }
    }
}

/// Out of line, as it must not burden replays that share nothing.
#[cold]
#[inline(never)]
fn own_slot(pages: &mut [Arc<[Live; PAGE]>], number: usize) -> &mut Live {
    &mut Arc::make_mut(&mut pages[number / PAGE])[number % PAGE]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocators::slub::SlabId;

    #[test]
    fn copies_go_their_own_ways() {
        let object = |index| Object { slab: SlabId::NONE, index };
        let mut objects = Objects::new(2 * PAGE as u32 + 1);
        let numbers = [0, PAGE as u32 - 1, PAGE as u32, 2 * PAGE as u32];
        for (index, number) in (0..).zip(numbers) {
            assert_eq!(objects.get(number), None);
            objects.insert(number, object(index), 8);
        }
        let mut objects = objects.into_shared();
        let mut copy = objects.clone();
        assert_eq!(copy.take(numbers[1]), Some((object(1), 8)));
        copy.insert(numbers[2], object(7), 9);
        assert_eq!(numbers.map(|number| copy.get(number)), [Some((object(0), 8)), None, Some((object(7), 9)), Some((object(3), 8))]);
        assert_eq!(numbers.map(|number| objects.get(number)), [0, 1, 2, 3].map(|index| Some((object(index), 8))));
        assert_eq!((objects.get(3 * PAGE as u32), Objects::new(1).get(1)), (None, None));
        assert_eq!(objects.take(numbers[3]), Some((object(3), 8)));
        assert_eq!(copy.get(numbers[3]), Some((object(3), 8)));
    }
}
