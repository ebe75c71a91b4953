//! The arguments of an event: `key=value` pairs, read by name.
//!
//! Order does not matter and unknown keys are ignored: kernels and vendors add some. What the usual line has
//! is read faster by `usual`.

use memchr::{memchr, memmem};

use super::number::{decimal, find_near, hexadecimal, integer, skip_blanks};

/// What was found. Numbers are there if they could be read.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Arguments<'a> {
    pub(super) object: ObjectArguments<'a>,
    pub(super) pages: PageArguments,
    pub(super) nr_records: Option<u64>,
}

/// Those of the events of objects; page events have flags, too.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct ObjectArguments<'a> {
    /// As it stands there, to be looked up as a whole.
    pub(super) call_site: Option<&'a [u8]>,
    pub(super) ptr: Option<Pointer>,
    pub(super) bytes_req: Option<u64>,
    pub(super) bytes_alloc: Option<u64>,
    pub(super) gfp_flags: Option<&'a [u8]>,
    pub(super) node: Option<u64>,
    pub(super) accounted: Option<bool>,
    pub(super) name: Option<&'a [u8]>,
}

/// Those of the page events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PageArguments {
    pub(super) page: Option<Pointer>,
    pub(super) pfn: Option<u64>,
    pub(super) order: Option<u64>,
    pub(super) alloc_order: Option<u64>,
    pub(super) fallback_order: Option<u64>,
    pub(super) migratetype: Option<u64>,
    pub(super) alloc_migratetype: Option<u64>,
    pub(super) change_ownership: Option<u64>,
}

/// A pointer as it was printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pointer {
    pub(super) value: u64,
    pub(super) form: Form,
}

/// How a pointer was printed, which tells who did it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// 16 digits, by a 64-bit kernel: since 4.15 mostly a hash.
    Plain16,
    /// 8 digits, by a 32-bit kernel.
    Plain8,
    /// Behind `0x`, by a tool or as a bare field: never a hash.
    Prefixed,
    /// NULL in words.
    Null,
    /// `(____ptrval____)`: at boot, before the kernel could hash it.
    Withheld,
}

impl Pointer {
    /// Bytes of an address in the kernel that printed it, where that shows.
    pub(super) fn bytes(self) -> u8 {
        if self.form == Form::Plain8 || self.form == Form::Prefixed && self.value <= u64::from(u32::MAX) { 4 } else { 8 }
    }
}

/// Reads a pointer in any of its forms.
#[inline]
pub(super) fn pointer(value: &[u8]) -> Option<Pointer> {
    let null = Pointer { value: 0, form: Form::Null };
    match value {
        [b'0', b'x', digits @ ..] => Some(Pointer { value: hexadecimal(digits)?, form: Form::Prefixed }),
        b"0" | b"(null)" | b"(nil)" => Some(null),
        b"(____ptrval____)" | b"(ptrval)" => Some(Pointer { value: 0, form: Form::Withheld }),
        _ if value.len() == 16 => Some(Pointer { value: hexadecimal(value)?, form: Form::Plain16 }),
        _ if value.len() == 8 => Some(Pointer { value: hexadecimal(value)?, form: Form::Plain8 }),
        _ => None,
    }
}

/// Reads all pairs of a line by name.
pub(super) fn read<'a>(text: &'a [u8], is_free: bool) -> Arguments<'a> {
    let mut found = Arguments::default();
    let mut rest = text;
    loop {
        rest = skip_blanks(rest);
        if rest.is_empty() {
            return found;
        }
        let key_bytes = rest.iter().take_while(|byte| byte.is_ascii_alphanumeric() || **byte == b'_').count();
        let Some((key, after)) = rest.split_at_checked(key_bytes) else { return found };
        let Some(after) = after.strip_prefix(b"=").filter(|_| key_bytes > 0) else {
            // No pair: `(symbol+0x1c)` of trace-cmd, `[FAILED TO PARSE]`, or what a vendor added.
            rest = memchr(b' ', rest).and_then(|blank| rest.get(blank..)).unwrap_or_default();
            continue;
        };
        let value;
        (value, rest) = if key == b"name" { name(after, is_free) } else { plain(after, key == b"call_site") };
        enter(&mut found, key, value);
    }
}

/// A name may hold blanks: that of a free goes up to the end, that of an allocation up to the sizes.
fn name(after: &[u8], is_free: bool) -> (&[u8], &[u8]) {
    let end =
        if is_free { None } else { memmem::rfind(after, b" bytes_req=").or_else(|| memchr(b'=', after).and_then(|_| memchr(b' ', after))) };
    after.split_at_checked(end.unwrap_or(after.len())).unwrap_or((after, b""))
}

