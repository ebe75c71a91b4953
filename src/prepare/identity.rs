//! Which cache an object belongs to.
//!
//! Before 6.18 an allocation event names no cache. In falling order of trust: the name in the event, the
//! kmalloc class, the name in the same object's free event, what all named objects of the same call site
//! and sizes are, what the named objects of the same slab are, the one cache of these sizes in the
//! snapshot. What is left becomes a pseudo-cache of its own, counted in the ledger.

use rustc_hash::{FxHashMap, FxHashSet};
use slubreplay_parsers::capture::SlabSnapshot;
use slubreplay_parsers::capture::snapshot::CacheAttributes;
use slubreplay_parsers::event::{AllocCall, NameId};
use slubreplay_parsers::recording::Recording;

use super::buckets::{self, Groups};
use super::gfp::GfpNumbers;
use super::ledger::{Entry, Ledger};
use super::pairing::{Key, NO_CACHE, ObjectInfo, Paired};
use crate::allocators::AllocatorKind;
use crate::allocators::slub::sizing::{Kernel, kmalloc};

/// A cache as far as the trace tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Identity {
    /// Directory in sysfs if there is a snapshot, else the name in the trace.
    pub(super) name: String,
    /// First name in the trace that led here.
    pub(super) traced_as: String,
    /// Largest object size seen.
    pub(super) object_bytes: u64,
    /// Stride; 0 if no allocation was seen.
    pub(super) stride_bytes: u64,
    pub(super) is_pseudo: bool,
}

/// The caches of a trace, and whose each object is.
#[derive(Debug)]
pub(super) struct Identified {
    pub(super) caches: Vec<Identity>,
    /// By object; [`NO_CACHE`] if nothing is known of it.
    pub(super) of_object: Vec<u16>,
    /// By object: the cache that its free event names, where that contradicts the allocation.
    pub(super) contradicted: FxHashMap<u32, u16>,
}

/// Share of the named objects of a key that have to agree.
pub(super) const VOTE_PERCENT: u64 = 95;

