//! Tables for people: the most telling columns of [`crate::tables`], with headings and units.

mod specs;

use std::collections::HashMap;

use polars::prelude::{AnyValue, Column, DataFrame, PolarsResult};
use serde::Serialize;

use super::HtmlError;
use crate::format::{bytes, duration, percent, printable, thousands};
use crate::input::ReportInput;
use crate::input::analysis::AnalysisInput;
use crate::tables::Table;

/// Most rows of a sheet: more make a page slow, and the file beside the page has all.
pub(super) const MOST_ROWS: usize = 2_000;

/// How values of a column are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    /// As it is.
    Text,
    /// Name of a cache as in sysfs; shown is the name that people know it by.
    Cache,
    /// A plain number that is no amount, such as that of a CPU.
    Number,
    /// With commas.
    Count,
    /// In B, KiB, MiB, …
    Bytes,
    /// In ns, us, ms, s.
    Time,
    /// 0 to 1, in percent.
    Share,
}

/// A column of a sheet: its name in the table, the heading, and the unit.
type Spec = (&'static str, &'static str, Unit);

/// A sheet to be made of a table.
struct SheetSpec<I> {
    table: Table<I>,
    title: &'static str,
    about: &'static str,
    columns: &'static [Spec],
}

/// A table as the page shows it.
#[derive(Serialize)]
pub(super) struct Sheet {
    /// Name of the table, and of its file without extension.
    pub(super) name: &'static str,
    pub(super) title: &'static str,
    pub(super) about: &'static str,
    pub(super) heads: Vec<Head>,
    pub(super) rows: Vec<Vec<Cell>>,
    /// Which rows are shown, if not all; else empty.
    pub(super) cut: String,
}

#[derive(Serialize)]
pub(super) struct Head {
    pub(super) title: &'static str,
    pub(super) is_number: bool,
}

/// A value of a sheet.
#[derive(Serialize)]
pub(super) struct Cell {
    pub(super) text: String,
    /// What a number is sorted by, where the text does not say it in full.
    pub(super) sort: Option<String>,
    pub(super) is_number: bool,
}

/// Returns all sheets in the order of the page.
pub(super) fn sheets(input: &ReportInput, analysis: Option<&AnalysisInput>, extension: &str) -> Result<Vec<Sheet>, HtmlError> {
    let mut labels: HashMap<&str, &str> = HashMap::new();
    for cache in &input.caches {
        labels.entry(&cache.name).or_insert(cache.label());
    }
    let mut sheets = Vec::new();
    if let Some(analysis) = analysis {
        for spec in &specs::FINDINGS {
            sheets.push(sheet(spec, analysis, &labels, extension)?);
        }
    }
    for spec in &specs::REPLAY {
        sheets.push(sheet(spec, input, &labels, extension)?);
    }
    Ok(sheets)
}

fn sheet<I>(spec: &SheetSpec<I>, input: &I, labels: &HashMap<&str, &str>, extension: &str) -> Result<Sheet, HtmlError> {
    let name = spec.table.name;
    let build = || -> PolarsResult<(usize, Vec<Vec<Cell>>)> {
        let frame = (spec.table.build)(input)?;
        Ok((frame.height(), rows(&frame, spec.columns, labels)?))
    };
    let (height, rows) = build().map_err(|source| HtmlError::Table { name, source })?;
    let cut = if height > rows.len() {
        format!("The first {} of {} rows; all are in {name}.{extension}.", thousands(rows.len() as u64), thousands(height as u64))
    } else {
        String::new()
    };
    let heads = spec.columns.iter().map(|&(_, title, unit)| Head { title, is_number: !matches!(unit, Unit::Text | Unit::Cache) });
    Ok(Sheet { name, title: spec.title, about: spec.about, heads: heads.collect(), rows, cut })
}

fn rows(frame: &DataFrame, specs: &[Spec], labels: &HashMap<&str, &str>) -> PolarsResult<Vec<Vec<Cell>>> {
    let columns: Vec<(&Column, Unit)> =
        specs.iter().map(|&(name, _, unit)| Ok((frame.column(name)?, unit))).collect::<PolarsResult<_>>()?;
    let row = |at: usize| columns.iter().map(|(column, unit)| Ok(cell(&column.get(at)?, *unit, labels))).collect();
    (0..frame.height().min(MOST_ROWS)).map(row).collect()
}