/// A value up to the next blank. The kernel pads `(null)` with blanks in front, and puts a module behind a call site.
fn plain(after: &[u8], is_call_site: bool) -> (&[u8], &[u8]) {
    let padded = skip_blanks(after);
    let start = if padded.starts_with(b"(null)") { padded } else { after };
    let mut end = memchr(b' ', start).unwrap_or(start.len());
    let behind = start.get(end..).unwrap_or_default();
    // The option `fields` prints each number again, signed and in parentheses.
    let close = match behind {
        [b' ', b'[', ..] if is_call_site => memchr(b']', behind),
        [b' ', b'(', b'-' | b'0'..=b'9', ..] => memchr(b')', behind),
        _ => None,
    };
    end += close.map_or(0, |close| close + 1);
    start.split_at_checked(end).unwrap_or((start, b""))
}

fn enter<'a>(found: &mut Arguments<'a>, key: &[u8], value: &'a [u8]) {
    let number = || number(value);
    let first = || memchr(b' ', value).and_then(|blank| value.get(..blank)).unwrap_or(value);
    let Arguments { object, pages, nr_records } = found;
    match key {
        b"call_site" => object.call_site = Some(value),
        b"ptr" => object.ptr = pointer(first()),
        b"bytes_req" => object.bytes_req = number(),
        b"bytes_alloc" => object.bytes_alloc = number(),
        b"gfp_flags" => object.gfp_flags = Some(first()),
        b"node" => object.node = number(),
        b"accounted" => object.accounted = flag(value),
        b"name" => object.name = Some(value),
        b"page" => pages.page = pointer(first()),
        b"pfn" => pages.pfn = number(),
        b"order" => pages.order = number(),
        b"alloc_order" => pages.alloc_order = number(),
        b"fallback_order" => pages.fallback_order = number(),
        b"migratetype" => pages.migratetype = number(),
        b"alloc_migratetype" => pages.alloc_migratetype = number(),
        b"change_ownership" => pages.change_ownership = number().or_else(|| flag(value).map(u64::from)),
        b"nr_records" => *nr_records = number(),
        _ => {}
    }
}

/// A number, by what stands in parentheses behind it if anything does: that one has its sign.
fn number(value: &[u8]) -> Option<u64> {
    match value.strip_suffix(b")") {
        Some(inner) => integer(inner.get(memchr(b'(', inner)? + 1..)?),
        None => integer(value),
    }
}

#[inline]
pub(super) fn flag(value: &[u8]) -> Option<bool> {
    match value {
        b"true" => Some(true),
        b"false" => Some(false),
        _ => number(value).map(|number| number != 0),
    }
}

/// Reads the usual arguments of an allocation, in the order in which kernels print them; `None` if there is
/// anything else.
#[inline]
pub(super) fn usual_alloc(text: &[u8]) -> Option<ObjectArguments<'_>> {
    let mut found = ObjectArguments::default();
    let mut rest = call_site_and_ptr(text, &mut found)?;
    if let Some(name) = rest.strip_prefix(b" name=") {
        let (name, after) = word(name);
        found.name = Some(name);
        rest = after;
    }
    let (bytes_req, rest) = decimal(rest.strip_prefix(b" bytes_req=")?)?;
    let (bytes_alloc, rest) = decimal(rest.strip_prefix(b" bytes_alloc=")?)?;
    // Words of flags are long.
    let rest = rest.strip_prefix(b" gfp_flags=")?;
    let (gfp_flags, mut rest) = rest.split_at_checked(memchr(b' ', rest).unwrap_or(rest.len()))?;
    (found.bytes_req, found.bytes_alloc, found.gfp_flags) = (Some(bytes_req), Some(bytes_alloc), Some(gfp_flags));
    if let Some(node) = rest.strip_prefix(b" node=") {
        let (node, after) = match node {
            [b'-', b'1', after @ ..] => (u64::MAX, after),
            _ => decimal(node)?,
        };
        found.node = Some(node);
        rest = after;
    }
    if let Some(accounted) = rest.strip_prefix(b" accounted=") {
        let (accounted, after) = word(accounted);
        found.accounted = Some(flag(accounted)?);
        rest = after;
    }
    rest.is_empty().then_some(found)
}

/// The same of a free.
#[inline]
pub(super) fn usual_free(text: &[u8]) -> Option<ObjectArguments<'_>> {
    let mut found = ObjectArguments::default();
    let rest = call_site_and_ptr(text, &mut found)?;
    if let Some(name) = rest.strip_prefix(b" name=") {
        found.name = Some(name);
        return Some(found);
    }
    rest.is_empty().then_some(found)
}

#[inline]
fn call_site_and_ptr<'a>(text: &'a [u8], found: &mut ObjectArguments<'a>) -> Option<&'a [u8]> {
    let mut rest = skip_blanks(text);
    if rest.first() == Some(&b'(') {
        rest = skip_blanks(rest.get(find_near(b')', rest)? + 1..)?);
    }
    let value = rest.strip_prefix(b"call_site=")?;
    let mut end = find_near(b' ', value)?;
    if value.get(end + 1) == Some(&b'[') {
        end += find_near(b']', value.get(end..)?)? + 1;
    }
    let (site, rest) = value.split_at_checked(end)?;
    let (ptr, rest) = word(rest.strip_prefix(b" ptr=")?);
    (found.call_site, found.ptr) = (Some(site), Some(pointer(ptr)?));
    Some(rest)
}

