//! Pages as a recording got them.

use super::{PageRequest, PageSource, Pages, UnlimitedPages};

/// Grants and refuses orders as the page allocator of a recording did.
///
/// Per owner, the orders of the slabs that the kernel made are known in their order. While an owner's
/// next recorded slab is of a lower order than it asks for, the request is refused, so that the owner
/// falls back as the kernel did. Past the recorded slabs every request is met.
#[derive(Debug, Clone, Default)]
pub struct RecordedPages {
    pages: UnlimitedPages,
    /// By owner: orders in the order of the slabs, and how many of them are used up.
    recorded: Vec<(Vec<u8>, usize)>,
}

impl RecordedPages {
    /// A source for these orders, by owner.
    #[must_use]
    pub fn new(orders_of_owner: impl IntoIterator<Item = Vec<u8>>) -> Self {
        Self { pages: UnlimitedPages::default(), recorded: orders_of_owner.into_iter().map(|orders| (orders, 0)).collect() }
    }
}

impl PageSource for RecordedPages {
    fn alloc(&mut self, request: PageRequest) -> Option<Pages> {
        if let Some((orders, used)) = self.recorded.get_mut(request.owner as usize) {
            if orders.get(*used).is_some_and(|&order| order < request.order) {
                return None;
            }
            *used += 1;
        }
        self.pages.alloc(request)
    }

    fn free(&mut self, pages: Pages) {
        self.pages.free(pages);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_what_the_recording_shows_refused() {
        let mut source = RecordedPages::new([vec![], vec![3, 0, 3]]);
        let mut ask = |owner, order| {
            let request = PageRequest { owner, order, node: 0, this_node_only: false, opportunistic: true };
            source.alloc(request).map(|pages| pages.order)
        };
        assert_eq!([ask(1, 3), ask(1, 3), ask(1, 0), ask(1, 3)], [Some(3), None, Some(0), Some(3)]);
        // Past the recording, and for an owner without one, everything is met.
        assert_eq!([ask(1, 3), ask(0, 3), ask(7, 3)], [Some(3); 3]);
    }
}
