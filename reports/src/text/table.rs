//! Rows of text in columns, one of which gives way when the line gets too long.

use super::TextOptions;
use crate::format::{cut, printable};

/// Blanks before each row, and between two columns.
const INDENT: usize = 2;
const GAP: usize = 2;

/// The name column never gets narrower than this, whatever the width of the terminal.
const NARROWEST: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Align {
    Left,
    Right,
}

/// A table whose first column holds names, which are cut to fit.
pub(super) struct Table {
    heads: Vec<(&'static str, Align)>,
    rows: Vec<Vec<String>>,
    total: Option<Vec<String>>,
}

impl Table {
    pub(super) fn new(heads: &[(&'static str, Align)]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new(), total: None }
    }

    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    /// Sets the last row, which stands out.
    pub(super) fn total(&mut self, cells: Vec<String>) {
        self.total = Some(cells);
    }

    /// Appends the table to `out`.
    pub(super) fn write(self, out: &mut String, options: &TextOptions) {
        let heads: Vec<String> = self.heads.iter().map(|(head, _)| (*head).to_owned()).collect();
        let widths = self.widths(options.width, &heads);
        let line = |cells: &[String]| self.line(cells, &widths, options.unicode);
        out.push_str(&options.faint(&line(&heads)));
        out.push('\n');
        for row in &self.rows {
            out.push_str(&line(row));
            out.push('\n');
        }
        if let Some(total) = &self.total {
            out.push_str(&options.bold(&line(total)));
            out.push('\n');
        }
    }

    fn widths(&self, line_width: usize, heads: &[String]) -> Vec<usize> {
        let lines = || self.rows.iter().chain(&self.total).map(Vec::as_slice);
        let mut widths = vec![0; heads.len()];
        for cells in std::iter::once(heads).chain(lines()) {
            for (width, cell) in widths.iter_mut().zip(cells) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let others: usize = widths.iter().skip(1).map(|width| width + GAP).sum();
        if let Some(name) = widths.first_mut() {
            let room = line_width.saturating_sub(INDENT + others);
            *name = (*name).min(room.max(NARROWEST));
        }
        widths
    }

    fn line(&self, cells: &[String], widths: &[usize], unicode: bool) -> String {
        let mut line = " ".repeat(INDENT);
        for (index, (cell, width)) in cells.iter().zip(widths).enumerate() {
            if index > 0 {
                line.push_str(&" ".repeat(GAP));
            }
            let cell = cut(&printable(cell, unicode), *width, unicode);
            let padding = " ".repeat(width - cell.chars().count());
            match self.heads[index].1 {
                Align::Left => line.extend([cell, padding]),
                Align::Right => line.extend([padding, cell]),
            }
        }
        line.truncate(line.trim_end().len());
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(width: usize) -> TextOptions {
        TextOptions { width, ..TextOptions::default() }
    }

    fn table() -> Table {
        let mut table = Table::new(&[("cache", Align::Left), ("slabs", Align::Right)]);
        table.row(vec!["a_long_cache_name".to_owned(), "7".to_owned()]);
        table.total(vec!["all".to_owned(), "1,234".to_owned()]);
        table
    }

    #[test]
    fn numbers_align_right() {
        let mut out = String::new();
        table().write(&mut out, &options(80));
        let expected = "  cache              slabs\n  a_long_cache_name      7\n  all                1,234\n";
        assert_eq!(out, expected);
    }

    #[test]
    fn names_give_way_to_numbers() {
        let mut out = String::new();
        // 2 + 10 + 2 + 5 = 19.
        table().write(&mut out, &options(19));
        assert!(out.contains("  a_long_...      7\n"), "{out}");
    }
}
