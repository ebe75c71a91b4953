//! Real memory for objects, and the descriptors of its page frames.
//!
//! Frames lie in one mapping. Free pointers are inside the objects, at the kernel's offset, so that the replay misses the caches where
//! the kernel would. Each frame has a descriptor of 64 bytes, as in the kernel (`struct page`, `vmemmap`), found from any address by
//! a shift; that of a slab's first frame describes the slab.
//!
//! This module has the only unsafe code of the model: looking into the mapping. An [`Address`] is made here only, inside the mapping, and
//! the mapping lives as long as the memory, so any may be looked at; whose link it is then, the protocol decides. Links are atomics,
//! read and written without an ordering of their own (a plain load or store on every processor): a mistake in the protocol would be a wrong
//! figure and never undefined behaviour. Under loom links are cells instead, in which every access without an order is an error.

#![allow(unsafe_code, reason = "the mapping is looked into by address; see SAFETY at each place")]

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::Ordering::Relaxed;

use super::slab::{Slab, SlabId};

/// A place in the memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Address(NonNull<u8>);

// SAFETY: an address is a number; whatever is there is reached through `Memory` only, by atomics.
unsafe impl Send for Address {}
// SAFETY: as above.
unsafe impl Sync for Address {}

impl Address {
    pub(crate) fn into_raw(self) -> NonNull<u8> {
        self.0
    }

    /// An address that [`Self::into_raw`] gave.
    pub(crate) fn from_raw(raw: NonNull<u8>) -> Self {
        Self(raw)
    }
}

/// Where the free pointer is in an object, in bytes from its start: a multiple of the size of a pointer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct LinkOffset(usize);

/// Bytes of a free pointer.
pub(super) const LINK_BYTES: usize = size_of::<usize>();

impl LinkOffset {
    /// `None` if a pointer does not fit there in objects of this stride.
    pub(super) fn new(offset: u32, stride: u32) -> Option<Self> {
        let (offset, stride) = (offset as usize, stride as usize);
        let fits = offset.is_multiple_of(LINK_BYTES) && stride.is_multiple_of(LINK_BYTES) && offset + LINK_BYTES <= stride;
        fits.then_some(Self(offset))
    }
}

/// Page frames, with their descriptors.
#[derive(Debug)]
pub struct Memory {
    mapping: Mapping,
    base: Address,
    frame_shift: u32,
    slabs: Descriptors,
}

impl Memory {
    /// Maps up to `frames` frames of `frame_bytes`, which must be a power of two; fewer if the system refuses so much address space.
    /// Memory is taken when it is first written to.
    ///
    /// # Errors
    ///
    /// What the system says if it maps not even 16 MiB.
    pub fn map(frames: usize, frame_bytes: u32) -> io::Result<Self> {
        assert!(frame_bytes.is_power_of_two(), "pages are powers of two");
        const LEAST: usize = 16 << 20;
        let frame_shift = frame_bytes.trailing_zeros();
        let mut frames = frames;
        let (mapping, base) = loop {
            match Mapping::new(frames << frame_shift) {
                Ok(mapping) => break mapping,
                Err(error) if (frames << frame_shift) / 2 < LEAST => return Err(error),
                Err(_) => frames /= 2,
            }
        };
        Ok(Self { mapping, base: Address(base), frame_shift, slabs: Descriptors::zeroed(frames)? })
    }

    /// Number of frames.
    #[must_use]
    pub fn frames(&self) -> usize {
        self.slabs.len()
    }

    /// Where the first frame is.
    #[cfg(all(test, not(slub_loom)))]
    pub(super) fn base_address(&self) -> usize {
        self.base.0.as_ptr().addr()
    }

    /// Has the system give memory for the first so many bytes of frames, and their descriptors, before it is written to. A wish: where the
    /// system cannot, it comes when it is written to, as for the rest.
    pub fn populate(&self, bytes: usize) {
        let frames = bytes.div_ceil(1 << self.frame_shift).min(self.frames());
        self.mapping.populate(frames << self.frame_shift);
        self.slabs.populate(frames);
    }

    /// The descriptor of a slab.
    #[inline(always)]
    pub(super) fn slab(&self, id: SlabId) -> &Slab {
        &self.slabs[id.index()]
    }

    /// The descriptor of the frame that an address lies in (`virt_to_page()`).
    #[inline(always)]
    pub(super) fn frame_of(&self, address: Address) -> &Slab {
        &self.slabs[(address.0.as_ptr().addr() - self.base.0.as_ptr().addr()) >> self.frame_shift]
    }

