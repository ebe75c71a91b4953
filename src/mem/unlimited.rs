//! Pages without end.

use super::{PageRequest, PageSource, Pages};

/// A source that never runs out and never falls back: every request is met at its order, on its node.
///
/// Freed blocks are handed out again, last freed first, so that page frames stay dense.
#[derive(Debug, Clone, Default)]
pub struct UnlimitedPages {
    nodes: Vec<NodePages>,
}

#[derive(Debug, Clone, Default)]
struct NodePages {
    next: u64,
    /// Freed blocks by order.
    free: Vec<Vec<u64>>,
}

/// Frames of a node start this far from those of the node before: room for 64 TiB of 4 KiB pages.
const NODE_SPAN: u64 = 1 << 34;

impl PageSource for UnlimitedPages {
    fn alloc(&mut self, request: PageRequest) -> Option<Pages> {
        let node = usize::from(request.node);
        if self.nodes.len() <= node {
            self.nodes.resize_with(node + 1, NodePages::default);
        }
        let pages = &mut self.nodes[node];
        let reused = pages.free.get_mut(usize::from(request.order)).and_then(Vec::pop);
        let pfn = reused.unwrap_or_else(|| {
            let frames = 1_u64 << request.order;
            let start = pages.next.next_multiple_of(frames);
            pages.next = start + frames;
            start + u64::from(request.node) * NODE_SPAN
        });
        Some(Pages { pfn, order: request.order, node: request.node })
    }

    fn free(&mut self, pages: Pages) {
        let free = &mut self.nodes[usize::from(pages.node)].free;
        let order = usize::from(pages.order);
        if free.len() <= order {
            free.resize_with(order + 1, Vec::new);
        }
        free[order].push(pages.pfn);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mem::Rights;

    #[test]
    fn blocks_are_aligned_distinct_and_reused() {
        let mut source = UnlimitedPages::default();
        let request = |order| PageRequest { owner: 0, order, cpu: 0, node: 1, this_node_only: false, rights: Rights::AtOnce };
        let single = source.alloc(request(0)).unwrap();
        let eight = source.alloc(request(3)).unwrap();
        assert_eq!((single.pfn % NODE_SPAN, eight.pfn % NODE_SPAN), (0, 8));
        source.free(single);
        assert_eq!(source.alloc(request(0)).unwrap(), single);
    }
}
