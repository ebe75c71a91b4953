//! A file to events, at once or a batch at a time.

use std::collections::{BTreeMap, VecDeque};
use std::ops::Range;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use parquet::data_type::{BoolType, ByteArrayType, DataType, Int32Type, Int64Type};
use parquet::file::metadata::{ColumnChunkMetaData, ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};
use rayon::prelude::*;
use rustc_hash::FxHashMap;

use super::column::{self, Section};
use super::events::{self, Decoded};
use super::metadata::{FACTS_KEY, Facts, GROUPS_KEY, GroupSeal, VERSION_KEY};
use super::rows::{Rows, Sparse};
use super::schema::{self, GROUP_ROWS};
use super::seal::{self, Verdict};
use crate::error::{Fault, Place, Problem, TraceError};
use crate::event::{Body, Event, MarkId, NameId};
use crate::mapped::MappedFile;
use crate::recording::{CpuStream, Recording};
use crate::stream::EventSource;

/// What a trace in columns has behind the format that it was converted from.
pub(super) const FORMAT_SUFFIX: &str = ", as Parquet";

/// First and last bytes of a Parquet file.
const MAGIC: &[u8] = b"PAR1";
/// Last bytes of a file whose footer is encrypted.
const ENCRYPTED: &[u8] = b"PARE";
/// The footer's size and the magic.
pub(super) const TAIL_BYTES: usize = 8;
/// Row groups that are decoded at a time in batches, at most: 9 MiB of events each.
const GROUPS_AT_A_TIME: usize = 4;

/// Whether a file begins as a Parquet file does.
#[must_use]
pub fn is_store(file: &[u8]) -> bool {
    file.starts_with(MAGIC)
}

/// A trace in columns, opened and understood up to its row groups.
#[derive(Debug)]
pub struct Store {
    file: MappedFile,
    metadata: ParquetMetaData,
    groups: Vec<Group>,
    /// What the metadata says; without events and marks.
    facts: Recording,
    unused_marks: BTreeMap<u32, String>,
}

/// A row group whose place in the file has been checked.
#[derive(Debug, Clone)]
struct Group {
    number: usize,
    range: Range<usize>,
    checksum: u32,
    rows: usize,
}

impl Store {
    /// Opens a file and reads its footer.
    ///
    /// # Errors
    ///
    /// If the file cannot be read, is no Parquet file that slubreplay wrote, is of another version of the format, or is damaged.
    pub fn open(path: &Path) -> Result<Self, TraceError> {
        Self::read(MappedFile::open(path)?)
    }

    pub(crate) fn read(file: MappedFile) -> Result<Self, TraceError> {
        let opened = open(&file).map_err(|error| error.at(file.path()));
        file.check()?;
        let Opened { metadata, groups, facts } = opened?;
        let Facts { mut info, accounting, names, sites, unused_marks, symbols, tasks } = facts;
        info.format += FORMAT_SUFFIX;
        let facts = Recording { info, accounting, names, sites, symbols: symbols.into(), tasks, ..Recording::default() };
        Ok(Self { file, metadata, groups, facts, unused_marks })
    }

    /// Decodes all events, row groups on as many threads as rayon's pool has.
    ///
    /// `progress` is told of bytes of input that were dealt with.
    ///
    /// # Errors
    ///
    /// If the file shrank or is damaged.
    pub fn decode(&self, progress: &(dyn Fn(u64) + Sync)) -> Result<Recording, TraceError> {
        let names = self.name_numbers();
        let decode = |group: &Group| {
            let decoded = self.group(group, &names)?;
            progress(group.range.len() as u64);
            Ok((by_cpu(decoded.events), decoded.marks))
        };
        let decoded: Result<Vec<_>, Fault> = self.groups.par_iter().map(decode).collect();
        self.file.check()?;
        let mut cpus: BTreeMap<u16, Vec<Vec<Event>>> = BTreeMap::new();
        let mut marks = self.unused_marks.clone();
        for (streams, group_marks) in decoded.map_err(|fault| TraceError::malformed(self.file.path(), fault))? {
            streams.into_iter().for_each(|(cpu, events)| cpus.entry(cpu).or_default().push(events));
            marks.extend(group_marks.into_iter().map(|(_, id, text)| (id, text)));
        }
        if let Some((expected, &found)) = (0..).zip(marks.keys()).find(|(expected, id)| expected != *id) {
            let fault = Fault {
                section: "marks".into(),
                place: Place::Byte(0),
                expected: format!("a mark of the number {expected}").into(),
                found: format!("{found} as the next"),
            };
            return Err(TraceError::malformed(self.file.path(), fault));
        }
        let cpus: Vec<_> = cpus.into_iter().collect();
        let streams = cpus.into_par_iter().map(|(cpu, parts)| CpuStream { cpu, events: parts.concat() }).collect();
        Ok(Recording { streams, marks: marks.into_values().collect(), ..self.facts.clone() })
    }

