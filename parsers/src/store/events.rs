//! Columns to events.

use parquet::data_type::ByteArray;
use rustc_hash::FxHashMap;

use super::rows::{KINDS, Rows, Sparse};
use crate::event::{Alloc, AllocCall, Body, Context, Event, Free, FreeCall, MarkId, NameId, PageAlloc};

/// A row group's events in the order of its rows.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    pub(super) events: Vec<Event>,
    /// Index in `events` of each mark, with its number in the file and its text.
    pub(super) marks: Vec<(usize, u32, String)>,
}

/// A row that no event is.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct BadRow {
    pub(super) row: usize,
    pub(super) column: &'static str,
    pub(super) expected: &'static str,
}

/// Turns rows into events; `names` are the numbers of cache names.
pub(super) fn events(rows: &Rows, names: &FxHashMap<&[u8], NameId>) -> Result<Decoded, BadRow> {
    let mut takers = Takers::new(rows, names);
    let mut decoded = Decoded { events: Vec::with_capacity(rows.len()), marks: Vec::new() };
    let heads = rows.time_ns.iter().zip(&rows.cpu).zip(&rows.pid).zip(&rows.context).zip(&rows.event);
    for (row, ((((&time_ns, &cpu), &pid), &context), event)) in heads.enumerate() {
        takers.row = row;
        let cpu = takers.narrow(cpu, "cpu", "a number below 65536")?;
        let context = Context(takers.narrow(context, "context", "a number below 256")?);
        let body = match takers.kind(event)? {
            Kind::Alloc(call) => takers.alloc(call)?,
            Kind::Free(call) => takers.free(call)?,
            Kind::PageAlloc => takers.page_alloc()?,
            Kind::PageFree => Body::PageFree { pfn: takers.pfn()?, order: takers.order()? },
            Kind::PageFreeBatched => Body::PageFreeBatched { pfn: takers.pfn()? },
            Kind::PagePcpuDrain => Body::PagePcpuDrain { pfn: takers.pfn()?, order: takers.order()?, migratetype: takers.migratetype()? },
            Kind::PageExtFrag => takers.page_ext_frag()?,
            Kind::RcuFreeBulk => Body::RcuFreeBulk { count: takers.count.need(row, "count")?.cast_unsigned() },
            Kind::Mark => {
                let (id, text) = takers.mark()?;
                decoded.marks.push((row, id, text));
                Body::Mark(MarkId(id))
            }
        };
        decoded.events.push(Event { time_ns: time_ns.cast_unsigned(), body, pid, cpu, context });
    }
    takers.finish()?;
    Ok(decoded)
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Alloc(AllocCall),
    Free(FreeCall),
    PageAlloc,
    PageFree,
    PageFreeBatched,
    PagePcpuDrain,
    PageExtFrag,
    RcuFreeBulk,
    Mark,
}

/// In the order of [`KINDS`].
const ORDER: [Kind; KINDS.len()] = [
    Kind::Alloc(AllocCall::Kmalloc),
    Kind::Alloc(AllocCall::KmemCacheAlloc),
    Kind::Free(FreeCall::Kfree),
    Kind::Free(FreeCall::KmemCacheFree),
    Kind::PageAlloc,
    Kind::PageFree,
    Kind::PageFreeBatched,
    Kind::PagePcpuDrain,
    Kind::PageExtFrag,
    Kind::RcuFreeBulk,
    Kind::Mark,
];

/// Values of one column, row by row.
struct Taker<'a, T> {
    levels: &'a [i16],
    values: std::slice::Iter<'a, T>,
}

impl<'a, T: Clone> Taker<'a, T> {
    fn new(column: &'a Sparse<T>) -> Self {
        Self { levels: &column.levels, values: column.values.iter() }
    }

    /// The value of a row that may have one. Rows have to be asked for in order, and all that have a value.
    #[inline]
    fn may(&mut self, row: usize) -> Option<&'a T> {
        if self.levels.get(row).is_some_and(|&level| level > 0) { self.values.next() } else { None }
    }

    #[inline]
    fn need(&mut self, row: usize, column: &'static str) -> Result<T, BadRow> {
        self.may(row).cloned().ok_or(BadRow { row, column, expected: "a value" })
    }
}

/// Texts that repeat, by where the dictionary has them: comparing an address takes less than hashing a text.
type Known<T> = FxHashMap<(usize, usize), T>;

fn address(text: &ByteArray) -> (usize, usize) {
    (text.data().as_ptr().addr(), text.len())
}

struct Takers<'a> {
    row: usize,
    names: &'a FxHashMap<&'a [u8], NameId>,
    known_names: Known<NameId>,
    known_kinds: Known<Kind>,
    call_site: Taker<'a, i64>,
    ptr: Taker<'a, i64>,
    bytes_req: Taker<'a, i64>,
    bytes_alloc: Taker<'a, i64>,
    gfp_flags: Taker<'a, i32>,
    node: Taker<'a, i32>,
    cache: Taker<'a, ByteArray>,
    accounted: Taker<'a, bool>,
    pfn: Taker<'a, i64>,
    order: Taker<'a, i32>,
    migratetype: Taker<'a, i32>,
    fallback_order: Taker<'a, i32>,
    change_ownership: Taker<'a, bool>,
    count: Taker<'a, i64>,
    mark: Taker<'a, ByteArray>,
    mark_id: Taker<'a, i32>,
}

