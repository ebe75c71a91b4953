//! A table as Parquet.
//!
//! By the crate that traces in columns are written with, whose zstd and nothing else is in the program already; the writer of polars would
//! bring its own codecs and a second implementation of the format.

use std::fmt::Write as _;
use std::fs::File;
use std::sync::Arc;

use parquet::basic::{Compression, ZstdLevel};
use parquet::data_type::{BoolType, ByteArray, ByteArrayType, DataType as Physical, DoubleType, Int32Type, Int64Type};
use parquet::errors::{ParquetError, Result};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::{SerializedFileWriter, SerializedRowGroupWriter};
use parquet::schema::parser::parse_message_type;
use polars::prelude::{AnyValue, Column, DataFrame, DataType};

type Group<'a> = SerializedRowGroupWriter<'a, File>;

/// Writes all rows as one group: tables are small. Every column may lack values, so that the schema does not depend on the rows.
pub(super) fn write(frame: &DataFrame, to: File) -> Result<()> {
    let schema = Arc::new(parse_message_type(&message(frame)?)?);
    let properties = WriterProperties::builder()
        .set_created_by(format!("slubreplay {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .build();
    let mut file = SerializedFileWriter::new(to, schema, Arc::new(properties))?;
    let mut group = file.next_row_group()?;
    for column in frame.columns() {
        write_column(&mut group, column)?;
    }
    group.close()?;
    file.close()?;
    Ok(())
}

/// The schema in Parquet's notation.
fn message(frame: &DataFrame) -> Result<String> {
    let mut message = "message table {\n".to_owned();
    for column in frame.columns() {
        let (kind, meaning) = match column.dtype() {
            DataType::UInt32 => ("int32", " (INTEGER(32, false))"),
            DataType::UInt64 => ("int64", " (INTEGER(64, false))"),
            DataType::Float64 => ("double", ""),
            DataType::Boolean => ("boolean", ""),
            DataType::String => ("binary", " (STRING)"),
            other => return Err(ParquetError::NYI(format!("column {} of type {other}", column.name()))),
        };
        // Writing to a string cannot fail.
        writeln!(message, "optional {kind} {}{meaning};", column.name()).ok();
    }
    message.push('}');
    Ok(message)
}

fn write_column(group: &mut Group<'_>, column: &Column) -> Result<()> {
    match column.dtype() {
        // Unsigned numbers have the bits of signed ones.
        DataType::UInt32 => values::<Int32Type>(group, column, |value| match value {
            AnyValue::UInt32(value) => Some(value.cast_signed()),
            _ => None,
        }),
        DataType::UInt64 => values::<Int64Type>(group, column, |value| match value {
            AnyValue::UInt64(value) => Some(value.cast_signed()),
            _ => None,
        }),
        DataType::Float64 => values::<DoubleType>(group, column, |value| match value {
            AnyValue::Float64(value) => Some(*value),
            _ => None,
        }),
        DataType::Boolean => values::<BoolType>(group, column, |value| match value {
            AnyValue::Boolean(value) => Some(*value),
            _ => None,
        }),
        // Text is owned in columns of one value, borrowed in others.
        _ => values::<ByteArrayType>(group, column, |value| value.get_str().map(ByteArray::from)),
    }
}

fn values<T: Physical>(group: &mut Group<'_>, column: &Column, value: impl Fn(&AnyValue<'_>) -> Option<T::T>) -> Result<()> {
    let mut present = Vec::with_capacity(column.len());
    let mut levels = Vec::with_capacity(column.len());
    for row in 0..column.len() {
        let value = value(&column.get(row).map_err(|error| ParquetError::External(Box::new(error)))?);
        levels.push(i16::from(value.is_some()));
        present.extend(value);
    }
    let Some(mut writer) = group.next_column()? else {
        return Err(ParquetError::General("more columns than the schema has".to_owned()));
    };
    writer.typed::<T>().write_batch(&present, Some(&levels), None)?;
    writer.close()
}

#[cfg(test)]
mod tests {
    use parquet::file::reader::{FileReader, SerializedFileReader};
    use parquet::record::Field;

    use super::*;
    use crate::input::analysis::{AnalysisInput, OwnerFigures};
    use crate::tables;
    use crate::testdata;

    /// Rows of names and values, as another reader of the file has them.
    fn rows(frame: &DataFrame) -> Vec<Vec<(String, Field)>> {
        let file = tempfile::NamedTempFile::new().expect("a file");
        write(frame, file.reopen().expect("a file")).expect("writes");
        let reader = SerializedFileReader::new(file.reopen().expect("a file")).expect("a footer");
        let rows = reader.get_row_iter(None).expect("rows");
        rows.map(|row| row.expect("a row").get_column_iter().map(|(name, field)| (name.clone(), field.clone())).collect()).collect()
    }

    #[test]
    fn values_keep_their_types() {
        let rows = rows(&tables::caches(&testdata::small()).expect("builds"));
        assert_eq!(rows.len(), 3);
        let value = |name: &str| rows[1].iter().find(|(column, _)| column == name).map(|(_, field)| field.clone()).expect("a column");
        assert_eq!(value("name"), Field::Str("kmalloc-64".to_owned()));
        assert_eq!(value("pseudo"), Field::Bool(false));
        assert_eq!(value("order"), Field::UInt(0));
        assert_eq!(value("slab_bytes_peak"), Field::ULong(8192));
        assert_eq!(value("internal_waste_ratio"), Field::Double(0.25));
    }

    #[test]
    fn largest_numbers_and_missing_values_come_back() {
        let site = OwnerFigures { owner: "someone".to_owned(), allocs: u64::MAX, oldest_ns: None, ..OwnerFigures::default() };
        let rows = rows(&tables::analysis::sites(&AnalysisInput { sites: vec![site], ..AnalysisInput::default() }).expect("builds"));
        let value = |name: &str| rows[0].iter().find(|(column, _)| column == name).map(|(_, field)| field.clone()).expect("a column");
        assert_eq!(value("call_site"), Field::Str("someone".to_owned()), "text of a single row");
        assert_eq!(value("allocs"), Field::ULong(u64::MAX));
        assert_eq!(value("oldest_ns"), Field::Null);
    }

    #[test]
    fn every_table_can_be_written_even_without_rows() {
        for table in tables::ALL {
            let frame = (table.build)(&testdata::empty()).expect("builds");
            assert!(rows(&frame).is_empty(), "{}", table.name);
        }
        for table in tables::analysis::ALL {
            let frame = (table.build)(&AnalysisInput::default()).expect("builds");
            assert!(rows(&frame).is_empty(), "{}", table.name);
        }
    }
}