    /// Decodes events some row groups at a time. They come in the order in which they were written, and marks are numbered in it.
    pub fn stream<'a>(&'a self, progress: &'a (dyn Fn(u64) + Sync)) -> impl EventSource + 'a {
        let facts = Recording { marks: Vec::new(), ..self.facts.clone() };
        Stream { store: self, names: self.name_numbers(), progress, next: 0, ready: VecDeque::new(), facts }
    }

    /// Bytes of row groups that [`Store::decode`] will report progress on.
    #[must_use]
    pub fn data_bytes(&self) -> u64 {
        self.groups.iter().map(|group| group.range.len() as u64).sum()
    }

    fn name_numbers(&self) -> FxHashMap<&[u8], NameId> {
        // `open` has checked that there are no more names than numbers.
        (0..=u16::MAX).zip(&self.facts.names).map(|(number, name)| (name.as_bytes(), NameId(number))).collect()
    }

    /// Verifies and decodes one row group.
    fn group(&self, group: &Group, names: &FxHashMap<&[u8], NameId>) -> Result<Decoded, Fault> {
        let start = group.range.start as u64;
        let fault = |section: String, expected: String, found: String| Fault {
            section: section.into(),
            place: Place::Byte(start),
            expected: expected.into(),
            found,
        };
        let section = format!("row group {}", group.number);
        let bytes = Bytes::copy_from_slice(self.file.get(group.range.clone()).unwrap_or_default());
        self.file.release(group.range.clone());
        let checksum = crc32fast::hash(&bytes);
        if checksum != group.checksum && !cfg!(fuzzing) {
            return Err(fault(section, format!("bytes with the checksum {:08x}", group.checksum), format!("{checksum:08x}")));
        }
        let content = Arc::new(Section { start, bytes });
        let rows = read_rows(&content, self.metadata.row_group(group.number), group.rows)
            .map_err(|(column, found)| fault(format!("{section}, column {column}"), "a column of the stated size".to_owned(), found))?;
        events::events(&rows, names).map_err(|bad| {
            let section = format!("{section}, column {}, row {}", bad.column, bad.row);
            fault(section, bad.expected.to_owned(), "something else".to_owned())
        })
    }
}

/// Splits events by CPU, in their order.
fn by_cpu(events: Vec<Event>) -> BTreeMap<u16, Vec<Event>> {
    let mut cpus: BTreeMap<u16, Vec<Event>> = BTreeMap::new();
    // A CPU's events mostly come several in a row.
    for run in events.chunk_by(|a, b| a.cpu == b.cpu) {
        if let Some(first) = run.first() {
            cpus.entry(first.cpu).or_default().extend_from_slice(run);
        }
    }
    cpus
}

/// All columns of a row group that are read back; else the name of one with what is wrong with it.
fn read_rows(content: &Arc<Section>, group: &RowGroupMetaData, rows: usize) -> Result<Rows, (String, String)> {
    let mut chunks = group.columns().iter();
    let mut next = || chunks.next().ok_or_else(|| ("?".to_owned(), "fewer columns than the schema has".to_owned()));
    fn read<T: DataType>(content: &Arc<Section>, chunk: &ColumnChunkMetaData, rows: usize) -> Result<Sparse<T::T>, (String, String)> {
        let name = || chunk.column_path().string();
        guarded(|| column::read::<T>(content, chunk, rows).map_err(|error| error.to_string())).map_err(|error| (name(), error))
    }
    Ok(Rows {
        time_ns: read::<Int64Type>(content, next()?, rows)?.values,
        cpu: read::<Int32Type>(content, next()?, rows)?.values,
        pid: read::<Int32Type>(content, next()?, rows)?.values,
        context: read::<Int32Type>(content, next()?, rows)?.values,
        event: read::<ByteArrayType>(content, next()?, rows)?.values,
        call_site: read::<Int64Type>(content, next()?, rows)?,
        // It follows from `call_site`.
        site: next().map(|_| Sparse::default())?,
        ptr: read::<Int64Type>(content, next()?, rows)?,
        bytes_req: read::<Int64Type>(content, next()?, rows)?,
        bytes_alloc: read::<Int64Type>(content, next()?, rows)?,
        gfp_flags: read::<Int32Type>(content, next()?, rows)?,
        node: read::<Int32Type>(content, next()?, rows)?,
        cache: read::<ByteArrayType>(content, next()?, rows)?,
        accounted: read::<BoolType>(content, next()?, rows)?,
        pfn: read::<Int64Type>(content, next()?, rows)?,
        order: read::<Int32Type>(content, next()?, rows)?,
        migratetype: read::<Int32Type>(content, next()?, rows)?,
        fallback_order: read::<Int32Type>(content, next()?, rows)?,
        change_ownership: read::<BoolType>(content, next()?, rows)?,
        count: read::<Int64Type>(content, next()?, rows)?,
        mark: read::<ByteArrayType>(content, next()?, rows)?,
        mark_id: read::<Int32Type>(content, next()?, rows)?,
    })
}

