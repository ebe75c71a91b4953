//! Pages as a recording got them.

use super::{PageRequest, PageSource, Pages, UnlimitedPages};

/// A slab that the kernel made, as a recording shows it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RecordedSlab {
    /// Order of its pages.
    pub order: u8,
    /// First page frame, if it is known.
    pub pfn: Option<u64>,
    /// Their node, if it is known.
    pub node: Option<u16>,
    /// CPU that took the first object, if it is known.
    pub cpu: Option<u16>,
    /// When the pages were allocated.
    pub time_ns: u64,
    /// They were asked for as reclaimable.
    pub is_reclaimable: bool,
    /// An attempt of the same order failed just before.
    pub after_failure: bool,
}

/// Grants and refuses pages as the page allocator of a recording did.
///
/// Per owner, the slabs that the kernel made are known in their order. A request stands for the first of them that is
/// not used up; of the next few, that of the same CPU comes first. While it is of a lower order than what is asked for,
/// the request is refused, so that the owner falls back as the kernel did; pages are granted on its node. Past the recorded
/// slabs every request is met as asked.
#[derive(Debug, Clone, Default)]
pub struct RecordedPages<P = UnlimitedPages> {
    pages: P,
    /// By owner: slabs that are not used up, the next one last.
    recorded: Vec<Vec<RecordedSlab>>,
}

/// Slabs among which that of the asking CPU is looked for: those that CPUs may be making at about the same time.
const LOOK_AHEAD: usize = 8;

impl RecordedSlab {
    /// Of the slabs that are not used up, the next one last, the one that a request of this CPU stands for.
    pub(super) fn next_of(slabs: &[Self], cpu: u16) -> Option<usize> {
        let mut near = slabs.iter().enumerate().rev().take(LOOK_AHEAD);
        near.find(|(_, slab)| slab.cpu == Some(cpu)).map(|(index, _)| index).or(slabs.len().checked_sub(1))
    }
}

impl RecordedPages {
    /// A source for these slabs, by owner.
    #[must_use]
    pub fn new(slabs_of_owner: impl IntoIterator<Item = Vec<RecordedSlab>>) -> Self {
        Self::over(UnlimitedPages::default(), slabs_of_owner)
    }
}

impl<P> RecordedPages<P> {
    /// The same, over a source that has the pages.
    #[must_use]
    pub fn over(pages: P, slabs_of_owner: impl IntoIterator<Item = Vec<RecordedSlab>>) -> Self {
        let recorded = slabs_of_owner.into_iter().map(|slabs| slabs.into_iter().rev().collect()).collect();
        Self { pages, recorded }
    }
}

impl<P: PageSource> PageSource for RecordedPages<P> {
    fn alloc(&mut self, request: PageRequest) -> Option<Pages> {
        let Some(slabs) = self.recorded.get_mut(request.owner as usize).filter(|slabs| !slabs.is_empty()) else {
            return self.pages.alloc(request);
        };
        let chosen = RecordedSlab::next_of(slabs, request.cpu).unwrap_or(0);
        let slab = slabs[chosen];
        if slab.order < request.order {
            return None;
        }
        slabs.remove(chosen);
        let node = slab.node.filter(|_| !request.this_node_only).unwrap_or(request.node);
        self.pages.alloc(PageRequest { node, ..request })
    }

    fn free(&mut self, pages: Pages) {
        self.pages.free(pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Rights;

    fn slab(order: u8, node: u16, cpu: u16) -> RecordedSlab {
        RecordedSlab { order, node: Some(node), cpu: Some(cpu), ..RecordedSlab::default() }
    }

    #[test]
    fn refuses_what_the_recording_shows_refused() {
        let mut source = RecordedPages::new([vec![], vec![slab(3, 0, 0), slab(0, 0, 0), slab(3, 0, 0)]]);
        let mut ask = |owner, order| {
            let request = PageRequest { owner, order, cpu: 0, node: 0, this_node_only: false, rights: Rights::AtOnce };
            source.alloc(request).map(|pages| pages.order)
        };
        assert_eq!([ask(1, 3), ask(1, 3), ask(1, 0), ask(1, 3)], [Some(3), None, Some(0), Some(3)]);
        // Past the recording, and for an owner without one, everything is met.
        assert_eq!([ask(1, 3), ask(0, 3), ask(7, 3)], [Some(3); 3]);
    }

    #[test]
    fn pages_are_on_the_node_that_the_recording_shows_for_the_cpu() {
        let mut source = RecordedPages::new([vec![slab(0, 1, 2), slab(0, 0, 3), slab(0, 1, 2)]]);
        let mut ask = |cpu, this_node_only| {
            let request = PageRequest { owner: 0, order: 0, cpu, node: 0, this_node_only, rights: Rights::AtOnce };
            source.alloc(request).map(|pages| pages.node)
        };
        // CPU 3's slab, then the first of the rest although it is of another CPU, then one that has to be on node 0.
        assert_eq!([ask(3, false), ask(3, false), ask(2, true), ask(2, false)], [Some(0), Some(1), Some(0), Some(0)]);
    }
}