impl<'a> Takers<'a> {
    fn new(rows: &'a Rows, names: &'a FxHashMap<&'a [u8], NameId>) -> Self {
        Self {
            row: 0,
            names,
            known_names: Known::default(),
            known_kinds: Known::default(),
            call_site: Taker::new(&rows.call_site),
            ptr: Taker::new(&rows.ptr),
            bytes_req: Taker::new(&rows.bytes_req),
            bytes_alloc: Taker::new(&rows.bytes_alloc),
            gfp_flags: Taker::new(&rows.gfp_flags),
            node: Taker::new(&rows.node),
            cache: Taker::new(&rows.cache),
            accounted: Taker::new(&rows.accounted),
            pfn: Taker::new(&rows.pfn),
            order: Taker::new(&rows.order),
            migratetype: Taker::new(&rows.migratetype),
            fallback_order: Taker::new(&rows.fallback_order),
            change_ownership: Taker::new(&rows.change_ownership),
            count: Taker::new(&rows.count),
            mark: Taker::new(&rows.mark),
            mark_id: Taker::new(&rows.mark_id),
        }
    }

    fn narrow<T: TryFrom<i32>>(&self, value: i32, column: &'static str, expected: &'static str) -> Result<T, BadRow> {
        T::try_from(value).map_err(|_| BadRow { row: self.row, column, expected })
    }

    #[inline]
    fn kind(&mut self, event: &ByteArray) -> Result<Kind, BadRow> {
        if let Some(&kind) = self.known_kinds.get(&address(event)) {
            return Ok(kind);
        }
        let kind = KINDS.iter().zip(ORDER).find(|(name, _)| name.as_bytes() == event.data()).map(|(_, kind)| kind);
        let kind = kind.ok_or(BadRow { row: self.row, column: "event", expected: "the name of an event" })?;
        self.known_kinds.insert(address(event), kind);
        Ok(kind)
    }

    #[inline]
    fn name(&mut self) -> Result<Option<NameId>, BadRow> {
        let Some(text) = self.cache.may(self.row) else { return Ok(None) };
        if let Some(&name) = self.known_names.get(&address(text)) {
            return Ok(Some(name));
        }
        let name = self.names.get(text.data()).copied();
        let name = name.ok_or(BadRow { row: self.row, column: "cache", expected: "one of the names in the metadata" })?;
        self.known_names.insert(address(text), name);
        Ok(Some(name))
    }

    fn alloc(&mut self, call: AllocCall) -> Result<Body, BadRow> {
        let row = self.row;
        Ok(Body::Alloc(Alloc {
            call_site: self.call_site.need(row, "call_site")?.cast_unsigned(),
            ptr: self.ptr.need(row, "ptr")?.cast_unsigned(),
            bytes_req: self.bytes_req.need(row, "bytes_req")?.cast_unsigned(),
            bytes_alloc: self.bytes_alloc.need(row, "bytes_alloc")?.cast_unsigned(),
            gfp_flags: self.gfp_flags.need(row, "gfp_flags")?.cast_unsigned(),
            node: self.node.need(row, "node")?,
            name: self.name()?,
            call,
            accounted: self.accounted.may(row).copied(),
        }))
    }

    fn free(&mut self, call: FreeCall) -> Result<Body, BadRow> {
        let call_site = self.call_site.need(self.row, "call_site")?.cast_unsigned();
        Ok(Body::Free(Free { call_site, ptr: self.ptr.need(self.row, "ptr")?.cast_unsigned(), name: self.name()?, call }))
    }

    fn page_alloc(&mut self) -> Result<Body, BadRow> {
        Ok(Body::PageAlloc(PageAlloc {
            pfn: self.pfn.may(self.row).map(|pfn| pfn.cast_unsigned()),
            gfp_flags: self.gfp_flags.need(self.row, "gfp_flags")?.cast_unsigned(),
            migratetype: self.migratetype()?,
            order: self.order()?,
        }))
    }

    fn page_ext_frag(&mut self) -> Result<Body, BadRow> {
        let fallback_order = self.fallback_order.need(self.row, "fallback_order")?;
        Ok(Body::PageExtFrag {
            pfn: self.pfn()?,
            alloc_order: self.order()?,
            fallback_order: self.narrow(fallback_order, "fallback_order", "a number below 256")?,
            alloc_migratetype: self.migratetype()?,
            change_ownership: self.change_ownership.need(self.row, "change_ownership")?,
        })
    }

    fn mark(&mut self) -> Result<(u32, String), BadRow> {
        let text = self.mark.need(self.row, "mark")?;
        let text = text.as_utf8().map_err(|_| BadRow { row: self.row, column: "mark", expected: "text in UTF-8" })?;
        Ok((self.mark_id.need(self.row, "mark_id")?.cast_unsigned(), text.to_owned()))
    }

    fn pfn(&mut self) -> Result<u64, BadRow> {
        Ok(self.pfn.need(self.row, "pfn")?.cast_unsigned())
    }

    fn order(&mut self) -> Result<u8, BadRow> {
        let order = self.order.need(self.row, "order")?;
        self.narrow(order, "order", "a number below 256")
    }

    fn migratetype(&mut self) -> Result<i16, BadRow> {
        let migratetype = self.migratetype.need(self.row, "migratetype")?;
        self.narrow(migratetype, "migratetype", "a number of 16 bits")
    }

    /// A value that no row took is one that its kind of event does not have; those after it were taken by the wrong rows.
    fn finish(self) -> Result<(), BadRow> {
        macro_rules! left {
            ($($name:ident)*) => {
                [$((stringify!($name), self.$name.values.len())),*]
            };
        }
        let left = left!(call_site ptr bytes_req bytes_alloc gfp_flags node cache accounted pfn order migratetype fallback_order
            change_ownership count mark mark_id);
        match left.into_iter().find(|&(_, values)| values > 0) {
            Some((column, _)) => {
                Err(BadRow { row: self.row, column, expected: "values for the kinds of events that have them, and no others" })
            }
            None => Ok(()),
        }
    }
}
