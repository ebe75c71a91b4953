//! One column chunk of a row group to values.

use std::io;
use std::sync::Arc;

use bytes::{Buf, Bytes};
use parquet::column::reader::ColumnReaderImpl;
use parquet::data_type::DataType;
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ColumnChunkMetaData;
use parquet::file::reader::{ChunkReader, Length};
use parquet::file::serialized_reader::SerializedPageReader;

use super::rows::Sparse;

/// The bytes of one row group, a copy: what was verified is what is decoded, even if another process writes to the file.
#[derive(Debug)]
pub(super) struct Section {
    /// Offset in the file.
    pub(super) start: u64,
    pub(super) bytes: Bytes,
}

impl Section {
    fn slice(&self, start: u64, bytes: Option<usize>) -> Result<Bytes> {
        let outside = || ParquetError::EOF(format!("byte {start} is not in this row group"));
        let from = usize::try_from(start.checked_sub(self.start).ok_or_else(outside)?).map_err(|_| outside())?;
        let rest = self.bytes.len().checked_sub(from).ok_or_else(outside)?;
        let bytes = bytes.unwrap_or(rest);
        if bytes > rest {
            return Err(ParquetError::EOF(format!("{bytes} bytes from byte {start} on are more than this row group has")));
        }
        Ok(self.bytes.slice(from..from + bytes))
    }
}

impl Length for Section {
    fn len(&self) -> u64 {
        self.start + self.bytes.len() as u64
    }
}

impl ChunkReader for Section {
    type T = UpToEnd;

    fn get_read(&self, start: u64) -> Result<Self::T> {
        Ok(UpToEnd(self.slice(start, None)?.reader()))
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        self.slice(start, Some(length))
    }
}

/// Reads page headers. They end before the row group does, so that what reads on is told at once: the parquet crate takes the end for a
/// list's elements that it may skip, and a list may claim 2 billion.
pub(super) struct UpToEnd(bytes::buf::Reader<Bytes>);

impl io::Read for UpToEnd {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.read(buffer)? {
            0 if !buffer.is_empty() => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}

/// All values of a column chunk with their levels; without levels if every row has to have one.
pub(super) fn read<T: DataType>(section: &Arc<Section>, chunk: &ColumnChunkMetaData, rows: usize) -> Result<Sparse<T::T>> {
    let pages = SerializedPageReader::new(Arc::clone(section), chunk, rows, None)?;
    let mut reader = ColumnReaderImpl::<T>::new(chunk.column_descr_ptr(), Box::new(pages));
    let is_optional = chunk.column_descr().max_def_level() > 0;
    let mut column = Sparse { levels: Vec::new(), values: Vec::new() };
    let (records, values, levels) = reader.read_records(rows, is_optional.then_some(&mut column.levels), None, &mut column.values)?;
    if records != rows || values != column.values.len() || (is_optional && levels != rows) || (!is_optional && values != rows) {
        return Err(ParquetError::General(format!("{records} rows with {values} values where the row group has {rows}")));
    }
    Ok(column)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    /// Found by fuzzing: skipping at the end succeeded, a page header's list of 2 billion numbers took minutes.
    #[test]
    fn skipping_beyond_the_end_is_an_error() {
        let section = Section { start: 100, bytes: Bytes::from_static(b"0123456789") };
        let mut reader = section.get_read(104).unwrap();
        let mut skip = |bytes: u64| io::copy(&mut reader.by_ref().take(bytes), &mut io::sink());
        assert_eq!(skip(6).unwrap(), 6);
        assert_eq!(skip(8).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
        assert!(section.get_read(111).is_err());
    }
}