pub(super) fn identify(
    paired: &Paired,
    recording: &Recording,
    (kernel, allocator): (&Kernel, AllocatorKind),
    snapshot: Option<&SlabSnapshot>,
    ledger: &mut Ledger,
) -> Identified {
    // Pages of SLOB hold objects of any cache: who shares one tells nothing. And hashes of addresses do not tell who does.
    let tells_slabs = allocator != AllocatorKind::Slob && paired.spans.has_addresses();
    let mut caches = CacheTable::new(kernel, GfpNumbers::of(kernel.release, &recording.info), snapshot);
    // By name id: the cache, made on first use, so that caches are numbered in order of appearance.
    let mut by_name_id: Vec<Option<u16>> = vec![None; recording.names.len()];
    let mut named = |caches: &mut CacheTable<'_>, id: NameId| {
        let slot = by_name_id.get_mut(usize::from(id.0))?;
        Some(*slot.get_or_insert_with(|| caches.named(recording.name(id))))
    };
    let mut how_key: Vec<Option<(u16, Entry)>> = Vec::with_capacity(paired.keys.len());
    for key in &paired.keys {
        how_key.push(match (key.call, key.name) {
            (_, Some(name)) => named(&mut caches, name).map(|cache| (cache, Entry::NamedAtAlloc)),
            (AllocCall::Kmalloc, None) => caches.kmalloc(key).map(|cache| (cache, Entry::NamedByClass)),
            (AllocCall::KmemCacheAlloc, None) => None,
        });
    }
    let freed_as: Vec<Option<u16>> =
        paired.objects.iter().map(|object| object.freed_as.and_then(|name| named(&mut caches, name))).collect();
    vote(paired, &freed_as, &mut how_key);

    let strides = Strides::of(paired, &how_key);
    let mut contradicted = FxHashMap::default();
    let mut of_object: Vec<(u16, Option<Entry>)> = Vec::with_capacity(paired.objects.len());
    for (number, (object, &freed_as)) in (0_u32..).zip(paired.objects.iter().zip(&freed_as)) {
        let by_key = object.key.and_then(|key| how_key[key as usize]);
        of_object.push(match (by_key, freed_as) {
            (Some((cache, how)), Some(freed_as)) if cache == freed_as => {
                // The object's own name is better evidence than the vote that it took part in.
                (cache, Some(if how == Entry::NamedByVote { Entry::NamedAtFree } else { how }))
            }
            (Some((_, Entry::NamedByVote)), Some(freed_as)) if strides.fit(freed_as, object) => (freed_as, Some(Entry::NamedAtFree)),
            // An object of kmalloc or of another size cannot have become one of the named cache.
            (Some((cache, how)), Some(freed_as)) => {
                contradicted.insert(number, freed_as);
                (cache, Some(how))
            }
            (Some((cache, how)), None) => (cache, Some(how)),
            (None, Some(freed_as)) => (freed_as, Some(Entry::NamedAtFree)),
            (None, None) => (NO_CACHE, None),
        });
    }
    if let Some(snapshot) = snapshot
        && paired.spans.knows_births()
    {
        buckets::separate(paired, kernel, snapshot, &mut of_object, &mut |name| caches.named(name));
    }
    if tells_slabs {
        by_slab(&paired.objects, &mut of_object);
        by_key_of_slab(paired, &mut of_object);
    }
    name_by_sizes(paired, &mut caches, tells_slabs, &mut of_object);
    let mut counts: FxHashMap<(u16, Entry), u64> = FxHashMap::default();
    for (object, &(cache, how)) in paired.objects.iter().zip(&of_object) {
        if let Some(how) = how {
            *counts.entry((cache, how)).or_default() += 1;
        }
        if let (Some(key), true) = (object.key, cache != NO_CACHE) {
            caches.widen(cache, &paired.keys[key as usize]);
        }
    }
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_unstable();
    for ((cache, how), count) in counts {
        ledger.add(how, &caches.caches[usize::from(cache)].name, count);
    }
    Identified { caches: caches.caches, of_object: of_object.into_iter().map(|(cache, _)| cache).collect(), contradicted }
}

/// Gives keys without a cache the one that nearly all their named objects have.
fn vote(paired: &Paired, freed_as: &[Option<u16>], how_key: &mut [Option<(u16, Entry)>]) {
    let mut votes: FxHashMap<(u32, u16), u64> = FxHashMap::default();
    for (object, freed_as) in paired.objects.iter().zip(freed_as) {
        if let (Some(key), Some(cache)) = (object.key, freed_as)
            && how_key[key as usize].is_none()
        {
            *votes.entry((key, *cache)).or_default() += 1;
        }
    }
    let mut totals = vec![0; how_key.len()];
    let mut votes: Vec<_> = votes.into_iter().collect();
    votes.sort_unstable();
    for &((key, _), count) in &votes {
        totals[key as usize] += count;
    }
    for ((key, cache), count) in votes {
        if count * 100 >= totals[key as usize] * VOTE_PERCENT {
            how_key[key as usize] = Some((cache, Entry::NamedByVote));
        }
    }
}

/// Strides of caches, by the allocations that are known to be theirs.
struct Strides<'a> {
    keys: &'a [Key],
    of_cache: FxHashMap<u16, u64>,
}

impl<'a> Strides<'a> {
    fn of(paired: &'a Paired, how_key: &[Option<(u16, Entry)>]) -> Self {
        let known = paired.keys.iter().zip(how_key).filter_map(|(key, how)| Some((how.as_ref()?.0, key.stride_bytes)));
        Self { keys: &paired.keys, of_cache: known.collect() }
    }

    /// True unless the cache is known to have another stride than the object.
    fn fit(&self, cache: u16, object: &ObjectInfo) -> bool {
        let stride = object.key.and_then(|key| self.keys.get(key as usize)).map(|key| key.stride_bytes);
        self.of_cache.get(&cache).is_none_or(|&known| Some(known) == stride)
    }
}

