//! Which object goes to which cache.

use std::collections::BTreeMap;

use rustc_hash::FxHashMap;

use super::kind::{Kind, WhatIfError};
use crate::allocators::slub::sizing::kmalloc;
use crate::prepare::{Op, Plan};
use crate::setting::Setting;

/// A cache that objects of another one go to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct NewCache {
    /// The cache that they are taken from.
    pub(super) from: u16,
    /// Its name.
    pub(super) name: String,
    /// Bytes of an object; `None` for as many as in the old one.
    pub(super) object_bytes: Option<u32>,
}

/// Objects that go to other caches.
#[derive(Debug, Clone, Default)]
pub(super) struct Moves {
    /// The new caches.
    pub(super) caches: Vec<NewCache>,
    /// By object: number of the new cache.
    pub(super) of_object: Vec<Option<u16>>,
    numbers: FxHashMap<(u16, String), u16>,
}

impl Moves {
    fn new(plan: &Plan) -> Self {
        Self { of_object: vec![None; plan.objects as usize], ..Self::default() }
    }

    pub(super) fn moved(&self) -> usize {
        self.of_object.iter().flatten().count()
    }

    pub(super) fn new_caches(&self) -> usize {
        self.caches.len()
    }

    fn take(&mut self, object: u32, from: u16, name: &str, object_bytes: Option<u32>) -> Result<(), WhatIfError> {
        let number = match self.numbers.get(&(from, name.to_owned())) {
            Some(&number) => number,
            None => {
                let number = u16::try_from(self.caches.len()).map_err(|_| WhatIfError::TooManyCaches)?;
                self.caches.push(NewCache { from, name: name.to_owned(), object_bytes });
                self.numbers.insert((from, name.to_owned()), number);
                number
            }
        };
        if let Some(slot) = self.of_object.get_mut(object as usize) {
            *slot = Some(number);
        }
        Ok(())
    }
}

/// Copies of each kmalloc cache, the old one among them (`RANDOM_KMALLOC_CACHES_NR` and one).
const COPIES: u64 = 16;

/// By the first operation of each object.
fn first_ops(plan: &Plan) -> Vec<Option<Op>> {
    let mut first = vec![None; plan.objects as usize];
    for op in &plan.ops {
        if let Some(slot) = first.get_mut(op.object as usize) {
            slot.get_or_insert(*op);
        }
    }
    first
}