/// Runs the decoders of the parquet crate, which trust what they read in places: they assert and index where a page is not what its
/// header says. Checksums keep damage from them, but not what somebody has put together with checksums that fit.
fn guarded<T>(work: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(work)).unwrap_or_else(|_| Err("bytes that cannot be decoded".to_owned()))
}

/// What the footer says.
struct Opened {
    metadata: ParquetMetaData,
    groups: Vec<Group>,
    facts: Facts,
}

fn open(file: &[u8]) -> Result<Opened, Problem> {
    let (footer, start) = footer(file)?;
    let fault = |section: &'static str, expected: String, found: String| Fault {
        section: section.into(),
        place: Place::Byte(start as u64),
        expected: expected.into(),
        found,
    };
    match seal::verify(footer) {
        Verdict::Intact => {}
        Verdict::Absent => {
            let what = format!("a Parquet file that slubreplay did not write: expected `{}` in its metadata", seal::KEY);
            return Err(Problem::Unsupported(what));
        }
        Verdict::Broken(_) => {
            return Err(fault("footer", "a footer that fits its checksum".into(), "other bytes than were written".into()).into());
        }
    }
    let metadata = guarded(|| ParquetMetaDataReader::decode_metadata(footer).map_err(|error| error.to_string()))
        .map_err(|error| fault("footer", "metadata of Parquet".into(), error))?;
    let value = |key: &str| {
        let pairs = metadata.file_metadata().key_value_metadata();
        let pair = pairs.into_iter().flatten().find(|pair| pair.key == key);
        pair.and_then(|pair| pair.value.clone()).ok_or_else(|| fault("metadata", format!("the key `{key}`"), "none".into()))
    };
    let version = value(VERSION_KEY)?;
    if version != schema::VERSION {
        let what = format!(
            "version {version} of the format of slubreplay's Parquet files; this is a slubreplay that reads version {}",
            schema::VERSION
        );
        return Err(Problem::Unsupported(what));
    }
    check_columns(&metadata).map_err(|(expected, found)| fault("schema", expected, found))?;
    let seals: Vec<GroupSeal> = serde_json::from_str(&value(GROUPS_KEY)?)
        .map_err(|error| fault("metadata", format!("JSON in `{GROUPS_KEY}`"), error.to_string()))?;
    let facts: Facts =
        serde_json::from_str(&value(FACTS_KEY)?).map_err(|error| fault("metadata", format!("JSON in `{FACTS_KEY}`"), error.to_string()))?;
    if facts.names.len() > usize::from(u16::MAX) + 1 {
        return Err(fault("metadata", "at most 65536 names of caches".into(), facts.names.len().to_string()).into());
    }
    let groups = groups(&metadata, &seals, start).map_err(|(expected, found)| fault("row groups", expected, found))?;
    Ok(Opened { metadata, groups, facts })
}

/// The footer and its place, by the size behind it.
fn footer(file: &[u8]) -> Result<(&[u8], usize), Problem> {
    let end = file.len().saturating_sub(TAIL_BYTES);
    let fault = |expected: String, found: String| {
        Problem::Fault(Fault { section: "end of the file".into(), place: Place::Byte(end as u64), expected: expected.into(), found })
    };
    let tail = file.get(end..).unwrap_or_default();
    let Some((size, magic)) = tail.split_first_chunk::<4>().filter(|_| end >= MAGIC.len()) else {
        return Err(fault("the size of the footer and `PAR1`".into(), format!("a file of {} bytes", file.len())));
    };
    if magic == ENCRYPTED {
        return Err(Problem::Unsupported("a Parquet file whose footer is encrypted".to_owned()));
    }
    if magic != MAGIC {
        return Err(fault(
            "the size of the footer and `PAR1`: the file was cut off, or is still being written".into(),
            crate::parse::excerpt(tail),
        ));
    }
    let size = u32::from_le_bytes(*size);
    let start = end.checked_sub(size as usize).filter(|&start| start >= MAGIC.len());
    match start.and_then(|start| Some((file.get(start..end)?, start))) {
        Some(found) => Ok(found),
        None => Err(fault(format!("the size of a footer within the file's {} bytes", file.len()), size.to_string())),
    }
}