/// Gives objects without a cache the one that all named objects of their slab have.
fn by_slab(objects: &[ObjectInfo], of_object: &mut [(u16, Option<Entry>)]) {
    let mut by_span: FxHashMap<u32, Option<u16>> = FxHashMap::default();
    for (object, &(cache, _)) in objects.iter().zip(of_object.iter()) {
        if cache != NO_CACHE {
            let agreed = by_span.entry(object.span).or_insert(Some(cache));
            *agreed = agreed.filter(|&agreed| agreed == cache);
        }
    }
    for (object, identity) in objects.iter().zip(of_object) {
        if let (NO_CACHE, Some(&Some(cache))) = (identity.0, by_span.get(&object.span)) {
            *identity = (cache, Some(Entry::NamedBySlab));
        }
    }
}

/// The flag letters in a directory name such as `:aA-0000192`; empty for `:0000192`.
fn directory_letters(name: &str) -> &str {
    name.strip_prefix(':').and_then(|name| name.split_once('-')).map_or("", |(letters, _)| letters)
}

/// Gives objects without a cache the one that slabs told of all other objects of the same call site and
/// sizes.
fn by_key_of_slab(paired: &Paired, of_object: &mut [(u16, Option<Entry>)]) {
    let mut by_key: FxHashMap<u32, Option<u16>> = FxHashMap::default();
    for (object, &(cache, how)) in paired.objects.iter().zip(of_object.iter()) {
        if let (Some(key), Some(Entry::NamedBySlab)) = (object.key, how) {
            let agreed = by_key.entry(key).or_insert(Some(cache));
            *agreed = agreed.filter(|&agreed| agreed == cache);
        }
    }
    for (object, identity) in paired.objects.iter().zip(of_object) {
        if let (NO_CACHE, Some(key)) = (identity.0, object.key)
            && let Some(&Some(cache)) = by_key.get(&key)
        {
            *identity = (cache, Some(Entry::NamedBySlab));
        }
    }
}

/// Objects from which on a group without a name is well observed.
const GROUP_WELL_OBSERVED: u64 = 64;

/// Objects from which on a named cache is: were a large group of it, its few would lie among the many.
const CACHE_WELL_OBSERVED: u64 = 16;

/// Gives objects without a cache one of the snapshot whose sizes they fit, or a pseudo-cache.
///
/// Call sites whose objects share slabs are of one cache and are dealt with together. Slabs of named objects were dealt with
/// before: no object that is left shares a slab with any named object. A group that is well observed in more than one slab is
/// therefore of no cache that is well observed too. Where sizes leave several caches, the one that has as many slabs at the
/// snapshot as the group then has is taken.
fn name_by_sizes(paired: &Paired, caches: &mut CacheTable<'_>, tells_slabs: bool, of_object: &mut [(u16, Option<Entry>)]) {
    let mut named = vec![0_u64; caches.caches.len()];
    let mut unions = Groups::new(paired.keys.len());
    let mut key_of_span: FxHashMap<u32, u32> = FxHashMap::default();
    for (object, &(cache, _)) in paired.objects.iter().zip(of_object.iter()) {
        if let Some(count) = named.get_mut(usize::from(cache)) {
            *count += 1;
        } else if let (Some(key), true) = (object.key, tells_slabs) {
            unions.join(key, *key_of_span.entry(object.span).or_insert(key));
        }
    }
    let mut groups: FxHashMap<u32, Group> = FxHashMap::default();
    let released: FxHashSet<u32> = paired.releases.iter().map(|release| release.span).collect();
    for (object, _) in paired.objects.iter().zip(of_object.iter()).filter(|(_, (cache, _))| *cache == NO_CACHE) {
        let Some(key) = object.key else { continue };
        let group = groups.entry(unions.root(key)).or_default();
        group.objects += 1;
        group.spans.insert(object.span);
        let seen = &paired.keys[key as usize];
        if group.key.is_none_or(|key| paired.keys[key as usize].object_bytes < seen.object_bytes) {
            group.key = Some(key);
        }
    }
    let mut groups: Vec<(u32, Group)> = groups.into_iter().collect();
    // The largest first: the slabs of a cache that are left are for the smaller ones.
    groups.sort_unstable_by_key(|(root, group)| (std::cmp::Reverse(group.objects), *root));
    let mut of_group: FxHashMap<u32, (u16, Option<Entry>)> = FxHashMap::default();
    let mut taken: FxHashMap<String, u64> = FxHashMap::default();
    for (root, group) in groups {
        let Some(key) = group.key else { continue };
        let is_apart = paired.spans.knows_births() && group.spans.len() > 1 && group.objects >= GROUP_WELL_OBSERVED;
        let is_excluded = |cache: u16| is_apart && named.get(usize::from(cache)).is_some_and(|&count| count >= CACHE_WELL_OBSERVED);
        let slabs = |order: u32| paired.spans.slabs(group.spans.iter().filter(|span| !released.contains(span)), order);
        let found = caches.by_sizes(&paired.keys[key as usize], &is_excluded, &slabs, &mut taken);
        of_group.insert(root, found);
    }
    for (object, identity) in paired.objects.iter().zip(of_object) {
        if let (NO_CACHE, Some(key)) = (identity.0, object.key)
            && let Some(&found) = of_group.get(&unions.root(key))
        {
            *identity = found;
        }
    }
}

