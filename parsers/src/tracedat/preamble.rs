//! The first bytes of a trace.dat.

use nom::Parser;
use nom::bytes::complete::tag;
use nom::error::context;
use nom::number::complete::u8;

use crate::blocks::plausible_page;
use crate::error::Problem;
use crate::parse::{Cursor, Endian, Origin, cstr, u32, u64};
use crate::subbuffers::compression::Codec;

const MAGIC: &[u8] = b"\x17\x08\x44tracing";

/// True if these first bytes are those of a trace.dat.
#[must_use]
pub fn is_trace_dat(first_bytes: &[u8]) -> bool {
    first_bytes.starts_with(MAGIC)
}

/// What the preamble says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Preamble {
    pub(super) version: u32,
    pub(super) endian: Endian,
    /// Sub-buffer size of the top buffer.
    pub(super) page_bytes: u32,
    pub(super) codec: Codec,
    /// Version 7: offset of the first OPTIONS section; 0 if the recording was cut short.
    pub(super) options_offset: u64,
}

/// Reads the preamble; also returns the offset of what follows it.
pub(super) fn read(file: &[u8]) -> Result<(Preamble, usize), Problem> {
    let mut cursor = Cursor::new(file, Origin::File(0), "preamble");
    cursor.read(|input| context("the trace.dat magic 17 08 44 `tracing`", tag(MAGIC)).parse(input))?;
    let at_version = cursor.clone();
    let version = cursor.read(cstr)?;
    let version = match version {
        b"6" => 6,
        b"7" => 7,
        other if other.len() <= 8 => {
            let version = String::from_utf8_lossy(other);
            return Err(Problem::Unsupported(format!("trace.dat version {version:?}; versions 6 and 7 can be read")));
        }
        _ => return Err(at_version.fault("a version number").into()),
    };
    let at_endian = cursor.clone();
    let endian = match cursor.read(|input| context("a byte-order byte", u8).parse(input))? {
        0 => Endian::Little,
        1 => Endian::Big,
        _ => return Err(at_endian.fault("a byte order of 0 (little) or 1 (big)").into()),
    };
    // The long size here is that of the program that wrote the file, not of the kernel: never used.
    cursor.read(|input| context("a long-size byte", u8).parse(input))?;
    let at_page = cursor.clone();
    let page_bytes = cursor.read(u32(endian))?;
    if !plausible_page(u64::from(page_bytes)) {
        return Err(at_page.fault("a page size that is a power of two from 4096 to 4 MiB").into());
    }
    let mut preamble = Preamble { version, endian, page_bytes, codec: Codec::None, options_offset: 0 };
    if version == 7 {
        let at_codec = cursor.clone();
        preamble.codec = match cursor.read(cstr)? {
            b"none" => Codec::None,
            b"zstd" => Codec::Zstd,
            b"zlib" => Codec::Zlib,
            _ => return Err(at_codec.fault("compression `none`, `zstd` or `zlib`").into()),
        };
        cursor.read(cstr)?;
        preamble.options_offset = cursor.read(u64(endian))?;
    }
    Ok((preamble, cursor.position()))
}
