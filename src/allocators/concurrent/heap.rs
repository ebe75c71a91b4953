//! What all caches share: memory, and the page source that hands out its frames.

use std::sync::atomic::Ordering::Relaxed;

use super::lock::Lock;
use super::memory::Memory;
use super::probe::{LockSite, Probe};
use crate::mem::{PageRequest, PageSource, Pages};
use crate::sync::AtomicU64;

/// Memory, and who hands it out. One lock around the page source stands for the locks of zones.
pub struct Heap {
    pub(super) memory: Memory,
    pages: Lock<Box<dyn PageSource + Send>>,
    /// Frames in slabs, and the most at any moment.
    frames: AtomicU64,
    frames_peak: AtomicU64,
    /// One more than the last frame that was ever granted.
    top: AtomicU64,
    frame_bytes: u32,
}

impl std::fmt::Debug for Heap {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Heap").field("memory", &self.memory).field("frames", &self.frames).finish_non_exhaustive()
    }
}

impl Heap {
    /// A heap in `memory`. The frames that `pages` grants are frames of it: `0..memory.frames()`.
    #[must_use]
    pub fn new(memory: Memory, frame_bytes: u32, pages: Box<dyn PageSource + Send>) -> Self {
        Self {
            memory,
            pages: Lock::new(pages),
            frames: AtomicU64::new(0),
            frames_peak: AtomicU64::new(0),
            top: AtomicU64::new(0),
            frame_bytes,
        }
    }

    /// Has the system give memory for the first so many bytes before they are used.
    pub fn populate(&self, bytes: u64) {
        self.memory.populate(usize::try_from(bytes).unwrap_or(usize::MAX));
    }

    /// Most bytes in slabs at any moment, over all caches.
    #[must_use]
    pub fn slab_bytes_peak(&self) -> u64 {
        // ORDERING: Relaxed. A figure.
        self.frames_peak.load(Relaxed) * u64::from(self.frame_bytes)
    }

    /// Bytes of memory that slabs were ever in.
    #[must_use]
    pub fn touched_bytes(&self) -> u64 {
        self.top() * u64::from(self.frame_bytes)
    }

    /// Frames in slabs now.
    #[cfg(all(test, not(slub_loom)))]
    pub(super) fn frames_in_use(&self) -> u64 {
        self.frames.load(Relaxed)
    }

    pub(super) fn top(&self) -> u64 {
        // ORDERING: Relaxed. A figure.
        self.top.load(Relaxed)
    }

    /// Counts pages that were granted, perhaps before there was a heap.
    pub(crate) fn granted(&self, pages: Pages) {
        let frames = 1 << pages.order;
        // ORDERING: Relaxed. Figures.
        let now = self.frames.fetch_add(frames, Relaxed) + frames;
        self.frames_peak.fetch_max(now, Relaxed);
        self.top.fetch_max(pages.pfn + frames, Relaxed);
    }

    pub(super) fn alloc_pages<P: Probe>(&self, request: PageRequest, probe: &mut P) -> Option<Pages> {
        let pages = self.pages.lock(LockSite::Pages, probe).alloc(request)?;
        self.granted(pages);
        Some(pages)
    }

    pub(super) fn free_pages<P: Probe>(&self, pages: Pages, probe: &mut P) {
        self.frames.fetch_sub(1 << pages.order, Relaxed);
        self.pages.lock(LockSite::Pages, probe).free(pages);
    }
}