/// Call sites whose objects share slabs.
#[derive(Debug, Default)]
struct Group {
    objects: u64,
    spans: FxHashSet<u32>,
    /// Of those with the largest object size: a cache that others are merged into grows, and its events show that.
    key: Option<u32>,
}

/// The cache whose free number of slabs is nearest to a group's, if they are nearly as many.
fn by_slab_count<'a>(
    found: &[(&'a String, &'a CacheAttributes)],
    slabs: &dyn Fn(u32) -> Option<u64>,
    taken: &FxHashMap<String, u64>,
) -> Option<(&'a String, &'a CacheAttributes)> {
    let distance = |(name, attributes): &(&String, &CacheAttributes)| {
        let order = u32::try_from(attributes.number("order")?).ok()?;
        let has = attributes.number("slabs")?.saturating_sub(taken.get(*name).copied().unwrap_or(0));
        let wanted = slabs(order)?;
        // Slabs without a live object of the trace, and those that come and go around the snapshot.
        let near = has.abs_diff(wanted) <= 4 + has / 8;
        near.then_some((has.abs_diff(wanted), has))
    };
    let (_, best) = found.iter().filter_map(|candidate| Some((distance(candidate)?, *candidate))).min_by_key(|(distance, _)| *distance)?;
    Some(best)
}

/// Caches by number of first appearance.
pub(super) struct CacheTable<'a> {
    kernel: &'a Kernel,
    gfp: GfpNumbers,
    snapshot: Option<&'a SlabSnapshot>,
    caches: Vec<Identity>,
    by_name: FxHashMap<String, u16>,
}

impl<'a> CacheTable<'a> {
    pub(super) fn new(kernel: &'a Kernel, gfp: GfpNumbers, snapshot: Option<&'a SlabSnapshot>) -> Self {
        Self { kernel, gfp, snapshot, caches: Vec::new(), by_name: FxHashMap::default() }
    }

    pub(super) fn into_caches(self) -> Vec<Identity> {
        self.caches
    }

    /// A cache has the largest sizes of what is in it.
    pub(super) fn widen(&mut self, cache: u16, key: &Key) {
        let identity = &mut self.caches[usize::from(cache)];
        identity.object_bytes = identity.object_bytes.max(key.object_bytes);
        identity.stride_bytes = identity.stride_bytes.max(key.stride_bytes);
    }

    /// The cache of a name in the trace: the directory that the snapshot resolves it to.
    pub(super) fn named(&mut self, name: &str) -> u16 {
        // Copies of a cache for a memory cgroup (before 5.9) carry the cgroup in parentheses.
        let has_copies = !self.kernel.release.since(5, 9);
        let plain = name.split_once('(').filter(|_| has_copies).map_or(name, |(plain, _)| plain);
        let resolved = self.snapshot.and_then(|snapshot| snapshot.resolve(plain)).unwrap_or(plain).to_owned();
        self.number_as(&resolved, plain, false)
    }

