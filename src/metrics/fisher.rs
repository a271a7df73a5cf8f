//! Fisher's exact test, for tables of any shape.

use super::Contingency;
use super::distributions::ln_factorial;
use crate::error::{Error, Result};

/// Partial tables that are looked at before the test is given up.
const MAX_STEPS: u64 = 20_000_000;

/// The largest total whose factorials are tabulated.
const MAX_TOTAL: u64 = 1_000_000;

/// The most cells: the walk goes one deeper with each.
const MAX_CELLS: usize = 1000;

/// Tables count as no likelier than the observed one when their probabilities agree to this share, as in SciPy and R.
const SAME: f64 = 1e-7;

impl Contingency {
    /// Fisher's exact P: the summed probability of all tables with the same margins that are no likelier than this one;
    /// two-sided for 2×2. Larger tables are the extension by Freeman and Halton.
    ///
    /// Source: Fisher 1934, Statistical Methods for Research Workers, 21.02; Freeman, Halton 1951, Biometrika 38:141.
    ///
    /// # Errors
    /// [`Error::Argument`] for fewer than two rows or columns, an empty one, or too many tables to look at.
    pub fn fisher(&self) -> Result<f64> {
        self.need_full("Fisher's test")?;
        if self.total() > MAX_TOTAL || self.cells().count() > MAX_CELLS {
            return Err(too_large());
        }
        let (rows, columns) = (self.row_sums(), self.column_sums());
        let ln_table: Vec<f64> = (0..=self.total()).map(ln_factorial).collect();
        let margins: f64 = rows.iter().chain(&columns).map(|&sum| ln_table[sum as usize]).sum();
        let constant = margins - ln_table[self.total() as usize];
        let observed = constant - self.cells().map(|(_, _, count)| ln_table[count as usize]).sum::<f64>();
        let mut walk = Walk { ln: &ln_table, rows: &rows, limit: observed + SAME, p: 0.0, steps: 0 };
        let mut left = columns;
        walk.cell(0, 0, rows[0], &mut left, constant)?;
        Ok(walk.p.min(1.0))
    }
}

fn too_large() -> Error {
    Error::Argument("the table is too large for Fisher's exact test: use chi-square".into())
}

/// A walk over all tables with given margins, cell by cell; the last row follows from the rest.
struct Walk<'a> {
    /// ln n! by n.
    ln: &'a [f64],
    rows: &'a [u64],
    /// The largest log probability that counts.
    limit: f64,
    p: f64,
    steps: u64,
}

impl Walk<'_> {
    /// Fills cell (`row`, `column`) and all after it: `rest` is left for the row, `left` for each column, `ln_p` is the log
    /// probability so far.
    fn cell(&mut self, row: usize, column: usize, rest: u64, left: &mut [u64], ln_p: f64) -> Result<()> {
        self.steps += 1;
        if self.steps > MAX_STEPS {
            return Err(too_large());
        }
        if row + 1 == self.rows.len() {
            let ln_p = ln_p - left.iter().map(|&count| self.ln[count as usize]).sum::<f64>();
            if ln_p <= self.limit {
                self.p += ln_p.exp();
            }
            return Ok(());
        }
        let later: u64 = left[column + 1..].iter().sum();
        let (least, most) = (rest.saturating_sub(later), rest.min(left[column]));
        for count in least..=most {
            left[column] -= count;
            let ln_p = ln_p - self.ln[count as usize];
            match column + 1 == left.len() {
                true => self.cell(row + 1, 0, self.rows[row + 1], left, ln_p)?,
                false => self.cell(row, column + 1, rest - count, left, ln_p)?,
            }
            left[column] += count;
        }
        Ok(())
    }
}