    /// The slab that an address lies in (`virt_to_slab()`).
    #[inline(always)]
    pub(super) fn slab_of(&self, address: Address) -> SlabId {
        // ORDERING: Relaxed. Written when the slab was made; who has an object of it has synchronised with that.
        SlabId::new(self.frame_of(address).head.load(Relaxed))
    }

    /// The place at an offset in a slab.
    #[inline(always)]
    pub(super) fn at(&self, slab: SlabId, offset: u32) -> Address {
        let offset = (slab.index() << self.frame_shift) + offset as usize;
        debug_assert!(offset.is_multiple_of(LINK_BYTES));
        assert!(offset < self.slabs.len() << self.frame_shift, "an offset lies in its slab");
        // SAFETY: below the end of the mapping, which is one allocation.
        Address(unsafe { self.base.0.add(offset) })
    }

    /// The offset of an address in its slab.
    #[inline(always)]
    pub(super) fn offset(&self, slab: SlabId, address: Address) -> u32 {
        (address.0.as_ptr().addr() - self.base.0.as_ptr().addr() - (slab.index() << self.frame_shift)) as u32
    }

    /// The address behind a free object in its freelist. The object is the caller's, or cannot be taken meanwhile.
    #[inline(always)]
    pub(super) fn link(&self, object: Address, at: LinkOffset) -> Option<Address> {
        self.mapping.link(self.base, object, at)
    }

    /// Links an object, which is the caller's, to the one behind it.
    #[inline(always)]
    pub(super) fn set_link(&self, object: Address, at: LinkOffset, next: Option<Address>) {
        self.mapping.set_link(self.base, object, at, next);
    }

    /// Writes a byte into each cache line of the first `bytes` of an object, as its user would.
    #[inline]
    pub(super) fn touch(&self, object: Address, bytes: usize) {
        let start = object.0.as_ptr().addr() - self.base.0.as_ptr().addr();
        let bytes = bytes.min((self.slabs.len() << self.frame_shift) - start);
        for line in (0..bytes).step_by(64) {
            self.mapping.write(object, line);
        }
    }
}

/// Descriptors of so many frames, all zeroes, in a mapping of their own: memory is taken for those that are written to.
#[cfg(not(slub_loom))]
#[derive(Debug)]
struct Descriptors {
    /// Keeps what `first` points to.
    map: memmap2::MmapMut,
    first: NonNull<Slab>,
    frames: usize,
}

// SAFETY: descriptors are atomics, and are only reached as shared references.
#[cfg(not(slub_loom))]
unsafe impl Send for Descriptors {}
// SAFETY: as above.
#[cfg(not(slub_loom))]
unsafe impl Sync for Descriptors {}

#[cfg(not(slub_loom))]
impl Descriptors {
    fn zeroed(frames: usize) -> io::Result<Self> {
        let mut map = memmap2::MmapOptions::new().len(frames * size_of::<Slab>()).no_reserve_swap().map_anon()?;
        let first = NonNull::new(map.as_mut_ptr().cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { map, first, frames })
    }

    fn populate(&self, frames: usize) {
        self.map.advise_range(memmap2::Advice::PopulateWrite, 0, frames * size_of::<Slab>()).ok();
    }
}

#[cfg(not(slub_loom))]
impl std::ops::Deref for Descriptors {
    type Target = [Slab];

    #[inline(always)]
    fn deref(&self) -> &[Slab] {
        // SAFETY: the mapping has room for so many, is aligned to a page, lives as long as `self`, and nobody has it exclusively. New
        // mappings are zeroes, which are valid descriptors.
        unsafe { std::slice::from_raw_parts(self.first.as_ptr(), self.frames) }
    }
}

/// The same, for loom.
#[cfg(slub_loom)]
#[derive(Debug)]
struct Descriptors(Box<[Slab]>);

#[cfg(slub_loom)]
impl Descriptors {
    fn zeroed(frames: usize) -> io::Result<Self> {
        Ok(Self((0..frames).map(|_| Slab::default()).collect()))
    }

    fn populate(&self, _: usize) {}
}

#[cfg(slub_loom)]
impl std::ops::Deref for Descriptors {
    type Target = [Slab];

    fn deref(&self) -> &[Slab] {
        &self.0
    }
}

/// Links where they are: in the mapping.
#[cfg(not(slub_loom))]
#[derive(Debug)]
struct Mapping(memmap2::MmapMut);

