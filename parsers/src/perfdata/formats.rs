//! The tracing data: the event formats of a recording, in the form that trace.dat has them too.

use nom::Parser;
use nom::bytes::complete::tag;
use nom::error::context;
use nom::number::complete::u8;

use crate::blocks::{self, Blocks};
use crate::error::Problem;
use crate::parse::{Cursor, Endian, cstr, u32};

/// Reads the block up to the kernel's symbols; what follows (printk formats, command lines) is of no use here.
pub(super) fn read(mut cursor: Cursor<'_>, endian: Endian) -> Result<Blocks, Problem> {
    cursor.enter("tracing data");
    cursor.read(|input| context("17 08 44 `tracing`", tag(&b"\x17\x08\x44tracing"[..])).parse(input))?;
    let at_version = cursor.clone();
    if !matches!(cursor.read(cstr)?, b"0.5" | b"0.6") {
        return Err(at_version.fault("version 0.5 or 0.6").into());
    }
    let at_endian = cursor.clone();
    let order = cursor.read(|input| context("a byte-order byte", u8).parse(input))?;
    if order != u8::from(endian == Endian::Big) {
        return Err(at_endian.fault("the byte order of the file: 0 (little) or 1 (big)").into());
    }
    // Size of a long of the program that wrote the file, and its page size: neither says what the kernel has.
    cursor.read(|input| context("a long-size byte", u8).parse(input))?;
    cursor.read(u32(endian))?;
    let header_page = blocks::header_info(&mut cursor, endian)?;
    let mut all = Blocks { header_page, ..Blocks::default() };
    blocks::ftrace_formats(&mut cursor, endian, &mut all)?;
    blocks::event_formats(&mut cursor, endian, &mut all)?;
    // No event depends on it: what cannot be read is not there.
    blocks::kallsyms(&mut cursor, endian, &mut all).ok();
    Ok(all)
}
