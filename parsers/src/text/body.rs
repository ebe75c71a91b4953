//! Arguments to what an event says, as the decoder of binary records has it.

use super::arguments::{self, Arguments, Form, ObjectArguments, Pointer};
use super::chunk::Piece;
use super::head::Head;
use super::kind::Kind;
use super::number::skip_blanks;
use crate::event::{Alloc, AllocCall, Body, Free, FreeCall, MarkId, PageAlloc};
use memchr::memmem;

/// Why an event could not be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unusable {
    /// A key is missing, or its value is none.
    Incomplete,
    /// Its pointer was withheld by a kernel that had just booted.
    Withheld,
}

/// Reads the arguments of an event of a known kind.
#[inline]
pub(super) fn read<'a>(kind: Kind, head: &Head<'a>, piece: &mut Piece<'a>) -> Result<Body, Unusable> {
    if kind.is_alloc() {
        let found = arguments::usual_alloc(head.arguments).unwrap_or_else(|| arguments::read(head.arguments, false).object);
        return alloc(kind, &found, piece);
    }
    if kind.is_free() {
        let found = arguments::usual_free(head.arguments).unwrap_or_else(|| arguments::read(head.arguments, true).object);
        return free(kind, &found, piece);
    }
    match kind {
        Kind::Marker => mark(skip_one_blank(head.arguments), piece).ok_or(Unusable::Incomplete),
        Kind::Print => mark(printed(head.arguments), piece).ok_or(Unusable::Incomplete),
        _ => page(kind, &arguments::read(head.arguments, false), piece).ok_or(Unusable::Incomplete),
    }
}

#[inline]
fn alloc<'a>(kind: Kind, found: &ObjectArguments<'a>, piece: &mut Piece<'a>) -> Result<Body, Unusable> {
    let ptr = usable(found.ptr, piece)?;
    let (Some(bytes_req), Some(bytes_alloc), Some(gfp_flags)) = (found.bytes_req, found.bytes_alloc, found.gfp_flags) else {
        return Err(Unusable::Incomplete);
    };
    let call = if matches!(kind, Kind::Kmalloc | Kind::KmallocNode) { AllocCall::Kmalloc } else { AllocCall::KmemCacheAlloc };
    Ok(Body::Alloc(Alloc {
        call_site: found.call_site.map_or(0, |site| piece.sites.number(site)),
        ptr: valid(ptr),
        bytes_req,
        bytes_alloc,
        gfp_flags: piece.flags.bits(gfp_flags),
        node: found.node.map_or(-1, |node| node as i32),
        name: found.name.and_then(|name| piece.names.number(name)),
        call,
        // Computed by kmalloc's print format from the gfp flags; no field of the event since 6.1.
        accounted: found.accounted.filter(|_| call == AllocCall::KmemCacheAlloc),
    }))
}

#[inline]
fn free<'a>(kind: Kind, found: &ObjectArguments<'a>, piece: &mut Piece<'a>) -> Result<Body, Unusable> {
    let ptr = usable(found.ptr, piece)?;
    Ok(Body::Free(Free {
        call_site: found.call_site.map_or(0, |site| piece.sites.number(site)),
        ptr: ptr.value,
        name: found.name.and_then(|name| piece.names.number(name)),
        call: if kind == Kind::Kfree { FreeCall::Kfree } else { FreeCall::KmemCacheFree },
    }))
}

/// The pointer of an object, counted by its form.
#[inline]
fn usable(ptr: Option<Pointer>, piece: &mut Piece<'_>) -> Result<Pointer, Unusable> {
    let ptr = ptr.ok_or(Unusable::Incomplete)?;
    match ptr.form {
        Form::Plain16 => piece.forms.plain16 += 1,
        Form::Plain8 => piece.forms.plain8 += 1,
        Form::Prefixed => piece.forms.prefixed += 1,
        Form::Null => {}
        Form::Withheld => return Err(Unusable::Withheld),
    }
    Ok(ptr)
}

/// Error pointers (-4095..-1, in the kernel's own width) stand for a failed allocation, like NULL.
#[inline]
fn valid(ptr: Pointer) -> u64 {
    let last = if ptr.bytes() == 4 { u64::from(u32::MAX) } else { u64::MAX };
    if ptr.value > last - 4095 { 0 } else { ptr.value }
}

fn page<'a>(kind: Kind, found: &Arguments<'a>, piece: &mut Piece<'a>) -> Option<Body> {
    let pages = &found.pages;
    if kind == Kind::RcuFreeBulk {
        return Some(Body::RcuFreeBulk { count: found.nr_records? });
    }
    // A `struct page *` is an identity only, and what tools print for it is not even that.
    let (pfn, bytes) = match (pages.pfn, pages.page) {
        (Some(pfn), _) => (pfn, 8),
        (None, Some(page)) => (page.value, page.bytes()),
        (None, None) => return None,
    };
    let order = || pages.order.map(narrow);
    let type_of = |value: Option<u64>| value.map_or(-1, |value| value as i16);
    Some(match kind {
        Kind::PageAlloc => Body::PageAlloc(PageAlloc {
            pfn: Some(pfn).filter(|&pfn| pfn != 0 && pfn != if bytes == 4 { u64::from(u32::MAX) } else { u64::MAX }),
            gfp_flags: found.object.gfp_flags.map_or(0, |flags| piece.flags.bits(flags)),
            migratetype: type_of(pages.migratetype),
            order: order()?,
        }),
        Kind::PageFree | Kind::PageFreeDirect => Body::PageFree { pfn, order: order()? },
        Kind::PageFreeBatched | Kind::PagevecFree => Body::PageFreeBatched { pfn },
        Kind::PagePcpuDrain => Body::PagePcpuDrain { pfn, order: order()?, migratetype: type_of(pages.migratetype) },
        Kind::PageExtFrag => Body::PageExtFrag {
            pfn,
            alloc_order: narrow(pages.alloc_order?),
            fallback_order: narrow(pages.fallback_order?),
            alloc_migratetype: type_of(pages.alloc_migratetype),
            change_ownership: pages.change_ownership.unwrap_or(0) != 0,
        },
        _ => return None,
    })
}

/// An order; what does not fit is as impossible as 255.
fn narrow(order: u64) -> u8 {
    u8::try_from(order).unwrap_or(u8::MAX)
}

/// A marker's text; none if there are more markers than can be numbered.
pub(super) fn mark(text: &[u8], piece: &mut Piece<'_>) -> Option<Body> {
    let id = MarkId(u32::try_from(piece.marks.len()).ok()?);
    piece.marks.push(String::from_utf8_lossy(text).trim_end().to_owned());
    Some(Body::Mark(id))
}

fn skip_one_blank(text: &[u8]) -> &[u8] {
    text.strip_prefix(b" ").unwrap_or(text)
}

/// What trace-cmd prints of a marker: the function that it comes from, and the text.
fn printed(arguments: &[u8]) -> &[u8] {
    let text = skip_blanks(arguments);
    // trace-cmd report -R
    let raw = text.starts_with(b"ip=").then(|| memmem::find(text, b" buf=")).flatten();
    let colon = || memmem::find(text, b": ");
    raw.map(|at| at + 5).or_else(|| colon().map(|at| at + 2)).and_then(|at| text.get(at..)).unwrap_or(text)
}
