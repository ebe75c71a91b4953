//! Numbered places for slabs. A number is used again once what had it is gone; the latest one first.

use super::SlabId;

/// What has a number now, and how many have had it.
#[derive(Debug, Clone)]
pub(super) struct Slots<T> {
    entries: Vec<Option<T>>,
    /// By number: how many have had it.
    lives: Vec<u32>,
    unused: Vec<SlabId>,
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { entries: Vec::new(), lives: Vec::new(), unused: Vec::new() }
    }
}

impl<T> Slots<T> {
    pub(super) fn add(&mut self, entry: T) -> SlabId {
        match self.unused.pop() {
            Some(id) => {
                self.entries[id.index()] = Some(entry);
                self.lives[id.index()] += 1;
                id
            }
            None => {
                let id = SlabId::new(self.entries.len());
                self.entries.push(Some(entry));
                self.lives.push(1);
                id
            }
        }
    }

    pub(super) fn remove(&mut self, id: SlabId) -> T {
        let entry = self.entries[id.index()].take().expect("a slab is discarded once");
        self.unused.push(id);
        entry
    }

    /// How many have had this number, the present one included.
    #[inline]
    pub(super) fn life(&self, id: SlabId) -> u32 {
        self.lives[id.index()]
    }

    /// [`Self::life`] of what has a number, if anything does now.
    pub(super) fn life_at(&self, index: usize) -> Option<u32> {
        self.at(index).map(|id| self.life(id))
    }

    pub(super) fn at(&self, index: usize) -> Option<SlabId> {
        self.entries.get(index)?.as_ref()?;
        Some(SlabId::new(index))
    }

    /// How many have a number now.
    pub(super) fn count(&self) -> u64 {
        (self.entries.len() - self.unused.len()) as u64
    }

    /// Numbers that have ever been in use.
    pub(super) fn numbers(&self) -> usize {
        self.entries.len()
    }

    /// All of them, by number.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SlabId, &T)> {
        self.entries.iter().enumerate().filter_map(|(index, entry)| Some((SlabId::new(index), entry.as_ref()?)))
    }
}

impl<T> std::ops::Index<SlabId> for Slots<T> {
    type Output = T;

    #[inline]
    fn index(&self, id: SlabId) -> &T {
        self.entries[id.index()].as_ref().expect("lists hold live slabs only")
    }
}

impl<T> std::ops::IndexMut<SlabId> for Slots<T> {
    #[inline]
    fn index_mut(&mut self, id: SlabId) -> &mut T {
        self.entries[id.index()].as_mut().expect("lists hold live slabs only")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_used_again_for_another_life() {
        let mut slots = Slots::default();
        let ids = ['a', 'b', 'c'].map(|entry| slots.add(entry));
        assert_eq!((slots.remove(ids[0]), slots.remove(ids[1])), ('a', 'b'));
        assert_eq!((slots.count(), slots.numbers(), slots.life_at(1), slots.at(3)), (1, 3, None, None));
        assert_eq!(slots.add('d'), ids[1], "the latest that went");
        assert_eq!((slots.life(ids[1]), slots.life_at(1), slots.life_at(2)), (2, Some(2), Some(1)));
        assert_eq!(slots.iter().map(|(id, &entry)| (id.index(), entry)).collect::<Vec<_>>(), [(1, 'd'), (2, 'c')]);
    }
}
