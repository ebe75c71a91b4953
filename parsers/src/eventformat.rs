//! The text that describes an event's fields (`events/SYSTEM/EVENT/format`).

use nom::Parser;
use nom::bytes::complete::{tag, take_till, take_while};
use nom::character::complete::{digit1, space0};
use nom::combinator::{map_opt, opt};
use nom::error::context;
use nom::sequence::{preceded, terminated};

use crate::error::Fault;
use crate::parse::{Cursor, Origin, Res};

/// An event's name, number and fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventFormat {
    /// Subsystem, such as `kmem`.
    pub system: String,
    /// Event name.
    pub name: String,
    /// Number by which records of this one trace refer to it.
    pub id: u16,
    /// Fields, common ones first.
    pub fields: Vec<Field>,
}

impl EventFormat {
    /// The field of that name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&Field> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// One field of a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Last identifier of the declaration.
    pub name: String,
    /// How its value is stored.
    pub kind: FieldKind,
    /// Byte offset from the start of the record's payload.
    pub offset: u32,
    /// Bytes it takes there.
    pub size: u32,
    /// True if an integer is signed.
    pub signed: bool,
}

/// How a field's value is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldKind {
    /// An integer or pointer of the field's size.
    Integer,
    /// An array in place.
    Array,
    /// A 32-bit word: length in the high half, position from the start of the payload in the low half.
    DataLoc,
    /// The same, with the position counted from the end of the word.
    RelLoc,
    /// The rest of the record.
    Rest,
}

/// Parses the text of one format file.
///
/// # Errors
///
/// If `name:`, `ID:` or a field line is not of the documented form; the place is a byte of the text.
pub fn parse(system: &str, text: &[u8]) -> Result<EventFormat, Fault> {
    parse_at(system, text, Origin::File(0))
}

pub(crate) fn parse_at(system: &str, text: &[u8], origin: Origin) -> Result<EventFormat, Fault> {
    let mut cursor = Cursor::new(text, origin, format!("event format, system {system}"));
    let name = cursor.read(header(&b"name:"[..], "`name:` and a word"))?;
    let name = String::from_utf8_lossy(name).into_owned();
    cursor.enter(format!("event format, {system}:{name}"));
    let id = cursor.read(id_line)?;
    cursor.read(header(&b"format:"[..], "`format:`"))?;
    let fields = fields(&mut cursor)?;
    Ok(EventFormat { system: system.to_owned(), name, id, fields })
}

/// Field lines up to `print fmt` or the end.
pub(crate) fn fields(cursor: &mut Cursor<'_>) -> Result<Vec<Field>, Fault> {
    let mut fields = Vec::new();
    loop {
        cursor.read(|input| take_while(|byte| byte == b'\n' || byte == b'\r').parse(input))?;
        if cursor.is_empty() || cursor.rest().starts_with(b"print fmt") {
            return Ok(fields);
        }
        fields.push(cursor.read(field_line)?);
    }
}

fn line_end(input: &[u8]) -> Res<'_, ()> {
    let (input, _) = space0.parse(input)?;
    let (input, _) = opt(tag(&b"\r"[..])).parse(input)?;
    if input.is_empty() {
        return Ok((input, ()));
    }
    context("the end of the line", tag(&b"\n"[..])).map(|_| ()).parse(input)
}

fn header<'a>(key: &'static [u8], what: &'static str) -> impl Fn(&'a [u8]) -> Res<'a, &'a [u8]> {
    move |input| {
        context(what, terminated(preceded((tag(key), space0), take_till(|byte| byte == b'\n' || byte == b'\r')), line_end)).parse(input)
    }
}

fn number<T: std::str::FromStr>(input: &[u8]) -> Res<'_, T> {
    let digits = map_opt(digit1, |digits: &[u8]| std::str::from_utf8(digits).ok()?.parse().ok());
    context("a decimal number", digits).parse(input)
}

fn id_line(input: &[u8]) -> Res<'_, u16> {
    let (input, _) = context("`ID:` and a number", (tag(&b"ID:"[..]), space0)).parse(input)?;
    terminated(number::<u16>, line_end).parse(input)
}

/// `;` TAB key `:` N
fn attribute<'a, T: std::str::FromStr>(key: &'static [u8], what: &'static str) -> impl Fn(&'a [u8]) -> Res<'a, T> {
    move |input| {
        let (input, _) = context(what, (space0, tag(key))).parse(input)?;
        terminated(number::<T>, context("`;`", tag(&b";"[..]))).parse(input)
    }
}

