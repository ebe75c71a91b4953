//! Tables of a replay, one a file. Each is a function of the whole input and documents its columns.
//!
//! No table depends on the order of a hash map or on the clock: the same input gives the same rows
//! in the same order.

pub mod analysis;
mod caches;
mod counters;
mod ledger;
pub mod pages;
mod paths;
mod sizing;
pub mod threads;
mod timeline;

pub use caches::caches;
pub use counters::counters;
pub use ledger::ledger;
pub use paths::paths;
pub use sizing::sizing;
pub use timeline::{timeline, totals};

use polars::prelude::{DataFrame, PolarsResult, polars_err};

use crate::input::ReportInput;

/// A table of some input, and the file name it is exported under.
#[derive(Debug, Clone, Copy)]
pub struct Table<I> {
    /// Name without extension, such as `caches`.
    pub name: &'static str,
    /// Builds the table.
    pub build: fn(&I) -> PolarsResult<DataFrame>,
}

/// All tables, in the order of their export.
pub const ALL: [Table<ReportInput>; 7] = [
    Table { name: "caches", build: caches },
    Table { name: "paths", build: paths },
    Table { name: "counters", build: counters },
    Table { name: "timeline", build: timeline },
    Table { name: "totals", build: totals },
    Table { name: "ledger", build: ledger },
    Table { name: "sizing", build: sizing },
];

/// Returns the name of the cache at `index`, or an error that says who asked for it.
fn cache_name<'a>(input: &'a ReportInput, index: usize, what: &str) -> PolarsResult<&'a str> {
    input
        .cache_name(index)
        .ok_or_else(|| polars_err!(OutOfBounds: "{what} refers to cache {index}, but there are {} caches", input.caches.len()))
}

#[cfg(test)]
mod tests {
    use polars::prelude::DataType;

    use super::*;
    use crate::testdata;

    const HEADERS: [(&str, &str); 7] = [
        (
            "caches",
            "name,traced_as,aliases,pseudo,object_bytes,stride_bytes,order,objects_per_slab,allocs,frees,\
             live_objects_end,live_objects_peak,slabs_end,slabs_peak,slab_bytes_end,slab_bytes_peak,\
             live_bytes_end,wasted_bytes_end,waste_ratio_end,internal_waste_ratio,\
             partial_slabs_end,partial_slabs_peak,cpu_slabs_end,slow_path_share",
        ),
        (
            "paths",
            "cache,alloc_fastpath,alloc_refill,alloc_cpu_partial,alloc_node_partial,alloc_new_slab,\
             free_fastpath,free_frozen,free_slowpath,alloc_fastpath_share,alloc_refill_share,\
             alloc_cpu_partial_share,alloc_node_partial_share,alloc_new_slab_share,\
             free_fastpath_share,free_frozen_share,free_slowpath_share",
        ),
        ("counters", "cache,counter,cpu,value"),
        ("timeline", "time_ns,cache,slabs,slab_bytes,live_objects,live_bytes,partial_slabs,cpu_partial_slabs"),
        ("totals", "time_ns,slabs,slab_bytes,live_objects,live_bytes,partial_slabs,cpu_partial_slabs"),
        ("ledger", "kind,class,cache,count,meaning"),
        ("sizing", "cache,attribute,kernel,computed"),
    ];

    /// Column names and types must be those documented, whether or not there are rows.
    #[test]
    fn columns_are_as_documented_even_without_rows() {
        for input in [testdata::empty(), testdata::small()] {
            for (table, (name, header)) in ALL.iter().zip(HEADERS) {
                let frame = (table.build)(&input).expect("builds");
                assert_eq!(table.name, name);
                let names = frame.get_column_names();
                let names: Vec<_> = names.iter().map(|name| name.as_str()).collect();
                assert_eq!(names.join(","), header, "{name}");
            }
        }
    }

    #[test]
    fn types_do_not_depend_on_there_being_rows() {
        for table in ALL {
            let empty = (table.build)(&testdata::empty()).expect("builds");
            let small = (table.build)(&testdata::small()).expect("builds");
            assert_eq!(empty.schema(), small.schema(), "{}", table.name);
            assert!(!empty.dtypes().contains(&DataType::Null), "{}", table.name);
        }
    }

    #[test]
    fn an_index_beyond_the_caches_is_an_error() {
        let mut input = testdata::small();
        input.counters[0].cache = 99;
        let error = counters(&input).expect_err("no such cache");
        assert!(error.to_string().contains("cache 99"), "{error}");
    }
}
