//! A model behind `kmalloc()` and `kfree()`: one cache per size, laid out as its release does.
//!
//! A size that is known when a kernel is compiled finds its cache then; so does the size of a benchmark, before time runs. `kfree()` gets an
//! address alone: the slab behind it says which cache it is of.

use std::ptr::NonNull;
use std::sync::Arc;

use super::subject::Subject;
use super::{Allocator, BenchError, MAX_BYTES};
use crate::allocators::concurrent::{Heap, Memory, Model, Object, Probe, Request, Slabs};
use crate::allocators::slub::sizing::{Build, CacheLayout, Kernel, KernelRelease, Machine, kmalloc};
use crate::allocators::slub::{CacheKind, Rules, Topology};
use crate::mem::BoundedPages;

/// Address space for slabs, in bytes. Memory is used as slabs are made.
const ADDRESS_SPACE: usize = 4 << 30;

const PAGE_BYTES: u32 = 4096;

/// The kmalloc caches of a machine with one node.
#[derive(Debug)]
pub(super) struct Kmalloc<M, P> {
    caches: Box<[M]>,
    /// The cache for objects of the size that is asked for.
    class: usize,
    probe: fn() -> P,
}

/// What a CPU has of all caches.
#[derive(Debug)]
pub(super) struct Cpu<C, P>(Box<[OfCache<C, P>]>);

/// A CPU's state of a cache, and what was counted there; on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
struct OfCache<C, P> {
    state: C,
    probe: P,
}

impl<M: Model, P: Probe> Kmalloc<M, P> {
    /// The caches of a release, for CPUs of which each thread plays one. There are two at least.
    pub(super) fn new(release: KernelRelease, threads: usize, bytes: u32, probe: fn() -> P) -> Result<Self, BenchError> {
        let cpus = threads.max(2) as u16;
        let kernel = Kernel::new(release, Machine::x86_64(cpus.into()), Build::default());
        let memory = Memory::map(ADDRESS_SPACE / PAGE_BYTES as usize, PAGE_BYTES).map_err(BenchError::Memory)?;
        let pages = BoundedPages::new(memory.frames() as u64);
        let heap = Arc::new(Heap::new(memory, PAGE_BYTES, Box::new(pages)));
        let topology = Arc::new(Topology::new(vec![0; cpus.into()]));
        let no_cache = || BenchError::NoCache { allocator: Allocator::Slub { release, counts: true }.name(), size: bytes };
        let wanted = kmalloc::class_bytes(&kernel, bytes.into()).ok_or_else(no_cache)?;
        let (mut caches, mut class) = (Vec::new(), None);
        for size in kmalloc::classes_by_index(&kernel).into_iter().filter(|&size| size <= MAX_BYTES) {
            let layout =
                CacheLayout::calculate(&kernel, &kmalloc::cache_spec(&kernel, kmalloc::Kind::Normal, size)).map_err(|_| no_cache())?;
            let kind = if layout.cpu_partial > 0 { CacheKind::CpuPartial } else { CacheKind::CpuSlab };
            if size == wanted {
                class = Some(caches.len());
            }
            let slabs = Slabs::new(Arc::clone(&heap), caches.len() as u32, layout, kind, Rules::of(release), Arc::clone(&topology));
            caches.push(M::new(slabs.map_err(|_| no_cache())?));
        }
        Ok(Self { caches: caches.into(), class: class.ok_or_else(no_cache)?, probe })
    }
}

// Not inlined: allocators of programs are called, and so is the kernel's.
impl<M: Model, P: Probe> Subject for Kmalloc<M, P> {
    type Own = Cpu<M::Cpu, P>;

    fn own(&self, thread: usize) -> Self::Own {
        Cpu(self.caches.iter().map(|cache| OfCache { state: cache.cpu(thread as u16), probe: (self.probe)() }).collect())
    }

    #[inline(never)]
    fn alloc(&self, own: &mut Self::Own) -> Option<NonNull<u8>> {
        let place = &mut own.0[self.class];
        let (object, _) = self.caches[self.class].alloc(&mut place.state, Request::default(), &mut place.probe)?;
        Some(object.into_raw())
    }

    #[inline(never)]
    fn free(&self, own: &mut Self::Own, object: NonNull<u8>) {
        let object = Object::from_raw(object);
        let (slab, owner) = self.caches[0].slabs().found(&object);
        // An address that no cache owns is none that `alloc` gave.
        if let (Some(cache), Some(place)) = (self.caches.get(owner), own.0.get_mut(owner)) {
            cache.free_in(&mut place.state, slab, object, &mut place.probe);
        }
    }
}