fn field_line(input: &[u8]) -> Res<'_, Field> {
    let (input, _) = context("a `field:` line", (space0, tag(&b"field"[..]), opt(tag(&b" special"[..])), tag(&b":"[..]))).parse(input)?;
    let (input, declaration) = terminated(
        context("a declaration", take_till(|byte| byte == b';' || byte == b'\n')),
        context("`;` after the declaration", tag(&b";"[..])),
    )
    .parse(input)?;
    let (input, offset) = attribute::<u32>(b"offset:", "`offset:`")(input)?;
    let (input, size) = attribute::<u32>(b"size:", "`size:`")(input)?;
    let (input, signed) = opt(attribute::<u8>(b"signed:", "`signed:`")).parse(input)?;
    // Old kernels put a bare TAB where `signed:` came later; anything else there is left to `line_end`.
    let (input, ()) = line_end(input)?;
    let declaration = String::from_utf8_lossy(declaration);
    let (name, kind) = declared(&declaration, size);
    let signed = signed.map_or_else(|| signed_by_type(&declaration), |signed| signed != 0);
    Ok((input, Field { name, kind, offset, size, signed }))
}

/// Name and storage of a C declaration such as `__data_loc char[] name` or `char comm[16]`.
fn declared(declaration: &str, size: u32) -> (String, FieldKind) {
    let declaration = declaration.trim();
    let without_bounds = match declaration.find('[') {
        // `char comm[16]`: the bounds follow the name. `__data_loc char[] name`: they precede it.
        Some(open) if declaration.ends_with(']') => declaration.get(..open).unwrap_or(declaration),
        _ => declaration,
    };
    let name: String =
        without_bounds.chars().rev().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<Vec<_>>().into_iter().rev().collect();
    let kind = if declaration.starts_with("__data_loc") {
        FieldKind::DataLoc
    } else if declaration.starts_with("__rel_loc") {
        FieldKind::RelLoc
    } else if !declaration.ends_with(']') {
        FieldKind::Integer
    } else if size == 0 {
        FieldKind::Rest
    } else {
        FieldKind::Array
    };
    (name, kind)
}

/// Whether a type is signed, for formats from before 2.6.33 that do not say.
fn signed_by_type(declaration: &str) -> bool {
    let unsigned = ["unsigned", "*", "size_t", "gfp_t", "u8", "u16", "u32", "u64", "bool"];
    !unsigned.iter().any(|word| declaration.contains(word)) || declaration.contains("ssize_t")
}

#[cfg(test)]
mod tests {
    use super::*;

    const FREE: &str = "name: kmem_cache_free\nID: 656\nformat:\n\
        \tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;\n\
        \tfield:int common_pid;\toffset:4;\tsize:4;\tsigned:1;\n\n\
        \tfield:const void * ptr;\toffset:16;\tsize:8;\tsigned:0;\n\
        \tfield:__data_loc char[] name;\toffset:24;\tsize:4;\tsigned:0;\n\n\
        print fmt: \"name=%s\", __get_str(name)\n";

    #[test]
    fn reads_name_number_and_fields() {
        let format = parse("kmem", FREE.as_bytes()).unwrap();
        assert_eq!((format.name.as_str(), format.id, format.fields.len()), ("kmem_cache_free", 656, 4));
        let name = format.field("name").unwrap();
        assert_eq!((name.kind, name.offset, name.size), (FieldKind::DataLoc, 24, 4));
        assert!(format.field("common_pid").unwrap().signed);
        assert_eq!(format.field("ptr").unwrap().kind, FieldKind::Integer);
    }

    #[test]
    fn reads_arrays_special_fields_and_formats_without_signedness() {
        let text = "name: print\nID: 5\nformat:\n\tfield:char comm[16];\toffset:8;\tsize:16;\n\
            \tfield special:char buf[];\toffset:24;\tsize:0;\tsigned:0;\n\tfield:gfp_t gfp_flags;\toffset:40;\tsize:4;\n\
            \tfield:int node;\toffset:44;\tsize:4;\n\tfield:__rel_loc u8[] data;\toffset:48;\tsize:4;\tsigned:0;\n";
        let format = parse("ftrace", text.as_bytes()).unwrap();
        let kinds: Vec<_> = format.fields.iter().map(|field| (field.name.as_str(), field.kind, field.signed)).collect();
        assert_eq!(
            kinds,
            [
                ("comm", FieldKind::Array, true),
                ("buf", FieldKind::Rest, false),
                ("gfp_flags", FieldKind::Integer, false),
                ("node", FieldKind::Integer, true),
                ("data", FieldKind::RelLoc, false),
            ]
        );
    }

    #[test]
    fn a_bad_line_is_named_by_its_place() {
        let fault = parse("kmem", b"name: x\nID: 1\nformat:\n\tfield:int a;\toffset:x;\n").unwrap_err();
        assert_eq!(fault.to_string(), "event format, kmem:x, byte 43: expected a decimal number, found 78 3b 0a");
    }
}