pub(super) fn assign(kind: &Kind, plan: &Plan, setting: &Setting, sites: &[bool]) -> Result<Moves, WhatIfError> {
    let mut moves = Moves::new(plan);
    let kernel = &setting.kernel;
    let objects = (0..).zip(first_ops(plan)).filter_map(|(object, op)| Some((object, op?)));
    let name_of = |op: &Op| plan.caches[usize::from(op.cache)].name.as_str();
    match kind {
        Kind::NoMerge => {
            for (object, op) in objects {
                let cache = &plan.caches[usize::from(op.cache)];
                let name = plan.origins.of(object).name.and_then(|name| plan.origins.names.get(usize::from(name)));
                // The merged cache stays with the name that the trace has it by.
                if let Some(name) = name.filter(|&name| *name != cache.traced_as && cache.aliases.contains(name)) {
                    moves.take(object, op.cache, name, None)?;
                }
            }
        }
        Kind::RandomKmalloc => {
            let copies = kernel.rules.kmalloc_copies.unwrap_or("rnd");
            for (object, op) in objects {
                let Some(size) = name_of(&op).strip_prefix("kmalloc-").filter(|size| !size.contains('-')) else { continue };
                let Some(site) = plan.origins.of(object).site.and_then(|site| plan.origins.sites.get(site as usize)) else { continue };
                // As hash_64() of the call site, without the kernel's seed.
                let copy = site.wrapping_mul(0x61c8_8646_80b5_83eb) >> 60 & (COPIES - 1);
                if copy > 0 {
                    moves.take(object, op.cache, &format!("kmalloc-{copies}-{copy:02}-{size}"), None)?;
                }
            }
        }
        Kind::Dedicated(site) => {
            let is_meant = |object| plan.origins.of(object).site.and_then(|site| sites.get(site as usize)) == Some(&true);
            let mut largest: FxHashMap<u16, u32> = FxHashMap::default();
            let meant: Vec<(u32, Op)> = objects.filter(|(object, _)| is_meant(*object)).collect();
            for (_, op) in &meant {
                let own = largest.entry(op.cache).or_default();
                *own = (*own).max(op.requested_bytes);
            }
            for (object, op) in meant {
                let bytes = largest.get(&op.cache).copied().filter(|&bytes| bytes > 0 && kmalloc::is_cache_name(name_of(&op)));
                moves.take(object, op.cache, &format!("{site}/{}", name_of(&op)), bytes)?;
            }
        }
        Kind::KmallocClass(bytes) => {
            for (object, op) in objects {
                let Some(class) = kmalloc::class_in_name(kernel, name_of(&op)) else { continue };
                if (1..=*bytes).contains(&op.requested_bytes) && class > *bytes {
                    // Named by its bytes, as all classes below 1 KiB are.
                    let prefix = name_of(&op).rsplit_once('-').map_or("kmalloc", |(prefix, _)| prefix);
                    moves.take(object, op.cache, &format!("{prefix}-{bytes}"), Some(*bytes))?;
                }
            }
        }
        Kind::Lifetime => lifetime(plan, &mut moves)?,
        Kind::Cpus(_) => {}
    }
    Ok(moves)
}

/// Call sites whose objects live longer, in the median, than the median of all objects of their cache. Those that are never freed live to the
/// end of the trace.
fn lifetime(plan: &Plan, moves: &mut Moves) -> Result<(), WhatIfError> {
    let mut born: Vec<Option<(u64, u16)>> = vec![None; plan.objects as usize];
    let mut lives: BTreeMap<(u16, u32), Vec<u64>> = BTreeMap::new();
    let mut ended = vec![false; plan.objects as usize];
    let mut end = |object: u32, cache: u16, span: u64| {
        if let Some(site) = plan.origins.of(object).site {
            lives.entry((cache, site)).or_default().push(span);
        }
    };
    for op in &plan.ops {
        let object = op.object as usize;
        match (op.what.is_free(), born.get(object).copied().flatten()) {
            (false, _) => born[object] = Some((op.time_ns, op.cache)),
            (true, Some((since, cache))) => {
                ended[object] = true;
                end(op.object, cache, op.time_ns.saturating_sub(since));
            }
            (true, None) => {}
        }
    }
    for (object, life) in (0..).zip(&born) {
        if let Some((since, cache)) = life.filter(|_| !ended[object as usize]) {
            end(object, cache, plan.time_range_ns.1.saturating_sub(since));
        }
    }
    let median = |spans: &mut Vec<u64>| {
        spans.sort_unstable();
        spans.get(spans.len() / 2).copied().unwrap_or(0)
    };
    let mut of_cache: FxHashMap<u16, Vec<u64>> = FxHashMap::default();
    for ((cache, _), spans) in &lives {
        of_cache.entry(*cache).or_default().extend(spans);
    }
    let medians: FxHashMap<u16, u64> = of_cache.iter_mut().map(|(cache, spans)| (*cache, median(spans))).collect();
    let is_long: FxHashMap<(u16, u32), bool> =
        lives.iter_mut().map(|(key, spans)| (*key, median(spans) > medians.get(&key.0).copied().unwrap_or(0))).collect();
    for (object, life) in (0..).zip(&born) {
        let Some((_, cache)) = *life else { continue };
        let Some(site) = plan.origins.of(object).site else { continue };
        if is_long.get(&(cache, site)) == Some(&true) {
            moves.take(object, cache, &format!("{}-long", plan.caches[usize::from(cache)].name), None)?;
        }
    }
    Ok(())
}
