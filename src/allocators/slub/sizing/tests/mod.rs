//! Expected figures come from real kernels or from independent computation, see
//! `tests/data/sizing/README.md`; none was taken from this code's output.

mod edges;
mod kmalloc;
mod merging;
mod options;
mod order;
mod snapshots;

use super::*;

/// Rows of a CSV file without quoting.
pub(super) struct Table {
    columns: Vec<&'static str>,
    rows: Vec<Vec<&'static str>>,
}

impl Table {
    pub(super) fn read(text: &'static str) -> Self {
        let mut lines = text.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let columns = lines.next().expect("a header");
        let rows: Vec<_> = lines.collect();
        assert!(rows.iter().all(|row| row.len() == columns.len()));
        Self { columns, rows }
    }

    pub(super) fn rows(&self) -> impl ExactSizeIterator<Item = Row<'_>> {
        self.rows.iter().map(|cells| Row { columns: &self.columns, cells })
    }
}

#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    columns: &'a [&'static str],
    cells: &'a [&'static str],
}

impl Row<'_> {
    pub(super) fn text(&self, column: &str) -> &'static str {
        let at = self.columns.iter().position(|name| *name == column);
        self.cells[at.unwrap_or_else(|| panic!("a column {column}"))]
    }

    /// `None` where the kernel has no such file.
    pub(super) fn number(&self, column: &str) -> Option<u32> {
        let text = self.text(column);
        (!text.is_empty()).then(|| text.parse().expect("a number"))
    }

    pub(super) fn get(&self, column: &str) -> u32 {
        self.number(column).unwrap_or_else(|| panic!("a value of {column}"))
    }

    pub(super) fn is_set(&self, column: &str) -> bool {
        self.number(column) == Some(1)
    }
}

pub(super) fn release(text: &str) -> KernelRelease {
    text.parse().expect("a release")
}

/// A kernel with the default build on an x86-64 machine.
pub(super) fn kernel(text: &str, cpus: u32) -> Kernel {
    Kernel::new(release(text), Machine::x86_64(cpus), Build::default())
}