    pub(super) fn kmalloc(&mut self, key: &Key) -> Option<u16> {
        // With debugging the stride is larger than its class: the next lower class it is.
        let class = kmalloc::class_of_allocated(self.kernel, key.stride_bytes).or_else(|| {
            let lower = kmalloc::classes_by_index(self.kernel).into_iter().filter(|&class| u64::from(class) < key.stride_bytes);
            lower.max()
        })?;
        let kind = kmalloc::Kind::of_gfp(self.kernel, self.gfp.type_of(key.gfp));
        Some(self.named(&kmalloc::cache_name(self.kernel, kind, class)))
    }

    /// The cache of these sizes in the snapshot, or a pseudo-cache. `slabs` says how many slabs of an order there are at the
    /// snapshot, if that is known, and `taken` how many slabs of each cache others have.
    pub(super) fn by_sizes(
        &mut self,
        key: &Key,
        is_excluded: &dyn Fn(u16) -> bool,
        slabs: &dyn Fn(u32) -> Option<u64>,
        taken: &mut FxHashMap<String, u64>,
    ) -> (u16, Option<Entry>) {
        let fits = |name: &str, attributes: &CacheAttributes| {
            let is_merged = name.starts_with(':');
            // A merged cache has the largest object size of its names.
            let objects_fit =
                attributes.number("object_size").is_none_or(|size| size == key.object_bytes || is_merged && size > key.object_bytes);
            let flags_fit = key.is_account_cache.is_none_or(|account| !is_merged || directory_letters(name).contains('A') == account);
            attributes.number("slab_size") == Some(key.stride_bytes) && objects_fit && flags_fit && !kmalloc::is_cache_name(name)
        };
        let mut found: Vec<(&String, &CacheAttributes)> =
            self.snapshot.into_iter().flat_map(|snapshot| &snapshot.caches).filter(|(name, attributes)| fits(name, attributes)).collect();
        found.retain(|(name, _)| !self.by_name.get(*name).is_some_and(|&number| is_excluded(number)));
        if found.len() > 1 {
            // A cache without a slab is not the one that was used.
            found.retain(|(_, attributes)| attributes.number("slabs").is_none_or(|slabs| slabs > 0));
        }
        let has_size = |attributes: &CacheAttributes| attributes.number("object_size") == Some(key.object_bytes);
        if found.len() > 1 && found.iter().any(|(_, attributes)| has_size(attributes)) {
            found.retain(|(_, attributes)| has_size(attributes));
        }
        if found.len() > 1 {
            found = by_slab_count(&found, slabs, taken).into_iter().collect();
        }
        if let [(name, attributes)] = found[..] {
            let order = attributes.number("order").and_then(|order| u32::try_from(order).ok()).unwrap_or(0);
            *taken.entry(name.clone()).or_default() += slabs(order).unwrap_or(0);
            let name = name.clone();
            return (self.number(&name, false), Some(Entry::NamedBySizes));
        }
        let name = format!("unknown-{}/{}", key.object_bytes, key.stride_bytes);
        (self.number(&name, true), Some(Entry::Unnamed))
    }

    fn number(&mut self, name: &str, is_pseudo: bool) -> u16 {
        self.number_as(name, name, is_pseudo)
    }

    fn number_as(&mut self, name: &str, traced_as: &str, is_pseudo: bool) -> u16 {
        if let Some(&number) = self.by_name.get(name) {
            return number;
        }
        // 65,535 caches are far beyond any kernel; the last one takes what damaged input may add.
        let number = u16::try_from(self.caches.len()).unwrap_or(NO_CACHE).min(NO_CACHE - 1);
        if usize::from(number) == self.caches.len() {
            self.caches.push(Identity {
                name: name.to_owned(),
                traced_as: traced_as.to_owned(),
                object_bytes: 0,
                stride_bytes: 0,
                is_pseudo,
            });
        }
        self.by_name.insert(name.to_owned(), number);
        number
    }
}
