//! Compressed blocks of trace.dat version 7.

use std::borrow::Cow;
use std::cell::RefCell;
use std::io::Read;

use crate::error::Fault;
use crate::parse::{Cursor, Endian, Origin, u32};

/// How a file's blocks are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Zstd,
    Zlib,
}

impl Codec {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Zstd => "zstd",
            Self::Zlib => "zlib",
        }
    }
}

/// Largest block that any writer is believed to make.
const MAX_BLOCK: u64 = 1 << 30;
/// Up to this size the claimed size is allocated at once; beyond it, memory grows with real output.
const TRUSTED_BLOCK: usize = 4 << 20;

/// One compressed block: `u32` compressed size, `u32` uncompressed size, data.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Block<'a> {
    /// Offset of the data in the file.
    pub(crate) offset: u64,
    pub(crate) data: &'a [u8],
    pub(crate) plain_bytes: u32,
}

/// Reads the sizes of the block at the cursor and steps over it.
pub(crate) fn next_block<'a>(cursor: &mut Cursor<'a>, endian: Endian, start: u64) -> Result<Block<'a>, Fault> {
    let packed_bytes = cursor.read(u32(endian))?;
    let at_plain = cursor.clone();
    let plain_bytes = cursor.read(u32(endian))?;
    if u64::from(plain_bytes) > MAX_BLOCK {
        return Err(at_plain.fault("an uncompressed size of at most 1 GiB"));
    }
    let offset = start + cursor.position() as u64;
    let data = cursor.take(u64::from(packed_bytes), "compressed data")?;
    Ok(Block { offset, data, plain_bytes })
}

/// Decompresses a block into a buffer; the result has exactly the size that the block claims.
pub(crate) fn unpack(codec: Codec, block: Block<'_>, plain: &mut Vec<u8>) -> Result<(), Fault> {
    plain.clear();
    let claimed = block.plain_bytes as usize;
    let unpacked = match codec {
        Codec::None => Err("a compression method in the preamble".into()),
        Codec::Zstd if claimed <= TRUSTED_BLOCK => zstd_bulk(block.data, claimed, plain),
        Codec::Zstd => zstd::stream::read::Decoder::new(block.data)
            .and_then(|decoder| limited(decoder, claimed, plain))
            .map_err(|error| describe(&error)),
        Codec::Zlib => limited(flate2::read::ZlibDecoder::new(block.data), claimed, plain).map_err(|error| describe(&error)),
    };
    let fault = |expected: Cow<'static, str>, found: String| Fault {
        section: "compressed block".into(),
        place: Cursor::new(block.data, Origin::File(block.offset), "").place(0),
        expected,
        found,
    };
    unpacked.map_err(|found| fault(format!("{} data", codec.name()).into(), found))?;
    if plain.len() == claimed {
        Ok(())
    } else {
        Err(fault(format!("{claimed} bytes after decompression").into(), format!("{} or more", plain.len())))
    }
}

/// Reads at most one byte more than claimed, so that a surplus shows.
fn limited(reader: impl Read, claimed: usize, plain: &mut Vec<u8>) -> std::io::Result<()> {
    plain.reserve(claimed.min(TRUSTED_BLOCK));
    reader.take(claimed as u64 + 1).read_to_end(plain)?;
    Ok(())
}

/// trace-cmd's chunks are small and many: one decompressor per thread serves them all.
fn zstd_bulk(data: &[u8], claimed: usize, plain: &mut Vec<u8>) -> Result<(), String> {
    thread_local! {
        static DECOMPRESSOR: RefCell<Option<zstd::bulk::Decompressor<'static>>> = const { RefCell::new(None) };
    }
    DECOMPRESSOR.with_borrow_mut(|slot| {
        let decompressor = match slot {
            Some(decompressor) => decompressor,
            None => slot.insert(zstd::bulk::Decompressor::new().map_err(|error| describe(&error))?),
        };
        plain.reserve(claimed);
        decompressor.decompress_to_buffer(data, plain).map_err(|error| describe(&error))?;
        Ok(())
    })
}

fn describe(error: &std::io::Error) -> String {
    format!("data that does not decompress ({error})")
}
