//! Where the bytes of a trace come from: a file or a pipe, either of them compressed.
//!
//! Every format is read from a mapped file, several times over if need be. What comes from a pipe, and what has to be
//! decompressed, is put into a temporary file first, so that it takes no memory however large it is; that file has no name
//! and is gone with the process.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, Write};
use std::path::{Path, PathBuf};

use crate::error::{Fault, Place, TraceError};
use crate::mapped::MappedFile;

/// The path that stands for standard input.
pub const STDIN: &str = "-";

/// Bytes that are read at a time.
const STEP_BYTES: usize = 256 << 10;

/// A packed trace may grow to this multiple of its size, and by [`GROWTH_BYTES`]. Traces grow 5 to 60 times; what grows without measure
/// was made to fill the disk.
const GROWTH: u64 = 1024;
const GROWTH_BYTES: u64 = 256 << 20;

/// Memory that unpacking xz may take: its highest preset takes an eighth of it.
const XZ_BYTES: u64 = 512 << 20;

/// How a trace is packed, by its first bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Packing {
    Gzip,
    Zstd,
    Xz,
}

impl Packing {
    const ALL: [(Self, &'static [u8]); 3] = [(Self::Gzip, b"\x1f\x8b\x08"), (Self::Zstd, b"\x28\xb5\x2f\xfd"), (Self::Xz, b"\xfd7zXZ\0")];

    fn of(bytes: &[u8]) -> Option<Self> {
        Self::ALL.iter().find(|(_, magic)| bytes.starts_with(magic)).map(|&(packing, _)| packing)
    }

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Xz => "xz",
        }
    }

    /// Decompresses all members or frames of the input.
    fn reader<'a>(self, packed: impl Read + 'a) -> io::Result<Box<dyn Read + 'a>> {
        Ok(match self {
            Self::Gzip => Box::new(flate2::read::MultiGzDecoder::new(packed)),
            Self::Zstd => Box::new(zstd::stream::read::Decoder::new(packed)?),
            Self::Xz => {
                let decoder = liblzma::stream::Stream::new_stream_decoder(XZ_BYTES, liblzma::stream::CONCATENATED)?;
                Box::new(liblzma::read::XzDecoder::new_stream(packed, decoder))
            }
        })
    }
}

/// The bytes of a trace, unpacked, and how they were packed.
#[derive(Debug)]
pub(crate) struct Source {
    pub(crate) file: MappedFile,
    pub(crate) packing: Option<Packing>,
}

/// Opens a file, a pipe by its path, or standard input for [`STDIN`]; unpacks gzip, zstd and xz.
///
/// # Errors
///
/// If it cannot be read or unpacked, grows beyond all measure, is a directory, or is packed twice.
pub(crate) fn open(path: &Path) -> Result<Source, TraceError> {
    let file = if path == Path::new(STDIN) {
        MappedFile::of(spool(io::stdin().lock(), path, "cannot read standard input")?, path)?
    } else if is_stream(path) {
        let pipe = File::open(path).map_err(|error| TraceError::io(path, "cannot open", error))?;
        MappedFile::of(spool(pipe, path, "cannot read")?, path)?
    } else {
        MappedFile::open(path)?
    };
    unpacked(file)
}

/// Unpacks what is packed.
pub(crate) fn unpacked(file: MappedFile) -> Result<Source, TraceError> {
    let Some(packing) = Packing::of(&file) else { return Ok(Source { file, packing: None }) };
    let unpacked = unpack(&file, packing)?;
    if let Some(again) = Packing::of(&unpacked) {
        let what = format!("packed with {} inside {}; unpack it once before", again.name(), packing.name());
        return Err(TraceError::Unsupported { path: file.path().to_owned(), what });
    }
    Ok(Source { file: unpacked, packing: Some(packing) })
}

/// Pipes, sockets and devices can be read once, from front to back.
fn is_stream(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|metadata| !metadata.is_file() && !metadata.is_dir())
}

fn unpack(file: &MappedFile, packing: Packing) -> Result<MappedFile, TraceError> {
    let mut packed = Counting { bytes: file, read: 0 };
    let most = (file.len() as u64).saturating_mul(GROWTH).saturating_add(GROWTH_BYTES);
    let unpacked = packing.reader(&mut packed).map_err(Copy::Reading).and_then(|reader| copy(reader, most));
    let at = packed.read;
    file.check()?;
    match unpacked {
        Ok(unpacked) => MappedFile::of(unpacked, file.path()),
        Err(Copy::Reading(error)) => {
            let fault = Fault {
                section: packing.name().into(),
                place: Place::Byte(at),
                expected: format!("{} data up to the end of the file", packing.name()).into(),
                found: format!("data that does not decompress ({error})"),
            };
            Err(TraceError::malformed(file.path(), fault))
        }
        Err(Copy::TooMuch) => {
            let what = format!("packed with {}, it grows to more than {most} bytes; unpack it before", packing.name());
            Err(TraceError::Unsupported { path: file.path().to_owned(), what })
        }
        Err(Copy::Writing(error)) => Err(no_room(error)),
    }
}

/// A reader that knows how far it was read, for messages.
struct Counting<'a> {
    bytes: &'a [u8],
    read: u64,
}

