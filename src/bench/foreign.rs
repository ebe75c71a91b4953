//! Allocators of programs, called through [`GlobalAlloc`]: none is the allocator of this program.
//!
//! The only unsafe code of the benchmarks: calling them, and writing to what they hand out. Functions are safe to their callers under the
//! contract of [`Subject`] and [`Target`]: an address that goes in came out of the same allocator, with the same size, and goes in once.

#![allow(unsafe_code, reason = "`GlobalAlloc` is an unsafe trait; see SAFETY at each place")]

use std::alloc::{GlobalAlloc, Layout};
use std::ptr::NonNull;

use super::subject::Subject;
use crate::allocators::concurrent::Path;
use crate::prepare::Op;
use crate::replay::threads::{Other, Target};

/// Alignment asked for: that of kmalloc. Objects are at least as large, so that no allocator takes it for a wish beyond malloc's.
const ALIGN: usize = 8;

fn layout(bytes: u32) -> Layout {
    // Of at most 4 GiB: always valid.
    Layout::from_size_align((bytes as usize).max(ALIGN), ALIGN).unwrap_or(Layout::new::<u64>())
}

/// Writes to the first byte of an object, as its user would.
#[inline(always)]
pub(super) fn touch(object: NonNull<u8>) {
    // SAFETY: the object has a byte at least, and is its user's, who has just got it from its allocator and not handed it over yet.
    unsafe { object.as_ptr().write_volatile(1) };
}

/// An allocator, for objects of one size.
#[derive(Debug)]
pub(super) struct Foreign<A> {
    allocator: A,
    layout: Layout,
}

impl<A> Foreign<A> {
    pub(super) fn new(allocator: A, bytes: u32) -> Self {
        Self { allocator, layout: layout(bytes) }
    }
}

impl<A: GlobalAlloc + Send + Sync> Subject for Foreign<A> {
    type Own = ();

    fn own(&self, _: usize) {}

    #[inline(always)]
    fn alloc(&self, (): &mut ()) -> Option<NonNull<u8>> {
        // SAFETY: the layout is not of size 0.
        NonNull::new(unsafe { self.allocator.alloc(self.layout) })
    }

    #[inline(always)]
    fn free(&self, (): &mut (), object: NonNull<u8>) {
        // SAFETY: allocated by this allocator with this layout, and given back once, by the contract of `Subject`.
        unsafe { self.allocator.dealloc(object.as_ptr(), self.layout) };
    }
}

/// An allocator, for the operations of a trace, whose frees say how many bytes were asked for.
#[derive(Debug)]
pub(super) struct Driven<A>(pub(super) A);

impl<A: GlobalAlloc + Sync> Other for Driven<A> {
    #[inline(always)]
    fn make(&self, bytes: u32) -> Option<NonNull<u8>> {
        // SAFETY: the layout is not of size 0.
        NonNull::new(unsafe { self.0.alloc(layout(bytes)) })
    }

    #[inline(always)]
    fn take_back(&self, object: NonNull<u8>, bytes: u32) {
        // SAFETY: allocated by this allocator with as many bytes, and given back once, by the contract of `Target`.
        unsafe { self.0.dealloc(object.as_ptr(), layout(bytes)) };
    }
}

impl<A: GlobalAlloc + Sync> Target for Driven<A> {
    type Own = ();

    #[inline(always)]
    fn alloc(&self, (): &mut (), op: &Op) -> Option<(NonNull<u8>, Path)> {
        // Which of its paths it takes an allocator does not tell.
        Some((self.make(op.requested_bytes)?, Path::AllocFast))
    }

    #[inline(always)]
    fn free(&self, (): &mut (), op: &Op, object: NonNull<u8>) -> Path {
        self.take_back(object, op.requested_bytes);
        Path::FreeFast
    }

    /// Plans for this target have no lists ([`super::trace`]), as there is no such call here.
    fn free_list(&self, (): &mut (), op: &Op, objects: Vec<NonNull<u8>>) {
        for object in objects {
            self.take_back(object, op.requested_bytes);
        }
    }

    #[inline(always)]
    fn touch(&self, _: &Op, object: NonNull<u8>, bytes: u32) {
        // The worker asks for a line at most.
        if bytes > 0 {
            touch(object);
        }
    }

    fn flush(&self, (): &mut (), _: u16, _: usize) {}

    fn shrink(&self, (): &mut (), _: u16, _: usize) {}
}
