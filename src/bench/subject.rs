//! What a pattern asks of an allocator.

use std::ptr::NonNull;

/// An allocator of objects of one size, used by several threads at the same time.
///
/// Objects are handed over as addresses. Whoever allocates may use the object's memory, and gives each back once, on any thread.
pub(super) trait Subject: Send + Sync {
    /// What a thread has.
    type Own: Send;

    /// A thread, by its number.
    fn own(&self, thread: usize) -> Self::Own;

    /// Allocates an object.
    fn alloc(&self, own: &mut Self::Own) -> Option<NonNull<u8>>;

    /// Frees an object.
    fn free(&self, own: &mut Self::Own, object: NonNull<u8>);
}