fn cell(value: &AnyValue<'_>, unit: Unit, labels: &HashMap<&str, &str>) -> Cell {
    let number = |text: String, sort: String| Cell { sort: (sort != text).then_some(sort), text, is_number: true };
    let words = |text: &str| Cell { text: printable(text, true), sort: None, is_number: false };
    let of_count = |count: u64| {
        let text = match unit {
            Unit::Bytes => bytes(count),
            Unit::Time => duration(count),
            Unit::Count => thousands(count),
            _ => count.to_string(),
        };
        number(text, count.to_string())
    };
    match value {
        AnyValue::Null => Cell { text: String::new(), sort: None, is_number: !matches!(unit, Unit::Text | Unit::Cache) },
        AnyValue::UInt32(count) => of_count(u64::from(*count)),
        AnyValue::UInt64(count) => of_count(*count),
        AnyValue::Float64(value) if unit == Unit::Share => number(percent(*value), value.to_string()),
        AnyValue::Float64(value) => number(format!("{value:.1}"), value.to_string()),
        AnyValue::Boolean(value) => words(if *value { "yes" } else { "no" }),
        // Text is owned in columns of one value, borrowed in others.
        other => match other.get_str() {
            Some(text) if unit == Unit::Cache => words(labels.get(text).copied().unwrap_or(text)),
            Some(text) => words(text),
            None => words(&other.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testdata;

    #[test]
    fn every_column_is_one_of_the_table() {
        let analysis = AnalysisInput::default();
        let sheets = sheets(&testdata::small(), Some(&analysis), "csv").expect("no sheet asks for a column that is not there");
        assert_eq!(sheets.len(), specs::FINDINGS.len() + specs::REPLAY.len());
        for sheet in &sheets {
            assert!(sheet.rows.iter().all(|row| row.len() == sheet.heads.len()), "{}", sheet.name);
            for (column, head) in sheet.heads.iter().enumerate() {
                assert!(sheet.rows.iter().all(|row| row[column].is_number == head.is_number), "{}: {}", sheet.name, head.title);
            }
        }
    }

    #[test]
    fn numbers_are_read_in_units_and_sorted_in_full() {
        let labels = HashMap::new();
        let show = |value: AnyValue<'_>, unit| {
            let cell = cell(&value, unit, &labels);
            (cell.text, cell.sort)
        };
        assert_eq!(show(AnyValue::UInt64(1536), Unit::Bytes), ("1.5 KiB".to_owned(), Some("1536".to_owned())));
        assert_eq!(show(AnyValue::UInt64(2_500_000), Unit::Time), ("2.5 ms".to_owned(), Some("2500000".to_owned())));
        assert_eq!(show(AnyValue::UInt32(7), Unit::Count), ("7".to_owned(), None));
        assert_eq!(show(AnyValue::Float64(0.25), Unit::Share), ("25.0%".to_owned(), Some("0.25".to_owned())));
        assert_eq!(show(AnyValue::Null, Unit::Time), (String::new(), None));
    }

    #[test]
    fn merged_caches_go_by_the_name_of_the_trace() {
        let mut input = testdata::small();
        input.caches[1].name = ":0000192".to_owned();
        input.caches[1].traced_as = "dentry".to_owned();
        let sheets = sheets(&input, None, "csv").expect("builds");
        let paths = sheets.iter().find(|sheet| sheet.name == "paths").expect("a sheet");
        assert_eq!(paths.rows[1][0].text, "dentry");
    }

    #[test]
    fn a_single_row_reads_like_others() {
        let sheets = sheets(&testdata::small(), None, "csv").expect("builds");
        let sizing = sheets.iter().find(|sheet| sheet.name == "sizing").expect("a sheet");
        let texts: Vec<_> = sizing.rows[0].iter().map(|cell| cell.text.as_str()).collect();
        assert_eq!(texts, ["dentry", "order", "1", "0"]);
    }

    #[test]
    fn more_rows_than_a_page_takes_are_left_to_the_file() {
        let mut input = testdata::small();
        let entry = input.ledger[0].clone();
        input.ledger = vec![entry; MOST_ROWS + 1];
        let sheets = sheets(&input, None, "csv").expect("builds");
        let ledger = sheets.iter().find(|sheet| sheet.name == "ledger").expect("a sheet");
        assert_eq!(ledger.rows.len(), MOST_ROWS);
        assert_eq!(ledger.cut, "The first 2,000 of 2,001 rows; all are in ledger.csv.");
    }
}
