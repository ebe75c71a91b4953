//! The slabs of a cache, and what every generation does with them: making and discarding them, taking objects off their freelists and
//! giving them back, all of it against other CPUs that do the same.

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed};

use super::heap::Heap;
use super::memory::{Address, LinkOffset, Memory};
use super::node::{End, Node, Partial};
use super::path::{Object, Path, Request};
use super::probe::{NoProbe, Probe};
use super::slab::{NO_OWNER, SlabId};
use super::word::Word;
use crate::allocators::slub::sheaf::detach_by;
use crate::allocators::slub::sizing::CacheLayout;
use crate::allocators::slub::{CacheKind, Counter, ObjectIndex, Rules, SHRINK_PROMOTE_MAX, Seed, Topology};
use crate::mem::{PageRequest, Pages};

/// A cache whose objects cannot be laid out in the memory of this machine.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "objects of {stride} bytes with their free pointer at {offset}: expected multiples of 8, for pointers of 64 bits (a 32-bit kernel's cache?)"
)]
pub struct LayoutError {
    /// Bytes from one object to the next.
    pub stride: u32,
    /// Offset of the free pointer.
    pub offset: u32,
}

/// What all CPUs share of a cache (`struct kmem_cache`, `struct kmem_cache_node`).
#[derive(Debug)]
pub struct Slabs {
    pub(super) heap: Arc<Heap>,
    /// Number by which the page source knows the cache.
    owner: u32,
    pub(super) link_at: LinkOffset,
    pub(super) layout: CacheLayout,
    pub(super) rules: Rules,
    pub(super) kind: CacheKind,
    pub(super) topology: Arc<Topology>,
    pub(super) nodes: Box<[Node]>,
}

/// What became of a slab that objects were freed into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Freed {
    /// It stays where it is.
    Pushed,
    /// It is some CPU's cpu slab.
    Frozen,
    /// It was full, and is the freeing CPU's now, on no list.
    Taken,
    /// The list lock was taken for it.
    Moved,
}

impl Freed {
    /// The path that this is, for a single free.
    pub(super) fn path(self) -> Path {
        match self {
            Self::Pushed | Self::Frozen => Path::FreeRemote,
            Self::Taken => Path::FreeCpuPartial,
            Self::Moved => Path::FreeNode,
        }
    }
}

/// What a new slab may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effort {
    /// No reclaim: the attempt on a node that was only asked for.
    Opportunistic,
    /// All that the caller allows.
    Full,
}

impl Slabs {
    /// An empty cache in `heap`. `owner` is the number under which it asks for pages.
    ///
    /// # Errors
    ///
    /// If free pointers of this machine do not fit its objects.
    pub fn new(
        heap: Arc<Heap>,
        owner: u32,
        layout: CacheLayout,
        kind: CacheKind,
        rules: Rules,
        topology: Arc<Topology>,
    ) -> Result<Self, LayoutError> {
        let (stride, offset) = (layout.size, layout.freeptr_offset);
        let link_at = LinkOffset::new(offset, stride).ok_or(LayoutError { stride, offset })?;
        let nodes = (0..topology.nodes()).map(Node::new).collect();
        Ok(Self { heap, owner, link_at, layout, rules, kind, topology, nodes })
    }

    #[inline(always)]
    pub(super) fn memory(&self) -> &Memory {
        &self.heap.memory
    }

    pub(super) fn node_of(&self, slab: SlabId) -> &Node {
        &self.nodes[usize::from(self.memory().slab(slab).node())]
    }

