//! A CSV with a line of column names, whole in memory; every complaint names the file and the line.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use nodal::Error;

/// Rows of text below named columns.
pub struct Sheet {
    path: PathBuf,
    columns: Vec<String>,
    rows: Vec<Row>,
}

/// One row.
pub struct Row {
    line: u64,
    fields: Vec<String>,
}

impl Row {
    /// The field of a column, `None` where the column is missing or the field is empty.
    pub fn get(&self, column: Option<usize>) -> Option<&str> {
        self.fields.get(column?).map(String::as_str).filter(|field| !field.is_empty())
    }
}

impl Sheet {
    /// Reads `path`. Two columns whose names differ in case alone are refused.
    pub fn open(path: &Path) -> nodal::Result<Self> {
        let about = std::fs::metadata(path).map_err(|e| Error::io(path, "read", e))?;
        if !about.is_file() {
            return Err(Error::format(path, "is no CSV file"));
        }
        let broken = |e: csv::Error| match e.kind() {
            csv::ErrorKind::UnequalLengths { pos, expected_len, len } => {
                let line = pos.as_ref().map_or(0, csv::Position::line);
                Error::format(path, format!("line {line}: expected {expected_len} fields, got {len}"))
            }
            csv::ErrorKind::Utf8 { pos, .. } => {
                let line = pos.as_ref().map_or(0, csv::Position::line);
                Error::format(path, format!("line {line}: is not UTF-8"))
            }
            _ => Error::format(path, format!("cannot be read as CSV: {e}")),
        };
        let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_path(path).map_err(broken)?;
        let columns: Vec<String> = reader.headers().map_err(broken)?.iter().map(str::to_string).collect();
        let mut seen = HashSet::new();
        if let Some(twice) = columns.iter().find(|name| !seen.insert(name.to_ascii_lowercase())) {
            return Err(Error::format(path, format!("has the column `{twice}` twice: keep one")));
        }
        let mut rows = Vec::new();
        for record in reader.records() {
            let record = record.map_err(broken)?;
            let line = record.position().map_or(0, csv::Position::line);
            rows.push(Row { line, fields: record.iter().map(str::to_string).collect() });
        }
        if rows.is_empty() {
            return Err(Error::format(path, "has no row below its column names"));
        }
        Ok(Sheet { path: path.to_path_buf(), columns, rows })
    }

    /// The columns' names.
    pub fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The rows.
    pub fn rows(&self) -> &[Row] {
        &self.rows
    }

    /// Where the column `name` stands, in any case.
    pub fn column(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| column.eq_ignore_ascii_case(name))
    }

    /// [`Self::column`] of a column that must be there.
    pub fn need(&self, name: &str) -> nodal::Result<usize> {
        self.column(name).ok_or_else(|| {
            let columns = self.columns.join(", ");
            self.problem(format!("has no column `{name}`; its first line names {columns}"))
        })
    }

    /// The field of a column that must be filled.
    pub fn field<'a>(&self, row: &'a Row, column: usize) -> nodal::Result<&'a str> {
        row.get(Some(column)).ok_or_else(|| self.wrong(row, format!("`{}` is empty", self.columns[column])))
    }

    /// A finite number that must be there.
    pub fn number(&self, row: &Row, column: usize) -> nodal::Result<f64> {
        let text = self.field(row, column)?;
        let number = text.parse().ok().filter(|number: &f64| number.is_finite());
        number.ok_or_else(|| self.wrong(row, format!("`{}` is no number: `{text}`", self.columns[column])))
    }

    /// A count that must be there.
    pub fn count(&self, row: &Row, column: usize) -> nodal::Result<u64> {
        let text = self.field(row, column)?;
        let count = text.parse().ok().filter(|count| *count <= 1_000_000_000_u64);
        count.ok_or_else(|| self.wrong(row, format!("`{}` is no count: `{text}`", self.columns[column])))
    }

    /// Yes or no that must be there: 1, yes, true, positive against 0, no, false, negative.
    pub fn yes(&self, row: &Row, column: usize) -> nodal::Result<bool> {
        let text = self.field(row, column)?;
        match text.to_ascii_lowercase().as_str() {
            "1" | "yes" | "true" | "positive" => Ok(true),
            "0" | "no" | "false" | "negative" => Ok(false),
            _ => Err(self.wrong(
                row,
                format!(
                    "`{}` is 1 or 0, yes or no, positive or negative, not `{text}`",
                    self.columns[column]
                ),
            )),
        }
    }

    /// What is wrong with a row.
    pub fn wrong(&self, row: &Row, problem: impl std::fmt::Display) -> Error {
        self.problem(format!("line {}: {problem}", row.line))
    }

    /// What is wrong with the file.
    pub fn problem(&self, problem: impl Into<String>) -> Error {
        Error::format(&self.path, problem)
    }
}
