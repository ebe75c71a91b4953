//! Events to a file, a batch at a time.

use std::io::{self, Write};
use std::sync::Arc;

use parquet::data_type::{BoolType, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};

use super::metadata::{FACTS_KEY, Facts, GROUPS_KEY, GroupSeal, KeptSymbols, VERSION_KEY};
use super::read::{FORMAT_SUFFIX, TAIL_BYTES};
use super::rows::{Rows, Sparse, Texts};
use super::schema::{self, GROUP_ROWS};
use super::seal;
use crate::event::{Body, Event};
use crate::recording::Recording;

/// Writes a store; what is held is one row group.
pub struct StoreWriter<W: Write + Send> {
    file: SerializedFileWriter<Sink<W>>,
    rows: Rows,
    texts: Texts,
    groups: Vec<GroupSeal>,
    /// By number, whether a mark has been written.
    marks: Vec<bool>,
    events: u64,
}

impl<W: Write + Send> std::fmt::Debug for StoreWriter<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoreWriter").field("events", &self.events).field("groups", &self.groups).finish_non_exhaustive()
    }
}

impl<W: Write + Send> StoreWriter<W> {
    /// Begins a file.
    ///
    /// # Errors
    ///
    /// If the first bytes cannot be written.
    pub fn new(to: W) -> io::Result<Self> {
        let schema = schema::schema().map_err(as_io)?.root_schema_ptr();
        let properties = Arc::new(schema::properties().map_err(as_io)?);
        let mut file = SerializedFileWriter::new(Sink::new(to), schema, properties).map_err(as_io)?;
        // The magic is of no row group.
        file.flush()?;
        file.inner_mut().take_checksum();
        Ok(Self { file, rows: Rows::default(), texts: Texts::default(), groups: Vec::new(), marks: Vec::new(), events: 0 })
    }

    /// Adds events, which have to come in the order of [`Recording::merged`]; `facts` has to have their names, marks and sites.
    ///
    /// # Errors
    ///
    /// If a row group cannot be written.
    pub fn write(&mut self, events: &[Event], facts: &Recording) -> io::Result<()> {
        self.texts.learn(facts);
        for event in events {
            if let Body::Mark(mark) = event.body {
                let id = mark.0 as usize;
                self.marks.resize(self.marks.len().max(facts.marks.len()).max(id + 1), false);
                self.marks.get_mut(id).into_iter().for_each(|is_used| *is_used = true);
            }
            self.rows.push(event, &mut self.texts, facts);
            if self.rows.len() == GROUP_ROWS {
                self.end_group()?;
            }
        }
        self.events += events.len() as u64;
        Ok(())
    }

    /// Writes what is left and the footer. `facts` is what is known at the end; its events are not looked at.
    ///
    /// # Errors
    ///
    /// If the file cannot be written.
    pub fn finish(mut self, facts: &Recording) -> io::Result<(W, u64)> {
        if self.rows.len() > 0 {
            self.end_group()?;
        }
        let unused = facts.marks.iter().enumerate().filter(|(id, _)| !self.marks.get(*id).copied().unwrap_or(false));
        let mut info = facts.info.clone();
        // A store of a store is one of the same trace.
        let format = info.format.trim_end_matches(FORMAT_SUFFIX).len();
        info.format.truncate(format);
        let kept = Facts {
            info,
            accounting: facts.accounting.clone(),
            names: facts.names.clone(),
            sites: facts.sites.clone(),
            symbols: KeptSymbols::of(&facts.symbols, self.texts.addresses()),
            tasks: facts.tasks.clone(),
            unused_marks: unused.map(|(id, text)| (id as u32, text.clone())).collect(),
        };
        let values = [
            (VERSION_KEY, schema::VERSION.to_owned()),
            (FACTS_KEY, serde_json::to_string(&kept)?),
            (GROUPS_KEY, serde_json::to_string(&self.groups)?),
            (seal::KEY, seal::BLANK.to_owned()),
        ];
        for (key, value) in values {
            self.file.append_key_value_metadata(KeyValue::new(key.to_owned(), value));
        }
        self.file.flush()?;
        self.file.inner_mut().hold();
        let sink = self.file.into_inner().map_err(as_io)?;
        Ok((sink.finish()?, self.events))
    }

    fn end_group(&mut self) -> io::Result<()> {
        write_group(&mut self.file, &self.rows).map_err(as_io)?;
        self.rows.clear();
        self.file.flush()?;
        let end = self.file.bytes_written() as u64;
        self.groups.push(GroupSeal(end, self.file.inner_mut().take_checksum()));
        Ok(())
    }
}

