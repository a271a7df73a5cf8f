//! A table of text, before it is lines on a screen or part of a page.

/// Rows of cells below a header.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    pub header: Vec<String>,
    pub rows: Vec<Vec<String>>,
    /// How many columns, the first ones, are names; the others are figures.
    pub names: usize,
}

impl Grid {
    /// A table without rows.
    pub fn new<S: Into<String>>(header: impl IntoIterator<Item = S>, names: usize) -> Self {
        Grid { header: header.into_iter().map(Into::into).collect(), rows: Vec::new(), names }
    }

    /// Adds a row.
    pub fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(cells.into_iter().map(Into::into).collect());
    }

    /// Its lines.
    pub fn text(&self) -> String {
        let header: Vec<&str> = self.header.iter().map(String::as_str).collect();
        let mut table = super::table(&header, self.names);
        self.rows.iter().for_each(|row| _ = table.add_row(row));
        super::text(&table)
    }
}
