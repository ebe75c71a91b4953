//! Figures of a made-up replay with the page allocator modelled.

use crate::input::pages::{CacheFallbacks, FreeMoment, ORDERS, PageFigures};

/// One cache, two moments, two predicted fallbacks.
pub(crate) fn small() -> PageFigures {
    let moment = |time_ns, pages| FreeMoment { time_ns, free_pages: pages, blocks: [pages; ORDERS], ..FreeMoment::default() };
    let cache = CacheFallbacks {
        name: "a,b".to_owned(),
        orders: (2, 0),
        objects: (16, 4),
        kernel: None,
        observed: Some(3),
        predicted: 2,
        ..CacheFallbacks::default()
    };
    PageFigures {
        caches: vec![cache],
        moments: vec![moment(0, 7), moment(2_000_000_000, 5)],
        predicted_ns: vec![1, 9],
        ..PageFigures::default()
    }
}
