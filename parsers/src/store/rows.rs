//! Events as columns and back.

use parquet::data_type::ByteArray;
use rustc_hash::FxHashMap;

use crate::event::{Alloc, AllocCall, Body, Event, Free, FreeCall, NameId};
use crate::recording::Recording;

/// A column that not every row has: per row a level, 1 where there is a value.
#[derive(Debug, Default)]
pub(super) struct Sparse<T> {
    pub(super) levels: Vec<i16>,
    pub(super) values: Vec<T>,
}

impl<T> Sparse<T> {
    fn put(&mut self, value: T) {
        self.levels.push(1);
        self.values.push(value);
    }

    /// Rows since the last value have none.
    fn fill(&mut self, rows: usize) {
        self.levels.resize(rows, 0);
    }

    fn clear(&mut self) {
        self.levels.clear();
        self.values.clear();
    }
}

/// The columns of a row group, in the order of the schema.
#[derive(Debug, Default)]
pub(super) struct Rows {
    pub(super) time_ns: Vec<i64>,
    pub(super) cpu: Vec<i32>,
    pub(super) pid: Vec<i32>,
    pub(super) context: Vec<i32>,
    pub(super) event: Vec<ByteArray>,
    pub(super) call_site: Sparse<i64>,
    pub(super) site: Sparse<ByteArray>,
    pub(super) ptr: Sparse<i64>,
    pub(super) bytes_req: Sparse<i64>,
    pub(super) bytes_alloc: Sparse<i64>,
    pub(super) gfp_flags: Sparse<i32>,
    pub(super) node: Sparse<i32>,
    pub(super) cache: Sparse<ByteArray>,
    pub(super) accounted: Sparse<bool>,
    pub(super) pfn: Sparse<i64>,
    pub(super) order: Sparse<i32>,
    pub(super) migratetype: Sparse<i32>,
    pub(super) fallback_order: Sparse<i32>,
    pub(super) change_ownership: Sparse<bool>,
    pub(super) count: Sparse<i64>,
    pub(super) mark: Sparse<ByteArray>,
    pub(super) mark_id: Sparse<i32>,
}

/// The same column by column, each with its name where one is wanted.
macro_rules! each_sparse {
    ($rows:expr, $column:ident => $do:expr) => {{
        let rows = $rows;
        each_sparse!(@ rows, $column => $do; call_site site ptr bytes_req bytes_alloc gfp_flags node cache accounted pfn order migratetype
            fallback_order change_ownership count mark mark_id);
    }};
    (@ $rows:ident, $column:ident => $do:expr; $($name:ident)*) => {
        $({ let $column = &mut $rows.$name; $do; })*
    };
}

/// What `event` holds, by kind.
pub(super) const KINDS: [&str; 11] = [
    "kmalloc",
    "kmem_cache_alloc",
    "kfree",
    "kmem_cache_free",
    "mm_page_alloc",
    "mm_page_free",
    "mm_page_free_batched",
    "mm_page_pcpu_drain",
    "mm_page_alloc_extfrag",
    "rcu_invoke_kfree_bulk_callback",
    "mark",
];

/// Index in [`KINDS`].
fn kind(body: &Body) -> usize {
    match body {
        Body::Alloc(Alloc { call: AllocCall::Kmalloc, .. }) => 0,
        Body::Alloc(Alloc { call: AllocCall::KmemCacheAlloc, .. }) => 1,
        Body::Free(Free { call: FreeCall::Kfree, .. }) => 2,
        Body::Free(Free { call: FreeCall::KmemCacheFree, .. }) => 3,
        Body::PageAlloc(_) => 4,
        Body::PageFree { .. } => 5,
        Body::PageFreeBatched { .. } => 6,
        Body::PagePcpuDrain { .. } => 7,
        Body::PageExtFrag { .. } => 8,
        Body::RcuFreeBulk { .. } => 9,
        Body::Mark(_) => 10,
    }
}

/// Texts that events refer to by number, as the writer of columns wants them: shared, not copied.
#[derive(Debug)]
pub(super) struct Texts {
    kinds: [ByteArray; KINDS.len()],
    names: Vec<ByteArray>,
    /// What call sites are called, where they are called anything.
    sites: FxHashMap<u64, Option<ByteArray>>,
}

/// Kernels have some thousand call sites; what has more of them has no true ones, and the rest stays without a name.
const MAX_SITES: usize = 1 << 20;

