//! Compressed records: one zstd stream over the whole file, cut up as it came.

use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

/// Bytes that are made room for at a time.
const STEP_BYTES: usize = 128 << 10;
/// perf's data shrinks to a tenth or a thirtieth. What grows a thousandfold is made to waste memory.
const MAX_RATIO: u64 = 1000;
/// What any stream may grow to, be its ratio what it may.
const ANY_BYTES: u64 = 16 << 20;
/// First bytes of a zstd frame.
const FRAME_MAGIC: &[u8] = b"\x28\xb5\x2f\xfd";

/// The decompressor, and how far it has come.
pub(super) struct Stream {
    decoder: Option<Decoder<'static>>,
    /// What came before can no longer be relied on: only a new frame can be read.
    is_broken: bool,
    bytes_in: u64,
    bytes_out: u64,
    /// Compressed bytes that could not be read because of what came before them.
    pub(super) unreadable_bytes: u64,
}

impl Stream {
    pub(super) fn new() -> Self {
        Self { decoder: None, is_broken: false, bytes_in: 0, bytes_out: 0, unreadable_bytes: 0 }
    }

    /// True once compressed data was seen.
    pub(super) fn is_used(&self) -> bool {
        self.bytes_in > 0
    }

    /// Something in between may be missing: what follows cannot be read without it.
    pub(super) fn interrupt(&mut self) {
        self.is_broken = true;
    }

    /// Decompresses one record's data onto the end of `plain`, which `full` is called with whenever some
    /// more was added.
    ///
    /// # Errors
    ///
    /// What was expected instead, if the data does not decompress; nothing after it will, up to a new frame.
    pub(super) fn feed(&mut self, data: &[u8], plain: &mut Vec<u8>, mut full: impl FnMut(&mut Vec<u8>)) -> Result<(), String> {
        self.bytes_in += data.len() as u64;
        if self.is_broken {
            if !data.starts_with(FRAME_MAGIC) {
                self.unreadable_bytes += data.len() as u64;
                return Ok(());
            }
            (self.decoder, self.is_broken) = (None, false);
        }
        let result = self.run(data, plain, &mut full);
        self.is_broken = result.is_err();
        result
    }

    fn run(&mut self, data: &[u8], plain: &mut Vec<u8>, full: &mut impl FnMut(&mut Vec<u8>)) -> Result<(), String> {
        let failed = |error: std::io::Error| format!("zstd data ({error})");
        let decoder = match &mut self.decoder {
            Some(decoder) => decoder,
            None => self.decoder.insert(Decoder::new().map_err(failed)?),
        };
        let mut input = InBuffer::around(data);
        loop {
            plain.reserve(STEP_BYTES);
            let (before, read_before) = (plain.len(), input.pos());
            let mut output = OutBuffer::around_pos(plain, before);
            decoder.run(&mut input, &mut output).map_err(failed)?;
            let is_full = output.pos() == output.capacity();
            let added = plain.len() - before;
            self.bytes_out += added as u64;
            if self.bytes_out > ANY_BYTES && self.bytes_out / MAX_RATIO > self.bytes_in {
                return Err(format!("data that is at most {MAX_RATIO} times as large decompressed"));
            }
            full(plain);
            if input.pos() == data.len() && !is_full {
                return Ok(());
            }
            if added == 0 && input.pos() == read_before {
                return Err("zstd data that goes on".to_owned());
            }
        }
    }
}
