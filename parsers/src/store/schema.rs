//! The columns of a store.

use std::sync::LazyLock;

use parquet::basic::{Compression, Encoding, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties, WriterVersion};
use parquet::schema::parser::parse_message_type;
use parquet::schema::types::{ColumnPath, SchemaDescriptor};

/// Version of the format: the meaning of columns and metadata.
pub(super) const VERSION: &str = "1";

/// Rows of a row group: about 9 MiB of events once they are read.
pub(super) const GROUP_ROWS: usize = 1 << 17;

/// The columns in the order of [`Rows`](super::rows::Rows); `parsers/src/store/mod.rs` says what they mean.
const MESSAGE: &str = "
message events {
    required int64 time_ns (INTEGER(64, false));
    required int32 cpu (INTEGER(16, false));
    required int32 pid (INTEGER(32, true));
    required int32 context (INTEGER(8, false));
    required binary event (STRING);
    optional int64 call_site (INTEGER(64, false));
    optional binary site (STRING);
    optional int64 ptr (INTEGER(64, false));
    optional int64 bytes_req (INTEGER(64, false));
    optional int64 bytes_alloc (INTEGER(64, false));
    optional int32 gfp_flags (INTEGER(32, false));
    optional int32 node (INTEGER(32, true));
    optional binary cache (STRING);
    optional boolean accounted;
    optional int64 pfn (INTEGER(64, false));
    optional int32 order (INTEGER(8, false));
    optional int32 migratetype (INTEGER(16, true));
    optional int32 fallback_order (INTEGER(8, false));
    optional boolean change_ownership;
    optional int64 count (INTEGER(64, false));
    optional binary mark (STRING);
    optional int32 mark_id (INTEGER(32, false));
}";

/// The schema; an error would be one of this module.
pub(super) fn schema() -> Result<&'static SchemaDescriptor, ParquetError> {
    static SCHEMA: LazyLock<Result<SchemaDescriptor, String>> = LazyLock::new(|| {
        let message = parse_message_type(MESSAGE).map_err(|error| error.to_string())?;
        Ok(SchemaDescriptor::new(message.into()))
    });
    SCHEMA.as_ref().map_err(|error| ParquetError::General(error.clone()))
}

/// How each column is packed: times by their differences, what repeats by a dictionary, all of it with zstd.
pub(super) fn properties() -> Result<WriterProperties, ParquetError> {
    let column = |name: &str| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_writer_version(WriterVersion::PARQUET_2_0)
        .set_created_by(format!("slubreplay {}", env!("CARGO_PKG_VERSION")))
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        // Groups of rows are told apart by their times, which is what a query can use.
        .set_statistics_enabled(EnabledStatistics::None)
        .set_column_statistics_enabled(column("time_ns"), EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_dictionary_page_size_limit(4 << 20)
        .set_data_page_size_limit(1 << 20)
        .set_data_page_row_count_limit(GROUP_ROWS);
    for name in ["time_ns", "mark_id"] {
        properties =
            properties.set_column_dictionary_enabled(column(name), false).set_column_encoding(column(name), Encoding::DELTA_BINARY_PACKED);
    }
    Ok(properties.build())
}