/// Up to the next blank or the end.
#[inline]
fn word(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = find_near(b' ', bytes).unwrap_or(bytes.len());
    bytes.split_at_checked(end).unwrap_or((bytes, b""))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain16(value: u64) -> Option<Pointer> {
        Some(Pointer { value, form: Form::Plain16 })
    }

    /// The lines of kernels before and after 4.15, 5.12, 6.0, 6.1 and 6.18, read both ways.
    #[test]
    fn the_usual_order_is_read_as_by_name() {
        let allocs = [
            " call_site=ffffffff8122f0f5 ptr=ffff880000000040 bytes_req=24 bytes_alloc=32 gfp_flags=GFP_KERNEL",
            " call_site=f+0x1/0x20 ptr=00000000deadbeef bytes_req=24 bytes_alloc=32 gfp_flags=GFP_KERNEL|__GFP_ZERO node=3",
            " call_site=f+0x1/0x20 [m] ptr=0xffff880000000040 bytes_req=24 bytes_alloc=32 gfp_flags=0xcc0 node=-1 accounted=true",
            "    (f+0x1) call_site=f+0x1 ptr=(nil) name=a bytes_req=24 bytes_alloc=32 gfp_flags=GFP_NOFS node=-1 accounted=0",
        ];
        for text in allocs {
            let usual = usual_alloc(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(usual, read(text.as_bytes(), false).object, "{text}");
            assert_eq!((usual.bytes_req, usual.bytes_alloc), (Some(24), Some(32)), "{text}");
        }
        for text in [" call_site=f+0x1/0x20 ptr=ffff880000000040", " call_site=f+0x1/0x20 [m] ptr=(nil) name=odd name (254:0)"] {
            assert_eq!(usual_free(text.as_bytes()), Some(read(text.as_bytes(), true).object), "{text}");
        }
    }

    #[test]
    fn any_order_and_unknown_keys() {
        let found = read(b" ptr=ffff880000000040 nr_free=3 bytes_alloc=32 call_site=f+0x1/0x20 [m] bytes_req=24 gfp_flags=none", false);
        let expected = ObjectArguments {
            call_site: Some(b"f+0x1/0x20 [m]"),
            ptr: plain16(0xffff_8800_0000_0040),
            bytes_req: Some(24),
            bytes_alloc: Some(32),
            gfp_flags: Some(b"none"),
            ..ObjectArguments::default()
        };
        assert_eq!(found, Arguments { object: expected, ..Arguments::default() });
    }

    #[test]
    fn pointers() {
        let value = |text: &str| pointer(text.as_bytes()).map(|pointer| (pointer.value, pointer.form));
        assert_eq!(value("00000000deadbeef"), Some((0xdead_beef, Form::Plain16)));
        assert_eq!(value("c1234568"), Some((0xc123_4568, Form::Plain8)));
        assert_eq!(value("0xc1234568"), Some((0xc123_4568, Form::Prefixed)));
        assert_eq!(value("(nil)"), Some((0, Form::Null)));
        assert_eq!(value("(____ptrval____)"), Some((0, Form::Withheld)));
        assert_eq!(value("(ptrval)"), Some((0, Form::Withheld)));
        assert_eq!(value("ffff88810000"), None, "cut off");
        let padded = read(b" call_site=ffffffff81200000 ptr=          (null)", true);
        assert_eq!(padded.object.ptr, Some(Pointer { value: 0, form: Form::Null }));
        assert_eq!(read(b" call_site=c0200000 ptr=  (null) name=x", true).object.name, Some(&b"x"[..]), "of a 32-bit kernel");
    }

    /// The option `fields`: from 6.16 on a symbol with its address in parentheses.
    #[test]
    fn every_field_with_its_decimal() {
        let text =
            b" call_site=f+0x24/0x1f0 (-2123465228) ptr=0xffff888100ce0000 (-131387331051520) name=odd name bytes_req=0x1000 (4096) \
            bytes_alloc=0x1000 (4096) gfp_flags=0xcc0 (3264) node=0xffffffff (-1) accounted=(1)";
        let found = read(text, false);
        let expected = ObjectArguments {
            call_site: Some(b"f+0x24/0x1f0 (-2123465228)"),
            ptr: Some(Pointer { value: 0xffff_8881_00ce_0000, form: Form::Prefixed }),
            bytes_req: Some(4096),
            bytes_alloc: Some(4096),
            gfp_flags: Some(b"0xcc0"),
            node: Some(u64::MAX),
            accounted: Some(true),
            name: Some(b"odd name"),
        };
        assert_eq!(found, Arguments { object: expected, ..Arguments::default() });
        assert_eq!(read(b" accounted='\x01'(1)", false).object.accounted, Some(true));
    }

    #[test]
    fn fields_of_a_format_that_could_not_be_parsed() {
        let found = read(b"  [FAILED TO PARSE] call_site=0xffffffff81000000 ptr=0xffff880000000040 bytes_req=24 node=-1", false).object;
        assert_eq!((found.call_site, found.bytes_req, found.node), (Some(&b"0xffffffff81000000"[..]), Some(24), Some(u64::MAX)));
    }
}
