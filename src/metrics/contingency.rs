//! A table of counts, rows by columns.

use crate::error::{Error, Result};

/// Counts, row by row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Contingency {
    rows: usize,
    columns: usize,
    counts: Vec<u64>,
}

impl Contingency {
    /// A table of `rows` × `columns`, `counts` row by row.
    ///
    /// # Errors
    /// [`Error::Argument`] when the counts do not fill the table or are all 0, and for a table without a cell.
    pub fn new(rows: usize, columns: usize, counts: &[u64]) -> Result<Self> {
        if rows == 0 || columns == 0 || rows.checked_mul(columns) != Some(counts.len()) {
            let got = counts.len();
            return Err(Error::Argument(format!(
                "a table of {rows}×{columns} needs as many counts, got {got}"
            )));
        }
        if counts.iter().all(|&count| count == 0) {
            return Err(Error::Argument(format!(
                "the table of {rows}×{columns} counts nothing: all cells are 0"
            )));
        }
        Ok(Contingency { rows, columns, counts: counts.to_vec() })
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// The number of columns.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// One cell.
    pub fn at(&self, row: usize, column: usize) -> u64 {
        self.counts[row * self.columns + column]
    }

    /// The sums of the rows.
    pub fn row_sums(&self) -> Vec<u64> {
        self.counts.chunks_exact(self.columns).map(|row| row.iter().sum()).collect()
    }

    /// The sums of the columns.
    pub fn column_sums(&self) -> Vec<u64> {
        (0..self.columns).map(|column| (0..self.rows).map(|row| self.at(row, column)).sum()).collect()
    }

    /// The sum of all cells.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Cells with their row and column.
    pub(super) fn cells(&self) -> impl Iterator<Item = (usize, usize, u64)> {
        self.counts.iter().enumerate().map(|(i, &count)| (i / self.columns, i % self.columns, count))
    }

    /// Refuses a table with an empty row or column, and one with a single row or column.
    pub(super) fn need_full(&self, what: &str) -> Result<()> {
        if self.rows < 2 || self.columns < 2 {
            let shape = format!("{}×{}", self.rows, self.columns);
            return Err(Error::Argument(format!(
                "{what} needs at least two rows and two columns, not {shape}"
            )));
        }
        let empty = |sums: Vec<u64>| sums.iter().position(|&sum| sum == 0);
        let problem = match (empty(self.row_sums()), empty(self.column_sums())) {
            (Some(row), _) => format!("row {}", row + 1),
            (_, Some(column)) => format!("column {}", column + 1),
            _ => return Ok(()),
        };
        Err(Error::Argument(format!("{what} needs a count in every row and column: {problem} is empty")))
    }
}
