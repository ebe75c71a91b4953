//! Whatever the order of operations, the laws hold after each.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::*;

#[derive(Debug, Clone)]
enum Op {
    Alloc { cpu: u16, node: Option<u16>, this_node_only: bool, caller: Caller, no_sheaf: bool },
    Free { cpu: u16, pick: Index },
    Rcu { cpu: u16, pick: Index },
    RcuDone { cpu: u16, pick: Index },
    AllocBulk { cpu: u16, count: usize },
    FreeBulk { cpu: u16, picks: Vec<Index>, to_slabs: bool },
    Prefill { cpu: u16, count: usize },
    Take { pick: Index },
    Refill { cpu: u16, pick: Index, count: usize },
    Return { cpu: u16, pick: Index },
    Flush { cpu: u16 },
    Offline { cpu: u16 },
    Shrink,
    SheafMemory(bool),
    Slabs(Option<usize>),
}

fn op() -> impl Strategy<Value = Op> {
    let cpu = || 0_u16..4;
    let pick = any::<Index>;
    let caller = prop::sample::select(vec![Caller::NoLock, Caller::NoReclaim, Caller::Atomic, Caller::Blocking]);
    prop_oneof![
        50 => (cpu(), prop::option::weighted(0.2, 0_u16..4), any::<bool>(), caller, prop::bool::weighted(0.1))
            .prop_map(|(cpu, node, this_node_only, caller, no_sheaf)| Op::Alloc { cpu, node, this_node_only, caller, no_sheaf }),
        40 => (cpu(), pick()).prop_map(|(cpu, pick)| Op::Free { cpu, pick }),
        10 => (cpu(), pick()).prop_map(|(cpu, pick)| Op::Rcu { cpu, pick }),
        4 => (cpu(), pick()).prop_map(|(cpu, pick)| Op::RcuDone { cpu, pick }),
        3 => (cpu(), 0_usize..40).prop_map(|(cpu, count)| Op::AllocBulk { cpu, count }),
        3 => (cpu(), prop::collection::vec(pick(), 0..80), any::<bool>())
            .prop_map(|(cpu, picks, to_slabs)| Op::FreeBulk { cpu, picks, to_slabs }),
        2 => (cpu(), 0_usize..12).prop_map(|(cpu, count)| Op::Prefill { cpu, count }),
        6 => pick().prop_map(|pick| Op::Take { pick }),
        2 => (cpu(), pick(), 0_usize..12).prop_map(|(cpu, pick, count)| Op::Refill { cpu, pick, count }),
        2 => (cpu(), pick()).prop_map(|(cpu, pick)| Op::Return { cpu, pick }),
        1 => cpu().prop_map(|cpu| Op::Flush { cpu }),
        1 => cpu().prop_map(|cpu| Op::Offline { cpu }),
        1 => Just(Op::Shrink),
        1 => prop::bool::weighted(0.7).prop_map(Op::SheafMemory),
        1 => prop::option::weighted(0.4, 0_usize..4).prop_map(Op::Slabs),
    ]
}

/// The state beside the cache.
#[derive(Default)]
struct Held {
    live: BTreeSet<Object>,
    waiting: Vec<RcuSheaf>,
    prefilled: Vec<PrefilledSheaf>,
    /// Objects that single and bulk calls handed out; of them, by failed calls.
    handed: u64,
    failed: u64,
    returned: u64,
    /// Objects of oversize sheaves.
    oversize: u64,
}

impl Held {
    fn add(&mut self, object: Object) -> Result<(), TestCaseError> {
        prop_assert!(self.live.insert(object), "handed out twice: {object:?}");
        Ok(())
    }

    fn pick(&mut self, pick: &Index) -> Option<Object> {
        if self.live.is_empty() {
            return None;
        }
        let object = *self.live.iter().nth(pick.index(self.live.len()))?;
        self.live.remove(&object);
        Some(object)
    }