#[cfg(not(slub_loom))]
impl Mapping {
    fn new(bytes: usize) -> io::Result<(Self, NonNull<u8>)> {
        let mut map = memmap2::MmapOptions::new().len(bytes).no_reserve_swap().map_anon()?;
        // The kernel's direct map has large pages too. Where the system has none the replay is a little slower, and right.
        map.advise(memmap2::Advice::HugePage).ok();
        let base = NonNull::new(map.as_mut_ptr()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok((Self(map), base))
    }

    fn populate(&self, bytes: usize) {
        self.0.advise_range(memmap2::Advice::PopulateWrite, 0, bytes).ok();
    }

    #[inline(always)]
    fn cell(object: Address, at: LinkOffset) -> &'static std::sync::atomic::AtomicPtr<u8> {
        // SAFETY: a free pointer fits in the object behind an address, at this offset (`LinkOffset::new`), so it is inside the mapping.
        let place = unsafe { object.0.add(at.0) };
        // SAFETY: addresses and offsets are multiples of the size of a pointer. The mapping outlives the reference, which does not leave
        // the two functions below, called with the memory borrowed. All access to it is atomic. Zeroes are a valid value.
        unsafe { place.cast().as_ref() }
    }

    #[inline(always)]
    fn link(&self, _: Address, object: Address, at: LinkOffset) -> Option<Address> {
        // ORDERING: Relaxed. Links are published by the slab word (Release) and read after it (Acquire), or stay on one CPU.
        NonNull::new(Self::cell(object, at).load(Relaxed)).map(Address)
    }

    #[inline(always)]
    fn set_link(&self, _: Address, object: Address, at: LinkOffset, next: Option<Address>) {
        // ORDERING: Relaxed, as above.
        Self::cell(object, at).store(next.map_or(std::ptr::null_mut(), |next| next.0.as_ptr()), Relaxed);
    }

    #[inline(always)]
    fn write(&self, object: Address, offset: usize) {
        // SAFETY: `Memory::touch` keeps the offset inside the mapping.
        let place = unsafe { object.0.add(offset) };
        // SAFETY: one byte inside the mapping, which is borrowed; all access to it is atomic.
        let byte: &std::sync::atomic::AtomicU8 = unsafe { place.cast().as_ref() };
        // ORDERING: Relaxed. The object is its user's alone.
        byte.store(1, Relaxed);
    }
}

/// Links in cells of their own, in which loom sees who reads and writes without an order.
#[cfg(slub_loom)]
struct Mapping {
    #[expect(dead_code, reason = "gives addresses")]
    bytes: Box<[u64]>,
    links: Vec<loom::cell::UnsafeCell<Option<Address>>>,
}

#[cfg(slub_loom)]
impl std::fmt::Debug for Mapping {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{} links", self.links.len())
    }
}

// SAFETY: loom reports any access to a cell that is not ordered.
#[cfg(slub_loom)]
unsafe impl Sync for Mapping {}
// SAFETY: as above.
#[cfg(slub_loom)]
unsafe impl Send for Mapping {}

#[cfg(slub_loom)]
impl Mapping {
    fn new(bytes: usize) -> io::Result<(Self, NonNull<u8>)> {
        let mut memory = vec![0_u64; bytes / LINK_BYTES].into_boxed_slice();
        let base = NonNull::new(memory.as_mut_ptr().cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        let links = (0..bytes / LINK_BYTES).map(|_| loom::cell::UnsafeCell::new(None)).collect();
        Ok((Self { bytes: memory, links }, base))
    }

    fn populate(&self, _: usize) {}

    fn cell(&self, base: Address, object: Address, at: LinkOffset) -> &loom::cell::UnsafeCell<Option<Address>> {
        &self.links[(object.0.as_ptr().addr() - base.0.as_ptr().addr() + at.0) / LINK_BYTES]
    }

    fn link(&self, base: Address, object: Address, at: LinkOffset) -> Option<Address> {
        // SAFETY: loom checks that nobody writes meanwhile.
        self.cell(base, object, at).with(|link| unsafe { *link })
    }

    fn set_link(&self, base: Address, object: Address, at: LinkOffset, next: Option<Address>) {
        // SAFETY: loom checks that nobody else looks meanwhile.
        self.cell(base, object, at).with_mut(|link| unsafe { *link = next });
    }

    fn write(&self, _: Address, _: usize) {}
}
