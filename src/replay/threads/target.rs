//! What workers drive: caches of a concurrent model, or any other allocator.

use std::ptr::NonNull;

use crate::allocators::concurrent::{Model, Object, Path, Probe, Request};
use crate::prepare::Op;

/// An allocator that several workers use at the same time.
///
/// Objects are handed over as addresses. Whoever allocates hands each over once; who takes it gives it back once, by an operation on the same
/// cache.
pub trait Target: Sync {
    /// What one worker has: the state of all its CPUs.
    type Own: Send;

    /// Does an allocation; also says by which path.
    fn alloc(&self, own: &mut Self::Own, op: &Op) -> Option<(NonNull<u8>, Path)>;

    /// Does a free; says by which path.
    fn free(&self, own: &mut Self::Own, op: &Op, object: NonNull<u8>) -> Path;

    /// Frees objects of one cache in one call: those of each slab together.
    fn free_list(&self, own: &mut Self::Own, op: &Op, objects: Vec<NonNull<u8>>);

    /// Writes to the first bytes of an object, which its worker has just allocated.
    fn touch(&self, op: &Op, object: NonNull<u8>, bytes: u32);

    /// Gives back what a CPU of the worker, by its number among them, holds of a cache.
    fn flush(&self, own: &mut Self::Own, cache: u16, cpu: usize);

    /// Shrinks what is left of a cache, all CPUs of which were flushed, on behalf of a CPU of the worker.
    fn shrink(&self, own: &mut Self::Own, cache: u16, cpu: usize);
}

/// Caches of a concurrent model, by their numbers in the plan.
#[derive(Debug)]
pub struct Caches<M>(pub(super) Vec<M>);

/// A CPU's state of a cache, and what was counted there; on cache lines of its own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Own<C, P> {
    pub(super) state: C,
    pub(super) probe: P,
}

/// What a worker has: by CPU, then cache.
#[derive(Debug)]
pub struct Owned<C, P> {
    pub(super) places: Vec<Own<C, P>>,
    pub(super) caches: usize,
}

impl<C, P> Owned<C, P> {
    #[inline(always)]
    fn place(&mut self, cpu: usize, cache: u16) -> &mut Own<C, P> {
        &mut self.places[cpu * self.caches + usize::from(cache)]
    }
}

/// Caches with what their workers count by: a target.
#[derive(Debug)]
pub struct Probed<'a, M, P> {
    pub(super) caches: &'a Caches<M>,
    pub(super) probe: std::marker::PhantomData<fn() -> P>,
}

impl<M: Model, P: Probe> Target for Probed<'_, M, P> {
    type Own = Owned<M::Cpu, P>;

    #[inline(always)]
    fn alloc(&self, own: &mut Self::Own, op: &Op) -> Option<(NonNull<u8>, Path)> {
        let cache = &self.caches.0[usize::from(op.cache)];
        let place = own.place(usize::from(op.cpu), op.cache);
        let request = Request {
            node: u16::try_from(op.node).ok(),
            this_node_only: op.what.is_this_node_only(),
            caller: op.what.caller(),
            no_sheaf: op.what.makes_no_sheaf(),
        };
        let (object, path) = if op.what.is_in_bulk() {
            cache.alloc_in_bulk(&mut place.state, request, &mut place.probe)
        } else {
            cache.alloc(&mut place.state, request, &mut place.probe)
        }?;
        Some((object.into_raw(), path))
    }

    #[inline(always)]
    fn free(&self, own: &mut Self::Own, op: &Op, object: NonNull<u8>) -> Path {
        let cache = &self.caches.0[usize::from(op.cache)];
        let place = own.place(usize::from(op.cpu), op.cache);
        let object = Object::from_raw(object);
        if op.what.is_by_rcu() {
            cache.free_rcu(&mut place.state, object, &mut place.probe)
        } else {
            cache.free(&mut place.state, object, &mut place.probe)
        }
    }

    fn free_list(&self, own: &mut Self::Own, op: &Op, objects: Vec<NonNull<u8>>) {
        let cache = &self.caches.0[usize::from(op.cache)];
        let place = own.place(usize::from(op.cpu), op.cache);
        cache.free_list(&mut place.state, objects.into_iter().map(Object::from_raw).collect(), &mut place.probe);
    }

    fn touch(&self, op: &Op, object: NonNull<u8>, bytes: u32) {
        self.caches.0[usize::from(op.cache)].slabs().touch(&Object::from_raw(object), bytes);
    }

    fn flush(&self, own: &mut Self::Own, cache: u16, cpu: usize) {
        let place = own.place(cpu, cache);
        self.caches.0[usize::from(cache)].flush(&mut place.state, &mut place.probe);
    }

    fn shrink(&self, own: &mut Self::Own, cache: u16, cpu: usize) {
        let place = own.place(cpu, cache);
        self.caches.0[usize::from(cache)].shrink_shared(&mut place.probe);
    }
}