fn as_io(error: ParquetError) -> io::Error {
    match error {
        // The sink's own errors keep their kind.
        ParquetError::External(error) => error.downcast::<io::Error>().map_or_else(io::Error::other, |error| *error),
        error => io::Error::other(error),
    }
}

/// Writes a row group, in the order of the schema's columns.
fn write_group<W: Write + Send>(file: &mut SerializedFileWriter<W>, rows: &Rows) -> Result<(), ParquetError> {
    let mut group = file.next_row_group()?;
    required::<Int64Type, W>(&mut group, &rows.time_ns)?;
    required::<Int32Type, W>(&mut group, &rows.cpu)?;
    required::<Int32Type, W>(&mut group, &rows.pid)?;
    required::<Int32Type, W>(&mut group, &rows.context)?;
    required::<ByteArrayType, W>(&mut group, &rows.event)?;
    optional::<Int64Type, W>(&mut group, &rows.call_site)?;
    optional::<ByteArrayType, W>(&mut group, &rows.site)?;
    optional::<Int64Type, W>(&mut group, &rows.ptr)?;
    optional::<Int64Type, W>(&mut group, &rows.bytes_req)?;
    optional::<Int64Type, W>(&mut group, &rows.bytes_alloc)?;
    optional::<Int32Type, W>(&mut group, &rows.gfp_flags)?;
    optional::<Int32Type, W>(&mut group, &rows.node)?;
    optional::<ByteArrayType, W>(&mut group, &rows.cache)?;
    optional::<BoolType, W>(&mut group, &rows.accounted)?;
    optional::<Int64Type, W>(&mut group, &rows.pfn)?;
    optional::<Int32Type, W>(&mut group, &rows.order)?;
    optional::<Int32Type, W>(&mut group, &rows.migratetype)?;
    optional::<Int32Type, W>(&mut group, &rows.fallback_order)?;
    optional::<BoolType, W>(&mut group, &rows.change_ownership)?;
    optional::<Int64Type, W>(&mut group, &rows.count)?;
    optional::<ByteArrayType, W>(&mut group, &rows.mark)?;
    optional::<Int32Type, W>(&mut group, &rows.mark_id)?;
    group.close()?;
    Ok(())
}

fn required<T: DataType, W: Write + Send>(group: &mut SerializedRowGroupWriter<'_, W>, values: &[T::T]) -> Result<(), ParquetError> {
    write_column::<T, W>(group, values, None)
}

fn optional<T: DataType, W: Write + Send>(group: &mut SerializedRowGroupWriter<'_, W>, column: &Sparse<T::T>) -> Result<(), ParquetError> {
    write_column::<T, W>(group, &column.values, Some(&column.levels))
}

fn write_column<T: DataType, W: Write + Send>(
    group: &mut SerializedRowGroupWriter<'_, W>,
    values: &[T::T],
    levels: Option<&[i16]>,
) -> Result<(), ParquetError> {
    let Some(mut column) = group.next_column()? else {
        return Err(ParquetError::General("more columns than the schema has".to_owned()));
    };
    column.typed::<T>().write_batch(values, levels, None)?;
    column.close()
}

/// Sums up what goes through; the footer is held back until it is sealed.
struct Sink<W> {
    to: W,
    checksum: crc32fast::Hasher,
    held: Option<Vec<u8>>,
}

impl<W: Write> Sink<W> {
    fn new(to: W) -> Self {
        Self { to, checksum: crc32fast::Hasher::new(), held: None }
    }

    /// CRC-32 of what was written since the last call.
    fn take_checksum(&mut self) -> u32 {
        std::mem::take(&mut self.checksum).finalize()
    }

    /// Keeps what comes from now on.
    fn hold(&mut self) {
        self.held = Some(Vec::new());
    }

    /// Seals what was held, but for the footer's size and the magic behind it, and writes it.
    fn finish(mut self) -> io::Result<W> {
        let mut footer = self.held.take().unwrap_or_default();
        let tail = footer.split_off(footer.len().saturating_sub(TAIL_BYTES));
        let footer = seal::seal(footer).ok_or_else(|| io::Error::other("a footer without a seal"))?;
        self.to.write_all(&footer)?;
        self.to.write_all(&tail)?;
        self.to.flush()?;
        Ok(self.to)
    }
}

impl<W: Write> Write for Sink<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if let Some(held) = &mut self.held {
            held.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        let written = self.to.write(bytes)?;
        self.checksum.update(bytes.get(..written).unwrap_or_default());
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.to.flush()
    }
}