    fn step(&mut self, cache: &mut Cache, op: &Op, pages: &mut LimitedPages) -> Result<(), TestCaseError> {
        match *op {
            Op::Alloc { cpu, node, this_node_only, caller, no_sheaf } => {
                match cache.alloc(AllocRequest { cpu, node, this_node_only, caller, no_sheaf }, pages) {
                    Some((object, _)) => {
                        self.handed += 1;
                        self.add(object)?;
                    }
                    None => self.failed += 1,
                }
            }
            Op::Free { cpu, ref pick } => {
                if let Some(object) = self.pick(pick) {
                    cache.free(cpu, object, pages);
                    self.returned += 1;
                }
            }
            Op::Rcu { cpu, ref pick } => {
                if let Some(object) = self.pick(pick) {
                    self.returned += 1;
                    match cache.free_rcu(cpu, object, pages) {
                        RcuFree::Kept => {}
                        RcuFree::Full(sheaf) => self.waiting.push(sheaf),
                        RcuFree::NotTaken => cache.kfree_bulk(cpu, &[object], pages),
                    }
                }
            }
            Op::RcuDone { cpu, ref pick } => {
                self.waiting.extend(cache.take_flushed_rcu_sheaves());
                if !self.waiting.is_empty() {
                    let sheaf = self.waiting.swap_remove(pick.index(self.waiting.len()));
                    cache.rcu_sheaf_done(cpu, sheaf, pages);
                }
            }
            Op::AllocBulk { cpu, count } => {
                let mut got = Vec::new();
                let before = cache.total(Counter::AllocFastpath);
                if cache.alloc_bulk(cpu, Caller::Blocking, count, &mut got, pages) {
                    prop_assert_eq!(got.len(), count);
                    self.handed += count as u64;
                } else {
                    prop_assert!(got.is_empty());
                    // What sheaves had was counted before it went back.
                    self.handed += cache.total(Counter::AllocFastpath) - before;
                }
                got.into_iter().try_for_each(|object| self.add(object))?;
            }
            Op::FreeBulk { cpu, ref picks, to_slabs } => {
                let objects: Vec<Object> = picks.iter().filter_map(|pick| self.pick(pick)).collect();
                self.returned += objects.len() as u64;
                if to_slabs { cache.kfree_bulk(cpu, &objects, pages) } else { cache.free_bulk(cpu, &objects, pages) }
            }
            Op::Prefill { cpu, count } => {
                let before = cache.total(Counter::AllocSlowpath);
                self.prefilled.extend(cache.prefill(cpu, Caller::Blocking, count, pages));
                self.oversize += cache.total(Counter::AllocSlowpath) - before;
            }
            Op::Take { ref pick } => {
                if !self.prefilled.is_empty()
                    && let Some(object) = cache.take_from_sheaf(&self.prefilled[pick.index(self.prefilled.len())])
                {
                    self.add(object)?;
                }
            }
            Op::Refill { cpu, ref pick, count } => {
                if !self.prefilled.is_empty() {
                    let before = cache.total(Counter::AllocSlowpath);
                    let at = pick.index(self.prefilled.len());
                    cache.refill_sheaf(cpu, Caller::Blocking, &mut self.prefilled[at], count, pages);
                    self.oversize += cache.total(Counter::AllocSlowpath) - before;
                }
            }
            Op::Return { cpu, ref pick } => {
                if !self.prefilled.is_empty() {
                    let sheaf = self.prefilled.swap_remove(pick.index(self.prefilled.len()));
                    cache.return_sheaf(cpu, Caller::Blocking, sheaf, pages);
                }
            }
            Op::Flush { cpu } => cache.flush_cpu(cpu, pages),
            Op::Offline { cpu } => cache.offline_cpu(cpu, 0, pages),
            Op::Shrink => cache.shrink(pages),
            Op::SheafMemory(available) => cache.set_sheaf_memory(available),
            Op::Slabs(limit) => pages.slabs = limit.unwrap_or(usize::MAX),
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn random_operations_keep_the_laws(
        ops in prop::collection::vec(op(), 1..300),
        release in prop::sample::select(vec![(6, 18), (6, 19), (7, 0), (7, 1), (7, 2), (7, 3)]),
        capacity in prop::sample::select(vec![0_u32, 1, 3, 4, 40]),
        objects in prop::sample::select(vec![1_u32, 3, 16, 50]),
        nodes in prop::sample::select(vec![[0_u16, 0, 0, 0], [0, 0, 1, 1], [0, 1, 2, 2]]),
        min_partial in 0_u32..3,
        memory in prop::option::of(any::<bool>()),
    ) {
        let mut pages = LimitedPages { slabs: usize::MAX, ..LimitedPages::default() };
        let mut cache = cache_with(release, &nodes, |layout| CacheLayout {
            sheaf_capacity: capacity, objects, min_objects: objects, min_partial, cpu_partial_slabs: 2, ..layout
        });
        let own = memory == Some(true);
        if let Some(own) = memory {
            cache.request_sheaf_memory(8, own);
        }
        let mut held = Held::default();
        let mut sheaves = BTreeSet::new();
        for op in ops {
            held.step(&mut cache, &op, &mut pages)?;
            if let Err(violation) = cache.validate(Some(held.live.len() as u64)) {
                prop_assert!(false, "after {op:?}: {violation}");
            }
            for request in cache.take_sheaf_requests() {
                match request {
                    SheafRequest::Alloc { sheaf, .. } => prop_assert!(sheaves.insert(sheaf)),
                    SheafRequest::Free { sheaf, .. } => prop_assert!(sheaves.remove(&sheaf)),
                }
            }
        }
        // 22.13, the first two. Sheaves that come from the cache itself add to both.
        if release >= (7, 0) && !own {
            let total = |counter| cache.total(counter);
            prop_assert_eq!(
                total(Counter::AllocFastpath) + total(Counter::AllocSlowpath),
                held.handed + held.failed + held.oversize
            );
            prop_assert_eq!(total(Counter::FreeFastpath) + total(Counter::FreeSlowpath) + total(Counter::FreeRcuSheaf), held.returned);
        }
        for object in std::mem::take(&mut held.live) {
            cache.free(0, object, &mut pages);
        }
        for sheaf in held.prefilled {
            cache.return_sheaf(0, Caller::Blocking, sheaf, &mut pages);
        }
        if !own {
            // In 6.18 and 6.19 emptying the barns comes after flushing the CPUs, and parks slabs on the CPU's partial list.
            let gone = cache.destroy(0, &mut pages) || release < (7, 0) && cache.destroy(0, &mut pages);
            prop_assert!(gone);
            prop_assert_eq!(cache.slab_count(), 0);
            for request in cache.take_sheaf_requests() {
                match request {
                    SheafRequest::Alloc { sheaf, .. } => prop_assert!(sheaves.insert(sheaf)),
                    SheafRequest::Free { sheaf, .. } => prop_assert!(sheaves.remove(&sheaf)),
                }
            }
            prop_assert!(sheaves.is_empty(), "memory of sheaves is left: {sheaves:?}");
        }
        cache.validate(Some(0)).unwrap();
    }

    /// 22.13: in caches of single operations, refills and flushes come in whole sheaves.
    #[test]
    fn refills_and_flushes_come_in_whole_sheaves(
        ops in prop::collection::vec((0_u16..2, any::<bool>(), any::<Index>()), 1..800),
        release in prop::sample::select(vec![(7, 0), (7, 1), (7, 2), (7, 3)]),
        objects in prop::sample::select(vec![2_u32, 7, 21]),
    ) {
        const CAPACITY: u32 = 3;
        let mut pages = UnlimitedPages::default();
        let mut cache = cache_of(release, CAPACITY, objects, &[0, 0]);
        let mut live = Vec::new();
        // First up, then down, so that barns fill.
        let half = ops.len() / 2;
        for (at, (cpu, flip, pick)) in ops.into_iter().enumerate() {
            if live.is_empty() || (at < half) != (flip && at % 4 == 0) {
                live.push(take(&mut cache, cpu, &mut pages));
            } else {
                let object = live.swap_remove(pick.index(live.len()));
                cache.free(cpu, object, &mut pages);
            }
        }
        let total = |counter| cache.total(counter);
        let capacity = u64::from(CAPACITY);
        prop_assert_eq!(total(Counter::SheafRefill), capacity * total(Counter::BarnGetFail));
        prop_assert_eq!(total(Counter::SheafFlush), capacity * total(Counter::BarnPutFail));
        prop_assert_eq!(total(Counter::BarnPut) - total(Counter::BarnGet), barn(&cache, 0).0 as u64);
        let gauges = cache.gauges();
        prop_assert_eq!(gauges.objects, total(Counter::SheafRefill) - total(Counter::SheafFlush));
        prop_assert_eq!(gauges.objects, live.len() as u64 + cache.parked_objects().total());
        prop_assert_eq!(gauges.slabs, total(Counter::AllocSlab) - total(Counter::FreeSlab));
        if total(Counter::SheafFlush) == 0 {
            prop_assert_eq!(total(Counter::AllocSlab), total(Counter::SheafRefill).div_ceil(u64::from(objects)));
            let remainder = total(Counter::SheafRefill) % u64::from(objects);
            prop_assert_eq!(gauges.partial, u64::from(remainder > 0));
            // A surplus counts in 7.0 and 7.1.
            if release >= (7, 2) {
                prop_assert_eq!(total(Counter::FreeAddPartial), 0);
            }
        }
        cache.validate(Some(live.len() as u64)).unwrap();
    }
}