impl Default for Texts {
    fn default() -> Self {
        Self { kinds: KINDS.map(ByteArray::from), names: Vec::new(), sites: FxHashMap::default() }
    }
}

impl Texts {
    /// Takes over names that were not known before.
    pub(super) fn learn(&mut self, facts: &Recording) {
        let new = facts.names.get(self.names.len()..).unwrap_or_default();
        self.names.extend(new.iter().map(|text| ByteArray::from(text.as_str())));
    }

    /// All call sites so far.
    pub(super) fn addresses(&self) -> impl Iterator<Item = u64> {
        self.sites.keys().copied()
    }

    fn site(&mut self, call_site: u64, facts: &Recording) -> Option<ByteArray> {
        if let Some(site) = self.sites.get(&call_site) {
            return site.clone();
        }
        if self.sites.len() >= MAX_SITES {
            return None;
        }
        let resolved = || facts.symbols.get().ok()?.resolve(call_site).map(|resolved| resolved.to_string());
        let site = facts.site(call_site).map(str::to_owned).or_else(resolved).map(|text| ByteArray::from(text.into_bytes()));
        self.sites.insert(call_site, site.clone());
        site
    }
}

impl Rows {
    pub(super) fn len(&self) -> usize {
        self.time_ns.len()
    }

    pub(super) fn clear(&mut self) {
        self.time_ns.clear();
        self.cpu.clear();
        self.pid.clear();
        self.context.clear();
        self.event.clear();
        each_sparse!(self, column => column.clear());
    }

    /// Adds a row. A name that is not known stays out: no event of a recording has one.
    pub(super) fn push(&mut self, event: &Event, texts: &mut Texts, facts: &Recording) {
        self.time_ns.push(event.time_ns.cast_signed());
        self.cpu.push(event.cpu.into());
        self.pid.push(event.pid);
        self.context.push(event.context.0.into());
        self.event.extend(texts.kinds.get(kind(&event.body)).cloned());
        match event.body {
            Body::Alloc(alloc) => {
                self.place(alloc.call_site, alloc.ptr, alloc.name, texts, facts);
                self.bytes_req.put(alloc.bytes_req.cast_signed());
                self.bytes_alloc.put(alloc.bytes_alloc.cast_signed());
                self.gfp_flags.put(alloc.gfp_flags.cast_signed());
                self.node.put(alloc.node);
                if let Some(accounted) = alloc.accounted {
                    self.accounted.put(accounted);
                }
            }
            Body::Free(free) => self.place(free.call_site, free.ptr, free.name, texts, facts),
            Body::PageAlloc(page) => {
                if let Some(pfn) = page.pfn {
                    self.pfn.put(pfn.cast_signed());
                }
                self.gfp_flags.put(page.gfp_flags.cast_signed());
                self.order.put(page.order.into());
                self.migratetype.put(page.migratetype.into());
            }
            Body::PageFree { pfn, order } => {
                self.pfn.put(pfn.cast_signed());
                self.order.put(order.into());
            }
            Body::PageFreeBatched { pfn } => self.pfn.put(pfn.cast_signed()),
            Body::PagePcpuDrain { pfn, order, migratetype } => {
                self.pfn.put(pfn.cast_signed());
                self.order.put(order.into());
                self.migratetype.put(migratetype.into());
            }
            Body::PageExtFrag { pfn, alloc_order, fallback_order, alloc_migratetype, change_ownership } => {
                self.pfn.put(pfn.cast_signed());
                self.order.put(alloc_order.into());
                self.fallback_order.put(fallback_order.into());
                self.migratetype.put(alloc_migratetype.into());
                self.change_ownership.put(change_ownership);
            }
            Body::RcuFreeBulk { count } => self.count.put(count.cast_signed()),
            Body::Mark(mark) => {
                self.mark.put(facts.mark(mark).into());
                self.mark_id.put(mark.0.cast_signed());
            }
        }
        let rows = self.len();
        each_sparse!(self, column => column.fill(rows));
    }

    fn place(&mut self, call_site: u64, ptr: u64, name: Option<NameId>, texts: &mut Texts, facts: &Recording) {
        self.call_site.put(call_site.cast_signed());
        self.ptr.put(ptr.cast_signed());
        if let Some(site) = texts.site(call_site, facts) {
            self.site.put(site);
        }
        if let Some(name) = name.and_then(|name| texts.names.get(usize::from(name.0))) {
            self.cache.put(name.clone());
        }
    }
}
