//! The caches of a trace by its census, laid out.

use rustc_hash::FxHashMap;
use slubreplay_parsers::event::{AllocCall, NameId};

use super::census::Census;
use super::{Kind, Kinds};
use crate::allocators::slub::sizing::{Kernel, kmalloc};
use crate::prepare::assemble::plan_caches;
use crate::prepare::identity::{CacheTable, Identified, VOTE_PERCENT};
use crate::prepare::ledger::Entry;
use crate::prepare::pairing::{Key, NO_CACHE, Setting};
use crate::prepare::{Plan, Recorded, Snapshots, account_losses, pairing_setting};

/// What is known before the second time through: a plan without operations, and whose an allocation is.
#[derive(Debug)]
pub struct Catalog {
    /// Caches, ledger and times; operations come from [`Feed`](super::feed::Feed).
    pub plan: Plan,
    pub(super) kinds: Kinds,
    /// By kind.
    pub(super) of_kind: Vec<Owner>,
    /// The cache of a name; [`NO_CACHE`] if its sizes are not known.
    pub(super) of_name: FxHashMap<NameId, u16>,
    pub(super) setting: Setting,
}

/// Whose objects of a kind are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// A cache, and how that is known.
    Cache(u16, Entry),
    /// The page allocator.
    Pages,
    /// A cache of unknown sizes.
    Unknown,
}

impl Catalog {
    /// Lays out the caches of a trace recorded by SLUB of `kernel`. With a snapshot, caches go by their sysfs directories.
    #[must_use]
    pub fn new(census: Census, kernel: &Kernel, snapshots: Snapshots<'_>) -> Self {
        let snapshot = snapshots.latest();
        let setting = pairing_setting(kernel, &Recorded::SLUB, &census.facts.info);
        let mut table = CacheTable::new(kernel, setting.gfp, snapshot);
        let names: Vec<u16> = census.facts.names.iter().map(|name| table.named(name)).collect();
        let name = |id: NameId| names.get(usize::from(id.0)).copied();
        let elected = elect(&census);
        let keys: Vec<Key> = census.kinds.all.iter().map(|kind| key(kind, &setting)).collect();
        let mut owners: Vec<Owner> = Vec::with_capacity(keys.len());
        for (number, key) in (0_u32..).zip(&keys) {
            let is_large = key.call == AllocCall::Kmalloc && key.stride_bytes > kmalloc::max_class_bytes(kernel);
            let of_name = |id: NameId, how: Entry| name(id).map(|cache| Owner::Cache(cache, how));
            owners.push(match (key.call, key.name) {
                _ if is_large => Owner::Pages,
                (_, Some(id)) => of_name(id, Entry::NamedAtAlloc).unwrap_or(Owner::Unknown),
                (AllocCall::Kmalloc, None) => table.kmalloc(key).map_or(Owner::Unknown, |cache| Owner::Cache(cache, Entry::NamedByClass)),
                (AllocCall::KmemCacheAlloc, None) => {
                    elected.get(&number).and_then(|&id| of_name(id, Entry::NamedByVote)).unwrap_or(Owner::Unknown)
                }
            });
        }
        for (owner, key) in owners.iter_mut().zip(&keys).filter(|(owner, _)| **owner == Owner::Unknown) {
            // How many slabs a cache has is not known here: where sizes leave several caches, none is taken.
            let (cache, how) = table.by_sizes(key, &|_| false, &|_| None, &mut FxHashMap::default());
            *owner = how.map_or(Owner::Unknown, |how| Owner::Cache(cache, how));
        }
        for (owner, key) in owners.iter().zip(&keys) {
            if let Owner::Cache(cache, _) = owner {
                table.widen(*cache, key);
            }
        }
        let by_kind = owners.iter().map(|owner| if let Owner::Cache(cache, _) = owner { *cache } else { NO_CACHE });
        let of_object = by_kind.chain(names.iter().copied()).collect();
        let mut identified = Identified { caches: table.into_caches(), of_object, contradicted: FxHashMap::default() };
        let mut plan = Plan { time_range_ns: census.time_range_ns, ..Plan::default() };
        account_losses(&census.facts, &mut plan.ledger);
        plan_caches(&mut identified, (kernel, &Recorded::SLUB), snapshot, &mut plan);
        let (by_kind, by_name) = identified.of_object.split_at(owners.len());
        for (owner, &cache) in owners.iter_mut().zip(by_kind) {
            if let Owner::Cache(number, _) = owner {
                *number = cache;
            }
        }
        let of_name = (0..).map(NameId).zip(by_name.iter().copied()).collect();
        Self { plan, kinds: census.kinds, of_kind: owners, of_name, setting }
    }
}

fn key(kind: &Kind, setting: &Setting) -> Key {
    // The event says "accounted" of a request with __GFP_ACCOUNT too, which is not part of the kind: it tells nothing certain.
    Key {
        call: kind.call,
        call_site: kind.call_site,
        object_bytes: kind.object_bytes,
        stride_bytes: kind.stride_bytes,
        gfp: kind.gfp & setting.gfp.of_type(),
        is_account_cache: kind.accounted.filter(|&accounted| !accounted),
        name: kind.name,
    }
}

/// The name that nearly all objects of a kind were freed under.
fn elect(census: &Census) -> FxHashMap<u32, NameId> {
    let mut votes: Vec<(u32, NameId, u64)> = census.votes.iter().map(|(&(kind, name), &count)| (kind, name, count)).collect();
    votes.sort_unstable();
    let by_kind = votes.chunk_by(|a, b| a.0 == b.0);
    let elected = by_kind.filter_map(|votes| {
        let total: u64 = votes.iter().map(|(_, _, count)| count).sum();
        let (kind, name, _) = votes.iter().find(|(_, _, count)| count * 100 >= total * VOTE_PERCENT)?;
        Some((*kind, *name))
    });
    elected.collect()
}
