//! Figures of order fallback and of the page allocator's free blocks.

use serde::Serialize;

use super::RunFacts;

/// Orders of blocks that are told apart.
pub const ORDERS: usize = 11;

/// All figures of a fallback report.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct PageFigures {
    /// What was traced, and how it was replayed.
    pub run: RunFacts,
    /// Caches with requests for slabs, in the order of the plan.
    pub caches: Vec<CacheFallbacks>,
    /// Free blocks at moments.
    pub moments: Vec<FreeMoment>,
    /// Fallbacks that page events show: moments in nanoseconds since the first event, rising.
    pub observed_ns: Vec<u64>,
    /// Fallbacks of the model.
    pub predicted_ns: Vec<u64>,
    /// Replays with other parameters.
    pub max_orders: Vec<MaxOrderFigures>,
}

/// One cache's fallbacks.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct CacheFallbacks {
    /// Name.
    pub name: String,
    /// Preferred order, and the least.
    pub orders: (u32, u32),
    /// Objects in slabs of these orders.
    pub objects: (u32, u32),
    /// What the kernel counted, if it did.
    pub kernel: Option<u64>,
    /// What page events show, if they could be used.
    pub observed: Option<u64>,
    /// What the model did.
    pub predicted: u64,
    /// First attempts of the model.
    pub attempts: u64,
    /// Of these, above order 0.
    pub high_order_attempts: u64,
    /// Requests that failed at both orders.
    pub failures: u64,
    /// Memory of the smaller slabs beyond what their objects take in whole ones.
    pub overhead_bytes: i64,
}

/// Free blocks at a moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct FreeMoment {
    /// Nanoseconds since the first event.
    pub time_ns: u64,
    /// Free pages.
    pub free_pages: u64,
    /// Pages on CPUs' lists.
    pub cpu_list_pages: u64,
    /// Free blocks by order.
    pub blocks: [u64; ORDERS],
    /// Share of the free pages in blocks below an order, 0 to 1, by order.
    pub unusable: [f64; ORDERS],
}

/// A replay with another `slab_max_order`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct MaxOrderFigures {
    /// The parameter.
    pub max_order: u32,
    /// The recorded kernel has this one.
    pub is_recorded: bool,
    /// Caches with slabs of another order than recorded.
    pub caches_changed: u64,
    /// First attempts above order 0.
    pub high_order_attempts: u64,
    /// Fallbacks.
    pub fallbacks: u64,
    /// Requests that failed at both orders.
    pub failures: u64,
    /// Most bytes in slabs.
    pub slab_bytes_peak: u64,
    /// Bytes in slabs at the end.
    pub slab_bytes_end: u64,
}