/// The columns have to be those of this version; else what was expected and found.
fn check_columns(metadata: &ParquetMetaData) -> Result<(), (String, String)> {
    let ours = schema::schema().map_err(|error| ("a schema".to_owned(), error.to_string()))?;
    let theirs = metadata.file_metadata().schema_descr();
    if ours.num_columns() != theirs.num_columns() {
        return Err((format!("{} columns", ours.num_columns()), theirs.num_columns().to_string()));
    }
    for (ours, theirs) in ours.columns().iter().zip(theirs.columns()) {
        let shape = |column: &parquet::schema::types::ColumnDescriptor| {
            (column.path().string(), column.physical_type(), column.max_def_level(), column.max_rep_level())
        };
        if shape(ours) != shape(theirs) {
            return Err((format!("the column {:?}", shape(ours)), format!("{:?}", shape(theirs))));
        }
    }
    Ok(())
}

/// The row groups with their places, which have to fill the file up to the footer; else what was expected and found.
fn groups(metadata: &ParquetMetaData, seals: &[GroupSeal], footer: usize) -> Result<Vec<Group>, (String, String)> {
    if metadata.num_row_groups() != seals.len() {
        return Err((format!("{} row groups", seals.len()), metadata.num_row_groups().to_string()));
    }
    let mut groups = Vec::with_capacity(seals.len());
    let mut start = MAGIC.len();
    for (number, (group, &GroupSeal(end, checksum))) in metadata.row_groups().iter().zip(seals).enumerate() {
        let end = usize::try_from(end).ok().filter(|&end| end >= start && end <= footer);
        let Some(end) = end else {
            return Err((format!("row group {number} to end between byte {start} and {footer}"), "another end".into()));
        };
        let rows = usize::try_from(group.num_rows()).ok().filter(|&rows| (1..=GROUP_ROWS).contains(&rows));
        let Some(rows) = rows else {
            return Err((format!("1 to {GROUP_ROWS} rows in row group {number}"), group.num_rows().to_string()));
        };
        for chunk in group.columns() {
            let first = chunk.dictionary_page_offset().unwrap_or(chunk.data_page_offset());
            let within = |at: i64| u64::try_from(at).is_ok_and(|at| (start as u64..=end as u64).contains(&at));
            if !within(first) || chunk.compressed_size() < 0 || !first.checked_add(chunk.compressed_size()).is_some_and(within) {
                let expected = format!("column {} of row group {number} between byte {start} and {end}", chunk.column_path().string());
                return Err((expected, format!("{} bytes from byte {first} on", chunk.compressed_size())));
            }
        }
        groups.push(Group { number, range: start..end, checksum, rows });
        start = end;
    }
    if start != footer {
        return Err((format!("the footer behind the last row group, at byte {start}"), format!("it at byte {footer}")));
    }
    Ok(groups)
}

/// A store that is read in batches.
struct Stream<'a> {
    store: &'a Store,
    names: FxHashMap<&'a [u8], NameId>,
    progress: &'a (dyn Fn(u64) + Sync),
    /// The first row group that has not been decoded.
    next: usize,
    ready: VecDeque<Decoded>,
    facts: Recording,
}

impl EventSource for Stream<'_> {
    fn next_batch(&mut self) -> Result<Vec<Event>, TraceError> {
        if self.ready.is_empty() {
            let count = rayon::current_num_threads().clamp(1, GROUPS_AT_A_TIME);
            let rest = self.store.groups.get(self.next..).unwrap_or_default();
            let groups = rest.get(..count.min(rest.len())).unwrap_or_default();
            let decoded: Result<Vec<Decoded>, Fault> = groups.par_iter().map(|group| self.store.group(group, &self.names)).collect();
            self.store.file.check()?;
            self.ready.extend(decoded.map_err(|fault| TraceError::malformed(self.store.file.path(), fault))?);
            self.next += groups.len();
            (self.progress)(groups.iter().map(|group| group.range.len() as u64).sum());
            if groups.is_empty() && self.next == self.store.groups.len() {
                self.facts.marks.extend(self.store.unused_marks.values().cloned());
                // Only once.
                self.next += 1;
            }
        }
        let Some(Decoded { mut events, marks }) = self.ready.pop_front() else { return Ok(Vec::new()) };
        for (at, _, text) in marks {
            let id = MarkId(u32::try_from(self.facts.marks.len()).unwrap_or(u32::MAX));
            events.get_mut(at).into_iter().for_each(|event| event.body = Body::Mark(id));
            self.facts.marks.push(text);
        }
        Ok(events)
    }

    fn facts(&self) -> &Recording {
        &self.facts
    }
}