    /// Locks the list that a slab belongs on.
    pub(super) fn lock_node_of<P: Probe>(&self, slab: SlabId, probe: &mut P) -> Partial<'_> {
        self.node_of(slab).lock(self.memory(), probe)
    }

    #[inline(always)]
    pub(super) fn link(&self, object: Address) -> Option<Address> {
        self.memory().link(object, self.link_at)
    }

    #[inline(always)]
    pub(super) fn set_link(&self, object: Address, next: Option<Address>) {
        self.memory().set_link(object, self.link_at, next);
    }

    /// Objects of a freelist, which is the caller's, in order.
    pub(super) fn chain(&self, head: Option<Address>) -> impl Iterator<Item = Address> {
        std::iter::successors(head, |&object| self.link(object))
    }

    /// Links objects in order; the last is left for the caller to link.
    pub(super) fn join(&self, objects: &[Address]) {
        for pair in objects.windows(2) {
            self.set_link(pair[0], Some(pair[1]));
        }
    }

    pub(super) fn place(&self, slab: SlabId, head: Option<u32>) -> Option<Address> {
        head.map(|offset| self.memory().at(slab, offset))
    }

    /// `allocate_slab()`: the preferred order without effort, then the minimum order with all that the caller allows. The slab
    /// is the caller's alone, its objects free, in ascending order.
    pub(super) fn new_slab<P: Probe>(&self, cpu: u16, request: Request, effort: Effort, probe: &mut P) -> Option<SlabId> {
        let node = request.node.unwrap_or_else(|| self.topology.node_of(cpu));
        let this_node_only = request.node.is_some() && request.this_node_only;
        let (is_opportunistic, can_fall_back) = (effort == Effort::Opportunistic, self.layout.order > self.layout.min_order);
        let [first, own] = request.caller.rights_for_slab(is_opportunistic, can_fall_back);
        let ask = |order: u32, rights| PageRequest { owner: self.owner, order: order as u8, cpu, node, this_node_only, rights };
        let (pages, objects) = match self.heap.alloc_pages(ask(self.layout.order, first), probe) {
            Some(pages) => (pages, self.layout.objects),
            None => {
                let pages = self.heap.alloc_pages(ask(self.layout.min_order, own), probe)?;
                probe.count(Counter::OrderFallback, 1);
                (pages, self.layout.min_objects)
            }
        };
        probe.count(Counter::AllocSlab, 1);
        Some(self.adopt(pages, objects as u16, 0..objects))
    }

    /// Makes a slab of pages, with the objects of these numbers free, in their order.
    pub(super) fn adopt(&self, pages: Pages, objects: u16, free: impl IntoIterator<Item = u32>) -> SlabId {
        let slab = SlabId::new(pages.pfn as u32);
        // ORDERING: Relaxed. The frames are ours alone: the lock of the page source ordered us after their last user.
        for frame in pages.pfn..pages.pfn + (1 << pages.order) {
            self.memory().slab(SlabId::new(frame as u32)).head.store(slab.raw(), Relaxed);
        }
        let descriptor = self.memory().slab(slab);
        descriptor.owner.store(self.number(), Relaxed);
        descriptor.node.store(pages.node, Relaxed);
        descriptor.order.store(u16::from(pages.order), Relaxed);
        descriptor.listed.store(0, Relaxed);
        let free: Vec<Address> = free.into_iter().map(|number| self.memory().at(slab, number * self.layout.size)).collect();
        self.join(&free);
        if let Some(&last) = free.last() {
            self.set_link(last, None);
        }
        let empty = Word::all_free(objects, 0).taken();
        let head = free.first().map(|&first| self.memory().offset(slab, first));
        descriptor.set(head.map_or(empty, |head| empty.pushed(head, free.len() as u16)));
        let node = &self.nodes[usize::from(pages.node)];
        node.slabs.fetch_add(1, Relaxed);
        node.objects.fetch_add(u64::from(objects), Relaxed);
        slab
    }

    /// Gives the pages of a slab back that nobody has objects of. Callers count.
    pub(super) fn discard<P: Probe>(&self, slab: SlabId, probe: &mut P) {
        let descriptor = self.memory().slab(slab);
        // ORDERING: Relaxed. The slab is ours alone, and the lock of the page source orders its next user after us.
        descriptor.owner.store(NO_OWNER, Relaxed);
        let order = descriptor.order.load(Relaxed) as u8;
        let node = descriptor.node();
        let word = descriptor.glance();
        debug_assert_eq!(word.inuse(), 0, "a slab is discarded empty");
        self.nodes[usize::from(node)].slabs.fetch_sub(1, Relaxed);
        self.nodes[usize::from(node)].objects.fetch_sub(u64::from(word.objects()), Relaxed);
        self.heap.free_pages(Pages { pfn: u64::from(slab.raw()), order, node }, probe);
    }

    /// Takes a slab's whole freelist (`get_freelist()`, `freeze_slab()`): from its point of view all objects are in use then. `frozen`
    /// says whether it is a cpu slab afterwards, from whether there was an object.
    pub(super) fn take_freelist<P: Probe>(&self, slab: SlabId, frozen: impl Fn(bool) -> bool, probe: &mut P) -> Option<Address> {
        let descriptor = self.memory().slab(slab);
        // ORDERING: Relaxed. What is seen here is compared and copied, not followed.
        let mut old = descriptor.peek(Relaxed);
        loop {
            let new = old.taken().frozen(frozen(old.head().is_some()));
            // ORDERING: Acquire, for the links that others published when they freed into the slab (Release in `free_to_slab`). What was
            // pushed before the last push is seen as well: every change of the word is an exchange, and continues the release sequence.
            match descriptor.exchange(old, new, Acquire, Relaxed) {
                Ok(()) => return self.place(slab, old.head()),
                Err(now) => {
                    probe.count(Counter::CmpxchgDoubleFail, 1);
                    old = now;
                }
            }
        }
    }

    /// Takes the first object of a slab that is on `list`: nobody else takes from it while that is locked. Also says whether it
    /// was the last.
    fn take_object<P: Probe>(&self, _list: &Partial<'_>, slab: SlabId, probe: &mut P) -> Option<(Address, bool)> {
        let descriptor = self.memory().slab(slab);
        // ORDERING: Acquire, here and where the exchange fails: the link of the first object is followed, which was published by the Release
        // of the push.
        let mut old = descriptor.peek(Acquire);
        loop {
            let first = self.place(slab, old.head())?;
            let next = self.link(first).map(|next| self.memory().offset(slab, next));
            // ORDERING: Relaxed. A word that did not change was acquired by the look at it, and others only push, which changes it.
            match descriptor.exchange(old, old.popped(next), Relaxed, Acquire) {
                Ok(()) => return Some((first, next.is_none())),
                Err(now) => {
                    probe.count(Counter::CmpxchgDoubleFail, 1);
                    old = now;
                }
            }
        }
    }

    /// `__slab_free()`: puts `count` objects, linked from `head` to `tail`, in front of a slab's freelist. If `takes_full`, a slab that was
    /// full becomes the caller's, for its CPU partial list.
    pub(super) fn free_to_slab<P: Probe>(
        &self,
        slab: SlabId,
        (head, tail, count): (Address, Address, u16),
        takes_full: bool,
        probe: &mut P,
    ) -> Freed {
        let descriptor = self.memory().slab(slab);
        let head = self.memory().offset(slab, head);
        // ORDERING: Relaxed. What is seen here is compared and copied, not followed.
        let mut old = descriptor.peek(Relaxed);
        loop {
            let new = old.pushed(head, count);
            let (was_full, is_empty) = (old.head().is_none(), new.inuse() == 0);
            self.set_link(tail, self.place(slab, old.head()));
            // Lock before the exchange: whoever holds the lock must see a slab's word and its place on the list change as one.
            let moves = !old.is_frozen() && (was_full || is_empty) && !(was_full && takes_full);
            let list = moves.then(|| self.lock_node_of(slab, probe));
            // ORDERING: Release publishes the links of the objects, and their users' last writes, to whoever takes them. Acquire: who
            // frees the last object gives the pages away, and what others wrote into them has to come before.
            if let Err(now) = descriptor.exchange(old, new, AcqRel, Relaxed) {
                probe.count(Counter::CmpxchgDoubleFail, 1);
                old = now;
                continue;
            }
            return match list {
                None if old.is_frozen() => Freed::Frozen,
                None if was_full => Freed::Taken,
                None => Freed::Pushed,
                Some(list) => self.settle(list, slab, was_full, is_empty, probe),
            };
        }
    }

    /// Moves a slab that had no free object, or has no object in use now. Not one that is in the hands of another CPU, on its partial list
    /// or on the way.
    fn settle<P: Probe>(&self, mut list: Partial<'_>, slab: SlabId, was_full: bool, is_empty: bool, probe: &mut P) -> Freed {
        if !was_full && !list.has(slab) {
            return Freed::Moved;
        }
        if is_empty && list.len() >= self.layout.min_partial {
            if !was_full {
                list.remove(slab);
                probe.count(Counter::FreeRemovePartial, 1);
            }
            drop(list);
            probe.count(Counter::FreeSlab, 1);
            self.discard(slab, probe);
        } else if was_full {
            list.add(slab, End::Tail);
            probe.count(Counter::FreeAddPartial, 1);
        }
        Freed::Moved
    }

    /// Nodes whose lists a CPU may use instead of its own (`get_any_partial()`), nearest first.
    pub(super) fn with_spare(&self, cpu: u16) -> impl Iterator<Item = &Node> {
        let nodes = self.topology.nearest_first(cpu).map(|node| &self.nodes[usize::from(node)]);
        nodes.filter(|node| node.nr_partial() > self.layout.min_partial)
    }

    /// Lists to look at for a request: that of the node asked for, else the CPU's, then others unless that is forbidden.
    pub(super) fn lists(&self, cpu: u16, request: Request) -> impl Iterator<Item = &Node> {
        let is_bound = request.node.is_some() && (request.this_node_only || !self.rules.requested_node_first);
        let wanted = request.node.unwrap_or_else(|| self.topology.node_of(cpu));
        let elsewhere = (!is_bound).then(|| self.with_spare(cpu)).into_iter().flatten();
        std::iter::once(&self.nodes[usize::from(wanted)]).chain(elsewhere).filter(|node| node.nr_partial() > 0)
    }

    /// One object of a listed slab, or of a new one: caches with debugging (`alloc_single_from_partial()`), all of 7.x
    /// (`___slab_alloc()`).
    pub(super) fn alloc_listed<P: Probe>(&self, cpu: u16, request: Request, probe: &mut P) -> Option<(Address, Path)> {
        if request.node.is_some() && !request.this_node_only && self.rules.requested_node_first {
            let strict = Request { this_node_only: true, ..request };
            if let Some(found) = self.take_listed_object(cpu, strict, Effort::Opportunistic, probe) {
                return Some(found);
            }
        }
        self.take_listed_object(cpu, request, Effort::Full, probe)
    }

    fn take_listed_object<P: Probe>(&self, cpu: u16, request: Request, effort: Effort, probe: &mut P) -> Option<(Address, Path)> {
        for node in self.lists(cpu, request) {
            let mut list = node.lock(self.memory(), probe);
            let Some(slab) = list.first() else { continue };
            let Some((object, was_last)) = self.take_object(&list, slab, probe) else { continue };
            if was_last {
                list.remove(slab);
            }
            return Some((object, Path::AllocNodePartial));
        }
        let slab = self.new_slab(cpu, request, effort, probe)?;
        let mut objects = Vec::with_capacity(1);
        self.take_of_new(slab, 1, &mut objects, probe);
        Some((objects.pop()?, Path::AllocNewSlab))
    }

    /// Takes up to `wanted` objects of a slab that nobody else knows; what is left goes to the head of its node's list.
    pub(super) fn take_of_new<P: Probe>(&self, slab: SlabId, wanted: usize, into: &mut Vec<Address>, probe: &mut P) -> usize {
        let descriptor = self.memory().slab(slab);
        let word = descriptor.glance();
        let before = into.len();
        let mut next = self.place(slab, word.head());
        while let Some(object) = next.filter(|_| into.len() < before + wanted) {
            into.push(object);
            next = self.link(object);
        }
        let taken = into.len() - before;
        descriptor.set(word.popped_many(next.map(|next| self.memory().offset(slab, next)), taken as u16));
        if next.is_some() {
            self.lock_node_of(slab, probe).add(slab, End::Head);
        }
        taken
    }

    /// Frees an array to slabs (`__kmem_cache_free_bulk()`), in lists of one slab, from its end; what was found last comes to the head.
    pub(super) fn free_array<P: Probe>(
        &self,
        array: &mut Vec<Address>,
        probe: &mut P,
        mut free: impl FnMut(&Self, SlabId, &[Address], &mut P),
    ) {
        let mut list = Vec::new();
        while let Some(slab) = self.detach(array, &mut list) {
            if !self.rules.sheaves.is_some_and(|sheaves| sheaves.flush_reverses) {
                list.reverse();
            }
            free(self, slab, &list, probe);
        }
    }

    /// Takes the objects of one slab off the end of an array (`build_detached_freelist()`), in the order in which they are found.
    pub(super) fn detach(&self, array: &mut Vec<Address>, list: &mut Vec<Address>) -> Option<SlabId> {
        detach_by(array, list, |object| self.memory().slab_of(object), |object| object)
    }

    /// What a refill leaves of a slab that it emptied: its freelist again, and the slab to the tail of its node's list, uncounted (7.2). Not
    /// if somebody freed into the slab meanwhile, as then it is on the list already.
    pub(super) fn put_surplus<P: Probe>(&self, slab: SlabId, surplus: &[Address], probe: &mut P) -> bool {
        let (head, tail, count) = self.linked(surplus);
        self.set_link(tail, None);
        let descriptor = self.memory().slab(slab);
        let mut list = self.lock_node_of(slab, probe);
        let old = descriptor.peek(Relaxed);
        if old.head().is_some() {
            return false;
        }
        // ORDERING: Relaxed. Who takes the objects takes the slab off the list before, and the lock orders that. For the same reason the
        // exchange cannot lose: who puts the first object into a full slab needs the lock.
        if descriptor.exchange(old, old.pushed(self.memory().offset(slab, head), count), Relaxed, Relaxed).is_err() {
            return false;
        }
        list.add(slab, End::Tail);
        true
    }

    /// Objects of a slab of this order.
    pub(crate) fn objects_of(&self, order: u8) -> u16 {
        (if u32::from(order) == self.layout.order { self.layout.objects } else { self.layout.min_objects }) as u16
    }

    /// Makes a slab that exists from the start, in nobody's hands; returns its free objects in the order in which they will be handed out.
    /// Free objects beyond the slab's size and repetitions are ignored.
    pub(super) fn adopt_seed(&self, seed: &Seed) -> (SlabId, Vec<Address>) {
        let objects = self.objects_of(seed.pages.order);
        let mut seen = vec![false; usize::from(objects)];
        let is_new = |index: &ObjectIndex| seen.get_mut(usize::from(*index)).is_some_and(|seen| !std::mem::replace(seen, true));
        let free: Vec<u32> = seed.free.iter().copied().filter(is_new).map(u32::from).collect();
        let slab = self.adopt(seed.pages, objects, free);
        let word = self.memory().slab(slab).glance();
        (slab, self.chain(self.place(slab, word.head())).collect())
    }

    /// Puts a seeded slab on its node's list, if it has free objects.
    pub(super) fn list_seed(&self, slab: SlabId) {
        if self.memory().slab(slab).glance().head().is_some() {
            self.lock_node_of(slab, &mut NoProbe).add(slab, End::Tail);
        }
    }

    /// The object at a place in a slab that exists from the start, where it is in use; `None` past its end.
    pub(crate) fn seeded_object(&self, slab: SlabId, index: ObjectIndex) -> Option<Address> {
        let objects = self.memory().slab(slab).glance().objects();
        (index < objects).then(|| self.memory().at(slab, u32::from(index) * self.layout.size))
    }

    /// The slab that an object is in.
    #[inline(always)]
    pub fn slab_of(&self, object: &Object) -> SlabId {
        self.memory().slab_of(object.0)
    }

    /// The number by which the page source knows the cache whose object is at an address.
    pub(crate) fn owner_at(&self, object: Address) -> Option<u32> {
        let slab = self.memory().slab(self.memory().slab_of(object));
        slab.owner.load(Relaxed).checked_sub(1)
    }

    /// Writes to the first bytes of an object, as its user would.
    #[inline]
    pub(crate) fn touch(&self, object: &Object, bytes: u32) {
        self.memory().touch(object.0, bytes.min(self.layout.size) as usize);
    }

    /// Discards a slab as shrinking does, without a counter.
    pub(super) fn discard_uncounted<P: Probe>(&self, slab: SlabId, probe: &mut P) {
        let node = self.node_of(slab);
        self.discard(slab, probe);
        node.uncounted_discards.fetch_add(1, Relaxed);
    }

    /// The number of the cache in descriptors.
    pub(super) fn number(&self) -> u32 {
        self.owner + 1
    }

    /// A list of objects in the form of [`Self::free_to_slab`]; it must not be empty.
    pub(super) fn linked(&self, objects: &[Address]) -> (Address, Address, u16) {
        self.join(objects);
        (objects[0], objects[objects.len() - 1], objects.len() as u16)
    }

    /// `kmem_cache_shrink()` of the node lists: empty slabs are discarded, uncounted; the fullest come first.
    pub(super) fn shrink_nodes<P: Probe>(&self, probe: &mut P) {
        for node in &self.nodes {
            let mut list = node.lock(self.memory(), probe);
            let listed: Vec<SlabId> = list.iter().collect();
            let mut by_free: Vec<Vec<SlabId>> = vec![Vec::new(); SHRINK_PROMOTE_MAX + 1];
            let mut empty = Vec::new();
            for slab in listed {
                // ORDERING: Relaxed. Whoever freed the last object had the lock, which orders us after that and after all frees before.
                let word = self.memory().slab(slab).glance();
                if word.inuse() == 0 {
                    list.remove(slab);
                    empty.push(slab);
                } else if let Some(bucket) = by_free.get_mut(usize::from(word.free())) {
                    bucket.push(slab);
                }
            }
            for slab in by_free.into_iter().rev().flatten() {
                list.remove(slab);
                list.add(slab, End::Head);
            }
            drop(list);
            for slab in empty {
                self.discard_uncounted(slab, probe);
            }
        }
    }
}