impl Read for Counting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.bytes.read(buffer)?;
        self.read += read as u64;
        Ok(read)
    }
}

fn spool(from: impl Read, path: &Path, action: &'static str) -> Result<File, TraceError> {
    copy(BufReader::with_capacity(STEP_BYTES, from), u64::MAX).map_err(|error| match error {
        Copy::Reading(error) => TraceError::io(path, action, error),
        Copy::TooMuch => no_room(io::ErrorKind::FileTooLarge.into()),
        Copy::Writing(error) => no_room(error),
    })
}

/// Why a copy failed.
enum Copy {
    /// There is more of it than is wanted.
    TooMuch,
    Reading(io::Error),
    Writing(io::Error),
}

/// Copies all there is, `most` bytes at most, into a temporary file.
fn copy(mut from: impl Read, most: u64) -> Result<File, Copy> {
    let mut to = BufWriter::new(tempfile::tempfile().map_err(Copy::Writing)?);
    let mut step = vec![0; STEP_BYTES];
    let mut copied = 0;
    loop {
        let read = match from.read(&mut step) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Copy::Reading(error)),
        };
        copied += read as u64;
        if copied > most {
            return Err(Copy::TooMuch);
        }
        to.write_all(step.get(..read).unwrap_or_default()).map_err(Copy::Writing)?;
    }
    let mut file = to.into_inner().map_err(|error| Copy::Writing(error.into_error()))?;
    file.rewind().map_err(Copy::Writing)?;
    Ok(file)
}

/// A temporary file could not be made or filled; the folder is what the user can change (`TMPDIR`).
fn no_room(error: io::Error) -> TraceError {
    let folder: PathBuf = std::env::temp_dir();
    TraceError::io(&folder, "cannot unpack into a temporary file here (set TMPDIR to a folder with room)", error)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &[u8] = b"not a trace, but enough to compress: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn packed(packing: Packing) -> Vec<u8> {
        let mut out = Vec::new();
        match packing {
            Packing::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(&mut out, flate2::Compression::default());
                encoder.write_all(TEXT).unwrap();
                encoder.finish().unwrap();
            }
            Packing::Zstd => out = zstd::encode_all(TEXT, 1).unwrap(),
            Packing::Xz => {
                let mut encoder = liblzma::write::XzEncoder::new(&mut out, 1);
                encoder.write_all(TEXT).unwrap();
                encoder.finish().unwrap();
            }
        }
        out
    }

    fn opened(bytes: &[u8]) -> Result<Source, TraceError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("trace");
        std::fs::write(&path, bytes).unwrap();
        open(&path)
    }

    #[test]
    fn each_packing_is_told_by_content_and_unpacked_whole() {
        for (packing, _) in Packing::ALL {
            // Two members or frames one after the other, as `cat a.gz b.gz` makes.
            let twice = [packed(packing), packed(packing)].concat();
            let source = opened(&twice).unwrap();
            assert_eq!(source.packing, Some(packing));
            assert_eq!(*source.file, [TEXT, TEXT].concat());
        }
        let plain = opened(TEXT).unwrap();
        assert_eq!((plain.packing, &*plain.file), (None, TEXT));
    }

    #[test]
    fn damage_is_an_error_that_says_where() {
        for (packing, magic) in Packing::ALL {
            let whole = packed(packing);
            let cut = &whole[..whole.len() - 9];
            let message = opened(cut).unwrap_err().to_string();
            assert!(message.contains(packing.name()) && message.contains("byte "), "{message}");
            let message = opened(magic).unwrap_err().to_string();
            assert!(message.contains("does not decompress"), "{message}");
        }
    }

    /// A frame of one repeated block: 32 KiB for each of its bytes.
    #[test]
    fn what_grows_without_measure_is_refused() {
        let block = [&(128_u32 << 10 << 3 | 1 << 1).to_le_bytes()[..3], b"x"].concat();
        let last = [&(128_u32 << 10 << 3 | 1 << 1 | 1).to_le_bytes()[..3], b"x"].concat();
        let bomb = |blocks: usize| [&b"\x28\xb5\x2f\xfd\x00\x58"[..], &block.repeat(blocks - 1), &last].concat();
        assert_eq!(opened(&bomb(16)).unwrap().file.len(), (16 * 128) << 10, "it is a frame");
        let blocks = 1 + (GROWTH_BYTES + GROWTH * 16_384) as usize / (128 << 10);
        assert!(4 * blocks < 16_384);
        let message = opened(&bomb(blocks)).unwrap_err().to_string();
        assert!(message.contains("packed with zstd, it grows to more than"), "{message}");
    }

    #[test]
    fn packed_twice_is_refused() {
        let twice = zstd::encode_all(&packed(Packing::Gzip)[..], 1).unwrap();
        assert!(opened(&twice).unwrap_err().to_string().ends_with("packed with gzip inside zstd; unpack it once before"));
    }

    #[test]
    fn a_pipe_is_read_by_its_path() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pipe");
        assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
        let writer = std::thread::spawn({
            let path = path.clone();
            move || std::fs::write(path, TEXT).unwrap()
        });
        assert_eq!(&*open(&path).unwrap().file, TEXT);
        writer.join().unwrap();
    }
}
