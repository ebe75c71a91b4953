//! A model behind `kmalloc()` and `kfree()`: the cache of one size, laid out as its release does.
//!
//! A size that is known when a kernel is compiled finds its cache then; so does the size of a benchmark, before time runs. Frees are told the
//! size too, as allocators of programs are ([`std::alloc::GlobalAlloc`]); the slab of an object is found from its address, as in the kernel.

use std::ptr::NonNull;
use std::sync::Arc;

use super::subject::Subject;
use super::{Allocator, BenchError};
use crate::allocators::concurrent::{Heap, Memory, Model, Object, Probe, Request, Slabs};
use crate::allocators::slub::sizing::{Build, CacheLayout, Kernel, KernelRelease, Machine, kmalloc};
use crate::allocators::slub::{CacheKind, Rules, Topology};
use crate::mem::BoundedPages;

/// Address space for slabs, in bytes. Memory is used as slabs are made.
const ADDRESS_SPACE: usize = 4 << 30;

const PAGE_BYTES: u32 = 4096;

/// A kmalloc cache of a machine with one node.
#[derive(Debug)]
pub(super) struct Kmalloc<M, P> {
    cache: M,
    probe: fn() -> P,
}

/// What a CPU has of it, and what was counted there; on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Cpu<C, P> {
    state: C,
    probe: P,
}

impl<M: Model, P: Probe> Kmalloc<M, P> {
    /// The cache of a release, for CPUs of which each thread plays one. There are two at least.
    pub(super) fn new(release: KernelRelease, threads: usize, bytes: u32, probe: fn() -> P) -> Result<Self, BenchError> {
        let cpus = threads.max(2) as u16;
        let kernel = Kernel::new(release, Machine::x86_64(cpus.into()), Build::default());
        let memory = Memory::map(ADDRESS_SPACE / PAGE_BYTES as usize, PAGE_BYTES).map_err(BenchError::Memory)?;
        let pages = BoundedPages::new(memory.frames() as u64);
        let heap = Arc::new(Heap::new(memory, PAGE_BYTES, Box::new(pages)));
        let topology = Arc::new(Topology::new(vec![0; cpus.into()]));
        let no_cache = || BenchError::NoCache { allocator: Allocator::Slub { release, counts: true }.name(), size: bytes };
        let size = kmalloc::class_bytes(&kernel, bytes.into()).ok_or_else(no_cache)?;
        let spec = kmalloc::cache_spec(&kernel, kmalloc::Kind::Normal, size);
        let layout = CacheLayout::calculate(&kernel, &spec).map_err(|_| no_cache())?;
        let kind = if layout.cpu_partial > 0 { CacheKind::CpuPartial } else { CacheKind::CpuSlab };
        let slabs = Slabs::new(heap, 0, layout, kind, Rules::of(release), topology).map_err(|_| no_cache())?;
        Ok(Self { cache: M::new(slabs), probe })
    }
}

// Not inlined: allocators of programs are called, and so is the kernel's.
impl<M: Model, P: Probe> Subject for Kmalloc<M, P> {
    type Own = Cpu<M::Cpu, P>;

    fn own(&self, thread: usize) -> Self::Own {
        Cpu { state: self.cache.cpu(thread as u16), probe: (self.probe)() }
    }

    #[inline(never)]
    fn alloc(&self, own: &mut Self::Own) -> Option<NonNull<u8>> {
        let (object, _) = self.cache.alloc(&mut own.state, Request::default(), &mut own.probe)?;
        Some(object.into_raw())
    }

    #[inline(never)]
    fn free(&self, own: &mut Self::Own, object: NonNull<u8>) {
        self.cache.free(&mut own.state, Object::from_raw(object), &mut own.probe);
    }
}
